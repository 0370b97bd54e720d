"""What a database holds, seen past dateline."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from sqlalchemy import Engine, inspect, text

__all__ = ["advisory_locks", "asked", "checksums", "count", "open_transactions", "tables"]


def asked(engine: Engine, question: str) -> list[Any]:
    """Return the rows that a question brings."""
    with engine.connect() as connection:
        return list(connection.execute(text(question)))


def count(engine: Engine, table: str) -> int:
    """Return how many rows a table has."""
    return int(asked(engine, f'SELECT count(*) FROM "{table}"')[0][0])


def checksums(engine: Engine) -> dict[str, str]:
    """Return a digest of every table's rows, the application's and the trail's."""
    found = {}
    with engine.connect() as connection:
        for table in tables(engine):
            rows = sorted(map(repr, connection.execute(text(f'SELECT * FROM "{table}"'))))
            found[table] = f"{len(rows)}:{hashlib.sha256(repr(rows).encode()).hexdigest()}"
    return found


@cache
def tables(engine: Engine) -> tuple[str, ...]:
    """Return the names of all tables, the application's and the trail's."""
    return tuple(sorted(inspect(engine).get_table_names()))


def advisory_locks(engine: Engine) -> int:
    """Return how many advisory locks are held or waited for in this database."""
    question = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return int(asked(engine, question)[0][0])


def open_transactions(engine: Engine) -> int:
    """Return how many sessions of this database, but for this one, are in a transaction."""
    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    return int(asked(engine, question)[0][0])
