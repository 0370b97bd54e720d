"""One row, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dateline.console.pages.told import PAGE, named, operation, words
from dateline.core.entry import Entry
from dateline.core.mask import masked
from dateline.core.personal import ERASED, MASK
from dateline.errors import Malformed
from dateline.web.asked import instant_of, number_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.problem import Unserved

__all__ = ["row"]


async def row(call: Call) -> Answer:
    """Show a row's history, field by field, newest first; with `?at=` how it was then."""
    table, key = str(call.request.path_params["table"]), str(call.request.path_params["key"])
    at = instant_of(call, "at")
    before = None if at is None else (await call.runner.as_of(at)).seq + 1
    after = number_of(call, "after", 0, (0, 2**53)) if "after" in call.request.query_params else before
    page = await call.runner.trail(
        tenant=call.caller.tenant, table=table, row=key, limit=PAGE, newest_first=True, after=after
    )
    if not page.entries:
        raise Unserved("no-such-row", "no event of yours wrote such a row" + ("" if at is None else " until then"))
    steps = [step for entry in page for step in _written(call, entry, table, key)]
    told = {
        "table": table,
        "row": key,
        "at": at,
        "now": steps[0]["after"],
        "drift": None if after is not None else await _drift(call, table, key, page.entries[0]),
        "steps": steps,
        "next": page.next,
    }
    about = dict.fromkeys(one for entry in page for one in entry.concerned)
    return Answer(told, Shows("history", tuple(about)))


async def _drift(call: Call, table: str, key: str, newest: Entry) -> dict[str, Any] | None:
    """Return how the row is not as its newest event left it; None where it is, or where no version at hand knows its table."""
    try:
        found = await call.runner.drift_of(table, key)
    except Malformed:
        return None
    # What another tenant's event left is not this one's to see.
    if found is None or found.after != newest.seq:
        return None

    def told(values: Mapping[str, Any] | None, name: str) -> Any:
        # Whether what somebody wrote past the trail is personal, no event says.
        value = (values or {}).get(name)
        return value if value is None or call.caller.unmasked else MASK

    cells = [
        {"name": name, "recorded": told(found.recorded, name), "found": told(found.found, name)}
        for name in found.columns
        if ERASED not in ((found.recorded or {}).get(name), (found.found or {}).get(name))
    ]
    return {"change": found.change, "cells": cells}


def _written(call: Call, entry: Entry, table: str, key: str) -> list[dict[str, Any]]:
    """Return what an event did to a row, the last first."""
    shown = entry if call.caller.unmasked else masked(entry)
    doc_of = words(call.runner.versions)
    found = []
    for full, one in zip(entry.operations, shown.operations, strict=True):
        if (one.table, one.row_key) == (table, key):
            step = {**operation(full, one), "after": one.after, "doc": doc_of.get((one.handler, str(one.date)), "")}
            found.append({**step, "event": named(entry)})
    return found[::-1]
