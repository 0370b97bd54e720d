"""The same key with the same request happens once, and everybody who sends it gets the same answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Barrier
from typing import TypeVar

import pytest

from dateline import Committed, Rejected, Runner
from dateline.errors import KeyReused
from tests.proofs.bank import VERSIONS, Add, Bank, Pay
from tests.proofs.crew import Orders, event_of, sent
from tests.proofs.evidence import asked, count
from tests.proofs.racing import again, on_every_path, on_every_path_and_15, on_newest, race
from tests.proofs.sabotage import Claimless

T = TypeVar("T")

THREADS = 20


def raced(keys: int, send: Callable[[str, int], T]) -> list[list[T]]:
    """Have all threads send each key at the same moment; return for each key what each of them got."""
    line = Barrier(THREADS)

    def work(index: int) -> list[T]:
        got = []
        try:
            for number in range(keys):
                line.wait()
                got.append(send(f"key-{number}", index))
        except BaseException:
            # Otherwise the others would wait for this one for ever.
            line.abort()
            raise
        return got

    return [list(answers) for answers in zip(*race(THREADS, work), strict=True)]


@on_every_path_and_15
def test_a_key_that_twenty_threads_race_for_happens_once_and_all_get_the_same_answer(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int]
) -> None:
    keys = times(40)
    bank.accounts(1)
    runner = bank.runner()
    path(runner)

    got = raced(keys, lambda key, _: runner.dispatch(Add(account="a0", cents=1), actor="crowd", key=key))

    for answers in got:
        assert all(answer == answers[0] for answer in answers)
        assert sum(not answer.repeated for answer in answers) == 1
    assert len({answers[0].event_id for answers in got}) == keys
    assert bank.cents() == {"a0": keys}
    assert count(bank.engine, "dateline_event") == count(bank.engine, "dateline_claim") == keys


@on_newest
def test_control_without_the_claim_a_key_happens_more_than_once(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    keys = times(10)
    bank.accounts(1)
    runner = bank.runner()
    runner.store = Claimless(runner.store.dialect, VERSIONS)

    raced(keys, lambda key, _: runner.dispatch(Add(account="a0", cents=1), actor="crowd", key=key))

    figure(f"{bank.cents()['a0']} events for {keys} keys")
    assert bank.cents()["a0"] > keys


@on_every_path
def test_of_two_requests_that_race_for_one_key_one_happens_and_the_other_is_refused(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int]
) -> None:
    keys = times(15)
    bank.accounts(2)
    runner = bank.runner()
    path(runner)

    def send(key: str, index: int) -> Committed | None:
        try:
            return runner.dispatch(Add(account=f"a{index % 2}", cents=1), actor="crowd", key=key)
        except KeyReused:
            return None

    got = raced(keys, send)

    for answers in got:
        even, odd = answers[::2], answers[1::2]
        winners, losers = (even, odd) if even[0] is not None else (odd, even)
        assert all(answer == winners[0] for answer in winners)
        assert losers == [None] * (THREADS // 2)
    assert sum(bank.cents().values()) == keys
    kept = Counter(row.outcome for row in asked(bank.engine, "SELECT outcome FROM dateline_event"))
    assert kept == {"committed": keys, "key-reused": keys * THREADS // 2}


@on_newest
def test_a_refusal_under_a_key_is_decided_once_and_told_to_all(bank: Bank, times: Callable[[int], int]) -> None:
    keys = times(10)
    bank.accounts(1)
    runner = bank.runner()

    def send(key: str, _: int) -> str | None:
        with pytest.raises(Rejected, match="too-little") as refused:
            runner.dispatch(Pay(account="a0", cents=1), actor="crowd", key=key)
        return refused.value.event_id

    got = raced(keys, send)

    assert all(len(set(answers)) == 1 and answers[0] for answers in got)
    assert count(bank.engine, "dateline_event") == keys


@on_newest
def test_a_key_raced_inside_together_happens_once_and_all_get_the_same_answer(
    bank: Bank, times: Callable[[int], int]
) -> None:
    keys = times(6)
    bank.accounts(2)
    runner = bank.runner()

    def send(key: str, index: int) -> Committed:
        def joined() -> Committed:
            with runner.together() as tx:
                done = tx.dispatch(Add(account="a0", cents=1), actor="crowd", key=key)
                tx.dispatch(Add(account="a1", cents=1), actor=f"thread-{index}")
                return done

        return again(joined)

    got = raced(keys, send)

    for answers in got:
        assert all(answer == answers[0] for answer in answers)
    assert bank.cents() == {"a0": keys, "a1": keys * THREADS}


@on_newest
def test_a_key_that_fifty_race_for_in_processes_that_are_killed_happens_once_and_all_get_the_same_answer(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(8)
    orders = Orders(keys=times(25), processes=5, threads=10, racing=True, joined=3, kills=times(4), only="add")

    told = sent(bank.url, orders)

    keys = {key: answers for key, answers in told.answers.items() if key.startswith("key-")}
    figure(f"{orders.keys} keys, {sum(map(len, keys.values()))} answers, {told.kills} processes killed")
    assert not told.faults
    assert told.kills > 0
    assert len(keys) == orders.keys
    for answers in keys.values():
        assert len(answers) >= 50
        assert len({digest for digest, _ in answers}) == 1
        # The first of all may have been lost with its process; then the others heard of it.
        assert sum(not repeated for _, repeated in answers) <= 1
    assert sum(bank.cents().values()) == sum(event_of(key, "add").cents for key in keys)  # type: ignore[attr-defined]  # of Add
    assert len(asked(bank.engine, "SELECT seq FROM dateline_event WHERE kind = 'add'")) == orders.keys
    assert count(bank.engine, "dateline_claim") == count(bank.engine, "dateline_event")
    with bank.runner() as runner:
        assert runner.verify().ok


@on_newest
def test_control_without_the_claim_a_key_that_processes_race_for_happens_more_than_once(
    bank: Bank, figure: Callable[[str], None]
) -> None:
    bank.accounts(8)

    told = sent(bank.url, Orders(keys=5, processes=4, threads=2, racing=True, only="add", weakened="claimless"))

    figure(f"{count(bank.engine, 'dateline_event')} events for {len(told.answers)} keys")
    assert count(bank.engine, "dateline_event") > len(told.answers) == 5
    assert any(len({digest for digest, _ in answers}) > 1 for answers in told.answers.values())


@on_newest
def test_a_key_sent_twice_within_one_transaction_happens_once(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    with runner.together() as tx:
        first = tx.dispatch(Add(account="a0", cents=1), actor="crowd", key="k")
        second = tx.dispatch(Add(account="a0", cents=1), actor="crowd", key="k")
        with pytest.raises(KeyReused):
            tx.dispatch(Add(account="a0", cents=2), actor="crowd", key="k")

    assert first == second
    assert (first.repeated, second.repeated) == (False, True)
    assert bank.cents() == {"a0": 1}


@on_newest
def test_a_refusal_sent_twice_within_one_transaction_is_the_same_refusal(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    with runner.together() as tx:
        for _ in range(2):
            with pytest.raises(Rejected, match="too-little"):
                tx.dispatch(Pay(account="a0", cents=1), actor="crowd", key="k")

    assert count(bank.engine, "dateline_claim") == 1


@on_newest
def test_a_key_of_a_transaction_that_is_rolled_back_is_free_again(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    def failing() -> None:
        with runner.together() as tx:
            tx.dispatch(Add(account="a0", cents=1), actor="crowd", key="k")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    done = runner.dispatch(Add(account="a0", cents=5), actor="crowd", key="k")

    assert not done.repeated
    assert bank.cents() == {"a0": 5}


@on_newest
def test_one_tenants_key_is_not_anothers(bank: Bank) -> None:
    bank.accounts(1)
    runner = bank.runner()

    done = {runner.dispatch(Add(account="a0", cents=1), actor="x", key="k", tenant=t).event_id for t in ("", "a", "b")}

    assert len(done) == 3
