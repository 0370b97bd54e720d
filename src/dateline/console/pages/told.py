"""What is told of an event, on whatever page."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

from dateline.core.document import changed
from dateline.core.entry import Entry, Written
from dateline.core.mask import masked
from dateline.core.version import Versions
from dateline.web.call import Call
from dateline.web.view import viewed

__all__ = ["PAGE", "first", "named", "operation", "part", "told_of", "words"]

_GIST = 4
"""Fields that stand in an event's line."""

PAGE = 15
"""Events of one page: what a person reads through, and what fits into its weight."""


def told_of(call: Call, entry: Entry) -> dict[str, Any]:
    """Return an event as its caller may see it, with each step in its handler's own words."""
    unmask, doc_of = call.caller.unmasked, words(call.runner.versions)
    made = dict(viewed(entry, call.runner.versions, call.version.date, unmask=unmask))
    shown = entry if unmask else masked(entry)
    made["doc"] = first((type(entry.event).__doc__ or "") if entry.event is not None else "")
    made["gist"] = [(name, value) for name, value in (made["input"] or {}).items() if _tells(value, entry)][:_GIST]
    made["operations"] = [
        {**operation(full, one), "doc": doc_of.get((one.handler, str(one.date)), "")}
        for full, one in zip(entry.operations, shown.operations, strict=True)
    ]
    made["effects"] = [{**one, "doc": doc_of.get((one["handler"], str(one["date"])), "")} for one in made["effects"]]
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
