"""Whoever is killed at whatever moment, client or server: no event is there in part, and none that was acknowledged is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Event as Signal
from threading import Thread
from typing import Self

import pytest
from sqlalchemy import event, text

from dateline import Rejected, Runner
from dateline.errors import DatelineError
from tests.proofs.bank import VERSIONS, Account, Bank, Cell, Payment, make_tables
from tests.proofs.crashing import Crashing, crashing
from tests.proofs.crew import Orders, event_of, sent
from tests.proofs.evidence import Rows, asked, count, live, open_transactions, operations, rebuilt, tables
from tests.proofs.racing import on_newest

TABLES = (Account, Payment, Cell)

PARTS = {"add": (1, 0), "pay": (2, 1), "put": (1, 0), "post": (1, 1), "note": (0, 0)}
"""How many operations and effects a committed event of a kind has; others depend on what was there."""


def assert_whole(bank: Bank, baseline: Rows) -> set[str]:
    """Check that nothing in the database is there in part; return the ids of all events."""
    events = asked(bank.engine, "SELECT seq, id, kind, outcome FROM dateline_event")
    held: dict[str, dict[int, int]] = {}
    for table in ("operation", "effect", "delivery", "subject"):
        rows = asked(bank.engine, f"SELECT seq, count(*) AS many FROM dateline_{table} GROUP BY seq")
        held[table] = {row.seq: row.many for row in rows}
        assert held[table].keys() <= {row.seq for row in events}
    assert held["effect"] == held["delivery"]
    for row in events:
        if row.outcome == "committed" and row.kind in PARTS:
            assert (held["operation"].get(row.seq, 0), held["effect"].get(row.seq, 0)) == PARTS[row.kind], row
    claimed = {str(row.event) for row in asked(bank.engine, "SELECT event FROM dateline_claim")}
    assert claimed == {str(row.id) for row in events}
    if bank.postgresql:
        assert count(bank.engine, "dateline_pending") + count(bank.engine, "dateline_position") == len(events)
    assert rebuilt(operations(bank.engine), baseline) == (live(bank.engine, *TABLES), 0)
    with bank.runner() as runner:
        assert runner.verify().ok
    return {str(row.id) for row in events}


def settled(bank: Bank) -> None:
    """Wait until the server has noticed whose clients are gone."""
    end = time.monotonic() + 30
    while bank.postgresql and open_transactions(bank.engine):
        assert time.monotonic() < end, "a transaction stays open"
        time.sleep(0.05)


@on_newest
def test_processes_that_are_killed_at_any_moment_leave_nothing_in_part_and_lose_nothing_that_was_acknowledged(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(8, cents=10**6)
    baseline = live(bank.engine, *TABLES)
    orders = Orders(keys=times(60), processes=4, threads=2, joined=3, kills=times(4), points=10)

    told = sent(bank.url, orders)

    settled(bank)
    ids = assert_whole(bank, baseline)
    points = dict(sorted(told.points.items()))
    figure(f"{len(ids)} events, {told.kills} processes killed by chance, {sum(points.values())} at points: {points}")
    assert not told.faults
    assert told.kills > 0
    assert told.points
    assert told.ids <= ids
    assert len(
        told.answers.keys() & {f"key-{p}-{t}-{n}" for p in range(4) for t in range(2) for n in range(orders.keys)}
    )


@on_newest
@pytest.mark.parametrize("table", ["event", "operation", "effect", "delivery", "claim", "account"])
def test_control_a_part_that_is_missing_is_seen(bank: Bank, table: str) -> None:
    bank.accounts(8, cents=10**6)
    baseline = live(bank.engine, *TABLES)
    with bank.runner() as runner:
        for number in range(3):
            runner.dispatch(event_of(f"{number}", "pay"), actor="crowd", key=f"{number}")
    assert_whole(bank, baseline)

    [name] = [found for found in tables(bank.engine) if found in (table, f"dateline_{table}")]
    with bank.engine.begin() as connection:
        if table == "account":
            connection.execute(text("UPDATE account SET cents = cents + 1 WHERE id = 'a0'"))
        else:
            column = "event" if table == "claim" else "seq"
            connection.execute(text(f"DELETE FROM {name} WHERE {column} = (SELECT {column} FROM {name} LIMIT 1)"))

    with pytest.raises(AssertionError):
        assert_whole(bank, baseline)


class Senders:
    """Threads that send events for as long as they may, again and again until they are answered, whatever becomes of the server."""

    def __init__(self, runner: Runner, threads: int = 6) -> None:
        self.runner = runner
        self.acknowledged: list[tuple[str, str]] = []
        self.outages = 0
        self._done = Signal()
        self._threads = [Thread(target=self._send, args=(index,)) for index in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _send(self, index: int) -> None:
        number = 0
        while not self._done.is_set():
            key = f"{index}-{number}"
            try:
                done = self.runner.dispatch(event_of(key, ""), actor="crowd", key=key)
                self.acknowledged.append((key, str(done.event_id)))
            except Rejected:
                pass
            except DatelineError:
                self.outages += 1
                time.sleep(0.05)
                continue
            number += 1


def opened(server: Crashing) -> Bank:
    make_tables(server.url)
    bank = Bank.at(server.url)
    bank.accounts(8, cents=10**6)
    return bank


def test_a_server_that_is_killed_has_all_that_it_acknowledged_when_it_comes_again(
    times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    kills, dice = max(2, times(1) // 2), random.Random(1)

    with crashing() as server:
        bank = opened(server)
        baseline = live(bank.engine, *TABLES)
        with Senders(bank.runner()) as senders:
            for _ in range(kills):
                before = len(senders.acknowledged)
                while len(senders.acknowledged) < before + 50:
                    time.sleep(0.01)
                time.sleep(dice.uniform(0, 0.2))
                server.kill()
                server.start()
        bank.engine.dispose()
        ids = assert_whole(bank, baseline)
        acknowledged = {id for _, id in senders.acknowledged}
        bank.close()

    figure(f"{kills} kills, {len(acknowledged)} events acknowledged, {senders.outages} outages met")
    assert acknowledged <= ids
    assert len(acknowledged) == len(senders.acknowledged)


def test_control_a_server_that_acknowledges_before_it_writes_loses_events(figure: Callable[[str], None]) -> None:
    with crashing("wal_writer_delay=10s", "wal_writer_flush_after=1GB") as server:
        bank = opened(server)
        runner = Runner(bank.url, versions=VERSIONS)

        @event.listens_for(runner.engine, "connect")
        def careless(connection: object, record: object) -> None:
            connection.execute("SET synchronous_commit = off")  # type: ignore[attr-defined]  # psycopg's

        acknowledged = {
            str(runner.dispatch(event_of(f"{number}", "put"), actor="crowd").event_id) for number in range(20)
        }
        server.kill()
        server.start()
        bank.engine.dispose()
        ids = {str(row.id) for row in asked(bank.engine, "SELECT id FROM dateline_event")}
        bank.close()
        runner.close()

    figure(f"{len(acknowledged - ids)} of {len(acknowledged)} acknowledged events lost")
    assert not acknowledged <= ids
