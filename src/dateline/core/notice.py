"""What the feed tells: an event that was committed, or what became of one of its effects since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dateline.core.entry import Entry

__all__ = ["Changed", "Notice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A delivery's new state.

    Args:
        key: The effect's place in the trail, `seq.ordinal`.
        effect: The effect's id, `kind` its kind, `step` the key of the step that it is.
        event: The event that wanted it, and `event_kind` that event's kind.
        state: The state from then on, `tries` how often it had been tried.
        detail: Why, where a try failed.
    """

    key: str
    effect: UUID
    kind: str
    step: str
    event: UUID
    event_kind: str
    state: str
    tries: int
    at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that happened, in the order in which it became visible.

    Args:
        position: Its dense place in that order, through all tenants.
        cursor: Pass it as `after=` to go on behind this.
        entry: The event, with its operations and effects; None where it is a change.
        change: What became of an effect; None where it is an event.
    """

    position: int
    cursor: str
    entry: Entry | None = None
    change: Changed | None = None
