"""The routes that show the trail, and who looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from dateline.core.access import AUDIT
from dateline.core.entry import Page
from dateline.core.mask import masked
from dateline.errors import Denied, NoSuchEvent
from dateline.web.asked import cut_of, id_of, instant_of, number_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.problem import Explained, Unserved
from dateline.web.view import viewed

__all__ = ["PATIENCE", "accesses", "accesses_of", "event", "history", "row", "timeline"]

PATIENCE = 30
"""Seconds for which a caller may wait for an event."""


async def event(call: Call) -> Answer:
    """Show an event; with `?wait=`, seconds, it may still be on its way."""
    if call.of in call.runner.versions.kinds:
        raise Unserved("not-allowed", "a kind is dispatched: POST /events/{kind}", allow="POST")
    id = id_of(call)
    patience = timedelta(seconds=number_of(call, "wait", 0, (0, PATIENCE)))
    found = await call.runner.outcome(id, tenant=call.caller.tenant, patience=patience)
    if found is None:
        raise NoSuchEvent(f"there is no event {id}")
    told = viewed(found, call.runner.versions, call.version.date, unmask=call.caller.unmasked)
    return Answer(told, Shows("event", found.concerned, found.id))


async def timeline(call: Call) -> Answer:
    """Show a page of what happened to a subject."""
    subject = call.request.path_params["subject"]
    page = await call.runner.trail(subject=subject, tenant=call.caller.tenant, **cut_of(call))
    return _page(call, page, "timeline", subject)


async def history(call: Call) -> Answer:
    """Show a page of what happened to a row."""
    table, key = call.request.path_params["table"], call.request.path_params["key"]
    page = await call.runner.trail(table=table, row=key, tenant=call.caller.tenant, **cut_of(call))
    return _page(call, page, "history")


async def row(call: Call) -> Answer:
    """Show a row as the caller's own events left it: now, or at an instant, `?at=`."""
    table, key = call.request.path_params["table"], call.request.path_params["key"]
    at = instant_of(call, "at")
    before = None if at is None else (await call.runner.as_of(at)).seq + 1
    page = await call.runner.trail(
        tenant=call.caller.tenant, table=table, row=key, newest_first=True, limit=1, after=before
    )
    for entry in page:
        seen = entry if call.caller.unmasked else masked(entry)
        *_, last = (one for one in seen.operations if (one.table, one.row_key) == (table, key))
        if last.after is not None:
            told = {"table": table, "row": key, "event": entry.id, "seq": entry.seq, "values": last.after}
            return Answer(told, Shows("row", entry.concerned, entry.id))
    raise Unserved("no-such-row", "no event of yours left such a row" + ("" if at is None else " then"))


async def accesses(call: Call) -> Answer:
    """Show who looked at a subject, for those with the right "audit"; that is an access too, and so is the try without it."""
    subject = call.request.path_params["subject"]
    return _paged(call, await accesses_of(call, subject, cut_of(call)), Shows("accesses", (subject,)))


async def accesses_of(call: Call, subject: str, cut: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of who looked at a subject.

    Args:
        cut: As `cut_of` gives it.

    Raises:
        Explained: Without the right "audit".
    """
    if AUDIT not in call.caller.actor.rights:
        denied = Denied(f"{call.caller.actor.id} lacks the right {AUDIT!r}, which accesses require", right=AUDIT)
        raise Explained(denied, shows=Shows("accesses", (subject,), denied=True))
    found = await call.runner.accesses(tenant=call.caller.tenant, subject=subject, **cut)
    last = found[-1].number if len(found) == cut["limit"] else None
    return {"accesses": [one.document() for one in found], "next": last}


def _page(call: Call, page: Page, view: str, *subjects: str) -> Answer:
    versions, day, unmask = call.runner.versions, call.version.date, call.caller.unmasked
    told = {"events": [viewed(one, versions, day, unmask=unmask) for one in page], "next": page.next}
    about = dict.fromkeys((*subjects, *(subject for entry in page for subject in entry.concerned)))
    return _paged(call, told, Shows(view, tuple(about)))


def _paged(call: Call, told: dict[str, Any], shows: Shows | None = None) -> Answer:
    if told["next"] is None:
        return Answer(told, shows)
    query = call.request.url.include_query_params(after=told["next"]).query
    # Quoted here: Starlette gives it as it was understood, and a subject may hold a space, a percent sign, or any letter.
    return Answer(told, shows, headers={"link": f'<{quote(call.request.scope["path"])}?{query}>; rel="next"'})
