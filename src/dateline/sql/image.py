"""A row as PostgreSQL writes it: one JSON text in the canonical form, and what makes a record of it again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from sqlalchemy import ColumnElement, Text, TypeDecorator, case, cast, func, literal_column, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.types import TypeEngine

from dateline.core.form import straight
from dateline.core.model import faults, personal_fields
from dateline.core.outcome import Values
from dateline.core.personal import MARK
from dateline.core.snapshot import Field
from dateline.sql.interval import interval
from dateline.sql.types import Instant

__all__ = ["POSTGRES", "cell_text", "decoder", "image", "row_image", "verbatim", "written"]

POSTGRES = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy


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
    return _stored(kind.load_dialect_impl(POSTGRES)) if isinstance(kind, TypeDecorator) else kind


def row_image(table: SqlTable, salts: Mapping[str, ColumnElement[Any]] | None = None) -> ColumnElement[Any]:
    """Return the whole row at hand as one JSON text, its columns in the canonical order.

    The columns are named without their table: SQLAlchemy gives a subquery in RETURNING a FROM of its own as soon as it sees a table
    in it, and then the image would be of other rows.

    Args:
        salts: For each personal column its salt in hex; the image holds the salted digest where the value was, as `Sealer.seal` makes it.
    """
    salts = salts or {}
    inner = select(*(_cell(c, salts.get(c.name)).label(c.name) for c in sorted(table.columns, key=lambda c: c.name)))
    row = select(func.row_to_json(literal_column("r"))).select_from(inner.subquery("r")).scalar_subquery()
    return cast(row, Text)


def _cell(column: Any, salt: ColumnElement[Any] | None) -> ColumnElement[Any]:
    if salt is None:
        return image(sql_column(column.name, column.type))
    salted = func.decode(salt, "hex").concat(func.convert_to(cell_text(column), "UTF8"))
    sealed = func.encode(func.sha256(salted), "hex")
    mark = literal_column(f'\'{{"{MARK}":"\'').concat(sealed).concat(literal_column("'\"}'"))
    return case((sql_column(column.name, column.type).is_not(None), cast(mark, postgresql.JSON)))


def cell_text(column: Any) -> ColumnElement[Any]:
    """Return the canonical JSON of one column of the row at hand, where `written` knows its type; NULL for NULL."""
    return cast(func.to_json(image(sql_column(column.name, column.type))), Text)


_WRITTEN: tuple[tuple[type, type], ...] = (
    (sqltypes.Boolean, bool),
    (sqltypes.Integer, int),
    (sqltypes.DateTime, datetime),
    (sqltypes.Date, date),
    (sqltypes.LargeBinary, bytes),
    (sqltypes.String, str),
)


def verbatim(one: Field) -> bool:
    """Tell whether the server's text of a field's rows is their canonical form, so that it can be recorded as it came.

    Not of personal columns, which leave it; nor where a record makes of a column what the server does not write.
    """
    record = one.record
    if record is None or not straight(record) or personal_fields(record):
        return False
    columns = record.__table__.__mapper__.columns
    return all(_bare(field.annotation) is written(columns[name].type) for name, field in record.model_fields.items())


def written(kind: TypeEngine[Any]) -> type | None:
    """Return the Python type whose canonical form the server's text of a column is; None where they may differ.

    They do for floats, JSON, tiny decimals (1E-7), and what a decorated type makes of its column.
    """
    if isinstance(kind, Instant):
        return datetime
    if isinstance(kind, sqltypes.Enum | TypeDecorator) or not type(kind).__module__.startswith("sqlalchemy."):
        return None
    if isinstance(kind, sqltypes.Numeric):
        # Python writes a decimal with an exponent from the seventh place on.
        few = kind.scale is not None and 0 <= kind.scale <= 6
        return Decimal if few and kind.asdecimal and not isinstance(kind, sqltypes.Float) else None
    if isinstance(kind, sqltypes.Time):
        return None if kind.timezone else time
    if isinstance(kind, sqltypes.Uuid):
        return UUID if kind.as_uuid else str
    return next((made for stored, made in _WRITTEN if isinstance(kind, stored)), None)


def _bare(annotation: Any) -> Any:
    """Return the type behind `X | None` and `Annotated[X, …]`; the annotation itself where there are several."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        given = [arg for arg in get_args(annotation) if arg is not NoneType]
        return _bare(given[0]) if len(given) == 1 else annotation
    return annotation


def decoder(one: Field) -> Callable[[str], Values]:
    """Return what makes a field's records of the server's text: pydantic at once, where each type's JSON is its value's."""
    if one.record is None:
        annotation: Any = one.snapshot.model_fields[one.name].rebuild_annotation()
        holder = create_model("Value", __config__=ConfigDict(strict=True), value=(annotation | None, ...))
        values: TypeAdapter[Any] = TypeAdapter(tuple[holder, ...])  # type: ignore[valid-type]  # made at run time
        return lambda text: tuple(found.value for found in _validated(one, values.validator.validate_json, text))
    record = one.record
    columns = record.__table__.__mapper__.columns
    converters = {name: _converter(columns[name].type) for name in record.model_fields}
    if not any(converters.values()):
        rows: TypeAdapter[Any] = TypeAdapter(tuple[record, ...])  # type: ignore[valid-type]  # known at run time only
        read = rows.validator.validate_json
        return lambda text: _validated(one, read, text)

    def convert(text: str) -> Values:
        return tuple(
            record.model_validate(
                {name: _value(converters[name], columns[name].type, value) for name, value in row.items()}
            )
            for row in json.loads(text)
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
    return lambda value: kind.process_result_value(driver(value) if value is not None else None, POSTGRES)


def _value(convert: Callable[[Any], Any] | None, kind: TypeEngine[Any], value: Any) -> Any:
    if convert is not None:
        return convert(value) if value is not None or isinstance(kind, TypeDecorator) else None
    # In a record where some columns are converted, the others come as JSON too and are read one by one.
    stored = _stored(kind)
    driver = next((read for known, read in _FROM_JSON if isinstance(stored, known)), _same)
    return None if value is None else driver(value)


def _same(value: Any) -> Any:
    return value
