"""The layers up to a version, oldest first: who holds which slot, what must be read, and how it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

from pydantic import ValidationError

from dateline.core.amendment import Amended, Amendment, Replace, Target, matches, told, undeclared
from dateline.core.canon import canonical, digest
from dateline.core.event import Event
from dateline.core.layer import Function
from dateline.core.model import place
from dateline.core.operation import Insert, Placeholder
from dateline.core.plan import Plan, Planned, held_by, rejection_of, repeated
from dateline.core.purity import purely
from dateline.core.shape import Shapes
from dateline.core.snapshot import Field, Snapshot, fields_of
from dateline.core.step import Step
from dateline.errors import (
    ClashingSteps,
    HandlerFailed,
    HandlerFault,
    NameTaken,
    NoSuchStep,
    NotEarlier,
    NotInForce,
    SameLayer,
    Unassigned,
    UndeclaredStep,
    Unrepresentable,
    WrongRole,
)

__all__ = ["Cascade", "Slot"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A named place in a cascade, held by one function at a time; name, position and step keys outlive its holders.

    Args:
        opened: The slot's date.
        holder: Who holds it; None once it is retired.
        since: The date of its last change.
        held: All who held it, oldest first.
    """

    name: str
    role: str
    opened: date
    holder: Function | None
    since: date
    held: tuple[Function, ...]


@dataclass(frozen=True, eq=False)
class Cascade:
    """What decides one kind at one version.

    Args:
        version: The date that it was resolved for.
        event: The kind's shape in force.
        shapes: All shapes of the kind; None where it is recorded as it is.
        asking: For each snapshot that stands in a version, the shape in force at its date (rule 19).
        slots: All slots in their order, retired ones too: their names stay taken.
    """

    kind: str
    version: date | None
    event: type[Event]
    slots: tuple[Slot, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    shapes: Shapes | None = None
    asking: Mapping[type[Snapshot], type[Event]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = tuple(s for s in self.slots if s.role == "check" and s.holder)
        handlers = tuple(s for s in self.slots if s.role == "handler" and s.holder)
        snapshots = dict.fromkeys(snapshot for s in (*checks, *handlers) if s.holder for snapshot in s.holder.snapshots)
        object.__setattr__(self, "checks", checks)
        object.__setattr__(self, "handlers", handlers)
        object.__setattr__(self, "snapshots", tuple(snapshots))
        object.__setattr__(self, "seen", tuple((snapshot, self._fields(snapshot)) for snapshot in snapshots))
        object.__setattr__(self, "fields", tuple(f for _, fields in self.seen for f in fields))
        holders = [
            (s.name, s.role, s.holder.dotted, s.holder.day, self.sources.get(s.holder.dotted))
            for s in self.slots
            if s.holder
        ]
        object.__setattr__(self, "digest", digest(canonical(holders)))

    checks: tuple[Slot, ...] = field(init=False)
    handlers: tuple[Slot, ...] = field(init=False)
    snapshots: tuple[type[Snapshot], ...] = field(init=False)
    seen: tuple[tuple[type[Snapshot], tuple[Field, ...]], ...] = field(init=False)
    fields: tuple[Field, ...] = field(init=False)
    digest: str = field(init=False)
    """SHA-256 over who holds which slot and, where known, their code."""

    def _fields(self, snapshot: type[Snapshot]) -> tuple[Field, ...]:
        """Return a snapshot's fields, each with the shape that its query is written for where the kind has several."""
        fields = fields_of(snapshot)
        if self.shapes is None or len(self.shapes.chain) < 2:
            return fields
        held = sorted((f for s in self.slots for f in s.held if snapshot in f.snapshots), key=lambda f: f.date)
        shape = self.asking.get(snapshot) or held[0].event
        through = partial(self.shapes.convert, target=shape)
        return tuple(replace(one, shape=(shape, through)) for one in fields)

    def shaped(self, event: Event) -> None:
        """Convert an event to every shape that somebody needs, so that it is refused before anything is read.

        Raises:
            Unrepresentable, HandlerFailed: As `Shapes.convert` does.
        """
        if self.shapes is not None and len(self.shapes.chain) > 1:
            for shape in {shape for shape, _ in self.needed}:
                self.shapes.convert(event, shape)

    @property
    def needed(self) -> Iterator[tuple[type[Event], str]]:
        """Yield the shapes that the slots in force are written for, each with who needs it."""
        for slot in (*self.checks, *self.handlers):
            assert slot.holder is not None
            yield slot.holder.event, f"{slot.holder.where} of {slot.holder.day}"
        for snapshot, fields in self.seen:
            for one in fields[:1]:
                if one.shape is not None:
                    yield one.shape[0], f"the snapshot {snapshot.__module__}.{snapshot.__qualname__}"

    def joined_by(self, function: Function) -> Cascade:
        """Return the cascade with a function of a later date, or of the same, in it.

        Raises:
            NameTaken, NotInForce, WrongKind, WrongRole, SameLayer: As rules 1 to 3 say.
        """
        old = function.role.supersedes
        if old is None:
            self._free(function)
            slot = Slot(function.name, function.role.name, function.date, function, function.date, (function,))
            return replace(self, slots=(*self.slots, slot))
        slot = self._held(old, function.where, function.date, function.role.name, function.kind)
        self._free(function, but=slot)
        changed = replace(slot, holder=function, since=function.date, held=(*slot.held, function))
        return replace(self, slots=tuple(changed if s is slot else s for s in self.slots))

    def without(self, old: Any, where: str, day: date) -> Cascade:
        """Return the cascade with the slot that a function holds retired."""
        slot = self._held(old, where, day, None, self.kind)
        changed = replace(slot, holder=None, since=day)
        return replace(self, slots=tuple(changed if s is slot else s for s in self.slots))

    def _free(self, function: Function, but: Slot | None = None) -> None:
        for slot in self.slots:
            if slot.role == function.role.name and slot is not but and slot.name == function.name:
                raise NameTaken(
                    f"{function.where}: the {slot.role} slot {slot.name!r} of {self.kind} is of {slot.opened}, and its name is never "
                    f"used again; choose another name, or write @{slot.role}(supersedes=…)"
                )
            if slot is not but and any(held.call is function.call for held in slot.held):
                raise NameTaken(
                    f"{function.where}: stands in the slot {slot.name!r} already; a function holds one slot"
                )

    def _held(self, old: Any, where: str, day: date, role: str | None, kind: str) -> Slot:
        for slot in self.slots:
            if not any(held.call is old for held in slot.held):
                continue
            if role is not None and slot.role != role:
                raise WrongRole(f"{where}: {place(old)} is a {slot.role}; only a {slot.role} can take its place")
            if slot.holder is None:
                raise NotInForce(
                    f"{where}: the slot {slot.name!r} was retired on {slot.since}; open a new one under another name"
                )
            if slot.holder.call is not old:
                raise NotInForce(
                    f"{where}: {place(old)} no longer holds {slot.name!r}; since {slot.since} it is {slot.holder.where}: name that"
                )
            if slot.since >= day:
                raise SameLayer(
                    f"{where}: {place(old)} is of {slot.since} too; a slot changes once a date: edit it, or use a later date"
                )
            return slot
        raise NotInForce(f"{where}: {place(old)} holds no slot of {kind} before {day}; name the function that does")

    def settled(self) -> None:
        """Refuse amendments that the slots in force do not allow, once all of a date is in the cascade.

        Raises:
            NoSuchStep, NotEarlier, WrongRole, SameLayer: As rules 8 to 10 say.
        """
        taken: dict[Any, Function] = {}
        for slot in self.slots:
            function = slot.holder
            for target in function.amends if function is not None else ():
                assert function is not None
                aim = self._aim(slot, function, target)
                other = taken.setdefault((slot.opened, aim.name, target.name), function)
                if other is not function and not target.parted:
                    raise SameLayer(
                        f"{function.where}: amends {aim.name}/{target.name}, and so does {other.where}, whose slot is of {slot.opened} "
                        "too; let one of them do it"
                    )

    def _aim(self, slot: Slot, function: Function, target: Target) -> Slot:
        """Return the slot whose step a function amends."""
        where, named = function.where, place(target.function)
        aim = next((one for one in self.slots if any(held.call is target.function for held in one.held)), None)
        if aim is None:
            raise NoSuchStep(f"{where}: amends {target.name} of {named}, which holds no slot of {self.kind}")
        if aim.role != slot.role:
            raise WrongRole(f"{where}: is a {slot.role} and amends a {aim.role}; let a {aim.role} do it")
        if aim.opened >= slot.opened:
            raise NotEarlier(
                f"{where}: amends {aim.name}, which is of {aim.opened} and not earlier than {slot.name}, of {slot.opened}; "
                "amend it from a slot of a later date"
            )
        if aim.holder is None:
            raise NoSuchStep(
                f"{where}: amends {aim.name}/{target.name}, and that slot was retired on {aim.since}; supersede or retire "
                f"{slot.name} too"
            )
        if not aim.holder.can_yield(target.what):
            raise NoSuchStep(
                f"{where}: amends {aim.name}/{target.name}, which {aim.holder.where} of {aim.holder.day} does not announce; "
                f"name what it yields, or supersede {slot.name} too"
            )
        return aim

    def decide(self, event: Event, snapshots: Mapping[type[Snapshot], Snapshot]) -> Plan:
        """Run the checks, then, where none refuses, the handlers.

        Returns:
            The plan; with rejections and nothing else where checks refused.

        Raises:
            HandlerFault: Naming the handler, its date, and what it did.
        """
        refused, amended = self._run(self.checks, event, snapshots)
        if refused:
            return Plan(rejections=tuple(rejection_of(planned) for planned in refused), amended=amended)
        planned, more = self._run(self.handlers, event, snapshots)
        plan = Plan(tuple(planned), amended=amended + more)
        if plan.outline.waits:
            _assignable(planned)
        return plan

    def part(self, slots: tuple[Slot, ...], event: Event, snapshots: Mapping[type[Snapshot], Snapshot]) -> Plan:
        """Run some handlers by themselves, of which none looks at the plan or amends.

        Raises:
            HandlerFault: As `decide` does.
        """
        return Plan(tuple(self._run(slots, event, snapshots)[0]))

    def _run(
        self, slots: tuple[Slot, ...], event: Event, snapshots: Mapping[type[Snapshot], Snapshot]
    ) -> tuple[list[Planned], tuple[Amended, ...]]:
        """Return what the slots' holders decide, one after the other, and what was amended of it."""
        planned: list[Planned] = []
        amended: list[Amended] = []
        waiting: list[tuple[Slot, Function, Amendment]] = []
        keys: set[str] = set()
        for slot in slots:
            function = slot.holder
            assert function is not None
            if waiting and waiting[0][0].opened != slot.opened:
                # A layer's amendments come after all of its yields, and before the next layer's (rule 6).
                self._amend(planned, amended, waiting)
                waiting = []
            arguments: list[Any] = []
            for taken in function.parameters:
                if taken in snapshots:
                    arguments.append(snapshots[taken])
                elif taken is Plan:
                    arguments.append(Plan(tuple(planned), amended=tuple(amended)))
                else:
                    arguments.append(event if self.shapes is None else self.shapes.convert(event, taken))
            for step in self._steps(function, arguments):
                kind = type(step)
                if kind not in function.yields and not function.declares(step):
                    found = step.step_type() if isinstance(step, Step) else kind.__name__
                    raise UndeclaredStep(
                        f"{function.where} ({function.day}) yields {found}, which its signature does not announce; add it to Yields[…]"
                    )
                key = step.step_key(slot.name)
                new = Planned(key, step, slot.name, function.dotted, function.day, function.takes_plan)
                if key in keys:
                    repeated(new)
                keys.add(key)
                if function.amends and isinstance(step, Amendment):
                    undeclared(step, function.amends, f"{function.where} ({function.day})")
                    waiting.append((slot, function, step))
                else:
                    planned.append(new)
        self._amend(planned, amended, waiting)
        return planned, tuple(amended)

    def _amend(
        self,
        planned: list[Planned],
        amended: list[Amended],
        amendments: list[tuple[Slot, Function, Amendment]],
    ) -> None:
        """Drop and replace steps in their places, in the order in which it was said; all is of slots of one date."""
        done: dict[str, str] = {}
        for slot, function, one in amendments:
            aim = next(s for s in self.slots if any(held.call is one.function for held in s.held))
            places = [
                place
                for place, found in enumerate(planned)
                if found.slot == aim.name
                and matches(one.what, found.step)
                and one.part in (None, found.step.step_part())
            ]
            where = f"{function.where} ({function.day})"
            if len(places) > 1:
                raise ClashingSteps(
                    f"{where}: {one!r} means {len(places)} steps, {', '.join(planned[at].key for at in places)}; say part=…"
                )
            key = (
                planned[places[0]].key
                if places
                else f"{aim.name}/{told(one.what)}" + (f"[{one.part}]" if one.part is not None else "")
            )
            amended.append(Amended(key, one.verb, not places, one.because, slot.name, function.dotted, function.day))
            if not places:
                continue
            other = done.setdefault(key, slot.name)
            if other != slot.name:
                raise ClashingSteps(f"{where}: {one!r} is of {key}, which {other} of that date amends too")
            self._change(planned, places[0], function, one)

    @staticmethod
    def _change(planned: list[Planned], at: int, function: Function, one: Amendment) -> None:
        if not isinstance(one, Replace):
            del planned[at]
            return
        slot = planned[at].slot
        new = Planned(one.step.step_key(slot), one.step, slot, function.dotted, function.day, function.takes_plan)
        if any(found.key == new.key for place, found in enumerate(planned) if place != at):
            repeated(new)
        planned[at] = new

    @staticmethod
    def _steps(function: Function, arguments: list[Any]) -> list[Any]:
        try:
            return purely(function, _yielded, function, arguments)
        except HandlerFault as error:
            if function.where in str(error):
                raise
            raise type(error)(f"{function.where} ({function.day}): {error}") from error
        except Unrepresentable:
            # What a released layer would write has no place in the table of today: that is told to whoever sent it.
            raise
        except RecursionError:
            raise HandlerFailed(f"{function.where} ({function.day}) recurses without end") from None
        except ValidationError as error:
            # Where it is, and not what: a validator's own sentence may hold what a person has sent.
            wrong = ", ".join(dict.fromkeys(str(one["loc"][0]) for one in error.errors() if one["loc"]))
            raise HandlerFailed(
                f"{function.where} ({function.day}) made no valid {error.title}: see {wrong or 'its validators'}"
            ) from error
        except Exception as error:
            # Its text stays in the chained cause: it may hold what a person has sent.
            raise HandlerFailed(f"{function.where} ({function.day}) raised {type(error).__name__}") from error


def _yielded(function: Function, arguments: list[Any]) -> list[Any]:
    found = function.call(*arguments)
    if isinstance(found, Step):
        raise UndeclaredStep(f"{function.where} ({function.day}) returns a step; yield it")
    if found is None:
        raise UndeclaredStep(
            f"{function.where} ({function.day}) returns None; yield steps, or end with `yield from ()`"
        )
    return [*found]


def _assignable(planned: list[Planned]) -> None:
    """Refuse a plan that waits for the value of a row which it does not insert."""
    made = {id(one.step.row) for one in planned if isinstance(one.step, Insert)}
    for one in planned:
        for value in held_by(one.step):
            if isinstance(value, Placeholder) and id(value.row) not in made:
                raise Unassigned(
                    f"{one.handler} ({one.date}) waits for {value!r}, whose Insert nobody yields; yield it too"
                )
