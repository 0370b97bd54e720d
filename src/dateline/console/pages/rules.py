"""What the versions know and do."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from dateline.console.pages.told import first
from dateline.core import history
from dateline.core.canon import canonical, parsed
from dateline.core.catalogue import explained
from dateline.core.drawing import drawn
from dateline.core.example import examples
from dateline.core.tally import Tally
from dateline.errors import UnknownKind
from dateline.web.asked import date_of, number_of
from dateline.web.call import Answer, Call
from dateline.web.rules import MOST
from dateline.web.view import impacted

__all__ = ["between", "catalogue", "changes", "kind", "picture"]

_SHOWN = 20
"""Changes of which the impact tells."""


async def catalogue(call: Call) -> Answer:
    """Show which kinds a version knows, and which versions there are."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    found = []
    for name in versions.kinds:
        try:
            one = explained(versions, name, day)
        except UnknownKind:
            continue
        found.append({"kind": name, "shape": one.shape, "requires": one.requires, "doc": first(one.doc)})
    told = {
        "version": day,
        "versions": [{"version": one.date, "title": _undated(one.title, str(one.date))} for one in versions.versions],
        "kinds": found,
    }
    return Answer(told)


async def kind(call: Call) -> Answer:
    """Show what a version does with a kind: its fields, who checks and decides in which order, and what can come of it."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    shape = versions.cascade(call.of, day).event
    example = next(iter(examples(shape)), None)
    told = {
        **explained(versions, call.of, day).document(),
        "versions": [one.date for one in versions.versions],
        "example": None if example is None else parsed(canonical(example)),
    }
    return Answer(told)


async def picture(call: Call) -> Answer:
    """Draw a kind's cascade; with `?fired=` what some of its handlers came to stands out."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    fired = call.request.query_params.getlist("fired")
    return Answer(drawn(explained(versions, call.of, day), frozenset(fired) if fired else None))


async def changes(call: Call) -> Answer:
    """Show what each version changed, newest first."""
    told = [one.document() for one in reversed(history.chapters(call.runner.versions))]
    # Most folders say their date first, and here it stands before that.
    return Answer({"versions": [{**one, "title": _undated(one["title"], one["version"])} for one in told]})


async def between(call: Call) -> Answer:
    """Show what lies between two versions, and with `?events=` how that shows in what they make of so many recorded events, the newest."""
    versions = call.runner.versions
    known = [one.date for one in versions.versions]
    later = versions.asked(date_of(call, "version") or call.version.date).date
    earlier = versions.asked(date_of(call, "base") or max((one for one in known if one < later), default=later)).date
    earlier, later = sorted((earlier, later))
    events = number_of(call, "events", 0, (0, MOST))
    told = {
        "base": earlier,
        "version": later,
        "versions": known,
        "events": events,
        "changes": [asdict(one) for one in history.between(versions, earlier, later)],
        "impact": await _impact(call, earlier, later, events) if events else None,
    }
    return Answer(told)


async def _impact(call: Call, base: date, version: date, events: int) -> dict[str, Any]:
    """Return what two versions make of the newest events; of each change with one that shows it."""
    tenant, sums = call.caller.tenant, Tally()
    for tally in (await call.runner.impact(version, base=base, tenant=tenant, events=events)).values():
        sums.add(tally)
    told = impacted(sums)
    for one in told["changes"][:_SHOWN]:
        page = await call.runner.trail(tenant=tenant, after=one["examples"][0] - 1, limit=1)
        [found] = page.entries
        # Its page tells more, to whom it may.
        one["example"] = {"id": found.id, "seq": found.seq, "kind": found.kind}
    return {**told, "changes": told["changes"][:_SHOWN], "more": max(0, len(told["changes"]) - _SHOWN)}


def _undated(title: str, day: str) -> str:
    return title.removeprefix(day).lstrip(": ")
