"""At which version a caller stays until somebody moves them: each pin is an event, and the newest one counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.meta import Actor

__all__ = ["RIGHT", "Pin", "PinCaller", "subject_of"]

RIGHT = "pin"
"""The right to move a caller to another version, and to see where all of them are."""


class PinCaller(Event, kind="caller.pin", requires=RIGHT, subjects=("caller:{caller}",)):
    """A caller has the shapes and rules of a version from now on.

    Args:
        version: Which one; `before` the one until now, None for a first pin.
    """

    caller: Annotated[str, Field(min_length=1, max_length=300)]
    version: date
    before: date | None = None


def subject_of(caller: str) -> str:
    """Return the subject that pins of a caller are about."""
    return f"caller:{caller}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Where a caller stands.

    Args:
        event: The event that put them there; `since` when, `by` who did so.
    """

    caller: str
    version: date
    since: datetime
    event: UUID
    by: Actor

    @classmethod
    def of(cls, entry: Entry) -> Pin:
        """Return the pin that an entry records."""
        return cls(
            caller=entry.input["caller"],
            version=date.fromisoformat(entry.input["version"]),
            since=entry.recorded_at,
            event=entry.id,
            by=entry.actor,
        )

    def document(self) -> dict[str, Any]:
        """Return the pin as an object, with keys that stay."""
        return {
            "caller": self.caller,
            "version": self.version,
            "since": self.since,
            "event": self.event,
            "by": self.by.id,
        }
