"""What happened to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dateline.console.pages.told import PAGE, all_told
from dateline.core.access import AUDIT
from dateline.core.entry import Entry
from dateline.errors import Malformed
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
    known = _known(call)
    entries = page.entries if known is None else _new(page.entries, known)
    if known is not None and not entries:
        # Nothing is shown, so nobody has looked.
        return Answer({}, status=204)
    about = dict.fromkeys((name, *(one for entry in entries for one in entry.concerned)))
    told = {
        "subject": name,
        "filters": {**words, **times},
        "events": await all_told(call, entries),
        "next": page.next if known is None else None,
        # What a page knows that is to grow: the newest, and not what came before.
        "known": [*(entry.seq for entry in entries), *(known or ())][:PAGE] if after is None else None,
        "new": known is not None,
        "audited": AUDIT in call.caller.actor.rights,
    }
    return Answer(told, Shows("timeline", tuple(about)))


def _known(call: Call) -> list[int] | None:
    """Return the numbers of the events that a page shows already, `?known=9,7`; None where it does not ask for what is new alone."""
    told = call.request.query_params.get("known")
    if told is None:
        return None
    found = told.split(",") if told else []
    if len(found) > PAGE or not all(one.isascii() and one.isdigit() and len(one) < 17 for one in found):
        raise Malformed("known= is the numbers of a page's events", (("known", "is none of a page"),))
    return [int(one) for one in found]


def _new(entries: Sequence[Entry], known: Sequence[int]) -> tuple[Entry, ...]:
    """Return the events that a page does not show yet.

    Not those after its newest: an event may get its number first and be committed last.
    """
    oldest = min(known) if len(known) == PAGE else 0
    return tuple(one for one in entries if one.seq not in known and one.seq > oldest)


async def accesses(call: Call) -> Answer:
    """Show who looked at somebody, newest first, to those who may know; that they looked is recorded like any look."""
    name = str(call.request.path_params["subject"])
    after = _after(call)
    found = await accesses_of(call, name, {"limit": PAGE, "newest_first": True, "after": after})
    return Answer({"subject": name, "after": after, **found}, Shows("accesses", (name,)))


def _after(call: Call) -> int | None:
    return number_of(call, "after", 0, (0, 2**53)) if "after" in call.request.query_params else None
