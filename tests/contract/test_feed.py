"""Positions are dense and in order, and whoever waits for an event gets it."""

# ruff: noqa: PT012 - what is raised ends a block, which leaves a hole in the numbers

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from dateline import Runner
from dateline.errors import NotFound
from tests.contract.conftest import SETTINGS, Shop
from tests.contract.shop import VERSIONS, Idea, Product, Sell


def positions(shop: Shop) -> list[int | None]:
    return [entry.position for entry in shop.trail()]


def test_positions_are_dense_and_in_the_order_of_writing(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    for number in range(3):
        shop.dispatch(Idea(text=str(number)))
        with pytest.raises(NotFound):
            shop.dispatch(Sell(product="none"))
        with pytest.raises(ZeroDivisionError), shop.together() as tx:
            tx.dispatch(Sell(product="tea"), actor="till")
            raise ZeroDivisionError

    given = shop.sequence()

    # On SQLite there is one writer at a time, so the number is the position.
    assert given == (6 if shop.postgres else 0)
    assert positions(shop) == [1, 2, 3, 4, 5, 6]
    assert [entry.seq for entry in shop.trail()] == sorted(entry.seq for entry in shop.trail())
    assert shop.sequence() == 0


def test_an_event_has_no_position_before_the_sequencer_has_passed(shop: Shop) -> None:
    shop.dispatch(Idea(text="1"))

    assert positions(shop) == ([None] if shop.postgres else [1])
    shop.sequence()
    shop.dispatch(Idea(text="2"))
    assert positions(shop) == ([1, None] if shop.postgres else [1, 2])
    shop.sequence()
    assert positions(shop) == [1, 2]


def test_positions_run_through_all_tenants(shop: Shop) -> None:
    for tenant in ("", "north", ""):
        shop.dispatch(Idea(text="x"), tenant=tenant)
    shop.sequence()

    assert positions(shop) == [1, 3]
    assert [entry.position for entry in shop.trail(tenant="north")] == [2]


def test_several_sequencers_give_each_position_once(shop: Shop) -> None:
    for number in range(20):
        shop.dispatch(Idea(text=str(number)))

    def sequence(_: int) -> int:
        with Runner(shop.url, versions=VERSIONS, settings=SETTINGS) as runner:
            return runner.sequence()

    with ThreadPoolExecutor(4) as pool:
        given = sum(pool.map(sequence, range(4)))

    assert given == (20 if shop.postgres else 0)
    assert positions(shop) == list(range(1, 21))


def test_an_outcome_is_found_by_id_and_by_key(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="x"), key="k1")

    for of in (done.event_id, "k1"):
        found = shop.outcome(of, patience=timedelta(milliseconds=1))
        assert found is not None
        assert (found.id, found.outcome) == (done.event_id, "committed")


def test_a_refusal_is_an_outcome_too(shop: Shop) -> None:
    with pytest.raises(NotFound) as refused:
        shop.dispatch(Sell(product="none"), key="k1")

    found = shop.outcome("k1", patience=timedelta(milliseconds=1))

    assert found is not None
    assert found.refusal == refused.value


def test_an_outcome_is_waited_for(shop: Shop) -> None:
    def later() -> None:
        time.sleep(0.2)
        with Runner(shop.url, versions=VERSIONS, settings=SETTINGS) as runner:
            runner.dispatch(Idea(text="x"), actor="till", key="k1")

    with ThreadPoolExecutor(1) as pool:
        dispatched = pool.submit(later)
        found = shop.outcome("k1", patience=timedelta(seconds=5))
        dispatched.result()

    assert found is not None
    assert found.input == {"text": "x"}


@pytest.mark.parametrize("of", [UUID(int=1), "no such key", ""], ids=str)
def test_patience_ends_without_an_outcome(shop: Shop, of: UUID | str) -> None:
    began = time.monotonic()

    # The runner's clock stands still here; patience is measured by another.
    assert shop.outcome(of, patience=timedelta(seconds=0.15)) is None

    assert 0.1 < time.monotonic() - began < 3


def test_without_patience_there_is_one_look(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="x"))
    began = time.monotonic()

    assert shop.outcome(done.event_id, patience=timedelta(0)) is not None
    assert shop.outcome("no such key", patience=timedelta(0)) is None

    assert time.monotonic() - began < 3
