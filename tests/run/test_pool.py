"""Idle sessions beside the pool: the last one is used first, nobody waits for one that is idle, and all are closed in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import pytest
from sqlalchemy import Engine

from dateline import Settings
from dateline.run.connection import Connection
from dateline.run.engine import engine
from dateline.run.pool import Sessions
from dateline.sql.statement import Batch, Statement

ASK = Batch((Statement("SELECT 1"),))


def opened(path: Path, **settings: Any) -> tuple[Engine, Sessions]:
    made = engine(f"sqlite:///{path / 'a.db'}", Settings(**settings))
    assert isinstance(made.pool, Sessions)
    return made, made.pool


def used(made: Engine) -> object:
    """Take a session, use it, give it back, and return which it was."""
    connection = Connection(made)
    connection.execute(ASK)
    session = connection._driver
    connection.close()
    return session


def test_the_session_that_was_used_last_is_used_next(tmp_path: Path) -> None:
    made, pool = opened(tmp_path)

    sessions = [used(made) for _ in range(3)]

    assert sessions[0] is sessions[1] is sessions[2]
    assert (pool.checkedout(), pool.checkedin()) == (0, 0)
    made.dispose()


@pytest.mark.parametrize("overflow", [0, 1])
def test_whoever_goes_to_the_pool_itself_gets_what_is_idle(tmp_path: Path, overflow: int) -> None:
    made, pool = opened(tmp_path, pool=1, overflow=overflow)
    used(made)

    with made.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert pool.checkedout() == 1

    assert pool.checkedout() == 0
    made.dispose()


@pytest.mark.parametrize(("size", "overflow"), [(1, 0), (1, 1), (2, 1), (4, 4)])
def test_with_more_threads_than_sessions_all_have_their_turn_and_no_more_are_opened(
    tmp_path: Path, size: int, overflow: int
) -> None:
    made, pool = opened(tmp_path, pool=size, overflow=overflow, busy=timedelta(seconds=20))
    seen: set[int] = set()
    most, noting = [0], Lock()
    start = Barrier(12)

    def work(_: int) -> None:
        start.wait()
        for _ in range(60):
            connection = Connection(made)
            connection.execute(ASK)
            with noting:
                seen.add(id(connection._driver))
                most[0] = max(most[0], pool.checkedout())
            connection.close()

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(12)))

    assert most[0] <= size + overflow
    assert pool.checkedout() == 0
    made.dispose()


def test_all_that_are_idle_are_closed_with_the_engine(tmp_path: Path) -> None:
    made, pool = opened(tmp_path)
    connections = [Connection(made) for _ in range(3)]
    for connection in connections:
        connection.execute(ASK)
    sessions = [connection._driver for connection in connections]
    for connection in connections:
        connection.close()

    made.dispose()

    for session in sessions:
        with pytest.raises(Exception, match="closed"):
            session.execute("SELECT 1")
    assert pool.take() is None
