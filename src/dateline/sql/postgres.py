"""PostgreSQL: the server writes every row as JSON text, once to be read, and again, inside the write, to be compared byte for byte."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from sqlalchemy import ColumnElement, Select, Text, TypeDecorator, and_, bindparam, cast, func, literal_column, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert, psycopg
from sqlalchemy.types import TypeEngine

from dateline.core.cascade import Cascade
from dateline.core.event import Event
from dateline.core.model import faults
from dateline.core.outcome import Values
from dateline.core.request import Claim
from dateline.core.snapshot import Field
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect, Reading, default_of, question, select_of
from dateline.sql.interval import interval
from dateline.sql.statement import Result, Statement
from dateline.sql.types import Instant

__all__ = ["SESSION", "Postgres", "PostgresReading", "row_image"]

SESSION = (
    "SET default_transaction_isolation = 'serializable'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
    "SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'"
)
"""What every session is pinned to: the server's text of a row depends on these, and the guard compares texts."""

QUEUE = 0x646174656C696E65
"""The advisory lock under which writers that lost too often take turns: "dateline" in ASCII."""


def image(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column so that its JSON is the canonical one: decimals and instants as strings, bytes as base64."""
    kind = _stored(column.type)
    if isinstance(kind, sqltypes.ARRAY) and isinstance(_stored(kind.item_type), sqltypes.Numeric):
        return cast(column, postgresql.ARRAY(Text()))
    if isinstance(kind, sqltypes.DateTime):
        if kind.timezone:
            return func.replace(cast(func.timezone("UTC", column), Text), " ", "T").concat("Z")
        return func.replace(cast(column, Text), " ", "T")
    if isinstance(kind, sqltypes.Numeric) and kind.asdecimal and not isinstance(kind, sqltypes.Float):
        return cast(column, Text)
    if isinstance(kind, sqltypes.LargeBinary):
        return func.translate(func.encode(column, "base64"), literal_column(r"E'\n'"), "")
    return column


def _stored(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that the database sees behind a decorated one."""
    if isinstance(kind, sqltypes.Interval):
        # SQLAlchemy makes it of a DateTime for databases that have no intervals; this one has.
        return postgresql.INTERVAL()
    return _stored(kind.load_dialect_impl(_SQL)) if isinstance(kind, TypeDecorator) else kind


_SQL = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy


class Postgres(Dialect):
    """PostgreSQL 15 and later, by psycopg's raw cursors, whose parameters are numbered: `$1`."""

    name = "postgresql"
    begin = "BEGIN ISOLATION LEVEL SERIALIZABLE"
    begin_unguarded = "BEGIN ISOLATION LEVEL READ COMMITTED"
    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    sequenced = True
    near = False
    overriding = " OVERRIDING SYSTEM VALUE"

    def __init__(self) -> None:
        super().__init__()
        self.sql = _SQL

    def reading(self, cascade: Cascade, *, keyed: bool, look: bool) -> Reading:
        return PostgresReading(self, cascade, keyed=keyed, look=look)

    def image_columns(self, table: SqlTable) -> list[ColumnElement[Any]]:
        return [row_image(table)]

    def image_text(self, table: SqlTable, result: Result) -> str | None:
        return result.rows[0][0] if result.rows else None

    def now(self) -> ColumnElement[Any]:
        return func.clock_timestamp()

    def number(self) -> ColumnElement[Any]:
        # Not by a look at the table: reading the index page where others insert would make every two writers conflict.
        return literal_column("currval('dateline_event_seq')")

    def allocate(self, table: SqlTable, column: Any) -> Compiled:
        if column.identity is None and hasattr(column.server_default, "arg"):
            return compiled(select(default_of(column)), self.sql)
        if column.default is not None and getattr(column.default, "is_sequence", False):
            return compiled(select(column.default.next_value()), self.sql)
        sequence = func.pg_get_serial_sequence(self.sql.identifier_preparer.format_table(table), column.name)
        return compiled(select(func.nextval(sequence)), self.sql)

    def among(self, column: Any, page: Select[Any]) -> ColumnElement[bool]:
        # As an array, made once: without statistics the planner believes in a handful of rows and runs the page anew for each.
        made: ColumnElement[bool] = column == func.any(func.array(page.scalar_subquery()))
        return made

    def assigned(self, column: Any, value: Any, index: int) -> Any:
        return value

    def insert(self, table: Any) -> Any:
        return insert(table)

    def rehearsed(self) -> tuple[Statement, ...]:
        return (Statement("SET CONSTRAINTS ALL IMMEDIATE", name="rehearse"),)

    def queue(self) -> tuple[Statement, ...]:
        return (Statement("SELECT pg_try_advisory_lock($1)", (QUEUE,), "queue"),)

    def leave(self) -> tuple[Statement, ...]:
        return (Statement("SELECT pg_advisory_unlock($1)", (QUEUE,), "leave"),)


def row_image(table: SqlTable) -> ColumnElement[Any]:
    """Return the whole row at hand as one JSON text, its columns in the canonical order.

    The columns are named without their table: SQLAlchemy gives a subquery in RETURNING a FROM of its own as soon as it sees a table
    in it, and then the image would be of other rows.
    """
    named = sorted(table.columns, key=lambda c: c.name)
    inner = select(*(image(sql_column(c.name, c.type)).label(c.name) for c in named)).subquery("r")
    return cast(select(func.row_to_json(literal_column("r"))).select_from(inner).scalar_subquery(), Text)


class PostgresReading(Reading):
    """One SELECT: a JSON text for each query, and the look at claim and id beside them."""

    def __init__(self, dialect: Postgres, cascade: Cascade, *, keyed: bool, look: bool) -> None:
        self.keyed, self.look = keyed, look
        columns: list[ColumnElement[Any]] = []
        asked: dict[Any, int] = {}
        self.places: list[tuple[int, Callable[[str], Values]]] = []
        for one in cascade.fields:
            # Each query once: two snapshots that ask the same thing are answered from one place.
            key = (question(one).digest, one.record)
            if key not in asked:
                asked[key] = len(columns)
                rows = select_of(one, image).subquery(f"q{len(columns)}")
                text = cast(func.json_agg(literal_column(f"q{len(columns)}")), Text)
                columns.append(select(func.coalesce(text, "[]")).select_from(rows).scalar_subquery())
            self.places.append((asked[key], _decoder(one)))
        self.asked = len(columns)
        same = [column == bindparam(f"proof{index}", type_=Text()) for index, column in enumerate(columns)]
        self.guard = compiled(select(and_(*same).label("ok")), dialect.sql) if same else None
        if keyed:
            c = tables.claim.c
            who = select(func.json_build_array(c.event, func.encode(c.salt, "hex"), c.request)).where(
                c.tenant == bindparam("tenant"), c.scope == bindparam("scope"), c.key == bindparam("key")
            )
            columns.append(cast(who.scalar_subquery(), Text))
        if look:
            e = tables.event.c
            columns.append(select(e.seq).where(e.tenant == bindparam("tenant"), e.id == bindparam("id")).exists())
        self.compiled = compiled(select(*columns), dialect.sql) if columns else None

    def statements(self, event: Event, looked: Mapping[str, Any]) -> tuple[Statement, ...]:
        return (self.compiled.statement("read", looked, event),) if self.compiled else ()

    def answer(self, results: Sequence[Result]) -> tuple[tuple[Values, ...], Any, Claim | None, bool]:
        row = results[0].rows[0] if results else ()
        values = tuple(decode(row[index]) for index, decode in self.places)
        claim = None
        if self.keyed and row[self.asked] is not None:
            event, salt, request = orjson.loads(row[self.asked])
            claim = Claim(UUID(event), bytes.fromhex(salt), request)
        return values, tuple(row[: self.asked]), claim, bool(self.look and row[-1])


def _decoder(one: Field) -> Callable[[str], Values]:
    """Return what makes a field's records of the server's text: pydantic at once, where each type's JSON is its value's."""
    if one.record is None:
        annotation: Any = one.snapshot.model_fields[one.name].rebuild_annotation()
        holder = create_model("Value", __config__=ConfigDict(strict=True), value=(annotation | None, ...))
        values: TypeAdapter[Any] = TypeAdapter(tuple[holder, ...])  # type: ignore[valid-type]  # made at run time
        return lambda text: tuple(found.value for found in _validated(one, values.validate_json, text))
    record = one.record
    columns = record.__table__.__mapper__.columns
    converters = {name: _converter(columns[name].type) for name in record.model_fields}
    if not any(converters.values()):
        rows: TypeAdapter[Any] = TypeAdapter(tuple[record, ...])  # type: ignore[valid-type]  # known at run time only
        return lambda text: _validated(one, rows.validate_json, text)

    def convert(text: str) -> Values:
        return tuple(
            record.model_validate(
                {name: _value(converters[name], columns[name].type, value) for name, value in row.items()}
            )
            for row in orjson.loads(text)
        )

    return lambda text: _validated(one, convert, text)


def _validated(one: Field, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValidationError as error:
        raise faults(f"{one.path} (what the database holds does not fit its type)", error) from None


_DIRECT = (
    sqltypes.Integer,
    sqltypes.Boolean,
    sqltypes.Numeric,
    sqltypes.DateTime,
    sqltypes.Date,
    sqltypes.Time,
    sqltypes.Uuid,
    sqltypes.JSON,
    sqltypes.LargeBinary,
)

_FROM_JSON: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (sqltypes.Float, float),
    (sqltypes.Numeric, Decimal),
    (sqltypes.DateTime, datetime.fromisoformat),
    (sqltypes.Date, date.fromisoformat),
    (sqltypes.Time, time.fromisoformat),
    (sqltypes.Uuid, UUID),
    (sqltypes.LargeBinary, base64.b64decode),
    (postgresql.INTERVAL, interval),
)


def _converter(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what turns a column's JSON into the driver's value and that into Python's; None where pydantic reads the JSON itself."""
    if isinstance(kind, Instant) or (isinstance(kind, sqltypes.String) and not isinstance(kind, sqltypes.Enum)):
        return None
    if isinstance(kind, sqltypes.Interval | postgresql.INTERVAL):
        # pydantic takes one sign for all of it, and the server writes one for each part.
        return lambda value: None if value is None else interval(value)
    if isinstance(kind, sqltypes.ARRAY):
        inner = _converter(kind.item_type)
        return None if inner is None else (lambda items: [inner(item) for item in items])
    if isinstance(kind, _DIRECT) and type(kind).__module__.startswith("sqlalchemy."):
        return None
    stored = _stored(kind)
    if isinstance(kind, sqltypes.Enum):
        return kind._object_value_for_elem
    driver = next((read for known, read in _FROM_JSON if isinstance(stored, known)), _same)
    if not isinstance(kind, TypeDecorator):
        return driver
    return lambda value: kind.process_result_value(driver(value) if value is not None else None, _SQL)


def _value(convert: Callable[[Any], Any] | None, kind: TypeEngine[Any], value: Any) -> Any:
    if convert is not None:
        return convert(value) if value is not None or isinstance(kind, TypeDecorator) else None
    # In a record where some columns are converted, the others come as JSON too and are read one by one.
    stored = _stored(kind)
    driver = next((read for known, read in _FROM_JSON if isinstance(stored, known)), _same)
    return None if value is None else driver(value)


def _same(value: Any) -> Any:
    return value
