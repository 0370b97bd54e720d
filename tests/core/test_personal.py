"""Personal values leave the body, come back, can be erased, and every digest still verifies."""

# ruff: noqa: RUF012 - pydantic copies defaults

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from dateline import Effect, Event, Personal, Versions, Yields, decide, handler
from dateline.core.canon import canonical, salted
from dateline.core.decision import Decision
from dateline.core.model import personal_within
from dateline.core.personal import MARK, Sealed, Sealer, mark_at, sealed_digest, unsealed
from tests.core.library import Card

SEED = bytes(range(32))


class Address(BaseModel):
    street: Personal[str]
    town: str


AT = Address(street="Elm Street", town="York")


class Join(Event, kind="join", subjects=("person:{id}",)):
    id: str
    name: Personal[str]
    nickname: Personal[str | None] = None
    emails: tuple[Personal[str], ...] = ()
    notes: Personal[dict[str, str]] = {}
    addresses: tuple[Address, ...] = ()
    places: dict[str, dict[str, Address]] = {}
    since: dict[date, Address] = {}
    by: dict[datetime, Address] = {}


class Letter(Effect, kind="letter", key="{to}", subject="person:{to}"):
    to: str
    text: Personal[str]


TEXT = st.text()
KEYS = st.sampled_from(["a", "a/a", "a/street", "street", "~1", "a~1a", "", MARK])
ADDRESSES = st.builds(Address, street=TEXT, town=TEXT)
JOINS = st.builds(
    Join,
    id=TEXT,
    name=TEXT,
    nickname=st.none() | TEXT,
    emails=st.lists(TEXT, max_size=3).map(tuple),
    notes=st.dictionaries(TEXT, TEXT, max_size=3),
    addresses=st.lists(ADDRESSES, max_size=2).map(tuple),
    places=st.dictionaries(KEYS, st.dictionaries(KEYS, ADDRESSES, max_size=3), max_size=3),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=8,
)


def body(sealer: Sealer, value: Any, path: str = "/input") -> Any:
    """Return what a body would hold, as it is read again."""
    return json.loads(canonical(sealer.plain(value, path)))


def kept(sealer: Sealer) -> dict[str, Any]:
    return {one.path: json.loads(one.value) for one in sealer.sealed}


@given(JOINS)
@example(Join(id="7", name="x", places={"a": {"b": AT, "b/street": AT}}))
@example(Join(id="7", name="x", by={datetime(2024, 1, 1, tzinfo=UTC): AT}, since={date(2024, 1, 1): AT}))
def test_what_was_sealed_comes_back(event: Join) -> None:
    sealer = Sealer(SEED, "person:7")

    held = body(sealer, event)

    assert unsealed(held, "/input", kept(sealer)) == json.loads(canonical(event))


@given(JOINS)
@example(Join(id="7", name="x", places={"a": {"b/c": AT}, "a/b": {"c": AT}}))
@example(Join(id="7", name="x", by={datetime(2024, 1, 1, tzinfo=UTC): AT}, since={date(2024, 1, 1): AT}))
def test_every_value_is_kept_under_a_path_of_its_own_where_its_digest_stands(event: Join) -> None:
    sealer = Sealer(SEED, "person:7")

    held = body(sealer, event)

    assert len({one.path for one in sealer.sealed}) == len(sealer.sealed)
    assert [mark_at(held, "/input", one.path) for one in sealer.sealed] == [sealed_digest(one) for one in sealer.sealed]


@given(PLAIN)
def test_what_is_not_personal_comes_back_whatever_it_looks_like(value: Any) -> None:
    sealer = Sealer(SEED, "person:7")

    held = body(sealer, value)

    assert unsealed(held, "/input", {}) == value
    assert sealer.sealed == []


def test_a_personal_value_stands_nowhere_in_the_body() -> None:
    sealer = Sealer(SEED, "person:7")
    event = Join(
        id="7",
        name="Ann Lee",
        nickname="Annie",
        emails=("ann@example.org",),
        notes={"Ann": "Lee"},
        addresses=(Address(street="Elm Street", town="York"),),
    )

    text = canonical(sealer.plain(event, "/input")).decode()

    for value in ("Ann", "example", "Lee", "Elm"):
        assert value not in text
    assert "York" in text
    assert kept(sealer) == {
        "/input/name": "Ann Lee",
        "/input/nickname": "Annie",
        "/input/emails": ["ann@example.org"],
        "/input/notes": {"Ann": "Lee"},
        "/input/addresses/0/street": "Elm Street",
    }


def test_nothing_is_sealed_where_there_is_nothing() -> None:
    sealer = Sealer(SEED, "person:7")

    assert body(sealer, Join(id="7", name="x"))["nickname"] is None
    assert "/input/nickname" not in kept(sealer)


def test_where_no_value_was_recorded_there_is_no_mark() -> None:
    sealer = Sealer(SEED, "person:7")

    held = body(sealer, Join(id="7", name="Ann", notes={}))

    for path in ("/input/id", "/input/nickname", "/input/nowhere", "/input/name/deeper", "/input", "/inputs/name"):
        assert mark_at(held, "/input", path) is None


def test_equal_values_in_two_places_have_different_digests() -> None:
    sealer = Sealer(SEED, "person:7")

    held = body(sealer, Join(id="7", name="Ann", nickname="Ann"))

    assert held["name"] != held["nickname"]
    assert held["name"] != body(Sealer(bytes(32), "person:7"), Join(id="7", name="Ann"))["name"]


def test_one_value_kept_once_serves_two_places() -> None:
    sealer = Sealer(SEED, "person:7")

    first = sealer.seal("Ann", "/operations/0/after/name")
    second = sealer.seal("Ann", "/operations/0/declared/name", salt_of="/operations/0/after/name", keep=False)

    assert first == second
    assert [one.path for one in sealer.sealed] == ["/operations/0/after/name"]


def test_a_value_belongs_to_whom_its_model_says_and_else_to_the_events_first_subject() -> None:
    sealer = Sealer(SEED, "person:7")

    sealer.plain(Join(id="7", name="Ann"), "/input")
    sealer.plain(Letter(to="8", text="Dear Bob"), "/effects/0")
    sealer.plain(Card(branch="main", card=9, name="Cid"), "/snapshot/x/rows/0")

    assert [(one.subject, one.value) for one in sealer.sealed if one.value not in ("[]", "{}")] == [
        ("person:7", '"Ann"'),
        ("person:8", '"Dear Bob"'),
        ("reader:9", '"Cid"'),
    ]


def test_the_digest_needs_salt_and_value() -> None:
    sealed = Sealed("/input/name", "person:7", "00" * 16, '"Ann"')

    assert sealed_digest(sealed) == salted(bytes(16), b'"Ann"')
    assert sealed_digest(sealed) != sealed_digest(Sealed("/input/name", "person:7", "01" * 16, '"Ann"'))
    assert sealed_digest(sealed) != sealed_digest(Sealed("/input/name", "person:7", "00" * 16, '"Bob"'))


class Person(BaseModel):
    name: Personal[str]
    friends: list[Person] = []


class Visit(BaseModel):
    by: list[Person] | None = None
    ward: str = ""


class Round(Effect, kind="round"):
    visits: dict[str, Visit]
    first: Person | None = None
    note: Personal[str] = ""
    ward: str = ""


def test_fields_are_known_that_hold_a_personal_value_at_any_depth() -> None:
    assert personal_within(Round) == {"visits", "first", "note"}
    assert personal_within(Person) == {"name", "friends"}


def test_a_decision_knows_its_effects_fields_that_hold_one_at_any_depth() -> None:
    @handler
    def rounds(event: Join) -> Yields[Round]:
        yield Round(visits={"1": Visit(by=[Person(name="Ann")])}, ward="3")

    plan = decide(Join(id="7", name="Ann"), version="2024-01-01", versions=Versions.of({"2024-01-01": [Join, rounds]}))

    [step] = Decision.made(plan, date(2024, 1, 1)).steps
    assert step.personal == {"visits", "first", "note"}
