"""What is told of an event, on whatever page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from dateline.core.document import changed
from dateline.core.entry import Entry, Written
from dateline.core.mask import masked
from dateline.core.version import Versions
from dateline.sql.standing import Tried
from dateline.web.call import Call
from dateline.web.view import viewed

__all__ = ["PAGE", "all_told", "first", "named", "operation", "part", "told_of", "words"]

_DAY = re.compile(r"\bv(\d{4})_(\d\d)_(\d\d)\b")
"""The folder of a version, in the name of what stands there."""

_GIST = 4
"""Fields that stand in an event's line."""

PAGE = 15
"""Events of one page: what a person reads through, and what fits into its weight."""


async def all_told(call: Call, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return events as their caller may see them: what was asked, seen and decided, in the handlers' own words, and what became of it."""
    sending = [entry.seq for entry in entries if entry.effects]
    tries = await call.runner.attempts(*sending, tenant=call.caller.tenant) if sending else ()
    return [told_of(call, entry, [one for one in tries if one.seq == entry.seq]) for entry in entries]


def told_of(call: Call, entry: Entry, tries: Sequence[Tried] = ()) -> dict[str, Any]:
    """Return an event as its caller may see it.

    Args:
        tries: To deliver its effects.
    """
    unmask, doc_of = call.caller.unmasked, words(call.runner.versions)
    made = dict(viewed(entry, call.runner.versions, call.version.date, unmask=unmask))
    shown = entry if unmask else masked(entry)
    made["doc"] = first((type(entry.event).__doc__ or "") if entry.event is not None else "")
    made["gist"] = [(name, value) for name, value in (made["input"] or {}).items() if _tells(value, entry)][:_GIST]
    made["operations"] = [
        {**operation(full, one), "doc": doc_of.get((one.handler, str(one.date)), "")}
        for full, one in zip(entry.operations, shown.operations, strict=True)
    ]
    made["effects"] = [
        {
            **one,
            "doc": doc_of.get((one["handler"], str(one["date"])), ""),
            "tries": [asdict(each) for each in tries if each.ordinal == one["ordinal"]],
        }
        for one in made["effects"]
    ]
    made["conflicts"] = entry.conflicts
    made["seen"] = _seen(shown)
    made["rejections"] = [
        {
            "code": one.code,
            "detail": one.detail,
            "field": one.field,
            "handler": one.handler,
            "date": one.date,
            "doc": doc_of.get((one.handler, one.date), ""),
        }
        for one in entry.rejections
    ]
    return made


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


def _tells(value: Any, entry: Entry) -> bool:
    """Tell whether a value says something in a line that its subjects' names do not."""
    return (
        isinstance(value, str | int | float)
        and value != ""
        and str(value) not in entry.subjects
        and not any(one.endswith(f":{value}") for one in entry.subjects)
    )


def operation(full: Written, one: Written) -> dict[str, Any]:
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


def named(entry: Entry) -> dict[str, Any]:
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


@lru_cache(8)
def words(versions: Versions) -> dict[tuple[str, str], str]:
    """Return the first sentence of each handler of each date."""
    return {(one.dotted, str(one.day)): first(one.doc) for one in versions.functions}


def part(one: object) -> str:
    """Return what stands for something in an address; it stays readable: patient:42."""
    return quote(str(one), safe=":@")


def first(doc: str) -> str:
    """Return the first paragraph of a docstring, as one line."""
    return " ".join(doc.strip().split("\n\n")[0].split())
