"""What the database assigns reaches later steps and effects, and stands in the record."""

from __future__ import annotations

from typing import Any

import pytest

from dateline import (
    Assigned,
    Delete,
    Effect,
    Event,
    Insert,
    Record,
    Snapshot,
    Update,
    Versions,
    Yields,
    given,
    handler,
    rows,
)
from dateline.core.operation import Placeholder
from dateline.errors import Unassigned
from tests.contract.conftest import Shop
from tests.contract.shop import Line, Product, Purchase, Sell, Stock, Voucher


class Print(Effect, kind="print", key="{copy_number}"):
    copy_number: int
    purchase: Assigned[int]
    state: Assigned[str] = ""
    weight: Assigned[int] = 0


class Basket(Event, kind="basket"):
    products: tuple[str, ...]


@handler
def buy(event: Basket) -> Yields[Insert[Purchase] | Insert[Line] | Print]:
    before: Any = None
    for place, product in enumerate(event.products):
        purchase = Insert(Purchase, product=product, customer="ann", quantity=place + 1).keyed(product)
        yield purchase
        yield Insert(Line, purchase=purchase[Purchase.number], place=place, after=before).keyed(product)
        yield Print(copy_number=place, purchase=purchase[Purchase.number])
        before = purchase[Purchase.number]


BUYING = Versions.of({"2024-01-01": [Basket, buy]})


def test_numbers_reach_later_rows_and_effects(shop: Shop) -> None:
    shop.put(Product("tea", 4), Product("salt", 9))
    shop.dispatch(Sell(product="tea"))
    shop = shop.under(BUYING)

    done = shop.dispatch(Basket(products=("tea", "salt", "tea2")[:2]))

    assert [(row["number"], row["product"]) for row in shop.rows("purchase")] == [(1, "tea"), (2, "tea"), (3, "salt")]
    assert [tuple(row.values()) for row in shop.rows("line")] == [(2, 0, None), (3, 1, 2)]
    assert [effect.payload for effect in done.effects] == [
        {"copy_number": 0, "purchase": 2, "state": "", "weight": 0},
        {"copy_number": 1, "purchase": 3, "state": "", "weight": 0},
    ]
    assert [(one.table, one.row_key) for one in done.operations] == [
        ("purchase", "2"),
        ("line", "[2,0]"),
        ("purchase", "3"),
        ("line", "[3,1]"),
    ]
    entry = shop.entry(done)
    assert entry.effects == done.effects
    assert [operation.after for operation in entry.operations][3] == {"purchase": 3, "place": 1, "after": 2}
    assert [operation.declared for operation in entry.operations][3] == {"purchase": 3, "place": 1, "after": 2}


def test_many_numbers_in_one_event_are_all_different(shop: Shop) -> None:
    names = tuple(f"p{number}" for number in range(20))
    shop.put(*(Product(name, 1) for name in names))
    shop = shop.under(BUYING)

    shop.dispatch(Basket(products=names))
    shop.dispatch(Basket(products=names[:1]))

    assert [row["number"] for row in shop.rows("purchase")] == list(range(1, 22))


def test_a_preview_shows_that_a_number_is_still_to_come(shop: Shop) -> None:
    shop.put(Product("tea", 4))
    shop = shop.under(BUYING)

    preview = shop.preview(Basket(products=("tea",)))

    [shown] = preview.plan.steps(Print)
    assert isinstance(shown.purchase, Placeholder)
    assert repr(shown.purchase) == "<purchase.number, assigned at commit>"
    assert shop.dispatch(Basket(products=("tea",)), expects=preview).effects[0].payload["purchase"] == 1


class Issue(Event, kind="issue"):
    pass


@handler
def issue(event: Issue) -> Yields[Insert[Voucher] | Print]:
    voucher = Insert(Voucher)
    yield voucher
    yield Print(
        copy_number=1,
        purchase=voucher[Voucher.number],
        state=voucher[Voucher.state],
        weight=voucher[Voucher.weight],
    )


class Spent(Record[Voucher]):
    number: int


class Last(Snapshot):
    voucher: Spent = rows(order_by=Voucher.number.desc(), first=1)


class Spend(Event, kind="spend"):
    pass


@handler
def spend(event: Spend, last: Last) -> Yields[Delete[Voucher]]:
    yield Delete(last.voucher)


ISSUING = Versions.of({"2024-01-01": [Issue, issue, Spend, spend]})


def test_defaults_of_the_database_can_be_waited_for(shop: Shop) -> None:
    shop = shop.under(ISSUING)

    done = shop.dispatch(Issue())

    assert done.effects[0].payload == {"copy_number": 1, "purchase": 1, "state": "it's new", "weight": 42}
    assert shop.rows("voucher") == [{"number": 1, "state": "it's new", "weight": 42}]
    assert shop.entry().operations[0].after == {"number": 1, "state": "it's new", "weight": 42}


class Hand(Event, kind="hand"):
    pass


@handler
def hand_out(event: Hand) -> Yields[Insert[Voucher]]:
    yield Insert(Voucher)


def test_a_number_that_only_the_database_may_give_is_taken_as_it_gives_it(shop: Shop) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Hand, hand_out]}))

    shop.dispatch(Hand())
    shop.dispatch(Hand())

    assert [row["number"] for row in shop.rows("voucher")] == [1, 2]
    assert [entry.operations[0].row_key for entry in shop.trail()] == ["1", "2"]


def test_a_number_that_was_given_is_not_given_again(shop: Shop) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Hand, hand_out, Spend, spend]}))
    shop.dispatch(Hand())
    shop.dispatch(Hand())
    shop.dispatch(Spend())

    shop.dispatch(Hand())

    assert [row["number"] for row in shop.rows("voucher")] == [1, 3]


class Say(Event, kind="say"):
    id: str


class Found(Snapshot):
    product: Stock = rows(Product.id == given("id"))


@handler
def say(event: Say, found: Found) -> Yields[Insert[Purchase] | Update[Product]]:
    purchase = Insert(Purchase, product=event.id, customer="ann", quantity=1)
    yield purchase
    yield Update(found.product, note=f"see {purchase[Purchase.number]}")


@handler
def count(event: Say, found: Found) -> Yields[Insert[Purchase] | Update[Product]]:
    purchase = Insert(Purchase, product=event.id, customer="ann", quantity=1)
    yield purchase
    yield Update(found.product, stock=purchase[Purchase.number])


def test_a_number_cannot_be_written_before_it_is_there(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    with pytest.raises(Unassigned, match=r"say \(2024-01-01\)"):
        shop.under(Versions.of({"2024-01-01": [Say, say]})).dispatch(Say(id="tea"))

    assert shop.rows("purchase") == []


def test_a_number_may_become_a_value_of_another_row(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    shop.under(Versions.of({"2024-01-01": [Say, count]})).dispatch(Say(id="tea"))

    assert shop.rows("product")[0]["stock"] == 1
    assert [operation.declared for operation in shop.entry().operations if operation.table == "product"] == [
        {"stock": 1}
    ]
