"""given, when, then: a decision is stated without a database, and what is otherwise is told step by step."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from clinic.tables import Base
from dateline import Committed, Insert, Update, load
from dateline.testing.decisions import Clock, given, in_memory, under_each
from tests.contract.shop import LAYERS, VERSIONS, Buyer, Buying, Offer, Purchase, Sell, Ship, Stock, Thank
from versions.v2018_07_30.patients import RegisterPatient

TEA = Offer(product=Stock(id="tea", stock=9))
ANN = Buying(buyer=Buyer(id="ann", name="Ann", email=None, points=1))
NOBODY = Buying(buyer=None)
CLINIC = load("versions")


def test_what_is_decided_is_stated_step_by_step() -> None:
    asked = Sell(product="tea", quantity=2)
    purchase = Insert(Purchase, product="tea", customer="ann", quantity=2)

    when = given(TEA, NOBODY, versions=VERSIONS).when(asked, under="2024-01-01")

    when.then(Update(TEA.product, stock=7), purchase, Ship(purchase=purchase[Purchase.number], product="tea"))
    assert [planned.slot for planned in when.plan.planned] == ["take", "write_down", "write_down"]


def test_what_is_refused_is_stated_by_its_codes() -> None:
    given(TEA, NOBODY, versions=VERSIONS).when(Sell(product="tea", quantity=12)).refused("too-few", "wholesale")


def test_another_plan_is_told_with_who_decided_it() -> None:
    when = given(TEA, NOBODY, versions=VERSIONS).when(Sell(product="tea"), under="2024-01-01")

    with pytest.raises(pytest.fail.Exception) as told:
        when.then(Update(TEA.product, stock=9))

    lines = str(told.value).splitlines()
    assert lines[0] == "another plan was decided:"
    assert lines[1:3] == [
        "  -Update(product[tea], stock=9)",
        "  +Update(product[tea], stock=8)  by tests.contract.shop.take of 2024-01-01, take/Update:product[tea]",
    ]


def test_an_unexpected_refusal_and_one_that_does_not_come_are_told() -> None:
    many = given(TEA, NOBODY, versions=VERSIONS).when(Sell(product="tea", quantity=10))
    one = given(TEA, NOBODY, versions=VERSIONS).when(Sell(product="tea"))

    with pytest.raises(
        pytest.fail.Exception, match=r"the event was refused:\n  enough/too-few: 9 left  by .*enough of 2024-01-01"
    ):
        many.then()
    with pytest.raises(
        pytest.fail.Exception, match=r"refused with nothing, not with \['too-few'\]:\nit was not refused"
    ):
        one.refused("too-few")
    with pytest.raises(pytest.fail.Exception, match=r"refused with \['too-few'\], not with \['wholesale'\]"):
        many.refused("wholesale")


def test_a_bare_event_happens_when_its_version_begins_and_one_with_a_meta_when_it_says() -> None:
    at = datetime(2024, 6, 3, tzinfo=UTC)

    seen = [
        given(TEA, ANN, versions=VERSIONS).when(event).plan.steps(Thank)
        for event in (Sell(product="tea"), Sell(product="tea").stamped(at=at, actor="ann"))
    ]

    assert [len(some) for some in seen] == [1, 1]


@under_each(VERSIONS, since="2024-02-01")
def test_a_test_is_run_under_each_version_of_some(version: date) -> None:
    assert version == date(2024, 6, 1)


@under_each(VERSIONS, name="day")
def test_the_dates_parameter_has_the_name_that_is_asked_for(day: date) -> None:
    assert day.isoformat() in LAYERS


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = Clock(datetime(2024, 1, 1, tzinfo=UTC))

    before = clock()
    clock.move(timedelta(days=1))

    assert (before, clock()) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    with pytest.raises(ValueError, match="is naive"):
        Clock(datetime(2024, 1, 1))


def test_a_runner_in_memory_has_all_tables_and_its_own_clock() -> None:
    clock = Clock(datetime(2022, 1, 1, tzinfo=UTC))

    with in_memory(CLINIC, Base.metadata, clock=clock) as runner:
        done = runner.dispatch(RegisterPatient(patient="ada", name="Ada", phone="1"), actor="reception")
        again = [entry.id for entry in runner.trail()]

    assert isinstance(done, Committed)
    assert (again, done.event.meta.at) == ([done.event_id], clock.now)
