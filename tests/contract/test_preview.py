"""A preview is the dispatch without its commit: it shows the same and changes nothing."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest

from dateline import (
    Actor,
    ConstraintRefused,
    Event,
    Insert,
    Preview,
    Refused,
    Rejected,
    Snapshot,
    Update,
    Versions,
    Yields,
    given,
    handler,
    rows,
)
from dateline.errors import Denied, NotFound, UnknownVersion
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Customer, Enrol, Idea, Peek, Product, Purchase, Sell, Stock, Stocktake

COUNTER = Actor("clerk", rights=frozenset({"count"}))


def test_a_preview_shows_the_plan_and_what_it_rests_on(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    preview = shop.preview(Sell(product="tea", quantity=2))

    assert preview.event == Sell(product="tea", quantity=2)
    assert (preview.version, preview.at, preview.expires_at) == (date(2024, 6, 1), NOON, NOON + timedelta(minutes=15))
    assert (preview.event.meta.id, preview.event.meta.at) == (preview.event_id, NOON)
    assert preview.rehearsed is False
    assert [(planned.key, planned.date) for planned in preview.plan.planned] == [
        ("take/Update:product[tea]", "2024-01-01"),
        ("write_down/Insert:purchase", "2024-01-01"),
        ("write_down/ship", "2024-01-01"),
        ("warn_when_low/warn[tea]", "2024-06-01"),
    ]
    assert set(preview.fingerprints) == {"product/tea"}
    assert set(preview.fingerprints["product/tea"]) == {"id", "stock"}


@pytest.mark.parametrize("rehearse", [False, True], ids=["plain", "rehearsed"])
def test_a_preview_changes_nothing(shop: Shop, rehearse: bool) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))
    shop.dispatch(Sell(product="tea"))
    before = shop.everything()

    for event, actor in (
        (Sell(product="tea", quantity=2), "till"),
        (Sell(product="tea", quantity=99), "till"),
        (Sell(product="none"), "till"),
        (Stocktake(counted=3), COUNTER),
        (Stocktake(counted=3), "till"),
        (Enrol(id="bob", name="Bob"), "till"),
        (Enrol(id="ann", name="Ann"), "till"),
        (Idea(text="x"), "till"),
    ):
        shop.tried(event, actor, rehearse=rehearse, key="k1")

    after = dict(shop.everything())
    if rehearse and shop.postgres:
        # A number that a rehearsal has drawn is not put back; nothing refers to it.
        after["sequences"] = before["sequences"]
    assert after == before


def test_a_dispatch_does_what_the_preview_showed(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))

    preview = shop.preview(Sell(product="tea", quantity=2))
    done = shop.dispatch(Sell(product="tea", quantity=2))

    # Placeholders of two plans are equal where their inserts are.
    assert done.plan == preview.plan
    assert done.version == preview.version
    assert done.event_id != preview.event_id


def test_previews_of_the_same_state_are_equal_but_for_their_ids(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    one, other = (shop.preview(Sell(product="tea")) for _ in range(2))

    assert (one.plan, one.seen, one.fingerprints) == (other.plan, other.seen, other.fingerprints)
    assert one.event_id != other.event_id


def test_refusals_are_values_and_are_not_recorded(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    refused = [
        shop.tried(Sell(product="tea", quantity=5)),
        shop.tried(Sell(product="none")),
        shop.tried(Stocktake(counted=1)),
        shop.tried(Sell(product="tea"), version="2020-01-01"),
    ]

    assert [type(found) for found in refused] == [Rejected, NotFound, Denied, UnknownVersion]
    assert [found.event_id for found in refused if isinstance(found, Refused)] == [None] * 4
    assert len(shop.trail()) == 0


class Overdraw(Event, kind="overdraw"):
    product: str
    stock: int


class Found(Snapshot):
    product: Stock = rows(Product.id == given("product"))


@handler
def overdraw(event: Overdraw, found: Found) -> Yields[Update[Product]]:
    """Forgets to check, so that the database has to."""
    yield Update(found.product, stock=event.stock)


class Order(Event, kind="order"):
    product: str


@handler
def order(event: Order) -> Yields[Insert[Purchase]]:
    yield Insert(Purchase, product=event.product, customer="ann", quantity=1)


CARELESS = Versions.of({"2024-01-01": [Overdraw, overdraw, Order, order]})


def test_only_a_rehearsal_hears_the_constraints(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    shop = shop.under(CARELESS)

    assert isinstance(shop.tried(Overdraw(product="tea", stock=-1)), Preview)
    refused = shop.tried(Overdraw(product="tea", stock=-1), rehearse=True)
    assert isinstance(refused, ConstraintRefused)
    assert "stock_not_negative" in refused.constraint
    assert refused.step == "overdraw/Update:product[tea]"
    rehearsed = shop.tried(Overdraw(product="tea", stock=0), rehearse=True)
    assert isinstance(rehearsed, Preview)
    assert rehearsed.rehearsed
    assert shop.rows("product")[0]["stock"] == 4


def test_a_rehearsal_hears_constraints_that_would_wait_for_the_commit(own_shop: Shop) -> None:
    if not own_shop.postgres:
        pytest.skip("SQLite changes no constraint of a table that exists")
    own_shop.execute("ALTER TABLE purchase ALTER CONSTRAINT of_a_product DEFERRABLE INITIALLY DEFERRED")
    shop = own_shop.under(CARELESS)

    assert isinstance(shop.tried(Order(product="none")), Preview)
    refused = shop.tried(Order(product="none"), rehearse=True)
    assert isinstance(refused, ConstraintRefused)
    assert refused.constraint == "of_a_product"


def test_a_rehearsed_preview_can_be_committed(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"), rehearse=True)

    done = shop.dispatch(Sell(product="tea"), expects=preview)

    assert done.event_id == preview.event_id
    assert shop.rows("product")[0]["stock"] == 3


def test_a_preview_may_expect_what_another_showed(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    first = shop.preview(Sell(product="tea"))

    again = shop.preview(Sell(product="tea"), expects=first)
    assert (again.plan, again.version) == (first.plan, first.version)

    done = shop.dispatch(Sell(product="tea"), expects=first)
    stale = shop.tried(Sell(product="tea"), expects=first)
    assert isinstance(stale, Refused)
    assert stale.outcome == "stale"
    assert shop.outcomes() == ["committed"]
    assert done.event_id == first.event_id


def test_a_preview_takes_a_request_key_and_does_not_use_it_up(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    shop.preview(Sell(product="tea"), key="k1")

    done = shop.dispatch(Sell(product="tea", quantity=2), key="k1")

    assert not done.repeated
    assert isinstance(shop.tried(Sell(product="tea"), key="k1"), Preview)


def test_a_preview_under_another_version_decides_by_it(shop: Shop) -> None:
    shop.put(Product("tea", 3))

    january, june = (shop.preview(Sell(product="tea"), version=day) for day in ("2024-01-01", "2024-06-01"))

    assert [planned.slot for planned in january.plan.planned] == ["take", "write_down", "write_down"]
    assert [planned.slot for planned in june.plan.planned] == ["take", "write_down", "write_down", "warn_when_low"]


def test_a_preview_of_a_kind_that_refuses_silently_tells_all_the_same(shop: Shop) -> None:
    assert isinstance(shop.tried(Peek(product="none")), NotFound)


def test_handlers_cannot_tell_a_preview_from_a_dispatch(shop: Shop) -> None:
    seen = []

    @handler
    def spy(event: Idea) -> Yields[Insert[Customer]]:
        seen.append((type(event), dict(event.__dict__), event.meta.facts().keys()))
        yield Insert(Customer, id=str(event.new_id("customer")), name="x")

    shop = shop.under(Versions.of({"2024-01-01": [Idea, spy]}))

    shop.tried(Idea(text="x"))
    shop.tried(Idea(text="x"), rehearse=True)
    shop.dispatch(Idea(text="x"))

    assert len(seen) == 3
    assert all(found == seen[0] for found in seen)
    assert UUID(shop.rows("customer")[0]["id"]).version == 5
