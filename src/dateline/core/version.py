"""Calendar dates and what is in force on each: the versions of an application's rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from types import ModuleType
from typing import Any, TypeAlias

from dateline.core.cascade import Cascade, Slot
from dateline.core.effect import Effect
from dateline.core.event import Event
from dateline.core.layer import Function, Retirement, function_of, role_of
from dateline.core.model import personal_fields, place
from dateline.core.shape import Conversion, Shapes, conversion_of
from dateline.core.snapshot import Record, Snapshot
from dateline.core.table import table_of
from dateline.errors import (
    BadSignature,
    BadVersion,
    Malformed,
    NotAdditive,
    NotInForce,
    ShapeNewerThanVersion,
    Unconvertible,
    UnknownKind,
    UnknownVersion,
    WrongKind,
)

__all__ = ["Layer", "Version", "Versions"]

Day: TypeAlias = date


@dataclass(frozen=True, slots=True)
class Version:
    """One date, and the instant from which it is in force.

    Args:
        title: The first line of its folder's docstring; `why` is the rest.
        deprecated: From when on callers had better move on.
        sunset: From when on it may be gone.
        retired: From when on nothing is dispatched under it any more.
        folds: The older dates that were folded into it: what was decided under them is decided again under it.
    """

    date: date
    instant: datetime
    title: str = ""
    why: str = ""
    deprecated: datetime | None = None
    sunset: datetime | None = None
    retired: datetime | None = None
    folds: tuple[Day, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """What one module of one date holds, in the order of its definitions."""

    day: date
    module: str
    members: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, day: date, module: ModuleType) -> Layer:
        """Return a module's own members; what it imports belongs to others."""
        own = tuple(
            (name, found)
            for name, found in vars(module).items()
            if isinstance(found, Retirement) or getattr(found, "__module__", None) == module.__name__
        )
        return cls(day, module.__name__, own)


@dataclass(frozen=True, eq=False)
class Versions:
    """All versions of an application: which exist, since when, and what decides each kind under each.

    Raises:
        Unloadable: When a layer breaks a rule; the message names file, function and mend.
    """

    versions: tuple[Version, ...]
    layers: tuple[Layer, ...]
    sources: Mapping[str, str] = field(default_factory=dict)

    _cascades: dict[str, list[tuple[date, Cascade]]] = field(default_factory=dict, init=False)
    _dates: dict[type[Event], date] = field(default_factory=dict, init=False)
    _functions: dict[Any, Function] = field(default_factory=dict, init=False)
    _serving: dict[tuple[type[Event], date], Cascade] = field(default_factory=dict, init=False)
    _shapes: dict[str, Shapes] = field(default_factory=dict, init=False)
    _asking: dict[type[Snapshot], date] = field(default_factory=dict, init=False)
    _personal: dict[Any, Mapping[str, str]] = field(default_factory=dict, init=False)
    effects: dict[str, type[Effect]] = field(default_factory=dict, init=False)
    records: list[type[Record[Any]]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not self.versions:
            raise BadVersion("no versions: make a package with a folder such as v2024_01_01 in it")
        for day in sorted({layer.day for layer in self.layers}):
            # Order is slot date, then module name, then definition; never import order (rule 4).
            for layer in sorted((found for found in self.layers if found.day == day), key=lambda found: found.module):
                self._add(layer)
            for kind, history in self._cascades.items():
                self._shapes[kind].settled(day)
                history[-1][1].settled()
                self._convertible(history[-1][1])

    @classmethod
    def of(cls, layers: Mapping[str | date, Iterable[Any]], *, zone: tzinfo = UTC) -> Versions:
        """Return versions made of functions, events and retirements by date, for tests and small programs."""
        days = {
            day if isinstance(day, date) else date.fromisoformat(day): tuple(members) for day, members in layers.items()
        }
        versions = tuple(
            Version(day, datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)) for day in sorted(days)
        )
        made = [
            Layer(
                day,
                "",
                tuple((getattr(member, "__name__", str(index)), member) for index, member in enumerate(members)),
            )
            for day, members in days.items()
        ]
        return cls(versions, tuple(made))

    def _add(self, layer: Layer) -> None:
        for _, found in layer.members:
            if isinstance(found, type) and issubclass(found, Event) and found.__kind__:
                self._shape(layer.day, found)
            elif isinstance(found, type) and issubclass(found, Record) and found.__table__ is not None:
                self.records.append(found)
            elif isinstance(found, type) and issubclass(found, Snapshot):
                self._asking.setdefault(found, layer.day)
        for _, found in layer.members:
            conversion = conversion_of(found, layer.day)
            if conversion is not None:
                self._chain(conversion.source.__kind__).link(conversion)
        for _, found in layer.members:
            for inner in vars(found).values() if isinstance(found, type) else ():
                if role_of(inner) is not None:
                    raise BadSignature(
                        f"{place(inner)}: is a method of {found.__qualname__}; a check or a handler is a function of the module"
                    )
            role = role_of(found)
            if isinstance(found, Retirement):
                self._retire(layer, found)
            elif role is not None:
                self._join(layer, function_of(found, role, layer.day))

    def _shape(self, day: date, event: type[Event]) -> None:
        self._dates.setdefault(event, day)
        known = self._at(event.__kind__, day)
        if known is not None and issubclass(known.event, event):
            return
        if known is not None and issubclass(event, known.event):
            _additive(event, known.event)
        self._chain(event.__kind__).add(event)
        self._put(event.__kind__, day, event, known.slots if known is not None else ())

    def _chain(self, kind: str) -> Shapes:
        if kind not in self._shapes:
            self._shapes[kind] = Shapes(kind)
        return self._shapes[kind]

    @staticmethod
    def _convertible(cascade: Cascade) -> None:
        """Refuse a version in which somebody needs a shape that the one in force cannot always be had as (rule 17).

        Raises:
            Unconvertible: Naming who needs it and which downgrade may raise.
        """
        shapes = cascade.shapes
        if shapes is None or len(shapes.chain) < 2:
            return
        for shape, who in cascade.needed:
            found = shapes.raising(cascade.event, shape) if shape in shapes.chain else None
            if found is not None:
                raise Unconvertible(
                    f"{found.where}: may raise Unrepresentable, and {who} is written for {shape.__module__}.{shape.__qualname__}; "
                    "supersede that, or have the downgrade represent everything"
                )

    def _join(self, layer: Layer, function: Function) -> None:
        for kind in function.yields:
            if isinstance(kind, type) and issubclass(kind, Effect):
                self.effects.setdefault(kind.__kind__, kind)
        self._dates.setdefault(function.event, layer.day)
        old = function.role.supersedes
        if old is not None and old in self._functions and self._functions[old].kind != function.kind:
            raise WrongKind(
                f"{function.where}: serves {function.kind}, but {place(old)} serves {self._functions[old].kind}"
            )
        self._functions[function.call] = function
        known = self._at(function.kind, layer.day)
        if known is None:
            self._chain(function.kind).add(function.event)
            known = Cascade(function.kind, layer.day, function.event, sources=self.sources)
        self._put(function.kind, layer.day, known.event, known.joined_by(function).slots)

    def _retire(self, layer: Layer, retirement: Retirement) -> None:
        where = f"{layer.module}: retired({place(retirement.function)})"
        function = self._functions.get(retirement.function)
        if function is None:
            raise NotInForce(f"{where}: it holds no slot before {layer.day}")
        known = self._at(function.kind, layer.day)
        assert known is not None
        changed = known.without(retirement.function, where, layer.day)
        self._put(function.kind, layer.day, known.event, changed.slots)

    def _at(self, kind: str, day: date) -> Cascade | None:
        found = None
        for since, cascade in self._cascades.get(kind, ()):
            if since <= day:
                found = cascade
        return found

    def _put(self, kind: str, day: date, event: type[Event], slots: tuple[Slot, ...]) -> None:
        history = self._cascades.setdefault(kind, [])
        asking: dict[type[Snapshot], type[Event]] = {}
        if len(self._chain(kind).chain) > 1:
            for snapshot in {found for slot in slots for held in slot.held for found in held.snapshots}:
                then = self._at(kind, self._asking[snapshot]) if snapshot in self._asking else None
                if then is not None:
                    asking[snapshot] = then.event
        made = Cascade(kind, day, event, slots, self.sources, self._chain(kind), asking)
        if history and history[-1][0] == day:
            history[-1] = (day, made)
        else:
            history.append((day, made))

    def cascades(self) -> Iterator[Cascade]:
        """Yield each cascade that some date brought about."""
        return (cascade for history in self._cascades.values() for _, cascade in history)

    @property
    def functions(self) -> tuple[Function, ...]:
        """All checks and handlers of all dates, in force or not."""
        return tuple(self._functions.values())

    @property
    def conversions(self) -> tuple[Conversion, ...]:
        """All functions between two shapes."""
        return tuple(
            one
            for shapes in self._shapes.values()
            for one in (*shapes.ups.values(), *shapes.downs.values())
            if one is not None
        )

    @property
    def shapes(self) -> tuple[Shapes, ...]:
        """The shapes of each kind."""
        return tuple(self._shapes.values())

    def personal(self, mapped: Any) -> Mapping[str, str]:
        """Return a table's personal columns, with their names in the mapped class: by its own marks, and by those of all records."""
        found = self._personal.get(mapped)
        if found is None:
            columns = mapped.__mapper__.columns
            names = {name for name, column in table_of(mapped).columns.items() if column.personal}
            # Those that snapshots use too, wherever they stand: a mark that is not seen would leave a value in the clear for ever.
            used = (one.record for cascade in self.cascades() for one in cascade.fields if one.record is not None)
            for record in {*self.records, *used}:
                if record.__table__ is mapped:
                    names |= {name for name in personal_fields(record) if name in columns}
            found = self._personal[mapped] = {columns[name].name: name for name in sorted(names)}
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of events that some version knows."""
        return tuple(sorted(self._cascades))

    @property
    def newest(self) -> Version:
        """The version of the latest date, in force or not."""
        return self.versions[-1]

    def cascade(self, kind: str, version: date) -> Cascade:
        """Return what decides a kind under a version.

        Raises:
            UnknownKind: When no version up to that date knows the kind.
        """
        found = self._at(kind, version) if isinstance(kind, str) else None
        if found is None:
            if not isinstance(kind, str):
                raise UnknownKind(f"a kind is a text, not {type(kind).__name__}")
            if kind not in self._cascades:
                raise UnknownKind(
                    f"no version knows events of kind {kind[:100]!r}; there are {', '.join(self.kinds) or 'none'}"
                )
            first = self._cascades[kind][0][0]
            raise UnknownKind(f"{kind} begins with version {first}; {version} does not know it yet")
        return found

    def for_event(self, event: Event, version: date) -> Cascade:
        """Return what decides this very event under a version.

        Raises:
            ShapeNewerThanVersion: When the event's class is of a later date (rule 18).
        """
        found = self._serving.get((type(event), version))
        if found is not None:
            return found
        found = self._at(event.__kind__, version)
        born = self._dates.get(type(event))
        if born is not None and born > version:
            name, kind = type(event).__qualname__, event.__kind__
            mend = (
                f"is the shape of {born}, which version {version} does not know; "
                f"make the event by runner.event({kind!r}, …, version='{version}')"
                if found is not None
                else f"is of a kind that begins with version {born}, and {version} does not know {kind!r} yet; "
                f"decide it under version='{born}' or a later one"
            )
            raise ShapeNewerThanVersion(
                f"{name} {mend}",
                kind=kind,
                shape=born.isoformat(),
                version=version.isoformat(),
            )
        if found is not None:
            self._servable(event, found)
            # No more of these than there are shapes, times versions.
            self._serving[type(event), version] = found
        # A kind without handlers is recorded as it is: teams begin by producing events.
        return found or Cascade(event.__kind__, version, type(event))

    @staticmethod
    def _servable(event: Event, cascade: Cascade) -> None:
        """Refuse an event of a class that no version knows, where a check or handler in force is written for another."""
        kind = type(event)
        for wanted, who in cascade.needed:
            if cascade.shapes is not None and not cascade.shapes.reaches(kind, wanted):
                raise Malformed(
                    f"{kind.__qualname__} is no shape of {cascade.kind} that a version knows, and {who} is written for "
                    f"{wanted.__qualname__}; make a {wanted.__qualname__}"
                )

    def shape_date(self, event: type[Event]) -> date | None:
        """Return the date of an event's class; None for a class that stands in no version."""
        return self._dates.get(event)

    def shape(self, kind: str, day: date | None) -> type[Event] | None:
        """Return the class of a kind's shape of a date; None where no version has it."""
        if day is None:
            return None
        found = self._at(kind, day)
        return found.event if found is not None else None

    def choose(self, asked: date | str | None, now: datetime, *, occurred: datetime | None = None) -> Version:
        """Return the version that decides: the one asked for, else the newest that is in force.

        Args:
            asked: A date, its ISO text, "as-of-occurred", or None.
            now: The runner's clock when it decides; never when the event happened, or back-dating would choose laxer rules.
            occurred: For "as-of-occurred", the instant whose version is meant.

        Returns:
            The newest version whose date is not after the one asked for.

        Raises:
            UnknownVersion: Before the first version, or when the text is no date.
        """
        if asked == "as-of-occurred":
            return self._in_force(occurred or now, "that instant")
        return self._in_force(now, "now") if asked is None else self.asked(asked)

    def asked(self, asked: date | str) -> Version:
        """Return the newest version whose date is not after the one asked for, in force or not.

        Raises:
            UnknownVersion: Before the first version, or when the text is no date.
        """
        day = _date(asked)
        known = [version for version in self.versions if min((version.date, *version.folds)) <= day]
        if not known:
            raise UnknownVersion(
                f"{day} is before the first version, {self.versions[0].date}; send that or a later one",
                asked=str(asked),
            )
        return known[-1]

    def _in_force(self, at: datetime, when: str) -> Version:
        if self.versions[-1].instant <= at:
            return self.versions[-1]
        known = [version for version in self.versions if version.instant <= at]
        if not known:
            first = self.versions[0]
            raise UnknownVersion(
                f"no version is in force at {when} ({at.isoformat()}); the first, {first.date}, begins {first.instant.isoformat()}"
            )
        return known[-1]


def _date(asked: date | str) -> date:
    if isinstance(asked, datetime):
        raise UnknownVersion(
            "a version is a calendar date, not an instant; send one such as 2018-08-01", asked=asked.isoformat()
        )
    if isinstance(asked, date):
        return asked
    if not isinstance(asked, str):
        raise UnknownVersion(f"a value of type {type(asked).__name__} is no version; send a date such as 2018-08-01")
    try:
        return date.fromisoformat(asked)
    except ValueError:
        # The refusal is recorded, and a record holds text.
        told = asked[:40].encode("utf-8", "backslashreplace").decode()
        raise UnknownVersion(f"{told!r} is no version; send a date such as 2018-08-01", asked=told) from None


def _additive(new: type[Event], old: type[Event]) -> None:
    """Refuse a subclass that does more than add fields with constant defaults (rule 15)."""
    where = f"{new.__module__}.{new.__qualname__}"
    for name, info in new.model_fields.items():
        before = old.model_fields.get(name)
        if before is None and (info.is_required() or info.default_factory is not None):
            raise NotAdditive(
                f"{where}.{name} is new and has no constant default; give it one, so that older events can be read"
            )
        if before is not None and (
            before.annotation != info.annotation or before.metadata != info.metadata or before.default != info.default
        ):
            raise NotAdditive(
                f"{where}.{name} changes the field of {old.__qualname__}; a narrower field would refuse what is recorded"
            )
