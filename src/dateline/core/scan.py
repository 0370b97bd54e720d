"""Whether a JSON text can be read in one way only: what a parser passes over, gone through before anything is believed."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from json import JSONDecoder
from math import isfinite
from typing import Any, get_args

from pydantic import BaseModel

from dateline.core.event import Event
from dateline.errors import Malformed

__all__ = ["exact", "unambiguous"]


def unambiguous(body: bytes | str) -> bool:
    """Refuse a JSON text that says one name of an object twice: one value would be taken, and the other left.

    Args:
        body: A text that was read already, so it is JSON.

    Returns:
        Whether all digits of its numbers survive being read; see `exact`.

    Raises:
        Malformed: Naming what is there twice.

    Source: RFC 8259, section 4; RFC 7493 (I-JSON), section 2.3.
    """
    text = body if isinstance(body, str) else body.decode()
    try:
        _STRICT.decode(text)
    except _LostError:
        _LENIENT.decode(text)
        return False
    return True


def exact(shape: type[Event]) -> None:
    """Refuse a text of whose numbers digits are lost, where the shape has a field that would take them for exact.

    A decimal number goes through sixty-four bits, and a dose with more digits than those hold would come out as another.

    Raises:
        Malformed: Saying what to do.

    Source: RFC 8259, section 6; RFC 7493 (I-JSON), section 2.2.
    """
    if _decimal(shape):
        told = "a number has more digits than are read of it; send it as a text"
        raise Malformed(f"not a valid {shape.__qualname__}: {told}", (("", told),))


_SURE = 16
"""Characters of a number, its point among them, whose digits all survive.

Source: IEEE 754-2019: of any fifteen decimal digits, binary64 gives all back."""


class _LostError(Exception):
    """A number is not read to its last digit."""


def _unread(told: str) -> None:
    return


def _number(told: str) -> None:
    if len(told) > _SURE or "e" in told.lower():
        read = float(told)
        if isfinite(read) and Decimal(told) != Decimal(repr(read)):
            raise _LostError


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise Malformed(f"the name {twice[:60]!r} is there twice in one object", ((twice[:200], "is there twice"),))


_STRICT = JSONDecoder(object_pairs_hook=_once, parse_float=_number, parse_int=_unread, strict=False)
_LENIENT = JSONDecoder(object_pairs_hook=_once, parse_float=_unread, parse_int=_unread, strict=False)


@cache
def _decimal(of: Any) -> bool:
    """Tell whether a class, or an annotation, has a decimal number in it."""
    if isinstance(of, type) and issubclass(of, BaseModel):
        kinds: list[Any] = [info.annotation for info in of.model_fields.values()]
        return any(map(_decimal, kinds))
    if get_args(of):
        return any(_decimal(part) for part in get_args(of))
    return of is Decimal
