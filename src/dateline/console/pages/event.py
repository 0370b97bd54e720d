"""One event, whole, and beside what other versions make of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dateline.console.pages.lineage import found, lineage
from dateline.console.pages.told import told_of
from dateline.core.entry import Entry
from dateline.core.mask import masked
from dateline.errors import NoSuchEvent
from dateline.web.asked import date_of, id_of
from dateline.web.call import Answer, Call, Shows

__all__ = ["compare", "event"]

_DAY = re.compile(r"\bv(\d{4})_(\d\d)_(\d\d)\b")
"""The folder of a version, in the name of what stands there."""

_DECIDED = ("operations", "effects", "rejections")
"""What of an event somebody decided."""


async def event(call: Call) -> Answer:
    """Show one event: what was asked, seen and decided, and what came before and after."""
    id = id_of(call)
    entry = await found(call, id)
    if entry is None:
        raise NoSuchEvent(f"there is no event {id}")
    line, others = await lineage(call, entry)
    tries = await call.runner.attempts(entry.seq, tenant=call.caller.tenant) if entry.effects else ()
    shown = told_of(call, entry)
    shown["effects"] = [
        {**one, "tries": [asdict(each) for each in tries if each.ordinal == one["ordinal"]]} for one in shown["effects"]
    ]
    told = {
        **shown,
        "seen": _seen(entry if call.caller.unmasked else masked(entry)),
        "line": line,
        "fired": sorted({one["handler"] for part in _DECIDED for one in shown[part]}),
        "versions": [one.date for one in call.runner.versions.versions],
    }
    subjects = (*entry.subjects, *(one for other in others for one in other.subjects))
    return Answer(told, Shows("event", tuple(dict.fromkeys(subjects)), entry.id))


async def compare(call: Call) -> Answer:
    """Show how what stands of an event differs from what another version makes of it, or two versions from each other, side by side."""
    id, a, b = id_of(call), date_of(call, "base"), date_of(call, "version")
    newest = call.runner.versions.choose(None, call.runner.clock()).date
    days = [one for one in (a, b or newest) if one is not None]
    found = await call.runner.diff(id, *days, tenant=call.caller.tenant)
    told = {
        **found.document(call.runner.versions, unmask=call.caller.unmasked),
        "base": a,
        "version": b or newest,
        "versions": [one.date for one in call.runner.versions.versions],
    }
    return Answer(told, Shows("diff", event=id))


def _seen(shown: Entry) -> list[dict[str, Any]]:
    """Return what was seen, field by field: rows of records, or a value."""
    found = []
    for place, held in shown.snapshot.items():
        rows = held.get("rows", [])
        table = all(isinstance(one, Mapping) for one in rows)
        names = list(dict.fromkeys(name for one in rows for name in one)) if table else []
        folder, _, name = place.rpartition(".")[0].rpartition(".")
        day = _DAY.search(folder)
        at = {"name": f"{name}.{place.rpartition('.')[2]}", "of": "-".join(day.groups()) if day else None}
        found.append(
            {"field": place, **at, "names": names, "rows": rows, "records": table, "given": held.get("given", {})}
        )
    return found
