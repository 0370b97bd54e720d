"""An entry, or a notice of the feed, as one JSON object whose keys are always the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dateline.core.entry import Entry, Written
from dateline.core.mask import masked
from dateline.core.notice import Notice

__all__ = ["changed", "document", "told"]


def changed(one: Written) -> tuple[str, ...]:
    """Return the columns in which the row after differs from the row before; all of them where there is but one row."""
    before, after = one.before, one.after
    if before is None or after is None:
        return tuple(before or after or ())
    return tuple(name for name in after if before.get(name) != after[name])


def document(entry: Entry, shown: Entry) -> Mapping[str, Any]:
    """Return the entry as an object.

    Args:
        shown: The same entry as its reader may see it; which columns changed is told by the entry itself, since two masks are equal.
    """
    refusal = entry.refusal
    return {
        "seq": entry.seq,
        "position": entry.position,
        "id": entry.id,
        "tenant": entry.tenant,
        "kind": entry.kind,
        "version": entry.version,
        "shape": entry.shape,
        "cascade": entry.cascade,
        "actor": entry.actor.facts(),
        "reason": entry.reason.facts() if entry.reason else None,
        "occurred_at": entry.occurred_at,
        "recorded_at": entry.recorded_at,
        "cause": entry.meta.cause,
        "root": entry.meta.root,
        "late": entry.meta.late,
        "outcome": entry.outcome,
        "refusal": refusal.problem() if refusal else None,
        "subjects": entry.subjects,
        "input": shown.input,
        "snapshot": shown.snapshot,
        "operations": [
            {
                "ordinal": one.ordinal,
                "step": one.step,
                "verb": one.verb,
                "table": one.table,
                "row_key": one.row_key,
                "changed": sorted(changed(full)),
                "declared": one.declared,
                "before": one.before,
                "after": one.after,
                "handler": one.handler,
                "date": one.date,
            }
            for full, one in zip(entry.operations, shown.operations, strict=True)
        ],
        "effects": [
            {
                "id": one.id,
                "ordinal": one.ordinal,
                "step": one.step,
                "kind": one.kind,
                "payload": one.payload,
                "state": one.state,
                "handler": one.handler,
                "date": one.date,
            }
            for one in shown.effects
        ],
        "masked": shown is not entry,
    }


def told(notice: Notice, *, unmask: bool) -> Mapping[str, Any]:
    """Return a notice as an object: `type` is "event" or "change", and the key of that name holds it.

    Args:
        unmask: Whether personal values are shown.
    """
    facts = {"position": notice.position, "cursor": notice.cursor}
    if notice.entry is not None:
        entry = notice.entry
        return {"type": "event", **facts, "event": document(entry, entry if unmask else masked(entry))}
    assert notice.change is not None
    return {"type": "change", **facts, "change": asdict(notice.change)}
