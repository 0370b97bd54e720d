"""What a check or a handler may yield, and the names under which a step is found again."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Self, TypeAlias, TypeVar

from dateline.errors import WrongValue

__all__ = ["Concerns", "Reject", "Step", "Yields"]


class Step:
    """One thing that a handler decided. Its key within the event is `slot/Type[part]`."""

    _part: str | None = None

    def keyed(self, part: str) -> Self:
        """Return the same step under a part of its own, where a handler yields several of one type; yield what is returned.

        Args:
            part: What tells it apart in every replay, such as a product's name; never a place in a list.
        """
        made = copy(self)
        object.__setattr__(made, "_part", part)
        return made

    def step_key(self, slot: str) -> str:
        """Return the step's key under the slot that yielded it; a rejection's is `slot/code`."""
        part = self.step_part()
        return f"{slot}/{self.step_type()}" if part is None else f"{slot}/{self.step_type()}[{part}]"

    def step_type(self) -> str:
        """Return the middle of the step's key: what sort of step it is, on what."""
        raise NotImplementedError

    def step_part(self) -> str | None:
        """Return what tells this step from others of its type in one event; None where it is the only one."""
        return self._part


S = TypeVar("S", bound=Step)

Yields: TypeAlias = Iterator[S]
"""What a check or a handler yields, as its signature announces it: `Yields[Insert[Prescription] | NotifyPatient]`."""


def _text(what: str, found: object) -> None:
    # A handler may take it from a field that any value fits into.
    if not isinstance(found, str):
        raise WrongValue(f"the {what} is a text, not {type(found).__name__}")


class Reject(Step):
    """A check's no.

    Args:
        code: A stable word for machines, such as "too-little".
        detail: A sentence for people.
        field: The event's field that is at fault.

    Raises:
        WrongValue: For what is no text.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        _text("code of a Reject", code)
        _text("detail of a Reject", detail)
        if field is not None:
            _text("field of a Reject", field)
        self.code = code
        self.detail = detail
        self.field = field

    def step_type(self) -> str:
        """Return the middle of the step's key."""
        return self.code

    def __repr__(self) -> str:
        return f"Reject({self.code!r}, {self.detail!r}, field={self.field!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reject) and (self.code, self.detail, self.field, self._part) == (
            other.code,
            other.detail,
            other.field,
            other._part,
        )

    def __hash__(self) -> int:
        return hash((self.code, self.detail, self.field))


class Concerns(Step):
    """The event is also about this subject, which only reading could tell: `Concerns("customer:7")`.

    Raises:
        WrongValue: For what is no text.
    """

    def __init__(self, subject: str) -> None:
        _text("subject of a Concerns", subject)
        self.subject = subject

    def step_type(self) -> str:
        """Return the middle of the step's key."""
        return "concerns"

    def step_part(self) -> str | None:
        """Return what tells the step from others of its type."""
        return self._part or self.subject

    def __repr__(self) -> str:
        return f"Concerns({self.subject!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Concerns) and self.subject == other.subject

    def __hash__(self) -> int:
        return hash(self.subject)
