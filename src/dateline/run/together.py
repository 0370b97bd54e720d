"""One transaction over several events: all of them, or none."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.util import await_only

from dateline.core.draft import Draft
from dateline.core.event import Event
from dateline.core.outcome import Committed, Preview
from dateline.core.request import Apart, Flow
from dateline.errors import DatelineError, Refused
from dateline.run.clock import Budget
from dateline.run.connection import AsyncConnection, Connection, async_drive, drive
from dateline.run.path import Given, Path
from dateline.run.wire import idle
from dateline.sql.together import closing, opening, refused_inside

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

__all__ = ["AsyncTogether", "Together", "async_together", "together"]

R = TypeVar("R")


def _open(ended: bool) -> None:
    if ended:
        # It would take a connection of its own, and with it no part in any transaction.
        raise DatelineError(
            "the block of together() has ended, and its transaction with it; dispatch inside of the block"
        )


def _joinable(session: Any, module: str, *names: str) -> None:
    """Refuse what is no session of this runner's colour. Whoever has one has loaded its module; nobody else needs to."""
    kinds = tuple(getattr(sys.modules[module], name) for name in names) if module in sys.modules else ()
    if session is not None and not isinstance(session, kinds):
        raise TypeError(f"together() joins a {names[0]} of SQLAlchemy's, not {type(session).__name__}")


def _here(session: Any) -> Any:
    """Return a session itself, of a registry that gives each thread, or task, its own: what listens to the registry hears all of them."""
    return session.registry() if session is not None and hasattr(session, "registry") else session


def _after(session: Any, path: Path, again: Callable[[], object]) -> None:
    """Have waiters woken after a session's commit, and refusals recorded once more when its transaction has ended, in whatever way.

    A session that is closed, as where an exception leaves its block, ends without a word of a rollback; and one to a savepoint is no end.
    """
    joined: list[tuple[Path, Callable[[], object]]] | None = session.info.get(_JOINED)
    if joined is None:
        # Once for each session, which may live as long as its program: SQLAlchemy keeps listeners as long.
        joined = session.info[_JOINED] = []
        event.listen(session, "after_commit", lambda _: _rung(joined))
        event.listen(session, "after_transaction_end", lambda _, ended: _ended(joined, ended))
    joined.append((path, again))


_JOINED = "dateline.joined"


def _rung(joined: list[tuple[Path, Callable[[], object]]]) -> None:
    for path, _ in joined:
        path.bell.ring()


def _ended(joined: list[tuple[Path, Callable[[], object]]], ended: SessionTransaction) -> None:
    while joined and ended.parent is None:
        joined.pop(0)[1]()


def _unbegun(driver: Any) -> bool:
    """Tell whether a caller's transaction is yet to begin: psycopg begins it with the first statement that goes through it."""
    return isinstance(driver, psycopg.Connection | psycopg.AsyncConnection) and idle(driver)


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
        self.ended = False

    def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Runner.dispatch`, within the transaction.

        Conflicts are raised, and refusals stay recorded whatever becomes of it.
        """
        return self._driven(self._path.dispatching(event, given, joined=True))

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Runner.preview`, on what the transaction sees."""
        return self._driven(self._path.previewing(event, given, rehearse=rehearse, joined=True))

    def _driven(self, flow: Flow[R]) -> R:
        _open(self.ended)
        return drive(flow, self._connection, Budget(self._path.settings.budget), self._apart)

    def _apart(self, apart: Apart) -> None:
        inside = refused_inside(self._path.store, apart.draft)
        if inside is None:
            self._alone(self._path.recording(apart.draft))
        else:
            self._refused.append(apart.draft)
            self._driven(inside)

    def recorded_again(self) -> None:
        """Record once more the refusals that went down with the transaction."""
        while self._refused:
            self._alone(self._path.recording(self._refused.pop(0)))


@contextmanager
def together(
    path: Path, engine: Engine, session: Session | scoped_session[Session] | None, alone: Callable[[Flow[Any]], Any]
) -> Iterator[Together]:
    """Open a transaction, or join the session's; commit or roll back what was opened here."""
    own = session is None
    _joinable(session, "sqlalchemy.orm", "Session", "scoped_session")
    mine: Session | None = _here(session)
    held = None if mine is None else mine.connection()
    driver = held and held.connection.driver_connection
    if held is not None and _unbegun(driver):
        held.exec_driver_sql("SELECT 1")
    connection = Connection(engine, driver)
    made = Together(path, connection, alone)
    if mine is not None:
        _after(mine, path, made.recorded_again)
    try:
        # Only sqlite3 and aiosqlite tell it, and only they need it.
        made._driven(opening(path.store.dialect, own=own, idle=getattr(driver, "in_transaction", True) is False))
        connection.joined = True
        try:
            yield made
            connection.joined = not own
            made._driven(closing(own=own))
            if own:
                path.bell.ring()
        except BaseException:
            connection.joined = not own
            connection.undo()
            connection.close()
            if own:
                made.recorded_again()
            raise
    finally:
        made.ended = True
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
        self.ended = False

    async def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Together.dispatch`."""
        return await self._driven(self._path.dispatching(event, given, joined=True))

    async def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Together.preview`."""
        return await self._driven(self._path.previewing(event, given, rehearse=rehearse, joined=True))

    async def _driven(self, flow: Flow[R]) -> R:
        _open(self.ended)
        return await async_drive(flow, self._connection, Budget(self._path.settings.budget), self._apart)

    async def _apart(self, apart: Apart) -> None:
        inside = refused_inside(self._path.store, apart.draft)
        if inside is None:
            await self._alone(self._path.recording(apart.draft))
        else:
            self._refused.append(apart.draft)
            await self._driven(inside)

    async def recorded_again(self) -> None:
        """Record once more the refusals that went down with the transaction."""
        while self._refused:
            await self._alone(self._path.recording(self._refused.pop(0)))


@asynccontextmanager
async def async_together(
    path: Path,
    engine: AsyncEngine,
    session: AsyncSession | async_scoped_session[AsyncSession] | None,
    alone: Callable[[Flow[Any]], Awaitable[Any]],
) -> AsyncIterator[AsyncTogether]:
    """As `together`."""
    own = session is None
    _joinable(session, "sqlalchemy.ext.asyncio", "AsyncSession", "async_scoped_session")
    mine: AsyncSession | None = _here(session)
    held = None if mine is None else await mine.connection()
    driver = held and (await held.get_raw_connection()).driver_connection
    if held is not None and _unbegun(driver):
        await held.exec_driver_sql("SELECT 1")
    connection = AsyncConnection(engine, driver)
    made = AsyncTogether(path, connection, alone)
    if mine is not None:
        again = made.recorded_again
        # SQLAlchemy runs this hook inside its own coroutine bridge, which is how a plain function may wait here.
        _after(mine.sync_session, path, lambda: await_only(again()))
    try:
        await made._driven(opening(path.store.dialect, own=own, idle=getattr(driver, "in_transaction", True) is False))
        connection.joined = True
        try:
            yield made
            connection.joined = not own
            await made._driven(closing(own=own))
            if own:
                path.bell.ring()
        except BaseException:
            connection.joined = not own
            await connection.undo()
            await connection.close()
            if own:
                await made.recorded_again()
            raise
    finally:
        made.ended = True
        await connection.close()
