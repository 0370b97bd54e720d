"""Statements that are one text for both databases, but for the few words in which they differ."""

from __future__ import annotations

import re
from typing import Any

from dateline.sql.dialect import Dialect
from dateline.sql.statement import Statement

__all__ = ["OPEN", "Words"]

_NUMBERED = re.compile(r"\$(?=\d)")

OPEN = "('cancelled', 'expired')"
"""States of a lane's earlier effects that keep none waiting."""

_COLUMNS = {
    "tenant": "text",
    "seq": "bigint",
    "ordinal": "integer",
    "tries": "integer",
    "state": "text",
    "outcome": "text",
    "wait": "double precision",
    "reference": "text",
    "detail": "text",
}


class Words:
    """The few words in which the two databases differ."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.near = near = dialect.near
        self.now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" if near else "clock_timestamp()"
        self.lock = "" if near else "FOR UPDATE SKIP LOCKED"
        self.begin = "BEGIN IMMEDIATE" if near else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def later(self, seconds: str) -> str:
        """Return the instant a number of seconds from now."""
        if self.near:
            return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ({seconds}) || ' seconds')"
        return f"clock_timestamp() + make_interval(secs => {seconds})"

    def rows(self, mark: str) -> str:
        """Return the rows of a JSON text, as a table `x`."""
        if self.near:
            taken = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _COLUMNS)
            return f"(SELECT {taken} FROM json_each({mark})) AS x"
        typed = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        return f"json_to_recordset({mark}::json) AS x({typed})"

    def statement(self, sql: str, *params: Any, name: str) -> Statement:
        """Return a statement whose parameters are written $1, $2 and so on; both databases number them, by another sign."""
        return Statement(_NUMBERED.sub("?", sql) if self.near else sql, params, name)

    def recording(self, insert: str) -> str:
        """Return what records changes, and gives them their turn in the feed."""
        if self.near:
            return insert
        return f"""WITH changed AS ({insert} RETURNING number, tenant, seq)
INSERT INTO dateline_pending (seq, tenant, of) SELECT number, tenant, seq FROM changed"""
