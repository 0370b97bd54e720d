"""Positions are dense, every event that is committed gets exactly one, and whoever follows them misses none."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from threading import Event as Signal
from threading import Thread

import pytest

from dateline import Rejected, Runner
from tests.proofs.bank import Add, Bank, Pay, Put
from tests.proofs.evidence import asked, count
from tests.proofs.racing import again, on_all, on_postgresql, on_sqlite, race

THREADS = 8


class Follower:
    """Reads on from where it was, as a feed does.

    Args:
        by: The column that it takes for a cursor.
    """

    def __init__(self, bank: Bank, by: str) -> None:
        self._bank = bank
        self._question = (
            "SELECT seq, seq AS at FROM dateline_event WHERE seq > {0} ORDER BY seq"
            if by == "seq"
            else "SELECT seq, position AS at FROM dateline_position WHERE position > {0} ORDER BY position"
        )
        self._at = 0
        self.seen: list[int] = []

    def read_on(self) -> None:
        """Take what is new."""
        for row in asked(self._bank.engine, self._question.format(self._at)):
            self.seen.append(row.seq)
            self._at = row.at


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


@on_sqlite
def test_where_there_is_one_writer_at_a_time_the_number_is_the_position(
    bank: Bank, times: Callable[[int], int]
) -> None:
    bank.accounts(3)
    runner = bank.runner()

    bustle(bank, runner, times(40))

    found = everything(bank)
    assert found == list(range(1, len(found) + 1))
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

    for name in ("begin", "sequence", "end"):
        runner.made = lambda engine, name=name: Draining(engine, name, Statement("this is no SQL"))
        with pytest.raises(Exception, match="syntax error"):
            runner.sequence()
    runner.made = None

    assert runner.sequence() == 5
    assert_dense(bank)
