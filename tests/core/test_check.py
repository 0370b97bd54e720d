"""`checked` finds each offence at its line, and nothing beside it."""

from __future__ import annotations

import random
import re
import sys
import time
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from dateline import (
    Drop,
    Event,
    Plan,
    Record,
    Reject,
    Snapshot,
    Versions,
    Yields,
    check,
    given,
    handler,
    lift,
    load,
    lower,
    rows,
)
from dateline.core.check import Finding, checked, refused
from dateline.core.version import Layer, Version
from dateline.errors import NotInForce, Unloadable
from tests.core import offences
from tests.core.library import Base, Book, Remind
from tests.core.test_amendment import FIRST, Give, Log, Note, quiet, write

HERE = Path(__file__)
_RULE = re.compile(r"# (clock|chance|outside|environment|state|order|version|undeclared|keyless|round-trip)$")


def functions() -> list[object]:
    return [found for found in vars(offences).values() if hasattr(found, "__dateline__")]


def test_each_offence_is_found_at_its_line_and_each_innocent_neighbour_is_left_alone() -> None:
    later = [offences.AskTwice, offences.twice, offences.once]
    found = checked(Versions.of({"2024-01-01": [offences.Ask, *functions()], "2024-02-01": later}))

    lines = Path(offences.__file__).read_text().splitlines()
    planted = {(number, met[1]) for number, line in enumerate(lines, 1) if (met := _RULE.search(line))}
    assert len(planted) == 33
    assert {(one.line, one.rule) for one in found if one.severity == "error"} == planted
    assert {one.file for one in found if one.severity == "error"} == {offences.__file__}


def test_a_finding_says_what_where_and_the_way_out() -> None:
    [found] = checked(Versions.of({"2024-01-01": [offences.Ask, offences.by_a_helper]}))

    assert found.document() == {
        "file": offences.__file__,
        "line": offences._helper.__code__.co_firstlineno + 1,
        "name": "_helper",
        "rule": "clock",
        "severity": "error",
        "reason": "asks the clock: time.time()",
        "mend": "use event.meta.at",
    }


class Seen(Record[Book]):
    id: str
    copies: int
    shelf: str | None


class Shelf(Snapshot):
    book: Seen = rows(Book.id == given("book"))


class Look(Event, kind="look"):
    book: str


@handler
def look(event: Look, shelf: Shelf) -> Yields[Remind]:
    if shelf.book.copies:
        yield Remind(reader=1)


@handler
def look_at_all(event: Look, shelf: Shelf) -> Yields[Remind]:
    if getattr(shelf.book, "shelf"):  # noqa: B009 - so that the column is named by a text
        yield Remind(reader=2)


def test_a_column_that_nobody_looks_at_is_a_warning() -> None:
    found = checked(Versions.of({"2024-01-01": [Look, look]}))

    assert [(one.name, one.rule, one.severity, one.reason) for one in found] == [
        ("Seen", "unused", "warning", "reads book.shelf, and nobody who takes the record looks at it")
    ]
    assert found[0].line == 1 + HERE.read_text().splitlines().index("class Seen(Record[Book]):")
    assert checked(Versions.of({"2024-01-01": [Look, look, look_at_all]})) == ()


def test_a_layer_that_imports_of_a_later_date_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "early.py"
    path.write_text(
        "import os\nfrom shop.v2024_01_01 import old\nfrom shop.v2025_01_01.new import thing\nimport shop.v2026_01_01\n"
    )
    module = ModuleType("shop_v2024_06_01_early")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    day = date(2024, 6, 1)
    versions = Versions((Version(day, load("versions").versions[0].instant),), (Layer(day, module.__name__, ()),))

    assert [(one.line, one.rule, one.reason) for one in checked(versions)] == [
        (3, "later", "imports shop.v2025_01_01.new, which is of a later date than its own, 2024-06-01"),
        (4, "later", "imports .shop.v2026_01_01, which is of a later date than its own, 2024-06-01"),
    ]


def test_what_cannot_be_loaded_is_a_finding_with_its_place() -> None:
    with pytest.raises(Unloadable) as told:
        Versions.of({"2024-01-01": (*FIRST, quiet)})

    found = refused(told.value)

    assert (found.rule, found.severity, found.name) == ("not-earlier", "error", "quiet")
    assert (Path(found.file).name, found.mend) == ("test_amendment.py", "amend it from a slot of a later date")


def test_a_refusal_without_a_place_is_a_finding_all_the_same() -> None:
    assert refused(NotInForce("nothing is known; look again")) == Finding(
        "", 0, "", "not-in-force", "error", "nothing is known", "look again"
    )


def test_the_clinic_is_clean() -> None:
    assert checked(load("versions")) == ()


# Amendments, imports, old columns -----------------------------------------------------------------------------------------


@check
def picky(event: Give) -> Yields[Reject]:
    if event.book == "none":
        yield Reject("none", "a book is needed")
    if event.book == "all":
        yield Reject("greedy", "one book at a time")


@check
def milder(event: Give) -> Yields[Drop]:
    yield Drop(picky, "greedy", because="books are many")
    yield Drop(picky, "gready", because="books are many")


@check
def by_its_name(event: Give) -> Yields[Reject]:
    yield Reject(event.book, "nobody knows which code this is")


@check
def milder_still(event: Give) -> Yields[Drop]:
    yield Drop(by_its_name, "anything", because="it may be one")


def test_an_amendment_of_a_code_that_nobody_uses_is_found() -> None:
    versions = Versions.of({"2024-01-01": [Give, picky, by_its_name], "2024-02-01": [milder, milder_still]})

    assert [(one.name, one.rule, one.severity, one.reason) for one in checked(versions)] == [
        ("milder", "code", "error", "amends picky/gready, and picky of 2024-01-01 rejects with greedy, none")
    ]


@handler
def counts(event: Give, plan: Plan) -> Yields[Log]:
    yield Log(text=str(len(plan.planned)))


@handler
def never(event: Give) -> Yields[Drop]:
    yield Drop(write, Note, because="nobody reads it")


def test_an_amendment_of_what_somebody_had_read_is_a_warning() -> None:
    days = [Give, write], [counts], [never]
    reading = Versions.of(dict(zip(("2024-01-01", "2024-02-01", "2024-03-01"), days, strict=True)))
    before = Versions.of({"2024-01-01": [Give, write], "2024-02-01": [never], "2024-03-01": [counts]})

    assert [(one.name, one.rule, one.severity, one.reason) for one in checked(reading)] == [
        (
            "never",
            "read-before",
            "warning",
            "amends write/note, and counts of 2024-02-01 has looked at the plan before: what it read stays read",
        )
    ]
    assert checked(before) == ()


def test_a_layer_that_imports_what_was_installed_from_elsewhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rules.py"
    path.write_text(
        "import os.path, pytest\nfrom sqlalchemy.orm import Mapped\nfrom pydantic import Field\nimport annotated_types\n"
        "from dateline import Event\nfrom tests.core import library\nfrom orjson import dumps\nfrom . import beside\n"
    )
    module = ModuleType("shop_v2024_06_01_rules")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    day = date(2024, 6, 1)
    versions = Versions((Version(day, load("versions").versions[0].instant),), (Layer(day, module.__name__, ()),))

    assert [(one.line, one.rule, one.reason.partition(",")[0]) for one in checked(versions)] == [
        (1, "import", "imports pytest"),
        (7, "import", "imports orjson"),
    ]


class Crate(Base):
    __tablename__ = "crate"

    id: Mapped[str] = mapped_column(primary_key=True)
    grams: Mapped[int]


@lower(Crate)
def weighed(grams: int) -> str:
    return f"{grams} at {time.time()}"


@lift(Crate)
def weight(weighed: str) -> dict[str, int]:
    return {"grams": random.randint(1, 2)}


class OldCrate(Record[Crate]):
    id: str
    weighed: str


class Crates(Snapshot):
    crate: OldCrate = rows(Crate.id == given("book"))


@handler
def weigh(event: Look, crates: Crates) -> Yields[Remind]:
    if crates.crate.weighed:
        yield Remind(reader=1)


def test_what_maps_old_columns_has_to_be_pure_too() -> None:
    versions = Versions.of({"2024-01-01": [Look, OldCrate, weigh]})

    assert [(one.name, one.rule) for one in checked(versions)] == [("weighed", "clock"), ("weight", "chance")]
