"""A form is made of an event's shape, and what is typed into it comes to the JSON that somebody means."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from dateline import Event, Personal, Versions
from dateline.console.blank import Blank, blanks, body, faulty, typed
from dateline.core.catalogue import explained


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    product: str
    pieces: int


class Order(Event, kind="order", subjects=("customer:{customer}",)):
    customer: str
    story: Personal[str]
    short: Annotated[str, Field(min_length=2, max_length=20)] = "ab"
    count: Annotated[int, Field(ge=1, lt=10)]
    some: Annotated[int, Field(ge=0)] | None = None
    five: int | None = 5
    rate: float = 0.5
    cents: Annotated[Decimal, Field(max_digits=5, decimal_places=2)] = Decimal("1.50")
    day: date
    at: datetime | None = None
    hour: time | None = None
    colour: Colour
    size: Literal[1, 2] = 1
    gift: bool = False
    sure: bool | None = None
    who: UUID | None = None
    lines: tuple[Line, ...] = ()
    tags: dict[str, int] = Field(default={})
    either: str | int = "x"
    must: str | None


VERSIONS = Versions.of({"2024-01-01": [Order]})
ALL = blanks(Order, explained(VERSIONS, "order").input)
BY_NAME = {one.name: one for one in ALL}


def test_each_field_is_asked_for_as_what_it_is() -> None:
    assert {one.name: one.sort for one in ALL} == {
        "customer": "line",
        "story": "text",
        "short": "line",
        "count": "whole",
        "some": "whole",
        "five": "whole",
        "rate": "number",
        "cents": "decimal",
        "day": "date",
        "at": "instant",
        "hour": "time",
        "colour": "choice",
        "size": "choice",
        "gift": "yes",
        "sure": "yes",
        "who": "line",
        "lines": "json",
        "tags": "json",
        "either": "json",
        "must": "text",
    }
    assert [one.name for one in ALL if one.required] == ["customer", "story", "count", "day", "colour", "must"]
    assert [one.name for one in ALL if one.personal] == ["story"]
    assert [one.name for one in ALL if one.nullable] == ["some", "five", "at", "hour", "sure", "who", "must"]
    assert BY_NAME["colour"].options == (('"red"', "red"), ('"blue"', "blue"))
    assert BY_NAME["size"].options == (("1", "1"), ("2", "2"))
    assert (BY_NAME["count"].attributes, BY_NAME["short"].attributes) == (
        {"step": "1", "min": "1", "max": "9"},
        {"minlength": "2", "maxlength": "20"},
    )


def test_what_stands_where_it_is_left_out_is_what_the_form_begins_with() -> None:
    typed = {one.name: one.default or "" for one in ALL}
    needed = {"customer": "ann", "story": "x", "count": "1", "day": "2024-07-01", "colour": '"red"'}

    text, problems = body(ALL, {**typed, **needed})

    assert problems == ()
    bare = '{"customer": "ann", "story": "x", "count": 1, "day": "2024-07-01", "colour": "red", "must": null}'
    assert Order.from_json(text) == Order.from_json(bare)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROUND: dict[str, st.SearchStrategy[Any]] = {
    "customer": TEXTS,
    "story": TEXTS,
    "five": st.integers() | st.none(),
    "rate": st.floats(allow_nan=False, allow_infinity=False),
    "cents": st.decimals(allow_nan=False, allow_infinity=False).map(lambda one: format(one, "f")),
    "day": st.dates().map(date.isoformat),
    "at": st.datetimes().map(lambda one: f"{one.isoformat()}Z") | st.none(),
    "hour": st.times().map(time.isoformat) | st.none(),
    "colour": st.sampled_from(["red", "blue"]),
    "size": st.sampled_from([1, 2]),
    "gift": st.booleans(),
    "sure": st.booleans() | st.none(),
    "lines": st.lists(st.fixed_dictionaries({"product": TEXTS, "pieces": st.integers()})),
    "tags": st.dictionaries(TEXTS, st.integers()),
    "either": TEXTS | st.integers(),
    "must": TEXTS | st.none(),
}


@pytest.mark.parametrize("name", sorted(ROUND))
@given(data=st.data())
def test_what_was_entered_comes_back_as_it_was_where_nobody_types_over_it(name: str, data: st.DataObject) -> None:
    value = data.draw(ROUND[name])

    blank, text = typed(BY_NAME[name], value)

    assert "\r" not in text
    assert "\n" not in text or blank.sort in ("text", "json")
    if text.strip():
        told = blank.text(text)
        meant = (
            value.replace("\r\n", "\n").replace("\r", "\n")
            if isinstance(value, str) and blank.sort != "json"
            else value
        )
        assert told is not None
        assert json.loads(told) == meant


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("customer", " ann ", " ann "),
        ("story", "two\nlines", "two\nlines"),
        ("story", '"quoted", "x": 1', '"quoted", "x": 1'),
        ("short", "", ""),
        ("count", "007", 7),
        ("count", "-3", -3),
        ("count", "1.0", "1.0"),
        ("count", "five", "five"),
        ("five", "", None),
        ("must", "", None),
        ("rate", "1e3", 1000.0),
        ("rate", "NaN", "NaN"),
        ("cents", "12.30", "12.30"),
        ("at", "2024-07-01T09:30", "2024-07-01T09:30Z"),
        ("at", "2024-07-01T09:30:00+02:00", "2024-07-01T09:30:00+02:00"),
        ("gift", "yes", True),
        ("gift", "no", False),
        ("gift", "perhaps", "perhaps"),
        ("colour", '"green"', '"green"'),
        ("size", "2", 2),
        ("lines", '[{"product": "tea", "pieces": 2}]', [{"product": "tea", "pieces": 2}]),
        ("either", "7", 7),
    ],
)
def test_what_is_typed_is_what_is_meant(name: str, typed: str, meant: Any) -> None:
    text = BY_NAME[name].text(typed)

    assert text is not None
    assert json.loads(text) == meant


def test_what_is_left_out_is_left_out() -> None:
    assert {one.name for one in ALL if one.text("") is None} == {
        *("customer", "story", "count", "some", "rate", "cents", "day", "at", "hour", "colour", "size", "gift"),
        *("sure", "who", "lines", "tags", "either"),
    }
    assert body(ALL, {"must": "x"})[1] == tuple(
        (name, "is needed") for name in ("customer", "story", "count", "day", "colour")
    )


@pytest.mark.parametrize("typed", ['1, "customer": "bob"', "[1", "", '{"a": 1} x', "[" * 100_000])
def test_no_json_that_is_typed_reaches_beyond_its_field(typed: str) -> None:
    needed = {"customer": "ann", "story": "x", "count": "1", "day": "2024-07-01", "colour": '"red"'}

    text, problems = body(ALL, {**needed, "tags": typed})

    assert [name for name, _ in problems] == (["tags"] if typed else [])
    assert json.loads(text)["customer"] == "ann"
    assert "tags" not in json.loads(text)


def test_what_is_wrong_stands_at_its_field_and_the_rest_apart() -> None:
    problems = (("lines.0.pieces", "no number"), ("count", "too small"), ("extra", "is no field"), ("", "too large"))

    assert faulty(problems, ALL) == {
        "lines": ["0.pieces: no number"],
        "count": ["too small"],
        "": ["extra is no field", "too large"],
    }


def test_a_blank_is_a_value() -> None:
    assert BY_NAME["gift"] == Blank(
        name="gift",
        type="bool",
        limits=(),
        sort="yes",
        required=False,
        default="no",
        nullable=False,
        personal=False,
    )
