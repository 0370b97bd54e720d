"""A request may be cancelled wherever it waits: it happens wholly or not at all, and what it held is given back."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.util import greenlet_spawn

from dateline import AsyncRunner, Event
from dateline.errors import Conflict
from dateline.run.clock import Budget
from dateline.run.connection import AsyncConnection, async_drive
from dateline.sql.statement import Batch, Result
from tests.proofs.bank import Add, Bank, Pay, Post
from tests.proofs.evidence import advisory_locks, checksums, count, open_transactions
from tests.proofs.racing import on_newest, on_postgresql
from tests.proofs.sabotage import writes

EVENTS = [Pay(account="a0", cents=1, note="secret"), Post(name="c", note="secret")]


class CancelledAt(Awaitable[Any]):
    """Awaits a coroutine and cancels its task when it waits for the n-th time (and, where asked, for the time after that)."""

    def __init__(self, work: Coroutine[Any, Any, Any], *waits: int) -> None:
        self._work = work
        self._waits = waits
        self.waited = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._work.send
        value: Any = None
        while True:
            try:
                waiting = step(value)
            except StopIteration as end:
                return end.value
            self.waited += 1
            if self.waited in self._waits:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                value = yield waiting
                step = self._work.send
            except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
                step, value = self._work.throw, error


async def cancelled(work: Coroutine[Any, Any, Any], *waits: int) -> tuple[str, int]:
    """Run to the end or to the cancellation; return which, and how often it waited."""
    watched = CancelledAt(work, *waits)

    async def run() -> Any:
        return await watched

    task = asyncio.create_task(run())
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled", watched.waited
    return "done", watched.waited


def pool_of(runner: AsyncRunner) -> Any:
    return runner.engine.pool


async def settled(bank: Bank, runner: AsyncRunner) -> None:
    """Let the server notice sessions that were given up, then see that nobody holds anything."""
    assert pool_of(runner).checkedout() == 0
    if bank.postgresql:
        # Whoever is cancelled while it connects leaves its socket to the garbage collector.
        gc.collect()
        for _ in range(200):
            if open_transactions(bank.engine) == 0:
                break
            await asyncio.sleep(0.01)
        assert open_transactions(bank.engine) == 0
        assert advisory_locks(bank.engine) == 0
    else:
        # Another thread may still be at the COMMIT that nobody waits for any more; whoever has the lock next comes after it.
        with closing(sqlite3.connect(bank.engine.url.database or "", timeout=5)) as direct:
            direct.execute("BEGIN IMMEDIATE")
            direct.rollback()


async def attacked(
    bank: Bank, runner: AsyncRunner, made: Callable[[], Coroutine[Any, Any, Any]], events: int, *, twice: bool
) -> tuple[int, int]:
    """Cancel at every wait; return how many waits there are and how often everything was written nevertheless."""
    await made()
    written = 0
    for n in range(1, 400):
        before, had = checksums(bank.engine), count(bank.engine, "dateline_event")
        outcome, waits = await cancelled(made(), n, *([n + 1] if twice else []))
        await settled(bank, runner)
        new = count(bank.engine, "dateline_event") - had
        if new:
            assert new == events, f"{new} of {events} events at wait {n}"
            written += 1
        else:
            assert checksums(bank.engine) == before, f"half an event at wait {n}"
        if outcome == "done" and waits < n:
            assert new == events
            return waits, written
    raise AssertionError("it never got through")


@pytest.mark.parametrize("request_", EVENTS, ids=[event.__kind__ for event in EVENTS])
@pytest.mark.parametrize(
    ("bank", "twice"),
    [("sqlite", False), ("sqlite", True), ("postgresql-18", False), ("postgresql-18", True)],
    ids=["sqlite-once", "sqlite-twice", "postgresql-18-once", "postgresql-18-twice"],
    indirect=["bank"],
)
def test_a_dispatch_that_is_cancelled_at_any_wait_happens_wholly_or_not_at_all(
    bank: Bank, request_: Event, twice: bool, figure: Callable[[str], None]
) -> None:
    bank.accounts(1, cents=100_000)

    async def attack() -> None:
        async with bank.asynchronous(pool=2, overflow=0) as runner:
            keys = iter(range(10_000))

            def made() -> Coroutine[Any, Any, Any]:
                return runner.dispatch(request_, actor="crowd", key=f"key-{next(keys)}")

            waits, written = await attacked(bank, runner, made, 1, twice=twice)
            figure(f"{waits} waits, written nevertheless {written} times")
            assert waits > 2
            assert (await runner.verify()).ok

    asyncio.run(attack())


@pytest.mark.parametrize(
    ("bank", "twice"),
    [("sqlite", False), ("sqlite", True), ("postgresql-18", False)],
    ids=["sqlite-once", "sqlite-twice", "postgresql-18-once"],
    indirect=["bank"],
)
def test_a_transaction_that_is_cancelled_at_any_wait_happens_wholly_or_not_at_all(
    bank: Bank, twice: bool, figure: Callable[[str], None]
) -> None:
    bank.accounts(1, cents=100_000)

    async def attack() -> None:
        async with bank.asynchronous(pool=2, overflow=0) as runner:

            async def made() -> None:
                async with runner.together() as tx:
                    for event in EVENTS:
                        await tx.dispatch(event, actor="crowd")

            waits, written = await attacked(bank, runner, made, 2, twice=twice)
            figure(f"{waits} waits, written nevertheless {written} times")
            assert (await runner.verify()).ok

    asyncio.run(attack())


class Losing(AsyncConnection):
    """A connection on which the first eight commits are lost."""

    left = 8

    async def execute(self, batch: Batch) -> list[Result]:
        if writes(batch) and self.left:
            self.left -= 1
            raise Conflict("another writer came first")
        return await super().execute(batch)


class Unlucky(AsyncRunner):
    """A runner that loses so often that it takes a turn."""

    async def _driven(self, flow: Any, budget: Any = None, *, on: Any = None) -> Any:
        connection = Losing(on or self.engine)
        try:
            return await async_drive(flow, connection, Budget(self.settings.budget), self._apart)
        finally:
            await connection.close()


@on_postgresql
def test_a_writer_that_is_cancelled_while_it_has_a_turn_gives_it_up(bank: Bank, figure: Callable[[str], None]) -> None:
    bank.accounts(1)

    async def attack() -> None:
        async with bank.asynchronous() as plain:
            runner = Unlucky(bank.url, versions=plain.versions)
            waits, _ = await attacked(
                bank, runner, lambda: runner.dispatch(Add(account="a0", cents=1), actor="slow"), 1, twice=False
            )
            figure(f"{waits} waits")
            await runner.close()

    asyncio.run(attack())


@on_newest
def test_a_time_limit_around_many_dispatches_leaves_nothing_half_done(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(1, cents=100_000)
    many = times(60)

    async def attack() -> None:
        async with bank.asynchronous(pool=4, overflow=0) as runner:
            began = time.perf_counter()
            for _ in range(10):
                await runner.dispatch(EVENTS[0], actor="crowd")
            one = (time.perf_counter() - began) / 10

            async def limited(index: int) -> bool:
                try:
                    # The last ones have all the time they need: how long a crowd fights over one row, one alone does not tell.
                    limit = None if index >= many - 3 else one * many * 2 * index / many
                    async with asyncio.timeout(limit):
                        await runner.dispatch(EVENTS[0], actor=f"task-{index}")
                except TimeoutError:
                    return False
                return True

            done = await asyncio.gather(*(limited(index) for index in range(many)))
            await settled(bank, runner)
            events = count(bank.engine, "dateline_event")
            figure(f"{sum(done)} of {many} in time, {events - 10 - sum(done)} more written")
            assert 0 < sum(done) <= events - 10
            assert bank.payments() == events
            assert bank.cents() == {"a0": 100_000 - events}
            assert (await runner.verify()).ok

    asyncio.run(attack())


# What is half closed is left to the garbage collector, which Python 3.13 and later remark on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("bank", ["sqlite"], indirect=True)
def test_control_a_closing_that_a_second_cancel_can_enter_waits_for_ever(bank: Bank) -> None:
    class Disturbed(AsyncConnection):
        async def _dropped(self) -> None:
            held, self._held, self._driver = self._held, None, None
            if held is not None:
                await held.invalidate()
                await held.close()

    class Careless(AsyncRunner):
        async def _driven(self, flow: Any, budget: Any = None, *, on: Any = None) -> Any:
            connection = Disturbed(self.engine)
            try:
                return await async_drive(flow, connection, Budget(self.settings.budget), self._apart)
            finally:
                await connection.close()

    bank.accounts(1, cents=100)

    async def attack() -> int:
        async with bank.asynchronous() as plain:
            runner = Careless(bank.url, versions=plain.versions)
            for n in range(1, 100):
                await cancelled(runner.dispatch(EVENTS[0], actor="crowd"), n, n + 1)
                others = asyncio.all_tasks() - {asyncio.current_task()}
                waiting = (await asyncio.wait(others, timeout=1))[1] if others else set()
                if waiting:
                    break
            for task in [*waiting, *waiting]:
                # The first cancel makes it wait once more for the thread that is gone.
                task.cancel()
                await asyncio.sleep(0.01)
            await runner.close()
            return len(waiting)

    waited = asyncio.run(attack())
    gc.collect()

    assert waited == 1


@on_newest
def test_control_a_driver_that_forgets_to_give_up_the_session_is_seen(bank: Bank) -> None:
    class Forgetful(AsyncConnection):
        async def close(self) -> None:
            held.append(self._held)

    class Careless(AsyncRunner):
        async def _driven(self, flow: Any, budget: Any = None, *, on: Any = None) -> Any:
            connection = Forgetful(self.engine)
            try:
                return await async_drive(flow, connection, Budget(self.settings.budget), self._apart)
            finally:
                await connection.close()

    bank.accounts(1, cents=100)
    held: list[Any] = []

    async def attack() -> int:
        async with bank.asynchronous() as plain:
            runner = Careless(bank.url, versions=plain.versions)
            await cancelled(runner.dispatch(EVENTS[0], actor="crowd"))
            stuck = int(pool_of(runner).checkedout())
            for one in filter(None, held):
                await greenlet_spawn(one.close)
            await runner.close()
            return stuck

    assert asyncio.run(attack()) == 1
