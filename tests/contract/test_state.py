"""What a form shows before it is sent: the records that the decision would see, and their fingerprints."""

from __future__ import annotations

from typing import Any

import pytest

from dateline import Actor, Malformed, StaleSnapshot
from dateline.core.outcome import State
from dateline.errors import Denied, UnknownKind
from tests.contract.conftest import Shop
from tests.contract.shop import Customer, Product, Sell

COUNTER = Actor("clerk", rights=frozenset({"count"}))


def state(shop: Shop, kind: str, known: dict[str, Any], **given: Any) -> State:
    given.setdefault("actor", "till")
    found: State = shop.colour.wait(shop.colour.runner.state(kind, known, **given))
    return found


def test_what_is_seen_is_what_a_preview_sees(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))

    found = state(shop, "sell", {"product": "tea"})

    preview = shop.preview(Sell(product="tea"))
    assert (found.seen, found.fields, found.version) == (preview.seen, preview.fields, preview.version)
    assert found.fingerprints == preview.fingerprints
    assert shop.outcomes() == []


def test_its_fingerprints_are_what_a_dispatch_expects(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))
    shown = state(shop, "sell", {"product": "tea"}).fingerprints
    shop.dispatch(Sell(product="tea"), expects=shown)

    shop.refused(StaleSnapshot, Sell(product="tea"), expects=shown)


def test_a_row_that_is_not_there_is_shown_as_none(shop: Shop) -> None:
    found = state(shop, "sell", {"product": "none", "quantity": "3"})

    assert [values for values in found.seen if values] == []
    assert found.fingerprints == {}


@pytest.mark.parametrize(
    ("known", "problems"),
    [
        ({}, (("product", "is missing: something is read by it"),)),
        ({"product": "tea", "colour": "red"}, (("colour", "is no field of it"),)),
        (
            {"product": "tea", "quantity": "many"},
            (("quantity", "Input should be a valid integer, unable to parse string as an integer"),),
        ),
        ({"product": "tea", "quantity": True}, (("quantity", "Input should be a valid integer"),)),
        ({"product": 7}, (("product", "Input should be a valid string"),)),
    ],
    ids=str,
)
def test_what_is_missing_or_wrong_is_told_by_field(shop: Shop, known: Any, problems: Any) -> None:
    with pytest.raises(Malformed) as refused:
        state(shop, "sell", known)

    assert refused.value.problems == problems


def test_who_may_not_send_it_may_not_see_either(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    with pytest.raises(Denied, match="'count'"):
        state(shop, "stocktake", {})
    assert state(shop, "stocktake", {}, actor=COUNTER).seen


def test_of_a_kind_that_no_version_knows_there_is_nothing_to_see(shop: Shop) -> None:
    with pytest.raises(UnknownKind):
        state(shop, "nothing", {})
