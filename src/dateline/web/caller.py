"""Who is on the other end of a connection, as the application knows them, and at which version they are."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from starlette.requests import HTTPConnection

from dateline.core.internal import bounded
from dateline.core.meta import Actor, Origin
from dateline.run.runner import AsyncRunner

__all__ = ["UNMASK", "Authenticate", "Caller", "Pins", "called"]

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


class Pins:
    """At which version callers are, asked for once a second: who is moved through another server is moved here no later than that."""

    FRESH = 1.0
    """Seconds."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner
        self._known: dict[tuple[str, str], tuple[float, date]] = {}

    async def of(self, caller: Caller, origin: Origin) -> date:
        """Return where a caller stands; at their first call they are pinned."""
        place = (caller.tenant, caller.name)
        asked, version = self._known.get(place, (0.0, date.min))
        now = time.monotonic()
        if now - asked < self.FRESH and version != date.min:
            return version
        pin = await self._runner.pinned(caller.name, actor=caller.actor, tenant=caller.tenant, origin=origin)
        self._known[place] = (now, pin.version)
        bounded(self._known, 10_000)
        return pin.version

    def forget(self, tenant: str, name: str) -> None:
        """Ask anew at the next call: somebody was moved."""
        self._known.pop((tenant, name), None)
