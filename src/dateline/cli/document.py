"""An entry as one JSON object, whose keys are always the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dateline.core.canon import canonical
from dateline.core.entry import Entry, Written

__all__ = ["changed", "document", "here", "printable", "text"]


def text(value: Any) -> str:
    """Return a value's JSON in canonical order, on one line whoever splits it, and without what could steer a terminal."""
    told = canonical(value).decode()
    if told.isprintable():
        return told
    # Only texts within it hold such characters, and JSON has an escape for each.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in told)


def printable(told: str) -> str:
    """Return a text in which whatever could steer a terminal, or break a line, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in told)


def here(file: str) -> str:
    """Return a file's path as one would type it where one stands."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


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
