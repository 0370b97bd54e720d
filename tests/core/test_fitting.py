"""A record's field that none of its column's values fits is found when its class is made; nothing that could fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import product
from typing import Annotated, Any, Literal, NewType, cast
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError, field_validator
from sqlalchemy import DateTime, Dialect, Float, Integer, Interval, LargeBinary, Numeric, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dateline import Malformed, Personal, Record
from dateline.core.canon import canonical
from dateline.core.model import Model
from dateline.core.snapshot import _NEVER
from dateline.errors import WrongColumn


class Base(DeclarativeBase):
    pass


class Steps(TypeDecorator[list[int]]):
    """Says nothing of what it takes."""

    impl = Integer
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> list[int]:
        return [value]


class Thing(Base):
    __tablename__ = "thing"

    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]
    maybe: Mapped[int | None]
    name: Mapped[Personal[str]]
    on: Mapped[bool]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    share: Mapped[float] = mapped_column(Float())
    day: Mapped[date]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    hour: Mapped[time]
    took: Mapped[timedelta] = mapped_column(Interval())
    raw: Mapped[bytes] = mapped_column(LargeBinary())
    code: Mapped[str] = mapped_column(String(5))
    key: Mapped[UUID]
    steps: Mapped[list[int]] = mapped_column(Steps())


def recorded(column: str, annotation: Any, **namespace: Any) -> Any:
    """Return a record's class with this field."""
    return cast(Any, type(Record))(
        "Seen",
        (Record[Thing],),
        {"__module__": __name__, "__annotations__": {"id": str, column: annotation}, **namespace},
    )


Cents = NewType("Cents", str)


@pytest.mark.parametrize(
    ("column", "annotation", "told"),
    [
        ("cents", str, "Seen.cents is str, and the column thing.cents holds int; write cents: int"),
        ("maybe", str | None, r"Seen.maybe is str, and the column thing.maybe holds int; write maybe: int \| None"),
        ("cents", bool, "Seen.cents is bool, and the column thing.cents holds int"),
        ("cents", str | bytes, r"Seen.cents is bytes \| str, and"),
        ("cents", Cents, "Seen.cents is str, and"),
        ("cents", Annotated[str, Field(min_length=1)], "Seen.cents is str, and"),
        ("cents", Personal[str], "Seen.cents is str, and"),
        ("cents", Personal[str] | None, "Seen.cents is str, and"),
        ("name", int, "Seen.name is int, and the column thing.name holds str; write name: str"),
        ("name", PositiveInt, "Seen.name is int, and"),
        ("on", int, "Seen.on is int, and the column thing.on holds bool"),
        ("price", int, "Seen.price is int, and the column thing.price holds Decimal"),
        ("share", str, "Seen.share is str, and the column thing.share holds float"),
        ("day", datetime, "Seen.day is datetime, and the column thing.day holds date"),
        ("at", date, "Seen.at is date, and the column thing.at holds datetime"),
        ("hour", datetime, "Seen.hour is datetime, and the column thing.hour holds time"),
        ("took", int, "Seen.took is int, and the column thing.took holds timedelta"),
        ("raw", int, "Seen.raw is int, and the column thing.raw holds bytes"),
    ],
)
def test_a_field_that_no_value_of_its_column_fits_is_refused_with_file_and_mend(
    column: str, annotation: Any, told: str
) -> None:
    with pytest.raises(WrongColumn, match=told) as refused:
        recorded(column, annotation)

    assert "test_fitting.py" in str(refused.value)


class Level(Enum):
    ONE = 1


class Number(IntEnum):
    ONE = 1


class Loose(BaseModel):
    amount: int = 0


@pytest.mark.parametrize(
    ("column", "annotation"),
    [
        *(("cents", found) for found in (int, float, Decimal, int | None, int | str, Any, object, Literal[1, 2])),
        *(("cents", found) for found in (Level, Number, Loose, NewType("C", int), PositiveInt, Literal["1"])),
        *(("cents", found) for found in (Annotated[str, BeforeValidator(str)], Annotated[str, Field(strict=False)])),
        *(("cents", found) for found in (Personal[int], Annotated[int, "cents"], list[str], dict[str, str])),
        *(("maybe", found) for found in (int, int | None, None)),
        *(("name", found) for found in (str, Personal[str], Literal["a"], date, UUID, datetime, bytes, Decimal, Level)),
        *(("price", found) for found in (Decimal, float, Decimal | None)),
        *(("key", found) for found in (UUID, str, int)),
        *(("steps", found) for found in (list[int], int, str, tuple[int, ...])),
        *(("share", float), ("day", date), ("at", datetime), ("hour", time), ("took", timedelta), ("raw", bytes)),
    ],
    ids=str,
)
def test_a_field_that_a_value_of_its_column_may_fit_is_left_alone(column: str, annotation: Any) -> None:
    assert recorded(column, annotation).model_fields[column]


def test_where_the_application_reads_for_itself_it_is_trusted() -> None:
    @field_validator("cents", mode="before")
    def as_text(cls: Any, found: Any) -> str:
        return str(found)

    assert recorded("cents", str, as_text=as_text)(id="a", cents=5).cents == "5"
    assert recorded("cents", str, model_config=ConfigDict(strict=False, coerce_numbers_to_str=True))


# The rule itself ------------------------------------------------------------------------------------------------------

VALUES: dict[type, list[Any]] = {
    str: ["", "5", "1.5", "true", "2024-01-01", "2024-01-01T00:00:00Z", "07:05:00", "P1D", str(UUID(int=1)), "YQ=="],
    int: [0, 1, -1, 20240101, 1_700_000_000],
    float: [0.0, 1.0, 1.5, -2.0, 1.7e9],
    bool: [True, False],
    bytes: [b"", b"a", b"5", b"1.5", b"true", b"2024-01-01", b"07:05:00", b"P1D", str(UUID(int=1)).encode()],
    Decimal: [Decimal(0), Decimal("1.50"), Decimal(5), Decimal(20240101)],
    datetime: [datetime(2024, 1, 1), datetime(2024, 1, 1, 7, 5, tzinfo=UTC)],
    date: [date(2024, 1, 1)],
    time: [time(7, 5), time(0)],
    timedelta: [timedelta(days=1), timedelta(0)],
}


@pytest.mark.parametrize(("takes", "held"), [*product(VALUES, [*VALUES, UUID])], ids=lambda found: found.__name__)
def test_what_is_refused_is_what_no_database_could_read(takes: type, held: Any) -> None:
    Held = cast(Any, type(Model))("Held", (Model,), {"__module__": __name__, "__annotations__": {"value": held}})  # noqa: N806 - a class

    def made(value: Any) -> Any:
        return Held(value=value)

    def read(value: Any) -> Any:
        return Held.from_json(canonical({"value": value}))

    fits = any(_succeeds(way, value) for value in VALUES[takes] for way in (made, read))

    assert fits == (held not in _NEVER[takes])


def _succeeds(way: Callable[[Any], Any], value: Any) -> bool:
    try:
        way(value)
    except (ValidationError, Malformed):
        return False
    return True
