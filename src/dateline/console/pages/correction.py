"""An event is made what another version makes of it, or what should have been entered: item by item, as somebody chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any, TypeAlias

from dateline.console.act import Filled
from dateline.core import effective
from dateline.core.correction import Correction
from dateline.core.diff import Diff
from dateline.errors import ConstraintRefused, Denied, DependedOn, Malformed, NotCorrectable, StaleDiff
from dateline.web.again import correcting
from dateline.web.asked import Correcting, date_of, id_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.problem import Explained, found

__all__ = ["Sheet", "chosen", "correct", "performed", "sheet"]


Sheet: TypeAlias = Callable[..., Awaitable[Answer]]
"""Makes the page that a correction is chosen on, of what is asked, and what is wrong with it."""


async def sheet(call: Call) -> Answer:
    """Show what correcting an event would do, item by item; nothing is written."""
    return await _sheet(call, _asked(call, date_of(call, "version")))


async def correct(call: Call, form: Filled) -> Answer:
    """Perform what was chosen, on exactly the correction that was shown; then lead back to the event."""
    return await performed(call, form, _asked(call, _date(form["version"])), partial(_sheet, call))


async def performed(call: Call, form: Filled, asked: Correcting, sheet: Sheet) -> Answer:
    """Perform what a form says of a correction; where it cannot be, show the sheet again, with why."""
    asked = asked.model_copy(
        update={
            "preview": False,
            "number": _number(form["number"]),
            "items": form.all("item"),
            "admit": form["admit"] == "yes",
            "revoke": form["revoke"] == "yes",
            "reason": form.reason,
        }
    )
    problems = {} if asked.reason else {"reason": "say why: it is recorded"}
    problems |= {} if asked.items else {"items": "choose at least one"}
    if problems:
        return await sheet(asked, status=400, problems=problems)
    try:
        _, done = await correcting(call, asked, key=form.key)
    except Denied as denied:
        raise Explained(denied, shows=Shows("correction", event=id_of(call), denied=True)) from None
    except (StaleDiff, DependedOn, NotCorrectable, ConstraintRefused, Malformed) as error:
        if await _before(call, form.key):
            return _back(call)
        problem = found(error)
        return await sheet(asked, status=problem.status, refusal=problem.document)
    if done.event_id is None:
        return await sheet(asked, status=409, problems={"admit": "nothing was performed; say that it may"})
    return _back(call)


def _asked(call: Call, version: date | None) -> Correcting:
    newest = call.runner.versions.choose(None, call.runner.clock()).date
    return Correcting(version=version or newest, preview=True)


async def _before(call: Call, key: str) -> bool:
    """Tell whether this very form came before, and was performed."""
    entry = await call.runner.outcome(key, tenant=call.caller.tenant, patience=timedelta(0))
    return entry is not None and entry.outcome == "committed"


def _back(call: Call) -> Answer:
    return Answer({}, status=303, headers={"location": f"{call.base}/events/{id_of(call)}"})


def _date(told: str) -> date:
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise Malformed("version is a date: 2018-08-01", (("version", "is a date: 2018-08-01"),)) from None


def _number(told: str) -> int:
    if not (told.isascii() and told.isdigit() and len(told) < 10):
        raise Malformed("number is that of the correction", (("number", "is that of the correction"),))
    return int(told)


async def _sheet(
    call: Call,
    asked: Correcting,
    *,
    status: int = 200,
    problems: Mapping[str, str] | None = None,
    refusal: Mapping[str, Any] | None = None,
) -> Answer:
    told, about = await chosen(call, asked)
    told |= {
        "version": asked.version,
        "versions": [one.date for one in call.runner.versions.versions],
        "problems": problems or {},
        "refusal": refusal,
    }
    return Answer(told, Shows("correction", about, id_of(call)), status=status)


async def chosen(call: Call, asked: Correcting) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what would be corrected, with what was chosen and typed on the page before, and whom that is about."""
    before = None if asked.preview else set(asked.items or ())
    shown = {"preview": True, "items": None, "number": None, "reason": None, "admit": False, "revoke": False}
    difference, made = await correcting(call, asked.model_copy(update=shown))
    told = {
        **difference.document(call.runner.versions, unmask=call.caller.unmasked),
        "items": _items(call, difference, made, before),
        "number": made.number,
        "needs": made.needs,
        "readers": made.readers,
        "may": effective.RIGHT in call.caller.actor.rights,
        "reason": asked.reason or "",
        "allowed": asked.admit or asked.revoke,
    }
    return told, difference.about


def _items(call: Call, difference: Diff, made: Correction, before: set[str] | None) -> list[dict[str, Any]]:
    """Return each difference with what would become of it, and whether it is chosen."""
    shown = difference.document(call.runner.versions, unmask=call.caller.unmasked)["items"]
    told = {(one["key"], one["change"]): one for one in shown}
    return [
        {
            **told.get((one.key, one.item.change), {"cells": [], "before": [], "after": []}),
            "key": one.key,
            "change": one.item.change,
            "of": one.item.shown.of,
            "status": one.status,
            "detail": one.detail,
            "performed": one.performed,
            "conflicts": sorted(name for verdict in one.verdicts for name in verdict.conflicts),
            "later": [{"id": each.id, "seq": each.seq} for verdict in one.verdicts for each in verdict.later],
            "chosen": one.performed and (before is None or one.key in before),
        }
        for one in made.items
    ]
