"""What an event would do, tried out: filled in, previewed against today's state, compared, and dispatched as exactly that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from dateline.console.act import Filled
from dateline.console.blank import Blank, blanks, body, faulty
from dateline.console.pages.told import words
from dateline.core.canon import plain
from dateline.core.catalogue import Explanation, explained
from dateline.core.decision import OPEN, Decided, Decision
from dateline.core.event import Event
from dateline.core.outcome import Preview
from dateline.core.snapshot import Record, row_of
from dateline.errors import Denied, Malformed, PreviewExpired, Refused, StaleSnapshot
from dateline.run.path import Given
from dateline.web.asked import date_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.problem import Explained, found
from dateline.web.view import looked_at, seen, stepped
from dateline.web.write import previewing

__all__ = ["dispatch", "preview", "sheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """A kind's form, with what was typed.

    Args:
        late: The form's time was over.
        other: The version to compare with; None where nothing is compared.
        problems: What is wrong, by field.
    """

    about: Explanation
    day: date
    blanks: tuple[Blank, ...]
    typed: Mapping[str, str]
    reason: str = ""
    late: bool = False
    other: date | None = None
    event: Event | None = None
    problems: Mapping[str, list[str]]

    def given(self, call: Call) -> Given:
        """Return what the runner is told."""
        return {**call.given(self.reason.strip() or None), "version": self.day}

    def document(self, call: Call, **more: Any) -> dict[str, Any]:
        """Return what its page is made of."""
        needs = self.about.requires
        return {
            "kind": self.about.kind,
            "version": self.day,
            "versions": [one.date for one in call.runner.versions.versions],
            "doc": self.about.doc,
            "requires": needs,
            "may": needs is None or needs in call.caller.actor.rights,
            "input": [
                {**asdict(one), "typed": self.typed.get(one.name, ""), "problems": self.problems.get(one.name, [])}
                for one in self.blanks
            ],
            "problems": self.problems.get("", []),
            "reason": self.reason,
            "late": self.late,
            "other": self.other,
            "refusal": None,
            "preview": None,
            "difference": None,
            **more,
        }


async def sheet(call: Call) -> Answer:
    """Show a kind's form, empty."""
    versions = call.runner.versions
    day = versions.asked(date_of(call, "version") or call.version.date).date
    made = _sheet(call, day, {})
    typed = {one.name: one.default or "" for one in made.blanks}
    return Answer(replace(made, typed=typed).document(call))


async def preview(call: Call, form: Filled) -> Answer:
    """Show what an event would do now, or how two versions differ about it; nothing is written."""
    made = _filled(call, form)
    if made.event is None:
        return Answer(made.document(call), status=403 if made.late else 400)
    return await _previewed(call, made, made.event)


async def dispatch(call: Call, form: Filled) -> Answer:
    """Commit exactly what was previewed, or nothing; where it would be another plan by now, show that."""
    made = _filled(call, form)
    if made.event is None:
        return Answer(made.document(call), status=403 if made.late else 400)
    try:
        given: Given = {
            **made.given(call),
            "expects": call.runner.promised(form["preview"]),
            "key": form.key,
        }
        done = await call.runner.dispatch(made.event, **given)
    except Denied as denied:
        raise Explained(denied, shows=Shows("preview", made.event.subjects, denied=True)) from None
    except (StaleSnapshot, PreviewExpired, Malformed) as refusal:
        return await _previewed(call, made, made.event, refusal)
    except Refused as refusal:
        return _refused(call, made, refusal, Shows("preview", made.event.subjects))
    return Answer({}, status=303, headers={"location": f"{call.base}/events/{done.event_id}"})


def _sheet(call: Call, day: date, typed: Mapping[str, str], **more: Any) -> _Sheet:
    about = explained(call.runner.versions, call.of, day)
    shape = call.runner.versions.cascade(call.of, day).event
    return _Sheet(about=about, day=day, blanks=blanks(shape, about.input), typed=typed, **{"problems": {}, **more})


def _filled(call: Call, form: Filled) -> _Sheet:
    """Return what was filled in, with the event where it is one."""
    versions = call.runner.versions
    day, other = _day(call, form["version"]), form["other"]
    typed = form.typed
    more = {
        "reason": form["reason"],
        "late": form.late,
        "other": _day(call, other) if form["do"] == "compare" and other else None,
    }
    made = _sheet(call, day, typed, **more)
    text, problems = body(made.blanks, typed)
    if made.late:
        return made
    if not problems:
        try:
            event = call.runner.event(call.of, text, version=versions.asked(day).date)
        except Malformed as error:
            problems = error.problems or (("", str(error)),)
        else:
            return replace(made, event=event)
    return replace(made, problems=faulty(problems, made.blanks))


def _day(call: Call, told: str) -> date:
    try:
        return call.runner.versions.asked(date.fromisoformat(told)).date
    except ValueError:
        raise Malformed("version is a date: 2018-08-01", (("version", "is a date: 2018-08-01"),)) from None


async def _previewed(
    call: Call, made: _Sheet, event: Event, before: StaleSnapshot | PreviewExpired | Malformed | None = None
) -> Answer:
    """Show what an event would do now.

    Args:
        before: Why what was shown before is not what is done.
    """
    stale = {} if before is None else {"stale": found(before).document}
    try:
        shown = await previewing(call, event, made.given(call))
    except Explained as error:
        if isinstance(error.refusal, Denied):
            raise
        return _refused(call, made, error.refusal, error.shows, **stale, **await _compared(call, made, event))
    told = {
        "event": shown.event_id,
        "expires_at": shown.expires_at,
        "promise": call.runner.promise(shown),
        "steps": _steps(call, shown),
        "seen": seen(shown, unmask=call.caller.unmasked),
    }
    more = await _compared(call, made, event)
    return Answer(
        made.document(call, preview=told, **stale, **more),
        Shows("preview", looked_at(shown)),
        status=200 if before is None else found(before).status,
    )


async def _compared(call: Call, made: _Sheet, event: Event) -> dict[str, Any]:
    if made.other is None:
        return {}
    difference = await call.runner.compare(event, made.day, made.other, **made.given(call))
    return {"difference": difference.document(call.runner.versions, unmask=call.caller.unmasked)}


def _refused(call: Call, made: _Sheet, refusal: Refused, shows: Shows | None, **more: Any) -> Answer:
    """Show why an event is refused, each reason at its field."""
    problem, doc_of = found(refusal), words(call.runner.versions)
    told = problem.document
    rejections = [{**one, "doc": doc_of.get((one["handler"], one["date"]), "")} for one in told.get("rejections", ())]
    at = [(one["field"], one["detail"]) for one in rejections if one["field"]]
    made = replace(made, problems=faulty(at, made.blanks))
    return Answer(made.document(call, refusal={**told, "rejections": rejections}, **more), shows, status=problem.status)


def _steps(call: Call, shown: Preview) -> list[dict[str, Any]]:
    """Return what would be done, with what changes of each row, and in whose words."""
    doc_of, unmask = words(call.runner.versions), call.caller.unmasked
    raw: dict[str, dict[str, Any]] = {}
    for values in shown.seen:
        for record in values:
            if isinstance(record, Record):
                held = {name: plain(getattr(record, name)) for name in type(record).model_fields}
                raw.setdefault(row_of(record), {}).update(held)
    told: dict[str, dict[str, Any]] = {}
    for field in seen(shown, unmask=unmask):
        for row in field.get("rows", ()):
            told.setdefault(row["row"], {}).update(row["values"])
    decision = Decision.made(shown.plan, shown.version, personal=call.runner.versions.personal)
    return [
        {
            **stepped(one, unmask=unmask),
            "doc": doc_of.get((one.handler, one.date), ""),
            "cells": _cells(one, stepped(one, unmask=unmask)["values"], raw, told),
        }
        for one in decision.steps
    ]


def _cells(
    one: Decided, after: Mapping[str, Any], raw: Mapping[str, Mapping[str, Any]], told: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the columns that a step changes, before and after; of a row that nobody saw, after alone."""
    row = f"{one.of}/{one.row}"
    was, shown = raw.get(row, {}), told.get(row, {})
    names = shown if one.sort == "delete" else after
    return [
        {
            "name": name,
            "before": shown.get(name),
            "known": name in shown,
            "after": after.get(name),
            "open": one.values.get(name) is OPEN,
        }
        for name in names
        if one.sort != "update" or name not in was or was[name] != one.values[name]
    ]
