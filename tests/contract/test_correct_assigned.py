"""A correction and what the database assigned: a number that was given stands, and one that is new is given with its row."""

from __future__ import annotations

from typing import Any

import pytest

from dateline import Assigned, Effect, Event, Insert, Snapshot, Update, Versions, Yields, given, handler, rows
from dateline.errors import ConstraintRefused
from tests.contract.conftest import Shop
from tests.contract.shop import Line, Product, Purchase, Stock
from tests.contract.test_correct import correct, diff, statuses

FIRST, JUNE, JULY = "2024-01-01", "2024-06-01", "2024-07-01"


class Label(Effect, kind="label"):
    number: Assigned[int]
    text: str


class Invoice(Effect, kind="invoice", key="{what}"):
    what: str
    number: Assigned[int]


class Order(Event, kind="order"):
    product: str = "tea"
    text: str = "a"


class Asked(Snapshot):
    product: Stock = rows(Product.id == given("product"))


@handler
def order(event: Order, asked: Asked) -> Yields[Insert[Purchase] | Label]:
    purchase = Insert(Purchase, product=asked.product.id, customer="ann", quantity=1)
    yield purchase
    yield Label(number=purchase[Purchase.number], text=event.text)


@handler(supersedes=order)
def order_and_write_down(
    event: Order, asked: Asked
) -> Yields[Insert[Purchase] | Insert[Line] | Update[Product] | Label | Invoice]:
    purchase = Insert(Purchase, product=asked.product.id, customer="ann", quantity=1)
    yield purchase
    yield Insert(Line, purchase=purchase[Purchase.number], place=0)
    yield Update(asked.product, stock=purchase[Purchase.number])
    yield Label(number=purchase[Purchase.number], text=event.text)
    yield Invoice(what="order", number=purchase[Purchase.number])


@handler
def add_a_gift(event: Order, asked: Asked) -> Yields[Insert[Purchase] | Insert[Line] | Update[Product] | Invoice]:
    gift = Insert(Purchase, product=event.product, customer="gift", quantity=1)
    yield gift
    yield Insert(Line, purchase=gift[Purchase.number], place=1)
    yield Update(asked.product, note="with a gift", stock=gift[Purchase.number])
    yield Invoice(what="gift", number=gift[Purchase.number])


ORDERING = Versions.of({FIRST: [Order, order], JUNE: [order_and_write_down]})


@handler(supersedes=order)
def order_anew(event: Order, asked: Asked) -> Yields[Insert[Purchase] | Label]:
    purchase = Insert(Purchase, product=asked.product.id, customer="bob", quantity=1).keyed("anew")
    yield purchase
    yield Label(number=purchase[Purchase.number], text=event.text)


RENEWING = Versions.of({FIRST: [Order, order], JUNE: [order_anew]})
GIVING = Versions.of({FIRST: [Order, order], JULY: [add_a_gift]})


@pytest.fixture
def ordered(shop: Shop) -> Any:
    """Give the second of two orders, under the first rules."""
    shop.put(Product("tea", 9))
    shop.under(ORDERING).dispatch(Order(), version=FIRST)
    return shop.under(ORDERING).dispatch(Order(), version=FIRST)


def payloads(shop: Shop) -> list[Any]:
    return [effect.payload for effect in shop.entry().effects]


def test_an_effect_that_changes_keeps_the_number_of_a_row_that_stands(shop: Shop, ordered: Any) -> None:
    shop = shop.under(ORDERING)

    found = diff(shop, ordered, input={"text": "b"})
    seen = correct(shop, found, preview=True)
    done = correct(shop, found)

    [item] = found.document(unmask=True)["items"]
    assert (item["key"], item["cells"]) == ("order/label", [{"name": "text", "before": "a", "after": "b"}])
    assert statuses(seen) == statuses(done) == {"order/label": "held"}
    assert payloads(shop) == [{"number": 2, "text": "b"}]
    assert len(shop.rows("purchase")) == 2
    assert not diff(shop, ordered, input={"text": "b"})


def test_an_effect_takes_the_number_of_a_row_that_comes_in_the_place_of_its_own(shop: Shop, ordered: Any) -> None:
    shop = shop.under(RENEWING)

    found = diff(shop, ordered, JUNE)
    seen = correct(shop, found, preview=True)
    done = correct(shop, found)

    told = {one["key"]: (one["change"], one["cells"]) for one in found.document()["items"]}
    assert {key: change for key, (change, _) in told.items()} == {
        "order/Insert:purchase": "gone",
        "order/Insert:purchase[anew]": "new",
        "order/label": "changed",
    }
    assert told["order/label"][1] == [{"name": "number", "before": 2, "after": "(assigned at commit)"}]
    assert statuses(seen) == statuses(done)
    assert statuses(done) == {
        "order/Insert:purchase": "clean",
        "order/Insert:purchase[anew]": "clean",
        "order/label": "held",
    }
    [anew] = [row["number"] for row in shop.rows("purchase") if row["customer"] == "bob"]
    assert (anew > 2, payloads(shop)) == (True, [{"number": anew, "text": "a"}])
    assert not diff(shop, ordered, JUNE)
    assert shop.verify().ok


def test_what_is_new_takes_the_number_of_a_row_that_stands(shop: Shop, ordered: Any) -> None:
    shop = shop.under(ORDERING)

    found = diff(shop, ordered, JUNE)
    seen = correct(shop, found, preview=True)
    done = correct(shop, found)

    cells = {one["key"]: {cell["name"]: cell["after"] for cell in one["cells"]} for one in found.document()["items"]}
    assert cells == {
        "order/Insert:line": {"purchase": 2, "place": 0},
        "order/Update:product[tea]": {"stock": 2},
        "order/invoice[order]": {"what": "order", "number": 2},
    }
    assert statuses(seen) == statuses(done)
    assert statuses(done) == {
        "order/Insert:line": "clean",
        "order/Update:product[tea]": "clean",
        "order/invoice[order]": "held",
    }
    assert [tuple(row.values()) for row in shop.rows("line")] == [(2, 0, None)]
    assert (shop.rows("product")[0]["stock"], payloads(shop)) == (2, [{"what": "order", "number": 2}])
    assert not diff(shop, ordered, JUNE)
    assert shop.verify().ok


def test_what_is_inserted_by_a_correction_gives_its_number_to_the_rest(shop: Shop, ordered: Any) -> None:
    shop = shop.under(GIVING)

    found = diff(shop, ordered, JULY)
    seen = correct(shop, found, preview=True)
    done = correct(shop, found)

    told = {one["key"]: {cell["name"]: cell["after"] for cell in one["cells"]} for one in found.document()["items"]}
    assert told["add_a_gift/invoice[gift]"] == {"what": "gift", "number": "(assigned at commit)"}
    assert statuses(seen) == statuses(done)
    assert statuses(done) == {
        "add_a_gift/Insert:line": "clean",
        "add_a_gift/Insert:purchase": "clean",
        "add_a_gift/Update:product[tea]": "clean",
        "add_a_gift/invoice[gift]": "held",
    }
    [gift] = [row["number"] for row in shop.rows("purchase") if row["customer"] == "gift"]
    assert gift > 2
    assert [tuple(row.values()) for row in shop.rows("line")] == [(gift, 1, None)]
    assert shop.rows("product")[0]["stock"] == gift
    assert payloads(shop) == [{"what": "gift", "number": gift}]
    assert not diff(shop, ordered, JULY)
    assert shop.verify().ok


def test_back_again_takes_away_what_the_database_gave_a_number(shop: Shop, ordered: Any) -> None:
    shop = shop.under(GIVING)
    before = shop.rows("purchase"), shop.rows("line"), shop.rows("product")

    correct(shop, diff(shop, ordered, JULY))
    back = correct(shop, diff(shop, ordered, FIRST))

    assert set(statuses(back).values()) == {"clean", "cancelled"}
    assert (shop.rows("purchase"), shop.rows("line"), shop.rows("product")) == before
    assert not diff(shop, ordered, FIRST)


def test_what_waits_for_a_row_that_is_not_inserted_stays_open(shop: Shop, ordered: Any) -> None:
    shop = shop.under(GIVING)

    done = correct(shop, diff(shop, ordered, JULY), items=["add_a_gift/Insert:line", "add_a_gift/invoice[gift]"])

    assert (bool(done), done.event_id) == (False, None)
    assert [(one.key, one.status, one.detail) for one in done.items if one.chosen] == [
        (key, "unassigned", "it holds <purchase.number, assigned at commit>, of a row that is not inserted here")
        for key in ("add_a_gift/Insert:line", "add_a_gift/invoice[gift]")
    ]
    assert shop.rows("line") == []


def test_a_number_that_somebody_took_by_hand_is_not_given_to_a_row(shop: Shop, ordered: Any) -> None:
    shop = shop.under(GIVING)
    shop.execute("INSERT INTO purchase (number, product, customer, quantity) VALUES (3, 'tea', 'hand', 1)")

    correct(shop, diff(shop, ordered, JULY))

    assert [(row["number"], row["customer"]) for row in shop.rows("purchase")][2:] == [(3, "hand"), (4, "gift")]
    assert payloads(shop) == [{"what": "gift", "number": 4}]


def test_what_the_database_refuses_of_a_correction_is_told_as_of_any_event(shop: Shop, ordered: Any) -> None:
    shop = shop.under(GIVING)
    correct(shop, diff(shop, ordered, JULY))
    [gift] = [row["number"] for row in shop.rows("purchase") if row["customer"] == "gift"]
    shop.execute(f"INSERT INTO line (purchase, place) VALUES ({gift}, 7)")
    before = shop.everything()

    with pytest.raises(ConstraintRefused):
        correct(shop, diff(shop, ordered, FIRST))

    assert {k: v for k, v in shop.everything().items() if k != "sequences"} == {
        k: v for k, v in before.items() if k != "sequences"
    }
