"""Who looked at whom: a look that somebody is about to take, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dateline.core.meta import Actor, Reason

__all__ = ["AUDIT", "Access", "Look"]

AUDIT = "audit"
"""The right to see who looked at whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What somebody is about to see.

    Args:
        actor: Who looks.
        door: Through what: "http", "live", "cli", or a word of the application's; at most twenty characters.
        view: What they see: "timeline", "event", "row", …; at most forty characters.
        subjects: Whom it shows; those of `event`, and whose personal values it holds, are added.
        event: The one event that is shown, where it is one.
        unmasked: Personal values are shown.
        outcome: "shown", or "denied" where a right is missing.
        reason: Why, where they say so.
    """

    actor: Actor
    door: str
    view: str
    tenant: str = ""
    subjects: tuple[str, ...] = ()
    event: UUID | None = None
    unmasked: bool = False
    outcome: str = "shown"
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One look of somebody's at one subject, as `Look` describes.

    Args:
        number: The place in the order of recording; the cursor of a list.
        at: When, by the database's clock.
    """

    number: int
    at: datetime
    tenant: str
    subject: str
    actor: Actor
    door: str
    view: str
    event: UUID | None
    unmasked: bool
    outcome: str
    reason: Reason | None

    def document(self) -> dict[str, Any]:
        """Return the access as an object, with keys that stay."""
        return {
            "number": self.number,
            "at": self.at,
            "subject": self.subject,
            "actor": self.actor.facts(),
            "door": self.door,
            "view": self.view,
            "event": self.event,
            "unmasked": self.unmasked,
            "outcome": self.outcome,
            "reason": None if self.reason is None else self.reason.facts(),
        }
