"""A decision of a document that holds all it needs, event, meta and snapshot, in the form of a recorded body; no database is asked."""

from __future__ import annotations

from datetime import date
from typing import Any

from dateline.core.canon import parsed, plain
from dateline.core.effect import Effect
from dateline.core.event import Event
from dateline.core.flow import snapshots_of
from dateline.core.meta import Meta
from dateline.core.operation import Operation
from dateline.core.parse import parse
from dateline.core.personal import MARK
from dateline.core.plan import Plan
from dateline.core.replay import recalled
from dateline.core.step import Concerns
from dateline.core.version import Version, Versions
from dateline.errors import Malformed

__all__ = ["decided", "planned", "steps_of"]

_KEYS = frozenset({"conflicts", "decision", "input", "kind", "meta", "sealed", "shape", "snapshot", "version"})


def decided(
    document: bytes | str, versions: Versions, *, version: date | str | None, largest: int, meta: Meta
) -> tuple[Event, Version, Plan]:
    """Return what is decided of a document, by whom it is and under which version.

    Args:
        document: A JSON object with the keys `kind`, `input` and, where the version reads anything, `snapshot`; `meta`, `version` and
            `shape` where they are known. All else that a recorded body holds is left unread.
        version: Under which to decide; without it the document's, without that the newest.
        largest: The most bytes of input that are read.
        meta: Who and when, where the document does not say.

    Raises:
        Malformed: For what is no such document; naming each fault by path, without the values.
        Refused: Where there is no such version, or a row that is needed is missing.
    """
    found = _object(document)
    told_meta = found.get("meta")
    told = told_meta.get("version") if isinstance(told_meta, dict) else None
    asked = version or found.get("version") or told
    chosen = versions.newest if asked is None else versions.asked(asked)
    kind, shape = found.get("kind"), found.get("shape") or chosen.date.isoformat()
    if not isinstance(kind, str) or not isinstance(found.get("input"), dict):
        raise Malformed('a document has a "kind", a text, and an "input", an object')
    _unsealed(found["input"], "input")
    event = parse(versions.cascade(kind, versions.asked(shape).date).event, found["input"], largest)
    event = event.with_meta(_meta(told_meta, meta))
    cascade = versions.for_event(event, chosen.date)
    snapshot = found.get("snapshot")
    for one in cascade.fields:
        held = snapshot.get(one.place) if isinstance(snapshot, dict) else None
        _unsealed(held["rows"] if isinstance(held, dict) and "rows" in held else held, one.place)
    seen = tuple(recalled(one, snapshot) for one in cascade.fields)
    return event, chosen, cascade.decide(event, snapshots_of(cascade, seen))


def _object(document: bytes | str) -> dict[str, Any]:
    try:
        found = parsed(document)
    except (ValueError, RecursionError):
        raise Malformed("the document is no JSON") from None
    if not isinstance(found, dict):
        raise Malformed("the document is no JSON object")
    if unknown := sorted(found.keys() - _KEYS):
        raise Malformed(f"the document has {unknown[0]!r}, which nobody reads; it may have {', '.join(sorted(_KEYS))}")
    return found


def _meta(told: Any, otherwise: Meta) -> Meta:
    if told is None:
        return otherwise
    try:
        return Meta.from_facts(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed('"meta" is an object with an id, an instant "at" and an "actor" with an id') from error


def _unsealed(value: Any, path: str) -> None:
    """Refuse a digest where a personal value should stand: nothing could be decided of it.

    Raises:
        Malformed: Naming where.
    """
    if isinstance(value, dict):
        if value.keys() == {MARK}:
            raise Malformed(f"{path} holds the digest of a personal value; put the value itself in its place")
        for name, inner in value.items():
            _unsealed(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _unsealed(inner, f"{path}.{place}")


def planned(event: Event, version: Version, plan: Plan) -> dict[str, Any]:
    """Return a decision as JSON's types, with keys that stay."""
    told = steps_of(plan)
    outcome = "rejected" if plan.rejections else "planned"
    return {"kind": event.__kind__, "version": version.date.isoformat(), "outcome": outcome, **told}


def steps_of(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON's types: its steps, rejections and amendments, each with who decided it."""
    steps = []
    for one in plan.planned:
        made: dict[str, Any] = {"key": one.key, "handler": one.handler, "date": one.date}
        if isinstance(one.step, Operation):
            step = one.step
            made["operation"] = {
                "verb": step.verb,
                "table": step.table.name,
                "row": step.row_key,
                "values": {name: _shown(value) for name, value in step.values.items()},
            }
        elif isinstance(one.step, Effect):
            made["effect"] = {
                "kind": one.step.__kind__,
                "payload": {name: _shown(value) for name, value in one.step.__dict__.items()},
            }
        elif isinstance(one.step, Concerns):
            made["concerns"] = one.step.subject
        steps.append(made)
    rejections = [
        {
            "key": one.key,
            "code": one.code,
            "detail": one.detail,
            "field": one.field,
            "handler": one.handler,
            "date": one.date,
        }
        for one in plan.rejections
    ]
    return {
        "steps": steps,
        "rejections": rejections,
        "amended": [one._asdict() for one in plan.amended],
    }


def _shown(value: Any) -> Any:
    # What the database has yet to assign is told by its name.
    return repr(value) if type(value).__name__ == "Placeholder" else plain(value)
