"""What goes over PostgreSQL's protocol: the same for a statement sent once, sent again, and prepared; sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import psycopg
import pytest

from dateline import Conflict, DatelineError
from dateline.core.meta import NewId
from dateline.core.request import Broken
from dateline.errors import Lost, NotStorable
from dateline.run.wire import PREPARED, wire_of
from dateline.sql.statement import Batch, Result, Statement

TIMES = 4
"""The first time a text is sent as it is, the second time it is prepared on the way, then it is prepared."""


class Line:
    """A session, and what speaks over it."""

    def __init__(self, url: str, *, asynchronous: bool) -> None:
        self.url = url.replace("+psycopg", "")
        self.loop = asyncio.Runner() if asynchronous else None
        if self.loop is None:
            self.session: Any = psycopg.connect(self.url, autocommit=True)
        else:
            self.session = self.loop.run(psycopg.AsyncConnection.connect(self.url, autocommit=True))

    def send(self, *statements: tuple[str, *tuple[Any, ...]], apart: bool = False) -> list[Result]:
        """Send one batch."""
        batch = Batch(tuple(Statement(sql, params) for sql, *params in statements), apart=apart)
        waiting = self.session.wait(wire_of(self.session).exchange(batch))
        if self.loop is None:
            return list(waiting)

        async def waited() -> list[Result]:
            return list(await waiting)

        return self.loop.run(waited())

    def close(self) -> None:
        """Hang up."""
        closing = self.session.close()
        if self.loop is not None:
            self.loop.run(closing)
            self.loop.close()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def line(request: pytest.FixtureRequest, postgresql_url: str) -> Iterator[Line]:
    made = Line(postgresql_url, asynchronous=request.param)
    yield made
    made.close()


@pytest.fixture
def other(postgresql_url: str) -> Iterator[Callable[[str], list[Any]]]:
    """Another session, which executes and fetches."""
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as session:

        def execute(sql: str) -> list[Any]:
            cursor = session.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

        yield execute


VALUES: list[tuple[str, Any, Any]] = [
    ("text", "", ""),
    ("text", "naïve 'quoted' \\ text\n", "naïve 'quoted' \\ text\n"),
    ("text", None, None),
    ("bigint", -(2**63), -(2**63)),
    ("boolean", True, True),
    ("boolean", False, False),
    ("uuid", UUID(int=7), UUID(int=7)),
    ("uuid", NewId(UUID(int=7), "row"), UUID(str(NewId(UUID(int=7), "row")))),
    ("date", date(1, 1, 1), date(1, 1, 1)),
    ("timestamptz", datetime(1, 1, 1, 12, 30, 0, 5, UTC), datetime(1, 1, 1, 12, 30, 0, 5, UTC)),
    ("timestamp", datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ("bytea", b"\0\\x\xff", b"\0\\x\xff"),
    ("numeric", Decimal("1.10"), Decimal("1.10")),
    ("double precision", 0.1, 0.1),
    ("interval", timedelta(days=-1, microseconds=3), timedelta(days=-1, microseconds=3)),
    ("integer[]", [1, None, 3], [1, None, 3]),
    ("bigint[]", [2**62, -1, 0], [2**62, -1, 0]),
    ("bigint[]", [], []),
    ("boolean[]", [True, False], [True, False]),
    ("text[]", ["a,b", 'c"d', "\\"], ["a,b", 'c"d', "\\"]),
    ("inet", ip_address("10.0.0.1"), ip_address("10.0.0.1")),
]


@pytest.mark.parametrize(("kind", "value", "wanted"), VALUES, ids=[f"{kind} {value!r}" for kind, value, _ in VALUES])
def test_a_value_comes_back_as_it_went_however_often_it_is_sent(line: Line, kind: str, value: Any, wanted: Any) -> None:
    found = [line.send((f"SELECT $1::{kind}", value))[0].rows[0][0] for _ in range(TIMES)]

    assert found == [wanted] * TIMES


def test_results_are_told_with_rows_and_counts_in_order(line: Line) -> None:
    batch = (
        ("CREATE TEMPORARY TABLE t (a integer)",),
        ("INSERT INTO t VALUES (1), (2)",),
        ("SELECT a FROM t ORDER BY a",),
        ("UPDATE t SET a = a + $1 RETURNING a", 10),
        ("SELECT a FROM t WHERE a = $1", 99),
        ("DROP TABLE t",),
    )

    found = [line.send(*batch) for _ in range(TIMES)]

    wanted = [
        Result((), -1),
        Result((), 2),
        Result([(1,), (2,)], 2),
        Result([(11,), (12,)], 2),
        Result([], 0),
        Result((), -1),
    ]
    assert [[(list(one.rows), one.count) for one in results] for results in found] == [
        [(list(one.rows), one.count) for one in wanted]
    ] * TIMES


def _deferred(other: Callable[[str], list[Any]]) -> None:
    other("CREATE TABLE parent (id integer PRIMARY KEY)")
    other("CREATE TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")


def test_what_fails_only_when_it_is_committed_has_failed(line: Line, other: Callable[[str], list[Any]]) -> None:
    # A statement alone is a transaction: its rows are here before the commit is tried, and are not true if that fails.
    _deferred(other)

    for number in range(TIMES):
        with pytest.raises(Broken, match="violates foreign key"):
            line.send(("INSERT INTO child VALUES ($1) RETURNING id", number))

    assert other("SELECT * FROM child") == []


def test_a_batch_without_a_transaction_of_its_own_is_one_and_fails_as_one(
    line: Line, other: Callable[[str], list[Any]]
) -> None:
    _deferred(other)

    for number in range(TIMES):
        with pytest.raises(Broken, match="violates foreign key"):
            line.send(("INSERT INTO parent VALUES ($1)", 100 + number), ("INSERT INTO child VALUES ($1)", number))

    assert other("SELECT * FROM parent UNION ALL SELECT * FROM child") == []


def test_what_follows_a_failure_is_not_performed_and_the_session_goes_on(
    line: Line, other: Callable[[str], list[Any]]
) -> None:
    other("CREATE TABLE t (id integer PRIMARY KEY)")

    for _ in range(TIMES):
        with pytest.raises(Broken, match="duplicate key"):
            line.send(
                ("INSERT INTO t VALUES ($1)", 1), ("INSERT INTO t VALUES ($1)", 1), ("INSERT INTO t VALUES ($1)", 2)
            )
        [again] = line.send(("SELECT count(*) FROM t",))
        assert list(again.rows) == [(0,)]


def test_statements_apart_are_transactions_of_their_own_and_all_are_performed(
    line: Line, other: Callable[[str], list[Any]]
) -> None:
    # So a turn is given up with the commit that it was for, whatever becomes of that.
    _deferred(other)
    other("CREATE TABLE told (number integer)")

    for number in range(TIMES):
        with pytest.raises(Broken, match="violates foreign key"):
            line.send(("INSERT INTO child VALUES ($1)", number), ("INSERT INTO told VALUES ($1)", number), apart=True)
    [first, second] = line.send(("SELECT pg_current_xact_id()",), ("SELECT pg_current_xact_id()",), apart=True)

    assert other("SELECT * FROM child") == []
    assert other("SELECT * FROM told ORDER BY number") == [(number,) for number in range(TIMES)]
    assert first.rows[0] != second.rows[0]


def test_a_text_with_a_nul_is_refused_before_anything_is_sent(line: Line) -> None:
    # The protocol would end the text there, and store the rest of nothing.
    for _ in range(TIMES):
        with pytest.raises(NotStorable, match="NUL"):
            line.send(("SELECT $1::text", "a\0b"))
        with pytest.raises(NotStorable, match="NUL"):
            line.send(("BEGIN",), ("SELECT $1::text", "a\0b"), ("COMMIT",))

    [found] = line.send(("SELECT $1::text", "ab"))
    assert list(found.rows) == [("ab",)]


@pytest.mark.parametrize("gone", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_a_session_whose_statements_somebody_has_thrown_away_tries_again(line: Line, gone: str) -> None:
    for _ in range(TIMES):
        line.send(("SELECT $1::integer", 1))
    line.send((gone,))

    with pytest.raises(Conflict):
        line.send(("SELECT $1::integer", 2))

    [found] = line.send(("SELECT $1::integer", 3))
    assert list(found.rows) == [(3,)]


def test_a_table_that_has_changed_since_is_read_as_it_is_now(line: Line, other: Callable[[str], list[Any]]) -> None:
    other("CREATE TABLE t AS SELECT 1 AS a")
    for _ in range(TIMES):
        line.send(("SELECT * FROM t",))
    other("ALTER TABLE t ADD b text DEFAULT 'new'")

    with pytest.raises(Conflict):
        line.send(("SELECT * FROM t",))

    [found] = line.send(("SELECT * FROM t",))
    assert list(found.rows) == [(1, "new")]


def test_a_session_keeps_a_bounded_number_of_statements(line: Line) -> None:
    for number in range(PREPARED + 20):
        for _ in range(2):
            [found] = line.send((f"SELECT {number}::integer + $1::integer", 1))
            assert list(found.rows) == [(number + 1,)]

    [kept] = line.send(("SELECT count(*) FROM pg_prepared_statements",))
    assert list(kept.rows) == [(PREPARED,)]


@pytest.mark.parametrize("batch", [[("SELECT 1",)], [("SELECT 1",), ("SELECT 2",)]], ids=["one", "several"])
def test_a_server_that_hangs_up_is_told_whatever_was_asked(
    line: Line, other: Callable[[str], list[Any]], batch: list[tuple[str]]
) -> None:
    [found] = line.send(("SELECT pg_backend_pid()",))
    other(f"SELECT pg_terminate_backend({found.rows[0][0]}), pg_sleep(0.2)")

    with pytest.raises(Lost):
        line.send(*batch)


def test_a_value_of_a_type_that_nobody_knows_is_refused(line: Line) -> None:
    for _ in range(TIMES):
        with pytest.raises(DatelineError):
            line.send(("SELECT $1::text", object()))
