"""One table with a column of every type, and what a record says of each, alike on every database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    Uuid,
)
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from dateline import Instant
from tests.contract.shop import Base


class Colour(Enum):
    """A word in Python, a letter for others."""

    RED = "r"
    BLUE = "b"


class Cents(TypeDecorator[Decimal]):
    """Money that an application stores its own way: in cents."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value) / 100


class Csv(TypeDecorator[tuple[str, ...]]):
    """Words that an application stores as one text; nothing is no words."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if not value else ",".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        return tuple(value.split(",")) if value else ()


@dataclass(frozen=True)
class Kind:
    """A column, what a record calls its type, two values, and how the trail writes the first.

    Args:
        empty: What NULL reads as.
    """

    column: TypeEngine[Any]
    annotation: Any
    one: Any
    other: Any
    written: Any
    only: str | None = None
    empty: Any = None


KINDS = {
    "small": Kind(SmallInteger(), int, -5, 32_767, -5),
    "integer": Kind(Integer(), int, 2**31 - 1, 0, 2**31 - 1),
    "big": Kind(BigInteger(), int, 2**62, -1, 2**62),
    "string": Kind(String(40), str, 'é"\\ 😀\u2028', "", 'é"\\ 😀\u2028'),
    "text": Kind(Text(), str, "a\nb\t\x7f", " ", "a\nb\t\x7f"),
    "boolean": Kind(Boolean(), bool, True, False, True),
    "numeric": Kind(Numeric(10, 2), Decimal, Decimal("12.30"), Decimal("-0.05"), "12.30"),
    "whole": Kind(Numeric(12, 0), Decimal, Decimal(123456789012), Decimal(0), "123456789012"),
    "loose": Kind(Numeric(10, 2, asdecimal=False), float, 12.25, -1.5, 12.25),
    "float": Kind(Float(), float, 0.1, 1e21, 0.1),
    "double": Kind(Double(), float, 1.0, -2.5e-7, 1.0),
    "date": Kind(Date(), date, date(2024, 2, 29), date(1, 1, 1), "2024-02-29"),
    "time": Kind(Time(), time, time(7, 5, 0, 120_000), time(0), "07:05:00.12"),
    "naive": Kind(
        DateTime(), datetime, datetime(2024, 2, 29, 7, 5, 0, 1), datetime(1999, 1, 1), "2024-02-29T07:05:00.000001"
    ),
    "instant": Kind(
        Instant(),
        datetime,
        datetime(2024, 2, 29, 7, 5, 9, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        "2024-02-29T07:05:09Z",
    ),
    "uuid": Kind(Uuid(), UUID, UUID(int=1), UUID(int=2**127), "00000000-0000-0000-0000-000000000001"),
    "uuid_text": Kind(Uuid(as_uuid=False), str, str(UUID(int=1)), str(UUID(int=2)), str(UUID(int=1))),
    "bytes": Kind(LargeBinary(), bytes, b"\xff\xfe?\x00", bytes(range(256)), "//4/AA=="),
    "document": Kind(JSON(), dict[str, Any], {"b": [1, 2.5, None], "a": "é"}, {}, {"b": [1, 2.5, None], "a": "é"}),
    "enum": Kind(SqlEnum(Colour), Colour, Colour.RED, Colour.BLUE, "RED"),
    "enum_by_value": Kind(
        SqlEnum(Colour, name="by_value", values_callable=lambda kind: [one.value for one in kind]),
        Colour,
        Colour.RED,
        Colour.BLUE,
        "r",
    ),
    "enum_text": Kind(SqlEnum("one", "two", name="words", native_enum=False), str, "one", "two", "one"),
    "interval": Kind(
        Interval(),
        timedelta,
        timedelta(days=1, hours=2, microseconds=5),
        timedelta(hours=-3, seconds=7),
        "P1DT2H0.000005S",
    ),
    "cents": Kind(Cents(), Decimal, Decimal("12.5"), Decimal("-0.01"), 1250),
    "csv": Kind(Csv(), tuple[str, ...], ("a", "b"), ("c",), "a,b", empty=()),
    "numbers": Kind(ARRAY(Integer), list[int], [1, 2], [], [1, 2], only="postgresql"),
    "words": Kind(ARRAY(String), list[str], ['a"', "b,c"], ["NULL"], ['a"', "b,c"], only="postgresql"),
    "amounts": Kind(
        ARRAY(Numeric(10, 2)), list[Decimal], [Decimal("1.50")], [Decimal("0.00")], ["1.50"], only="postgresql"
    ),
    "days": Kind(ARRAY(Date), list[date], [date(2024, 2, 29)], [], ["2024-02-29"], only="postgresql"),
    "ids": Kind(ARRAY(Uuid), list[UUID], [UUID(int=1)], [UUID(int=2)], [str(UUID(int=1))], only="postgresql"),
    "jsonb": Kind(JSONB(), dict[str, Any], {"b": [1], "a": "é"}, {"c": None}, {"b": [1], "a": "é"}, only="postgresql"),
    "zoned": Kind(
        DateTime(timezone=True),
        datetime,
        datetime(2024, 2, 29, 7, 5, 9, 10, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        "2024-02-29T07:05:09.00001Z",
        only="postgresql",
    ),
}


def _column(name: str, kind: Kind) -> Column[Any]:
    stored = kind.column if kind.only is None else kind.column.with_variant(JSON(), "sqlite")
    # Under another name in the database than in Python.
    return Column(f"{name}_column", stored, key=name)


class Plain(DeclarativeBase):
    metadata = Base.metadata


class Everything(Plain):
    """A row may have any of them; the columns have other names in the database than in Python."""

    __table__ = Table(
        "everything",
        Plain.metadata,
        Column("id", String, primary_key=True),
        *(_column(name, kind) for name, kind in KINDS.items()),
    )
