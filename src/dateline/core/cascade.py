"""The layers up to a version, oldest first: who holds which slot, what must be read, and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pydantic import ValidationError

from dateline.core.canon import canonical, digest
from dateline.core.event import Event
from dateline.core.layer import Function
from dateline.core.model import place
from dateline.core.operation import Insert, Placeholder
from dateline.core.plan import Plan, Planned, held_by, rejection_of, repeated
from dateline.core.snapshot import Field, Snapshot, fields_of
from dateline.core.step import Step
from dateline.errors import (
    HandlerFailed,
    HandlerFault,
    NameTaken,
    NotInForce,
    SameLayer,
    Unassigned,
    UndeclaredStep,
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
        slots: All slots in their order, retired ones too: their names stay taken.
    """

    kind: str
    version: date | None
    event: type[Event]
    slots: tuple[Slot, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = tuple(s for s in self.slots if s.role == "check" and s.holder)
        handlers = tuple(s for s in self.slots if s.role == "handler" and s.holder)
        snapshots = dict.fromkeys(snapshot for s in (*checks, *handlers) if s.holder for snapshot in s.holder.snapshots)
        object.__setattr__(self, "checks", checks)
        object.__setattr__(self, "handlers", handlers)
        object.__setattr__(self, "snapshots", tuple(snapshots))
        object.__setattr__(self, "seen", tuple((snapshot, fields_of(snapshot)) for snapshot in snapshots))
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

    def decide(self, event: Event, snapshots: Mapping[type[Snapshot], Snapshot]) -> Plan:
        """Run the checks, then, where none refuses, the handlers.

        Returns:
            The plan; with rejections and nothing else where checks refused.

        Raises:
            HandlerFault: Naming the handler, its date, and what it did.
        """
        refused = self._run(self.checks, event, snapshots)
        if refused:
            return Plan(rejections=tuple(rejection_of(planned) for planned in refused))
        planned = self._run(self.handlers, event, snapshots)
        plan = Plan(tuple(planned))
        if plan.outline.waits:
            _assignable(planned)
        return plan

    def _run(
        self, slots: tuple[Slot, ...], event: Event, snapshots: Mapping[type[Snapshot], Snapshot]
    ) -> list[Planned]:
        """Return what the slots' holders decide, one after the other."""
        planned: list[Planned] = []
        keys: set[str] = set()
        for slot in slots:
            function = slot.holder
            assert function is not None
            arguments: list[Any] = []
            for taken in function.parameters:
                if taken in snapshots:
                    arguments.append(snapshots[taken])
                else:
                    arguments.append(Plan(tuple(planned)) if taken is Plan else event)
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
                planned.append(new)
        return planned

    @staticmethod
    def _steps(function: Function, arguments: list[Any]) -> list[Any]:
        try:
            found = function.call(*arguments)
            if isinstance(found, Step):
                raise UndeclaredStep(f"{function.where} ({function.day}) returns a step; yield it")
            if found is None:
                raise UndeclaredStep(
                    f"{function.where} ({function.day}) returns None; yield steps, or end with `yield from ()`"
                )
            return [*found]
        except HandlerFault as error:
            if function.where in str(error):
                raise
            raise type(error)(f"{function.where} ({function.day}): {error}") from error
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


def _assignable(planned: list[Planned]) -> None:
    """Refuse a plan that waits for the value of a row which it does not insert."""
    made = {id(one.step.row) for one in planned if isinstance(one.step, Insert)}
    for one in planned:
        for value in held_by(one.step):
            if isinstance(value, Placeholder) and id(value.row) not in made:
                raise Unassigned(
                    f"{one.handler} ({one.date}) waits for {value!r}, whose Insert nobody yields; yield it too"
                )
