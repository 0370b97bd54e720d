"""What a caller saw against what is there, and refusals that come back from the record as they went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from dateline import Plan, Preview, Snapshot, fingerprint, rows, value
from dateline import errors as refusals
from dateline.core.canon import canonical
from dateline.core.outcome import compare, refusal_of, request_digest
from dateline.core.snapshot import Field, fields_of
from dateline.errors import (
    ConstraintRefused,
    Difference,
    Malformed,
    NotFound,
    Refused,
    Rejected,
    Rejection,
    StaleSnapshot,
)
from tests.core.library import Book, Lend, Priced, Stock

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


class Shelf(Snapshot):
    books: tuple[Stock, ...] = rows()
    count: int = value(select(func.count()).select_from(Book))


class Prices(Snapshot):
    books: tuple[Priced, ...] = rows()


FIELDS = fields_of(Shelf)
MOBY, EMMA = Stock(id="moby", copies=3), Stock(id="emma", copies=1)


def previewed(*seen: tuple[Any, ...], fields: tuple[Field, ...] = FIELDS) -> Preview:
    event = Lend(book="moby").stamped(at=NOON, actor="ann")
    return Preview(
        event_id=UUID(int=1),
        version=date(2024, 1, 1),
        at=NOON,
        event=event,
        plan=Plan(),
        expires_at=NOON,
        fields=fields,
        seen=seen,
    )


def differences(compared: Callable[[], None]) -> tuple[Difference, ...]:
    try:
        compared()
    except StaleSnapshot as stale:
        return stale.differences
    return ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (((MOBY, EMMA), (2,)), ((MOBY, EMMA), (2,)), ()),
        (((MOBY, EMMA), (2,)), ((EMMA, MOBY), (2,)), ()),
        (
            ((MOBY,), (1,)),
            ((Stock(id="moby", copies=2),), (1,)),
            (Difference(row="book/moby", change="changed", fields=("copies",)),),
        ),
        (((MOBY, EMMA), (2,)), ((EMMA,), (2,)), (Difference(row="book/moby", change="gone"),)),
        (((EMMA,), (2,)), ((MOBY, EMMA), (2,)), (Difference(row="book/moby", change="new"),)),
        (((), (2,)), ((), (3,)), (Difference(row="Shelf.count", change="changed"),)),
        (
            ((MOBY,), (1,)),
            ((EMMA,), (2,)),
            (
                Difference(row="book/emma", change="new"),
                Difference(row="book/moby", change="gone"),
                Difference(row="Shelf.count", change="changed"),
            ),
        ),
    ],
)
def test_a_preview_differs_by_rows_cells_and_values(
    before: tuple[Any, ...], after: tuple[Any, ...], expected: tuple[Difference, ...]
) -> None:
    assert differences(lambda: compare(previewed(*before), FIELDS, after)) == expected


def test_a_row_that_two_snapshots_saw_differs_once_for_each_view() -> None:
    fields = (*fields_of(Shelf)[:1], *fields_of(Prices))
    before, after = (
        ((Stock(id="moby", copies=copies),), (Priced(id="moby", copies=copies, price=Decimal(1)),)) for copies in (3, 2)
    )

    found = differences(lambda: compare(previewed(*before, fields=fields), fields, after))

    assert found == (Difference(row="book/moby", change="changed", fields=("copies",)),)


def test_a_preview_that_saw_other_things_is_stale() -> None:
    found = differences(lambda: compare(previewed((MOBY,), (1,)), fields_of(Prices), ((),)))

    assert found == (Difference(row="snapshot", change="changed", fields=("Prices.books",)),)


def test_fingerprints_are_one_for_each_cell_that_was_seen() -> None:
    preview = previewed((MOBY,), (1,))

    assert preview.fingerprints == {
        "book/moby": {"id": fingerprint(MOBY, ("id",)), "copies": fingerprint(MOBY, ("copies",))}
    }


@pytest.mark.parametrize(
    ("named", "now", "expected"),
    [
        ({"book/moby": {"copies": fingerprint(MOBY, ("copies",))}}, (MOBY, EMMA), ()),
        ({}, (MOBY,), ()),
        ({"book/moby": {}}, (MOBY,), ()),
        (
            {"book/moby": {"copies": fingerprint(MOBY, ("copies",)), "id": fingerprint(MOBY, ("id",))}},
            (Stock(id="moby", copies=2),),
            (Difference(row="book/moby", change="changed", fields=("copies",)),),
        ),
        ({"book/moby": {"id": fingerprint(MOBY, ("id",))}}, (Stock(id="moby", copies=2),), ()),
        (
            {"book/moby": {"copies": fingerprint(MOBY, ("copies",))}},
            (EMMA,),
            (Difference(row="book/moby", change="gone"),),
        ),
        (
            {"book/moby": {"copies": "forged"}},
            (MOBY,),
            (Difference(row="book/moby", change="changed", fields=("copies",)),),
        ),
    ],
)
def test_fingerprints_differ_by_the_cells_that_the_caller_named(
    named: dict[str, dict[str, str]], now: tuple[Stock, ...], expected: tuple[Difference, ...]
) -> None:
    assert differences(lambda: compare(named, FIELDS, (now, (2,)))) == expected


@pytest.mark.parametrize(
    "expects",
    [
        {"book/moby": {"price": "0" * 64}},
        {"book/moby": "0" * 64},
        {"book/moby": None},
        "book/moby",
        7,
        [("book/moby", {})],
    ],
    ids=str,
)
def test_what_expects_nothing_that_can_be_compared_is_malformed(expects: Any) -> None:
    with pytest.raises(Malformed):
        compare(expects, FIELDS, ((MOBY,), (1,)))


def test_a_preview_that_was_refused_cannot_be_committed() -> None:
    refused = NotFound("Shelf.books: no such row in book")

    with pytest.raises(NotFound) as raised:
        compare(refused, FIELDS, ((MOBY,), (1,)))

    assert raised.value == refused


REFUSALS: list[Refused] = [
    Rejected(
        (
            Rejection(
                key="enough/too-few",
                code="too-few",
                detail="none left",
                field="copies",
                handler="a.b",
                date="2024-01-01",
            ),
            Rejection(key="open/closed", code="closed", detail="on Sundays"),
        )
    ),
    StaleSnapshot(
        (Difference(row="book/moby", change="changed", fields=("copies",)), Difference(row="x", change="new"))
    ),
    StaleSnapshot((), "the rules decide otherwise"),
    ConstraintRefused("book_pkey", "take/Insert:book[moby]", "duplicate key"),
    ConstraintRefused("book_pkey", None, "duplicate key"),
    NotFound("no such row", field="Shelf.books", table="book"),
    *(
        found("a sentence", fact="known")
        for found in (
            refusals.TooMany,
            refusals.PreviewExpired,
            refusals.KeyReused,
            refusals.NotStorable,
            refusals.Denied,
            refusals.UnknownVersion,
            refusals.Unrepresentable,
            refusals.ShapeNewerThanVersion,
        )
    ),
]


def test_every_refusal_is_among_those_tried_here() -> None:
    assert {type(refusal) for refusal in REFUSALS} == set(Refused.__subclasses__())


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
def test_a_refusal_comes_back_from_the_record_as_it_went_in(refusal: Refused) -> None:
    recorded = json.loads(canonical({"detail": refusal.detail, **refusal.facts}))

    back = refusal_of(refusal.outcome, recorded)

    assert (back, type(back), str(back)) == (refusal, type(refusal), str(refusal))
    assert back.__dict__ | {"facts": None} == refusal.__dict__ | {"facts": None}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: type(refusal).__name__)
def test_a_refusal_is_a_problem_document(refusal: Refused) -> None:
    problem = refusal.problem()

    assert (problem["type"], problem["title"], problem["detail"]) == (
        refusal.outcome,
        type(refusal).__name__,
        refusal.detail,
    )
    canonical(problem)


def test_outcomes_have_words_of_their_own() -> None:
    words = [found.outcome for found in Refused.__subclasses__()]

    assert len(set(words)) == len(words)
    assert all(len(word) <= 40 for word in words), "the trail's column holds forty characters"


def test_refusals_are_equal_where_what_they_say_is() -> None:
    one, other = (NotFound("no such row", table="book") for _ in range(2))
    other.event_id = "another event"

    assert one == other
    assert hash(one) == hash(other)
    assert one != NotFound("no such row", table="loan")
    assert one != refusals.TooMany("no such row", table="book")


def test_a_request_is_known_by_kind_and_input_and_by_nothing_else() -> None:
    event = Lend(book="moby")
    salt = bytes(16)

    assert request_digest(event, salt) == request_digest(event.stamped(at=NOON, actor="ann"), salt)
    assert request_digest(event, salt) != request_digest(Lend(book="emma"), salt)
    assert request_digest(event, salt) != request_digest(event, b"another salt, 16")
