"""What PostgreSQL wrote of a row, made a record again: each column's JSON becomes the value that SQLAlchemy would give."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, get_args, get_origin
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from sqlalchemy import TypeDecorator
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from dateline.core.model import faults
from dateline.core.outcome import Values
from dateline.core.snapshot import Field
from dateline.errors import Malformed
from dateline.sql.image import POSTGRES, bare, stored, within
from dateline.sql.interval import interval
from dateline.sql.types import Instant

__all__ = ["decoder", "valued"]


def decoder(one: Field) -> Callable[[str], Values]:
    """Return what makes a field's records of the server's text: pydantic at once, where each type's JSON is its value's."""
    if one.record is None:
        annotation: Any = one.snapshot.model_fields[one.name].rebuild_annotation()
        holder = create_model("Value", __config__=ConfigDict(strict=True), value=(annotation | None, ...))
        values: TypeAdapter[Any] = TypeAdapter(tuple[holder, ...])  # type: ignore[valid-type]  # made at run time
        return lambda text: tuple(found.value for found in _validated(one, values.validator.validate_json, text))
    record = one.read
    columns = record.__table__.__mapper__.columns
    if all(_direct(columns[name].type) for name in record.model_fields):
        rows: TypeAdapter[Any] = TypeAdapter(tuple[record, ...])  # type: ignore[valid-type]  # known at run time only
        read = rows.validator.validate_json
        return lambda text: one.lowered(_validated(one, read, text))

    readers = {name: _reader(columns[name].type, field) for name, field in record.model_fields.items()}

    def value(name: str, found: Any) -> Any:
        try:
            return readers[name](found)
        except Exception as error:  # noqa: BLE001 - an application's type may raise anything, and what it says may hold the value
            told = f"{type(error).__name__} by {columns[name].type!r}"
            raise Malformed(f"not a valid {one.path} ({_UNFIT}): {name}: {told}", ((name, told),)) from None

    def convert(text: str) -> Values:
        return tuple(
            record.model_validate({name: value(name, found) for name, found in row.items()}) for row in json.loads(text)
        )

    return lambda text: one.lowered(_validated(one, convert, text))


_UNFIT = "what the database holds does not fit its type"


def _reader(kind: TypeEngine[Any], field: FieldInfo) -> Callable[[Any], Any]:
    """Return what makes of a column's JSON what its field takes, where pydantic does not read the whole record by itself."""
    if _direct(kind) and isinstance(_item(kind), _TOLD) and not field.metadata:
        adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
        return lambda value: adapter.validate_json(json.dumps(value), strict=True)
    read = _python(kind)
    if isinstance(kind, TypeDecorator):
        return read
    if isinstance(kind, sqltypes.ARRAY):
        return lambda value: None if value is None else _fitted(read(value), field.annotation)
    return lambda value: None if value is None else read(value)


def _item(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of an array's items, of all else the type itself."""
    return _item(kind.item_type) if isinstance(kind, sqltypes.ARRAY) else kind


def _validated(one: Field, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValidationError as error:
        raise faults(f"{one.path} ({_UNFIT})", error) from None


_TOLD = (sqltypes.JSON, postgresql.INET, postgresql.CIDR)
"""Types whose JSON says little; what the record says of the column tells what to make of it."""

_DIRECT = (
    sqltypes.Integer,
    sqltypes.Boolean,
    sqltypes.Numeric,
    sqltypes.DateTime,
    sqltypes.Date,
    sqltypes.Time,
    sqltypes.Uuid,
    sqltypes.LargeBinary,
    *_TOLD,
)


def _bytes(text: str) -> bytes:
    # Inside an array the server writes them its own way, in hex.
    return bytes.fromhex(text[2:]) if text.startswith("\\x") else base64.b64decode(text)


_FROM_JSON: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (sqltypes.Numeric, Decimal),
    (sqltypes.DateTime, datetime.fromisoformat),
    (sqltypes.Date, date.fromisoformat),
    (sqltypes.Time, time.fromisoformat),
    (sqltypes.Uuid, UUID),
    (sqltypes.LargeBinary, _bytes),
    (postgresql.INTERVAL, interval),
    (postgresql.OID, int),
)


def _direct(kind: TypeEngine[Any]) -> bool:
    """Tell whether pydantic makes of a column's JSON what SQLAlchemy would give."""
    if isinstance(kind, Instant) or (isinstance(kind, sqltypes.String) and not isinstance(kind, sqltypes.Enum)):
        return True
    if isinstance(kind, postgresql.DOMAIN):
        return _direct(kind.data_type)
    if isinstance(kind, sqltypes.ARRAY):
        return _direct(kind.item_type) and not isinstance(stored(kind.item_type), sqltypes.LargeBinary)
    # Of zones the server writes the hours, and pydantic wants minutes; a float as a decimal is SQLAlchemy's own idea.
    odd = kind.timezone if isinstance(kind, sqltypes.Time) else isinstance(kind, sqltypes.Float) and kind.asdecimal
    return isinstance(kind, _DIRECT) and type(kind).__module__.startswith("sqlalchemy.") and not odd


def _python(kind: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return what turns a column's JSON into the value that SQLAlchemy would give; only a decorated type is asked about null."""
    impl = within(kind)
    if impl is not None:
        inner = _python(impl)
        if not isinstance(kind, TypeDecorator):
            return inner
        if type(kind).process_result_value is not TypeDecorator.process_result_value:
            return lambda value: kind.process_result_value(inner(value) if value is not None else None, POSTGRES)
        if isinstance(kind, sqltypes.PickleType) or (isinstance(kind, sqltypes.Interval) and not kind.native):
            made = kind.result_processor(POSTGRES, None)
            assert made is not None
            return lambda value: made(inner(value) if value is not None else None)
        return lambda value: None if value is None else inner(value)
    if isinstance(kind, sqltypes.ARRAY):
        return _items(kind)
    if isinstance(kind, sqltypes.Enum):
        return kind._object_value_for_elem
    if isinstance(kind, sqltypes.Float) and kind.asdecimal:
        made = sqltypes.Float.result_processor(kind, POSTGRES, None)  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        return made or _same
    if isinstance(kind, sqltypes.Numeric) and not kind.asdecimal:
        return float
    if isinstance(kind, sqltypes.Uuid) and not kind.as_uuid:
        return _same
    return next((read for known, read in _FROM_JSON if isinstance(kind, known)), _same)


def valued(kind: TypeEngine[Any]) -> Callable[[Any], Any]:
    """Return what turns a column's JSON, which is not null, into the value that SQLAlchemy would give."""
    return _python(kind)


def _items(kind: sqltypes.ARRAY[Any]) -> Callable[[Any], Any]:
    """Return what turns an array's JSON into Python's lists, nested as SQLAlchemy understands nesting."""
    read = _python(kind.item_type)
    made = tuple if kind.as_tuple else list
    nulls = isinstance(kind.item_type, TypeDecorator)

    def items(found: Any, dimensions: int | None) -> Any:
        if dimensions != 1 and (dimensions is not None or (found and isinstance(found[0], list))):
            return made(items(item, dimensions and dimensions - 1) for item in found)
        return made(read(item) if item is not None or nulls else None for item in found)

    return lambda found: items(found, kind.dimensions)


def _fitted(value: Any, annotation: Any) -> Any:
    """Return an array's items in what the record calls a sequence: as JSON, pydantic would have taken them for that."""
    annotation = bare(annotation)
    made, args = get_origin(annotation), get_args(annotation)
    if made not in (list, tuple, set, frozenset) or not args or not isinstance(value, list):
        return value
    return made(_fitted(item, args[0]) for item in value)


def _same(value: Any) -> Any:
    return value
