"""The clients of one contestant in one process: threads, tasks, or a program of its own."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.contestant import AsyncContestant, Contestant, Doer, Program, Slice, Threaded
from benchmarks.work import Unit

__all__ = ["Crew", "crew"]


class Crew(ABC):
    """Some clients of one process, each with a lane of its own."""

    @abstractmethod
    def run(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        """Do each lane's units in order, all lanes at once."""

    @abstractmethod
    def close(self) -> None:
        """Let the clients go."""


def crew(contestant: Contestant, clients: int) -> Crew:
    """Open a contestant and give it clients."""
    contestant.open()
    if isinstance(contestant, Program):
        return _Program(contestant)
    if isinstance(contestant, AsyncContestant):
        return _Tasks(contestant)
    assert isinstance(contestant, Threaded)
    return _Threads(contestant, clients)


class _Threads(Crew):
    """A thread for each client, the same for all its life: some libraries tie connections to threads."""

    def __init__(self, contestant: Threaded, clients: int) -> None:
        self.contestant = contestant
        self.threads = [ThreadPoolExecutor(1) for _ in range(clients)]
        self.stacks = [ExitStack() for _ in range(clients)]
        opening = [
            thread.submit(stack.enter_context, contestant.client())
            for thread, stack in zip(self.threads, self.stacks, strict=True)
        ]
        self.doers: list[Doer] = [one.result() for one in opening]

    def run(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        cpu, began = time.process_time(), time.monotonic()
        doing = [
            thread.submit(_timed, do, units) for thread, do, units in zip(self.threads, self.doers, lanes, strict=True)
        ]
        latencies = [one for done in doing for one in done.result()]
        return Slice(began, time.monotonic(), time.process_time() - cpu, tuple(latencies))

    def close(self) -> None:
        for thread, stack in zip(self.threads, self.stacks, strict=True):
            thread.submit(stack.close).result()
            thread.shutdown()
        self.contestant.close()


def _timed(do: Doer, units: Sequence[Unit]) -> list[float]:
    made = []
    for unit in units:
        began = time.perf_counter()
        do(unit)
        made.append(time.perf_counter() - began)
    return made


class _Tasks(Crew):
    def __init__(self, contestant: AsyncContestant) -> None:
        self.contestant = contestant
        self.loop = asyncio.Runner()

    def run(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        cpu, began = time.process_time(), time.monotonic()
        latencies = self.loop.run(self._all(lanes))
        return Slice(began, time.monotonic(), time.process_time() - cpu, tuple(latencies))

    async def _all(self, lanes: Sequence[Sequence[Unit]]) -> list[float]:
        done = await asyncio.gather(*(self._lane(units) for units in lanes))
        return [one for lane in done for one in lane]

    async def _lane(self, units: Sequence[Unit]) -> list[float]:
        made = []
        for unit in units:
            began = time.perf_counter()
            await self.contestant.do(unit)
            made.append(time.perf_counter() - began)
        return made

    def close(self) -> None:
        self.loop.run(self.contestant.finish())
        self.loop.close()
        self.contestant.close()


class _Program(Crew):
    def __init__(self, contestant: Program) -> None:
        self.contestant = contestant

    def run(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        return self.contestant.perform(lanes)

    def close(self) -> None:
        self.contestant.close()
