"""What the versions know and do."""

from __future__ import annotations

from dateline.console.pages.told import first
from dateline.core.catalogue import explained
from dateline.core.drawing import drawn
from dateline.core.history import chapters
from dateline.errors import UnknownKind
from dateline.web.asked import date_of
from dateline.web.call import Answer, Call

__all__ = ["catalogue", "changes", "kind", "picture"]


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
    told = {**explained(versions, call.of, day).document(), "versions": [one.date for one in versions.versions]}
    return Answer(told)


async def picture(call: Call) -> Answer:
    """Draw a kind's cascade; with `?fired=` what some of its handlers came to stands out."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    fired = call.request.query_params.getlist("fired")
    return Answer(drawn(explained(versions, call.of, day), frozenset(fired) if fired else None))


async def changes(call: Call) -> Answer:
    """Show what each version changed, newest first."""
    told = [one.document() for one in reversed(chapters(call.runner.versions))]
    # Most folders say their date first, and here it stands before that.
    return Answer({"versions": [{**one, "title": _undated(one["title"], one["version"])} for one in told]})


def _undated(title: str, day: str) -> str:
    return title.removeprefix(day).lstrip(": ")
