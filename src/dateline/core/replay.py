"""Deciding a recorded event again, of what it saw then; and whether that comes to what the record says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dateline.core.canon import canonical, parsed
from dateline.core.entry import Entry
from dateline.core.erase import erased_under
from dateline.core.flow import snapshots_of
from dateline.core.model import faults
from dateline.core.operation import Operation, Placeholder
from dateline.core.outcome import Values
from dateline.core.personal import ERASED, below, unsealed
from dateline.core.plan import Plan
from dateline.core.snapshot import Field
from dateline.core.step import Step
from dateline.core.version import Versions
from dateline.errors import Erased, Malformed, Refused, Unanswerable

__all__ = ["DECIDED", "difference", "recalled", "replayed"]

DECIDED = ("committed", "rejected")
"""The outcomes that checks and handlers brought about."""


def replayed(entry: Entry, versions: Versions, version: date | None = None) -> Plan:
    """Decide a recorded event again: the same input, the same snapshot, the same instant, ids and actor (rule 26).

    Args:
        version: Under which date; without it, its own.

    Raises:
        Erased: Where a personal value that it would read was erased: any of the event's own, or of what was seen.
        Unanswerable: Where nothing can be said: another version needs what was not recorded, or has no word for the event.
        HandlerFault: Where a check or a handler fails.
    """
    event, chosen = entry.event, version or entry.version
    if chosen is not None and versions.shape(entry.kind, versions.asked(chosen).date) is None:
        # A kind that nobody handles is recorded as it is.
        return Plan()
    if erased_under(entry, "/input"):
        raise _erased(entry, "of its input")
    if event is None or chosen is None:
        raise Unanswerable(f"event {entry.seq}: no version at hand reads {entry.kind} in the shape of {entry.shape}")
    try:
        cascade = versions.for_event(event, versions.asked(chosen).date)
        cascade.shaped(event)
        for one in cascade.fields:
            if erased_under(entry, f"/snapshot/{one.place}"):
                raise _erased(entry, f"in {one.path}")
        seen = tuple(recalled(one, entry.snapshot) for one in cascade.fields)
        return cascade.decide(event, snapshots_of(cascade, seen))
    except (Malformed, Refused) as error:
        raise Unanswerable(f"event {entry.seq}, under {chosen}: {error}") from error


def _erased(entry: Entry, where: str) -> Erased:
    told = f"event {entry.seq} ({entry.kind}): a personal value {where} was erased"
    return Erased(f"{told}, so it cannot be decided again; what came of it stays on record")


def recalled(one: Field, snapshot: Any) -> Values:
    """Return what a field of a snapshot holds: rows or a value, bare or as the record keeps them, beside the query.

    Raises:
        Malformed: Where that was not recorded, or is no such row.
    """
    held = snapshot.get(one.place, ()) if isinstance(snapshot, Mapping) else ()
    if held == () and (not isinstance(snapshot, Mapping) or one.place not in snapshot):
        raise Malformed(f'the decision sees {one.place}; put it into the document\'s "snapshot"')
    rows = held["rows"] if isinstance(held, Mapping) and "rows" in held else held
    if not isinstance(rows, list):
        rows = [] if rows is None else [rows]
    annotation: Any = one.record or (one.snapshot.model_fields[one.name].rebuild_annotation() | None)
    adapter: TypeAdapter[Any] = (
        TypeAdapter(annotation) if one.record else TypeAdapter(annotation, config=ConfigDict(strict=True))
    )
    try:
        return tuple(adapter.validate_json(json.dumps(row)) for row in rows)
    except ValidationError as error:
        raise faults(one.place, error) from None


def difference(entry: Entry, plan: Plan) -> str | None:
    """Return the key of the first step, or rejection, in which a plan is not what was recorded; None where it is.

    Who decided is no difference, nor is what only the database could know, or was erased.
    """
    recorded, made = _recorded(entry), _made(plan)
    for key in [*recorded, *made]:
        if key not in made or key not in recorded or not _equal(recorded[key], made[key]):
            return key
    return None if [*recorded] == [*made] else next(k for k, other in zip(recorded, made, strict=True) if k != other)


_OPEN = object()
"""What only the database could know."""


class _Step(NamedTuple):
    """One step as it is compared.

    Args:
        facts: What sort of step it is, and of what.
        values: What it holds, by name.
        open: Whether what is recorded may hold more: what the database assigned.
        more: Values under further names, of columns that the table had once.
        erased: Where among the values one was erased, as JSON pointers: it may have been anything.
    """

    facts: tuple[Any, ...]
    values: Mapping[str, Any]
    open: bool = False
    more: Mapping[str, Any] = MappingProxyType({})
    erased: Mapping[str, Any] = MappingProxyType({})


def _recorded(entry: Entry) -> dict[str, _Step]:
    return {
        **{one.key: _Step((one.code, one.detail, one.field), {}) for one in entry.rejections},
        **{
            one.step: _Step(
                (one.verb, one.table, one.row_key),
                one.declared,
                # A declared personal value is kept once, with the row that holds it.
                erased=_gone(entry, f"/operations/{one.ordinal}/after"),
            )
            for one in entry.operations
        },
        **{
            one.step: _Step((one.kind,), one.payload, erased=_gone(entry, f"/effects/{one.ordinal}"))
            for one in entry.effects
        },
    }


def _gone(entry: Entry, root: str) -> Mapping[str, Any]:
    """Return what stands in the places below a part of the record whose values were erased."""
    return {path[len(root) :]: ERASED for path in entry.erased if path.startswith(f"{root}/")}


def _made(plan: Plan) -> dict[str, _Step]:
    outline = plan.outline
    made = {one.key: _Step((one.code, one.detail, one.field), {}) for one in plan.rejections}
    for change in outline.changes:
        columns = change.mapped.__mapper__.columns
        made[change.last.key] = _Step(
            (change.verb, change.table, _OPEN if change.row_key is None else change.row_key),
            {columns[name].name: _told(value) for name, value in change.values.items()},
            open=change.verb == "insert" and (outline.waits or change.row_key is None),
            more={name: _told(value) for one in change.steps for name, value in _named(one.step).items()},
        )
    for _, planned, effect in outline.effects:
        payload = {name: _told(value) for name, value in effect.__dict__.items()}
        made[planned.key] = _Step((effect.__kind__,), payload)
    return made


def _named(step: Step) -> Mapping[str, Any]:
    return step.named if isinstance(step, Operation) else {}


def _told(value: Any) -> Any:
    return _OPEN if type(value) is Placeholder else parsed(canonical(value))


def _equal(recorded: _Step, made: _Step) -> bool:
    if len(recorded.facts) != len(made.facts) or any(
        other is not _OPEN and other != fact for fact, other in zip(recorded.facts, made.facts, strict=True)
    ):
        return False
    # Recorded before the table changed, a step names the columns of its day; recorded since, those that they became.
    then = recorded.values.keys() & made.more.keys()
    values = {**made.values, **made.more} if then else made.values
    if not then and made.values.keys() - recorded.values.keys():
        return False
    return all(
        name in values and (values[name] is _OPEN or unsealed(values[name], below("", name), recorded.erased) == value)
        if name in values or not made.open
        else True
        for name, value in recorded.values.items()
    )
