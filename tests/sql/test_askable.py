"""What a snapshot asks of its event is known before there is one: each path is checked against the types, as far as they tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, NewType, cast

import pytest
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dateline import Event, Personal, Snapshot, Versions, Yields, given, handler, rows
from dateline.core.canon import canonical
from dateline.core.cascade import Cascade
from dateline.errors import NotQueried
from dateline.sql.dialect import askable, asked, question
from tests.core.library import Book, Remind, Stock

Isbn = NewType("Isbn", str)


class Shelf(Enum):
    LOW = "low"


class Code(str):
    """A text that knows more than texts do."""

    __slots__ = ("country",)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Page(BaseModel):
    number: int = 1
    inner: Page | None = None

    @property
    def doubled(self) -> int:
        return 2 * self.number

    @cached_property
    def tripled(self) -> int:
        return 3 * self.number


@dataclass
class Place:
    room: str = "north"
    other: Page | str = ""


class Named(BaseModel):
    name: Personal[str] = ""


class Find(Event, kind="find"):
    book: str = "moby"
    isbn: Isbn = Isbn("1")
    reader: Annotated[int, Field(gt=0)] = 1
    name: Personal[str] | None = None
    since: datetime | None = None
    day: date = date(2024, 1, 1)
    shelf: Shelf = Shelf.LOW
    code: Code = Code("de-1")
    page: Page = Page()
    maybe: Page | None = None
    loose: Loose = Loose()
    either: Page | str = ""
    place: Place = Place()
    many: tuple[Page, ...] = ()
    anything: Any = None
    who: Named | Page | None = None

    @property
    def upper(self) -> str:
        return self.book.upper()


def asking(path: str, plus: timedelta | None = None) -> Cascade:
    """Return a cascade whose one handler asks by this path."""
    namespace = {
        "__module__": __name__,
        "__annotations__": {"book": Stock},
        "book": rows(Book.id == given(path, plus=plus)),
    }
    look = cast(Any, type(Snapshot))("Look", (Snapshot,), namespace)

    def find(event: Find, look: Any) -> Iterator[Any]:
        yield from ()

    find.__annotations__ = {"event": Find, "look": look, "return": Yields[Remind]}
    return Versions.of({"2024-01-01": [Find, handler(find)]}).cascade("find", date(2024, 1, 1))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("bok", "asks for 'bok', which Find has not; it has anything, book, code, day, "),
        ("meta.when", "which Meta has not; it has actor, at, cause, id, late, origin, "),
        ("meta.actor.name", "which Actor has not; it has authenticated_by, id, "),
        ("meta.reason.code.first", "which str has not; end the path before str's own"),
        ("meta.at.date", "asks for 'date', which datetime has not"),
        ("book.title", "asks for 'title', which str has not; end the path before str's own"),
        ("book.upper", "asks for 'upper', which str has not"),
        ("isbn.first", "asks for 'first', which str has not"),
        ("reader.name", "asks for 'name', which int has not"),
        ("name.first", "asks for 'first', which str has not"),
        ("since.hours", "asks for 'hours', which datetime has not"),
        ("page.count", "asks for 'count', which Page has not; it has inner, number"),
        ("page.inner.inner.count", "asks for 'count', which Page has not"),
        ("page.model_dump", "asks for 'model_dump', which Page has not"),
        ("maybe.count", "asks for 'count', which Page has not"),
        ("place.floor", "asks for 'floor', which Place has not; it has other, room"),
        ("place.room.floor", "asks for 'floor', which str has not"),
        ("many.number", "asks for 'number', which tuple has not"),
        ("stamped", "asks for 'stamped', which Find has not"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_with_its_place_and_mend(path: str, told: str) -> None:
    with pytest.raises(NotQueried, match=told) as refused:
        askable(asking(path))

    assert "test_askable.py" in str(refused.value)
    assert f" Look, field book, read for Find: given({path!r}) " in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        *("book", "upper", "subjects", "meta.id", "meta.actor.id", "meta.reason.text", "meta.at.year", "since.year"),
        *(
            "shelf.value",
            "code.country",
            "page.number",
            "page.doubled",
            "page.tripled",
            "page.inner.inner.inner.number",
        ),
        *(
            "maybe.number",
            "loose.whatever",
            "either.whatever",
            "place.room",
            "place.other.whatever",
            "anything.deep.er",
        ),
    ],
)
def test_where_types_allow_a_path_or_do_not_tell_nothing_is_refused(path: str) -> None:
    askable(asking(path))


@pytest.mark.parametrize("path", ["since", "day", "meta.at", "anything"])
def test_a_duration_can_be_added_to_instants_and_dates(path: str) -> None:
    askable(asking(path, timedelta(days=1)))


@pytest.mark.parametrize(("path", "named"), [("book", "str"), ("reader", "int"), ("meta.tenant", "str")])
def test_a_duration_cannot_be_added_to_anything_else(path: str, named: str) -> None:
    with pytest.raises(NotQueried, match=rf"given\('{path}'\) is {named}; plus= is for an instant or a date"):
        askable(asking(path, timedelta(days=1)))


@pytest.mark.parametrize(("path", "kept"), [("who.name", {}), ("name", {}), ("page.number", {"page.number": 1})])
def test_a_personal_value_is_not_kept_a_second_time_whichever_class_it_is_taken_from(
    path: str, kept: dict[str, Any]
) -> None:
    [one] = asking(path).fields

    [told] = asked([question(one)], Find(who=Named(name="Ann Lee")))

    assert json.loads(canonical(told))["given"] == kept


def test_what_cannot_be_put_into_sql_is_told_with_its_place() -> None:
    class Look(Snapshot):
        books: tuple[Stock, ...] = rows(order_by="nothing")

    def find(event: Find, look: Any) -> Iterator[Any]:
        yield from ()

    find.__annotations__ = {"event": Find, "look": Look, "return": Yields[Remind]}
    cascade = Versions.of({"2024-01-01": [Find, handler(find)]}).cascade("find", date(2024, 1, 1))

    with pytest.raises(NotQueried, match=r"test_askable\.py.* .*Look, field books: Can't resolve .*'nothing'"):
        askable(cascade)
