"""What a decision would see now: the same reading as a preview's, of an event of which only that much is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dateline.core.event import Event
from dateline.core.flow import allowed, meta_of
from dateline.core.outcome import State
from dateline.core.parse import partial
from dateline.core.request import Ending, Flow
from dateline.errors import Malformed
from dateline.run.path import Given, Path
from dateline.sql.dialect import question

__all__ = ["stating"]


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
    missing = _needed(cascade.event, cascade.fields) - event.model_fields_set - _defaulted(cascade.event)
    if missing:
        told = tuple((name, "is missing: something is read by it") for name in sorted(missing))
        raise Malformed(f"what {kind} would see depends on {', '.join(sorted(missing))} too", told)
    request = path.request(event, Ending.PREVIEW, given)
    allowed(cascade.event, request)
    event = event.with_meta(meta_of(request, version.date, request.at is not None))
    seen = yield from path.store.read(cascade, event, request, look=False, queue=False)
    return State(version=version.date, event=event, fields=cascade.fields, seen=seen.values)


def _needed(shape: type[Event], fields: Any) -> set[str]:
    """Return the event's fields by which something is read: of what is asked in an older shape, all."""
    found: set[str] = set()
    for one in fields:
        if one.shape is not None and one.shape[0] is not shape:
            return set(shape.model_fields)
        found |= {path.partition(".")[0].partition(" ")[0] for path, _ in question(one).normal.given}
    return found & shape.model_fields.keys()


def _defaulted(shape: type[Event]) -> set[str]:
    return {name for name, info in shape.model_fields.items() if not info.is_required()}
