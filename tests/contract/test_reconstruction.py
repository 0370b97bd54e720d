"""State that was not recorded comes from the trail, as of that event; where the trail cannot know it, that is said."""

from __future__ import annotations

from typing import Any

import pytest

from dateline import Actor, Committed
from dateline.core.decision import Decision
from dateline.core.diff import Diff
from dateline.errors import Erased, NoSuchEvent, Unanswerable
from tests.contract.conftest import Shop
from tests.contract.shop import VERSIONS, Customer, Enrol, Idea, Product, Sell

OLD, NEW = "2024-01-01", "2024-06-01"


def replay(shop: Shop, of: Committed, version: str | None = None) -> Decision:
    made = shop.colour.wait(shop.colour.runner.replay(of.event_id, version))
    assert isinstance(made, Decision)
    return made


def diff(shop: Shop, of: Committed, *versions: str, **given: Any) -> Diff:
    made = shop.colour.wait(shop.colour.runner.diff(of.event_id, *versions, **given))
    assert isinstance(made, Diff)
    return made


def changes(found: Diff) -> dict[str, tuple[str, dict[str, tuple[Any, Any]]]]:
    return {one.key: (one.change, {c.name: (c.before, c.after) for c in one.cells}) for one in found.items}


def products(shop: Shop, **stocks: int) -> None:
    """Have products that the trail knows from their beginning."""
    for name, stock in stocks.items():
        shop.put(Product(name, stock))
        # What was there before dateline: nothing here asks for it, and what does is told so.


def test_what_a_later_layer_sees_is_what_it_would_have_seen_then(shop: Shop) -> None:
    products(shop, tea=9)
    before = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    shop.dispatch(Enrol(id="ann", name="Ann", email="ann@x.org"), version=OLD)
    after = shop.dispatch(Sell(product="tea", quantity=3), version=OLD)
    shop.dispatch(Sell(product="tea", quantity=1), version=NEW)

    unknown, known = diff(shop, before, NEW), diff(shop, after, NEW)

    assert unknown.after.reconstructed == known.after.reconstructed == ("contract.shop.Buying.buyer",)
    assert changes(unknown) == {}
    assert changes(known) == {
        "thank/Update:customer[ann]": ("new", {"points": (None, 3)}),
        "thank/thank[ann]": ("new", {"customer": (None, "ann"), "text": (None, "Thank you, Ann")}),
    }
    assert (known.before.version, known.after.version) == (after.version, VERSIONS.asked(NEW).date)


def test_points_given_by_events_before_are_among_what_is_seen(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.dispatch(Sell(product="tea", quantity=2), version=NEW)
    old = shop.dispatch(Sell(product="tea", quantity=3), version=OLD)
    shop.dispatch(Sell(product="tea", quantity=1), version=NEW)

    found = diff(shop, old, NEW)

    assert changes(found)["thank/Update:customer[ann]"] == ("new", {"points": (None, 5)})
    assert shop.rows("customer")[0]["points"] == 3


def test_replaying_and_comparing_write_nothing(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    sold = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    before = shop.everything()

    replay(shop, sold)
    replay(shop, sold, NEW)
    diff(shop, sold, OLD, NEW)
    diff(shop, sold, input={"quantity": 1})

    assert shop.everything() == before


def test_a_row_that_the_trail_never_saw_is_not_made_up(shop: Shop) -> None:
    products(shop, tea=9)
    sold = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    shop.execute("INSERT INTO customer (id, name, points) VALUES ('ann', 'Ann', 5)")

    with pytest.raises(
        Unanswerable, match="customer holds rows that the trail does not know; `dateline adopt customer`"
    ):
        replay(shop, sold, NEW)


@pytest.mark.parametrize(
    "past",
    [
        "UPDATE customer SET points = 50 WHERE id = 'ann'",
        "DELETE FROM customer WHERE id = 'ann'",
    ],
)
def test_a_row_that_was_written_past_the_trail_makes_unanswerable_what_would_have_seen_it(
    shop: Shop, past: str
) -> None:
    products(shop, tea=9)
    early = shop.dispatch(Sell(product="tea", quantity=1), version=OLD)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.dispatch(Enrol(id="bob", name="Bob"), version=OLD)
    seen = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)
    other = shop.dispatch(Sell(product="tea", quantity=2, customer="bob"), version=OLD)

    shop.execute(past)

    with pytest.raises(Unanswerable, match="a row of customer that was written past the trail"):
        replay(shop, seen, NEW)
    assert changes(diff(shop, early, NEW)) == {}
    assert changes(diff(shop, other, NEW))["thank/Update:customer[bob]"] == ("new", {"points": (None, 2)})


def test_a_write_past_the_trail_that_an_event_met_since_is_known_too(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    doubtful = shop.dispatch(Sell(product="tea", quantity=1), version=OLD)
    shop.execute("UPDATE customer SET points = 7 WHERE id = 'ann'")
    shop.dispatch(Sell(product="tea", quantity=1), version=NEW)
    sure = shop.dispatch(Sell(product="tea", quantity=2), version=OLD)

    assert changes(diff(shop, sure, NEW))["thank/Update:customer[ann]"] == ("new", {"points": (None, 10)})
    with pytest.raises(Unanswerable, match="written past the trail"):
        replay(shop, doubtful, NEW)


def test_another_input_asks_for_what_it_would_have_seen(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.dispatch(Enrol(id="bob", name="Bob"), version=OLD)
    shop.dispatch(Sell(product="tea", quantity=4, customer="bob"), version=NEW)
    sold = shop.dispatch(Sell(product="tea", quantity=2), version=NEW)

    more, another = diff(shop, sold, input={"quantity": 3}), diff(shop, sold, input={"customer": "bob"})

    assert more.after.reconstructed == ()
    assert changes(more)["thank/Update:customer[ann]"] == ("changed", {"points": (2, 3)})
    assert another.after.reconstructed == ("contract.shop.Buying.buyer",)
    assert changes(another)["thank/Update:customer[bob]"] == ("new", {"points": (None, 6)})
    assert changes(another)["thank/Update:customer[ann]"] == ("gone", {"points": (2, None)})


def test_an_event_that_there_is_not_is_told(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="x"))

    with pytest.raises(NoSuchEvent, match="there is no event 0000"):
        shop.colour.wait(shop.colour.runner.replay("00000000-0000-0000-0000-000000000000"))
    assert replay(shop, done).outcome == "committed"


def test_two_versions_are_compared_on_todays_state(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    before = shop.everything()

    found = shop.colour.wait(shop.colour.runner.compare(Sell(product="tea", quantity=7), OLD, NEW, actor="till"))

    assert changes(found) == {
        "thank/Update:customer[ann]": ("new", {"points": (None, 7)}),
        "thank/thank[ann]": ("new", {"customer": (None, "ann"), "text": (None, "Thank you, Ann")}),
        "warn_when_low/warn[tea]": ("new", {"left": (None, 2), "product": (None, "tea"), "share": (None, 2 / 9)}),
    }
    assert shop.everything() == before


def test_what_would_be_taken_from_the_trail_is_erased_there_too(shop: Shop) -> None:
    products(shop, tea=9)
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.dispatch(Enrol(id="bob", name="Bob"), version=OLD)
    sales = [shop.dispatch(Sell(product="tea", customer=name), version=OLD) for name in ("ann", "bob")]

    officer = Actor("officer", rights=frozenset({"erase"}))
    shop.colour.wait(shop.colour.runner.erase("customer:ann", actor=officer, reason="asked for"))

    with pytest.raises(Erased, match=r"contract\.shop\.Buying\.buyer something was erased"):
        replay(shop, sales[0], NEW)
    assert replay(shop, sales[1], NEW).outcome == "committed"
    assert shop.colour.wait(shop.colour.runner.drift("customer")) == ()


def test_the_rows_of_every_tenant_are_compared_with_the_trail(shop: Shop) -> None:
    for tenant in ("", "a", "b", "north"):
        shop.dispatch(Enrol(id=f"{tenant}-ann", name="Ann"), tenant=tenant)

    assert shop.colour.wait(shop.colour.runner.drift(Customer)) == ()
