"""Opening a database while somebody else is at it."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Timer

import pytest
from sqlalchemy.exc import OperationalError

from dateline import Settings
from dateline.run.engine import engine


def held(path: Path) -> sqlite3.Connection:
    """Return what holds a new file, as whoever changes its mode at the same moment does."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    return holder


def test_all_that_open_a_new_file_at_once_get_it(tmp_path: Path) -> None:
    # Two that change its mode at the same moment are told at once that it is locked: of 480 openings two failed before they waited.
    start = Barrier(8)

    def opened(path: Path) -> object:
        made = engine(f"sqlite:///{path}", Settings())
        start.wait()
        with made.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        made.dispose()
        return mode

    with ThreadPoolExecutor(8) as pool:
        modes = [list(pool.map(opened, [tmp_path / f"{number}.db"] * 8)) for number in range(60)]

    assert modes == [["wal"] * 8] * 60


def test_a_new_file_that_somebody_holds_for_a_moment_is_opened(tmp_path: Path) -> None:
    holder = held(tmp_path / "a.db")
    release = Timer(0.3, holder.rollback)
    release.start()

    made = engine(f"sqlite:///{tmp_path / 'a.db'}", Settings(busy=timedelta(seconds=5)))
    with made.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()

    release.join()
    holder.close()
    made.dispose()
    assert mode == "wal"


def test_a_file_that_is_held_longer_than_anybody_waits_is_told(tmp_path: Path) -> None:
    holder = held(tmp_path / "a.db")
    made = engine(f"sqlite:///{tmp_path / 'a.db'}", Settings(busy=timedelta(milliseconds=100)))

    began = time.monotonic()
    with pytest.raises(OperationalError, match="locked"):
        made.connect()

    assert time.monotonic() - began < 2
    holder.close()
    made.dispose()
