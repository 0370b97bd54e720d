"""Positions are dense, every event that is committed gets exactly one, and whoever follows them misses none."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event as Signal
from threading import Thread
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from dateline import Rejected, Runner
from dateline.testing.postgres import Postgres
from tests.proofs.bank import Add, Bank, Pay, Put
from tests.proofs.dump import restored
from tests.proofs.evidence import asked, count
from tests.proofs.racing import again, on_all, on_postgresql, on_sqlite, race

THREADS = 8


CURSORS = {
    "seq": "SELECT seq, seq AS at FROM dateline_event WHERE seq > {0} ORDER BY seq",
    "position": "SELECT seq, position AS at FROM dateline_position WHERE position > {0} ORDER BY position",
    # The well-known mend: by transaction, and never past the oldest that still runs.
    "xid": "SELECT seq, (xmin::text::bigint, seq)::text AS at FROM dateline_event "
    "WHERE (xmin::text::bigint, seq) > {0} AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
    "ORDER BY xmin::text::bigint, seq",
}


class Follower:
    """Reads on from where it was, as a feed does.

    Args:
        by: The column that it takes for a cursor.
    """

    def __init__(self, bank: Bank, by: str) -> None:
        self.bank = bank
        self._question = CURSORS[by]
        self._at = "(0,0)" if by == "xid" else 0
        self.seen: list[int] = []

    def read_on(self) -> None:
        """Take what is new."""
        for row in asked(self.bank.engine, self._question.format(self._at)):
            self.seen.append(row.seq)
            self._at = row.at

    def missed(self, numbers: list[int]) -> int:
        """Return how many of these it never saw."""
        return len(set(numbers) - set(self.seen))

    @property
    def doubled(self) -> int:
        """How many it saw more than once."""
        return len(self.seen) - len(set(self.seen))

    def inverted(self) -> int:
        """Return how many changes of a row it saw after a later change of the same row."""
        rows: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for row in asked(self.bank.engine, "SELECT seq, table_name, row_key FROM dateline_operation"):
            rows[row.seq].append((row.table_name, row.row_key))
        latest: dict[tuple[str, str], int] = {}
        late = 0
        for seq in dict.fromkeys(self.seen):
            for changed in rows[seq]:
                late += latest.get(changed, 0) > seq
                latest[changed] = max(latest.get(changed, 0), seq)
        return late


def everything(bank: Bank) -> list[int]:
    return [row.seq for row in asked(bank.engine, "SELECT seq FROM dateline_event ORDER BY seq")]


def assert_dense(bank: Bank) -> None:
    rows = asked(bank.engine, "SELECT position, seq FROM dateline_position ORDER BY position")
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert sorted(row.seq for row in rows) == everything(bank)
    assert count(bank.engine, "dateline_pending") == 0


def bustle(bank: Bank, runner: Runner, each: int) -> None:
    """Have every thread write: alone, together, refused, rolled back."""

    def work(index: int) -> None:
        dice = random.Random(index)

        def joined() -> None:
            with runner.together() as tx:
                for turn in range(3):
                    tx.dispatch(Put(name=f"{index}-{turn}", text="x"), actor="crowd")
                if dice.random() < 0.5:
                    raise ZeroDivisionError

        for turn in range(each):
            match dice.randrange(4):
                case 0:
                    runner.dispatch(Put(name=f"{index}-{turn % 3}", text="x"), actor="crowd")
                case 1:
                    runner.dispatch(Add(account=f"a{dice.randrange(3)}", cents=1), actor="crowd")
                case 2:
                    refused(lambda: runner.dispatch(Pay(account="a0", cents=10**6), actor="crowd"))
                case _:
                    refused(lambda: again(joined))

    race(THREADS, work)


def refused(work: Callable[[], object]) -> None:
    with suppress(Rejected, ZeroDivisionError):
        work()


@on_all
def test_racing_writers_get_dense_positions_while_several_sequencers_drain(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(3)
    runner, done = bank.runner(), Signal()
    follower = Follower(bank, "position" if bank.postgresql else "seq")
    drained = []

    def drain() -> None:
        while not done.wait(0.001):
            drained.append(runner.sequence())

    def follow() -> None:
        while not done.wait(0.001):
            follower.read_on()

    aside = [Thread(target=work) for work in (drain, drain, follow)]
    for thread in aside:
        thread.start()
    try:
        bustle(bank, runner, times(40))
    finally:
        done.set()
        for thread in aside:
            thread.join()
    drained.append(runner.sequence())
    follower.read_on()

    figure(f"{len(everything(bank))} events, drained in {sum(map(bool, drained))} goes")
    assert len(follower.seen) == len(set(follower.seen))
    assert sorted(follower.seen) == everything(bank)
    if bank.postgresql:
        assert sum(drained) == len(everything(bank))
        assert_dense(bank)


def crowd(runner: Runner, each: int, life: str) -> None:
    """Have thirty-two threads write to shared rows: three of ten in transactions of several, one of ten rolled back, some held open."""

    def work(index: int) -> None:
        dice = random.Random(f"{life}-{index}")

        def joined(names: list[int], way: float) -> None:
            with runner.together() as tx:
                for name in sorted(names):
                    tx.dispatch(Put(name=f"{name:03}", text=f"{index}"), actor="crowd")
                time.sleep(0.05 if dice.random() < 0.1 else 0)
                if way < 0.1:
                    raise ZeroDivisionError

        done = 0
        while done < each:
            names = [dice.randrange(300) for _ in range(3)]
            way = dice.random()
            if way < 0.4:
                refused(lambda names=names, way=way: again(lambda: joined(names, way)))  # type: ignore[misc]  # bound now
                done += 3
            else:
                runner.dispatch(Put(name=f"{names[0]:03}", text=f"{index}"), actor="crowd")
                done += 1

    race(32, work)


@contextmanager
def beside(*work: Callable[[], object], every: float) -> Iterator[None]:
    """Do all that again and again, each in a thread of its own, until the end."""
    done = Signal()

    def repeat(one: Callable[[], object]) -> None:
        while not done.wait(every):
            one()

    threads = [Thread(target=repeat, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@contextmanager
def elsewhere(server: Postgres) -> Iterator[Callable[[], None]]:
    """Give what writes to another database of the server, and takes its time before it commits."""
    name = f"dateline_{uuid4().hex}"
    engine = create_engine(server.database(name))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (n int)"))

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO other VALUES (1)"))
            time.sleep(0.2)

    yield write
    engine.dispose()
    server.drop(name)


@on_postgresql
def test_a_feed_by_position_misses_doubles_and_inverts_nothing_whatever_happens(
    bank: Bank, postgres: Callable[[int], Postgres], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    server, each = postgres(18), max(1, times(2500) // 64)
    names = ("position", "seq", "xid")
    followers = {name: Follower(bank, name) for name in names}
    follow = [followers[name].read_on for name in names]

    with ExitStack() as stack:
        write = stack.enter_context(elsewhere(server))
        homes = [bank]
        for life in ("before the restore", "after it"):
            runner = homes[-1].runner(pool=32)
            with beside(runner.sequence, runner.sequence, write, *follow, every=0.02):
                crowd(runner, each, life)
            runner.sequence()
            for one in follow:
                one()
            if len(homes) == 1:
                name = f"dateline_{uuid4().hex}"
                stack.callback(server.drop, name)
                runner.close()
                bank.engine.dispose()
                homes.append(Bank.at(restored(server, bank.url, name)))
                stack.callback(homes[-1].close)
                for follower in followers.values():
                    follower.bank = homes[-1]

        numbers = everything(homes[-1])
        told = {
            name: {"missed": one.missed(numbers), "doubled": one.doubled, "inverted": one.inverted()}
            for name, one in followers.items()
        }
        # The check of the order sees one that is wrong.
        backwards = Follower(homes[-1], "seq")
        backwards.seen = numbers[::-1]
        assert backwards.inverted() > 0
        figure(f"{len(numbers)} events; {told}")
        assert_dense(homes[-1])
    assert told["position"] == {"missed": 0, "doubled": 0, "inverted": 0}
    # The controls: whoever follows the numbers misses, and whoever follows the transactions begins anew after a restore.
    assert told["seq"]["missed"] > 0
    assert told["xid"]["doubled"] + told["xid"]["missed"] > 0


@on_postgresql
def test_a_writer_in_another_database_does_not_hold_up_positions(
    bank: Bank, postgres: Callable[[int], Postgres]
) -> None:
    bank.accounts(1)
    runner = bank.runner()
    follower, naive = Follower(bank, "position"), Follower(bank, "xid")

    name = f"dateline_{uuid4().hex}"
    engine = create_engine(postgres(18).database(name))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (n int)"))
        done = [runner.dispatch(Add(account="a0", cents=1), actor="crowd").seq for _ in range(3)]
        runner.sequence()
        follower.read_on()
        naive.read_on()
        assert follower.seen == done
        # The control: a cursor that waits for the oldest transaction waits for every database's.
        assert naive.seen == []
    naive.read_on()
    engine.dispose()
    postgres(18).drop(name)

    assert naive.seen == done


@on_sqlite
def test_where_there_is_one_writer_at_a_time_positions_are_the_numbers_in_their_order(
    bank: Bank, times: Callable[[int], int]
) -> None:
    bank.accounts(3)
    runner = bank.runner()

    bustle(bank, runner, times(40))
    sequenced = runner.sequence()

    found = everything(bank)
    assert found == list(range(1, len(found) + 1))
    assert sequenced == len(found)
    assert [entry.position for entry in runner.trail(limit=10_000)] == found[:10_000]


@on_postgresql
def test_an_event_whose_transaction_is_held_open_is_not_skipped(bank: Bank) -> None:
    bank.accounts(2)
    runner = bank.runner()
    follower, naive = Follower(bank, "position"), Follower(bank, "seq")

    with runner.together() as tx:
        held = tx.dispatch(Put(name="held", text="x"), actor="slow")
        others = [runner.dispatch(Add(account="a0", cents=1), actor="quick").seq for _ in range(3)]
        assert runner.sequence() == 3
        follower.read_on()
        naive.read_on()
        assert follower.seen == naive.seen == others
        assert held.seq < min(others)
    runner.sequence()
    follower.read_on()
    naive.read_on()

    assert_dense(bank)
    assert follower.seen == [*others, held.seq]
    # The control: whoever follows the numbers themselves was already past the one that came late.
    assert naive.seen == others


@on_postgresql
def test_positions_follow_causes_even_where_numbers_are_late(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    with runner.together() as tx:
        early = tx.dispatch(Put(name="held", text="x"), actor="slow")
        other = runner.dispatch(Add(account="a0", cents=1), actor="quick")
    later = runner.dispatch(Put(name="held", text="y"), actor="slow")
    runner.sequence()

    places = {entry.seq: entry.position for entry in runner.trail()}
    assert places == {early.seq: 1, other.seq: 2, later.seq: 3}


@on_postgresql
def test_what_was_rolled_back_leaves_a_hole_in_the_numbers_and_none_in_the_positions(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    for turn in range(6):

        def joined(turn: int = turn) -> None:
            with runner.together() as tx:
                tx.dispatch(Add(account="a0", cents=1), actor="crowd")
                if turn % 2:
                    raise ZeroDivisionError

        refused(joined)
    runner.sequence()

    assert everything(bank) == [1, 3, 5]
    assert_dense(bank)


@on_postgresql
def test_a_sequencer_that_fails_half_way_skips_and_doubles_nothing(bank: Bank) -> None:
    from dateline.sql.statement import Statement
    from tests.proofs.sabotage import Draining, through

    bank.accounts(1)
    runner = bank.opened(through)
    for _ in range(5):
        runner.dispatch(Add(account="a0", cents=1), actor="crowd")

    for name in ("pending", "begin", "sequence", "end"):
        runner.made = lambda engine, name=name: Draining(engine, name, Statement("this is no SQL"))
        with pytest.raises(Exception, match="syntax error"):
            runner.sequence()
    runner.made = None

    assert runner.sequence() == 5
    assert_dense(bank)
