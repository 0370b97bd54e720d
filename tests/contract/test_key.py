"""One request key, one answer: whatever is sent again under it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dateline import Actor, Event, Malformed, Rejected, Versions
from dateline.errors import KeyReused, NotFound, TooMany, UnknownVersion
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Customer, Enrol, Idea, Product, Sell, Stocktake
from tests.contract.test_reading import LISTING, List

COUNTER = Actor("clerk", rights=frozenset({"count"}))


def test_a_key_that_comes_again_gets_the_first_answer(shop: Shop) -> None:
    shop.put(Product("tea", 9), Customer("ann", "Ann Lee"))
    first = shop.dispatch(Sell(product="tea", quantity=8), key="k1")

    again = shop.dispatch(Sell(product="tea", quantity=8), key="k1")

    assert again == first
    assert (first.repeated, again.repeated, again.plan) == (False, True, None)
    assert again.event.meta == first.event.meta
    assert shop.rows("product")[0]["stock"] == 1
    assert shop.outcomes() == ["committed"]


def test_the_first_answer_comes_also_when_it_could_not_be_given_today(shop: Shop) -> None:
    shop.put(Product("tea", 3))
    first = shop.dispatch(Sell(product="tea", quantity=3), key="k1", version="2024-01-01")
    shop.execute("DELETE FROM purchase")
    shop.execute("DELETE FROM product")

    assert shop.dispatch(Sell(product="tea", quantity=3), "another", key="k1", version="2024-01-01") == first


def test_when_it_happened_is_part_of_the_request(shop: Shop) -> None:
    shop.put(Product("tea", 3))
    actor = Actor("archivist", rights=frozenset({"backdate"}))
    first = shop.dispatch(Sell(product="tea"), actor, key="k1", reason="x")

    shop.refused(KeyReused, Sell(product="tea"), actor=actor, key="k1", reason="x", at=NOON - timedelta(days=1))

    assert shop.dispatch(Sell(product="tea"), actor, key="k1", reason="another") == first


def test_without_a_key_the_same_request_happens_twice(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    one, other = shop.dispatch(Sell(product="tea")), shop.dispatch(Sell(product="tea"))

    assert one.event_id != other.event_id
    assert shop.rows("product")[0]["stock"] == 7


@pytest.mark.parametrize("other", [Sell(product="tea", quantity=2), Sell(product="salt"), Idea(text="x")], ids=repr)
def test_another_request_under_the_key_is_refused_and_recorded(shop: Shop, other: Any) -> None:
    shop.put(Product("tea", 9), Product("salt", 9))
    first = shop.dispatch(Sell(product="tea"), key="k1")

    for _ in range(2):
        refused = shop.refused(KeyReused, other, key="k1")
        assert refused.facts == {"key": "k1"}

    assert shop.outcomes() == ["committed", "key-reused", "key-reused"]
    assert shop.entry().input == other.model_dump()
    assert shop.dispatch(Sell(product="tea"), key="k1") == first


@pytest.mark.parametrize(
    ("event", "actor", "kind"),
    [
        (Sell(product="tea", quantity=10), "till", Rejected),
        (Sell(product="none"), "till", NotFound),
        (Stocktake(counted=-1), COUNTER, Rejected),
    ],
    ids=["rejected", "not found", "rejected too"],
)
def test_a_refusal_is_repeated_as_that_refusal(shop: Shop, event: Any, actor: Any, kind: Any) -> None:
    shop.put(Product("tea", 9))
    first = shop.refused(kind, event, actor=actor, key="k1")
    shop.execute("UPDATE product SET stock = 99")
    shop.put(Product("none", 5))

    again = shop.refused(kind, event, actor=actor, key="k1")

    assert again == first
    assert (again.event_id, again.problem()) == (first.event_id, first.problem())
    assert len(shop.trail()) == 1


def test_a_refusal_that_another_try_may_escape_leaves_the_key_free(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.refused(UnknownVersion, Sell(product="tea"), key="k1", version="2000-01-01")

    done = shop.dispatch(Sell(product="tea"), key="k1")

    assert not done.repeated
    assert shop.outcomes() == ["unknown-version", "committed"]


def test_a_key_belongs_to_its_tenant(shop: Shop) -> None:
    one = shop.dispatch(Idea(text="x"), key="k1", tenant="north")

    other = shop.dispatch(Idea(text="y"), key="k1", tenant="south")

    assert one.event_id != other.event_id
    assert not other.repeated


def test_a_key_belongs_to_the_request_however_its_event_was_made(shop: Shop) -> None:
    known = shop.under(Versions.of({"2024-01-01": [Idea]}))
    first = known.dispatch(known.colour.runner.event("idea", b'{"text": "x"}'), key="k1")

    assert known.dispatch(Idea(text="x"), key="k1") == first


def test_a_repeated_answer_has_its_personal_values(shop: Shop) -> None:
    first = shop.dispatch(Enrol(id="ann", name="Ann Lee"), key="k1")

    again = shop.dispatch(Enrol(id="ann", name="Ann Lee"), key="k1")

    assert again == first
    assert again.event == Enrol(id="ann", name="Ann Lee")
    shop.refused(KeyReused, Enrol(id="ann", name="Ann Loe"), key="k1")


def test_a_kind_that_no_version_knows_is_repeated_too(shop: Shop) -> None:
    first = shop.dispatch(Idea(text="x"), key="k1")

    again = shop.dispatch(Idea(text="x"), key="k1")

    assert (again, again.repeated, again.event) == (first, True, Idea(text="x"))


def test_a_key_with_a_preview_is_used_up_by_its_commit(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    preview = shop.preview(Sell(product="tea"))

    first = shop.dispatch(Sell(product="tea"), expects=preview, key="k1")

    assert first.event_id == preview.event_id
    assert shop.dispatch(Sell(product="tea"), key="k1") == first
    assert shop.dispatch(Sell(product="tea"), expects=preview) == first


def test_too_many_rows_are_repeated_as_that(shop: Shop) -> None:

    shop.put(*(Product(f"p{number}", 1) for number in range(4)))
    shop = shop.under(LISTING)
    first = shop.refused(TooMany, List(), key="k1")
    shop.execute("DELETE FROM product")

    assert shop.refused(TooMany, List(), key="k1") == first


def test_a_key_is_as_long_as_every_database_keeps(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    assert shop.dispatch(Sell(product="tea"), key="k" * 400).seq
    with pytest.raises(Malformed, match="400 characters"):
        shop.dispatch(Sell(product="tea"), key="k" * 401)


class Note(Event, kind="note"):
    text: str


class LoudNote(Note):
    loud: bool = False


def test_a_request_that_is_sent_again_over_a_releases_instant_gets_the_first_answer(shop: Shop) -> None:
    """From July on a body makes an event of another class, which is the same request."""
    noted = shop.under(Versions.of({"2024-01-01": [Note], "2024-07-02": [LoudNote]}))
    body = b'{"text": "milk"}'

    def send(told: bytes, **given: Any) -> Any:
        return noted.dispatch(noted.colour.runner.event("note", told), key="k", **given)

    first = send(body)
    noted.now = datetime(2024, 7, 3, tzinfo=UTC)
    again = send(body)

    assert (type(first.event), again.event_id, again.repeated) == (Note, first.event_id, True)
    for other in (b'{"text": "milk", "loud": true}', b'{"text": "tea"}'):
        with pytest.raises(KeyReused):
            send(other)
    with pytest.raises(KeyReused):
        send(body, actor=Actor("archivist", rights=frozenset({"backdate"})), reason="x", at=NOON)
