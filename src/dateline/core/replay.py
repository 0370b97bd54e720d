"""Deciding a recorded event again, of what it saw then; and whether that comes to what the record says."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dateline.core.canon import canonical, parsed
from dateline.core.entry import Entry
from dateline.core.flow import snapshots_of
from dateline.core.model import faults
from dateline.core.operation import Placeholder
from dateline.core.outcome import Values
from dateline.core.plan import Plan
from dateline.core.snapshot import Field
from dateline.core.version import Versions
from dateline.errors import Malformed, Refused, Unanswerable

__all__ = ["DECIDED", "difference", "recalled", "replayed"]

DECIDED = ("committed", "rejected")
"""The outcomes that checks and handlers brought about."""


def replayed(entry: Entry, versions: Versions, version: date | None = None) -> Plan:
    """Decide a recorded event again: the same input, the same snapshot, the same instant, ids and actor (rule 26).

    Args:
        version: Under which date; without it, its own.

    Raises:
        Unanswerable: Where nothing can be said: another version needs what was not recorded, or has no word for the event.
        HandlerFault: Where a check or a handler fails.
    """
    event, chosen = entry.event, version or entry.version
    if chosen is not None and versions.shape(entry.kind, versions.asked(chosen).date) is None:
        # A kind that nobody handles is recorded as it is.
        return Plan()
    if event is None or chosen is None:
        raise Unanswerable(f"event {entry.seq}: no version at hand reads {entry.kind} in the shape of {entry.shape}")
    try:
        cascade = versions.for_event(event, versions.asked(chosen).date)
        cascade.shaped(event)
        seen = tuple(recalled(one, entry.snapshot) for one in cascade.fields)
        return cascade.decide(event, snapshots_of(cascade, seen))
    except (Malformed, Refused) as error:
        raise Unanswerable(f"event {entry.seq}, under {chosen}: {error}") from error


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

    Who decided is no difference, nor is what only the database could know.
    """
    recorded, made = _recorded(entry), _made(plan)
    for key in [*recorded, *made]:
        if key not in made or key not in recorded or not _equal(recorded[key], made[key]):
            return key
    return None if [*recorded] == [*made] else next(k for k, other in zip(recorded, made, strict=True) if k != other)


_OPEN = object()
"""What only the database could know."""


def _recorded(entry: Entry) -> dict[str, tuple[Any, ...]]:
    return {
        **{one.key: (one.code, one.detail, one.field, {}) for one in entry.rejections},
        **{one.step: (one.verb, one.table, one.row_key, one.declared) for one in entry.operations},
        **{one.step: (one.kind, "", "", one.payload) for one in entry.effects},
    }


def _made(plan: Plan) -> dict[str, tuple[Any, ...]]:
    outline = plan.outline
    made: dict[str, tuple[Any, ...]] = {}
    for one in plan.rejections:
        made[one.key] = (one.code, one.detail, one.field, {})
    for change in outline.changes:
        columns = change.mapped.__mapper__.columns
        values = {columns[name].name: _told(value) for name, value in change.values.items()}
        if change.verb == "insert" and (outline.waits or change.row_key is None):
            # What was assigned is recorded with what was declared.
            values = defaultdict(lambda: _OPEN, values)
        row = _OPEN if change.row_key is None else change.row_key
        made[change.last.key] = (change.verb, change.table, row, values)
    for _, planned, effect in outline.effects:
        payload = {name: _told(value) for name, value in effect.__dict__.items()}
        made[planned.key] = (effect.__kind__, "", "", payload)
    return made


def _told(value: Any) -> Any:
    return _OPEN if type(value) is Placeholder else parsed(canonical(value))


def _equal(recorded: tuple[Any, ...], made: tuple[Any, ...]) -> bool:
    *facts, declared = recorded
    *others, values = made
    if any(other is not _OPEN and other != fact for fact, other in zip(facts, others, strict=True)):
        return False
    if not isinstance(values, defaultdict) and values.keys() != declared.keys():
        return False
    return values.keys() <= declared.keys() and all(
        values[name] is _OPEN or values[name] == value for name, value in declared.items()
    )
