"""What each page shows, as a document: its `.json` twin is that, and its HTML is made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from uuid import UUID

from dateline.core.access import AUDIT
from dateline.core.catalogue import explained
from dateline.core.document import changed
from dateline.core.drawing import drawn
from dateline.core.entry import Entry, Written
from dateline.core.history import chapters
from dateline.core.mask import masked
from dateline.core.version import Versions
from dateline.errors import NoSuchEvent, UnknownKind
from dateline.web.asked import date_of, id_of, instant_of, number_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.problem import Unserved
from dateline.web.view import viewed

__all__ = ["catalogue", "changes", "compare", "event", "kind", "picture", "quoted", "row", "start", "subject"]

PAGE = 20
"""Events of one page: what a person reads through, and what fits into its weight."""


async def start(call: Call) -> Answer:
    """Show where one begins: whom to look for, and what happened last."""
    query = call.request.query_params.get("subject", "").strip()
    if query:
        return Answer({}, status=303, headers={"location": f"{call.base}/subjects/{quoted(query)}"})
    return Answer({"versions": [one.date for one in call.runner.versions.versions]})


async def subject(call: Call) -> Answer:
    """Show what happened to somebody, newest first; by kind, actor, outcome and time where that is asked."""
    name = str(call.request.path_params["subject"])
    words: dict[str, Any] = {key: call.request.query_params.get(key) or None for key in ("kind", "actor", "outcome")}
    times: dict[str, Any] = {
        key: date_of(call, key) if call.request.query_params.get(key) else None for key in ("since", "until")
    }
    after = number_of(call, "after", 0, (0, 2**53)) if "after" in call.request.query_params else None
    page = await call.runner.trail(
        tenant=call.caller.tenant, subject=name, after=after, limit=PAGE, newest_first=True, **words, **times
    )
    about = dict.fromkeys((name, *(one for entry in page for one in entry.subjects)))
    told = {
        "subject": name,
        "filters": {**words, **times},
        "events": [_told(call, entry) for entry in page],
        "next": page.next,
        "audit": AUDIT in call.caller.actor.rights,
    }
    return Answer(told, Shows("timeline", tuple(about)))


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
        cause = {"id": entry.meta.cause} if before is None else _named(before)
    tries = await call.runner.attempts(entry.seq, tenant=call.caller.tenant) if entry.effects else ()
    shown = _told(call, entry)
    shown["effects"] = [
        {**one, "tries": [asdict(each) for each in tries if each.ordinal == one["ordinal"]]} for one in shown["effects"]
    ]
    told = {
        **shown,
        "seen": _seen(entry if call.caller.unmasked else masked(entry)),
        "cause": cause,
        "followed": [_named(one) for one in followed],
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
    told = {"table": table, "row": key, "at": at, "now": steps[0]["after"], "steps": steps, "next": page.next}
    about = dict.fromkeys(one for entry in page for one in entry.subjects)
    return Answer(told, Shows("history", tuple(about)))


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
        found.append({"kind": name, "shape": one.shape, "requires": one.requires, "doc": _first(one.doc)})
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
    """Draw a kind's cascade."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    return Answer(drawn(explained(versions, call.of, day)))


async def changes(call: Call) -> Answer:
    """Show what each version changed, newest first."""
    told = [one.document() for one in reversed(chapters(call.runner.versions))]
    # Most folders say their date first, and here it stands before that.
    return Answer({"versions": [{**one, "title": _undated(one["title"], one["version"])} for one in told]})


async def _one(call: Call, id: UUID) -> Entry | None:
    return await call.runner.outcome(id, tenant=call.caller.tenant, patience=timedelta(0))


# What is told of an event ------------------------------------------------------------------------------------------------------


def _told(call: Call, entry: Entry) -> dict[str, Any]:
    """Return an event as its caller may see it, with each step in its handler's own words."""
    unmask, words = call.caller.unmasked, _words(call.runner.versions)
    made = dict(viewed(entry, call.runner.versions, call.version.date, unmask=unmask))
    shown = entry if unmask else masked(entry)
    made["doc"] = _first((type(entry.event).__doc__ or "") if entry.event is not None else "")
    made["operations"] = [
        {**_operation(full, one), "doc": words.get((one.handler, str(one.date)), "")}
        for full, one in zip(entry.operations, shown.operations, strict=True)
    ]
    made["effects"] = [{**one, "doc": words.get((one["handler"], str(one["date"])), "")} for one in made["effects"]]
    made["rejections"] = [
        {
            "code": one.code,
            "detail": one.detail,
            "field": one.field,
            "handler": one.handler,
            "date": one.date,
            "doc": words.get((one.handler, one.date), ""),
        }
        for one in entry.rejections
    ]
    return made


def _operation(full: Written, one: Written) -> dict[str, Any]:
    """Return an operation with the fields that changed alone, before and after."""
    names = (
        sorted(changed(full))
        if full.before is not None and full.after is not None
        else sorted(full.after or full.before or {})
    )
    cells = [
        {"name": name, "before": (one.before or {}).get(name), "after": (one.after or {}).get(name)} for name in names
    ]
    return {
        "verb": one.verb,
        "table": one.table,
        "row": one.row_key,
        "cells": cells,
        "step": one.step,
        "handler": one.handler,
        "date": one.date,
    }


def _written(call: Call, entry: Entry, table: str, key: str) -> list[dict[str, Any]]:
    """Return what an event did to a row, the last first."""
    shown = entry if call.caller.unmasked else masked(entry)
    words = _words(call.runner.versions)
    found = []
    for full, one in zip(entry.operations, shown.operations, strict=True):
        if (one.table, one.row_key) == (table, key):
            step = {**_operation(full, one), "after": one.after, "doc": words.get((one.handler, str(one.date)), "")}
            found.append({**step, "event": _named(entry)})
    return found[::-1]


def _named(entry: Entry) -> dict[str, Any]:
    """Return what a link to an event says."""
    return {
        "id": entry.id,
        "seq": entry.seq,
        "kind": entry.kind,
        "outcome": entry.outcome,
        "actor": entry.actor.facts(),
        "occurred_at": entry.occurred_at,
        "version": entry.version,
    }


def _seen(shown: Entry) -> list[dict[str, Any]]:
    """Return what was seen, field by field: rows of records, or a value."""
    found = []
    for place, held in shown.snapshot.items():
        rows = held.get("rows", [])
        table = all(isinstance(one, Mapping) for one in rows)
        names = list(dict.fromkeys(name for one in rows for name in one)) if table else []
        found.append({"field": place, "names": names, "rows": rows, "records": table, "given": held.get("given", {})})
    return found


@lru_cache(8)
def _words(versions: Versions) -> dict[tuple[str, str], str]:
    """Return the first sentence of each handler of each date."""
    return {(one.dotted, str(one.day)): _first(one.doc) for one in versions.functions}


def _undated(title: str, day: str) -> str:
    return title.removeprefix(day).lstrip(": ")


def _first(doc: str) -> str:
    return " ".join(doc.strip().split("\n\n")[0].split())


def quoted(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")
