"""What is personal stands beside the record and nowhere in it, and comes back with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import select

from dateline import (
    Effect,
    Event,
    Insert,
    Personal,
    Record,
    Reject,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
    value,
)
from dateline.core.mask import masked
from dateline.core.personal import MARK, MASK
from dateline.errors import Rejected, UnknownVersion
from tests.contract.conftest import Shop
from tests.contract.shop import VERSIONS, Buyer, Customer, Enrol, Product, Sell

SECRETS = ("Ann Lee", "ann@example.org", "Elm Street", "Dear Ann", "+44 20")


class Address(BaseModel):
    street: Personal[str]
    town: str


class Register(Event, kind="register", subjects=("customer:{id}",)):
    id: str
    name: Personal[str]
    address: Address
    phones: tuple[Personal[str], ...] = ()
    note: str = ""


class Greet(Effect, kind="greet", key="{to}"):
    to: str
    text: Personal[str]
    address: Address


class Known(Snapshot):
    """The rows, one value of them, and rows found by what is personal."""

    buyer: Buyer | None = rows(Customer.id == given("id"))
    named: Personal[str | None] = value(select(Customer.name).where(Customer.id == given("id")))
    namesakes: tuple[Buyer, ...] = rows(Customer.name == given("name"))
    neighbours: tuple[Buyer, ...] = rows(Customer.email == given("address.street"))


@handler
def register(event: Register, known: Known) -> Yields[Insert[Customer] | Update[Customer] | Greet]:
    if known.buyer is None:
        yield Insert(Customer, id=event.id, name=event.name, email="ann@example.org")
    else:
        yield Update(known.buyer, name=event.name)
    yield Greet(to=event.id, text="Dear Ann", address=event.address)


@check
def not_twice(event: Register, known: Known) -> Yields[Reject]:
    if known.named == event.name:
        yield Reject("same", "nothing would change", field="name")


RULES = Versions.of({"2024-01-01": [Register, register, not_twice, Buyer]})
ANN = Register(id="ann", name="Ann Lee", address=Address(street="Elm Street", town="York"), phones=("+44 20",))


def recorded(shop: Shop) -> str:
    """Return all that the trail's tables hold, but for the one that is meant to hold what is personal."""
    tables = ("event", "operation", "effect", "delivery", "claim", "subject")
    return json.dumps(
        [[str(value) for value in row.values()] for table in tables for row in shop.rows(f"dateline_{table}")]
    )


def kept(shop: Shop) -> dict[str, tuple[str, str]]:
    found = shop.execute("SELECT path, subject, value FROM dateline_personal")
    return {path: (subject, json.loads(value)) for path, subject, value in found}


def test_a_personal_value_stands_in_no_record(shop: Shop) -> None:
    shop = shop.under(RULES)

    shop.dispatch(ANN, key="k1")
    shop.dispatch(ANN.model_copy(update={"name": "Ann Lee-Smith"}), key="k2")
    shop.refused(Rejected, ANN.model_copy(update={"name": "Ann Lee-Smith"}), key="k3")

    text = recorded(shop)
    for secret in SECRETS:
        assert secret not in text
    assert "York" in text
    assert shop.outcomes() == ["committed", "committed", "rejected"]


def test_each_value_is_kept_once_with_its_place_and_whose_it_is(shop: Shop) -> None:
    shop = shop.under(RULES)

    shop.dispatch(ANN)

    assert kept(shop) == {
        "/input/name": ("customer:ann", "Ann Lee"),
        "/input/address/street": ("customer:ann", "Elm Street"),
        "/input/phones": ("customer:ann", ["+44 20"]),
        "/operations/0/after/name": ("customer:ann", "Ann Lee"),
        "/operations/0/after/mail": ("customer:ann", "ann@example.org"),
        "/effects/1/text": ("customer:ann", "Dear Ann"),
        "/effects/1/address/street": ("customer:ann", "Elm Street"),
    }
    [[salts, count]] = shop.execute("SELECT count(DISTINCT salt), count(*) FROM dateline_personal")
    assert salts == count


def test_the_snapshot_keeps_what_was_seen_the_same_way(shop: Shop) -> None:
    shop.put(
        Customer("ann", "Amy Low", "old@example.org"), Customer("bob", "Ann Lee"), Customer("cid", "Cid", "Elm Street")
    )
    shop = shop.under(RULES)

    shop.dispatch(ANN)

    assert {path: held for path, held in kept(shop).items() if path.startswith("/snapshot/")} == {
        "/snapshot/contract.test_personal.Known.buyer/rows/0/name": ("customer:ann", "Amy Low"),
        "/snapshot/contract.test_personal.Known.buyer/rows/0/email": ("customer:ann", "old@example.org"),
        "/snapshot/contract.test_personal.Known.named/rows/0": ("customer:ann", "Amy Low"),
        "/snapshot/contract.test_personal.Known.namesakes/rows/0/name": ("customer:bob", "Ann Lee"),
        "/snapshot/contract.test_personal.Known.neighbours/rows/0/name": ("customer:cid", "Cid"),
        "/snapshot/contract.test_personal.Known.neighbours/rows/0/email": ("customer:cid", "Elm Street"),
    }
    text = recorded(shop)
    for secret in (*SECRETS, "Amy", "old@", "Cid"):
        assert secret not in text


def test_everything_comes_back_with_its_entry(shop: Shop) -> None:
    shop = shop.under(RULES)
    first = shop.dispatch(ANN)

    again = ANN.model_copy(update={"name": "Ann Low"})
    second = shop.dispatch(again)

    entry = shop.entry(second)
    assert entry.event == again
    assert entry.input == {
        "id": "ann",
        "name": "Ann Low",
        "address": {"street": "Elm Street", "town": "York"},
        "phones": ["+44 20"],
        "note": "",
    }
    assert [held["rows"] for held in entry.snapshot.values()] == [
        [{"id": "ann", "name": "Ann Lee", "email": "ann@example.org", "points": 0}],
        ["Ann Lee"],
        [],
        [],
    ]
    [operation] = entry.operations
    assert operation.declared == {"name": "Ann Low"}
    assert operation.before == {"id": "ann", "name": "Ann Lee", "mail": "ann@example.org", "points": 0}
    assert operation.after == {"id": "ann", "name": "Ann Low", "mail": "ann@example.org", "points": 0}
    assert entry.effects == second.effects
    assert entry.effects[0].payload["text"] == "Dear Ann"
    assert shop.entry(first).operations[0].declared["mail"] == "ann@example.org"


def test_an_entry_can_be_masked_whole(shop: Shop) -> None:
    shop = shop.under(RULES)
    shop.dispatch(ANN)
    shop.dispatch(ANN.model_copy(update={"name": "Ann Low"}))

    for entry in shop.trail():
        text = repr(masked(entry))
        for secret in (*SECRETS, "Ann Low"):
            assert secret not in text
        assert text.count(MASK) >= 7


def test_personal_columns_are_known_by_their_table_whatever_a_record_shows(shop: Shop) -> None:
    shop.put(Customer("ann", "Ann Lee", "ann@example.org", points=1), Product("tea", 4))

    # Sell's cascade changes the customer's points by a record of versions that know the table's marks.
    shop.dispatch(Sell(product="tea"))

    text = recorded(shop)
    assert "Ann Lee" not in text
    assert "ann@example.org" not in text
    [update] = [one for one in shop.entry().operations if one.table == "customer"]
    assert update.before == {"id": "ann", "name": "Ann Lee", "mail": "ann@example.org", "points": 1}
    assert shop.entry().personal >= {
        f"/operations/{update.ordinal}/before/name",
        f"/operations/{update.ordinal}/after/mail",
    }


class Counted(Record[Customer]):
    id: str
    points: int


class Point(Event, kind="point", subjects=("campaign:1",)):
    id: str


class Pointed(Snapshot):
    customer: Counted = rows(Customer.id == given("id"))


@handler
def point(event: Point, pointed: Pointed) -> Yields[Update[Customer]]:
    yield Update(pointed.customer, points=pointed.customer.points + 1)


def test_without_a_records_word_a_value_belongs_to_the_events_first_subject(shop: Shop) -> None:
    shop.put(Customer("ann", "Ann Lee"))

    shop.under(Versions.of({"2024-01-01": [Point, point]})).dispatch(Point(id="ann"))

    assert {subject for subject, _ in kept(shop).values()} == {"campaign:1"}
    assert "Ann Lee" not in recorded(shop)


def test_a_refusal_keeps_its_input_the_same_way(shop: Shop) -> None:
    shop = shop.under(RULES)
    shop.refused(UnknownVersion, ANN, version="1999-01-01")

    assert "Ann Lee" not in recorded(shop)
    assert shop.entry().input["name"] == "Ann Lee"


@pytest.mark.parametrize("forged", [{MARK: "0" * 64}, {MARK: ""}, {MARK: {"a": 1}}], ids=str)
def test_what_looks_like_a_seal_is_what_was_sent(shop: Shop, forged: dict[str, Any]) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Free]}))

    shop.dispatch(Free(data=forged, name="Ann"))

    assert shop.entry().event == Free(data=forged, name="Ann")
    assert shop.verify().ok
    assert shop.verify().erased == 0


class Free(Event, kind="free"):
    data: dict[str, Any]
    name: Personal[str]


def test_an_erased_value_shows_that_it_was_there_and_every_digest_still_verifies(shop: Shop) -> None:
    shop.dispatch(Enrol(id="ann", name="Ann Lee", email="ann@example.org"))
    shop.execute("UPDATE dateline_personal SET salt = NULL, value = NULL WHERE path LIKE '%name'")

    entry = shop.entry()

    assert entry.input == {"id": "ann", "name": "(erased)", "email": "ann@example.org"}
    assert entry.operations[0].after == {"id": "ann", "name": "(erased)", "mail": "ann@example.org", "points": 0}
    verified = shop.verify()
    assert (verified.ok, verified.events, verified.values, verified.erased) == (True, 1, 2, 2)


def test_a_value_that_is_nobodys_is_kept_all_the_same(shop: Shop) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Free]}))

    shop.dispatch(Free(data={}, name="Ann"))

    assert kept(shop) == {"/input/name": ("", "Ann")}


def test_a_table_with_personal_columns_is_previewed_like_another(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))

    preview = shop.under(VERSIONS).preview(Sell(product="tea"), rehearse=True)

    assert shop.dispatch(Sell(product="tea"), expects=preview).plan == preview.plan


class Announce(Event, kind="announce", subjects=("shop",)):
    to: int


class Letter(Effect, kind="letter", key="{number}"):
    number: int
    text: Personal[str]


@handler
def announce(event: Announce) -> Yields[Letter]:
    for number in range(event.to):
        yield Letter(number=number, text=f"Dear {number}")


@pytest.mark.parametrize("many", [1, 20, 21, 60])
def test_each_personal_value_is_kept_once_however_many_there_are(shop: Shop, many: int) -> None:
    made = shop.under(Versions.of({"2024-01-01": [announce]}))

    # Inside a block nothing is tried a second time, which would hide that the first try broke a key of the trail.
    with made.together() as tx:
        done = tx.dispatch(Announce(to=many), actor="till")

    texts = [f"Dear {number}" for number in range(many)]
    assert [effect.payload["text"] for effect in made.entry(done).effects] == texts
    assert len(shop.rows("dateline_personal")) == many
    assert made.verify().ok
