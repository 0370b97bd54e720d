"""What an event is: a frozen, strict value, bare until it is stamped."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, ValidationError

from dateline import Actor, Event, Reason
from dateline.core.canon import canonical
from dateline.core.event import fill
from dateline.core.meta import Meta, NewId, Origin
from dateline.errors import Malformed, NoMeta, Unloadable
from tests.core.library import Lend

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Typed(Event, kind="typed"):
    amount: Decimal = Decimal(0)
    at: AwareDatetime = NOON
    day: date = NOON.date()
    parts: tuple[str, ...] = ()
    photo: bytes = b""
    id: UUID = UUID(int=0)
    count: int = 0
    yes: bool = False


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "1.5"},
        {"amount": 1.5},
        {"amount": Decimal("NaN")},
        {"at": datetime(2024, 3, 1)},
        {"at": "2024-03-01T12:00:00Z"},
        {"day": "2024-03-01"},
        {"parts": ["a"]},
        {"photo": "AA=="},
        {"id": str(UUID(int=0))},
        {"count": True},
        {"count": 1.0},
        {"count": "1"},
        {"yes": 1},
        {"unknown": 1},
    ],
    ids=str,
)
def test_python_gives_a_field_its_own_type_or_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Typed(**wrong)


def test_json_gives_a_field_what_json_can_write() -> None:
    body = (
        b'{"amount":"1.50","at":"2024-03-01T13:00:00+01:00","day":"2024-03-01","parts":["a"],"photo":"AP8=",'
        b'"id":"00000000-0000-0000-0000-000000000001","count":1,"yes":true}'
    )

    assert Typed.from_json(body) == Typed(
        amount=Decimal("1.50"), at=NOON, parts=("a",), photo=b"\x00\xff", id=UUID(int=1), count=1, yes=True
    )


@pytest.mark.parametrize("body", [b'{"count":false}', b'{"count":1.0}', b'{"count":"1"}', b'{"yes":0}', b'{"x":1}'])
def test_json_of_another_type_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        Typed.from_json(body)


def test_a_field_cannot_be_assigned() -> None:
    event = Lend(book="moby")

    with pytest.raises(ValidationError):
        event.book = "dick"  # type: ignore[misc]  # that type checkers refuse it too is proven in tests/typing

    assert event == Lend(book="moby")


def test_an_error_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        Lend(book=b"my secret")  # type: ignore[arg-type]  # what a type checker would refuse

    assert "secret" not in str(refused.value)


def test_events_are_equal_where_kind_and_input_are() -> None:
    one, other = Lend(book="moby"), Lend(book="moby")

    assert one == other.stamped(at=NOON, actor="ann")
    assert hash(one) == hash(other.stamped(at=NOON, actor="ann"))
    assert one != Lend(book="emma")
    assert one != Typed()


def test_a_bare_event_has_no_meta_and_says_how_a_test_gives_it_one() -> None:
    with pytest.raises(NoMeta, match=r"stamped\(at=…, actor=…\)"):
        _ = Lend(book="moby").meta


def test_stamping_gives_a_meta_and_leaves_the_event_bare() -> None:
    bare = Lend(book="moby")

    stamped = bare.stamped(
        at=NOON.astimezone(timezone(timedelta(hours=5))),
        actor="ann",
        id=UUID(int=7),
        version=date(2024, 1, 1),
        reason="x",
    )

    assert stamped.meta == Meta(
        id=UUID(int=7), at=NOON, actor=Actor("ann"), version=date(2024, 1, 1), reason=Reason("x")
    )
    assert stamped.meta.at.tzinfo is UTC
    with pytest.raises(NoMeta):
        _ = bare.meta


def test_a_naive_instant_is_no_stamp() -> None:
    with pytest.raises(ValueError, match="naive"):
        Lend(book="moby").stamped(at=datetime(2024, 3, 1), actor="ann")


def test_a_stamp_without_an_id_depends_on_input_and_instant_alone() -> None:
    def id(event: Event, at: datetime = NOON, actor: str = "ann") -> UUID:
        return event.stamped(at=at, actor=actor).meta.id

    assert id(Lend(book="moby")) == id(Lend(book="moby")) == id(Lend(book="moby"), actor="bob")
    assert len({id(Lend(book="moby")), id(Lend(book="emma")), id(Lend(book="moby"), NOON + timedelta(seconds=1))}) == 3


def test_a_new_id_depends_on_the_event_and_the_name() -> None:
    event = Lend(book="moby").stamped(at=NOON, actor="ann", id=UUID(int=7))
    again = Lend(book="moby").stamped(at=NOON, actor="ann", id=UUID(int=7))
    other = Lend(book="moby").stamped(at=NOON, actor="ann", id=UUID(int=8))

    assert event.new_id("loan") == again.new_id("loan") == uuid5(UUID(int=7), "loan")
    assert len({event.new_id("loan"), event.new_id("fine"), other.new_id("loan")}) == 3
    assert isinstance(event.new_id("loan"), NewId)
    assert event.new_id("loan").name == "loan"


def test_subjects_are_the_templates_filled() -> None:
    assert Lend(book="moby", reader=7).subjects == ("book:moby", "reader:7")


@given(st.text(), st.integers())
def test_what_is_filled_in_is_never_read_as_a_template(book: str, reader: int) -> None:
    assert fill("book:{book}/{reader}", Lend(book=book, reader=reader)) == f"book:{book}/{reader}"


def test_a_subject_names_fields_of_the_event() -> None:
    with pytest.raises(Unloadable, match="names 'patient', which is not a field"):

        class Odd(Event, kind="odd", subjects=("patient:{patient}",)):
            book: str


def test_subjects_are_a_tuple() -> None:
    with pytest.raises(Unloadable, match=r"subjects=\('book:\{book\}',\)"):

        class Odd(Event, kind="odd", subjects="book:{book}"):
            book: str


@pytest.mark.filterwarnings("ignore:Field name")  # pydantic warns too
@pytest.mark.parametrize("name", ["meta", "subjects", "stamped", "with_meta", "new_id"])
def test_what_every_event_has_beside_its_fields_is_no_name_for_a_field(name: str) -> None:
    with pytest.raises(Unloadable, match=f"`{name}`"):
        cast(Any, type(Event))("Odd", (Event,), {"__module__": __name__, "__annotations__": {name: str}}, kind="odd")


def test_a_subclass_keeps_what_it_does_not_say_anew() -> None:
    class First(Event, kind="first", subjects=("book:{book}",), requires="lend", record_refusals=False):
        book: str

    class Second(First):
        note: str = ""

    class Third(Second, record_refusals=True):
        pass

    assert (Second.__kind__, Second.__subjects__, Second.__requires__) == ("first", ("book:{book}",), "lend")
    assert (Second.__record_refusals__, Third.__record_refusals__) == (False, True)


def test_an_actor_is_its_id_for_short_and_its_rights_are_not_its_identity() -> None:
    assert Actor.of("ann") == Actor("ann", kind="person")
    assert Actor("ann", rights=frozenset({"backdate"})) == Actor("ann")
    assert Actor("ann", role="clerk") != Actor("ann")


ACTORS = st.builds(
    Actor, st.text(min_size=1), st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text()
)
REASONS = st.builds(Reason, st.text(), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
ORIGINS = st.builds(Origin, *(st.none() | st.text() for _ in range(4)))


@given(
    st.builds(
        Meta,
        id=st.uuids(),
        at=st.datetimes(timezones=st.just(UTC)),
        actor=ACTORS,
        tenant=st.text(),
        version=st.none() | st.dates(),
        reason=st.none() | REASONS,
        cause=st.none() | st.uuids(),
        root=st.none() | st.uuids(),
        late=st.booleans(),
        origin=st.none() | ORIGINS,
    )
)
def test_a_meta_comes_back_from_the_facts_that_are_recorded(meta: Meta) -> None:
    assert Meta.from_facts(json.loads(canonical(meta.facts()))) == meta


def test_what_is_not_known_is_not_recorded() -> None:
    meta = Lend(book="moby").stamped(at=NOON, actor="ann", id=UUID(int=7)).meta

    assert meta.facts() == {"id": UUID(int=7), "at": "2024-03-01T12:00:00Z", "actor": {"id": "ann", "kind": "person"}}


@pytest.mark.parametrize("kind", ["", 7, ("pay",)], ids=str)
def test_a_kind_is_a_text_that_is_not_empty(kind: Any) -> None:
    with pytest.raises(Unloadable, match=r'Odd: kind is a text that is not empty, such as kind="pay"'):

        class Odd(Event, kind=kind):
            pass


def test_a_field_is_of_a_type_that_has_a_form_on_the_record() -> None:
    class Plain:
        pass

    namespace = {"__module__": __name__, "__annotations__": {"book": Plain}}

    with pytest.raises(Unloadable, match=r"Odd: a field is of type <class '.*Plain'>, which has no form on the record"):
        cast(Any, type(Event))("Odd", (Event,), namespace)
