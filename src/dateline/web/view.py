"""What a caller is shown: events in the shapes of their version, and nothing of the personal values that they may not see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from dateline.core.canon import canonical, parsed, plain
from dateline.core.decision import OPEN, Decided, Decision
from dateline.core.document import document
from dateline.core.entry import Entry
from dateline.core.event import Event, fill
from dateline.core.mask import masked
from dateline.core.model import personal_fields
from dateline.core.outcome import Committed, Preview, State
from dateline.core.personal import MASK, Sealer, unsealed
from dateline.core.snapshot import Record, row_of
from dateline.core.tally import Tally
from dateline.core.version import Versions
from dateline.errors import HandlerFault, Malformed, Refused

__all__ = ["committed", "fingerprinted", "impacted", "looked_at", "previewed", "seen", "stepped", "viewed"]


def impacted(tally: Tally) -> dict[str, Any]:
    """Return what another version would have made of recorded events, the most frequent change first."""
    groups = sorted(tally.groups.items(), key=lambda group: (-group[1][0], group[0]))
    return {
        "events": tally.events,
        "same": tally.same,
        "different": tally.different,
        "unanswerable": tally.unanswerable,
        "failed": tally.failed,
        "changes": [{**of._asdict(), "events": number, "examples": list(seqs)} for of, (number, seqs) in groups],
    }


def viewed(entry: Entry, versions: Versions, version: date, *, unmask: bool) -> Mapping[str, Any]:
    """Return an event as an object.

    Where a conversion has no word for the event, or the version does not know its kind yet, it is shown in the shape in which it was
    recorded; `shown` tells which one it is.

    Args:
        version: In whose shape its input is shown.
        unmask: Whether personal values are shown.
    """
    made = {**document(entry, entry if unmask else masked(entry)), "shown": entry.shape}
    converted = None if entry.erased else _converted(entry, versions, version)
    if converted is not None:
        told = parsed(canonical(converted))
        made |= {
            "input": told if unmask else _hidden(converted, told, entry),
            "shown": versions.shape_date(type(converted)),
        }
    return made


def stepped(one: Decided, *, unmask: bool) -> Mapping[str, Any]:
    """Return a step of a decision as an object; what only the database will know is null."""
    values = {name: None if value is OPEN else value for name, value in one.values.items()}
    if not unmask:
        values |= {name: MASK for name in one.personal if values.get(name) is not None}
    return {
        "step": one.key,
        "sort": one.sort,
        "of": one.of,
        "row": None if one.row is OPEN else one.row,
        "values": values,
        "handler": one.handler,
        "date": one.date,
    }


def _converted(entry: Entry, versions: Versions, version: date) -> Event | None:
    if entry.event is None:
        return None
    try:
        cascade = versions.cascade(entry.kind, version)
        if cascade.shapes is None or type(entry.event) is cascade.event:
            return None
        return cascade.shapes.convert(entry.event, cascade.event)
    except (HandlerFault, Malformed, Refused):
        return None


def _hidden(event: Event, told: Any, entry: Entry) -> Any:
    """Mask what the other shape calls personal, and what holds a value that the recorded one does."""
    sealer = Sealer(bytes(32), "")
    sealer.text(event, "")
    shown = unsealed(told, "", {one.path: MASK for one in sealer.sealed})
    secrets = {canonical(value) for value in _personal(entry)}
    return _without(shown, secrets)


def _personal(entry: Entry) -> Iterator[Any]:
    """Yield the personal values of what was asked."""
    for path in entry.personal:
        steps = path.split("/")[1:]
        if steps[0] != "input":
            continue
        value: Any = entry.input
        for step in steps[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            value = value[int(name)] if isinstance(value, list) else value[name]
        if value is not None:
            yield value


def _without(told: Any, secrets: set[bytes]) -> Any:
    if canonical(told) in secrets:
        return MASK
    if isinstance(told, dict):
        return {name: _without(value, secrets) for name, value in told.items()}
    if isinstance(told, list):
        return [_without(value, secrets) for value in told]
    return told


def committed(done: Committed) -> dict[str, Any]:
    """Return what became of a request, without what rows and effects hold: the event itself tells that, as far as the caller may see it."""
    return {
        "event": done.event_id,
        "seq": done.seq,
        "kind": done.event.__kind__,
        "version": done.version,
        "recorded_at": done.recorded_at,
        "repeated": done.repeated,
        "operations": [
            {"step": one.step, "verb": one.verb, "table": one.table, "row_key": one.row_key, **_who(one)}
            for one in done.operations
        ],
        "effects": [
            {"id": one.id, "step": one.step, "kind": one.kind, "state": one.state, **_who(one)} for one in done.effects
        ],
    }


def _who(one: Any) -> dict[str, str]:
    return {"handler": one.handler, "date": one.date}


def previewed(made: Preview, promise: str, versions: Versions, *, unmask: bool) -> dict[str, Any]:
    """Return what a request would do as an object.

    Args:
        promise: What the client sends back to commit that very plan.
    """
    decision = Decision.made(made.plan, made.version, personal=versions.personal)
    return {
        "event": made.event_id,
        "kind": made.event.__kind__,
        "version": made.version,
        "at": made.at,
        "expires_at": made.expires_at,
        "rehearsed": made.rehearsed,
        "steps": [stepped(one, unmask=unmask) for one in decision.steps],
        "fingerprints": fingerprinted(made, unmask=unmask),
        "preview": promise,
    }


def seen(made: Preview | State, *, unmask: bool) -> list[dict[str, Any]]:
    """Return what each field of the snapshots holds: rows, or a value."""
    told = []
    for one, values in zip(made.fields, made.seen, strict=True):
        field: dict[str, Any] = {"field": one.path}
        if one.record is None:
            held = MASK if one.personal and not unmask else plain(values[0] if values else None)
            told.append({**field, "value": held})
            continue
        assert one.table is not None
        hidden = frozenset() if unmask else personal_fields(one.record)
        rows = []
        for record in values:
            cells = {name: plain(getattr(record, name)) for name in one.record.model_fields}
            masked = {name: MASK for name in hidden if cells[name] is not None}
            rows.append({"row": row_of(record), "values": {**cells, **masked}})
        told.append({**field, "table": one.table.name, "rows": rows})
    return told


def looked_at(made: Preview | State) -> tuple[str, ...]:
    """Return whose data stands in what was seen: those whom the event is about, as far as that is known, and whose rows there are."""
    found: dict[str, None] = {}
    for template in made.event.__subjects__:
        # Of a state, only some fields are known.
        with contextlib.suppress(AttributeError, KeyError):
            found[fill(template, made.event)] = None
    for values in made.seen:
        for record in values:
            if isinstance(record, Record) and record.__subject__ is not None:
                found[fill(record.__subject__, record)] = None
    return tuple(found)


def fingerprinted(made: Preview | State, *, unmask: bool) -> dict[str, dict[str, str]]:
    """Return fingerprints, but of personal values only for who may see them: whoever guesses a name can make its digest."""
    if unmask:
        return made.fingerprints
    hidden = {
        (row_of(record), name)
        for values in made.seen
        for record in values
        if isinstance(record, Record)
        for name in personal_fields(type(record))
    }
    found = made.fingerprints
    return {
        row: {name: told for name, told in cells.items() if (row, name) not in hidden} for row, cells in found.items()
    }
