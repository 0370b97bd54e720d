"""`given("field")`: what the event brings, standing in a query's criteria until there is an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import BindParameter

from dateline.core.event import Event
from dateline.errors import NotStorable

__all__ = ["Given", "getter", "given", "seen_through"]


class Given(BindParameter[Any]):
    """A bound parameter that knows where in the event its value is."""

    inherit_cache = True

    def __init__(self, path: str, plus: timedelta | None) -> None:
        # Unique, so that one field can be compared with columns of different types in one statement.
        super().__init__(path.replace(".", "_"), None, unique=True, required=False)
        self.path = path
        self.plus = plus
        self.through: Callable[[Event], Event] | None = None

    @property
    def whence(self) -> str:
        """The path, and what is added to it."""
        return self.path if self.plus is None else f"{self.path} {self.plus.total_seconds():+g}s"


def given(path: str, *, plus: timedelta | None = None) -> Any:
    """Stand for a value of the event in a snapshot's criteria.

    Args:
        path: A field of the event, `given("patient_id")`, or of its meta, `given("meta.at")`; dots go deeper.
        plus: A duration to add to an instant or a date: `given("meta.at", plus=timedelta(days=-7))`.
    """
    if not (isinstance(path, str) and path):
        raise TypeError('given() takes the path of a field of the event, a text such as given("account")')
    return Given(path, plus)


def seen_through(given: Given, through: Callable[[Event], Event]) -> Given:
    """Return the same parameter, taken out of the event in another shape."""
    made: Given = given._clone(maintain_key=True)
    made.through = through
    return made


def getter(given: Given) -> Callable[[Event], Any]:
    """Return the function that takes the value out of an event."""
    take, through = _taker(given), given.through
    return take if through is None else lambda event: take(through(event))


def _taker(given: Given) -> Callable[[Event], Any]:
    names = given.path.split(".")
    plus = given.plus
    if plus is None and len(names) == 1:
        return attrgetter(given.path)

    def get(event: Event) -> Any:
        value: Any = event
        for name in names:
            # What is not there has no parts either, and matches nothing.
            value = None if value is None else getattr(value, name)
        if plus is None or value is None:
            return value
        try:
            return value + plus
        except OverflowError:
            raise NotStorable(f"{given.path} plus {plus} is outside of the years 1 to 9999") from None

    return get
