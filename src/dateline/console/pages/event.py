"""One event, whole, and beside what other versions make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from dateline.console.pages.told import PAGE, named, told_of
from dateline.core.entry import Entry
from dateline.core.mask import masked
from dateline.errors import NoSuchEvent
from dateline.web.asked import date_of, id_of
from dateline.web.call import Answer, Call, Shows

__all__ = ["compare", "event"]


async def event(call: Call) -> Answer:
    """Show one event: what was asked, seen and decided, and what came before and after."""
    id = id_of(call)
    entry = await _one(call, id)
    if entry is None:
        raise NoSuchEvent(f"there is no event {id}")
    followed = await call.runner.trail(tenant=call.caller.tenant, cause=id, limit=PAGE)
    cause = None
    if entry.meta.cause is not None:
        before = await _one(call, entry.meta.cause)
        cause = {"id": entry.meta.cause} if before is None else named(before)
    tries = await call.runner.attempts(entry.seq, tenant=call.caller.tenant) if entry.effects else ()
    shown = told_of(call, entry)
    shown["effects"] = [
        {**one, "tries": [asdict(each) for each in tries if each.ordinal == one["ordinal"]]} for one in shown["effects"]
    ]
    told = {
        **shown,
        "seen": _seen(entry if call.caller.unmasked else masked(entry)),
        "cause": cause,
        "followed": [named(one) for one in followed],
        "versions": [one.date for one in call.runner.versions.versions],
    }
    subjects = (*entry.subjects, *(one for other in followed for one in other.subjects))
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


async def _one(call: Call, id: UUID) -> Entry | None:
    return await call.runner.outcome(id, tenant=call.caller.tenant, patience=timedelta(0))


def _seen(shown: Entry) -> list[dict[str, Any]]:
    """Return what was seen, field by field: rows of records, or a value."""
    found = []
    for place, held in shown.snapshot.items():
        rows = held.get("rows", [])
        table = all(isinstance(one, Mapping) for one in rows)
        names = list(dict.fromkeys(name for one in rows for name in one)) if table else []
        found.append({"field": place, "names": names, "rows": rows, "records": table, "given": held.get("given", {})})
    return found
