"""A row as PostgreSQL writes it: one JSON text in the canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from sqlalchemy import ColumnElement, Text, TypeDecorator, and_, case, cast, func, literal_column, select, type_coerce
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.types import TypeEngine

from dateline.core.form import straight
from dateline.core.model import personal_fields
from dateline.core.personal import MARK
from dateline.core.snapshot import Field
from dateline.sql.types import Instant

__all__ = ["POSTGRES", "bare", "cell_text", "image", "row_image", "stored", "verbatim", "within", "written"]

POSTGRES = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy


def image(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column so that its JSON is the canonical one: decimals and instants as strings, bytes as base64."""
    kind = stored(column.type)
    if isinstance(kind, sqltypes.ARRAY) and _decimal(stored(kind.item_type)):
        return cast(column, postgresql.ARRAY(Text()))
    if isinstance(kind, sqltypes.DateTime):
        if kind.timezone:
            made = func.replace(cast(func.timezone("UTC", column), Text), " ", "T").concat("Z")
        else:
            made = func.replace(cast(column, Text), " ", "T")
        # Infinity, and what is before Christ, have no such form: there the server's own text stands, which it reads again.
        instant = type_coerce(column, kind)
        here = and_(instant >= literal_column("'0001-01-01 00:00:00+00'"), instant < literal_column("'infinity'"))
        return case((here, made), else_=cast(column, Text))
    if _decimal(kind):
        return cast(column, Text)
    if isinstance(kind, sqltypes.LargeBinary):
        return func.translate(func.encode(column, "base64"), literal_column(r"E'\n'"), "")
    return column


def _decimal(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, sqltypes.Numeric) and kind.asdecimal and not isinstance(kind, sqltypes.Float)


def stored(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that the database sees behind a decorated one, or behind a domain."""
    impl = within(kind)
    return kind if impl is None else stored(impl)


def within(kind: TypeEngine[Any]) -> TypeEngine[Any] | None:
    """Return the type that a type is made of; None where it is one of the database's own."""
    if isinstance(kind, sqltypes.Interval) and kind.native:
        # SQLAlchemy makes it of a DateTime for databases that have no intervals; this one has.
        return postgresql.INTERVAL()
    if isinstance(kind, postgresql.DOMAIN):
        return kind.data_type
    return kind.load_dialect_impl(POSTGRES) if isinstance(kind, TypeDecorator) else None


def row_image(table: SqlTable, salts: Mapping[str, ColumnElement[Any]] | None = None) -> ColumnElement[Any]:
    """Return the whole row at hand as one JSON text, its columns in the canonical order.

    The columns are named without their table: SQLAlchemy gives a subquery in RETURNING a FROM of its own as soon as it sees a table
    in it, and then the image would be of other rows.

    Args:
        salts: For each personal column its salt in hex; the image holds the salted digest where the value was, as `Sealer.seal` makes it.
    """
    salts = salts or {}
    inner = select(*(_cell(c, salts.get(c.name)).label(c.name) for c in sorted(table.columns, key=lambda c: c.name)))
    # With a star: `r` alone would be a column of that name, where there is one.
    row = select(func.row_to_json(literal_column("r.*"))).select_from(inner.subquery("r")).scalar_subquery()
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
    if record is None or record.__head__ is not None or not straight(record) or personal_fields(record):
        return False
    columns = record.__table__.__mapper__.columns
    return all(bare(field.annotation) is written(columns[name].type) for name, field in record.model_fields.items())


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


def bare(annotation: Any) -> Any:
    """Return the type behind `X | None` and `Annotated[X, …]`; the annotation itself where there are several."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        given = [arg for arg in get_args(annotation) if arg is not NoneType]
        return bare(given[0]) if len(given) == 1 else annotation
    return annotation
