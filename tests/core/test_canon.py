"""The canonical form, against RFC 8785 where both have one, and back again where only ours has."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from dateline import Event
from dateline.core.canon import DEEPEST, canonical, digest, instant, parsed, salted
from dateline.errors import NotCanonical

KEYS = st.text() | st.sampled_from(["\uffff", "\ue000", "\U0001f600", "\U00010000", "é", "\u2028", '"', "\\", "\x00"])
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | KEYS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
EXACT = st.recursive(
    st.none() | st.booleans() | st.integers() | KEYS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


class Colour(Enum):
    RED = "r"


class Everything(Event, kind="everything"):
    amount: Decimal
    at: datetime
    local: datetime
    day: date
    hour: time
    length: timedelta
    id: UUID
    photo: bytes
    ratio: float
    count: int
    text: str
    colour: Colour
    parts: tuple[Decimal, ...]
    named: dict[str, datetime]


EVERYTHING = st.builds(
    Everything,
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    at=st.datetimes(timezones=st.just(UTC)),
    local=st.datetimes(),
    day=st.dates(),
    hour=st.times(),
    length=st.timedeltas(min_value=timedelta(days=-999_999_998), max_value=timedelta(days=999_999_998)),
    id=st.uuids(),
    photo=st.binary(),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    count=st.integers(),
    text=KEYS,
    colour=st.just(Colour.RED),
    parts=st.lists(st.decimals(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
    named=st.dictionaries(KEYS, st.datetimes(timezones=st.just(UTC)), max_size=3),
)


@given(JSON)
@example({"\uffff": 1, "\U0001f600": 2, "\ue000": {"\U00010000": 3, "\uffff": 4}})
@example([1e21, 1e-7, 5e-324, -0.0, 1.7976931348623157e308, 123456789012345680000.0, 0.000001, 1e16])
def test_the_text_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(EXACT)
def test_json_of_text_and_integers_comes_back_whatever_the_size(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(JSON)
def test_the_canonical_text_of_a_canonical_text_is_itself(value: Any) -> None:
    once = canonical(value)

    assert canonical(json.loads(once)) == once


@given(EVERYTHING)
def test_an_event_comes_back_from_its_text(event: Everything) -> None:
    back = Everything.from_json(canonical(event))

    assert back == event
    # Equal decimals may be written differently; the record keeps how this one was.
    assert (str(back.amount), repr(back.ratio)) == (str(event.amount), repr(event.ratio + 0.0))


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-23 * 60, 23 * 60))
def test_one_instant_has_one_text_in_every_zone(local: datetime, minutes: int) -> None:
    there = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert canonical(there) == canonical(there.astimezone(UTC))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2018, 8, 1, tzinfo=UTC), b'"2018-08-01T00:00:00Z"'),
        (datetime(2018, 8, 1, 12, 30, 0, 500_000, tzinfo=timezone(timedelta(hours=2))), b'"2018-08-01T10:30:00.5Z"'),
        (datetime(2018, 8, 1, 12, 30), b'"2018-08-01T12:30:00"'),
        (date(2018, 8, 1), b'"2018-08-01"'),
        (time(7, 5), b'"07:05:00"'),
        (time(7, 5, 0, 120_000), b'"07:05:00.12"'),
        (time(7, 5, 0, 120_000, tzinfo=UTC), b'"07:05:00.12+00:00"'),
        (timedelta(seconds=2, microseconds=5), b'"PT2.000005S"'),
        (timedelta(minutes=-90), b'"-PT1H30M"'),
        (timedelta(0), b'"PT0S"'),
        (Decimal("1.50"), b'"1.50"'),
        (Decimal("1E+5"), b'"1E+5"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (b"\xff\xfe?", b'"//4/"'),
        (Colour.RED, b'"r"'),
        (2**80, b"1208925819614629174706176"),
        ((1, "a"), b'[1,"a"]'),
        (frozenset({"b", "a"}), b'["a","b"]'),
        ({UUID(int=1): 1, 7: 2}, b'{"00000000-0000-0000-0000-000000000001":1,"7":2}'),
    ],
)
def test_what_json_lacks_is_a_string(value: Any, text: bytes) -> None:
    assert canonical(value) == text


@given(st.sets(st.text() | st.integers()))
def test_a_set_is_written_in_one_order(found: set[Any]) -> None:
    assert canonical(frozenset(found)) == canonical({*reversed(list(found))})


def cyclic_list() -> Any:
    made: list[Any] = []
    made.append(made)
    return made


def cyclic_dict() -> Any:
    made: dict[str, Any] = {}
    made["again"] = made
    return made


def nested(levels: int) -> Any:
    made: Any = 0
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "\ud800",
        {"\udfff": 1},
        {"\U0001f600": 1, "\ud83d": 2},
        cyclic_list(),
        cyclic_dict(),
        nested(DEEPEST + 2),
        nested(100_000),
        object(),
        len,
        SecretStr("hush"),
        {1.5: "a"},
        {None: "a"},
        {True: "a"},
        10**5_000,
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_record_can_hold_is_refused_wherever_it_stands(value: Any) -> None:
    for place in (value, [value], {"in": value}, (1, {"a": [value]})):
        with pytest.raises(NotCanonical):
            canonical(place)


def test_nesting_is_written_up_to_the_limit() -> None:
    assert canonical(nested(DEEPEST)) == b"[" * DEEPEST + b"0" + b"]" * DEEPEST


def test_a_refused_secret_does_not_stand_in_the_message() -> None:
    with pytest.raises(NotCanonical) as refused:
        canonical({"password": SecretStr("hush")})

    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_a_digest_is_sha_256(text: bytes, expected: str) -> None:
    assert digest(text) == expected


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_equal_values_under_different_salts_have_different_digests(one: bytes, other: bytes) -> None:
    assert (salted(one, b"Ann") == salted(other, b"Ann")) == (one == other)


def test_an_instant_keeps_its_last_digit_and_drops_trailing_zeros() -> None:
    assert instant(datetime(2024, 1, 1, 0, 0, 0, 10, tzinfo=UTC)) == "2024-01-01T00:00:00.00001Z"
    assert instant(datetime(2024, 1, 1, 0, 0, 10, tzinfo=UTC)) == "2024-01-01T00:00:10Z"


def test_a_text_is_read_with_all_its_digits_and_as_deep_as_there_is_a_canonical_form() -> None:
    deep: Any = 2**200
    for _ in range(DEEPEST):
        deep = [deep]

    assert parsed(canonical(deep)) == deep
    with pytest.raises(ValueError, match="line 1"):
        parsed("{")
