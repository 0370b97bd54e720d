"""Effects that are not done, and what somebody does about one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from dateline.console.act import Filled
from dateline.console.pages.told import PAGE, named, told_of
from dateline.core.entry import Entry
from dateline.errors import Malformed
from dateline.run.act import ACTS, RIGHT, fitting
from dateline.run.path import Given
from dateline.sql.standing import Queued
from dateline.web.asked import uuid_of, word_of
from dateline.web.call import Answer, Call, Shows

__all__ = ["STATES", "effects", "step"]

STATES = ("held", "due", "waiting", "sending", "retrying", "unknown", "dead", "cancelled", "expired")
"""In which states an effect is that is not done."""


async def effects(call: Call) -> Answer:
    """Show effects that are not done, the oldest first: what each would send, why it is not done, and what can be done about it."""
    query = call.request.query_params
    state = word_of(call, "state", STATES) if query.get("state") else None
    kind, after, tenant = query.get("kind") or None, query.get("after") or None, call.caller.tenant
    asked = (state,) if state else ()
    found = await call.runner.effects(*asked, kind=kind, tenant=tenant, limit=PAGE + 1, after=after)
    shown, entries = found[:PAGE], {}
    for one in shown:
        if one.event not in entries:
            entries[one.event] = await call.runner.outcome(one.event, tenant=tenant, patience=timedelta(0))
    done = await _done(call, query.get("done", ""))
    told = {
        "filters": {"state": state, "kind": kind},
        "states": STATES,
        "may": RIGHT in call.caller.actor.rights,
        "effects": [_told(call, one, entry) for one in shown if (entry := entries[one.event]) is not None],
        "done": None if done is None else {**named(done), "effect": done.input["effect"], "of": done.input["of"]},
        "next": shown[-1].key if len(found) > PAGE else None,
    }
    read = [entry for entry in (*entries.values(), done) if entry is not None]
    about = dict.fromkeys(one for entry in read for one in entry.concerned)
    return Answer(told, Shows("effects", tuple(about)))


async def step(call: Call, form: Filled) -> Answer:
    """Retry, cancel or approve an effect; then lead back to the effects, where that is told."""
    key, how = str(call.request.path_params["key"]), form["act"]
    if how not in ACTS:
        raise Malformed(f"act is {' or '.join(ACTS)}", (("act", f"is {' or '.join(ACTS)}"),))
    work = {"approve": call.runner.approve, "retry": call.runner.retry, "cancel": call.runner.cancel}[how]
    given: Given = {**call.given(form.reason), "key": form.key}
    done = await work(key, **given)
    asked = {name: form[name] for name in ("state", "kind", "after") if form[name]}
    return Answer(
        {}, status=303, headers={"location": f"{call.base}/effects?{urlencode({**asked, 'done': done.event_id})}"}
    )


async def _done(call: Call, told: str) -> Entry | None:
    """Return what was done just now, as the trail has it."""
    id = uuid_of(told)
    if id is None:
        return None
    entry = await call.runner.outcome(id, tenant=call.caller.tenant, patience=timedelta(0))
    return entry if entry is not None and entry.kind in {act.__kind__ for act in ACTS.values()} else None


def _told(call: Call, one: Queued, entry: Entry) -> dict[str, Any]:
    """Return what is told of an effect, with its payload as the caller may see it."""
    [shown] = [each for each in told_of(call, entry)["effects"] if f"{entry.seq}.{each['ordinal']}" == one.key]
    return {
        **shown,
        "key": one.key,
        "state": one.state,
        "tries": one.tries,
        "due_at": one.due_at,
        "lane": one.lane,
        "detail": one.detail,
        "event": named(entry),
        "subjects": entry.subjects,
        "acts": fitting(one.state),
    }
