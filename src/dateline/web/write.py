"""The routes that dispatch and preview."""

from __future__ import annotations

from collections.abc import Mapping

from dateline.core.event import Event
from dateline.core.model import personal_fields
from dateline.core.outcome import Preview
from dateline.core.promise import Promise
from dateline.errors import Denied, Malformed, Refused, StaleSnapshot
from dateline.run.path import Given
from dateline.web.asked import key_of, kind_of, read_event, reason_of, word_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.caller import UNMASK
from dateline.web.problem import Explained
from dateline.web.view import committed, fingerprinted, looked_at, previewed

__all__ = ["dispatch", "preview", "previewing"]


async def dispatch(call: Call) -> Answer:
    """Commit an event."""
    kind_of(call)
    key = key_of(call)
    event, given = await _asked(call)
    given["key"] = key
    try:
        done = await call.runner.dispatch(event, **given)
    except StaleSnapshot as stale:
        raise await _anew(call, event, stale) from None
    return Answer(committed(done), status=201, headers={"location": f"{call.base}/events/{done.event_id}"})


async def preview(call: Call) -> Answer:
    """Tell what an event would do, and write nothing."""
    rehearse = word_of(call, "rehearse", ("0", "1")) == "1"
    event, given = await _asked(call)
    made = await previewing(call, event, given, rehearse=rehearse)
    told = previewed(made, call.runner.promise(made), call.runner.versions, unmask=call.caller.unmasked)
    return Answer(told, Shows("preview", looked_at(made)))


async def previewing(call: Call, event: Event, given: Given, *, rehearse: bool = False) -> Preview:
    """Return what an event would do.

    Raises:
        Explained: With the refusal, and whose data it tells of.
    """
    made = await call.runner.preview(event, rehearse=rehearse, **given)
    if isinstance(made, StaleSnapshot):
        raise await _anew(call, event, made)
    if isinstance(made, Refused):
        raise Explained(made, shows=Shows("preview", event.subjects, denied=isinstance(made, Denied)))
    return made


async def _asked(call: Call) -> tuple[Event, Given]:
    """Return the event that a body describes, and what it is told beside it."""
    asked, event = await read_event(call)
    if asked.preview is not None and asked.expects is not None:
        raise Malformed(
            "a preview says what it expects; send preview or expects", (("expects", "is there with preview"),)
        )
    expects = asked.expects if asked.preview is None else call.runner.promised(asked.preview)
    if isinstance(expects, Promise) and asked.at is not None and (not expects.late or expects.at != asked.at):
        raise Malformed("the preview is of another instant; leave at out, or preview again", (("at", "was another"),))
    if asked.expects is not None and not call.caller.unmasked:
        _unguessed(call, event, asked.expects)
    given = call.given(reason_of(asked.reason))
    return event, {**given, "version": call.version.date, "at": asked.at, "cause": asked.cause, "expects": expects}


def _unguessed(call: Call, event: Event, expects: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse fingerprints of what the caller may not see: whether one still holds tells whether a guess is right.

    Raises:
        Explained: With the refusal; the try is an access.
    """
    for one in call.runner.versions.cascade(event.__kind__, call.version.date).fields:
        if one.record is None or one.table is None:
            continue
        hidden = personal_fields(one.record)
        for row, cells in expects.items():
            if row.startswith(f"{one.table.name}/") and not hidden.isdisjoint(cells):
                denied = Denied(
                    f"{call.caller.actor.id} lacks the right {UNMASK!r}, by which {row} is compared", right=UNMASK
                )
                raise Explained(denied, shows=Shows("fingerprint", event.subjects, denied=True))


async def _anew(call: Call, event: Event, stale: StaleSnapshot) -> Explained:
    """Return the refusal with what the rows are like now, so that a client can show both and ask again."""
    known = {name: getattr(event, name) for name in type(event).model_fields}
    given: Given = {**call.given(), "version": call.version.date}
    found = await call.runner.state(event.__kind__, known, **given)
    rows = {one.row for one in stale.differences}
    told = fingerprinted(found, unmask=call.caller.unmasked)
    fresh = {row: cells for row, cells in told.items() if row in rows}
    return Explained(stale, {"fingerprints": fresh}, Shows("stale", looked_at(found)))
