"""Who is on the other end of a connection, as the application knows them."""

from __future__ import annotations

from dataclasses import dataclass

from dateline.core.meta import Actor

__all__ = ["UNMASK", "Caller"]

UNMASK = "unmask"
"""The right to see personal values."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        actor: With their rights; "unmask" shows personal values.
        tenant: Whose data they see, and nobody else's.
    """

    actor: Actor
    tenant: str = ""

    @property
    def unmasked(self) -> bool:
        """Whether personal values are shown."""
        return UNMASK in self.actor.rights
