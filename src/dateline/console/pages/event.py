"""One event, whole, and beside what other versions make of it."""

from __future__ import annotations

from dateline.console.pages.lineage import found, lineage
from dateline.console.pages.told import all_told
from dateline.errors import NoSuchEvent
from dateline.web.asked import date_of, id_of
from dateline.web.call import Answer, Call, Shows

__all__ = ["compare", "event"]

_DECIDED = ("operations", "effects", "rejections")
"""What of an event somebody decided."""


async def event(call: Call) -> Answer:
    """Show one event: what was asked, seen and decided, and what came before and after."""
    id = id_of(call)
    entry = await found(call, id)
    if entry is None:
        raise NoSuchEvent(f"there is no event {id}")
    line, others = await lineage(call, entry)
    [shown] = await all_told(call, [entry])
    told = {
        **shown,
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
