"""A batch on sqlite3's own connection: whatever becomes of it, it leaves nothing open."""

from __future__ import annotations

import gc
import sqlite3
import time
from pathlib import Path

import pytest

from dateline import Settings
from dateline.errors import Lost, MissingTable
from dateline.run.connection import Connection
from dateline.run.engine import engine
from dateline.sql.statement import Batch, Statement


def test_a_batch_that_fails_leaves_no_cursor_for_the_collector(tmp_path: Path) -> None:
    """The collector would reset it in any thread, and stop all threads until a session is free that may be waiting for one of them."""
    made = engine(f"sqlite:///{tmp_path / 'a.db'}", Settings())
    connection = Connection(made)

    with pytest.raises(MissingTable) as kept:
        connection.execute(Batch((Statement("SELECT 1"), Statement("SELECT * FROM nowhere"))))

    left = [one for one in gc.get_objects() if isinstance(one, sqlite3.Cursor) and one.connection is connection._driver]
    assert len(left) == 1, kept.traceback
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        left[0].fetchone()
    connection.close()
    made.dispose()


@pytest.mark.parametrize("setting", ["idle_session_timeout", "idle_in_transaction_session_timeout"])
def test_a_session_that_the_server_ended_for_idling_is_lost(setting: str, postgresql_url: str) -> None:
    made = engine(postgresql_url, Settings())
    connection = Connection(made)
    begun = (Statement("BEGIN"),) if "transaction" in setting else (Statement("SELECT 1"),)
    connection.execute(Batch((Statement(f"SET {setting} = '50ms'"), *begun), opens="transaction" in setting))
    time.sleep(0.3)

    with pytest.raises(Lost):
        connection.execute(Batch((Statement("SELECT 1"),)))

    connection.close()
    made.dispose()
