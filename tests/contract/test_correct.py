"""A correction performs the difference, and only that."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dateline import Actor, Committed, Denied
from dateline.core.correction import Correction
from dateline.core.diff import Diff
from dateline.core.request import Flow
from dateline.errors import BooksClosed, Malformed, NotCorrectable, StaleDiff
from dateline.run.correct import _Correcting
from tests.contract.conftest import Shop
from tests.contract.shop import Enrol, Peek, Product, Sell

OLD, NEW = "2024-01-01", "2024-06-01"
AUDITOR = Actor("auditor", rights=frozenset({"correct", "effects"}))


def diff(shop: Shop, of: Committed, *versions: str, **given: Any) -> Diff:
    made = shop.colour.wait(shop.colour.runner.diff(of.event_id, *versions, **given))
    assert isinstance(made, Diff)
    return made


def correct(shop: Shop, found: Diff, **given: Any) -> Correction:
    made = shop.colour.wait(shop.colour.runner.correct(found, actor=AUDITOR, reason="the rules of June", **given))
    assert isinstance(made, Correction)
    return made


def statuses(found: Correction) -> dict[str, str]:
    return {one.key: one.status for one in found.items}


def stock(shop: Shop) -> int:
    return int(shop.rows("product")[0]["stock"])


def points(shop: Shop) -> int:
    return int(shop.rows("customer")[0]["points"])


def states(shop: Shop) -> dict[str, str]:
    """Return what became of each effect that is not delivered, by its step and event."""
    return {
        f"{one.step} of {one.key.partition('.')[0]}": one.state
        for one in shop.colour.wait(shop.colour.runner.effects())
    }


@pytest.fixture
def sold(shop: Shop) -> Committed:
    """Give a sale to an enrolled customer under the old rules, which give no points and thank nobody."""
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    return shop.dispatch(Sell(product="tea", quantity=4), version=OLD)


def test_a_preview_says_item_by_item_what_would_be_done_and_writes_nothing(shop: Shop, sold: Committed) -> None:
    before = shop.everything()

    found = correct(shop, diff(shop, sold, NEW), preview=True)

    assert statuses(found) == {"thank/Update:customer[ann]": "clean", "thank/thank[ann]": "held"}
    assert (found.root, found.number, found.event_id, bool(found)) == (sold.event_id, 1, None, True)
    assert {k: v for k, v in shop.everything().items() if k != "sequences"} == {
        k: v for k, v in before.items() if k != "sequences"
    }


def test_the_difference_is_performed_as_one_event_under_its_root(shop: Shop, sold: Committed) -> None:
    found = correct(shop, diff(shop, sold, NEW))

    entry = shop.entry(found.event_id)
    assert (points(shop), stock(shop)) == (4, 5)
    assert (entry.kind, entry.meta.cause, entry.meta.root) == ("event.correct", sold.event_id, sold.event_id)
    assert (entry.input["number"], entry.input["to"]) == (1, NEW)
    assert [
        (one.step, one.verb, one.row_key, one.handler.rpartition(".")[2], one.date) for one in entry.operations
    ] == [("thank/Update:customer[ann]", "update", "ann", "thank", NEW)]
    assert [(one.step, one.state, one.payload["text"]) for one in entry.effects] == [
        ("thank/thank[ann]", "held", "Thank you, Ann")
    ]
    assert entry.subjects[:1] == ("product:tea",)
    assert shop.verify().ok


def test_twice_is_once_and_nothing_is_recorded_of_nothing(shop: Shop, sold: Committed) -> None:
    correct(shop, diff(shop, sold, NEW))
    before = shop.everything()

    again = diff(shop, sold, NEW)
    found = correct(shop, again)

    assert not again
    assert (found.items, found.event_id, bool(found)) == ((), None, False)
    assert shop.everything() == before


def test_there_and_back_is_the_original_where_nothing_was_sent(shop: Shop, sold: Committed) -> None:
    before = shop.rows("customer"), shop.rows("product")

    there = correct(shop, diff(shop, sold, NEW))
    back = correct(shop, diff(shop, sold, OLD))

    assert statuses(back) == {"thank/Update:customer[ann]": "clean", "thank/thank[ann]": "cancelled"}
    assert back.number == 2
    assert (shop.rows("customer"), shop.rows("product")) == before
    assert states(shop)[f"thank/thank[ann] of {shop.entry(there.event_id).seq}"] == "cancelled"
    assert not diff(shop, sold, OLD)


def test_what_is_wanted_again_after_being_cancelled_is_held_once_more(shop: Shop, sold: Committed) -> None:
    correct(shop, diff(shop, sold, NEW))
    correct(shop, diff(shop, sold, OLD))

    third = correct(shop, diff(shop, sold, NEW))

    assert statuses(third) == {"thank/Update:customer[ann]": "clean", "thank/thank[ann]": "held"}
    assert points(shop) == 4
    assert sorted(states(shop).values()) == ["cancelled", "due", "held"]


def test_an_effect_that_a_relay_takes_meanwhile_is_not_cancelled_but_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shop.postgres:
        pytest.skip("SQLite has one writer at a time: no relay could take it")
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=NEW)
    sold = shop.dispatch(Sell(product="tea", quantity=4), version=NEW)
    performed, tries = _Correcting.performed, []

    def taken(one: _Correcting, found: Correction) -> Flow[UUID]:
        tries.append(statuses(found)["thank/thank[ann]"])
        if len(tries) == 1:
            with shop.engine.begin() as relay:
                relay.execute(text("UPDATE dateline_delivery SET state = 'sending' WHERE kind = 'thank'"))
        return performed(one, found)

    monkeypatch.setattr(_Correcting, "performed", taken)
    found = correct(shop, diff(shop, sold, OLD))

    assert tries == ["cancelled", "busy"]
    assert statuses(found) == {"thank/Update:customer[ann]": "clean", "thank/thank[ann]": "busy"}
    assert points(shop) == 0
    assert states(shop)[f"thank/thank[ann] of {shop.entry(sold.event_id).seq}"] == "sending"


def test_a_cell_that_was_written_by_hand_is_reported_and_left_alone(shop: Shop, sold: Committed) -> None:
    shop.execute("UPDATE customer SET points = 99 WHERE id = 'ann'")

    found = correct(shop, diff(shop, sold, OLD, input={"quantity": 3}))

    assert statuses(found)["take/Update:product[tea]"] == "clean"
    assert stock(shop) == 6
    assert points(shop) == 99


def test_a_row_whose_only_cell_was_written_by_hand_stays_open(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=NEW)
    sold = shop.dispatch(Sell(product="tea", quantity=4), version=NEW)
    shop.execute("UPDATE customer SET points = 99 WHERE id = 'ann'")

    found = correct(shop, diff(shop, sold, OLD))

    assert statuses(found) == {"thank/Update:customer[ann]": "conflict", "thank/thank[ann]": "cancelled"}
    assert points(shop) == 99
    assert [one.key for one in diff(shop, sold, OLD).items] == ["thank/Update:customer[ann]"]


def test_only_what_was_chosen_is_performed_and_the_rest_stays_open(shop: Shop, sold: Committed) -> None:
    first = correct(shop, diff(shop, sold, NEW), items=["thank/Update:customer[ann]"])

    rest = diff(shop, sold, NEW)

    assert statuses(first) == {"thank/Update:customer[ann]": "clean", "thank/thank[ann]": "open"}
    assert [one.key for one in rest.items] == ["thank/thank[ann]"]
    assert statuses(correct(shop, rest)) == {"thank/thank[ann]": "held"}
    with pytest.raises(Malformed, match="'thank' is no difference"):
        correct(shop, diff(shop, sold, OLD), items=["thank"])


def test_an_entry_made_in_error_is_put_right_by_another_input(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=NEW)
    shop.dispatch(Enrol(id="bob", name="Bob"), version=NEW)
    sold = shop.dispatch(Sell(product="tea", quantity=4, customer="ann"), version=NEW)

    found = correct(shop, diff(shop, sold, input={"customer": "bob", "quantity": 3}))

    assert {row["id"]: row["points"] for row in shop.rows("customer")} == {"ann": 0, "bob": 3}
    assert [(row["customer"], row["quantity"]) for row in shop.rows("purchase")] == [("bob", 3)]
    assert stock(shop) == 6
    assert {key: status for key, status in statuses(found).items() if "thank" in key} == {
        "thank/Update:customer[ann]": "clean",
        "thank/Update:customer[bob]": "clean",
        "thank/thank[ann]": "cancelled",
        "thank/thank[bob]": "held",
    }
    assert not diff(shop, sold, input={"customer": "bob", "quantity": 3})


def test_another_version_decides_the_input_that_stands_and_another_input_the_version_that_stands(
    shop: Shop, sold: Committed
) -> None:
    correct(shop, diff(shop, sold, input={"quantity": 3}))
    assert stock(shop) == 6

    correct(shop, diff(shop, sold, NEW))
    assert (stock(shop), points(shop)) == (6, 3)
    assert not diff(shop, sold, NEW)

    correct(shop, diff(shop, sold, input={"quantity": 2}))
    assert (stock(shop), points(shop)) == (7, 2)

    # To have the first input back, one names it.
    assert [one.key for one in diff(shop, sold, NEW, input={"quantity": 4}).items]
    correct(shop, diff(shop, sold, NEW, input={"quantity": 4}))
    assert (stock(shop), points(shop)) == (5, 4)


def test_a_correction_to_somebody_else_stands_on_the_timelines_of_both(shop: Shop) -> None:
    enrolled = shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)

    correct(shop, diff(shop, enrolled, input={"id": "bob"}))

    assert [row["id"] for row in shop.rows("customer")] == ["bob"]
    for customer in ("ann", "bob"):
        [found] = [one for one in shop.trail(subject=f"customer:{customer}") if one.kind == "event.correct"]
        assert {"customer:ann", "customer:bob"} <= set(found.subjects)


def test_what_later_events_wrote_stands_and_what_they_saw_is_told(shop: Shop, sold: Committed) -> None:
    later = shop.dispatch(Sell(product="tea", quantity=1), version=OLD)

    found = correct(shop, diff(shop, sold, OLD, input={"quantity": 2}))

    assert statuses(found)["take/Update:product[tea]"] == "hidden"
    assert stock(shop) == 4
    assert found.readers == ()
    assert shop.entry(later).operations[0].after is not None


def test_later_events_that_saw_what_changes_are_listed_and_not_decided_again(shop: Shop, sold: Committed) -> None:
    peeked = shop.dispatch(Peek(product="tea"), version=OLD)
    other = shop.dispatch(Enrol(id="bob", name="Bob"), version=OLD)

    found = correct(shop, diff(shop, sold, input={"quantity": 3}))

    assert (stock(shop), found.readers) == (6, (peeked.seq,))
    assert other.seq > peeked.seq
    assert shop.entry(peeked.event_id).effects[0].payload["left"] == 5


def test_a_difference_from_before_another_correction_is_stale(shop: Shop, sold: Committed) -> None:
    old = diff(shop, sold, NEW)
    correct(shop, old)

    with pytest.raises(StaleDiff, match="was corrected since the difference was made"):
        correct(shop, old)


def test_a_correction_is_not_corrected_and_two_versions_are_no_baseline(shop: Shop, sold: Committed) -> None:
    found = correct(shop, diff(shop, sold, NEW))
    assert found.event_id is not None

    with pytest.raises(NotCorrectable, match="only the difference between what stands"):
        correct(shop, diff(shop, sold, OLD, NEW))


def test_nothing_before_the_books_were_closed_is_corrected(shop: Shop, sold: Committed) -> None:
    found = diff(shop, sold, NEW)
    before = shop.everything()

    for closed in (date(2024, 7, 2), datetime(2024, 7, 1, 12, 0, 1, tzinfo=UTC)):
        with pytest.raises(BooksClosed, match="the books are closed until"):
            correct(shop, found, closed=closed)

    assert shop.everything() == before
    assert correct(shop, found, closed=date(2024, 7, 1))


def test_without_the_right_it_is_denied_and_the_try_recorded(shop: Shop, sold: Committed) -> None:
    with pytest.raises(Denied):
        shop.colour.wait(shop.colour.runner.correct(diff(shop, sold, NEW), actor="clerk"))

    assert (shop.entry().kind, shop.entry().outcome) == ("event.correct", "denied")
    assert points(shop) == 0


def test_an_event_that_was_rejected_is_admitted_only_where_that_is_said(shop: Shop) -> None:
    shop.put(Product("tea", 2))
    refused = shop.tried(Sell(product="tea", quantity=4), version=OLD)
    assert refused is not None
    with pytest.raises(Exception, match="left"):
        shop.dispatch(Sell(product="tea", quantity=4), version=OLD)
    entry = shop.entry()
    found = shop.colour.wait(shop.colour.runner.diff(entry.id, input={"quantity": 1}))

    first = correct(shop, found)
    second = correct(shop, found, admit=True)

    assert (first.needs, bool(first), first.event_id) == ("admit", False, None)
    assert second.needs is None
    assert stock(shop) == 1
    assert [row["quantity"] for row in shop.rows("purchase")] == [1]


def test_an_event_that_was_accepted_is_revoked_only_where_that_is_said(shop: Shop, sold: Committed) -> None:
    found = diff(shop, sold, input={"quantity": 20})

    first = correct(shop, found)
    second = correct(shop, found, revoke=True)

    assert (first.needs, bool(first)) == ("revoke", False)
    assert bool(second)
    assert stock(shop) == 9
    assert shop.rows("purchase") == []
    assert sorted(states(shop).values()) == ["cancelled"]
