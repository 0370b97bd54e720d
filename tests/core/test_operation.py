"""A row change as data: what its table takes is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from sqlalchemy import DateTime, LargeBinary, Numeric, String, TypeDecorator, func
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import Assigned, Delete, Effect, Insert, Instant, Record, Update
from dateline.core.operation import Placeholder
from dateline.core.table import row_key
from dateline.errors import Unassigned, WrongColumn, WrongValue
from tests.core.library import STOCK, Book, Lend, Loan, Print, Reader, Stock


class Base(DeclarativeBase):
    pass


class Colour(Enum):
    RED = "r"


class Shout(TypeDecorator[str]):
    impl = String
    cache_ok = True


class Sample(Base):
    """A table with a column of each sort that is checked."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str | None] = mapped_column(String(5))
    number: Mapped[int | None]
    yes: Mapped[bool | None]
    amount: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    ratio: Mapped[float | None]
    day: Mapped[date | None]
    hour: Mapped[time | None]
    length: Mapped[timedelta | None]
    local: Mapped[datetime | None]
    aware: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    instant: Mapped[datetime | None] = mapped_column(Instant())
    photo: Mapped[bytes | None] = mapped_column(LargeBinary(3))
    colour: Mapped[Colour | None]
    loud: Mapped[str | None] = mapped_column(Shout(3))
    needed: Mapped[str] = mapped_column(default="x")
    server: Mapped[str] = mapped_column(server_default=sql("'y'"))
    renamed: Mapped[str | None] = mapped_column("other_name")


class Seen(Record[Sample]):
    id: int


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
SEEN = Seen(id=1)


@pytest.mark.parametrize(
    "values",
    [
        {"text": "abcde"},
        {"text": None},
        {"text": "ünïcö"},
        {"number": 2**62},
        {"yes": True},
        {"amount": Decimal("1.005")},
        {"amount": 1},
        {"ratio": 0.5},
        {"ratio": 1},
        {"day": date(2024, 3, 1)},
        {"hour": time(7)},
        {"length": timedelta(1)},
        {"local": datetime(2024, 3, 1)},
        {"aware": NOON},
        {"instant": NOON},
        {"photo": b"abc"},
        {"colour": Colour.RED},
        {"loud": "any text, for its type decides"},
        {"server": "z", "renamed": "w"},
    ],
    ids=str,
)
def test_a_value_that_its_column_takes_stays_as_it_is(values: dict[str, Any]) -> None:
    assert (Update(SEEN, **values).values, Update(SEEN, **values).key_values) == (values, (1,))
    assert Insert(Sample, id=1, **values).values == {"id": 1, "needed": "x", **values}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"text": "abcdef"}, "sample.text takes 5 characters at most, not 6"),
        ({"text": 7}, "sample.text takes str, not int"),
        ({"text": b"a"}, "sample.text takes str, not bytes"),
        ({"text": "a\0"}, "sample.text takes no NUL character"),
        ({"text": "\ud800"}, "sample.text takes no lone surrogates"),
        ({"needed": None}, "sample.needed takes no None"),
        ({"number": True}, "sample.number takes int, not bool"),
        ({"number": 1.0}, "sample.number takes int, not float"),
        ({"number": "1"}, "sample.number takes int, not str"),
        ({"yes": 1}, "sample.yes takes bool, not int"),
        ({"amount": 1.5}, "sample.amount takes Decimal, not float"),
        ({"amount": True}, "sample.amount takes Decimal, not bool"),
        ({"amount": Decimal("NaN")}, "sample.amount takes numbers"),
        ({"ratio": float("nan")}, "sample.ratio takes numbers"),
        ({"ratio": Decimal(1)}, "sample.ratio takes float, not Decimal"),
        ({"day": NOON}, "sample.day takes date, not datetime"),
        ({"day": "2024-03-01"}, "sample.day takes date, not str"),
        ({"local": NOON}, "sample.local takes naive instants only"),
        ({"aware": NOON.replace(tzinfo=None)}, "sample.aware takes aware instants only"),
        ({"instant": NOON.replace(tzinfo=None)}, "sample.instant takes aware instants only"),
        ({"instant": date(2024, 3, 1)}, "sample.instant takes datetime, not date"),
        ({"photo": b"abcd"}, "sample.photo takes 3 bytes at most, not 4"),
        ({"photo": "abc"}, "sample.photo takes bytes, not str"),
    ],
    ids=str,
)
def test_a_value_that_its_column_cannot_hold_is_refused(values: dict[str, Any], told: str) -> None:
    for make in (lambda: Update(SEEN, **values), lambda: Insert(Sample, id=1, **values)):
        with pytest.raises(WrongValue) as refused:
            make()

        assert told in str(refused.value)


def test_a_refused_value_does_not_stand_in_the_message() -> None:
    with pytest.raises(WrongValue) as refused:
        Update(SEEN, text="Ann Lee, 42")

    assert "Ann" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Update(STOCK, pages=1), "pages"),
        (lambda: Update(STOCK), "changes nothing"),
        (lambda: Update(STOCK, id="emma"), "cannot change id"),
        (lambda: Insert(Book, id="emma", copies=1, pages=1), "pages"),  # type: ignore[call-arg]  # the mistake in question
        (lambda: Insert(Book, id="emma"), "needs copies"),  # type: ignore[call-arg]  # the mistake in question
        (lambda: Insert(Book, copies=1), "needs id"),  # type: ignore[call-arg]  # the mistake in question
        (lambda: Insert(Sample, needed="x"), "needs id"),
        (lambda: Insert(Sample, id=1, other_name="x"), "other_name"),
        (lambda: Insert(Loan, book="moby", reader="7")[Book.id], "id"),
    ],
)
def test_a_column_that_is_not_there_or_is_missing_is_refused(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(WrongColumn, match=told):
        make()


def test_a_decision_is_a_value_and_no_expression() -> None:
    for expression in (Book.copies - 1, func.now(), sql("1")):
        with pytest.raises(WrongValue, match="a decision is a value"):
            Update(STOCK, copies=expression)


def test_an_insert_takes_its_values_by_place_too() -> None:
    assert Insert(Book, "emma", 2) == Insert(Book, id="emma", copies=2)


def test_scalar_defaults_are_decided_and_the_databases_are_left_to_it() -> None:
    assert Insert(Book, id="emma", copies=1).values == {"id": "emma", "copies": 1, "price": Decimal(0)}
    assert "server" not in Insert(Sample, id=1).values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Update(STOCK, copies=1), Update(STOCK, copies=2)),
        (Update(STOCK, copies=1), Update(STOCK, copies=1, shelf=None)),
        (Update(STOCK, copies=1), Update(Stock(id="emma", copies=3), copies=1)),
        (Update(STOCK, copies=1), Delete(STOCK)),
        (Delete(STOCK), Delete(Stock(id="emma", copies=3))),
        (Insert(Book, id="emma", copies=1), Insert(Book, id="emma", copies=2)),
        (Insert(Loan, book="a", reader="1"), Insert(Loan, book="b", reader="1")),
        (Insert(Loan, book="a", reader="1"), Insert(Loan, book="a", reader="1").keyed("second")),
    ],
)
def test_operations_on_another_row_or_with_other_values_differ(one: Any, other: Any) -> None:
    assert one != other


def test_operations_are_equal_whatever_else_was_seen_of_the_row() -> None:
    assert Update(Stock(id="moby", copies=99), copies=2) == Update(STOCK, copies=2)
    assert hash(Update(Stock(id="moby", copies=99), copies=2)) == hash(Update(STOCK, copies=2))
    assert Delete(Stock(id="moby", copies=99)) == Delete(STOCK)
    assert Insert(Loan, book="a", reader="1") == Insert(Loan, book="a", reader="1")


def test_an_insert_is_one_step_and_is_not_iterated() -> None:
    with pytest.raises(TypeError, match="yield it as it is"):
        list(Insert(Book, id="emma", copies=1))


def test_a_placeholder_can_be_passed_on_and_nothing_else() -> None:
    loan = Insert(Loan, book="moby", reader="7")
    number = loan[Loan.number]

    assert isinstance(number, Placeholder)
    assert Print(loan=number).loan == loan[Loan.number]
    assert repr(number) == "<loan.number, assigned at commit>"
    for use in (str, "{}".format, lambda n: f"{n:05}", lambda n: f"loan {n}"):
        with pytest.raises(Unassigned, match=r"Assigned\[…\]"):
            use(number)


def test_only_a_field_that_says_so_takes_a_placeholder() -> None:
    class Tell(Effect, kind="tell"):
        number: int

    class Wait(Effect, kind="wait"):
        number: Assigned[int]

    number = Insert(Loan, book="moby", reader="7")[Loan.number]

    with pytest.raises(ValueError, match="valid integer"):
        Tell(number=number)  # type: ignore[arg-type]  # what a type checker would refuse
    assert (Wait(number=number).number, Wait(number=5).number) == (number, 5)


def test_a_placeholder_stands_for_a_key_that_is_still_open() -> None:
    loan = Insert(Loan, book="moby", reader="7")

    child = Insert(Reader, branch="main", card=loan[Loan.number], name="x")

    assert (loan.row_key, loan.key_values, child.row_key) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("moby",), "moby"),
        ((7,), "7"),
        (("main", 7), '["main",7]'),
        ((Decimal("1.50"),), "1.50"),
        ((date(2024, 3, 1),), "2024-03-01"),
        (("7", 7), '["7",7]'),
    ],
    ids=str,
)
def test_a_rows_key_is_its_value_or_a_canonical_list(values: tuple[Any, ...], text: str) -> None:
    assert row_key(values) == text


def test_a_new_id_is_a_key_like_another() -> None:
    event = Lend(book="moby").stamped(at=NOON, actor="ann")

    assert row_key((event.new_id("a"),)) == str(event.new_id("a"))


class Ordered(MappedAsDataclass, DeclarativeBase):
    pass


class Odd(Ordered):
    __tablename__ = "odd"

    part: Mapped[str] = mapped_column(primary_key=True)
    keyed: Mapped[str]
    values: Mapped[int]


def test_columns_may_have_the_names_that_steps_use() -> None:
    class OddRow(Record[Odd]):
        part: str
        values: int

    step = Update(OddRow(part="p", values=1), keyed="k", values=2)

    assert (step.values, step.row_key) == ({"keyed": "k", "values": 2}, "p")
    assert Insert(Odd, part="p", keyed="k", values=2).values == {"part": "p", "keyed": "k", "values": 2}


# As somebody calls them who has no type checker.
insert: Any = Insert
update: Any = Update
delete: Any = Delete


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: update(None, copies=1),
            WrongValue,
            r"Update\(None\): there is no such row; .* X \| None, ask for None",
        ),
        (lambda: delete(None), WrongValue, r"Delete\(None\): there is no such row"),
        (
            lambda: update(Book, copies=1),
            WrongValue,
            "Update takes a record that a snapshot has seen, .*the class Book",
        ),
        (lambda: update(Stock, copies=1), WrongValue, "not the class Stock"),
        (lambda: delete(Book(id="moby", copies=1)), WrongValue, "Delete takes a record .*, not a value of Book"),
        (lambda: insert(Book(id="moby", copies=1)), WrongColumn, "Insert takes a mapped class .*, not a value of Book"),
        (lambda: insert("book", id="moby"), WrongColumn, "not a value of str"),
        (lambda: insert(Sample, 1, "x"), WrongColumn, r"Insert\(Sample, …\): name the columns, as in id=…"),
        (
            lambda: insert(Loan, book="moby", reader="ann")["number"],
            WrongColumn,
            r"as in made\[Invoice\.number\], not a",
        ),
    ],
)
def test_what_is_no_row_or_no_table_is_told_with_the_mend(make: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        make()
