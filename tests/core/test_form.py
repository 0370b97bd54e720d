from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, PositiveInt, field_validator

from dateline import Personal
from dateline.core.canon import canonical, plain
from dateline.core.form import straight
from dateline.core.model import Model
from dateline.errors import NotCanonical


class Word(Enum):
    ONE = "one"


class Share(Enum):
    HALF = 0.5


class Plain(Model):
    text: str
    whole: int
    count: PositiveInt
    yes: bool
    id: UUID
    amount: Decimal
    at: datetime
    aware: AwareDatetime
    day: date
    hour: time
    long: timedelta
    raw: bytes
    word: Word
    choice: Literal["a", 1, True] | None
    name: Personal[str]
    maybe: Annotated[int, Field(ge=0)] | None = None
    many: tuple[str, ...] = ()
    pairs: list[tuple[int, Decimal]] = Field(default_factory=list)


class Inner(Model):
    text: str


class Nested(Model):
    inner: Inner


class Floating(Model):
    share: float


class Open(Model):
    anything: Any


class Named(Model):
    by_name: dict[str, int]


class Halved(Model):
    share: Annotated[int, AfterValidator(lambda value: value / 2)]


class Validated(Model):
    share: int

    @field_validator("share")
    @classmethod
    def halved(cls, value: int) -> float:
        return value / 2


class Shared(Model):
    share: Share


class Defaulted(Model):
    share: int = 1.5  # type: ignore[assignment]  # pydantic does not look at defaults


class Loose(BaseModel, extra="allow"):
    text: str


class Foreign(Model):
    größe: int  # noqa: PLC2401 - a name in another script is what this is about


LONG = st.timedeltas(timedelta(days=-400), timedelta(days=400))
MADE = st.builds(
    Plain,
    text=st.text(),
    whole=st.integers(),
    count=st.integers(min_value=1),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    at=st.datetimes(),
    aware=st.datetimes(timezones=st.timezones()),
    hour=st.times(),
    long=LONG,
    many=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    pairs=st.lists(st.tuples(st.integers(), st.decimals(allow_nan=False, allow_infinity=False)), max_size=3),
)


def walked(value: Any) -> bytes:
    return orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS)


@given(MADE)
def test_what_is_written_straight_is_what_the_long_way_writes(value: Plain) -> None:
    try:
        expected = walked(value)
    except (NotCanonical, TypeError):
        with pytest.raises(NotCanonical):
            canonical(value)
        return

    assert canonical(value) == expected


@given(st.dictionaries(st.text(max_size=3), st.none() | st.text() | st.integers() | st.floats() | st.decimals() | LONG))
def test_a_flat_dict_is_written_as_the_long_way_writes_it(value: dict[str, Any]) -> None:
    try:
        expected = walked(value)
    except (NotCanonical, TypeError):
        with pytest.raises(NotCanonical):
            canonical(value)
        return

    assert canonical(value) == expected


@pytest.mark.parametrize(
    ("model", "is_straight"),
    [
        (Plain, True),
        (Inner, True),
        (Nested, False),
        (Floating, False),
        (Open, False),
        (Named, False),
        (Halved, False),
        (Validated, False),
        (Shared, False),
        (Defaulted, False),
        (Loose, False),
        (Foreign, False),
    ],
)
def test_a_type_that_leaves_room_for_what_orjson_writes_otherwise_goes_the_long_way(
    model: type[BaseModel], is_straight: bool
) -> None:
    assert straight(model) is is_straight


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Nested(inner=Inner(text="a")), b'{"inner":{"text":"a"}}'),
        (Floating(share=1e16), b'{"share":10000000000000000}'),
        (Halved(share=4), b'{"share":2}'),
        (Validated(share=4), b'{"share":2}'),
        (Shared(share=Share.HALF), b'{"share":0.5}'),
        (Defaulted(), b'{"share":1.5}'),
        (Named(by_name={"\ufeff": 1, "\U0001f600": 2}), '{"by_name":{"\U0001f600":2,"\ufeff":1}}'.encode()),
    ],
)
def test_what_is_not_written_straight_is_canonical_all_the_same(value: BaseModel, expected: bytes) -> None:
    assert canonical(value) == expected
