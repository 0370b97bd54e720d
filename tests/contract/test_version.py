"""Which version decides, who may say when something happened, and what a right is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from freezegun import freeze_time

from dateline import Actor, Malformed, Runner, UnknownVersion, Versions
from dateline.core.meta import Reason
from dateline.errors import Denied, UnknownKind
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import LAYERS, VERSIONS, Idea, Product, Sell, Stocktake

ARCHIVIST = Actor("archivist", rights=frozenset({"backdate"}))
COUNTER = Actor("clerk", rights=frozenset({"count"}))
MARCH = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "asked", "expected"),
    [
        (NOON, None, date(2024, 6, 1)),
        (MARCH, None, date(2024, 1, 1)),
        (NOON, "2024-01-01", date(2024, 1, 1)),
        (NOON, date(2024, 5, 31), date(2024, 1, 1)),
        (datetime(2024, 5, 31, 23, 59, 59, 999_999, tzinfo=UTC), None, date(2024, 1, 1)),
        (datetime(2024, 6, 1, tzinfo=UTC), None, date(2024, 6, 1)),
        (datetime(2024, 6, 1, 1, tzinfo=timezone(timedelta(hours=2))), None, date(2024, 1, 1)),
    ],
)
def test_the_clock_chooses_unless_the_caller_does(shop: Shop, now: datetime, asked: Any, expected: date) -> None:
    shop.put(Product("tea", 3))
    shop.now = now

    done = shop.dispatch(Sell(product="tea"), version=asked)

    assert (done.version, shop.entry().version) == (expected, expected)
    assert ("warn" in [effect.kind for effect in done.effects]) == (expected == date(2024, 6, 1))


def test_nothing_is_decided_before_the_first_version(shop: Shop) -> None:
    shop.now = datetime(2023, 12, 31, 23, 59, tzinfo=UTC)

    shop.refused(UnknownVersion, Sell(product="tea"))

    assert shop.outcomes() == ["unknown-version"]


def test_a_runner_without_a_clock_takes_the_present(sqlite_url: str) -> None:
    chosen = []
    with Runner(sqlite_url, versions=VERSIONS) as runner:
        runner.migrate()
        for moment in ("2024-05-31T23:59:59.999Z", "2024-06-01T00:00:00Z"):
            with freeze_time(moment):
                done = runner.dispatch(Idea(text="x"), actor="till")
            chosen.append(done.version)
            assert done.event.meta.at == datetime.fromisoformat(moment)

    assert chosen == [date(2024, 1, 1), date(2024, 6, 1)]


def test_an_event_from_outside_has_the_shape_of_its_version(shop: Shop) -> None:
    class SellTo(Sell):
        note: str = ""

    runner = shop.under(Versions.of({"2024-01-01": LAYERS["2024-01-01"], "2024-06-01": [SellTo]})).colour.runner

    assert runner.event("sell", b'{"product":"tea","note":"x"}') == SellTo(product="tea", note="x")
    assert runner.event("sell", {"product": "tea"}, version="2024-01-01") == Sell(product="tea")
    with pytest.raises(Malformed, match="note"):
        runner.event("sell", b'{"product":"tea","note":"x"}', version="2024-05-31")
    with pytest.raises(UnknownKind):
        runner.event("gift", b"{}")
    with pytest.raises(UnknownVersion):
        runner.event("sell", b"{}", version="1999-01-01")


def test_who_may_back_date_says_when_and_why_and_the_newest_version_still_decides(shop: Shop) -> None:
    shop.put(Product("tea", 3))

    done = shop.dispatch(Sell(product="tea"), ARCHIVIST, at=MARCH, reason="found the slip")

    entry = shop.entry(done)
    assert (entry.version, entry.occurred_at, entry.meta.late) == (date(2024, 6, 1), MARCH, True)
    assert entry.reason == Reason("found the slip")
    assert done.event.meta.at == MARCH


def test_as_of_occurred_is_decided_as_it_would_have_been_then(shop: Shop) -> None:
    shop.put(Product("tea", 3))

    done = shop.dispatch(Sell(product="tea"), ARCHIVIST, at=MARCH, version="as-of-occurred", reason="found the slip")

    assert (done.version, shop.entry().occurred_at, shop.entry().meta.late) == (date(2024, 1, 1), MARCH, True)
    assert [effect.kind for effect in done.effects] == ["ship"]


def test_as_of_occurred_without_an_instant_is_as_of_now(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    done = shop.dispatch(Sell(product="tea"), ARCHIVIST, version="as-of-occurred", reason="import")

    assert (done.version, shop.entry().occurred_at, shop.entry().meta.late) == (date(2024, 6, 1), NOON, True)


@pytest.mark.parametrize(
    ("actor", "given", "told"),
    [
        ("till", {"at": MARCH, "reason": "x"}, "till lacks the right 'backdate'"),
        ("till", {"version": "as-of-occurred", "reason": "x"}, "till lacks the right 'backdate'"),
        (COUNTER, {"at": MARCH, "reason": "x"}, "clerk lacks the right 'backdate'"),
        (ARCHIVIST, {"at": MARCH}, "needs a reason"),
        (ARCHIVIST, {"version": "as-of-occurred"}, "needs a reason"),
        (ARCHIVIST, {"at": NOON}, "needs a reason"),
    ],
)
def test_back_dating_needs_the_right_and_a_reason(shop: Shop, actor: Any, given: dict[str, Any], told: str) -> None:
    shop.put(Product("tea", 9))

    refused = shop.refused(Denied, Sell(product="tea"), actor=actor, **given)

    assert told in refused.detail
    assert refused.facts == {"right": "backdate"}
    assert shop.rows("product")[0]["stock"] == 9


def test_an_older_version_needs_no_right(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    assert not shop.entry(shop.dispatch(Sell(product="tea"), version="2024-01-01")).meta.late


def test_an_instant_in_another_zone_is_the_same_instant(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    there = MARCH.astimezone(timezone(timedelta(hours=-7)))

    shop.dispatch(Sell(product="tea"), ARCHIVIST, at=there, reason="x")

    assert shop.entry().occurred_at == MARCH
    assert shop.entry().meta.at == MARCH


@pytest.mark.parametrize(
    "at", [MARCH.replace(tzinfo=None), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], ids=str
)
def test_an_instant_that_is_none_is_malformed(shop: Shop, at: datetime) -> None:
    with pytest.raises(Malformed):
        shop.dispatch(Sell(product="tea"), ARCHIVIST, at=at, reason="x")


def test_a_kind_may_require_a_right(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    refused = shop.refused(Denied, Stocktake(counted=3), actor=ARCHIVIST)
    done = shop.dispatch(Stocktake(counted=3), COUNTER)

    assert refused.detail == "archivist lacks the right 'count', which stocktake requires"
    assert refused.facts == {"right": "count"}
    assert done.operations[0].row_key == "tea"
    assert shop.outcomes() == ["denied", "committed"]


def test_rights_are_checked_and_not_recorded(shop: Shop) -> None:
    shop.dispatch(Stocktake(counted=3), COUNTER)

    [[body]] = shop.execute("SELECT body FROM dateline_event")
    assert "right" not in body
    assert shop.entry().actor.rights == frozenset()


def test_a_clock_is_a_function_that_gives_an_instant(sqlite_url: str) -> None:
    fixed: Any = NOON

    with pytest.raises(TypeError, match="clock= is a function that gives the present, not datetime"):
        Runner(sqlite_url, versions=VERSIONS, clock=fixed)
    with Runner(sqlite_url, versions=VERSIONS, clock=lambda: NOON.replace(tzinfo=None)) as runner:
        for call in (lambda: runner.dispatch(Idea(text="x"), actor="ann"), lambda: runner.event("sell", "{}")):
            with pytest.raises(TypeError, match=r"clock= gave .*, which is naive; an instant has a time zone"):
                call()
