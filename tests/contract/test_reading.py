"""What a handler asked to see is what it gets: how many rows, in which order, by what of the event."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import pytest
from pydantic import BaseModel
from sqlalchemy import Select, func, or_, select

from dateline import (
    Actor,
    Event,
    Malformed,
    Personal,
    Preview,
    Record,
    Refused,
    Snapshot,
    Versions,
    Yields,
    given,
    handler,
    rows,
    value,
)
from dateline.errors import NotFound, NotQueried, TooMany, Unloadable
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Article, Customer, Product, Purchase, Stock, Visit, Warn


class List(Event, kind="list"):
    id: str = "tea"
    stock: int = 3
    ids: tuple[str, ...] = ()
    at: datetime | None = None
    name: Personal[str] = ""


class Visited(Record[Visit]):
    customer: str
    at: datetime
    weight: float


class Few(Snapshot):
    few: tuple[Stock, ...] = rows(at_most=3)


@handler
def listed(event: List, few: Few) -> Yields[Warn]:
    yield from ()


LISTING = Versions.of({"2024-01-01": [List, listed]})


def seen(shop: Shop, annotation: Any, query: Any, event: Event | None = None, **asked: Any) -> Any:
    """Return what a snapshot's field of this type and query holds, or the refusal."""
    namespace = {"__module__": __name__, "__annotations__": {"found": annotation}, "found": query}
    look = cast(Any, type(Snapshot))("Look", (Snapshot,), namespace)
    held = []

    def record(event: List, look: Any) -> Iterator[Any]:
        held.append(look.found)
        yield from ()

    record.__annotations__ = {"event": List, "look": look, "return": Yields[Warn]}
    made = shop.under(Versions.of({"2024-01-01": [List, handler(record)]}))
    answer = made.tried(event or List(), **asked)
    if isinstance(answer, Refused):
        return answer
    committed = made.dispatch(event or List(), **asked)
    assert committed.plan is not None
    # Read to be shown, to be decided, and to be kept: always the same.
    assert held[0] == held[1]
    return held[0]


def stocks(found: Any) -> list[str]:
    return [record.id for record in found]


def goods() -> list[Product]:
    return [Product("tea", 4), Product("salt", 9), Product("ham", 0)]


# How many -------------------------------------------------------------------------------------------------------------


def test_one_row_is_that_row(shop: Shop) -> None:
    shop.put(*goods())

    assert seen(shop, Stock, rows(Product.id == given("id"))) == Stock(id="tea", stock=4)


def test_one_row_that_is_not_there_is_not_found(shop: Shop) -> None:
    refused = seen(shop, Stock, rows(Product.id == given("id")))

    assert refused == NotFound("Look.found: no such row in product", field="Look.found", table="product")


@pytest.mark.parametrize("annotation", [Stock, Stock | None], ids=str)
def test_two_rows_where_one_is_meant_are_too_many(shop: Shop, annotation: Any) -> None:
    shop.put(*goods())

    refused = seen(shop, annotation, rows(Product.stock > 1))

    assert refused == TooMany("Look.found: more than 1 row in product", field="Look.found", table="product")


def test_a_row_that_may_be_missing_is_none(shop: Shop) -> None:
    shop.put(*goods())

    assert seen(shop, Stock | None, rows(Product.id == "none")) is None
    assert seen(shop, Stock | None, rows(Product.id == "ham")) == Stock(id="ham", stock=0)


def test_many_rows_come_by_primary_key(shop: Shop) -> None:
    shop.put(*goods())

    assert stocks(seen(shop, tuple[Stock, ...], rows())) == ["ham", "salt", "tea"]
    assert seen(shop, tuple[Stock, ...], rows(Product.stock > 100)) == ()


def test_many_rows_come_as_they_are_ordered(shop: Shop) -> None:
    shop.put(*goods(), Product("rice", 4))

    assert stocks(seen(shop, tuple[Stock, ...], rows(order_by=Product.stock.desc())))[::3] == ["salt", "ham"]
    assert stocks(seen(shop, tuple[Stock, ...], rows(order_by=(Product.stock, Product.id.desc())))) == [
        "ham",
        "tea",
        "rice",
        "salt",
    ]


def test_first_takes_some_and_leaves_the_rest(shop: Shop) -> None:
    shop.put(*goods())

    assert stocks(seen(shop, tuple[Stock, ...], rows(order_by=Product.stock.desc(), first=2))) == ["salt", "tea"]
    assert seen(shop, Stock, rows(order_by=Product.stock.desc(), first=1)).id == "salt"
    assert seen(shop, Stock | None, rows(Product.stock > 100, first=1)) is None


def test_at_most_refuses_more(shop: Shop) -> None:
    shop.put(*goods())

    assert stocks(seen(shop, tuple[Stock, ...], rows(at_most=3))) == ["ham", "salt", "tea"]
    assert seen(shop, tuple[Stock, ...], rows(at_most=2)) == TooMany(
        "Look.found: more than 2 rows in product", field="Look.found", table="product"
    )


def test_several_criteria_all_hold(shop: Shop) -> None:
    shop.put(*goods())

    assert stocks(seen(shop, tuple[Stock, ...], rows(Product.stock > 1, Product.id != given("id")))) == ["salt"]
    either = or_(Product.id == given("id"), Product.stock == 0)
    assert stocks(seen(shop, tuple[Stock, ...], rows(either))) == ["ham", "tea"]


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "statement", "expected"),
    [
        (int, select(func.count()).select_from(Product), 3),
        (int, select(func.count()).select_from(Product).where(Product.stock > given("stock")), 2),
        (int, select(func.sum(Product.stock)), 13),
        (int | None, select(func.max(Product.stock)).where(Product.id == "none"), None),
        (int | None, select(Product.stock).where(Product.id == "none"), None),
        (int, select(Product.stock).where(Product.id == given("id")), 4),
        (str, select(func.min(Product.id)), "ham"),
        (str | None, select(Product.note).where(Product.id == given("id")), None),
        (Decimal, select(Product.price).where(Product.id == given("id")), Decimal("1.00")),
        (Decimal, select(func.max(Product.price)), Decimal("1.00")),
        (bool, select(select(Product.id).where(Product.stock == 0).exists()), True),
        (float, select(func.max(Visit.weight)), 0.25),
        (datetime, select(func.max(Visit.at)), NOON),
        (datetime | None, select(func.max(Visit.at)).where(Visit.customer == "nobody"), None),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Select) else None,
)
def test_a_value_is_what_the_database_computes(shop: Shop, annotation: Any, statement: Any, expected: Any) -> None:
    shop.put(*goods(), Visit("ann", NOON, 0.25), Visit("bob", NOON - timedelta(days=1), 0.125))

    found = seen(shop, annotation, value(statement))

    assert (found, type(found)) == (expected, type(expected))


def test_a_value_that_is_not_there_is_not_found(shop: Shop) -> None:
    for statement in (select(Product.stock).where(Product.id == "none"), select(func.sum(Product.stock))):
        refused = seen(shop, int, value(statement))

        assert refused == NotFound("Look.found: there is no such value", field="Look.found")


def test_a_value_of_several_rows_is_too_many(shop: Shop) -> None:
    shop.put(*goods())

    assert isinstance(seen(shop, int, value(select(Product.stock))), TooMany)


def test_a_value_of_another_type_is_told_without_the_value(shop: Shop) -> None:
    shop.put(Product("tea", 4, note="Ann Lee"))

    with pytest.raises(Malformed, match="what the database holds does not fit") as refused:
        seen(shop, int, value(select(Product.note)))

    assert "Ann" not in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [value(select(Product.id, Product.stock)), value(Product.id), value("SELECT 1")],
    ids=["two columns", "a column", "a text"],
)
def test_a_value_is_selected_as_one_column(shop: Shop, query: Any) -> None:
    with pytest.raises(NotQueried, match="takes a select"):
        seen(shop, int, query)


# By what of the event -------------------------------------------------------------------------------------------------


def visits(shop: Shop) -> None:
    shop.put(*(Visit("ann", NOON - timedelta(days=days), float(days)) for days in (0, 6, 7, 8)))


def test_the_instant_of_the_event_and_what_is_near_it(shop: Shop) -> None:
    visits(shop)
    week = rows(Visit.at > given("meta.at", plus=timedelta(days=-7)), Visit.at < given("meta.at"))

    assert [found.weight for found in seen(shop, tuple[Visited, ...], week)] == [6.0]
    assert seen(shop, Visited, rows(Visit.at == given("meta.at"))).weight == 0.0
    there = seen(
        shop, Visited, rows(Visit.at == given("at", plus=timedelta(hours=12))), List(at=NOON - timedelta(days=6.5))
    )
    assert there.weight == 6.0


def test_what_the_meta_says_can_be_asked_for(shop: Shop) -> None:
    shop.put(Product("clerk", 1), Product("north", 2), Product("2024-01-01", 3))
    asked: dict[str, Any] = {"actor": Actor("clerk", role="north"), "tenant": "north"}

    assert seen(shop, Stock, rows(Product.id == given("meta.actor.id")), **asked).stock == 1
    assert seen(shop, Stock, rows(Product.id == given("meta.actor.role")), **asked).stock == 2
    assert seen(shop, Stock, rows(Product.id == given("meta.tenant")), **asked).stock == 2


def test_a_field_that_is_none_matches_nothing(shop: Shop) -> None:
    visits(shop)

    assert seen(shop, tuple[Visited, ...], rows(Visit.at == given("at"))) == ()
    assert seen(shop, tuple[Visited, ...], rows(Visit.at > given("at", plus=timedelta(days=1)))) == ()
    assert seen(shop, tuple[Stock, ...], rows(Product.id == given("meta.reason.text"))) == ()


@pytest.mark.parametrize(
    ("ids", "inside", "outside"),
    [
        ((), [], ["ham", "salt", "tea"]),
        (("tea",), ["tea"], ["ham", "salt"]),
        (("tea", "ham", "none", "tea"), ["ham", "tea"], ["salt"]),
        (('t"ea', "t'ea", "{tea}", "té😀"), [], ["ham", "salt", "tea"]),
    ],
    ids=str,
)
def test_a_tuple_of_the_event_is_a_list_to_be_in(
    shop: Shop, ids: tuple[str, ...], inside: list[str], outside: list[str]
) -> None:
    shop.put(*goods())

    assert stocks(seen(shop, tuple[Stock, ...], rows(Product.id.in_(given("ids"))), List(ids=ids))) == inside
    assert stocks(seen(shop, tuple[Stock, ...], rows(Product.id.not_in(given("ids"))), List(ids=ids))) == outside


def test_strange_texts_are_found_as_they_are(shop: Shop) -> None:
    strange = ('t"ea', "t'ea", "{tea}", "té😀", "a\\b", " ", "null")
    shop.put(*(Product(id, 1) for id in strange))

    found = seen(shop, tuple[Stock, ...], rows(Product.id.in_(given("ids"))), List(ids=strange))

    assert set(stocks(found)) == set(strange)
    for id in strange:
        assert seen(shop, Stock, rows(Product.id == given("id")), List(id=id)).id == id


class Box(BaseModel):
    stock: int
    ids: tuple[UUID, ...] = ()
    days: tuple[date, ...] = ()


class Packed(Event, kind="packed"):
    box: Box
    numbers: tuple[int, ...] = ()
    moments: tuple[datetime, ...] = ()


def test_dots_go_deeper_and_lists_have_their_columns_type(shop: Shop) -> None:
    class InBox(Snapshot):
        products: tuple[Stock, ...] = rows(Product.stock == given("box.stock"))
        numbered: tuple[Stock, ...] = rows(Product.stock.in_(given("numbers")))
        visits: tuple[Visited, ...] = rows(Visit.at.in_(given("moments")))

    held = []

    def pack(event: Packed, found: Any) -> Iterator[Any]:
        held.append(found)
        yield from ()

    pack.__annotations__ = {"event": Packed, "found": InBox, "return": Yields[Warn]}
    shop.put(*goods())
    visits(shop)
    made = shop.under(Versions.of({"2024-01-01": [Packed, handler(pack)]}))

    made.dispatch(Packed(box=Box(stock=9), numbers=(0, 4), moments=(NOON, NOON - timedelta(days=7))))

    [found] = held
    assert [stocks(found.products), stocks(found.numbered)] == [["salt"], ["ham", "tea"]]
    assert [visit.weight for visit in found.visits] == [7.0, 0.0]


def test_a_subquery_reaches_what_depends_on_other_rows(shop: Shop) -> None:
    shop.put(*goods())
    shop.put(Purchase("tea", "ann", 2), Purchase("ham", "bob", 1))
    bought = select(Purchase.product).where(Purchase.customer == given("id"))

    assert stocks(seen(shop, tuple[Stock, ...], rows(Product.id.in_(bought)), List(id="ann"))) == ["tea"]


@pytest.mark.parametrize("path", ["nowhere", "meta.nowhere", "meta.actor.nowhere", "id.nowhere"])
def test_a_field_that_the_event_does_not_have_is_told_as_a_fault_of_the_snapshot(shop: Shop, path: str) -> None:
    with pytest.raises(Unloadable, match=path.rpartition(".")[2]):
        seen(shop, Stock | None, rows(Product.id == given(path)))


# The record of it -----------------------------------------------------------------------------------------------------


def test_each_query_is_kept_with_what_it_was_asked_for_and_what_it_found(shop: Shop) -> None:
    shop.put(*goods())
    query = rows(Product.stock > given("stock"), Product.id != "ham")

    seen(shop, tuple[Stock, ...], query, List(stock=5))

    [held] = shop.entry().snapshot.values()
    assert (held["given"], held["rows"]) == ({"stock": 5}, [{"id": "salt", "stock": 9}])
    assert len(held["query"]) == 16


def test_a_query_has_one_name_on_every_database(shop: Shop) -> None:
    shop.put(*goods())

    seen(shop, tuple[Stock, ...], rows(Product.id.in_(given("ids")), Product.stock > 1), List(ids=("tea",)))

    [held] = shop.entry().snapshot.values()
    # Written down once: another name would say that another question was asked.
    assert held["query"] == "f50792af1f2e3174"


def test_two_snapshots_that_ask_the_same_are_answered_alike(shop: Shop) -> None:
    class One(Snapshot):
        products: tuple[Stock, ...] = rows(Product.stock > given("stock"))

    class Other(Snapshot):
        products: tuple[Article, ...] = rows(Product.stock > given("stock"))
        again: tuple[Stock, ...] = rows(Product.stock > given("stock"))

    held: list[Any] = []

    def ask(event: List, one: Any, other: Any) -> Iterator[Any]:
        held.append((one, other))
        yield from ()

    ask.__annotations__ = {"event": List, "one": One, "other": Other, "return": Yields[Warn]}
    shop.put(*goods())

    shop.under(Versions.of({"2024-01-01": [List, handler(ask)]})).dispatch(List())

    [(one, other)] = held
    assert stocks(one.products) == stocks(other.products) == stocks(other.again) == ["salt", "tea"]
    assert other.products[0] == Article(id="salt", stock=9, price=Decimal("1.00"), note=None)


def test_a_personal_field_that_is_asked_by_is_not_kept_a_second_time(shop: Shop) -> None:
    shop.put(Customer("ann", "Ann Lee"))
    named = rows(Product.id == given("name"))

    seen(shop, Stock | None, named, List(name="Ann Lee"))

    [[body]] = shop.execute("SELECT body FROM dateline_event")
    assert "Ann Lee" not in body
    assert next(iter(shop.entry().snapshot.values()))["given"] == {}


def test_a_preview_is_read_in_one_state_of_the_database(shop: Shop) -> None:
    shop.put(*goods())

    preview = shop.under(LISTING).tried(List())

    assert isinstance(preview, Preview)
    assert stocks(preview.seen[0]) == ["ham", "salt", "tea"]


def test_what_is_compared_with_a_column_of_another_type_is_not_storable_or_nothing(shop: Shop) -> None:
    shop.put(*goods())

    for event in (List(id="a\0b"), List(stock=2**70)):
        query = rows(Product.id == given("id"), Product.stock < given("stock"))
        answer: Any = seen(shop, tuple[Stock, ...], query, event)
        assert answer == () or answer.outcome == "not-storable"
