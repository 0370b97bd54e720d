"""What a database holds, seen past dateline."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

from sqlalchemy import Engine, inspect, text

from dateline.core.canon import canonical
from dateline.core.table import row_key

__all__ = [
    "advisory_locks",
    "asked",
    "checksums",
    "count",
    "live",
    "open_transactions",
    "operations",
    "rebuilt",
    "tables",
]


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
    """Return how many clients of this database, but for this one, are in a transaction; the server's own vacuum is not."""
    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'"
    )
    return int(asked(engine, question)[0][0])


Rows = dict[tuple[str, str], dict[str, Any]]
"""Rows by table and key, as the trail writes them."""


def operations(engine: Engine, order: str = "o.seq") -> list[Any]:
    """Return table, key, and the images before and after, of every row that was ever changed, in an order."""
    return asked(
        engine,
        "SELECT o.table_name, o.row_key, o.before, o.after FROM dateline_operation o "
        f"JOIN dateline_event e ON e.tenant = o.tenant AND e.seq = o.seq ORDER BY {order}, o.ordinal",
    )


def rebuilt(found: list[Any], baseline: Rows | None = None) -> tuple[Rows, int]:
    """Return the rows that the operations make of empty tables, and how many of them did not fit what was there.

    Args:
        baseline: What the tables held before.
    """
    rows: Rows = dict(baseline or {})
    impossible = 0
    for table, key, before, after in found:
        impossible += rows.get((table, key)) != (before and json.loads(before))
        if after is None:
            rows.pop((table, key), None)
        else:
            rows[table, key] = json.loads(after)
    return rows, impossible


def live(engine: Engine, *mapped: Any) -> Rows:
    """Return what the tables hold now, in the same form."""
    found: Rows = {}
    with engine.connect() as connection:
        for one in mapped:
            table = one.__table__
            for row in connection.execute(table.select()).mappings():
                key = row_key(row[column] for column in table.primary_key.columns)
                found[table.name, key] = json.loads(canonical(dict(row)))
    return found
