"""One transaction over several events: all of them, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, Unpack

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from dateline.core.event import Event
from dateline.core.outcome import Committed, Preview
from dateline.core.request import Apart, Draft, Flow
from dateline.errors import Refused
from dateline.run.clock import Budget
from dateline.run.connection import AsyncConnection, Connection, async_drive, drive
from dateline.run.path import Given, Path
from dateline.sql.together import closing, opening, refused_inside

__all__ = ["AsyncTogether", "Together", "async_together", "together"]

R = TypeVar("R")


class Together:
    """One transaction over several events.

    Args:
        alone: Drives a flow on a connection of its own.
    """

    def __init__(self, path: Path, connection: Connection, alone: Callable[[Flow[Any]], Any]) -> None:
        self._path = path
        self._connection = connection
        self._alone = alone
        self._refused: list[Draft] = []

    def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Runner.dispatch`, within the transaction.

        Conflicts are raised, and refusals stay recorded whatever becomes of it.
        """
        return self._driven(self._path.dispatching(event, joined=True, **given))

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Runner.preview`, on what the transaction sees."""
        return self._driven(self._path.previewing(event, rehearse=rehearse, joined=True, **given))

    def _driven(self, flow: Flow[R]) -> R:
        return drive(flow, self._connection, Budget(self._path.settings.budget), self._apart)

    def _apart(self, apart: Apart) -> None:
        inside = refused_inside(self._path.store, apart.draft)
        if inside is None:
            self._alone(self._path.recording(apart.draft))
        else:
            self._refused.append(apart.draft)
            self._driven(inside)

    def _rolled_back(self) -> None:
        for draft in self._refused:
            self._alone(self._path.recording(draft))


@contextmanager
def together(
    path: Path, engine: Engine, session: Session | None, alone: Callable[[Flow[Any]], Any]
) -> Iterator[Together]:
    """Open a transaction, or join the session's; commit or roll back what was opened here."""
    own = session is None
    connection = Connection(engine, None if session is None else session.connection().connection.driver_connection)
    made = Together(path, connection, alone)
    try:
        made._driven(opening(path.store.dialect, own=own))
        connection.joined = True
        try:
            yield made
            connection.joined = not own
            made._driven(closing(own=own))
        except BaseException:
            connection.joined = not own
            connection.undo()
            made._rolled_back()
            raise
    finally:
        connection.close()


class AsyncTogether:
    """The same as `Together`, awaited.

    Args:
        alone: Drives a flow on a connection of its own.
    """

    def __init__(self, path: Path, connection: AsyncConnection, alone: Callable[[Flow[Any]], Awaitable[Any]]) -> None:
        self._path = path
        self._connection = connection
        self._alone = alone
        self._refused: list[Draft] = []

    async def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Together.dispatch`."""
        return await self._driven(self._path.dispatching(event, joined=True, **given))

    async def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Together.preview`."""
        return await self._driven(self._path.previewing(event, rehearse=rehearse, joined=True, **given))

    async def _driven(self, flow: Flow[R]) -> R:
        return await async_drive(flow, self._connection, Budget(self._path.settings.budget), self._apart)

    async def _apart(self, apart: Apart) -> None:
        inside = refused_inside(self._path.store, apart.draft)
        if inside is None:
            await self._alone(self._path.recording(apart.draft))
        else:
            self._refused.append(apart.draft)
            await self._driven(inside)

    async def _rolled_back(self) -> None:
        for draft in self._refused:
            await self._alone(self._path.recording(draft))


@asynccontextmanager
async def async_together(
    path: Path, engine: AsyncEngine, session: AsyncSession | None, alone: Callable[[Flow[Any]], Awaitable[Any]]
) -> AsyncIterator[AsyncTogether]:
    """As `together`."""
    own = session is None
    held = None if session is None else await (await session.connection()).get_raw_connection()
    connection = AsyncConnection(engine, held and held.driver_connection)
    made = AsyncTogether(path, connection, alone)
    try:
        await made._driven(opening(path.store.dialect, own=own))
        connection.joined = True
        try:
            yield made
            connection.joined = not own
            await made._driven(closing(own=own))
        except BaseException:
            connection.joined = not own
            await connection.undo()
            await made._rolled_back()
            raise
    finally:
        await connection.close()
