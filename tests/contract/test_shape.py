"""One kind in two shapes: what arrives in either is decided, read for and recorded as it came."""

from __future__ import annotations

import json
from datetime import date

from dateline import (
    Actor,
    Denied,
    Event,
    Unrepresentable,
    Versions,
    Yields,
    downgrade,
    handler,
    upgrade,
)
from tests.contract.conftest import Shop
from tests.contract.shop import LAYERS, Product, Sell, Warn


class SellMany(Event, kind="sell", subjects=("article:{article}",), requires="sell"):
    article: str
    dozens: int = 0
    pieces: int = 1
    customer: str = "ann"


@upgrade
def in_dozens(old: Sell) -> SellMany:
    if old.quantity > 500:
        raise Unrepresentable("nobody carries that")
    return SellMany(article=old.product, dozens=old.quantity // 12, pieces=old.quantity % 12, customer=old.customer)


@downgrade
def in_pieces(new: SellMany) -> Sell:
    return Sell(product=new.article, quantity=new.dozens * 12 + new.pieces, customer=new.customer)


@handler
def dozens_are_told(event: SellMany) -> Yields[Warn]:
    if event.dozens:
        yield Warn(product=event.article, left=event.dozens)


SHAPED = Versions.of({**LAYERS, "2024-06-15": [SellMany, in_dozens, in_pieces, dozens_are_told]})
CLERK = Actor("till", rights=frozenset({"sell"}))


def test_both_shapes_are_read_for_decided_and_recorded_as_they_came(shop: Shop) -> None:
    shop.put(Product("tea", 90), Product("salt", 90))
    shaped = shop.under(SHAPED)

    old = shaped.dispatch(Sell(product="tea", quantity=3), CLERK)
    new = shaped.dispatch(SellMany(article="salt", pieces=4), CLERK)

    assert {row["id"]: row["stock"] for row in shop.rows("product")} == {"tea": 87, "salt": 86}
    assert [(one.event, one.shape, one.subjects) for one in (shaped.entry(old), shaped.entry(new))] == [
        (Sell(product="tea", quantity=3), date(2024, 1, 1), ("product:tea",)),
        (SellMany(article="salt", pieces=4), date(2024, 6, 15), ("article:salt",)),
    ]
    given = [
        [one["given"] for one in json.loads(body)["snapshot"].values()]
        for (body,) in shop.execute("SELECT body FROM dateline_event ORDER BY seq")
    ]
    assert given == [[{"customer": "ann"}, {"product": "tea"}], [{"customer": "ann"}, {"product": "salt"}]]
    assert shaped.verify().ok


def test_an_older_shape_is_no_way_around_a_right(shop: Shop) -> None:
    shop.put(Product("tea", 90))

    shop.under(SHAPED).refused(Denied, Sell(product="tea"))


def test_what_the_newer_shape_has_no_word_for_is_refused_and_recorded(shop: Shop) -> None:
    shop.put(Product("tea", 90))
    shaped = shop.under(SHAPED)

    refused = shaped.refused(Unrepresentable, Sell(product="tea", quantity=999), actor=CLERK)

    assert refused.detail == "nobody carries that"
    assert shaped.outcomes() == ["unrepresentable"]
