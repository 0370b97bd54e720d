"""What one writer saw still stands when it writes: no update is lost, no phantom slips in."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dateline import Preview, Refused, Rejected, Runner, StaleSnapshot
from dateline.errors import ClashingSteps, Difference
from dateline.run.connection import Connection
from tests.proofs.bank import Account, Add, Bank, Book, Clear, Informed, Pay, Put, Twice
from tests.proofs.evidence import checksums, count
from tests.proofs.racing import on_both_paths, on_every_path_and_15, on_newest, on_postgresql, race
from tests.proofs.sabotage import Sabotage, Through, Watching, at_read_committed, through, unguarded

THREADS = 8


def storm(runner: Runner, accounts: list[str], each: int) -> None:
    """Have every thread add one cent, again and again, to one account after the other."""

    def add(index: int) -> None:
        for turn in range(each):
            runner.dispatch(Add(account=accounts[(index + turn) % len(accounts)], cents=1), actor="crowd")

    race(THREADS, add)


@on_every_path_and_15
def test_no_update_of_a_few_rows_is_lost_among_eight_threads(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int]
) -> None:
    accounts, each = bank.accounts(3), times(125)
    runner = bank.runner()
    path(runner)

    storm(runner, accounts, each)

    assert sum(bank.cents().values()) == THREADS * each == count(bank.engine, "dateline_event")
    assert runner.verify().ok


@on_newest
def test_control_without_the_guard_updates_are_lost(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    accounts, each = bank.accounts(3), times(125)
    runner = bank.runner()
    unguarded(runner)

    storm(runner, accounts, each)

    figure(f"{THREADS * each - sum(bank.cents().values())} of {THREADS * each} updates lost")
    assert sum(bank.cents().values()) < THREADS * each == count(bank.engine, "dateline_event")


@on_both_paths
def test_control_with_the_guard_at_read_committed_updates_are_lost(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    accounts, each = bank.accounts(1), times(125)
    runner = bank.runner()
    at_read_committed(runner)
    path(runner)

    storm(runner, accounts, each)

    figure(f"{THREADS * each - sum(bank.cents().values())} of {THREADS * each} updates lost")
    assert sum(bank.cents().values()) < THREADS * each


@on_newest
def test_two_layers_that_write_one_cell_unseen_by_each_other_are_refused(bank: Bank) -> None:
    bank.accounts(1)
    runner, before = bank.runner(), checksums(bank.engine)

    with pytest.raises(ClashingSteps, match=r"account\[a0\]\.cents"):
        runner.dispatch(Twice(account="a0"), actor="crowd")
    with pytest.raises(ClashingSteps):
        runner.preview(Twice(account="a0"), actor="crowd")

    assert checksums(bank.engine) == before


@on_newest
def test_control_a_layer_that_looks_at_the_plan_loses_neither_update(bank: Bank) -> None:
    bank.accounts(1)

    bank.runner().dispatch(Informed(account="a0"), actor="crowd")

    assert bank.cents() == {"a0": 2}


@on_newest
def test_a_preview_is_stale_once_a_row_that_it_counted_among_many_is_joined_by_another(bank: Bank) -> None:
    bank.accounts(1, cents=100)
    runner = bank.runner()
    preview = runner.preview(Pay(account="a0", cents=1), actor="crowd")
    assert isinstance(preview, Preview)
    runner.dispatch(Book(account="a0", most=1), actor="another")

    with pytest.raises(StaleSnapshot) as stale:
        runner.dispatch(Pay(account="a0", cents=1), actor="crowd", expects=preview)

    assert stale.value.differences == (Difference(row="payment/1", change="new"),)
    assert bank.cents() == {"a0": 100}


@on_newest
def test_control_fingerprints_of_rows_cannot_see_the_row_that_was_not_there(bank: Bank) -> None:
    bank.accounts(1, cents=100)
    runner = bank.runner()
    preview = runner.preview(Pay(account="a0", cents=1), actor="crowd")
    assert isinstance(preview, Preview)
    runner.dispatch(Book(account="a0", most=1), actor="another")

    runner.dispatch(Pay(account="a0", cents=1), actor="crowd", expects=preview.fingerprints)

    assert bank.cents() == {"a0": 99}


def interrupted(bank: Bank, meanwhile: Callable[[], object], weakened: Callable[[Runner], None] | None) -> Through:
    """Return a runner between whose first reading and first writing something else happens."""
    runner = bank.opened(through)
    if weakened is not None:
        weakened(runner)
    happens = [meanwhile]

    def once(connection: Connection) -> None:
        if happens:
            happens.pop()()

    runner.made = lambda engine: Watching(engine, once)
    return runner


@on_newest
def test_a_row_that_appears_between_reading_and_writing_makes_the_decision_be_made_again(bank: Bank) -> None:
    bank.accounts(1, cents=100)
    other = bank.runner()
    runner = interrupted(bank, lambda: other.dispatch(Book(account="a0", most=1), actor="another"), None)

    with pytest.raises(Rejected, match="too-many"):
        runner.dispatch(Pay(account="a0", cents=1, most=1), actor="crowd")

    assert (bank.payments(), bank.cents()) == (1, {"a0": 100})


@on_newest
def test_a_count_that_changes_between_reading_and_writing_makes_the_decision_be_made_again(bank: Bank) -> None:
    other = bank.runner()
    runner = interrupted(bank, lambda: other.dispatch(Book(account="a0", most=1), actor="another"), None)

    with pytest.raises(Rejected, match="full"):
        runner.dispatch(Book(account="a0", most=1), actor="crowd")

    assert bank.payments() == 1


@on_newest
def test_a_row_that_vanishes_between_reading_and_writing_makes_the_decision_be_made_again(bank: Bank) -> None:
    other = bank.runner()
    other.dispatch(Put(name="c", text="old"), actor="another")
    runner = interrupted(bank, lambda: other.dispatch(Clear(name="c"), actor="another"), None)

    done = runner.dispatch(Put(name="c", text="new"), actor="crowd")

    assert [wrote.verb for wrote in done.operations] == ["insert"]


@on_newest
def test_a_refusal_too_is_only_recorded_while_what_it_rests_on_still_stands(bank: Bank) -> None:
    bank.accounts(1)
    other = bank.runner()
    runner = interrupted(bank, lambda: other.dispatch(Add(account="a0", cents=5), actor="another"), None)

    runner.dispatch(Pay(account="a0", cents=5), actor="crowd")

    assert [entry.outcome for entry in other.trail()] == ["committed", "committed"]


@on_newest
def test_control_without_the_guard_the_row_that_appeared_is_not_seen(bank: Bank) -> None:
    bank.accounts(1, cents=100)
    other = bank.runner()
    runner = interrupted(bank, lambda: other.dispatch(Book(account="a0", most=1), actor="another"), unguarded)

    runner.dispatch(Pay(account="a0", cents=1, most=1), actor="crowd")

    assert bank.payments() == 2


def overtaken(bank: Bank, weakened: Callable[[Runner], None] | None) -> Through:
    """Return a runner that is overtaken after the guard has found everything unchanged, and before it writes."""
    other = bank.runner()
    runner = bank.opened(through)
    if weakened is not None:
        weakened(runner)
    once = [lambda: other.dispatch(Book(account="a0", most=1), actor="another")]

    def overtake(connection: Sabotage) -> None:
        # After BEGIN, the guard's reading and the allocation of the payment's number: the guard was satisfied.
        assert [one.name for one in connection.passed] == ["begin", "read", "allocate"]
        if once:
            once.pop()()

    runner.made = lambda engine: Sabotage(engine, 3 if once else -1, overtake)
    return runner


@on_postgresql
def test_a_row_that_appears_between_guard_and_commit_is_seen_by_the_server(bank: Bank) -> None:
    runner = overtaken(bank, None)

    with pytest.raises(Refused, match="full"):
        runner.dispatch(Book(account="a0", most=1), actor="crowd")

    assert bank.payments() == 1


@on_postgresql
def test_control_at_read_committed_the_server_does_not_see_it(bank: Bank) -> None:
    runner = overtaken(bank, at_read_committed)

    runner.dispatch(Book(account="a0", most=1), actor="crowd")

    assert bank.payments() == 2


@on_newest
def test_rows_written_past_dateline_are_seen_by_the_guard_as_well(bank: Bank) -> None:
    bank.accounts(1, cents=10)

    def by_hand() -> None:
        with bank.engine.begin() as connection:
            connection.execute(Account.__table__.update().values(cents=0))  # type: ignore[attr-defined]  # FromClause

    runner = interrupted(bank, by_hand, None)

    with pytest.raises(Rejected, match="too-little"):
        runner.dispatch(Pay(account="a0", cents=5), actor="crowd")
