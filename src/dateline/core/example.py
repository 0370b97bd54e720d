"""Made-up events of a shape, the same in every process: what a law is tried on that holds for every event.

Values at the edges of what the types allow come first, each in an otherwise plain event; then mixtures of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from dateline.core.event import Event

__all__ = ["examples", "without"]

MOST = 12
"""Values of one field."""

MIXED = 24
"""Mixtures of a shape's values."""

_TEXTS = (
    *(
        "a",
        "",
        "ann",
        "A",
        "1",
        "500 mg",
        "0.5 g",
        "Ångström",
        'O\'Hara "x"',
        "two words",
        " padded ",
        "a\nb",
        "𝄞",
        "%s {x} \\",
    ),
    *(
        "ABC-1",
        "A1",
        "abc",
        "12345",
        "0",
        "-1",
        "1.50",
        "a@b.org",
        "+31612345678",
        "2024-02-29",
        "2024-02-29T12:00:00Z",
    ),
    *("00000000-0000-0000-0000-000000000001", "a/b", "a.b", "a_b", "x" * 8, "x" * 20, "1" * 10),
)
_WHOLE = (1, 0, 2, 7, 10, 12, 100, 999, 12_345, -1, 2**31 - 1, 2**53 + 1)
_LEAVES: dict[Any, tuple[Any, ...]] = {
    str: _TEXTS,
    bool: (False, True),
    int: _WHOLE,
    float: (1.0, 0.0, 0.1, -1.5, 1e300),
    Decimal: tuple(map(Decimal, ("1", "0", "0.5", "2.50", "1000", "0.001", "12.345", "999999.999", "-1", "1E+3"))),
    bytes: (b"a", b"", b"\x00\xff"),
    datetime: (datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    date: (date(2024, 2, 29), date(1999, 12, 31)),
    time: (time(12), time(23, 59, 59, 999_999)),
    timedelta: (timedelta(days=1), timedelta(0), timedelta(seconds=90, microseconds=1)),
    UUID: (UUID(int=1), UUID(int=2**128 - 1)),
    NoneType: (None,),
    None: (None,),
}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")


def examples(event: type[Event]) -> Iterator[Event]:
    """Yield events of a shape, plain ones first; none where no value of one of its fields could be made up."""
    known = {name: _fitting(info) for name, info in event.model_fields.items()}
    if not all(known.values()):
        return
    plain = {name: values[0] for name, values in known.items()}
    bodies = [plain, *({**plain, name: value} for name, values in known.items() for value in values[1:])]
    chance = _chance(event.__kind__)
    bodies += [{name: values[next(chance) % len(values)] for name, values in known.items()} for _ in range(MIXED)]
    made: dict[Event, None] = {}
    for body in bodies:
        try:
            made.setdefault(event(**body))
        except ValidationError:
            # What single fields allow, the event as a whole may not.
            continue
    yield from made


def without(event: type[Event]) -> list[str]:
    """Return the fields for which no value could be made up."""
    return [name for name, info in event.model_fields.items() if not _fitting(info)]


def _fitting(info: FieldInfo) -> list[Any]:
    """Return values that a field takes."""
    try:
        takes = TypeAdapter(info.rebuild_annotation())
    except PydanticUserError:
        return []
    found: list[Any] = []
    default = [] if info.is_required() else [info.get_default(call_default_factory=True)]
    for value in [*(info.examples or ()), *default, *_values(info.annotation, tuple(info.metadata))]:
        try:
            valid = takes.validate_python(value, strict=True)
        except ValidationError:
            continue
        if not any(type(valid) is type(one) and valid == one for one in found):
            found.append(valid)
        if len(found) == MOST:
            break
    return found


def _values(annotation: Any, marks: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield values of a type, those at its limits first."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _values(args[0], (*args[1:], *marks))
    elif origin is Literal:
        yield from args
    elif origin in (Union, UnionType):
        for part in args:
            yield from islice(_values(part, marks), MOST)
    elif origin in (tuple, list, set, frozenset, dict):
        yield from _collections(origin, args)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from annotation
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = {name: _fitting(info) for name, info in annotation.model_fields.items()}
        for index in range(max(map(len, inner.values()), default=1) if all(inner.values()) else 0):
            try:
                yield annotation(**{name: values[index % len(values)] for name, values in inner.items()})
            except ValidationError:
                continue
    else:
        yield from _leaves(annotation, marks)


def _leaves(annotation: Any, marks: tuple[Any, ...]) -> Iterator[Any]:
    for mark in marks:
        inner = mark.metadata if isinstance(mark, FieldInfo) else (mark,)
        for bound in (getattr(one, name, None) for one in inner for name in _BOUNDS):
            if isinstance(bound, int | Decimal) and annotation in (int, Decimal):
                yield from (annotation(bound) + step for step in (0, 1, -1))
        least = max((getattr(one, "min_length", None) or 0 for one in inner), default=0)
        if annotation is str and least:
            yield "a" * least
    yield from _LEAVES.get(getattr(annotation, "__supertype__", annotation), ())


def _collections(origin: Any, args: tuple[Any, ...]) -> Iterator[Any]:
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        parts = [list(islice(_values(arg), MOST)) for arg in args]
        for index in range(max(map(len, parts), default=0) if all(parts) else 0):
            yield tuple(values[index % len(values)] for values in parts)
        return
    inner = list(islice(_values(args[0]), MOST)) if args else []
    if origin is dict:
        values = list(islice(_values(args[1]), MOST)) if args else []
        yield from (dict(zip(inner[:size], values[:size], strict=False)) for size in (1, 0, 2))
        return
    yield from (origin(inner[:size]) for size in (1, 0, 2, 3))


def _chance(seed: str) -> Iterator[int]:
    """Yield numbers without an order, the same for one seed: a decision's checks give one answer everywhere.

    Source: D. E. Knuth, The Art of Computer Programming 2, section 3.3.4, for the multiplier (MMIX).
    """
    state = sum((place + 1) * ord(letter) for place, letter in enumerate(seed))
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33
