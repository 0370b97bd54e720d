"""Whatever breaks in the middle of a commit, nothing of it stays, and the retry goes well."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text

from dateline import Committed, Event, Runner
from dateline.errors import DatelineError, Lost
from dateline.run import together as together_module
from dateline.run.connection import Connection
from dateline.sql.statement import Batch, Result, Statement
from tests.proofs.bank import VERSIONS, Add, Bank, Pay, Post, Put, seconds
from tests.proofs.evidence import asked, checksums, count
from tests.proofs.line import line
from tests.proofs.racing import in_order, on_all, on_every_path, on_newest, on_postgresql, on_sqlite
from tests.proofs.sabotage import Sabotage, Through, through

EVENTS = [Pay(account="a0", cents=1, note="secret"), Post(name="c", note="secret")]
EVENT_IDS = [event.__kind__ for event in EVENTS]

of_every_sort = pytest.mark.parametrize("request_", EVENTS, ids=EVENT_IDS)


class PowerCut(Exception):
    """What no code expects."""


def opened(bank: Bank, path: Callable[[Runner], None]) -> Through:
    bank.accounts(1, cents=1_000)
    runner = bank.opened(through)
    path(runner)
    return runner


def statements(runner: Through, request_: Event) -> int:
    """Return how many statements the commit of an event consists of."""
    seen: list[Sabotage] = []

    def watched(engine: Any) -> Connection:
        seen.append(Sabotage(engine, -1, lambda _: None))
        return seen[-1]

    # Twice: the first time asks about the tables too, and inserts where all later ones update.
    for key in ("first", "second"):
        runner.made = watched
        runner.dispatch(request_, actor="crowd", key=key)
    runner.made = None
    return len(seen[-1].passed)


def sabotaged(
    runner: Through, after: int, fault: Callable[[Sabotage], tuple[Statement, ...] | None]
) -> Callable[[Event, str], Committed]:
    """Return a dispatch whose commit is disturbed once after so many statements."""
    faults = [fault]

    def once(connection: Sabotage) -> tuple[Statement, ...] | None:
        return faults.pop()(connection) if faults else None

    def dispatch(request_: Event, key: str) -> Committed:
        runner.made = lambda engine: Sabotage(engine, after if faults else -1, once)
        try:
            return runner.dispatch(request_, actor="crowd", key=key)
        finally:
            runner.made = None

    return dispatch


def power_cut(_: Sabotage) -> None:
    raise PowerCut


def nonsense(_: Sabotage) -> tuple[Statement, ...]:
    return (Statement("this is no SQL"),)


@on_every_path
@of_every_sort
@pytest.mark.parametrize("fault", [power_cut, nonsense])
def test_a_failure_after_any_statement_of_a_commit_leaves_nothing_and_the_retry_goes_well(
    bank: Bank,
    path: Callable[[Runner], None],
    request_: Event,
    fault: Callable[[Sabotage], Any],
    figure: Callable[[str], None],
) -> None:
    runner = opened(bank, path)
    whole = statements(runner, request_)
    figure(f"{whole} statements")

    for after in range(whole):
        before, events = checksums(bank.engine), count(bank.engine, "dateline_event")
        with pytest.raises((PowerCut, psycopg.Error, sqlite3.Error, DatelineError)):
            sabotaged(runner, after, fault)(request_, f"key-{after}")
        assert checksums(bank.engine) == before, f"after {after} statements"

        done = runner.dispatch(request_, actor="crowd", key=f"key-{after}")

        assert not done.repeated
        assert count(bank.engine, "dateline_event") == events + 1

    assert runner.verify().ok


@on_newest
def test_control_a_commit_that_is_no_transaction_leaves_half_an_event(bank: Bank) -> None:
    class Autocommit(Sabotage):
        def execute(self, batch: Batch) -> list[Result]:
            harmless = Statement("SELECT 1")
            plain = [harmless if one.name in ("begin", "end", "undo") else one for one in batch.statements]
            return super().execute(Batch(tuple(plain), batch.opens, batch.ends))

    runner = opened(bank, in_order)
    whole, left = statements(runner, EVENTS[0]), 0

    for after in range(whole):
        before = checksums(bank.engine)
        runner.made = lambda engine, after=after: Autocommit(engine, after, power_cut)
        with pytest.raises(PowerCut):
            runner.dispatch(EVENTS[0], actor="crowd", key=f"key-{after}")
        left += checksums(bank.engine) != before

    # All but the first few statements change something.
    assert left > whole / 2


def kill(bank: Bank) -> Callable[[Sabotage], None]:
    """Return what ends the session at the server, from another one."""

    def fault(connection: Sabotage) -> None:
        asked(bank.engine, f"SELECT pg_terminate_backend({connection.session}, 5000)")

    return fault


@on_postgresql
@of_every_sort
def test_a_session_that_is_killed_after_any_statement_of_a_commit_is_replaced_and_the_event_happens_once(
    bank: Bank, request_: Event
) -> None:
    runner = opened(bank, in_order)
    whole = statements(runner, request_)

    for after in range(whole):
        events = count(bank.engine, "dateline_event")
        done = sabotaged(runner, after, kill(bank))(request_, f"key-{after}")
        again = runner.dispatch(request_, actor="crowd", key=f"key-{after}")
        assert again == done, f"after {after} statements"
        assert count(bank.engine, "dateline_event") == events + 1

    assert runner.verify().ok
    assert runner.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool


@on_postgresql
def test_a_session_that_is_killed_within_the_one_statement_of_a_commit_is_replaced(bank: Bank) -> None:
    runner = bank.opened(through)
    runner.dispatch(Put(name="c", text="old"), actor="crowd")
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH %' "
        "AND datname = current_database()"
    )
    killed: list[Any] = []

    with bank.engine.connect() as holder:
        holder.execute(text("SELECT FROM cell FOR UPDATE"))

        def attack() -> None:
            end = time.monotonic() + 10
            while not killed and time.monotonic() < end:
                for found in asked(bank.engine, waiting):
                    killed.extend(asked(bank.engine, f"SELECT pg_terminate_backend({found.pid}, 5000)"))
            holder.rollback()

        attacker = Thread(target=attack)
        attacker.start()
        done = runner.dispatch(Put(name="c", text="new"), actor="crowd")
        attacker.join()

    assert killed
    assert not done.repeated
    assert count(bank.engine, "dateline_event") == 2


@on_postgresql
@pytest.mark.parametrize("delivered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("request_", "trigger"),
    [(EVENTS[0], b"COMMIT"), (EVENTS[1], b"posted")],
    ids=["commit", "one-statement"],
)
def test_a_line_that_goes_dead_at_the_commit_is_answered_from_the_events_id(
    bank: Bank, request_: Event, trigger: bytes, delivered: bool
) -> None:
    bank.accounts(1, cents=1_000)

    with line(bank.url) as (url, cut), Runner(url, versions=VERSIONS) as runner:
        runner.dispatch(request_, actor="crowd")
        cut.trigger, cut.delivered = trigger, delivered
        done = runner.dispatch(request_, actor="crowd")

    assert cut.cuts == 1
    assert done.repeated == delivered
    assert count(bank.engine, "dateline_event") == 2
    recorded = asked(bank.engine, f"SELECT step FROM dateline_operation WHERE seq = {done.seq} ORDER BY ordinal")
    assert [row.step for row in recorded] == [wrote.step for wrote in done.operations]


@on_postgresql
def test_a_line_that_is_dead_for_good_says_so_and_keeps_no_connection(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.opened(through, budget=seconds(0.5))
    runner.dispatch(Add(account="a0", cents=1), actor="crowd")
    before = checksums(bank.engine)

    class Dead(Connection):
        def execute(self, batch: Batch) -> list[Result]:
            raise Lost("the line is dead")

    runner.made = Dead
    with pytest.raises(DatelineError):
        runner.dispatch(Add(account="a0", cents=1), actor="crowd")

    assert checksums(bank.engine) == before
    assert runner.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool


@on_sqlite
def test_a_process_that_is_killed_after_any_statement_leaves_nothing_and_the_retry_goes_well(
    bank: Bank, figure: Callable[[str], None]
) -> None:
    bank.accounts(1, cents=1_000)

    told = subprocess.run(
        [sys.executable, "-m", "tests.proofs.killed", bank.url],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    *killed, last = [json.loads(found) for found in told.stdout.splitlines()]
    figure(f"{len(killed)} processes killed")
    assert last["ended"] == 0
    for attack in killed[:-1]:
        expected = {"ended": -signal.SIGKILL, "left": "nothing", "repeated": False, "made": 1, "sound": True}
        assert attack == {"after": attack["after"], **expected}
    # After the COMMIT the event stands, whatever becomes of the process.
    assert killed[-1] == {**killed[-1], "left": "something", "repeated": True, "made": 1, "sound": True}
    assert len(killed) > 10


@on_newest
@pytest.mark.parametrize("fault", [power_cut, nonsense])
def test_a_failure_within_together_takes_back_the_events_before_it(
    bank: Bank, fault: Callable[[Sabotage], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.accounts(1, cents=1_000)
    runner, before = bank.runner(), checksums(bank.engine)

    def joined(after: int) -> None:
        def made(engine: Any, driver: Any = None) -> Connection:
            return Sabotage(engine, after, fault, driver)

        monkeypatch.setattr(together_module, "Connection", made)
        with runner.together() as tx:
            tx.dispatch(EVENTS[0], actor="crowd", key="a")
            tx.dispatch(EVENTS[1], actor="crowd", key="b")

    tried = 0
    while checksums(bank.engine) == before:
        with pytest.raises((PowerCut, psycopg.Error, sqlite3.Error, DatelineError)):
            joined(tried)
        tried += 1

    # What broke after the COMMIT, the last statement of all, came too late to take anything back.
    assert count(bank.engine, "dateline_event") == 2
    assert tried > 20


@on_all
def test_a_session_that_joins_takes_the_events_back_with_its_own_rollback(bank: Bank) -> None:
    from sqlalchemy.orm import Session

    runner, before = bank.runner(), checksums(bank.engine)
    engine = create_engine(bank.url, isolation_level="SERIALIZABLE")

    with Session(engine) as session:
        with runner.together(session) as tx:
            tx.dispatch(EVENTS[1], actor="crowd")
        session.rollback()
    assert checksums(bank.engine) == before

    with Session(engine) as session:
        with runner.together(session) as tx:
            tx.dispatch(EVENTS[1], actor="crowd")
        session.commit()
    engine.dispose()
    assert count(bank.engine, "dateline_event") == 1


@on_sqlite
def test_a_full_disk_says_so_and_leaves_nothing(bank: Bank) -> None:
    bank.accounts(1, cents=1_000_000)
    runner = bank.runner()

    @event.listens_for(runner.engine, "connect")
    def small(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 120")

    def fill() -> None:
        for _ in range(10_000):
            runner.dispatch(Pay(account="a0", cents=1, note="x" * 1_000), actor="crowd")

    with pytest.raises(DatelineError, match="full") as full:
        fill()
    done = bank.payments()

    assert "x" * 10 not in str(full.value)
    assert done > 10
    assert count(bank.engine, "dateline_event") == done
    assert bank.cents() == {"a0": 1_000_000 - done}
    assert runner.verify().ok
    assert runner.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of QueuePool
    with bank.runner() as room:
        room.dispatch(Pay(account="a0", cents=1), actor="crowd")
