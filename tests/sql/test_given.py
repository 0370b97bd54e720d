"""What stands in criteria for what the event brings, and queries that have one name everywhere."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from dateline import Event, Snapshot, given, rows, value
from dateline.core.canon import canonical
from dateline.core.snapshot import fields_of
from dateline.errors import NotQueried
from dateline.sql.dialect import asked as told
from dateline.sql.dialect import question
from dateline.sql.given import getter
from tests.core.library import Book, Loan, Stock

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Ask(Event, kind="ask"):
    book: str = "moby"
    day: date | None = None
    ids: tuple[str, ...] = ()


EVENT = Ask(day=date(2024, 2, 28)).stamped(at=NOON, actor="ann")


@pytest.mark.parametrize(
    ("path", "plus", "expected"),
    [
        ("book", None, "moby"),
        ("meta.at", None, NOON),
        ("meta.at", timedelta(days=-7), NOON - timedelta(days=7)),
        ("meta.actor.id", None, "ann"),
        ("day", timedelta(days=2), date(2024, 3, 1)),
        ("meta.reason", timedelta(days=2), None),
    ],
)
def test_a_path_takes_its_value_out_of_the_event(path: str, plus: timedelta | None, expected: Any) -> None:
    assert getter(given(path, plus=plus))(EVENT) == expected


def asked(query: Any, annotation: Any = tuple[Stock, ...]) -> Any:
    namespace = {"__module__": __name__, "__annotations__": {"found": annotation}, "found": query}
    [one] = fields_of(cast(Any, type(Snapshot))("Look", (Snapshot,), namespace))
    return question(one)


def test_what_is_kept_of_a_query_is_its_name_and_what_the_event_brought() -> None:
    kept = asked(rows(Book.id == given("book"), Book.copies > 1))

    assert json.loads(canonical(told([kept], EVENT)[0])) == {"query": kept.digest, "given": {"book": "moby"}}


def test_the_same_question_has_the_same_name() -> None:
    one = asked(rows(Book.id == given("book"), Book.copies > 1, order_by=Book.id.desc(), first=2)).digest

    assert one == asked(rows(Book.id == given("book"), Book.copies > 1, order_by=Book.id.desc(), first=2)).digest
    assert len(one) == 16


def test_another_question_has_another_name() -> None:
    questions = [
        rows(Book.id == given("book")),
        rows(Book.id != given("book")),
        rows(Book.shelf == given("book")),
        rows(Book.id == given("meta.actor.id")),
        rows(Book.id == given("book"), order_by=Book.copies),
        rows(Book.id == given("book"), first=1),
        rows(Book.id == given("book"), first=2),
        rows(Book.id == given("book"), at_most=2),
        rows(Book.id == "moby"),
        rows(Book.id == "emma"),
        rows(Book.copies > 1),
        rows(Book.copies > 2),
        rows(Book.id.in_(given("ids"))),
        rows(Book.id.not_in(given("ids"))),
        rows(Loan.at > given("meta.at")),
        rows(Loan.at > given("meta.at", plus=timedelta(days=-7))),
        rows(Loan.at > given("meta.at", plus=timedelta(days=-8))),
    ]

    names = [asked(query).digest for query in questions]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("statement", [select(Book.id, Book.copies), Book.id, "SELECT 1", func.count()], ids=str)
def test_a_value_is_a_select_of_one_column(statement: Any) -> None:
    with pytest.raises(NotQueried, match=r"value\(…\) takes a select\(…\) of one column"):
        asked(value(statement), int)


def test_a_given_is_like_no_other_even_of_the_same_path() -> None:
    # One field may be compared with columns of different types in one statement.
    query = rows(Book.id == given("book"), Book.shelf == given("book"))

    assert json.loads(canonical(told([asked(query)], EVENT)[0]))["given"] == {"book": "moby"}
    assert len(asked(query).normal.sources) == 2


@pytest.mark.parametrize("path", ["", 7, Ask], ids=str)
def test_a_path_is_a_text(path: Any) -> None:
    with pytest.raises(TypeError, match="takes the path of a field of the event, a text such as"):
        given(path)


@pytest.mark.parametrize(
    "criterion", [True, False, select(Book), Book, "book", 7], ids=lambda found: type(found).__name__
)
def test_rows_are_chosen_by_conditions(criterion: Any) -> None:
    with pytest.raises(NotQueried, match=r"Look\.found: rows\(…\) takes conditions on columns, such as .*, not"):
        asked(rows(criterion))
