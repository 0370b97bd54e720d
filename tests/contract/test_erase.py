"""A subject's personal values leave the trail, as an event; what is left verifies, and says what is gone."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dateline import Actor, Denied, KeyReused, Snapshot, Update, Versions, Yields, given, handler, rows
from dateline.core.personal import ERASED
from dateline.core.replay import replayed
from dateline.errors import Erased, Malformed
from dateline.run.erase import EraseSubject, Erasure
from tests.contract.conftest import Shop
from tests.contract.shop import LAYERS, VERSIONS, Buyer, Customer, Enrol, Idea, Product, Sell

OLD, NEW = "2024-01-01", "2024-06-01"
KEEPER = Actor("keeper", rights=frozenset({"erase", "effects"}))


class Theirs(Snapshot):
    customers: tuple[Buyer, ...] = rows(("customer:" + Customer.id) == given("subject"))


@handler
def names_are_taken_away(event: EraseSubject, theirs: Theirs) -> Yields[Update[Customer]]:
    for customer in theirs.customers:
        yield Update(customer, name="", email=None)


FORGETTING = Versions.of({**LAYERS, "2024-06-15": [names_are_taken_away]})


def erase(shop: Shop, subject: str, **given: Any) -> Erasure:
    told = {"actor": KEEPER, "reason": "asked for"} | given
    made = shop.colour.wait(shop.colour.runner.erase(subject, **told))
    assert isinstance(made, Erasure)
    return made


def enrolled(shop: Shop) -> None:
    """Have two customers, one of whom buys something and is thanked by name."""
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann Canary", email="ann@canary.org"), version=OLD, key="k1")
    shop.dispatch(Enrol(id="bob", name="Bob", email="bob@x.org"), version=OLD)
    shop.dispatch(Sell(product="tea", quantity=2), version=NEW)


def test_nothing_of_the_trail_tells_it_any_more_and_every_digest_is_right(shop: Shop) -> None:
    shop = shop.under(FORGETTING)
    enrolled(shop)

    done = erase(shop, "customer:ann")

    first, second, third, last = shop.trail()
    assert shop.verify().ok
    assert shop.verify().erased == done.values > 5
    assert first.input == {"email": ERASED, "id": "ann", "name": ERASED}
    assert second.input["name"] == "Bob"
    assert third.effects[-1].kind in ("thank", "warn")
    assert (last.kind, last.input, last.reason and last.reason.text) == (
        "subject.erase",
        {"subject": "customer:ann"},
        "asked for",
    )
    assert [(row["id"], row["name"], row["mail"]) for row in shop.rows("customer")] == [
        ("ann", "", None),
        ("bob", "Bob", "bob@x.org"),
    ]
    assert shop.execute("SELECT value FROM dateline_personal WHERE value LIKE '%anary%'") == []


def test_a_replay_that_would_need_it_says_so_and_the_others_go_on(shop: Shop) -> None:
    enrolled(shop)
    erase(shop, "customer:ann")

    ann, bob, sale, _ = shop.trail()

    with pytest.raises(Erased, match="of what was asked something was erased"):
        replayed(ann, VERSIONS)
    assert replayed(bob, VERSIONS).outcome == "committed"
    with pytest.raises(
        Erased, match=r"of what the decision sees in contract\.shop\.Buying\.buyer something was erased"
    ):
        replayed(sale, VERSIONS)
    assert replayed(sale, VERSIONS, date(2024, 1, 1)).outcome == "committed"


def test_what_would_be_taken_from_the_trail_is_erased_there_too(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD)
    shop.dispatch(Enrol(id="bob", name="Bob"), version=OLD)
    sales = [shop.dispatch(Sell(product="tea", customer=name), version=OLD) for name in ("ann", "bob")]
    erase(shop, "customer:ann")

    with pytest.raises(Erased, match=r"contract\.shop\.Buying\.buyer something was erased"):
        shop.colour.wait(shop.colour.runner.replay(sales[0].event_id, NEW))
    assert shop.colour.wait(shop.colour.runner.replay(sales[1].event_id, NEW)).outcome == "committed"
    assert shop.colour.wait(shop.colour.runner.drift(Customer)) == ()


def test_effects_that_would_tell_it_are_cancelled(shop: Shop) -> None:
    enrolled(shop)
    before = {one.kind: one.state for one in shop.colour.wait(shop.colour.runner.effects())}

    done = erase(shop, "customer:ann")

    after = {one.kind: one.state for one in shop.colour.wait(shop.colour.runner.effects())}
    assert before["thank"] == "due"
    assert (after["thank"], after["ship"]) == ("cancelled", "due")
    assert len(done.cancelled) == 1


def test_twice_finds_nothing_more_and_is_recorded(shop: Shop) -> None:
    enrolled(shop)

    counts = [erase(shop, "customer:ann").values, erase(shop, "customer:ann").values, erase(shop, "nobody").values]

    assert counts[0] > 0
    assert counts[1:] == [0, 0]
    assert [entry.kind for entry in shop.trail()][3:] == ["subject.erase"] * 3


def test_a_request_key_that_came_with_it_is_no_longer_compared(shop: Shop) -> None:
    enrolled(shop)
    erase(shop, "customer:ann")

    refused = shop.refused(KeyReused, Enrol(id="ann", name="Ann Canary", email="ann@canary.org"), version=OLD, key="k1")

    assert "of which a part was erased since" in refused.detail
    assert shop.execute("SELECT count(*) FROM dateline_claim WHERE salt IS NULL")[0][0] == 1


def test_without_a_right_or_a_reason_nothing_is_erased(shop: Shop) -> None:
    enrolled(shop)
    before = shop.verify()

    with pytest.raises(Denied):
        erase(shop, "customer:ann", actor="clerk")
    for reason in (None, ""):
        with pytest.raises(Malformed, match="an erasure has a reason"):
            erase(shop, "customer:ann", reason=reason)

    assert shop.verify().erased == before.erased == 0
    assert (shop.entry().kind, shop.entry().outcome) == ("subject.erase", "denied")


def test_another_tenants_values_stay(shop: Shop) -> None:
    shop.dispatch(Enrol(id="ann", name="Ann"), version=OLD, tenant="one")

    done = erase(shop, "customer:ann", tenant="two")

    assert done.values == 0
    assert shop.trail(tenant="one")[0].input["name"] == "Ann"


def everywhere(shop: Shop) -> bytes:
    """Return every byte that the database keeps, after it has tidied up."""
    if shop.postgres:
        with shop.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM FULL"))
        return str(shop.everything()).encode()
    shop.closing.close()
    with shop.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM"))
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    shop.engine.dispose()
    file = shop.url.removeprefix("sqlite:///")
    return b"".join(Path(file + end).read_bytes() for end in ("", "-wal", "-shm") if Path(file + end).exists())


def test_after_tidying_up_no_byte_of_it_is_left(own_shop: Shop) -> None:
    shop = own_shop.under(FORGETTING)
    enrolled(shop)
    shop.dispatch(Idea(text="no canary at all"), version=OLD)
    held = b"Ann Canary" in str(shop.everything()).encode()

    erase(shop, "customer:ann")
    shop.others.close()
    left = everywhere(own_shop)

    assert held
    assert (b"no canary at all" in left, b"Ann Canary" in left, b"ann@canary.org" in left) == (True, False, False)
