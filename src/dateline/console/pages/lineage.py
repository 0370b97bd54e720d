"""The line in which an event stands: what brought it about, back to the first, and what came of it."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any
from uuid import UUID

from dateline.console.pages.told import named
from dateline.core.entry import Entry
from dateline.web.call import Call

__all__ = ["found", "lineage"]

_ABOVE, _BELOW, _DEEP = 10, 30, 4
"""How many causes are followed back, how many consequences are shown, and how many generations of them."""


async def found(call: Call, id: UUID) -> Entry | None:
    """Return one event of the caller's tenant; None where there is none."""
    return await call.runner.outcome(id, tenant=call.caller.tenant, patience=timedelta(0))


async def lineage(call: Call, entry: Entry) -> tuple[dict[str, Any] | None, tuple[Entry, ...]]:
    """Return the tree from an event's first cause down to what came of it, None where it stands alone; and the entries in it."""
    causes, shown = await _causes(call, entry)
    here, below = await _consequences(call, entry)
    if not causes and not here["followed"]:
        return None, ()
    node = here
    for cause in causes:
        # The cause may have brought about more than this line: its own page tells.
        node = {**cause, "followed": [node], "more": False}
    return node, (*shown, *below)


async def _causes(call: Call, entry: Entry) -> tuple[list[dict[str, Any]], list[Entry]]:
    made: list[dict[str, Any]] = []
    shown: list[Entry] = []
    cause = entry.meta.cause
    while cause is not None:
        one = await found(call, cause) if len(made) < _ABOVE else None
        if one is None:
            # It was told of an event that is not there, or goes back further than is shown.
            made.append({"id": cause, "kind": None, "here": False})
            break
        made.append({**named(one), "here": False})
        shown.append(one)
        cause = one.meta.cause
    return made, shown


async def _consequences(call: Call, entry: Entry) -> tuple[dict[str, Any], list[Entry]]:
    """Return an event with what came of it, generation by generation, as far as there is room."""
    top = {**named(entry), "here": True, "followed": [], "more": False}
    shown: list[Entry] = []
    waiting = deque([(entry.id, top, 0)])
    while waiting:
        id, node, depth = waiting.popleft()
        room = _BELOW - len(shown)
        if not room or depth == _DEEP:
            node["more"] = None
            continue
        page = await call.runner.trail(tenant=call.caller.tenant, cause=id, limit=room)
        node["more"] = page.next is not None
        for one in page:
            child = {**named(one), "here": False, "followed": [], "more": False}
            node["followed"].append(child)
            shown.append(one)
            waiting.append((one.id, child, depth + 1))
    return top, shown
