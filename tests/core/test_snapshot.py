"""What handlers may ask to see, and how a snapshot's class is read."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from dateline import Personal, Record, Snapshot, fingerprint, given, rows, value
from dateline.core.model import personal_fields
from dateline.core.snapshot import fields_of, key_of, row_of
from dateline.errors import NotQueried, WrongColumn
from tests.core.library import STOCK, WANTED, Book, Card, Priced, Reader, Stock, Wanted


class Many(Snapshot):
    one: Stock = rows(Book.id == given("book"))
    maybe: Stock | None = rows(Book.id == given("book"))
    first: Stock = rows(Book.copies > 0, order_by=Book.copies, first=1)
    every: tuple[Stock, ...] = rows()
    few: tuple[Stock, ...] = rows(at_most=2)
    head: tuple[Stock, ...] = rows(order_by=Book.copies.desc(), first=2)
    count: int = value(select(func.count()).select_from(Book))


def test_a_fields_type_says_how_many_rows_it_takes_and_how_many_are_read() -> None:
    assert {one.name: (one.least, one.most, one.limit, one.many) for one in fields_of(Many)} == {
        "one": (1, 1, 2, False),
        "maybe": (0, 1, 2, False),
        "first": (1, 1, 1, False),
        "every": (0, None, None, True),
        "few": (0, None, 3, True),
        "head": (0, None, 2, True),
        "count": (1, 1, 2, False),
    }


def test_a_field_is_named_by_snapshot_and_field_and_in_the_record_by_its_module_too() -> None:
    [one] = fields_of(Wanted)

    assert (one.path, one.place) == ("Wanted.book", "core.library.Wanted.book")


@pytest.mark.parametrize(
    ("annotation", "query", "told"),
    [
        (int, rows(), "its type is X, X | None or tuple"),
        (Stock | Priced, rows(), "its type is X"),
        (Stock | Priced | None, rows(), "its type is X"),
        (tuple[Stock], rows(), r"tuple\[X, ...\]"),
        (tuple[Stock, Priced], rows(), r"tuple\[X, ...\]"),
        (list[Stock], rows(), "its type is X"),
        (Record[Any], rows(), "its type is X"),
        (Stock, rows(at_most=5), "at_most= and first= are for tuple"),
        (Stock, rows(first=2), "only first=1"),
    ],
    ids=str,
)
def test_type_and_query_have_to_fit_each_other(annotation: Any, query: Any, told: str) -> None:
    odd = cast(Any, type(Snapshot))(
        "Odd", (Snapshot,), {"__module__": __name__, "__annotations__": {"book": annotation}, "book": query}
    )

    with pytest.raises(NotQueried, match=rf"Odd\.book.*{told}"):
        fields_of(odd)


def test_every_field_says_how_it_is_read() -> None:
    with pytest.raises(NotQueried, match=r"Odd\.book does not say how it is read"):

        class Odd(Snapshot):
            book: Stock


def test_a_query_has_a_type() -> None:
    with pytest.raises(NotQueried, match=r"Odd\.book has a query and no type"):

        class Odd(Snapshot):
            book = rows()


@pytest.mark.parametrize("limits", [{"at_most": 1, "first": 1}, {"at_most": 0}, {"first": 0}, {"first": -1}], ids=str)
def test_rows_are_counted_one_way_and_from_one(limits: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        rows(**limits)


def test_a_snapshot_is_not_made_without_its_rows() -> None:
    with pytest.raises(ValidationError):
        Wanted()  # type: ignore[call-arg]  # that type checkers refuse it too is proven in tests/typing


def test_a_snapshot_and_its_records_are_frozen() -> None:
    with pytest.raises(ValidationError):
        WANTED.book = STOCK  # type: ignore[misc]  # the mistake in question
    with pytest.raises(ValidationError):
        WANTED.book.copies = 7  # type: ignore[misc]  # the mistake in question


def test_a_snapshots_subclass_reads_what_its_base_reads() -> None:
    class More(Wanted):
        all: tuple[Stock, ...] = rows()

    assert [(one.name, one.snapshot) for one in fields_of(More)] == [("book", More), ("all", More)]


def test_a_record_holds_its_rows_whole_key() -> None:
    with pytest.raises(WrongColumn, match="whole primary key; add branch, card"):

        class Odd(Record[Reader]):
            name: str


def test_a_record_holds_columns_of_its_table_and_nothing_else() -> None:
    with pytest.raises(WrongColumn, match="pages"):

        class Odd(Record[Book]):
            id: str
            pages: int


def test_a_records_subject_names_its_own_fields() -> None:
    with pytest.raises(WrongColumn, match="names 'name', which is not a field"):

        class Odd(Record[Reader], subject="reader:{name}"):
            branch: str
            card: int


def test_a_row_is_named_by_table_and_key() -> None:
    assert (row_of(STOCK), key_of(STOCK)) == ("book/moby", "moby")
    assert row_of(Card(branch="main", card=7, name="x")) == 'reader/["main",7]'


def test_a_record_takes_its_personal_columns_from_the_table_and_from_its_own_marks() -> None:
    class Marked(Record[Reader]):
        branch: Personal[str]
        card: int
        name: str

    assert personal_fields(Card) == {"name"}
    assert personal_fields(Marked) == {"branch", "name"}
    assert personal_fields(Stock) == frozenset()


def test_a_fingerprint_is_of_the_fields_that_count() -> None:
    card = Card(branch="main", card=7, name="Ann")

    assert (
        fingerprint(card)
        == fingerprint(card, ("name", "card", "branch"))
        == fingerprint(card, ("card", "branch", "name"))
    )
    assert fingerprint(card, ("card",)) == fingerprint(Card(branch="main", card=7, name="Bob"), ("card",))
    assert fingerprint(card, ("name",)) != fingerprint(Card(branch="main", card=7, name="Bob"), ("name",))
    assert fingerprint(card, ("name",)) != fingerprint(card, ("branch",))


def test_a_record_of_a_record_keeps_its_table() -> None:
    class Longer(Stock):
        shelf: str | None

    assert Longer.__table__ is Book
    assert row_of(Longer(id="moby", copies=1, shelf=None)) == "book/moby"
