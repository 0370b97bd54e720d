"""What a reader without the right to see personal values sees of an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dateline.core.entry import Entry, Written
from dateline.core.personal import ERASED, MASK, unsealed

__all__ = ["masked"]


def masked(entry: Entry) -> Entry:
    """Return the entry with `MASK` in every place that holds a personal value, and without its typed event, which holds them too.

    Where a value was erased, it goes on saying so.
    """
    if not entry.personal:
        return entry
    hidden = dict.fromkeys(entry.personal, MASK) | dict.fromkeys(entry.erased, ERASED)
    return replace(
        entry,
        event=None,
        input=unsealed(entry.input, "/input", hidden),
        snapshot=unsealed(entry.snapshot, "/snapshot", hidden),
        operations=tuple(_operation(one, hidden) for one in entry.operations),
        effects=tuple(
            replace(one, payload=unsealed(one.payload, f"/effects/{one.ordinal}", hidden)) for one in entry.effects
        ),
    )


def _operation(one: Written, hidden: Mapping[str, str]) -> Written:
    root = f"/operations/{one.ordinal}"
    return replace(
        one,
        # A declared value is kept once, with the row after it; that is the place that is known to be personal.
        declared=unsealed(one.declared, f"{root}/after", hidden),
        before=unsealed(one.before, f"{root}/before", hidden),
        after=unsealed(one.after, f"{root}/after", hidden),
    )
