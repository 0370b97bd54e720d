"""When too many want the same: the budget is kept, nothing half-done stays, and every turn and connection is given back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread, Timer
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from dateline import Actor, Event, Preview, Refused, Runner, Update, Versions, Yields, handler
from dateline.errors import Conflict, Contention, DatelineError, HandlerFailed, Lost, Unreachable
from dateline.run.connection import Connection
from dateline.run.settings import Settings
from dateline.sql.statement import Batch, Result
from dateline.sql.turns import EVERYBODY
from tests.proofs.bank import (
    VERSIONS,
    Account,
    Add,
    Bank,
    Cell,
    Claimed,
    Guarded,
    Note,
    Pay,
    Payer,
    Put,
    Twice,
    seconds,
)
from tests.proofs.evidence import advisory_locks, asked, checksums, count, open_transactions
from tests.proofs.racing import on_every_path, on_newest, on_postgresql, race
from tests.proofs.sabotage import Through, Watching, through, writes

THREADS = 16


def pool_of(runner: Runner) -> Any:
    return runner.engine.pool


def assert_quiet(bank: Bank, runner: Runner) -> None:
    """Nobody holds a connection, a lock or a transaction any more."""
    assert pool_of(runner).checkedout() == 0
    if bank.postgresql:
        assert advisory_locks(bank.engine) == 0
        assert open_transactions(bank.engine) == 0


@on_every_path
def test_a_storm_under_a_small_budget_raises_contention_and_leaves_nothing_of_what_lost(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(1)
    runner = bank.runner(budget=seconds(0.01), busy=seconds(0.001), pool=THREADS)
    path(runner)

    def work(index: int) -> tuple[int, int]:
        done = lost = 0
        for _ in range(times(20)):
            try:
                runner.dispatch(Add(account="a0", cents=1), actor=f"thread-{index}")
                done += 1
            except Contention:
                lost += 1
        return done, lost

    told = race(THREADS, work)

    done, lost = (sum(column) for column in zip(*told, strict=True))
    figure(f"{done} done, {lost} told to come again")
    assert lost > 0
    assert bank.cents() == {"a0": done}
    assert count(bank.engine, "dateline_event") == count(bank.engine, "dateline_operation") == done
    assert_quiet(bank, runner)


@on_newest
def test_a_writer_that_always_loses_is_told_so_when_its_budget_is_spent(bank: Bank) -> None:
    bank.accounts(1)
    other, runner = bank.runner(), bank.opened(through, budget=seconds(0.5))
    runner.made = lambda engine: Watching(engine, lambda _: other.dispatch(Add(account="a0", cents=1), actor="quick"))

    began = time.monotonic()
    with pytest.raises(Contention, match="nothing was written"):
        runner.dispatch(Add(account="a0", cents=1000), actor="slow")

    assert 0.4 < time.monotonic() - began < 5
    assert bank.cents()["a0"] < 1000
    assert {row.actor for row in asked(bank.engine, "SELECT actor FROM dateline_event")} == {"quick"}
    assert_quiet(bank, runner)


class Losing(Connection):
    """A connection on which the first so many commits are lost, and that notes the locks which are held meanwhile."""

    bank: Bank
    left: int
    locks: list[int]

    def execute(self, batch: Batch) -> list[Result]:
        if writes(batch) and self.left:
            self.left -= 1
            if self.bank.postgresql:
                self.locks.append(advisory_locks(self.bank.engine))
            raise Conflict("another writer came first")
        return super().execute(batch)


def losing(bank: Bank, runner: Through, times: int) -> list[int]:
    """Have a runner lose so many tries; return the list that tells how many turns were held at each."""
    locks: list[int] = []

    def made(engine: Any) -> Connection:
        connection = Losing(engine)
        connection.bank, connection.left, connection.locks = bank, times, locks
        return connection

    runner.made = made
    return locks


@on_postgresql
def test_who_lost_too_often_takes_a_turn_and_gives_it_up(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.opened(through)
    locks = losing(bank, runner, 8)

    runner.dispatch(Add(account="a0", cents=1), actor="slow")

    # First behind those that lost over the same account, then behind all that go on losing.
    assert locks == [0, 1, 1, 1, 1, 1, 2, 2]
    assert bank.cents() == {"a0": 1}
    assert_quiet(bank, runner)


class Trap:
    """What springs inside the trapping handler, which is not pure: so much the worse for it."""

    fault: BaseException | None = None
    after: int = 0


class Trapped(Event, kind="trapped"):
    account: str


@handler
def trapping(event: Trapped, payer: Payer) -> Yields[Update[Account]]:
    if Trap.fault is not None and Trap.after == 0:
        raise Trap.fault
    Trap.after -= 1
    yield Update(payer.account, cents=payer.account.cents + 1)


TRAPPED = Versions.of({"2024-01-01": [Trapped, trapping]})


@contextmanager
def trap(fault: BaseException, after: int = 0) -> Iterator[None]:
    Trap.fault, Trap.after = fault, after
    try:
        yield
    finally:
        Trap.fault = None


@on_postgresql
@pytest.mark.parametrize("fault", [ValueError("odd"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_a_turn_is_given_up_whatever_ends_the_request(bank: Bank, fault: BaseException) -> None:
    bank.accounts(1)
    runner = bank.opened(lambda url, kept: Through(url, versions=TRAPPED, settings=kept))
    locks = losing(bank, runner, 7)

    with trap(fault, after=7), pytest.raises((type(fault), HandlerFailed)):
        runner.dispatch(Trapped(account="a0"), actor="slow")

    assert locks[-1] == 1
    assert bank.cents() == {"a0": 0}
    assert_quiet(bank, runner)


@on_postgresql
@pytest.mark.parametrize("where", ["leave", "queue"])
def test_a_session_that_is_lost_with_its_turn_is_replaced_and_the_event_happens_once(bank: Bank, where: str) -> None:
    bank.accounts(1)
    runner = bank.opened(through)

    class Killed(Losing):
        def execute(self, batch: Batch) -> list[Result]:
            if where in [statement.name for statement in batch.statements] and kills:
                asked(
                    bank.engine, f"SELECT pg_terminate_backend({kills.pop() or self._taken().info.backend_pid}, 5000)"
                )
            return super().execute(batch)

    kills: list[int | None] = [None]

    def made(engine: Any) -> Connection:
        connection = Killed(engine)
        connection.bank, connection.left, connection.locks = bank, 7, []
        return connection

    runner.made = made
    runner.dispatch(Add(account="a0", cents=1), actor="slow")

    assert not kills
    assert bank.cents() == {"a0": 1}
    assert_quiet(bank, runner)


@on_postgresql
def test_the_wait_for_a_turn_keeps_the_budget(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.opened(through, budget=seconds(0.5))
    losing(bank, runner, 7)

    with bank.engine.connect() as holder:
        holder.execute(text(f"SELECT pg_advisory_lock({EVERYBODY})"))
        began = time.monotonic()
        with pytest.raises(Contention):
            runner.dispatch(Add(account="a0", cents=1), actor="slow")
        assert time.monotonic() - began < 3
        holder.execute(text("SELECT pg_advisory_unlock_all()"))

    assert_quiet(bank, runner)


@on_postgresql
def test_a_row_that_somebody_else_holds_does_not_make_a_request_wait_for_ever(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner(budget=seconds(0.5), busy=seconds(0.5))

    with bank.engine.connect() as holder:
        holder.execute(text("SELECT FROM account FOR UPDATE"))
        release = Timer(6, holder.rollback)
        release.start()
        began = time.monotonic()
        with pytest.raises(Contention):
            runner.dispatch(Add(account="a0", cents=1), actor="slow")
        took = time.monotonic() - began
        release.cancel()
        holder.rollback()

    assert took < 4
    assert_quiet(bank, runner)


@on_postgresql
def test_as_many_refusals_inside_together_as_connections_do_not_wait_for_each_other(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner(pool=2, overflow=0)

    def work(index: int) -> None:
        with runner.together() as tx, pytest.raises(Refused, match="too-little"):
            tx.dispatch(Pay(account="a0", cents=1), actor=f"thread-{index}")

    began = time.monotonic()
    race(4, work)

    assert time.monotonic() - began < 10
    assert count(bank.engine, "dateline_event") == 4
    assert_quiet(bank, runner)


def backdating() -> Actor:
    return Actor("clerk", rights=frozenset({"backdate"}))


def failures(bank: Bank, runner: Runner) -> dict[str, Callable[[], object]]:
    """Return what fails, in every way that a request can."""
    add = Add(account="a0", cents=1)
    stale = runner.preview(add, actor="crowd")
    assert isinstance(stale, Preview)
    runner.dispatch(add, actor="crowd", key="taken")
    runner.dispatch(Put(name="here", text="x"), actor="crowd")

    def joined(fault: BaseException | None = None, dispatched: Event = add) -> None:
        with runner.together() as tx:
            tx.dispatch(dispatched, actor="crowd")
            if fault is not None:
                raise fault

    def killed_inside() -> None:
        with runner.together() as tx:
            tx.dispatch(add, actor="crowd")
            question = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"
            for found in asked(bank.engine, question):
                asked(bank.engine, f"SELECT pg_terminate_backend({found.pid}, 5000)")
            tx.dispatch(add, actor="crowd")

    def in_a_session(isolation: str) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(bank.url, isolation_level=isolation)
        try:
            with Session(engine) as session, runner.together(session) as tx:
                tx.dispatch(Pay(account="a0", cents=10**6), actor="crowd")
        finally:
            engine.dispose()

    def rejected() -> object:
        return runner.dispatch(Pay(account="a0", cents=10**6), actor="crowd")

    found: dict[str, Callable[[], object]] = {
        "rejected": rejected,
        "not found": lambda: runner.dispatch(Add(account="nobody", cents=1), actor="crowd"),
        "stale": lambda: runner.dispatch(add, actor="crowd", expects=stale),
        "key reused": lambda: runner.dispatch(Add(account="a0", cents=2), actor="crowd", key="taken"),
        "constraint": lambda: runner.dispatch(Claimed(name="here"), actor="crowd"),
        "denied": lambda: runner.dispatch(Guarded(), actor="crowd"),
        "back-dated without a right": lambda: runner.dispatch(add, actor="crowd", at=datetime(2024, 2, 2, tzinfo=UTC)),
        "back-dated without a reason": lambda: runner.dispatch(
            add, actor=backdating(), at=datetime(2024, 2, 2, tzinfo=UTC)
        ),
        "unknown version": lambda: runner.dispatch(add, actor="crowd", version="1999-01-01"),
        "not storable": lambda: runner.dispatch(Add(account="a0", cents=10**30), actor="crowd"),
        "not canonical": lambda: runner.dispatch(Note(body=float("nan")), actor="crowd"),
        "clashing": lambda: runner.dispatch(Twice(account="a0"), actor="crowd"),
        "joined, refused": lambda: joined(dispatched=Pay(account="a0", cents=10**6)),
        "joined, clashing": lambda: joined(dispatched=Twice(account="a0")),
        "joined, constraint": lambda: joined(dispatched=Claimed(name="here")),
        "joined, the caller fails": lambda: joined(ZeroDivisionError()),
        "joined, the caller is interrupted": lambda: joined(KeyboardInterrupt()),
        "joined, the caller's generator is closed": lambda: joined(GeneratorExit()),
        "rehearsed, constraint": lambda: _raised(runner.preview(Claimed(name="here"), actor="crowd", rehearse=True)),
        "previewed, rejected": lambda: _raised(runner.preview(Pay(account="a0", cents=10**6), actor="crowd")),
        "a wrong filter": lambda: runner.trail(limit=0),
        "joined a session, refused": lambda: in_a_session("SERIALIZABLE"),
    }
    if bank.postgresql:
        found["joined, killed"] = killed_inside
        found["joined a session that could lose updates"] = lambda: in_a_session("READ COMMITTED")
    return found


def _raised(outcome: object) -> None:
    if isinstance(outcome, BaseException):
        raise outcome


@on_newest
def test_every_connection_comes_back_after_every_sort_of_failure(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner(pool=3, overflow=0)

    for name, fail in failures(bank, runner).items():
        with pytest.raises((DatelineError, ZeroDivisionError, KeyboardInterrupt, GeneratorExit)):
            fail()
        assert pool_of(runner).checkedout() == 0, name
        if bank.postgresql:
            assert (advisory_locks(bank.engine), open_transactions(bank.engine)) == (0, 0), name
        else:
            # Nobody holds the one lock that there is.
            with sqlite3.connect(bank.engine.url.database or "", timeout=0) as direct:
                direct.execute("BEGIN IMMEDIATE")
                direct.rollback()
            direct.close()

    runner.dispatch(Add(account="a0", cents=1), actor="crowd")
    assert runner.verify().ok


@on_newest
@pytest.mark.parametrize("fault", [ValueError("odd"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("how", ["dispatch", "preview", "rehearse", "together"])
def test_whatever_a_handler_raises_leaves_nothing_behind(bank: Bank, fault: BaseException, how: str) -> None:
    bank.accounts(1)
    runner = bank.opened(lambda url, kept: Runner(url, versions=TRAPPED, settings=kept), pool=1, overflow=0)
    before = checksums(bank.engine)

    def fail() -> object:
        match how:
            case "dispatch":
                return runner.dispatch(Trapped(account="a0"), actor="crowd")
            case "together":
                with runner.together() as tx:
                    return tx.dispatch(Trapped(account="a0"), actor="crowd")
            case _:
                return runner.preview(Trapped(account="a0"), actor="crowd", rehearse=how == "rehearse")

    with trap(fault), pytest.raises((type(fault), HandlerFailed)):
        fail()

    assert checksums(bank.engine) == before
    assert_quiet(bank, runner)
    runner.dispatch(Trapped(account="a0"), actor="crowd")
    assert bank.cents() == {"a0": 1}


@on_postgresql
def test_control_a_connection_that_is_not_given_back_is_seen(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.opened(through)

    class Kept(Connection):
        def close(self) -> None:
            held.append(self._held)

    held: list[Any] = []
    runner.made = Kept
    runner.dispatch(Add(account="a0", cents=1), actor="crowd")

    assert pool_of(runner).checkedout() == 1
    held.pop().close()
    assert pool_of(runner).checkedout() == 0


@on_newest
def test_an_interrupt_while_a_writer_waits_for_its_next_try_leaves_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.accounts(1)
    runner, before = bank.opened(through), checksums(bank.engine)
    pauses: list[float] = []

    def interrupted(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 7:
            raise KeyboardInterrupt

    losing(bank, runner, 20)
    # The one place that waits: no other way leads to an interrupt at that very moment.
    monkeypatch.setattr("dateline.run.connection.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.dispatch(Add(account="a0", cents=1), actor="slow")
    monkeypatch.undo()

    assert checksums(bank.engine) == before
    assert_quiet(bank, runner)


@on_newest
def test_a_database_that_is_not_there_says_so_without_its_password(bank: Bank) -> None:
    url = "postgresql://ann:s3cret@127.0.0.1:1/none" if bank.postgresql else "sqlite:////nowhere/at/all.db"

    with Runner(url, versions=VERSIONS, settings=Settings(budget=seconds(1))) as runner:
        with pytest.raises(Unreachable) as unreachable:
            runner.dispatch(Add(account="a0", cents=1), actor="crowd")

        assert "s3cret" not in str(unreachable.value)
        assert pool_of(runner).checkedout() == 0


@on_newest
def test_a_constraint_that_another_writer_broke_for_a_moment_refuses_nobody(bank: Bank) -> None:
    bank.accounts(1)
    other, runner = bank.runner(), bank.opened(through)
    inserts = [insert(Cell).values(name="c", text="by hand", writes=1)]

    def in_between(_: Connection) -> None:
        # There when this writer writes, and gone when it reads again.
        if inserts:
            with bank.engine.begin() as connection:
                connection.execute(inserts.pop())
            Thread(target=gone).start()

    def gone() -> None:
        with bank.engine.begin() as connection:
            connection.execute(text("DELETE FROM cell"))

    runner.made = lambda engine: Watching(engine, in_between)
    done = runner.dispatch(Put(name="c", text="x"), actor="crowd")

    assert [wrote.verb for wrote in done.operations] in (["insert"], ["update"])
    assert other.verify().ok


@on_newest
def test_a_joined_writer_is_told_of_a_conflict_and_nothing_of_its_transaction_stays(bank: Bank) -> None:
    bank.accounts(1)
    other, runner = bank.runner(), bank.runner(busy=seconds(0.2))

    def joined() -> None:
        with runner.together() as tx:
            tx.dispatch(Put(name="c", text="x"), actor="slow")
            # SQLite has one writer at a time: there the other is the one that has to come again.
            with bank.engine.connect() if bank.postgresql else runner.together():
                tx.preview(Add(account="a0", cents=1), actor="slow")
                other.dispatch(Add(account="a0", cents=1), actor="quick")
                tx.dispatch(Add(account="a0", cents=1), actor="slow")

    with pytest.raises((Conflict, Lost)) as told:
        joined()

    assert type(told.value) is Conflict
    assert count(bank.engine, "cell") == 0
    assert_quiet(bank, runner)
