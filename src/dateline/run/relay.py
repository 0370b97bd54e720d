"""The relay: takes effects that are due, has them performed, and records what came of each.

Any number of relays on any number of machines share the work. Who takes an effect has it for a time; whose process ends meanwhile, leaves
it to the others when that time is over. An effect that is performed by somebody who knows no repetitions is never sent twice by itself:
where nobody can tell whether it arrived, it is *unknown* until somebody finds out.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from logging import WARNING
from typing import Any, Self, TypeVar

from dateline.core.request import Flow
from dateline.errors import Contention, Lost, Unable, Unreachable
from dateline.run import log, metric, trace
from dateline.run.attempt import Attempts, retry_of
from dateline.run.delivery import Route, routes
from dateline.run.runner import AsyncRunner, Runner
from dateline.sql.lag import Lag, Lags
from dateline.sql.queue import Ended, Queue

__all__ = ["AsyncRelay", "Relay"]

R = TypeVar("R")

LOOK, HELD_OPEN = 10.0, 60.0
"""Seconds between two looks at how the queue stands, and after which a transaction that is held open is worth a line."""

LEAST, EACH, MOST = 0.004, 0.001, 0.06
"""Seconds in which more may end, or become due, before both are dealt with in one exchange with the database: at the least, for each
effect of the exchange before, and at the most. So who has little to do is quick, and who has much does it in few commits."""

_OUTAGE = (Lost, Unreachable, Unable, Contention)
"""What a relay waits out."""


@dataclass
class _Chore:
    """Something to be done now and then."""

    every: float
    at: float = 0.0

    def due(self, moment: float) -> bool:
        """Tell whether it is time, and if so take note."""
        if moment < self.at:
            return False
        self.at = moment + self.every
        return True


class AsyncRelay:
    """Delivers effects, in a program of its own or beside others.

    Args:
        runner: On whose database; of either colour.
        deliveries: Functions marked by `delivers`, modules that hold some or their dotted names, and sinks.
        workers: How many effects are performed at the same time.
        lease: For how long an effect is this relay's; longer than any try may take.
        poll: How long an idle relay waits before it looks again.
        grace: How long a relay that is stopped waits for what it is performing.
        partial: Some kinds are delivered by another relay.

    Raises:
        NoDelivery: Where nobody would deliver a kind of effect.
    """

    def __init__(
        self,
        runner: Runner | AsyncRunner,
        *deliveries: Any,
        workers: int = 32,
        lease: timedelta = timedelta(minutes=2),
        poll: timedelta = timedelta(milliseconds=200),
        grace: timedelta = timedelta(seconds=20),
        partial: bool = False,
    ) -> None:
        self.runner = runner
        self.routes = routes(runner.versions, deliveries, partial=partial)
        longest = max((retry_of(route.effect).timeout for route in self.routes.values()), default=timedelta(0))
        if lease <= longest:
            raise ValueError(f"lease={lease} ends before a try may, after {longest}; let it be longer")
        if workers < 1:
            raise ValueError(f"workers={workers}: one effect at least is performed at a time")
        self.workers, self.lease, self.poll, self.grace = workers, lease, poll, grace
        self._sinks = {
            id(call.__self__): call.__self__ for r in self.routes.values() if hasattr(call := r.call, "__self__")
        }
        self._attempts = Attempts(runner, self.routes)
        self._queue = Queue(runner.store.dialect)
        self._lags = Lags(runner.store.dialect)
        self._kinds = sorted(self.routes)
        self._resend = [kind for kind, route in self.routes.items() if route.resend]
        self._tasks: set[asyncio.Task[Ended]] = set()
        self._stopping, self._gives_up = False, 0.0
        self._lately = 0
        self._woken: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Deliver until `stop` is called; then wait for what is being performed, and end."""
        await self._run(until_idle=False)

    async def drain(self) -> int:
        """Deliver what is due now, also what follows from that, and return how many tries there were."""
        return await self._run(until_idle=True)

    def stop(self) -> None:
        """Have `run` end soon; may be called from any thread."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Have an idle relay look at once; may be called from any thread."""
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

    async def lag(self) -> Lag:
        """Look how far behind the work is."""
        return await self._driven(self._lags.lag())

    async def _driven(self, flow: Flow[R]) -> R:
        if isinstance(self.runner, Runner):
            return await asyncio.to_thread(self.runner._driven, flow)
        return await self.runner._driven(flow)

    async def _run(self, *, until_idle: bool) -> int:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()
        self._stopping, self._gives_up = False, 0.0
        done = 0
        ended: list[Ended] = []
        unheard = self.runner.bell.wait(self.wake)
        reap, sweep, look = _Chore(min(self.lease.total_seconds() / 4, 5.0)), _Chore(1.0), _Chore(LOOK)
        try:
            while True:
                self._woken.clear()
                try:
                    moment = time.monotonic()
                    reaped = await self._driven(self._queue.reap(100, self._resend)) if reap.due(moment) else 0
                    if sweep.due(moment):
                        await self._driven(self._queue.wake())
                    if look.due(moment):
                        await self._look()
                    claimed = await self._exchanged(ended)
                    done, ended = done + len(ended), []
                except _OUTAGE as error:
                    # What was performed is kept here until it can be recorded; leases see to it that nobody else does it meanwhile.
                    log.told("relay.waits", level=WARNING, reason=type(error).__name__)
                    if not self._stopping:
                        await self._wait(1.0)
                    elif await self._given_up(ended):
                        return done
                    continue
                if self._stopping and not self._tasks and not ended:
                    return done
                if until_idle and not claimed and not reaped and not self._tasks:
                    return done
                if self._stopping and self._tasks:
                    ended += await self._last()
                    continue
                ended += await self._next(idle=not claimed)
        finally:
            unheard()
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            for sink in self._sinks.values():
                if hasattr(sink, "close"):
                    await sink.close()

    async def _given_up(self, ended: list[Ended]) -> bool:
        """Tell whether a relay that is to end has waited long enough for a database that is not there; if not, wait a little.

        What it could not record is tried again, or unknown, once its lease is over.
        """
        now = time.monotonic()
        self._gives_up = self._gives_up or now + self.grace.total_seconds()
        if now < self._gives_up and (ended or self._tasks):
            ended += self._collected()
            await asyncio.sleep(min(0.5, self._gives_up - now))
            return False
        if ended or self._tasks:
            log.told("relay.gave-up", level=WARNING, effects=len(ended) + len(self._tasks))
        return True

    async def _look(self) -> None:
        """Tell whoever collects figures how the queue stands, and whoever reads lines where it stands badly."""
        lag = await self.lag()
        metric.stands(lag)
        if lag.counts:
            log.told("queue", oldest=round(lag.oldest, 3), **lag.counts)
        if lag.open > HELD_OPEN:
            log.told("transaction.held-open", level=WARNING, seconds=round(lag.open))

    async def _exchanged(self, ended: list[Ended]) -> int:
        """Record what ended, and take what is due for those who are free; return how many that were."""
        free = 0 if self._stopping else self.workers - len(self._tasks)
        if free <= 0:
            if ended:
                await self._driven(self._queue.end(ended))
                self.runner.bell.ring()
            return 0
        claimed = await self._driven(self._queue.claim(free, self.lease, self._kinds, ended, traced=trace.heard()))
        if ended:
            self.runner.bell.ring()
        for one in claimed:
            self._tasks.add(asyncio.create_task(self._attempts.made(one)))
        self._lately = len(claimed)
        return len(claimed)

    def _moment(self) -> float:
        return min(LEAST + EACH * self._lately, MOST)

    async def _next(self, *, idle: bool) -> list[Ended]:
        """Return what ended since, after a moment in which more may: each trip to the database serves as many as there are."""
        if not self._tasks:
            if idle:
                await self._wait(self.poll.total_seconds())
                # Who was woken by one commit finds more of them a moment later.
                woken = self._woken is not None and self._woken.is_set() and not self._stopping
                await asyncio.sleep(self._moment() if woken else 0)
            return []
        assert self._woken is not None
        waking = asyncio.create_task(self._woken.wait())
        try:
            done, _ = await asyncio.wait(
                (*self._tasks, waking), timeout=self.poll.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waking.cancel()
        if done and len(self._tasks) < self.workers:
            # Each exchange waits for the disk, and others who commit wait with it: what ends, or comes, within a moment is served by one.
            await asyncio.sleep(self._moment())
        return self._collected()

    async def _last(self) -> list[Ended]:
        await asyncio.wait(self._tasks, timeout=self.grace.total_seconds())
        ended = self._collected()
        for task in self._tasks:
            # What is cut off here nobody can tell: its lease runs out, and then it is due again, or unknown.
            task.cancel()
        if self._tasks:
            log.told("relay.gave-up", level=WARNING, effects=len(self._tasks))
        self._tasks.clear()
        return ended

    def _collected(self) -> list[Ended]:
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        return [task.result() for task in done]

    async def _wait(self, seconds: float) -> None:
        assert self._woken is not None
        if seconds and not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), seconds)


class Relay:
    """The same as `AsyncRelay`, for a program without an event loop: it brings one.

    Args:
        runner: On whose database; a plain runner.
        deliveries: As for `AsyncRelay`, as is all else.
    """

    def __init__(self, runner: Runner, *deliveries: Any, **options: Any) -> None:
        if not isinstance(runner, Runner):
            raise TypeError(f"Relay takes a Runner, not {type(runner).__name__}; AsyncRelay takes either")
        self.inner = AsyncRelay(runner, *deliveries, **options)
        self._thread: threading.Thread | None = None

    @property
    def routes(self) -> dict[str, Route]:
        """How each kind of effect is performed."""
        return self.inner.routes

    def run(self) -> None:
        """As `AsyncRelay.run`."""
        asyncio.run(self.inner.run())

    def drain(self) -> int:
        """As `AsyncRelay.drain`."""
        return asyncio.run(self.inner.drain())

    def lag(self) -> Lag:
        """As `AsyncRelay.lag`."""
        return asyncio.run(self.inner.lag())

    def stop(self) -> None:
        """As `AsyncRelay.stop`."""
        self.inner.stop()

    def wake(self) -> None:
        """As `AsyncRelay.wake`."""
        self.inner.wake()

    def __enter__(self) -> Self:
        """Deliver in a thread of its own, until the block ends."""
        self._thread = threading.Thread(target=self.run, name="dateline relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        while self._thread.is_alive():
            self.stop()
            self._thread.join(0.05)
