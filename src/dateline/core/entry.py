"""One event as the trail holds it, with everything that followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from dateline.core.event import Event
from dateline.core.later import Later
from dateline.core.meta import Actor, Meta, Reason
from dateline.core.outcome import Performed, Wrote, refusal_of
from dateline.errors import Refused, Rejected, Rejection

__all__ = ["Entry", "Page", "Written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Wrote):
    """One operation with the whole row before and after it.

    Args:
        merged: All steps that it is made of, as (step key, handler, date), where there are several; it is named by the last.
        declared: The columns that the steps named, with their values.
        before: The row as it was, by column; None for an insert.
        after: The row as the database left it; None for a delete.
    """

    merged: tuple[tuple[str, str, str], ...] = ()
    declared: Mapping[str, Any]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Later):
    """One event of the trail.

    What its columns do not tell is read when it is asked for: a timeline is shown without opening every snapshot. Where somebody has
    changed the record so that a part cannot be read, asking for that part raises `TrailFault`.

    Args:
        seq: The place in the order of writing.
        position: The dense place in the feed; None until the sequencer has passed.
        shape: The date of the event's class when it arrived.
        event: The event, typed, with its meta; None where no version at hand knows its kind or shape.
        input: What was asked, by field.
        snapshot: What was seen: rows by the field that asked for them.
        decision: The outcome, and for a refusal what is known of it.
        personal: Where in it personal values stand, as JSON pointers that begin with the part: `/input/name`.
        erased: Where of those the value was erased since.
        conflicts: How many decisions came to nothing before this one, as another writer was first.
        owners: Whose they are: also of whom the event is not about, and whose rows it saw or wrote.
    """

    seq: int
    position: int | None
    id: UUID
    tenant: str
    kind: str
    version: date | None
    shape: date | None
    cascade: str
    actor: Actor
    reason: Reason | None
    occurred_at: datetime
    recorded_at: datetime
    outcome: str
    meta: Meta
    event: Event | None
    input: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    decision: Mapping[str, Any]
    operations: tuple[Written, ...]
    effects: tuple[Performed, ...]
    subjects: tuple[str, ...]
    personal: frozenset[str]
    erased: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    conflicts: int = 0

    @property
    def concerned(self) -> tuple[str, ...]:
        """Whose data stands in it: whom it is about, and whose personal values it holds."""
        return tuple(dict.fromkeys((*self.subjects, *sorted(self.owners))))

    @property
    def refusal(self) -> Refused | None:
        """The refusal that was recorded; None for a committed event."""
        if self.outcome == "committed":
            return None
        made = refusal_of(self.outcome, self.decision.get("refusal", {}))
        made.event_id = str(self.id)
        return made

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """Why checks refused the event; empty where they did not."""
        refusal = self.refusal
        return refusal.rejections if isinstance(refusal, Rejected) else ()


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, and where to go on.

    Args:
        next: The cursor to pass as `after=`; None at the end.
    """

    entries: tuple[Entry, ...]
    next: int | None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self.entries[index]
