"""What the caller saw must still be so: the very preview, or fingerprints of cells."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, TypeAlias

import pytest

from dateline import Actor, Malformed, Preview, Reject, Rejected, StaleSnapshot, Versions, Yields, check
from dateline.core.promise import Promise
from dateline.errors import Denied, Difference, NotFound, PreviewExpired
from tests.contract.conftest import Shop
from tests.contract.shop import LAYERS, Customer, Enrol, Offer, Product, Sell, Stocktake

COUNTER = Actor("clerk", rights=frozenset({"count"}))

Kept: TypeAlias = Callable[[Preview], Preview | Promise]


def _promised(preview: Preview) -> Promise:
    """Return what a client has kept of a preview, and sends to another server that has the same key."""
    return Promise.read(Promise.of(preview, b"the servers' key").text(), b"the servers' key")


@pytest.fixture(params=[lambda preview: preview, _promised], ids=["preview", "promise"])
def kept(request: pytest.FixtureRequest) -> Kept:
    found: Kept = request.param
    return found


def test_a_preview_is_committed_as_it_was_shown(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))
    preview = shop.preview(Sell(product="tea", quantity=2), version="2024-01-01")
    shop.now += timedelta(minutes=14)

    done = shop.dispatch(Sell(product="tea", quantity=2), expects=kept(preview))

    assert (done.event_id, done.version, done.plan) == (preview.event_id, preview.version, preview.plan)
    assert done.event.meta == preview.event.meta
    assert done.event.meta.at == shop.now - timedelta(minutes=14)
    assert shop.entry(done).version == date(2024, 1, 1)


def test_a_preview_that_is_committed_twice_gives_the_first_answer(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))
    first = shop.dispatch(Sell(product="tea"), expects=kept(preview))

    again = shop.dispatch(Sell(product="tea"), expects=kept(preview))

    assert again == first
    assert (first.repeated, again.repeated) == (False, True)
    assert shop.rows("product")[0]["stock"] == 3
    assert shop.outcomes() == ["committed"]


def test_a_preview_is_committed_for_its_own_event_and_actor_only(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))

    for event, actor in ((Sell(product="tea", quantity=2), "till"), (Sell(product="tea"), "thief")):
        with pytest.raises(Malformed, match="another event"):
            shop.dispatch(event, actor, expects=kept(preview))

    assert len(shop.trail()) == 0


def test_an_expired_preview_is_refused_however_often_it_is_sent(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))
    shop.now = preview.expires_at
    shop.preview(Sell(product="tea"), expects=kept(preview))
    shop.now += timedelta(microseconds=1)

    for _ in range(2):
        shop.refused(PreviewExpired, Sell(product="tea"), expects=kept(preview))

    assert shop.outcomes() == ["preview-expired", "preview-expired"]
    assert shop.rows("product")[0]["stock"] == 4


def test_a_changed_cell_makes_a_preview_stale(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee", points=1))
    preview = shop.preview(Sell(product="tea"))
    shop.execute("UPDATE product SET stock = 3")
    shop.execute("UPDATE customer SET points = 2, name = 'Ann Loe'")

    stale = shop.refused(StaleSnapshot, Sell(product="tea"), expects=kept(preview))

    assert stale.differences == (
        Difference(row="product/tea", change="changed", fields=("stock",)),
        Difference(row="customer/ann", change="changed", fields=("name", "points")),
    )
    assert stale.problem()["differences"][0] == {"row": "product/tea", "change": "changed", "fields": ["stock"]}
    assert shop.outcomes() == ["stale"]
    assert shop.entry().refusal == stale
    assert shop.rows("product")[0]["stock"] == 3


def test_a_stale_preview_can_be_committed_once_everything_is_as_it_was(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))
    shop.execute("UPDATE product SET stock = 3")
    for _ in range(2):
        shop.refused(StaleSnapshot, Sell(product="tea"), expects=kept(preview))
    shop.execute("UPDATE product SET stock = 4")

    done = shop.dispatch(Sell(product="tea"), expects=kept(preview))

    assert done.event_id == preview.event_id
    assert shop.outcomes() == ["stale", "stale", "committed"]


def test_what_the_decision_did_not_look_at_may_change(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4), Product("salt", 1))
    preview = shop.preview(Sell(product="tea"))
    shop.execute("UPDATE product SET price = 9, note = 'dear' WHERE id = 'tea'")
    shop.execute("DELETE FROM product WHERE id = 'salt'")

    assert shop.dispatch(Sell(product="tea"), expects=kept(preview)).event_id == preview.event_id


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            "INSERT INTO product (id, stock, price) VALUES ('new', 1, 1)",
            (
                Difference(row="product/new", change="new"),
                Difference(row="Assortment.count", change="changed"),
            ),
        ),
        ("UPDATE product SET stock = 0 WHERE id = 'tea'", (Difference(row="product/tea", change="gone"),)),
        (
            "DELETE FROM product WHERE id = 'tea'",
            (Difference(row="product/tea", change="gone"), Difference(row="Assortment.count", change="changed")),
        ),
        (
            "UPDATE product SET note = 'x', price = 2.5 WHERE id = 'salt'",
            (Difference(row="product/salt", change="changed", fields=("note", "price")),),
        ),
        (
            "INSERT INTO product (id, stock, price) VALUES ('none', 0, 1)",
            (Difference(row="Assortment.count", change="changed"),),
        ),
    ],
    ids=["new", "no longer meant", "deleted", "changed", "counted"],
)
def test_rows_that_come_or_go_make_a_preview_of_many_stale(
    shop: Shop, kept: Kept, change: str, expected: tuple[Difference, ...]
) -> None:
    shop.put(Product("tea", 4), Product("salt", 5))
    preview = shop.preview(Stocktake(counted=7), COUNTER)
    shop.execute(change)

    stale = shop.refused(StaleSnapshot, Stocktake(counted=7), actor=COUNTER, expects=kept(preview))

    assert stale.differences == expected


def test_a_row_that_was_not_there_and_now_is_makes_a_preview_stale(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))
    shop.put(Customer("ann", "Ann Lee"))

    stale = shop.refused(StaleSnapshot, Sell(product="tea"), expects=kept(preview))

    assert stale.differences == (Difference(row="customer/ann", change="new"),)


def test_a_row_that_is_gone_is_stale_before_it_is_not_found(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 4))
    preview = shop.preview(Sell(product="tea"))
    shop.execute("DELETE FROM product")

    stale = shop.refused(StaleSnapshot, Sell(product="tea"), expects=kept(preview))

    assert stale.differences == (Difference(row="product/tea", change="gone"),)


def test_rules_that_changed_meanwhile_make_a_preview_stale(shop: Shop, kept: Kept) -> None:
    shop.put(Product("tea", 2))
    preview = shop.preview(Sell(product="tea"), version="2024-06-01")
    edited = {**LAYERS, "2024-06-01": LAYERS["2024-06-01"][:1]}

    stale = shop.under(Versions.of(edited)).refused(StaleSnapshot, Sell(product="tea"), expects=kept(preview))

    assert "rules now decide otherwise" in stale.detail


def test_fingerprints_of_cells_that_still_hold_let_the_request_pass(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    seen = shop.preview(Sell(product="tea")).fingerprints
    shop.execute("UPDATE product SET price = 9")

    done = shop.dispatch(Sell(product="tea", quantity=2), "another till", expects=seen)

    assert shop.rows("product")[0]["stock"] == 2
    assert not done.repeated


def test_fingerprints_name_what_has_changed(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))
    seen = shop.preview(Sell(product="tea")).fingerprints
    shop.execute("UPDATE product SET stock = 9")
    shop.execute("DELETE FROM customer")

    stale = shop.refused(StaleSnapshot, Sell(product="tea"), expects=seen)

    assert sorted(map(str, stale.differences)) == ["customer/ann gone", "product/tea changed in stock"]
    assert shop.outcomes() == ["stale"]


def test_only_the_cells_that_are_named_count(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    seen = shop.preview(Sell(product="tea")).fingerprints
    shop.execute("UPDATE product SET stock = 9")

    named = {"product/tea": {"id": seen["product/tea"]["id"]}}

    assert shop.dispatch(Sell(product="tea"), expects=named).operations


@pytest.mark.parametrize("expects", [{"product/tea": {"price": "0" * 64}}, {"product/tea": "x"}, "x"], ids=str)
def test_fingerprints_of_what_is_not_read_are_malformed(shop: Shop, expects: Any) -> None:
    shop.put(Product("tea", 4))

    with pytest.raises(Malformed):
        shop.dispatch(Sell(product="tea"), expects=expects)


def test_a_preview_that_was_refused_is_the_refusal_when_it_is_committed(shop: Shop) -> None:
    refused = shop.tried(Sell(product="none"))

    assert shop.refused(NotFound, Sell(product="none"), expects=refused) == refused


def test_a_preview_does_not_give_rights(shop: Shop, kept: Kept) -> None:
    preview = shop.preview(Stocktake(counted=7), COUNTER)

    for _ in range(2):
        shop.refused(Denied, Stocktake(counted=7), actor=Actor("clerk"), expects=kept(preview))

    assert shop.dispatch(Stocktake(counted=7), COUNTER, expects=kept(preview)).event_id == preview.event_id


def test_the_guard_sees_a_change_between_reading_and_writing(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    seen = []

    @check
    def meanwhile(event: Sell, offer: Offer) -> Yields[Reject]:
        seen.append(offer.product.stock)
        if len(seen) == 1:
            shop.execute("UPDATE product SET stock = 2")
        yield from ()

    careful = shop.under(Versions.of({**LAYERS, "2024-06-01": [meanwhile]}))

    careful.dispatch(Sell(product="tea"))

    assert seen == [4, 2]
    assert shop.rows("product")[0]["stock"] == 1
    assert shop.outcomes() == ["committed"]


def test_a_refusal_is_decided_again_too_when_what_it_saw_has_changed(shop: Shop) -> None:
    from dateline import check

    shop.put(Product("tea", 0))
    seen = []

    @check
    def meanwhile(event: Sell, offer: Offer) -> Yields[Reject]:
        seen.append(offer.product.stock)
        if len(seen) == 1:
            shop.execute("UPDATE product SET stock = 5")
        yield from ()

    careful = shop.under(Versions.of({**LAYERS, "2024-06-01": [meanwhile]}))

    careful.dispatch(Sell(product="tea"))

    assert seen == [0, 5]
    assert shop.outcomes() == ["committed"]


@pytest.mark.parametrize(("stock", "outcome"), [(4, "committed"), (0, "rejected")])
def test_how_often_a_decision_came_to_nothing_is_on_record(shop: Shop, stock: int, outcome: str) -> None:
    from dateline import check

    shop.put(Product("tea", 7))
    seen = []

    @check
    def meanwhile(event: Sell, offer: Offer) -> Yields[Reject]:
        seen.append(offer.product.stock)
        if len(seen) < 3:
            shop.execute(f"UPDATE product SET stock = {stock + 2 - len(seen)}")
        yield from ()

    careful = shop.under(Versions.of({**LAYERS, "2024-06-01": [meanwhile]}))

    for _ in range(2):
        with contextlib.suppress(Rejected):
            careful.dispatch(Sell(product="tea"))

    assert [(one.outcome, one.conflicts) for one in careful.trail()] == [(outcome, 2), (outcome, 0)]
    assert careful.colour.wait(careful.colour.runner.verify()).ok
    told = careful.colour.wait(careful.colour.runner.overview(shop.now - timedelta(hours=1)))
    assert [*told.conflicts.values()] == [2]


def test_a_previewed_refusal_is_no_preview(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    refused = shop.tried(Sell(product="tea", quantity=5))

    assert type(refused) is Rejected
    assert not isinstance(shop.tried(Enrol(id="x", name="X")), Rejected)
