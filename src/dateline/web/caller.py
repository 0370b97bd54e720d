"""Who is on the other end of a connection, as the application knows them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from starlette.requests import HTTPConnection

from dateline.core.meta import Actor

__all__ = ["UNMASK", "Authenticate", "Caller", "called"]

UNMASK = "unmask"
"""The right to see personal values."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        actor: With their rights; "unmask" shows personal values.
        tenant: Whose data they see, and nobody else's.
        version: The date whose shapes and rules they have, unless a request names another; without it, the newest in force.
    """

    actor: Actor
    tenant: str = ""
    version: date | str | None = None

    @property
    def unmasked(self) -> bool:
        """Whether personal values are shown."""
        return UNMASK in self.actor.rights


Authenticate: TypeAlias = Callable[[HTTPConnection], Caller | Awaitable[Caller | None] | None]
"""Tells who is on the other end; None for nobody."""


async def called(authenticate: Authenticate, connection: HTTPConnection) -> Caller | None:
    """Return who is on the other end of a connection; None for nobody."""
    found = authenticate(connection)
    return await found if inspect.isawaitable(found) else found
