"""Columns of every type that PostgreSQL and SQLAlchemy have, a table for each, with values to the extremes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    CHAR,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Dialect,
    Double,
    Float,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    Uuid,
    text,
)
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from dateline import Instant
from tests.contract.everything import Cents, Csv


class Base(DeclarativeBase):
    """Apart from the shop's tables: these need extensions, and PostgreSQL."""


class Shade(Enum):
    """A word in Python, a letter for others."""

    DARK = "d"
    LIGHT = "l"


class Lower(TypeDecorator[str]):
    """Changes what goes in, and leaves what comes out."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.lower()


class Epoch(TypeDecorator[datetime]):
    """Instants as an application may keep them: as seconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value.timestamp())

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


class Doubled(TypeDecorator[Decimal]):
    """Decorates what is decorated."""

    impl = Cents
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else value * 2

    def process_result_value(self, value: Decimal | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else value / 2


class Shades(TypeDecorator[frozenset[Shade]]):
    """Decorates an array, whose items have a type of their own."""

    impl = ARRAY(SqlEnum(Shade, name="shade"))
    cache_ok = True

    def process_bind_param(self, value: frozenset[Shade] | None, dialect: Dialect) -> list[Shade] | None:
        return None if value is None else list(value)

    def process_result_value(self, value: list[Shade] | None, dialect: Dialect) -> frozenset[Shade] | None:
        return None if value is None else frozenset(value)


class Plain(TypeDecorator[Any]):
    """Decorates, and changes nothing."""

    impl = pg.HSTORE
    cache_ok = True


@dataclass(frozen=True)
class Kind:
    """A column, what a record calls its type, and values for it.

    Args:
        kept: What the column makes of them, where it keeps others than it is sent.
        drawn: More of them, all of which it keeps as they are.
        empty: What NULL reads as.
    """

    column: TypeEngine[Any]
    annotation: Any
    values: tuple[Any, ...]
    kept: tuple[Any, ...] = ()
    drawn: st.SearchStrategy[Any] | None = None
    empty: Any = None

    @property
    def read(self) -> tuple[Any, ...]:
        """What comes back of the values."""
        return self.kept or self.values


def _at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # mypy does not see how many parts there are


def _of(item: TypeEngine[Any], *, dimensions: int | None = None) -> pg.ARRAY[Any]:
    return pg.ARRAY(item, dimensions=dimensions)


def _json(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | _INT | floats | _TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
        max_leaves=8,
    )


_BERLIN, _KATHMANDU = ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=5, minutes=45))
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_INT = st.integers(-(2**31), 2**31 - 1)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
# An interval is read in days of 24 hours; so many of them fit.
_DURATION = st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6))
# Not in an hour that a clock skips or has twice: Python takes no instant there for equal to one of another zone.
_INSTANT = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones() | st.just(UTC)).filter(
    lambda at: at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset()
)
_TREE = {"é": 1, "😀": [1.5, 1e22, None, {"b": 0.1}], "\ufb01": "\u2028", "a": 2**70, "": [[]]}
_SHADE = SqlEnum(Shade, name="shade")
_SHADES = st.sampled_from(Shade)
_POSITIVE = pg.DOMAIN("positive", Integer(), check=text("VALUE > 0"))
_MONEY = st.decimals("-999999.99", "999999.99", places=2, allow_nan=False)

KINDS: dict[str, Kind] = {
    # Numbers.
    "small": Kind(SmallInteger(), int, (-(2**15), 2**15 - 1), drawn=st.integers(-(2**15), 2**15 - 1)),
    "integer": Kind(Integer(), int, (-(2**31), 0), drawn=_INT),
    "big": Kind(BigInteger(), int, (-(2**63), 2**63 - 1), drawn=st.integers(-(2**63), 2**63 - 1)),
    "oid": Kind(pg.OID(), int, (1, 2**32 - 1)),
    "float": Kind(Float(), float, (0.1, 1.7e308, 5e-324, -0.0, 1e22, 123456789012345680.0, 1e-7), drawn=_FLOAT),
    "double": Kind(Double(), float, (2.5e-7, 1.0), drawn=_FLOAT),
    "real": Kind(REAL(), float, (0.1, 3e38, 1e-37, 16777216.0)),
    "float_as_decimal": Kind(Float(asdecimal=True), Decimal, (Decimal("1.5"), Decimal("-0.1"))),
    "money": Kind(
        Numeric(8, 2),
        Decimal,
        (Decimal("1.005"), Decimal(1), Decimal("1E+3"), 7, Decimal("-0.00")),
        kept=(Decimal("1.01"), Decimal("1.00"), Decimal("1000.00"), Decimal("7.00"), Decimal("0.00")),
        drawn=_MONEY,
    ),
    "numeric": Kind(
        Numeric(),
        Decimal,
        (Decimal("1E-7"), Decimal("1E+30"), Decimal("1.000"), Decimal("0E-10")),
        drawn=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12),
    ),
    "tiny": Kind(Numeric(20, 8), Decimal, (Decimal("0.00000001"), Decimal("1.00000000"))),
    "hundreds": Kind(Numeric(6, -2), Decimal, (Decimal(12345),), kept=(Decimal(12300),)),
    "numeric_as_float": Kind(Numeric(10, 2, asdecimal=False), float, (1.25, 1e7, -0.5)),
    "boolean": Kind(Boolean(), bool, (True, False)),
    # Texts.
    "char": Kind(CHAR(5), str, ("ab", "abcde", "", " a"), kept=("ab   ", "abcde", "     ", " a   ")),
    "string": Kind(String(5), str, ("ab ", "é😀", "")),
    "text": Kind(Text(), str, ("\u2028\\\"'$1 :x %s", "\x01\x1f\x7f", "\r\n\t"), drawn=_TEXT),
    "unicode": Kind(Unicode(), str, ("é",)),
    "citext": Kind(pg.CITEXT(), str, ("Ab", "aB")),
    "enum": Kind(_SHADE, Shade, (Shade.DARK, Shade.LIGHT), drawn=_SHADES),
    "enum_of_postgresql": Kind(pg.ENUM(Shade, name="shade"), Shade, (Shade.DARK, Shade.LIGHT)),
    "enum_as_text": Kind(SqlEnum(Shade, native_enum=False), Shade, (Shade.DARK, Shade.LIGHT), drawn=_SHADES),
    "enum_of_words": Kind(SqlEnum("a b", "c'd", name="odd words"), str, ("a b", "c'd")),
    # Instants and durations.
    "date": Kind(Date(), date, (date.min, date.max), drawn=st.dates()),
    "naive": Kind(
        DateTime(),
        datetime,
        (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(2024, 1, 1, microsecond=100)),
        drawn=st.datetimes(),
    ),
    "aware": Kind(
        DateTime(timezone=True),
        datetime,
        (
            _at(1, 1, 1),
            _at(9999, 12, 31, 23, 59, 59, 999999),
            datetime(2024, 3, 31, 2, 30, tzinfo=_BERLIN),
            datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
            datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-15, minutes=-59))),
        ),
        kept=(
            _at(1, 1, 1),
            _at(9999, 12, 31, 23, 59, 59, 999999),
            _at(2024, 3, 31, 1, 30),
            datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")).astimezone(UTC),
            _at(2024, 1, 1, 15, 59),
        ),
        drawn=_INSTANT.map(lambda found: found.astimezone(UTC)),
    ),
    "seconds": Kind(
        pg.TIMESTAMP(timezone=True, precision=0),
        datetime,
        (_at(2024, 1, 1, 0, 0, 0, 600000),),
        kept=(_at(2024, 1, 1, 0, 0, 1),),
    ),
    "instant": Kind(
        Instant(), datetime, (_at(1, 1, 1), datetime(2024, 1, 1, tzinfo=_KATHMANDU).astimezone(UTC)), drawn=_INSTANT
    ),
    "time": Kind(Time(), time, (time.min, time.max, time(1, 2, 3, 100000)), drawn=st.times()),
    "time_of_seconds": Kind(pg.TIME(precision=0), time, (time(1, 2, 3, 600000),), kept=(time(1, 2, 4),)),
    "time_with_zone": Kind(
        Time(timezone=True),
        time,
        (
            time(1, 2, tzinfo=UTC),
            time(1, 2, 3, 500000, tzinfo=UTC),
            time(23, 59, 59, 999990, tzinfo=_KATHMANDU),
            time(1, tzinfo=timezone(timedelta(hours=-5))),
        ),
    ),
    "interval": Kind(
        Interval(),
        timedelta,
        (
            timedelta(0),
            timedelta(days=-1, hours=2),
            timedelta(microseconds=-1),
            timedelta(days=10**6),
            timedelta(days=-400, microseconds=1),
            timedelta(hours=-25),
        ),
        drawn=_DURATION,
    ),
    "interval_of_postgresql": Kind(pg.INTERVAL(), timedelta, (timedelta(hours=-25),)),
    "interval_of_seconds": Kind(
        pg.INTERVAL(precision=0), timedelta, (timedelta(seconds=1.7),), kept=(timedelta(seconds=2),)
    ),
    "interval_as_timestamp": Kind(Interval(native=False), timedelta, (timedelta(seconds=1.7), timedelta(days=-3))),
    # Ids, bytes, networks.
    "uuid": Kind(Uuid(), UUID, (UUID(int=0), UUID(int=2**128 - 1)), drawn=st.uuids()),
    "uuid_as_text": Kind(
        Uuid(as_uuid=False), str, ("AAAAAAAA-0000-0000-0000-000000000000",), kept=("aaaaaaaa" + str(UUID(int=0))[8:],)
    ),
    "uuid_in_characters": Kind(Uuid(native_uuid=False), UUID, (UUID(int=5),), drawn=st.uuids()),
    "bytes": Kind(LargeBinary(), bytes, (b"", bytes(range(256))), drawn=st.binary(max_size=300)),
    "inet": Kind(
        pg.INET(),
        str,
        ("10.0.0.1", "10.0.0.1/8", "::1", "10.0.0.1/32"),
        kept=("10.0.0.1", "10.0.0.1/8", "::1", "10.0.0.1"),
    ),
    "address": Kind(
        pg.INET(),
        IPv4Address | IPv6Address | IPv4Interface,
        (IPv4Address("10.0.0.1"), IPv6Address("::1"), IPv4Interface("10.0.0.1/8")),
    ),
    "network": Kind(pg.CIDR(), IPv4Network, (IPv4Network("10.0.0.0/8"),)),
    "mac": Kind(pg.MACADDR(), str, ("08:00:2B:01:02:03",), kept=("08:00:2b:01:02:03",)),
    "mac8": Kind(pg.MACADDR8(), str, ("08:00:2b:01:02:03:04:05",)),
    "bits": Kind(pg.BIT(4), str, ("0101", "01"), kept=("0101", "0100")),
    "varying_bits": Kind(pg.BIT(8, varying=True), str, ("0101", "")),
    "currency": Kind(pg.MONEY(), str, ("$1,234.50",)),
    # Documents.
    "json": Kind(JSON(), Any, (_TREE, [], "x", 1.5, True, 1e300, 0.1), drawn=_json(_FLOAT)),
    "json_or_null": Kind(JSON(none_as_null=True), Any, ({"a": None}, [None])),
    "json_null": Kind(JSON(), Any, ({"a": 1}, JSON.NULL), kept=({"a": 1}, None)),
    # It keeps numbers as decimals, and writes those beyond without a point.
    "jsonb": Kind(pg.JSONB(), Any, (_TREE, [], "x", 0.1, True, 5e-324), drawn=_json(st.floats(-1e15, 1e15))),
    "jsonb_here": Kind(JSON().with_variant(pg.JSONB(), "postgresql"), Any, ({"b": 1, "a": 2},)),
    "hstore": Kind(pg.HSTORE(), dict[str, str | None], ({"a": "b", 'é"': None}, {})),
    # Ranges and search, which a record sees as text.
    "range": Kind(
        pg.INT4RANGE(),
        str,
        (Range(1, 5, bounds="[]"), Range(None, None), Range(empty=True)),
        kept=("[1,6)", "(,)", "empty"),
    ),
    "range_of_numbers": Kind(pg.NUMRANGE(), str, (Range(Decimal("1.50"), None),), kept=("[1.50,)",)),
    "range_of_days": Kind(
        pg.DATERANGE(), str, (Range(date(2024, 1, 1), date(2024, 2, 1)),), kept=("[2024-01-01,2024-02-01)",)
    ),
    "range_of_time": Kind(pg.TSRANGE(), str, (Range(datetime(2024, 1, 1), None),), kept=('["2024-01-01 00:00:00",)',)),
    "range_of_instants": Kind(
        pg.TSTZRANGE(), str, (Range(_at(2024, 1, 1), None),), kept=('["2024-01-01 00:00:00+00",)',)
    ),
    "ranges": Kind(pg.INT4MULTIRANGE(), str, ([Range(1, 5), Range(7, 9)], []), kept=("{[1,5),[7,9)}", "{}")),
    "search": Kind(pg.TSVECTOR(), str, ("'a':1 'b':2", "b a"), kept=("'a':1 'b':2", "'a' 'b'")),
    "search_for": Kind(pg.TSQUERY(), str, ("'a' & 'b'",)),
    # Domains.
    "domain": Kind(_POSITIVE, int, (1, 5)),
    "domain_of_numbers": Kind(pg.DOMAIN("amount", Numeric(10, 2)), Decimal, (Decimal("1.005"),), (Decimal("1.01"),)),
    "domain_of_instants": Kind(pg.DOMAIN("moment", DateTime(timezone=True)), datetime, (_at(2024, 1, 1),)),
    "domain_of_bytes": Kind(pg.DOMAIN("blob", LargeBinary()), bytes, (b"\x00\xff",)),
    "domain_of_text": Kind(pg.DOMAIN("words", Text()), str, ("x",)),
    # Types of the application's own.
    "cents": Kind(Cents(), Decimal, (Decimal("12.5"), Decimal("-0.01")), drawn=_MONEY.map(Decimal.normalize)),
    "csv": Kind(Csv(), tuple[str, ...], (("a", "b"), ("c",)), empty=()),
    "lower": Kind(Lower(), str, ("ABC", "é"), kept=("abc", "é")),
    "epoch": Kind(Epoch(), datetime, (_at(2024, 1, 1),)),
    "doubled": Kind(Doubled(), Decimal, (Decimal("12.5"), Decimal("-0.01"))),
    "shades": Kind(Shades(), frozenset[Shade], (frozenset({Shade.DARK}), frozenset(Shade))),
    "undecorated": Kind(Plain(), dict[str, str | None], ({"a": "b"},)),
    "pickle": Kind(PickleType(), Any, ({"a": (1, 2)},)),
    # Arrays.
    "integers": Kind(_of(Integer()), list[int | None], ([1, None, 2], []), drawn=st.lists(st.none() | _INT)),
    "tuple_of_integers": Kind(pg.ARRAY(Integer, as_tuple=True), tuple[int, ...], ((1, 2), ())),
    "matrix": Kind(_of(Integer(), dimensions=2), list[list[int]], ([[1, 2], [3, 4]], [])),
    "texts": Kind(_of(Text()), list[str | None], (['a"', "NULL", None, "{,}"],), drawn=st.lists(st.none() | _TEXT)),
    "chars": Kind(_of(CHAR(3)), list[str], (["a"],), kept=(["a  "],)),
    "amounts": Kind(
        _of(Numeric(10, 2)), list[Decimal | None], ([Decimal("1.005"), None],), kept=([Decimal("1.01"), None],)
    ),
    "table_of_amounts": Kind(_of(Numeric(10, 2), dimensions=2), list[list[Decimal]], ([[Decimal("1.50")]],)),
    "numerics": Kind(_of(Numeric()), list[Decimal], ([Decimal("1E-7"), Decimal("1E+20")],)),
    "floats": Kind(_of(Float()), list[float | None], ([0.1, 1e22, None],), drawn=st.lists(st.none() | _FLOAT)),
    "numerics_as_floats": Kind(_of(Numeric(asdecimal=False)), list[float], ([0.5],)),
    "booleans": Kind(_of(Boolean()), list[bool], ([True, False],)),
    "dates": Kind(_of(Date()), list[date | None], ([date.min, None],), drawn=st.lists(st.none() | st.dates())),
    "naives": Kind(_of(DateTime()), list[datetime | None], ([datetime(2024, 1, 1), None],)),
    "awares": Kind(_of(DateTime(timezone=True)), tuple[datetime | None, ...], ((_at(2024, 1, 1), None),)),
    "instants": Kind(_of(Instant()), tuple[datetime | None, ...], ((_at(2024, 1, 1), None),)),
    "times": Kind(_of(Time()), list[time], ([time(1, 2, 3, 100000)],)),
    "times_with_zone": Kind(_of(Time(timezone=True)), tuple[time | None, ...], ((time(1, 2, 3, 100, UTC), None),)),
    "intervals": Kind(
        _of(Interval()),
        tuple[timedelta | None, ...],
        ((timedelta(days=-1, hours=2), None), ()),
        drawn=st.lists(st.none() | _DURATION).map(tuple),
    ),
    "table_of_intervals": Kind(_of(Interval()), tuple[tuple[timedelta, ...], ...], (((timedelta(hours=-2),),),)),
    "enums": Kind(_of(_SHADE), list[Shade | None], ([Shade.DARK, None],), drawn=st.lists(st.none() | _SHADES)),
    "table_of_enums": Kind(_of(_SHADE, dimensions=2), list[list[Shade]], ([[Shade.DARK]],)),
    "blobs": Kind(
        _of(LargeBinary()),
        list[bytes | None],
        ([b"\x00\xff", b"", None],),
        drawn=st.lists(st.none() | st.binary(max_size=9)),
    ),
    "pickles": Kind(_of(PickleType(), dimensions=1), list[Any], ([{"a": (1, 2)}, "x"],)),
    "uuids": Kind(_of(Uuid()), list[UUID | None], ([UUID(int=1), None],), drawn=st.lists(st.none() | st.uuids())),
    "documents": Kind(_of(pg.JSONB()), list[Any], ([{"a": 1.5}, "x"],)),
    "documents_as_text": Kind(_of(JSON()), list[Any], ([{"a": 1.5}, "x"],)),
    "addresses": Kind(_of(pg.INET()), tuple[IPv4Address, ...], ((IPv4Address("10.0.0.1"),),)),
    "all_cents": Kind(_of(Cents()), list[Decimal | None], ([Decimal("1.5"), None],)),
    "all_csv": Kind(_of(Csv(), dimensions=1), list[tuple[str, ...]], ([("a", "b")],)),
    "array_of_ranges": Kind(_of(pg.INT4RANGE()), list[str], ([Range(1, 5)],), kept=(["[1,5)"],)),
    "array_of_a_domain": Kind(_of(_POSITIVE), list[int], ([1],)),
    "array_of_hstore": Kind(_of(pg.HSTORE()), list[dict[str, str | None]], ([{"a": "b"}],)),
}


BEYOND: dict[str, tuple[TypeEngine[Any], Any, tuple[str, ...]]] = {
    "float": (Float(), float, ("NaN", "Infinity", "-Infinity")),
    "numeric": (Numeric(), Decimal, ("NaN", "Infinity")),
    "date": (Date(), date, ("infinity", "-infinity", "0044-03-15 BC", "20000-01-01")),
    "naive": (DateTime(), datetime, ("infinity", "-infinity", "0044-03-15 00:00:00 BC", "20000-01-01T00:00:00")),
    "aware": (
        DateTime(timezone=True),
        datetime,
        ("infinity", "-infinity", "0044-03-15 00:00:00+00 BC", "20000-01-01T00:00:00Z"),
    ),
    "time": (Time(), time, ("24:00:00",)),
    "time_with_zone": (Time(timezone=True), time, ("24:00:00+00",)),
    "interval": (Interval(), timedelta, ("infinity", "P178000000Y")),
    "enum_as_text": (SqlEnum(Shade, native_enum=False, create_constraint=False), Shade, ("GREY",)),
}
"""What only others can have put there: values that the column holds and Python's type does not, as an image writes them."""


@dataclass(frozen=True)
class Odd:
    """A table that is unusual in another way than by one column's type.

    Args:
        columns: Its columns, of which the key's types are `key`.
        update: None where there is nothing to update.
    """

    columns: tuple[Column[Any], ...]
    key: dict[str, Any]
    insert: dict[str, Any]
    update: dict[str, Any] | None = field(default_factory=lambda: {"a": 2})
    schema: str | None = None


def _keyed(kind: TypeEngine[Any], annotation: Any, value: Any) -> Odd:
    return Odd((Column("id", kind, primary_key=True), Column("a", Integer)), {"id": annotation}, {"id": value, "a": 1})


def _beside(*columns: Column[Any], schema: str | None = None, **values: Any) -> Odd:
    key = Column("id", String, primary_key=True)
    return Odd((key, Column("a", Integer), *columns), {"id": str}, {"id": "x", "a": 1, **values}, schema=schema)


_NAMES = ("cost$1", "a b", 'q"q', "UPPER", "select", "a:b", "p%s", "é", "it's", "r", "q0", "img", "o0", "x")

ODD: dict[str, Odd] = {
    "computed": _beside(Column("b", Integer, Computed("a * 2", persisted=True))),
    "computed_when_read": _beside(Column("b", Integer, Computed("a * 2", persisted=False))),
    "defaults": _beside(Column("b", Numeric(8, 2), server_default=text("1.5")), Column("c", JSON, server_default="{}")),
    "defaults_of_python": _beside(
        Column("b", Integer, default=3),
        Column("c", DateTime, default=lambda: datetime(2024, 1, 1), onupdate=lambda: datetime(2025, 1, 1)),
    ),
    "numbered": _beside(Column("n", Integer, Identity(always=True))),
    "numbered_by_hand": _beside(Column("n", Integer, Identity()), n=50),
    "numbered_key": Odd(
        (Column("id", Integer, Identity(always=True), primary_key=True), Column("a", Integer)),
        {"id": int},
        {"id": 7, "a": 1},
    ),
    "names": Odd(
        (Column("id", String, primary_key=True), *(Column(name, Integer) for name in _NAMES)),
        {"id": str},
        {"id": "x", **dict.fromkeys(_NAMES, 1)},
        dict.fromkeys(_NAMES, 2),
    ),
    "schema": _beside(schema="my schema"),
    "only_a_key": Odd((Column("id", String, primary_key=True),), {"id": str}, {"id": "x"}, None),
    "two_keys": Odd(
        (Column("x", Integer, primary_key=True), Column("id", CHAR(4), primary_key=True), Column("a", Integer)),
        {"x": int, "id": str},
        {"x": 1, "id": "b", "a": 1},
    ),
    "by_rounded_number": _keyed(Numeric(6, 2), Decimal, Decimal("1.005")),
    "by_rounded_instant": _keyed(pg.TIMESTAMP(precision=0), datetime, datetime(2024, 1, 1, microsecond=600000)),
    "by_float": _keyed(Float(), float, 0.1),
    "by_padded_text": _keyed(CHAR(5), str, "ab"),
    "by_text_of_any_case": _keyed(pg.CITEXT(), str, "Ab"),
    "by_uuid": _keyed(Uuid(), UUID, UUID(int=5)),
    "by_date": _keyed(Date(), date, date(2024, 1, 1)),
    "by_time": _keyed(Time(), time, time(1, 2)),
    "by_instant": _keyed(DateTime(timezone=True), datetime, datetime(2024, 3, 31, 2, 30, tzinfo=_BERLIN)),
    "by_interval": _keyed(Interval(), timedelta, timedelta(hours=-25)),
    "by_enum": _keyed(_SHADE, Shade, Shade.DARK),
    "by_boolean": _keyed(Boolean(), bool, True),
    "by_bytes": _keyed(LargeBinary(), bytes, b"\x00\xff"),
    "by_lower_text": _keyed(Lower(), str, "ABC"),
    "by_cents": _keyed(Cents(), Decimal, Decimal("1.5")),
    "by_address": _keyed(pg.INET(), str, "10.0.0.1"),
    "by_range": _keyed(pg.INT4RANGE(), str, Range(1, 5, bounds="[]")),
    # Lists and dicts have no hash.
    "by_array": _keyed(_of(Integer()), list[int], [1, 2]),
    "by_document": _keyed(pg.JSONB(), dict[str, int], {"a": 1}),
}


REFUSED: dict[str, tuple[TypeEngine[Any], Any]] = {
    "not a number": (Numeric(), Decimal("NaN")),
    "an infinite number": (Numeric(), Decimal("Infinity")),
    "an infinite float": (Float(), float("inf")),
    "a number of too many digits": (Numeric(4, 2), Decimal(100)),
    "an integer that is too large": (SmallInteger(), 2**15),
    "one that no column holds": (BigInteger(), 2**63),
    "a float that is too large": (REAL(), 1e300),
    "a search that is none": (pg.TSQUERY(), "a & | b"),
    "a word that is none of the enum's": (SqlEnum("a", "b", name="two"), "c"),
    "an address that is none": (pg.INET(), "10.0.0.256"),
    "what a domain's check refuses": (_POSITIVE, -1),
    "a range that ends before it begins": (pg.INT4RANGE(), Range(5, 1)),
    "rows of unequal length": (_of(Integer(), dimensions=2), [[1, 2], [3]]),
    "a document with a NUL character": (pg.JSONB(), {"a": "\0"}),
    "a text with a NUL character": (Text(), "a\0"),
    "half a character": (JSON(), {"a": "\ud800"}),
    "an object of a class": (pg.INET(), object()),
    "what a decorator does not know": (Epoch(), "tomorrow"),
}


def _mapped(name: str, *columns: Column[Any], schema: str | None = None) -> Any:
    return type(name, (Base,), {"__table__": Table(name, Base.metadata, *columns, schema=schema)})


def _with(name: str, kind: TypeEngine[Any]) -> Any:
    return _mapped(
        name, Column("id", String, primary_key=True), Column("value", kind, key="value"), Column("note", String)
    )


TABLES: dict[str, Any] = {
    "all": _mapped(
        "of_all",
        Column("id", String, primary_key=True),
        *(Column(f"of_{name}", kind.column) for name, kind in KINDS.items()),
    ),
    **{name: _with(f"of_{name}", kind.column) for name, kind in KINDS.items()},
    **{f"beyond {name}": _with(f"beyond_{name}", kind) for name, (kind, _, _) in BEYOND.items()},
    **{f"odd {name}": _mapped(f"odd_{name}", *odd.columns, schema=odd.schema) for name, odd in ODD.items()},
    **{f"refused {name}": _with(f"refused {name}", kind) for name, (kind, _) in REFUSED.items()},
}
"""A mapped class for each."""
