"""Executing batches: the same few lines in two colours, over psycopg and sqlite3, on the drivers' own connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.util import greenlet_spawn

from dateline.core.request import Apart, Flow, Pause
from dateline.errors import DatelineError, Lost, Unreachable
from dateline.run.clock import Budget
from dateline.run.fault import DRIVER, told
from dateline.run.pool import AsyncSessions, Sessions
from dateline.run.wire import idle, wire_of
from dateline.sql.statement import Batch, Result, Statement

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["AsyncConnection", "AsyncDriver", "Connection", "Driver", "async_drive", "drive"]

R = TypeVar("R")


class Driver(Protocol):
    """Executes batches."""

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch and return a result for each statement."""
        ...

    def rest(self) -> None:
        """Let others have the connection until the next batch."""
        ...


class AsyncDriver(Protocol):
    """Executes batches."""

    async def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch and return a result for each statement."""
        ...

    async def rest(self) -> None:
        """Let others have the connection until the next batch."""
        ...


def _never(apart: Apart) -> None:
    raise TypeError(f"this flow records nothing, not {apart!r}")


def drive(flow: Flow[R], driver: Driver, budget: Budget, apart: Callable[[Apart], None] = _never) -> R:
    """Carry a flow to its end: execute its batches, wait its pauses.

    Args:
        apart: What records a refusal; without it, a flow that has one to record is at fault.
    """
    answer: Any = None
    step = flow.send
    while True:
        try:
            wanted = step(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped here
        step = flow.send
        try:
            if type(wanted) is Batch:
                answer = driver.execute(wanted)
            elif isinstance(wanted, Pause):
                if wanted.idle:
                    driver.rest()
                time.sleep(budget.pause(wanted.tries, brief=wanted.brief))
                answer = None
            else:
                apart(wanted)
                answer = None
        except BaseException as error:  # noqa: BLE001 - an interrupt too: the flow may hold a turn that others wait for
            step, answer = flow.throw, error


async def async_drive(flow: Flow[R], driver: AsyncDriver, budget: Budget, apart: Callable[[Apart], Any]) -> R:
    """Carry a flow to its end: execute its batches, wait its pauses."""
    answer: Any = None
    step = flow.send
    while True:
        try:
            wanted = step(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped here
        step = flow.send
        try:
            if type(wanted) is Batch:
                answer = await driver.execute(wanted)
            elif isinstance(wanted, Pause):
                if wanted.idle:
                    await driver.rest()
                await asyncio.sleep(budget.pause(wanted.tries, brief=wanted.brief))
                answer = None
            else:
                await apart(wanted)
                answer = None
        except BaseException as error:  # noqa: BLE001 - an interrupt too: the flow may hold a turn that others wait for
            step, answer = flow.throw, error


def _open(driver: Any) -> bool:
    """Tell whether a session is in a transaction, or not to be asked."""
    if isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
        return not idle(driver)
    return bool(driver.in_transaction)


class Connection:
    """One checked-out connection, taken when it is first needed and replaced when it is lost.

    Args:
        joined: A driver's connection inside a transaction of the caller's, which is neither ended nor given back here.
    """

    def __init__(self, engine: Engine | None, joined: Any = None) -> None:
        self._engine = engine
        self._held: Any = None
        self._driver: Any = joined
        self._once = False
        self.joined = joined is not None

    def _taken(self) -> Any:
        if self._driver is None:
            assert self._engine is not None
            pool: Any = self._engine.pool
            self._held = (pool.take() if isinstance(pool, Sessions) else None) or self._engine.raw_connection()
            self._driver = self._held.driver_connection
            self._once = True
        return self._driver

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch in one round trip."""
        try:
            driver = self._taken()
        except Exception as error:
            raise _unreachable(error, self._once) from error
        statement: Statement | None = None
        try:
            if isinstance(driver, psycopg.Connection):
                return driver.wait(wire_of(driver).exchange(batch))
            results, cursor = [], driver.cursor()
            try:
                for statement in batch.statements:
                    cursor.execute(statement.sql, statement.params)
                    results.append(Result(cursor.fetchall(), cursor.rowcount))
            finally:
                # Left open, an error's traceback would keep it until Python collects garbage: that stops every thread until SQLite lets
                # go of this session, and this session may be waiting for one of those threads.
                cursor.close()
            return results
        except DatelineError as error:
            self._settled(error)
            raise
        except DRIVER as error:
            found = told(error, statement)
            self._settled(found)
            if found is error:
                raise
            raise found from error
        except BaseException:
            # An interrupt in the middle leaves a session of unknown state: it must not go back to the pool.
            self._settled(Lost("interrupted"))
            raise

    def _settled(self, found: Exception) -> None:
        """Leave no transaction behind; a lost connection is given up and the next batch takes another."""
        if self.joined:
            return
        if isinstance(found, Lost):
            self._dropped()
        else:
            self.undo()

    def undo(self) -> None:
        """Roll back what is open; a session that cannot is given up."""
        if self.joined or self._driver is None:
            return
        try:
            self._driver.rollback()
        except DRIVER:
            self._dropped()

    def _dropped(self) -> None:
        if self._held is not None:
            self._held.invalidate()
        self._held = self._driver = None

    def discard(self) -> None:
        """Give the session up: after an interrupt nobody knows what it holds."""
        if not self.joined:
            self._dropped()

    def rest(self) -> None:
        """As `Driver.rest`; what is the caller's stays theirs."""
        if not self.joined:
            self.close()

    def close(self) -> None:
        """Give the connection back, with nothing open: the pool resets nothing."""
        if self._held is not None and _open(self._driver):
            self.undo()
        held, self._held, self._driver = self._held, None, None
        if held is None:
            return
        pool: Any = self._engine and self._engine.pool
        if not (isinstance(pool, Sessions) and pool.keep(held)):
            held.close()


class AsyncConnection:
    """The same as `Connection`, awaited."""

    def __init__(self, engine: AsyncEngine | None, joined: Any = None) -> None:
        self._engine = engine
        self._held: Any = None
        self._driver: Any = joined
        self._once = False
        self.joined = joined is not None

    async def _taken(self) -> Any:
        if self._driver is None:
            assert self._engine is not None
            # From the pool itself: SQLAlchemy's own asynchronous connection takes five times as long, and nothing of it is used here.
            made = self._engine.sync_engine
            pool: Any = made.pool
            held = pool.take() if isinstance(pool, AsyncSessions) else None
            self._held = held or await greenlet_spawn(made.raw_connection)
            self._driver = self._held.driver_connection
            self._once = True
        return self._driver

    async def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch in one round trip."""
        try:
            driver = await self._taken()
        except Exception as error:
            raise _unreachable(error, self._once) from error
        statement: Statement | None = None
        try:
            if isinstance(driver, psycopg.AsyncConnection):
                return await driver.wait(wire_of(driver).exchange(batch))
            results = []
            for statement in batch.statements:
                async with driver.execute(statement.sql, _Unseen(statement.params)) as cursor:
                    results.append(Result(await cursor.fetchall(), cursor.rowcount))
            return results
        except DatelineError as error:
            await self._settled(error)
            raise
        except DRIVER as error:
            found = told(error, statement)
            await self._settled(found)
            if found is error:
                raise
            raise found from error
        except BaseException:
            await self._settled(Lost("interrupted"))
            raise

    async def _settled(self, found: Exception) -> None:
        if self.joined:
            return
        if isinstance(found, Lost):
            await self._dropped()
        else:
            await self.undo()

    async def undo(self) -> None:
        """Roll back what is open; a session that cannot is given up."""
        if self.joined or self._driver is None:
            return
        try:
            await self._driver.rollback()
        except DRIVER:
            await self._dropped()

    async def _dropped(self) -> None:
        held, self._held, self._driver = self._held, None, None
        if held is not None:
            await _undisturbed(greenlet_spawn(held.invalidate))

    async def discard(self) -> None:
        """Give the session up: after an interrupt nobody knows what it holds."""
        if not self.joined:
            await self._dropped()

    async def rest(self) -> None:
        """As `AsyncDriver.rest`; what is the caller's stays theirs."""
        if not self.joined:
            await self.close()

    async def close(self) -> None:
        """Give the connection back, with nothing open: the pool resets nothing."""
        if self._held is not None and _open(self._driver):
            await self.undo()
        held, self._held, self._driver = self._held, None, None
        if held is None:
            return
        assert self._engine is not None
        pool: Any = self._engine.sync_engine.pool
        if not (isinstance(pool, AsyncSessions) and pool.keep(held)):
            await _undisturbed(greenlet_spawn(held.close))


async def _undisturbed(closing: Coroutine[Any, Any, None]) -> None:
    """Wait for a closing to its end, and only then be cancelled: cancelled itself, aiosqlite's would wait for ever."""
    task = asyncio.create_task(closing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        task.result()
        return
    if not task.cancelled():
        # Looked at, or asyncio would log that nobody did: whoever was cancelled is told just that.
        task.exception()
    raise cancelled


class _Unseen(tuple[Any, ...]):
    """Parameters that do not show in a log: aiosqlite's writes at DEBUG what it executes, with everything that is bound."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"({len(self)} parameters)"


def _unreachable(error: Exception, once: bool) -> Exception:
    """Return why no connection could be had, without the URL, which holds a password.

    Args:
        once: There was a connection before; then this is the same outage, and worth waiting for.
    """
    cause = getattr(error, "orig", error)
    text = str(cause).splitlines()[0][:300] if str(cause) else type(cause).__name__
    return (Lost if once else Unreachable)(f"no connection to the database: {text}")
