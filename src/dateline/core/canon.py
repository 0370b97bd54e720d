"""The canonical form: one value, one text, one digest.

Objects are sorted by key, numbers and strings are written as RFC 8785 says. Decimals, instants, dates, durations, ids and bytes become
strings, so that no digest depends on how a float is printed. Integers keep all their digits.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import from_json, to_jsonable_python

from dateline.core.form import straight
from dateline.errors import NotCanonical

__all__ = ["Verbatim", "canonical", "digest", "instant", "named", "parsed", "plain", "salted", "unparsed"]

Verbatim = orjson.Fragment
"""Canonical JSON that is already at hand, standing in a value whose canonical form is wanted."""

DEEPEST = 200
"""Levels of nesting that have a canonical form; deeper input is refused before it can exhaust the stack."""

_I64 = 2**63
_STRING = {str}


def canonical(value: Any, *, known: bool = False) -> bytes:
    """Return the canonical JSON of a value.

    Args:
        known: The caller knows that it holds no float, and no key that came from outside; then it need not be walked through.

    Raises:
        NotCanonical: For NaN, infinity, lone surrogates, unknown types, and nesting deeper than `DEEPEST`.

    Source: RFC 8785 (JSON Canonicalization Scheme).
    """
    if known or (_flat(value) if type(value) is dict else isinstance(value, BaseModel) and straight(type(value))):
        try:
            return orjson.dumps(value.__dict__ if isinstance(value, BaseModel) else value, _written, _STRAIGHT)
        except TypeError:
            # An integer beyond 64 bits, or what has no canonical form: the long way tells which.
            pass
    try:
        return orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise NotCanonical(f"no canonical form: {error}") from error


_STRAIGHT = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
)


_SURE = frozenset({str, int, bool, type(None), UUID, Decimal, datetime, date, time, timedelta, bytes})


def _flat(value: dict[Any, Any]) -> bool:
    """Tell whether orjson writes a dict canonically by itself: names in ASCII, and none but plain values, no floats among them."""
    return (
        _SURE.issuperset(map(type, value.values()))
        and set(map(type, value)) <= _STRING
        and all(map(str.isascii, value))
    )


def _written(value: Any) -> Any:
    return value.__dict__ if isinstance(value, BaseModel) else plain(value)


def digest(text: bytes) -> str:
    """Return 64 lowercase hex digits of SHA-256.

    Source: FIPS 180-4.
    """
    return hashlib.sha256(text).hexdigest()


def salted(salt: bytes, text: bytes) -> str:
    """Return the digest that stands in a body for a personal value; without the salt it tells nothing about it."""
    return hashlib.sha256(salt + text).hexdigest()


def parsed(text: str | bytes) -> Any:
    """Return what a JSON text says; its integers keep all their digits.

    Raises:
        ValueError: When it is no JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        # It reads fewer levels than there are canonical ones; what is no JSON is none for the slower one either.
        return json.loads(text)


def unparsed(value: Any) -> bytes:
    """Return a JSON text of JSON's types, in no particular form; for what is to be read again at once."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # An integer beyond 64 bits.
        return json.dumps(value).encode()


def instant(value: datetime) -> str:
    """Return an instant as text: UTC with `Z`, the fraction without trailing zeros; a naive one keeps no zone.

    Source: RFC 3339.
    """
    if value.tzinfo is UTC:
        text = value.isoformat()[: -len("+00:00")]
        return (text.rstrip("0") if value.microsecond else text) + "Z"
    suffix = ""
    if value.tzinfo is not None:
        try:
            value, suffix = value.astimezone(UTC), "Z"
        except OverflowError:
            raise NotCanonical("an instant outside of the years 1 to 9999") from None
    text = value.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if value.microsecond else text) + suffix


def _clock(value: time) -> str:
    text = value.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if value.microsecond else text) + value.isoformat()[len(text) :]


def _duration(value: timedelta) -> str:
    """Return a duration as ISO 8601 writes it, in days of 24 hours and less, as PostgreSQL does in its style of that name."""
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = (
        f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes) + f"{seconds}{fraction}S" * bool(seconds or fraction)
    )
    return f"{sign}P" + f"{value.days}D" * bool(value.days) + (f"T{parts}" if parts else "" if value.days else "T0S")


def _float(value: float) -> Any:
    """Return a float as ECMAScript prints it; Python finds the same digits and only arranges them otherwise."""
    if not math.isfinite(value):
        raise NotCanonical(f"{value} is no number that JSON can hold")
    if value == 0:
        return 0
    mantissa, _, power = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(power or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        exponent = point - 1
        text = f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
    return orjson.Fragment((sign + text).encode())


def _int(value: int) -> Any:
    if -_I64 <= value < _I64:
        return int(value)
    try:
        return orjson.Fragment(str(int(value)).encode())
    except ValueError:
        raise NotCanonical("a number of more digits than Python prints") from None


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise NotCanonical(f"{value} is no number that a record can hold")
    return str(value)


def _text(value: str) -> str:
    return str(value)


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _identity(value: Any) -> Any:
    return value


_LEAVES: dict[type, Callable[[Any], Any]] = {
    str: _text,
    bool: _identity,
    type(None): _identity,
    int: _int,
    float: _float,
    Decimal: _decimal,
    datetime: instant,
    date: date.isoformat,
    time: _clock,
    timedelta: _duration,
    UUID: str,
    bytes: _bytes,
    orjson.Fragment: _identity,
}


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value made of what JSON has: dicts, lists, strings, numbers, booleans, None.

    Raises:
        NotCanonical: As `canonical` does.
    """
    leaf = _LEAVES.get(type(value))
    if leaf is not None:
        return value if leaf is _text else leaf(value)
    if depth > DEEPEST:
        raise NotCanonical(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, BaseModel):
        return _object(value.__dict__, depth)
    if isinstance(value, dict):
        return _object(value, depth)
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item, depth + 1) for item in value), key=canonical)
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    for known, leaf in _LEAVES.items():
        if isinstance(value, known):
            return leaf(value)
    if isinstance(value, SecretStr | SecretBytes):
        raise NotCanonical("a secret has no place in a record; store a reference to it instead")
    try:
        return plain(to_jsonable_python(value, inf_nan_mode="constants"), depth + 1)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"{type(value).__qualname__} has no canonical form") from error


def _object(value: dict[Any, Any], depth: int) -> Any:
    made = {}
    beyond = False
    for name, item in named(value):
        beyond = beyond or (not name.isascii() and max(name) >= "\ud800")
        made[name] = plain(item, depth + 1)
    if beyond:
        # RFC 8785 sorts by UTF-16 units; orjson by code points, which differ once a key holds a character beyond the surrogates.
        ordered = sorted(made.items(), key=lambda pair: _utf16(pair[0]))
        return orjson.Fragment(
            b"{" + b",".join(canonical(key) + b":" + canonical(item) for key, item in ordered) + b"}"
        )
    return made


def named(value: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Return a dict's items under the names that the canonical form gives its keys.

    Raises:
        NotCanonical: For keys without one, and where two keys have the same: one of the two would be lost.
    """
    if set(map(type, value)) <= _STRING:
        return iter(value.items())
    made = [(_key(key), item) for key, item in value.items()]
    if len(dict(made)) < len(made):
        raise NotCanonical("two keys of one object have one name in JSON")
    return iter(made)


def _utf16(key: str) -> bytes:
    try:
        return key.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise NotCanonical("a lone surrogate is no character") from error


def _key(key: Any) -> str:
    made = plain(key)
    if isinstance(made, str):
        return made
    if type(made) is int:
        return str(made)
    raise NotCanonical(f"a key of type {type(key).__qualname__} has no canonical form")
