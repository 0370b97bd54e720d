"""Who is on the other end of a connection, as the application knows them, and at which version they are."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from dateline.core.meta import Actor

__all__ = ["UNMASK", "Authenticate", "Caller", "called", "same_host"]

UNMASK = "unmask"
"""The right to see personal values."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        actor: With their rights; "unmask" shows personal values.
        tenant: Whose data they see, and nobody else's.
        version: The date whose shapes and rules they have, for applications that keep it themselves. Without it they are pinned at their
            first call to the newest in force, and stay there until somebody moves them.
        client: The program that calls, under whose name they are pinned; without it each actor is pinned by themselves.
    """

    actor: Actor
    tenant: str = ""
    version: date | str | None = None
    client: str | None = None

    @property
    def name(self) -> str:
        """Under which they are pinned."""
        return self.client or self.actor.id

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


def same_host(connection: HTTPConnection) -> bool:
    """Tell whether no page of another host asks: browsers send cookies along to whatever host a page names, and say whose page it is."""
    origin = connection.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == connection.headers.get("host", "")
    except ValueError:
        return False
