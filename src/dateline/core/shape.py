"""The classes that one kind of event has had, and how a value of one becomes a value of another.

A conversion goes from the recorded body straight to the shape that is wanted, step by step along the chain of shapes; never from what was
converted for somebody else.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_type_hints, overload

from dateline.core.event import Event
from dateline.core.model import place
from dateline.core.purity import purely
from dateline.core.source import named, tree
from dateline.errors import BadSignature, HandlerFailed, Impure, Malformed, Unconvertible, Unrepresentable

__all__ = ["Conversion", "Shapes", "conversion_of", "downgrade", "upgrade"]

F = TypeVar("F", bound=Callable[[Any], Event])

_MARK = "__dateline_conversion__"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator leaves on a conversion.

    Args:
        names: Of an upgrade, the fields that it rewrites; of a downgrade, those that it loses.
    """

    way: Literal["up", "down"]
    names: tuple[str, ...] = ()


@overload
def upgrade(function: F, /) -> F: ...
@overload
def upgrade(*, rewrites: Iterable[str] = ()) -> Callable[[F], F]: ...
def upgrade(function: Any = None, /, *, rewrites: Iterable[str] = ()) -> Any:
    """Mark a function that turns an event of the shape before into one of this date's: `def in_mg(old: v2018.Prescribe) -> Prescribe`.

    Args:
        rewrites: Fields of the old shape that come back otherwise after a downgrade, such as a text that is now written one way only.
    """
    return _mark("up", function, rewrites)


@overload
def downgrade(function: F, /) -> F: ...
@overload
def downgrade(*, loses: Iterable[str] = ()) -> Callable[[F], F]: ...
def downgrade(function: Any = None, /, *, loses: Iterable[str] = ()) -> Any:
    """Mark a function that turns an event of this date's shape into one of the shape before; it may raise `Unrepresentable`.

    Args:
        loses: Fields of the new shape that the old one has no place for.
    """
    return _mark("down", function, loses)


def _mark(way: Literal["up", "down"], function: Any, names: Iterable[str]) -> Any:
    def mark(function: F) -> F:
        setattr(function, _MARK, Mark(way, tuple(names)))
        return function

    return mark if function is None else mark(function)


@dataclass(frozen=True, eq=False)
class Conversion:
    """One function between two shapes, as its signature describes it.

    Args:
        names: Of an upgrade, the fields of its source that it rewrites; of a downgrade, those that it loses.
        may_raise: Whether its code raises `Unrepresentable`.
    """

    call: Callable[[Any], Event]
    way: Literal["up", "down"]
    date: date
    source: type[Event]
    target: type[Event]
    names: tuple[str, ...]
    may_raise: bool

    @property
    def where(self) -> str:
        """File, line and name, for errors."""
        return place(self.call)

    @property
    def day(self) -> str:
        """Its date, ISO."""
        return self.date.isoformat()

    def __call__(self, event: Event) -> Event:
        """Return the event in the other shape, with the same meta.

        Raises:
            Unrepresentable: Where the other shape has no word for it.
            HandlerFailed: Where the function fails.
        """
        try:
            made = purely(self, self.call, event)
        except (Unrepresentable, Impure):
            raise
        except Exception as error:
            # Its text stays in the chained cause: it may hold what a person has sent.
            raise HandlerFailed(f"{self.where} ({self.date}) raised {type(error).__name__}") from error
        if type(made) is not self.target:
            raise HandlerFailed(f"{self.where} ({self.date}) returns {type(made).__name__}, not {self.target.__name__}")
        return made


def conversion_of(found: Any, day: date) -> Conversion | None:
    """Return what a marked function's signature says; None for what is no conversion.

    Raises:
        BadSignature: Naming file, function and mend.
    """
    mark = getattr(found, _MARK, None)
    if not isinstance(mark, Mark):
        return None
    where, mend = place(found), "write def converted(old: v2018.Prescribe) -> Prescribe"
    try:
        hints = get_type_hints(found)
        parameters = list(inspect.signature(found).parameters)
    except (NameError, TypeError) as error:
        raise BadSignature(
            f"{where}: its annotations cannot be read ({error}); import what they name at run time too"
        ) from error
    source, target = hints.get(parameters[0]) if len(parameters) == 1 else None, hints.get("return")
    for one in (source, target):
        if not (isinstance(one, type) and issubclass(one, Event) and one.__kind__):
            raise BadSignature(f"{where}: takes one event and returns another of its kind; {mend}")
    assert source is not None
    assert target is not None
    if source is target or source.__kind__ != target.__kind__:
        raise BadSignature(
            f"{where}: takes {source.__kind__} and returns {target.__kind__}, two shapes of one kind are meant; {mend}"
        )
    fields = source.model_fields
    for name in mark.names:
        if name not in fields:
            raise BadSignature(f"{where}: {source.__qualname__} has no field {name!r}; it has {', '.join(fields)}")
    return Conversion(found, mark.way, day, source, target, mark.names, _may_raise(found))


def _may_raise(function: Callable[..., Any]) -> bool:
    """Tell whether a function's own code raises `Unrepresentable`; where there is no source, it may."""
    try:
        nodes = list(ast.walk(tree(function)))
    except (OSError, SyntaxError):
        return True
    for node in nodes:
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        try:
            if named(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, function) is Unrepresentable:
                return True
        except LookupError:
            continue
    return False


class Shapes:
    """The shapes of one kind, oldest first, and what turns one into the next and back."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.chain: list[type[Event]] = []
        self.ups: dict[type[Event], Conversion | None] = {}
        self.downs: dict[type[Event], Conversion | None] = {}

    def add(self, event: type[Event]) -> None:
        """Add the newest shape; to and from a subclass, which only adds fields with defaults, nobody needs to say how."""
        if event in self.chain:
            return
        if self.chain and issubclass(event, self.chain[-1]):
            self.ups[self.chain[-1]] = self.downs[event] = None
        self.chain.append(event)

    def link(self, one: Conversion) -> None:
        """Add a conversion between two shapes that stand side by side.

        Raises:
            Unconvertible: Where they do not, or another conversion does that already.
        """
        older, newer = (one.source, one.target) if one.way == "up" else (one.target, one.source)
        places = {shape: place for place, shape in enumerate(self.chain)}
        if places.get(newer, -2) - places.get(older, -2) != 1:
            raise Unconvertible(
                f"{one.where}: {older.__qualname__} and {newer.__qualname__} are not one shape of {self.kind} and the next; "
                f"convert between {' and '.join(shape.__qualname__ for shape in self.chain[-2:])}"
            )
        held = self.ups if one.way == "up" else self.downs
        if one.source in held:
            other = held[one.source]
            raise Unconvertible(
                f"{one.where}: {other.where if other is not None else 'the subclass itself'} does that already; keep one of them"
            )
        held[one.source] = one

    def settled(self, day: date) -> None:
        """Refuse a shape that cannot be reached from the one before, or back.

        Raises:
            Unconvertible: Naming what is missing.
        """
        for older, newer in pairwise(self.chain):
            for held, source, target, way in (
                (self.ups, older, newer, "upgrade"),
                (self.downs, newer, older, "downgrade"),
            ):
                if source not in held:
                    raise Unconvertible(
                        f"{place(newer)}: is another shape of {self.kind} than {older.__module__}.{older.__qualname__}; derive it from "
                        f"that, or write beside it @{way} def …(event: {_told(source)}) -> {_told(target)}"
                    )

    def raising(self, source: type[Event], target: type[Event]) -> Conversion | None:
        """Return the first downgrade between two shapes that may raise; None where there is none."""
        for one in self._steps(source, target):
            found = self.downs.get(one) if self._down(source, target) else None
            if found is not None and found.may_raise:
                return found
        return None

    def reaches(self, source: type[Event], target: type[Event]) -> bool:
        """Tell whether a value of one class can be had as a value of another."""
        return issubclass(source, target) or (source in self.chain and target in self.chain)

    def convert(self, event: Event, target: type[Event]) -> Event:
        """Return an event in another shape.

        Raises:
            Unrepresentable: Where that has no word for it.
            HandlerFailed: Where a conversion fails.
            Malformed: For an event that is of no shape of this kind.
        """
        source = type(event)
        if source is target:
            return event
        if source not in self.chain or target not in self.chain:
            if isinstance(event, target):
                return event
            raise Malformed(f"{source.__qualname__} is no shape of {self.kind} that a version knows")
        held = self.downs if self._down(source, target) else self.ups
        private = event.__pydantic_private__
        path = [*self._steps(source, target), target]
        for here, there in pairwise(path):
            conversion = held[here]
            event = _carried(event, there) if conversion is None else conversion(event)
            if private and "_meta" in private:
                event = event.with_meta(private["_meta"])
        return event

    def _down(self, source: type[Event], target: type[Event]) -> bool:
        return self.chain.index(source) > self.chain.index(target)

    def _steps(self, source: type[Event], target: type[Event]) -> list[type[Event]]:
        """Return the shapes from one to another, without the last."""
        start, end = self.chain.index(source), self.chain.index(target)
        return self.chain[start:end] if start < end else self.chain[start:end:-1]


def _carried(event: Event, target: type[Event]) -> Event:
    """Return an event as its subclass, new fields at their defaults, or as its base, without what that lacks."""
    return target(**{name: value for name, value in event.__dict__.items() if name in target.model_fields})


def _told(shape: type[Event]) -> str:
    return f"{shape.__module__.rpartition('.')[2]}.{shape.__qualname__}"
