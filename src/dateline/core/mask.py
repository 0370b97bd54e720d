"""What a reader without the right to see personal values sees of an entry."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from dateline.core.entry import Entry, Written
from dateline.core.personal import MASK

__all__ = ["masked"]


def masked(entry: Entry) -> Entry:
    """Return the entry with `MASK` in every place that holds a personal value, and without its typed event, which holds them too."""
    hidden = entry.personal
    if not hidden:
        return entry
    return replace(
        entry,
        event=None,
        input=_hidden(entry.input, "/input", hidden),
        snapshot={
            path: {**held, "rows": _hidden(held["rows"], f"/snapshot/{path}/rows", hidden)}
            for path, held in entry.snapshot.items()
        },
        operations=tuple(_operation(one, hidden) for one in entry.operations),
        effects=tuple(
            replace(one, payload=_hidden(one.payload, f"/effects/{one.ordinal}", hidden)) for one in entry.effects
        ),
    )


def _operation(one: Written, hidden: AbstractSet[str]) -> Written:
    root = f"/operations/{one.ordinal}"
    return replace(
        one,
        # A declared value is kept once, with the row after it; that is the place that is known to be personal.
        declared=_hidden(one.declared, f"{root}/after", hidden),
        before=_hidden(one.before, f"{root}/before", hidden),
        after=_hidden(one.after, f"{root}/after", hidden),
    )


def _hidden(part: Any, path: str, hidden: AbstractSet[str]) -> Any:
    if path in hidden:
        return MASK
    if isinstance(part, dict):
        return {key: _hidden(item, f"{path}/{key}", hidden) for key, item in part.items()}
    if isinstance(part, list):
        return [_hidden(item, f"{path}/{index}", hidden) for index, item in enumerate(part)]
    return part
