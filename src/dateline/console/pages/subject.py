"""What happened to somebody."""

from __future__ import annotations

from typing import Any

from dateline.console.pages.told import PAGE, told_of
from dateline.core.access import AUDIT
from dateline.web.asked import date_of, number_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.read import accesses_of

__all__ = ["accesses", "subject"]


async def subject(call: Call) -> Answer:
    """Show what happened to somebody, newest first; by kind, actor, outcome and time where that is asked."""
    name = str(call.request.path_params["subject"])
    words: dict[str, Any] = {key: call.request.query_params.get(key) or None for key in ("kind", "actor", "outcome")}
    times: dict[str, Any] = {
        key: date_of(call, key) if call.request.query_params.get(key) else None for key in ("since", "until")
    }
    after = _after(call)
    page = await call.runner.trail(
        tenant=call.caller.tenant, subject=name, after=after, limit=PAGE, newest_first=True, **words, **times
    )
    about = dict.fromkeys((name, *(one for entry in page for one in entry.concerned)))
    told = {
        "subject": name,
        "filters": {**words, **times},
        "events": [told_of(call, entry) for entry in page],
        "next": page.next,
        "audited": AUDIT in call.caller.actor.rights,
    }
    return Answer(told, Shows("timeline", tuple(about)))


async def accesses(call: Call) -> Answer:
    """Show who looked at somebody, newest first, to those who may know; that they looked is recorded like any look."""
    name = str(call.request.path_params["subject"])
    after = _after(call)
    found = await accesses_of(call, name, {"limit": PAGE, "newest_first": True, "after": after})
    return Answer({"subject": name, "after": after, **found}, Shows("accesses", (name,)))


def _after(call: Call) -> int | None:
    return number_of(call, "after", 0, (0, 2**53)) if "after" in call.request.query_params else None
