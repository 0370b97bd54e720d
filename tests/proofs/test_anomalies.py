"""Four ways to go wrong that have names, each made to happen: here it does not, and at lower isolation it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

import pytest
from sqlalchemy import insert

from dateline import Preview, Runner
from dateline.errors import Conflict
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked
from tests.proofs.lists import Count, Draw, Duty, Fill, Touch, Turn, on, purses
from tests.proofs.racing import on_postgresql
from tests.proofs.sabotage import at_read_committed, at_repeatable_read


def skewed(bank: Bank, weakened: Callable[[Runner], None]) -> int:
    """Have two who see each other on duty go at the same time; return how many are left."""
    with bank.engine.begin() as connection:
        connection.execute(insert(Duty), [{"name": name, "ward": "w", "present": True} for name in ("ann", "bea")])
    runner = on(bank, weakened)

    with suppress(Conflict), runner.together() as one, runner.together() as another:
        one.dispatch(Turn(ward="w", name="ann", present=False), actor="ann")
        another.dispatch(Turn(ward="w", name="bea", present=False), actor="bea")

    return len(asked(bank.engine, "SELECT FROM duty WHERE present"))


@on_postgresql
def test_of_two_who_both_see_that_the_other_stays_only_one_may_go(bank: Bank) -> None:
    assert skewed(bank, lambda _: None) == 1


@on_postgresql
def test_control_at_repeatable_read_both_go(bank: Bank) -> None:
    assert skewed(bank, at_repeatable_read) == 0


def phantom(bank: Bank, weakened: Callable[[Runner], None]) -> list[int]:
    """Have two put an item at the end of one pile, each before the other is seen; return the places they took."""
    runner = on(bank, weakened)

    with suppress(Conflict), runner.together() as one, runner.together() as another:
        one.dispatch(Touch(line="l", pile="p", number=1, to="pile"), actor="ann")
        another.dispatch(Touch(line="l", pile="p", number=2, to="pile"), actor="bea")

    return [row.place for row in asked(bank.engine, "SELECT place FROM item")]


@on_postgresql
def test_of_two_who_both_find_no_row_only_one_may_add_it(bank: Bank) -> None:
    assert phantom(bank, lambda _: None) == [1]


@on_postgresql
@pytest.mark.parametrize("weakened", [at_read_committed, at_repeatable_read])
def test_control_at_lower_levels_both_add_it(bank: Bank, weakened: Callable[[Runner], None]) -> None:
    assert phantom(bank, weakened) == [1, 1]


def seen_between(
    bank: Bank, weakened: Callable[[Runner], None], look: Callable[[Runner], list[int]]
) -> tuple[list[int], list[int]]:
    """Have somebody draw, and, before that is committed, somebody fill, and a third look; return what was seen, and what is left.

    Source: A. Fekete, E. O'Neil, P. O'Neil, A read-only transaction anomaly under snapshot isolation, 2004.
    """
    purses(bank, 2)
    runner = on(bank, weakened)

    seen: list[int] = []
    with suppress(Conflict), runner.together() as tx:
        tx.dispatch(Draw(source="p00", target="p01", cents=10), actor="drawer")
        runner.dispatch(Fill(source="p01", cents=20), actor="filler")
        seen = look(runner)

    left = [row.cents for row in asked(bank.engine, "SELECT cents FROM purse ORDER BY id")]
    return seen, left


def by_preview(runner: Runner) -> list[int]:
    seen = runner.preview(Count(), actor="reader")
    assert isinstance(seen, Preview)
    return [money.cents for money in seen.seen[0]]


def by_event(runner: Runner) -> list[int]:
    done = runner.dispatch(Count(), actor="reader")
    [held] = runner.trail(kind="count").entries[0].snapshot.values()
    assert done.operations == ()
    return [row["cents"] for row in held["rows"]]


looking = pytest.mark.parametrize("look", [by_preview, by_event])


@on_postgresql
@looking
def test_who_only_looks_does_not_see_what_no_order_explains(bank: Bank, look: Callable[[Runner], list[int]]) -> None:
    seen, left = seen_between(bank, lambda _: None, look)

    # The filling was seen without the drawing: then the drawing, with its extra cent, must not have happened before it.
    assert (seen, left) == ([0, 20], [0, 20])


@on_postgresql
@looking
def test_control_at_repeatable_read_who_only_looks_sees_it(bank: Bank, look: Callable[[Runner], list[int]]) -> None:
    seen, left = seen_between(bank, at_repeatable_read, look)

    assert (seen, left) == ([0, 20], [-11, 20])


def waited_for(bank: Bank, weakened: Callable[[Runner], None]) -> int:
    """Have one statement wait for a row that another transaction holds and then commits; return what is in the purse."""
    purses(bank, 1)
    runner = on(bank, weakened)
    runner.dispatch(Fill(source="p00", cents=0), actor="first")
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH %' "
        "AND datname = current_database()"
    )

    waiter = Thread(target=lambda: runner.dispatch(Fill(source="p00", cents=1), actor="waiter"))
    with runner.together() as tx:
        tx.dispatch(Fill(source="p00", cents=10), actor="holder")
        waiter.start()
        end = time.monotonic() + 10
        while not asked(bank.engine, waiting):
            assert time.monotonic() < end, "nobody waits"
    waiter.join()

    return int(asked(bank.engine, "SELECT cents FROM purse")[0].cents)


@on_postgresql
def test_one_statement_that_waited_for_another_writer_loses_nothing(bank: Bank) -> None:
    assert waited_for(bank, lambda _: None) == 11


@on_postgresql
def test_control_at_read_committed_one_statement_that_waited_writes_over_what_it_waited_for(bank: Bank) -> None:
    assert waited_for(bank, at_read_committed) == 1
