"""The routes that tell what a version knows, what a form would see, who is at which version, and what changed."""

from __future__ import annotations

import contextlib
from typing import Any

from dateline.core.catalogue import explained
from dateline.core.history import chapters
from dateline.core.pin import RIGHT, Pin, PinCaller
from dateline.core.tally import Tally
from dateline.errors import Denied, Malformed
from dateline.web.asked import Moving, date_of, number_of, read, reason_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.openapi import described
from dateline.web.problem import Explained
from dateline.web.view import fingerprinted, impacted, looked_at, seen

__all__ = ["changelog", "kind", "kinds", "openapi", "pin", "state", "versions"]

MOST = 1000
"""Events of which the impact of a version is told."""


async def kinds(call: Call) -> Answer:
    """Tell which kinds of events the version knows."""
    found = []
    for name in call.runner.versions.kinds:
        with contextlib.suppress(Malformed):
            one = explained(call.runner.versions, name, call.version.date)
            found.append({"kind": name, "shape": one.shape, "requires": one.requires, "doc": one.doc})
    return Answer({"version": call.version.date, "kinds": found})


async def kind(call: Call) -> Answer:
    """Tell everything that the version says of a kind; `?version=` names another than the caller's."""
    return Answer(_unplaced(explained(call.runner.versions, call.of, _named(call)).document()))


def _unplaced(told: Any) -> Any:
    """Return what is told of a kind without where its code lies, which is the server's own business."""
    if isinstance(told, dict):
        return {name: _unplaced(value) for name, value in told.items() if name not in ("file", "line")}
    return [_unplaced(value) for value in told] if isinstance(told, list | tuple) else told


async def state(call: Call) -> Answer:
    """Show what an event of a kind would see now, with fingerprints; the query names its fields."""
    query = call.request.query_params
    twice = [name for name in query if len(query.getlist(name)) > 1]
    if twice:
        raise Malformed(f"{twice[0]} is there twice", ((twice[0], "is there twice"),))
    given = call.given()
    given["version"] = call.version.date
    try:
        found = await call.runner.state(call.of, dict(query), **given)
    except Denied as denied:
        raise Explained(denied, shows=Shows("state", _about(call), denied=True)) from None
    told = {
        "kind": call.of,
        "version": found.version,
        "seen": seen(found, unmask=call.caller.unmasked),
        "fingerprints": fingerprinted(found, unmask=call.caller.unmasked),
    }
    return Answer(told, Shows("state", looked_at(found)))


def _about(call: Call) -> tuple[str, ...]:
    """Return whom a query is about, as far as it says so."""
    found = []
    for template in call.runner.versions.cascade(call.of, call.version.date).event.__subjects__:
        with contextlib.suppress(KeyError, AttributeError, IndexError, ValueError):
            found.append(template.format_map(dict(call.request.query_params)))
    return tuple(found)


async def versions(call: Call) -> Answer:
    """Tell which versions there are, where callers are pinned, and with `?impact=`, a number of events, what the newest would change.

    Without the right "pin", callers are told of themselves alone.
    """
    runner, tenant = call.runner, call.caller.tenant
    told = [
        {
            "version": one.date,
            "title": one.title,
            "deprecated": one.deprecated,
            "sunset": one.sunset,
            "retired": one.retired,
        }
        for one in runner.versions.versions
    ]
    every = RIGHT in call.caller.actor.rights
    pins = [pin for pin in await runner.pins(tenant=tenant) if every or pin.caller == call.caller.name]
    events = number_of(call, "impact", 0, (0, MOST))
    found = await runner.impact(tenant=tenant, events=events) if events else {}
    newest = runner.versions.choose(None, runner.clock()).date
    document = {
        "version": call.version.date,
        "newest": newest,
        "versions": told,
        "pins": [_pinned(call, pin, found.get(pin.caller, Tally()) if events else None) for pin in pins],
    }
    return Answer(document)


def _pinned(call: Call, pin: Pin, impact: Tally | None) -> dict[str, Any]:
    """Return where a caller stands, and how far that is from the newest."""
    ahead = [one.date for one in call.runner.versions.versions if pin.version < one.date]
    told = {**pin.document(), "behind": len([day for day in ahead if day <= _newest(call)])}
    if impact is None:
        return told
    return told | {"impact": impacted(impact)}


def _newest(call: Call) -> Any:
    return call.runner.versions.choose(None, call.runner.clock()).date


async def pin(call: Call) -> Answer:
    """Move a caller to another version: an event, for those with the right "pin"."""
    asked = await read(call, Moving)
    name = call.request.path_params["caller"]
    done = await call.runner.pin(name, asked.version, **call.given(reason_of(asked.reason)))
    assert isinstance(done.event, PinCaller)
    return Answer({"caller": name, "version": done.event.version, "event": done.event_id, "seq": done.seq})


async def changelog(call: Call) -> Answer:
    """Tell what each version changed, as a machine finds it; with `?since=`, from that date on."""
    return Answer({"versions": [one.document() for one in chapters(call.runner.versions, date_of(call, "since"))]})


async def openapi(call: Call) -> Answer:
    """Describe the API under a version: the request's, or the one that `?version=` names."""
    version = call.runner.versions.asked(_named(call))
    return Answer(described(call.runner.versions, version, base=call.base))


def _named(call: Call) -> Any:
    return date_of(call, "version") or call.version.date
