"""Which types have their canonical form straight from orjson, told from the annotations alone.

orjson sorts keys and writes strings, whole numbers, booleans and null as RFC 8785 says; ids, decimals, instants and the like reach it
as strings. It prints floats its own way, and sorts keys beyond the surrogates by code point: where a type leaves room for either, the
canonical form has to walk the value itself, which takes ten times as long.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, FutureDate, FutureDatetime, NaiveDatetime, PastDate, PastDatetime
from pydantic.fields import FieldInfo

__all__ = ["straight"]

_LEAVES: frozenset[Any] = frozenset(
    {str, int, bool, NoneType, None, UUID, Decimal, datetime, date, time, timedelta, bytes}
    | {AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime, PastDate, FutureDate}
)

_VALUES = (str, int, bool, NoneType)

# Metadata that narrows a type and never changes a value's; anything else may be a function that makes a float of it.
_NARROWING = ("annotated_types", "dateline.core.model")
_NARROWING_NAMES = frozenset({"Strict", "StringConstraints", "PydanticGeneralMetadata"})


@cache
def straight(model: type[BaseModel]) -> bool:
    """Tell whether every valid value of a model has its canonical form straight from orjson.

    None that may hold other models has: where one is announced, pydantic takes its subclasses too, and those hold what they like.
    """
    if model.model_config.get("extra") == "allow":
        return False
    decorators = model.__pydantic_decorators__
    if (
        decorators.field_validators
        or decorators.validators
        or decorators.root_validators
        or decorators.model_validators
    ):
        return False
    return all(
        name.isascii()
        and all(_narrows(mark) for mark in field.metadata)
        and _kind(field.annotation)
        and (field.is_required() or _default(field.get_default(call_default_factory=False), field.default_factory))
        for name, field in model.model_fields.items()
    )


def _kind(annotation: Any) -> bool:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return all(_narrows(mark) for mark in args[1:]) and _kind(args[0])
    if origin is Literal:
        return all(type(value) in _VALUES for value in args)
    if origin in (Union, UnionType, list, tuple):
        return all(arg is Ellipsis or _kind(arg) for arg in args)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return all(type(member.value) in _VALUES for member in annotation)
    return annotation in _LEAVES


def _narrows(mark: Any) -> bool:
    kind = type(mark)
    if kind is FieldInfo:
        return all(_narrows(inner) for inner in mark.metadata)
    return kind.__module__.startswith(_NARROWING) or kind.__qualname__ in _NARROWING_NAMES


def _default(value: Any, factory: Any) -> bool:
    """Defaults are not validated: only what cannot be a float, nor hold one, is believed."""
    if factory is not None:
        return factory in (list, tuple)
    return type(value) in _LEAVES or value in ((), [])
