"""What versions say of themselves, without any database: for a kind under a version, who decides, what is read, and what can come of it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from dateline.core.cascade import Cascade, Slot
from dateline.core.effect import Effect
from dateline.core.event import Event
from dateline.core.layer import Function
from dateline.core.model import personal_fields
from dateline.core.operation import Operation
from dateline.core.snapshot import Field
from dateline.core.source import named, tree
from dateline.core.step import Reject
from dateline.core.table import table_of
from dateline.core.version import Versions

__all__ = ["Explanation", "Holder", "Input", "Read", "Standing", "codes", "explained"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A function that holds a slot, or held it.

    Args:
        name: Its dotted name.
        since: Its date, ISO.
        doc: Its docstring.
    """

    name: str
    since: str
    doc: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A slot as it stands under the version.

    Args:
        opened: Its date, ISO.
        holder: Who holds it; None where it was retired.
        since: The date of its last change, ISO.
        before: Who held it before, oldest first.
        snapshots: Which snapshots the holder takes.
        yields: What it can yield, as step keys name it: `Insert:prescription`, `patient.notify`; of a check, the codes in its source.
        amends: The steps of earlier slots that it drops or replaces.
    """

    name: str
    role: str
    opened: str
    holder: Holder | None
    since: str
    before: tuple[Holder, ...]
    snapshots: tuple[str, ...]
    yields: tuple[str, ...]
    amends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """One field of a snapshot.

    Args:
        many: "one", "at most one", "many" or "a value".
        table: The table that is read; None for a value.
        columns: What of it is seen, sorted.
        shape: The date of the event's shape that it is asked with; None where the kind has but one.
    """

    snapshot: str
    field: str
    many: str
    table: str | None
    columns: tuple[str, ...]
    shape: str | None


@dataclass(frozen=True, slots=True)
class Input:
    """One field of the event's shape.

    Args:
        type: As a person would write it.
        limits: What narrows it, such as "≥ 1".
        default: What stands where it is left out, as Python shows it; None where it is required.
    """

    name: str
    type: str
    limits: tuple[str, ...]
    required: bool
    default: str | None
    personal: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a version says of a kind.

    Args:
        shape: The date of the shape in force, ISO.
        shapes: The dates of all shapes up to the version, oldest first.
        requires: The right that an actor needs.
        doc: The shape's docstring.
        input: The shape's fields in their order.
        operations: What can happen to tables, such as `Insert:prescription`.
        effects: The kinds of effects that it can have.
        rejections: The codes with which it can be refused, by slot.
        digest: SHA-256 over who holds which slot, and their code.
    """

    kind: str
    version: str
    shape: str | None
    shapes: tuple[str, ...]
    requires: str | None
    subjects: tuple[str, ...]
    doc: str
    input: tuple[Input, ...]
    slots: tuple[Standing, ...]
    reads: tuple[Read, ...]
    operations: tuple[str, ...]
    effects: tuple[str, ...]
    rejections: tuple[str, ...]
    digest: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types, with keys that stay."""
        return asdict(self)


def explained(versions: Versions, kind: str, version: date | str | None = None) -> Explanation:
    """Return what a version says of a kind.

    Args:
        version: A date, in force or not; without it, the newest.

    Raises:
        UnknownKind, UnknownVersion: Where there is no such kind or version.
    """
    chosen = versions.newest if version is None else versions.asked(version)
    cascade = versions.cascade(kind, chosen.date)
    slots = tuple(_standing(slot) for slot in cascade.slots)
    in_force = [one for one in slots if one.holder is not None]
    steps = [step for one in in_force if one.role == "handler" for step in one.yields]
    chain = cascade.shapes.chain if cascade.shapes is not None else [cascade.event]
    dates = [day for shape in chain if (day := versions.shape_date(shape)) is not None and day <= chosen.date]
    shape = versions.shape_date(cascade.event)
    return Explanation(
        kind=kind,
        version=chosen.date.isoformat(),
        shape=shape.isoformat() if shape is not None else None,
        shapes=tuple(day.isoformat() for day in dates),
        requires=cascade.event.__requires__,
        subjects=cascade.event.__subjects__,
        doc=_doc(cascade.event),
        input=tuple(_inputs(cascade.event)),
        slots=slots,
        reads=tuple(_read(versions, cascade, one) for one in cascade.fields),
        operations=tuple(sorted({step for step in steps if ":" in step})),
        effects=tuple(sorted({step for step in steps if ":" not in step and step != "concerns"})),
        rejections=tuple(f"{one.name}/{code}" for one in in_force if one.role == "check" for code in one.yields),
        digest=cascade.digest,
    )


def _doc(found: Any) -> str:
    return inspect.cleandoc(found.__doc__ or "")


def _inputs(event: type[Event]) -> Iterator[Input]:
    personal = personal_fields(event)
    for name, info in event.model_fields.items():
        default = None if info.is_required() else repr(info.get_default(call_default_factory=True))
        limits: list[str] = []
        told = _type(info.annotation, limits)
        _limit(info.metadata, limits)
        yield Input(name, told, tuple(dict.fromkeys(limits)), info.is_required(), default, name in personal)


def _type(annotation: Any, limits: list[str]) -> str:
    """Return a type as a person would write it; what narrows it is added to the limits."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        _limit(args[1:], limits)
        return _type(args[0], limits)
    if origin in (Union, UnionType):
        return " | ".join("None" if one is NoneType else _type(one, limits) for one in args)
    if origin is Literal:
        return " | ".join(map(repr, args))
    if args:
        inner = ", ".join("…" if one is Ellipsis else _type(one, limits) for one in args)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return str(getattr(annotation, "__name__", annotation))


_LIMITS = {
    "gt": "> {}",
    "ge": "≥ {}",
    "lt": "< {}",
    "le": "≤ {}",
    "multiple_of": "a multiple of {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "max_digits": "at most {} digits",
    "decimal_places": "at most {} of them decimals",
    "pattern": "like {}",
}


def _limit(marks: Iterable[Any], limits: list[str]) -> None:
    for mark in marks:
        if isinstance(mark, FieldInfo):
            _limit(mark.metadata, limits)
        for name, told in _LIMITS.items():
            found = getattr(mark, name, None)
            if found is not None and not callable(found):
                limits.append(told.format(found))


def _standing(slot: Slot) -> Standing:
    function = slot.holder
    return Standing(
        name=slot.name,
        role=slot.role,
        opened=slot.opened.isoformat(),
        holder=_holder(function) if function is not None else None,
        since=slot.since.isoformat(),
        before=tuple(_holder(held) for held in slot.held if held is not function),
        snapshots=tuple(found.__qualname__ for found in function.snapshots) if function is not None else (),
        yields=tuple(_yields(function)) if function is not None else (),
        amends=tuple(f"{one.function.__name__}/{one.name}" for one in function.amends) if function is not None else (),
    )


def _holder(function: Function) -> Holder:
    code = function.call.__code__
    return Holder(function.dotted, function.day, function.doc, code.co_filename, code.co_firstlineno)


def _yields(function: Function) -> Iterator[str]:
    """Yield what a signature announces, by the names that step keys have; of a check, the codes that its source names."""
    if Reject in function.yields:
        yield from sorted(_known(function))
    for found in sorted(function.yields - {Reject}, key=str):
        if isinstance(found, tuple):
            operation, mapped = found
            assert issubclass(operation, Operation)
            yield f"{operation.__name__}:{table_of(mapped).name}"
        elif issubclass(found, Effect):
            yield found.__kind__
        elif found.__name__ == "Concerns":
            yield "concerns"


def _known(function: Function) -> set[str]:
    """Return the codes that can be told, all of them or not."""
    try:
        calls = [node for node in ast.walk(tree(function.call)) if isinstance(node, ast.Call)]
    except (OSError, SyntaxError):
        return set()
    return _codes(function, calls)[0]


def codes(function: Function) -> frozenset[str] | None:
    """Return the codes of rejections that stand in a check's source as texts; None where not all of them do."""
    try:
        calls = [node for node in ast.walk(tree(function.call)) if isinstance(node, ast.Call)]
    except (OSError, SyntaxError):
        return None
    found, sure = _codes(function, calls)
    return frozenset(found) if sure else None


def _codes(function: Function, calls: list[ast.Call]) -> tuple[set[str], bool]:
    found, sure = set(), True
    for call in calls:
        try:
            if named(call.func, function.call) is not Reject:
                continue
        except LookupError:
            # What a helper rejects with is not known here.
            sure = sure and isinstance(call.func, ast.Attribute)
            continue
        try:
            code = named(call.args[0], function.call) if call.args else None
        except LookupError:
            code = None
        sure = sure and isinstance(code, str)
        found |= {code} if isinstance(code, str) else set()
    return found, sure


def _read(versions: Versions, cascade: Cascade, one: Field) -> Read:
    many = "a value" if one.record is None else "many" if one.many else "one" if one.least else "at most one"
    columns = tuple(sorted(one.record.model_fields)) if one.record is not None else ()
    day = versions.shape_date(one.shape[0]) if one.shape is not None else None
    shape = day.isoformat() if day is not None else None
    return Read(one.snapshot.__qualname__, one.name, many, one.table.name if one.table else None, columns, shape)
