"""Many at once: threads that start together, and on which databases they meet."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

import pytest

from dateline import Runner
from dateline.errors import Conflict

__all__ = [
    "again",
    "in_order",
    "on_all",
    "on_both_paths",
    "on_every_path",
    "on_every_path_and_15",
    "on_newest",
    "on_postgresql",
    "on_sqlite",
    "race",
]

T = TypeVar("T")

on_all = pytest.mark.parametrize("bank", ["sqlite", "postgresql-18", "postgresql-15"], indirect=True)
on_newest = pytest.mark.parametrize("bank", ["sqlite", "postgresql-18"], indirect=True)
on_postgresql = pytest.mark.parametrize("bank", ["postgresql-18"], indirect=True)
on_sqlite = pytest.mark.parametrize("bank", ["sqlite"], indirect=True)


def in_order(runner: Runner) -> None:
    """Have a runner send statements in order even where PostgreSQL would take one for all."""
    runner.store.single = None


def _as_it_is(runner: Runner) -> None:
    """Leave the choice to the runner."""


def _ways(*found: tuple[str, str]) -> pytest.MarkDecorator:
    ways = {"at once": _as_it_is, "in order": in_order}
    cases = [pytest.param(bank, ways[way], id=f"{bank}-{way.replace(' ', '-')}") for bank, way in found]
    return pytest.mark.parametrize(("bank", "path"), cases, indirect=["bank"])


# PostgreSQL takes a commit as one statement where that means the same: what is promised holds for both ways.
on_both_paths = _ways(("postgresql-18", "at once"), ("postgresql-18", "in order"))
on_every_path = _ways(("sqlite", "in order"), ("postgresql-18", "at once"), ("postgresql-18", "in order"))
on_every_path_and_15 = _ways(
    *(("sqlite", "in order"), ("postgresql-18", "at once"), ("postgresql-18", "in order")),
    *(("postgresql-15", "at once"), ("postgresql-15", "in order")),
)


def race(threads: int, work: Callable[[int], T]) -> list[T]:
    """Run the same work in many threads that start together; return what each of them brought."""
    start = Barrier(threads)

    def run(index: int) -> T:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(run, index) for index in range(threads)]
    faults = [fault for future in futures if (fault := future.exception()) is not None]
    # Whoever waited at a barrier for one that failed says only that it waited.
    for fault in sorted(faults, key=lambda fault: isinstance(fault, BrokenBarrierError)):
        raise fault
    return [future.result() for future in futures]


def again(work: Callable[[], T], patience: float = 60) -> T:
    """Repeat what lost against another writer, as whoever opens `together` has to."""
    end = time.monotonic() + patience
    tries = 0
    while True:
        try:
            return work()
        except Conflict:
            if time.monotonic() > end:
                raise
        tries += 1
        # Those that lost together must not come back together, or a crowd loses for ever.
        time.sleep(random.random() * min(0.5, 0.002 * 2 ** min(tries, 10)))
