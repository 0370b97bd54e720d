"""What later layers drop and replace is not done, and is on the record."""

from __future__ import annotations

import json

from dateline import Drop, Replace, Versions, Yields, check, handler
from tests.contract.conftest import Shop
from tests.contract.shop import LAYERS, Customer, Product, Sell, Ship, Thank, enough, thank, write_down


@check
def even_without_stock(event: Sell) -> Yields[Drop]:
    yield Drop(enough, "too-few", because="more is on its way")


@handler
def fetched(event: Sell) -> Yields[Drop]:
    yield Drop(write_down, Ship, because="it is fetched")


@handler
def kindly(event: Sell) -> Yields[Replace]:
    yield Replace(thank, Thank, Thank(customer="ann", text="Thanks, Ann"), because="first names")


AMENDED = Versions.of({**LAYERS, "2024-06-15": [even_without_stock, fetched, kindly]})


def test_a_step_that_is_dropped_is_not_done_and_stands_on_the_record(shop: Shop) -> None:
    shop.put(Product("tea", 9), Customer("ann", "Ann Lee"))
    amended = shop.under(AMENDED)

    done = amended.dispatch(Sell(product="tea", customer="ann"))

    entry = amended.entry(done)
    assert [(one.step, one.payload) for one in entry.effects] == [
        ("thank/thank[ann]", {"customer": "ann", "text": "Thanks, Ann"}),
    ]
    [[body]] = shop.execute("SELECT body FROM dateline_event")
    told = json.loads(body)["decision"]["amended"]
    assert [(one["step"], one["verb"], one["moot"], one["because"]) for one in told] == [
        ("enough/too-few", "drop", True, "more is on its way"),
        ("write_down/ship", "drop", False, "it is fetched"),
        ("thank/thank[ann]", "replace", False, "first names"),
    ]
    assert amended.verify().ok


def test_a_preview_shows_what_was_amended_and_is_committed_as_that_very_plan(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    amended = shop.under(AMENDED)

    preview = amended.preview(Sell(product="tea"))
    done = amended.dispatch(Sell(product="tea"), expects=preview)

    assert [one.step for one in preview.plan.amended] == ["enough/too-few", "write_down/ship", "thank/thank"]
    assert done.plan == preview.plan
