"""What a decision would see now: the same reading as a preview's, of an event of which only that much is known."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dateline.core.cascade import Cascade
from dateline.core.event import Event
from dateline.core.example import examples
from dateline.core.flow import allowed, meta_of
from dateline.core.outcome import State
from dateline.core.parse import partial
from dateline.core.request import Ending, Flow
from dateline.errors import DatelineError, Malformed
from dateline.run.path import Given, Path
from dateline.sql.dialect import question

__all__ = ["needed", "stating"]


def stating(path: Path, kind: str, known: Mapping[str, Any], given: Given) -> Flow[State]:
    """Read what a version would see of an event.

    Args:
        known: Fields of the event, as Python's values or as texts; those that no query asks for may be left out.

    Raises:
        Malformed: Where a field is missing by which something is read, or is none; naming each.
        Denied: Without the right that the kind requires; nothing is recorded, as of a preview.
    """
    version = path.versions.choose(given.get("version"), path.clock())
    cascade = path.versions.cascade(kind, version.date)
    event = partial(cascade.event, known)
    request = path.request(event, Ending.PREVIEW, given)
    allowed(cascade.event, request)
    event = event.with_meta(meta_of(request, version.date, request.at is not None))
    asked = _asking(cascade, event)
    seen = yield from path.store.read(cascade, asked, request, look=False, queue=False)
    return State(version=version.date, event=event, fields=cascade.fields, seen=seen.values)


def needed(cascade: Cascade) -> frozenset[str]:
    """Return the fields of the event without any of which nobody knows what a version would see."""
    event = cascade.event
    whole = next((_known(example) for example in examples(event)), {})
    found = set()
    for name in (name for name, info in event.model_fields.items() if info.is_required()):
        values = {other: value for other, value in whole.items() if other != name}
        try:
            _asking(cascade, event.model_construct(set(values), **values).stamped(at=_SOME, actor="somebody"))
        except Malformed as missing:
            found |= {path for path, _ in missing.problems}
    return frozenset(found)


_SOME = datetime(2000, 1, 1, tzinfo=UTC)
"""An instant at which nothing is asked."""


def _asking(cascade: Cascade, event: Event) -> Event:
    """Return an event that asks what this one would, whatever its missing fields turn out to be.

    Raises:
        Malformed: Where what is asked depends on one of them.
    """
    unknown = {
        name
        for name, info in cascade.event.model_fields.items()
        if info.is_required() and name not in event.model_fields_set
    }
    if not unknown:
        return event
    by_name = {
        path.partition(".")[0].partition(" ")[0]
        for one in cascade.fields
        if one.shape is None or one.shape[0] is cascade.event
        for path, _ in question(one).normal.given
    }
    others = [one for one in cascade.fields if one.shape is not None and one.shape[0] is not cascade.event]
    missing, found = by_name & unknown, event
    if others and not missing:
        # Asked in an older shape, which is made of all fields: what they may be must make no difference to what is asked.
        asking: dict[tuple[Any, ...], Event] = {}
        for example in examples(cascade.event):
            filled = cascade.event.model_construct(**{**example.__dict__, **_known(event)}).with_meta(event.meta)
            with contextlib.suppress(DatelineError):
                asking.setdefault(
                    tuple(repr(get(filled)) for one in others for _, get in question(one).normal.given), filled
                )
        if len(asking) == 1:
            [found] = asking.values()
        else:
            missing = unknown
    if missing:
        told = tuple((name, "is missing: something is read by it") for name in sorted(missing))
        raise Malformed(f"what {cascade.kind} would see depends on {', '.join(sorted(missing))} too", told)
    return found


def _known(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.model_fields_set}
