"""The tables and the trail: rows older than it are adopted, writes past it are found, and any row is had as it was."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from dateline import Actor, Denied
from dateline.core.diff import Diff
from dateline.errors import Malformed, Unanswerable
from dateline.sql.drift import Drift
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Buying, Customer, Enrol, Product, Sell, Shelf

OLD, NEW = "2024-01-01", "2024-06-01"
KEEPER = Actor("keeper", rights=frozenset({"adopt"}))


def adopt(shop: Shop, table: Any, **given: Any) -> int:
    return int(shop.colour.wait(shop.colour.runner.adopt(table, actor=KEEPER, reason="from before", **given)))


def drift(shop: Shop, *tables: Any) -> list[tuple[str, str, str, tuple[str, ...]]]:
    found: tuple[Drift, ...] = shop.colour.wait(shop.colour.runner.drift(*tables))
    return [(one.table, one.change, one.key, one.columns if one.change == "updated" else ()) for one in found]


def test_rows_from_before_are_adopted_once_and_recorded_not_performed(shop: Shop) -> None:
    shop.put(Product("tea", 9), Product("salt", 4), Customer("ann", "Ann", "ann@x.org"))
    before = shop.rows("product"), shop.rows("customer")

    counts = [adopt(shop, Product), adopt(shop, "customer"), adopt(shop, Product)]

    first, second = shop.trail(kind="table.adopt")
    assert counts == [2, 1, 0]
    assert (shop.rows("product"), shop.rows("customer")) == before
    assert first.input == {"table": "product", "rows": 2, "first": "salt", "last": "tea"}
    assert [(one.verb, one.table, one.row_key, one.before) for one in first.operations] == [
        ("insert", "product", "salt", None),
        ("insert", "product", "tea", None),
    ]
    assert second.operations[0].after == {"id": "ann", "mail": "ann@x.org", "name": "Ann", "points": 0}
    assert shop.verify().ok
    assert drift(shop, Product, Customer) == []


def test_what_was_adopted_is_seen_by_replays_from_then_on(shop: Shop) -> None:
    shop.put(Product("tea", 9), Customer("ann", "Ann"))
    early = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    adopt(shop, Customer)
    late = shop.dispatch(Sell(product="tea", quantity=3), version=OLD)

    found: Diff = shop.colour.wait(shop.colour.runner.diff(late.event_id, NEW))

    assert [one.key for one in found.items] == ["thank/Update:customer[ann]", "thank/thank[ann]"]
    with pytest.raises(Unanswerable, match="the decision sees customer, whose rows were adopted later, by event 2"):
        shop.colour.wait(shop.colour.runner.diff(early.event_id, NEW))


def test_a_row_that_an_event_came_upon_before_is_older_too_and_no_drift(shop: Shop) -> None:
    shop.put(Product("tea", 9), Product("salt", 4))
    shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    before = drift(shop, Product)

    adopt(shop, Product)

    assert before == [("product", "inserted", "tea", ()), ("product", "inserted", "salt", ())]
    assert drift(shop, Product) == []


def test_more_rows_than_one_event_takes_are_several_events(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dateline.run.adopt.ROWS", 3)
    shop.put(*(Product(f"p{n}", n) for n in range(8)))
    shop.dispatch(Sell(product="p7"), version=OLD)

    assert adopt(shop, Product) == 7

    assert [entry.input["rows"] for entry in shop.trail(kind="table.adopt")] == [3, 3, 1]


def test_without_the_right_nothing_is_adopted_and_the_try_is_recorded(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    with pytest.raises(Denied):
        shop.colour.wait(shop.colour.runner.adopt(Product, actor="clerk"))

    assert [(entry.kind, entry.outcome) for entry in shop.trail()] == [("table.adopt", "denied")]


def test_a_table_that_the_trail_does_not_know_is_told_as_one(shop: Shop) -> None:
    shop.put(Shelf("a", 1), Shelf("b", 2))

    found: tuple[Drift, ...] = shop.colour.wait(shop.colour.runner.drift(Shelf, Product))

    assert found == (Drift(table="shelf", change="unadopted", rows=2),)


def test_each_sort_of_write_past_the_trail_is_found_and_nothing_else(shop: Shop) -> None:
    for name in ("ann", "bob", "cat", "dan", "eve"):
        shop.dispatch(Enrol(id=name, name=name), version=OLD)
    shop.put(Product("tea", 90))
    adopt(shop, Product)
    assert drift(shop) == []

    shop.execute("UPDATE customer SET points = 5 WHERE id = 'ann'")
    shop.dispatch(Sell(product="tea", customer="ann"), version=NEW)
    shop.execute("UPDATE customer SET points = 7, mail = 'b@x.org' WHERE id = 'bob'")
    shop.execute("DELETE FROM customer WHERE id = 'cat'")
    shop.execute("INSERT INTO customer (id, name, points) VALUES ('fay', 'Fay', 0)")
    shop.execute("UPDATE customer SET id = 'don' WHERE id = 'dan'")

    assert drift(shop) == [
        ("customer", "updated", "ann", ("points",)),
        ("customer", "updated", "bob", ("mail", "points")),
        ("customer", "inserted", "don", ()),
        ("customer", "inserted", "fay", ()),
        ("customer", "deleted", "cat", ()),
        ("customer", "deleted", "dan", ()),
    ]


def test_a_row_that_two_tenants_wrote_is_one_row_on_every_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dateline.sql.fold.PAGE", 2)
    for name in ("ann", "bob", "cat", "dan", "eve"):
        shop.dispatch(Enrol(id=name, name=name), version=OLD, tenant="north")
    shop.dispatch(Enrol(id="fay", name="fay"), version=OLD, tenant="south")
    shop.put(Product("tea", 90))
    for tenant, name in (("south", "ann"), ("north", "ann"), ("south", "eve")):
        shop.dispatch(Sell(product="tea", customer=name, quantity=2), version=NEW, tenant=tenant)
    assert drift(shop, Customer) == []
    assert shop.colour.wait(shop.colour.runner.drift_of("customer", "ann")) is None

    shop.execute("DELETE FROM customer WHERE id IN ('ann', 'eve', 'fay')")

    found: tuple[Drift, ...] = shop.colour.wait(shop.colour.runner.drift(Customer))
    one_by_one = [shop.colour.wait(shop.colour.runner.drift_of(Customer, one.key)) for one in found]
    assert one_by_one == list(found)
    assert sorted((one.key, one.change, one.after, (one.recorded or {})["points"]) for one in found) == [
        ("ann", "deleted", 8, 4),
        ("eve", "deleted", 9, 2),
        ("fay", "deleted", 6, 0),
    ]


def test_a_row_is_had_as_it_was_at_any_moment(shop: Shop) -> None:
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.put(Product("tea", 9))
    sales = []
    for quantity in (1, 2, 3):
        sales.append(shop.dispatch(Sell(product="tea", quantity=quantity), version=NEW))
        # SQLite's clock tells milliseconds, and these are to have instants of their own.
        time.sleep(0.003)
    runner = shop.colour.runner

    def points(moment: Any) -> Any:
        row = shop.colour.wait(shop.colour.wait(runner.as_of(moment)).row(Customer, "ann"))
        return None if row is None else row["points"]

    assert [points(seq) for seq in (0, 1, *(one.seq for one in sales))] == [None, 0, 1, 3, 6]
    assert [points(one.recorded_at) for one in sales] == [1, 3, 6]
    assert points(sales[0].recorded_at - timedelta(days=1)) is None
    assert shop.colour.wait(shop.colour.wait(runner.as_of(99)).row("customer", "nobody")) is None
    shop.put(Product("salt", 1))
    with pytest.raises(Unanswerable, match="the trail does not know product salt, which is there today"):
        shop.colour.wait(shop.colour.wait(runner.as_of(99)).row("product", "salt"))
    with pytest.raises(Malformed, match="the versions know no table 'nothing'"):
        shop.colour.wait(shop.colour.wait(runner.as_of(99)).row("nothing", "x"))


def test_a_snapshot_is_had_as_it_was_at_any_moment(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    sold = shop.dispatch(Sell(product="tea", quantity=4), version=NEW)
    event = Sell(product="tea").stamped(at=NOON, actor="x")

    async_or_not = [shop.colour.wait(shop.colour.runner.as_of(seq)) for seq in (0, sold.seq - 1, sold.seq)]
    buyers = [shop.colour.wait(moment.snapshot(Buying, event)).buyer for moment in async_or_not]

    assert [None if one is None else (one.name, one.points) for one in buyers] == [None, ("Ann", 0), ("Ann", 4)]
