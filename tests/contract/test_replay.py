"""What was recorded is decided again as it was: of its own snapshot, whatever the tables hold today."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

import pytest

from dateline import Actor, Entry, Insert, Rejected, Update, Versions, Yields, handler
from dateline.core.decision import Decision
from dateline.core.plan import Plan
from dateline.core.replay import deviation, replayed
from dateline.errors import Unanswerable
from tests.contract.conftest import Shop
from tests.contract.shop import LAYERS, VERSIONS, Enrol, Idea, Move, Product, Sell, Shelf, Stock, Stocktake, Warn
from tests.contract.test_assigned import BUYING, Basket


def differs(entry: Entry, made: Plan | Decision) -> str | None:
    """Return the first step in which a plan is not what was recorded."""
    return deviation(entry, made if isinstance(made, Decision) else Decision.made(made, None))


def scanned(shop: Shop, **given: Any) -> list[Entry]:
    """Return everything that was recorded, whichever runner reads it."""
    found = shop.colour.runner.scan(**given)
    if hasattr(found, "__aiter__"):

        async def gathered() -> list[Entry]:
            return [entry async for entry in found]

        return shop.colour.wait(gathered())  # type: ignore[no-any-return]  # the colour waits for anything
    return list(found)


def recorded(shop: Shop) -> None:
    """Have events of all sorts recorded, and then the tables changed behind dateline's back."""
    shop.put(Product("tea", 9), Product("salt", 4), Shelf("a", 1), Shelf("b", 2))
    counter = Actor("clerk", rights=frozenset({"count"}))
    events = [
        (Enrol(id="ann", name="Ann", email="ann@x.org"), "till"),
        *((Sell(product=product, quantity=n), "till") for product in ("tea", "salt") for n in (1, 2, 9, 12)),
        (Move(one="a", other="b"), "till"),
        (Stocktake(counted=5), counter),
        (Idea(text="a till"), "ann"),
    ]
    for number, (event, actor) in enumerate(events):
        with suppress(Rejected):
            shop.dispatch(event, actor, tenant=f"t{number % 2}", version="2024-01-01" if number % 3 else None)
    shop.under(BUYING).dispatch(Basket(products=("tea", "salt")))
    shop.execute("UPDATE product SET stock = 0")
    shop.execute("DELETE FROM customer")


def test_each_event_replays_to_what_was_recorded(shop: Shop) -> None:
    recorded(shop)

    found = scanned(shop)

    assert [entry.seq for entry in found] == sorted(entry.seq for entry in found)
    assert {entry.tenant for entry in found} == {"", "t0", "t1"}
    assert {entry.outcome for entry in found} == {"committed", "rejected"}
    assert [differs(entry, replayed(entry, VERSIONS)) for entry in found if entry.kind != "basket"] == [None] * 12
    [basket] = [entry for entry in scanned(shop.under(BUYING)) if entry.kind == "basket"]
    assert differs(basket, replayed(basket, BUYING)) is None


def test_scanning_goes_on_after_an_entry_and_over_the_ends_of_pages(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dateline.sql.trail.SCANNED", 3)
    shop = shop.under(VERSIONS)
    for number in range(7):
        shop.dispatch(Idea(text=str(number)), tenant=str(number % 2))

    everything = scanned(shop)

    assert [entry.input["text"] for entry in everything] == [*"0123456"]
    assert [entry.seq for entry in scanned(shop, after=everything[2].seq)] == [e.seq for e in everything[3:]]
    assert scanned(shop, after=everything[6].seq) == []


@handler
def always_warn(event: Sell) -> Yields[Warn]:
    yield Warn(product=event.product, left=0)


def test_under_another_date_the_first_step_that_differs_is_named(shop: Shop) -> None:
    shop.put(Product("tea", 3))
    shop.dispatch(Sell(product="tea"), version="2024-01-01")
    [entry] = scanned(shop)

    with pytest.raises(Unanswerable, match=r"event \d+, under 2024-06-01: the decision sees .*shop.Buying.buyer"):
        replayed(entry, VERSIONS, date(2024, 6, 1))
    warning = Versions.of({**LAYERS, "2024-06-01": [always_warn]})
    assert differs(entry, replayed(entry, warning, date(2024, 6, 1))) == "always_warn/warn[tea]"


def test_a_plan_that_is_not_what_was_recorded_is_told_by_the_step(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Sell(product="tea"), version="2024-01-01")
    [entry] = scanned(shop)
    plan = replayed(entry, VERSIONS).plan
    assert plan is not None
    take, purchase, ship = plan.planned
    assert isinstance(take.step, Update)
    assert isinstance(purchase.step, Insert)

    stock = Stock(id="tea", stock=9)
    another = purchase._replace(step=Insert(purchase.step.mapped, product="tea", customer="bob", quantity=1))
    changed = {
        "another value": Plan((take._replace(step=Update(stock, stock=7)), purchase, ship)),
        "another column": Plan((take._replace(step=Update(stock, stock=8, note="x")), purchase, ship)),
        "a step less": Plan((take, purchase)),
        "a step more": Plan((*plan.planned, take._replace(key="more", step=Warn(product="tea", left=1)))),
        "another order": Plan((purchase, take, ship)),
        "another row": Plan((take, another, ship)),
    }

    assert {why: differs(entry, plan) for why, plan in changed.items()} == {
        "another value": "take/Update:product[tea]",
        "another column": "take/Update:product[tea]",
        "a step less": ship.key,
        "a step more": "more",
        "another order": "take/Update:product[tea]",
        "another row": purchase.key,
    }
    assert differs(entry, plan) is None
