"""Rule 20: what an old layer names of a table is mapped onto the columns of today, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.orm import Mapped, mapped_column, synonym

from dateline import Insert, Personal, Plan, Record, Update, lift, lower
from dateline.core.model import personal_fields
from dateline.core.snapshot import AtHead
from dateline.errors import BadSignature, DatelineError, Impure, WrongColumn
from tests.core.library import Base


class Person(Base):
    """It had one `name`, and its `phone` was called `telephone`."""

    __tablename__ = "mapped_person"

    id: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[Personal[str]]
    last: Mapped[Personal[str]]
    phone: Mapped[str]
    telephone: Mapped[str] = synonym("phone", init=False)


@lower(Person)
def name(first: str, last: str) -> str:
    return f"{first} {last}"


@lift(Person)
def named(name: str) -> dict[str, Any]:
    first, _, last = name.partition(" ")
    return {"first": first, "last": last}


@lift(Person)
def dialled(prefix: str, number: str, extension: str = "") -> dict[str, Any]:
    return {"phone": f"{prefix} {number}{extension}"}


class Old(Record[Person]):
    id: str
    name: str
    telephone: str


SEEN = Old(id="ann", name="Ann Lee", telephone="1")
insert: Any = Insert


def read(**columns: str) -> Old:
    """Return the record as reading makes it."""
    head = cast("AtHead", Old.__head__)
    return cast("Old", head.made(head.record(**columns)))


def test_an_old_record_is_read_as_one_of_todays_columns() -> None:
    head = cast("AtHead", Old.__head__)

    assert set(head.record.model_fields) == {"id", "first", "last", "phone"}
    assert read(id="ann", first="Ann", last="Lee", phone="1") == SEEN


def test_an_old_column_is_as_personal_as_what_it_is_made_of() -> None:
    assert personal_fields(Old) == {"name"}


@pytest.mark.parametrize(
    ("step", "values"),
    [
        (
            lambda: insert(Person, id="a", name="Ann Lee", telephone="1"),
            {"id": "a", "first": "Ann", "last": "Lee", "phone": "1"},
        ),
        (lambda: Update(SEEN, name="Eva Lee"), {"first": "Eva", "last": "Lee"}),
        (lambda: Update(SEEN, telephone="2", first="Eva"), {"phone": "2", "first": "Eva"}),
        (lambda: Update(SEEN, prefix="+1", number="2"), {"phone": "+1 2"}),
        (lambda: Update(SEEN, prefix="+1", number="2", extension="-3"), {"phone": "+1 2-3"}),
    ],
)
def test_a_step_that_names_old_columns_is_of_todays(step: Callable[[], Any], values: dict[str, Any]) -> None:
    assert step().values == values


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            lambda: Update(SEEN, name="Eva Lee", last="Lee"),
            r"Update\(mapped_person\) names name and last, and the one is made",
        ),
        (
            lambda: Update(SEEN, prefix="+1"),
            r"names prefix and not number, and .*test_head.py:\d+ dialled takes them together",
        ),
        (lambda: Update(SEEN, age=3), "has no column 'age'"),
    ],
)
def test_a_step_that_names_old_columns_by_halves_is_refused(step: Callable[[], Any], says: str) -> None:
    with pytest.raises(WrongColumn, match=says):
        step()


def test_a_record_is_seen_after_steps_of_both_sorts() -> None:
    seen = read(id="ann", first="Ann", last="Lee", phone="1")
    steps = (Update(seen, name="Eva Lee"), Update(seen, last="Ray", telephone="2"))

    assert Plan.of(*steps).after(seen) == Old(id="ann", name="Eva Ray", telephone="2")
    # One made by hand, as in a test, knows only what is named by its own names.
    assert Plan.of(*steps).after(SEEN) == Old(id="ann", name="Eva Lee", telephone="2")


def first(last: str) -> str:
    return last


def age(born: int) -> int:
    return born


def full(first: str, last):  # type: ignore[no-untyped-def]  # as somebody might
    return first


def nothing() -> dict[str, Any]:
    return {}


def any_of(**columns: str) -> dict[str, Any]:
    return {}


def phone(phone: str) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(
    ("mark", "function", "error", "says"),
    [
        (lower, first, WrongColumn, "mapped_person has a column 'first'; only what it no longer has is mapped"),
        (lower, age, BadSignature, "'born' is no column of mapped_person; it has first, id, last, phone"),
        (lower, full, BadSignature, "last has no type"),
        (lower, any_of, BadSignature, "'columns' has to be named"),
        (lift, nothing, BadSignature, "takes no column; name the old one"),
        (lift, phone, WrongColumn, "mapped_person has a column 'phone'"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_where_it_is_made(
    mark: Any, function: Any, error: type[DatelineError], says: str
) -> None:
    with pytest.raises(error, match=rf"test_head.py:\d+ \w+: {says}"):
        mark(Person)(function)


def test_a_record_of_a_column_that_nobody_maps_is_refused() -> None:
    with pytest.raises(WrongColumn, match="has no column 'fax'"):

        class Faxed(Record[Person]):
            id: str
            fax: str


class Chest(Base):
    __tablename__ = "chest"

    id: Mapped[str] = mapped_column(primary_key=True)
    grams: Mapped[int]


@lower(Chest)
def weight(grams: int) -> str:
    return f"{grams} {Path(__file__).read_text()[:1]}"


class OldChest(Record[Chest]):
    id: str
    weight: str


def test_what_an_old_column_held_is_told_without_a_look_at_a_file() -> None:
    assert OldChest.__head__ is not None
    today = cast("Any", OldChest.__head__.record)

    with pytest.raises(
        Impure, match=r"test_head.py:\d+ weight \(today's tables\) reaches outside of the decision \(open\)"
    ):
        OldChest.__head__.made(today(id="a", grams=1))
