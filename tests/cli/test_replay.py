"""`dateline replay`, `diff`, `correct`, `drift`, `adopt`, `rebuild`, `as-of` and `erase`, as people type them."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from dateline import Runner
from tests.cli.conftest import Ran

NUMBERS = count()

FILES = {
    "__init__.py": "",
    "tables.py": """
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from dateline import Effect, Personal

class Base(MappedAsDataclass, DeclarativeBase):
    pass

class Guest(Base):
    __tablename__ = "guest"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[Personal[str]]
    nights: Mapped[int] = mapped_column(default=0)

class Card(Effect, kind="card", key="{guest}"):
    guest: str
    nights: int
""",
    "versions/__init__.py": "",
    "versions/v2024_01_01/__init__.py": '"""The inn opens."""\n',
    "versions/v2024_01_01/stays.py": """
from dateline import Event, Insert, Personal, Record, Snapshot, Update, Yields, given, handler, rows
from INN.tables import Guest

class Seen(Record[Guest], subject="guest:{id}"):
    id: str
    nights: int

class Book(Snapshot):
    guest: Seen | None = rows(Guest.id == given("guest"))

class Stay(Event, kind="stay", subjects=("guest:{guest}",)):
    guest: str
    name: Personal[str]
    nights: int

@handler
def nights_are_counted(event: Stay, book: Book) -> Yields[Insert[Guest] | Update[Guest]]:
    \"\"\"Every night counts.\"\"\"
    if book.guest is None:
        yield Insert(Guest, id=event.guest, name=event.name, nights=event.nights)
    else:
        yield Update(book.guest, nights=book.guest.nights + event.nights)
""",
    "versions/v2024_06_01/__init__.py": '"""Cards are sent."""\n',
    "versions/v2024_06_01/stays.py": """
from dateline import Yields, handler
from INN.tables import Card
from INN.versions.v2024_01_01.stays import Stay

@handler
def long_stays_get_a_card(event: Stay) -> Yields[Card]:
    \"\"\"Long is three nights.\"\"\"
    if event.nights >= 3:
        yield Card(guest=event.guest, nights=event.nights)
""",
}

NEXT = """
from dateline import Yields, handler
from INN.tables import Card
from INN.versions.v2024_06_01 import stays as old

@handler(supersedes=old.long_stays_get_a_card)
def long_stays_get_a_card(event: old.Stay) -> Yields[Card]:
    if event.nights >= 2:
        yield Card(guest=event.guest, nights=event.nights)
"""

WATCHING = """
from datetime import datetime
from dateline import Yields, handler
from INN.tables import Card
from INN.versions.v2024_01_01.stays import Stay

@handler
def cards_on_even_years(event: Stay) -> Yields[Card]:
    yield Card(guest=event.guest, nights=datetime.now().year)
"""


class Inn:
    """An application on disk, with its database."""

    def __init__(self, folder: Path, dateline: Callable[..., Ran]) -> None:
        self.name = f"inn{next(NUMBERS)}"
        self.folder, self._dateline = folder, dateline
        for file, code in FILES.items():
            self.write(file, code)
        self.url = f"sqlite:///{folder / 'inn.db'}"
        self.engine = create_engine(self.url)
        importlib.import_module(f"{self.name}.tables").Base.metadata.create_all(self.engine)

    def write(self, file: str, code: str) -> None:
        path = self.folder / self.name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code.replace("INN", self.name))

    def stays(self, *nights: int, version: str = "2024-01-01") -> None:
        with Runner(self.url, versions=f"{self.name}.versions") as runner:
            runner.migrate()
            for number, long in enumerate(nights):
                event = runner.event(
                    "stay", {"guest": f"g{number % 2}", "name": "Ann", "nights": long}, version=version
                )
                runner.dispatch(event, actor="desk", version=version)

    def run(self, *arguments: str) -> Ran:
        command, *rest = arguments
        return self._dateline(command, "--database", self.url, "--versions", f"{self.name}.versions", *rest)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").out)

    def execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def guests(self) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text("SELECT id, name, nights FROM guest ORDER BY id"))]


@pytest.fixture
def inn(tmp_path: Path, dateline: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Iterator[Inn]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    made = Inn(tmp_path, dateline)
    yield made
    made.engine.dispose()


def test_replaying_tells_what_differs_in_whose_step_and_by_how_much(inn: Inn) -> None:
    inn.stays(1, 3, 5)

    found = inn.run("replay", "--version", "2024-06-01")

    assert found.status == 0
    assert found.out.splitlines()[0] == "3 events: 1 the same, 2 different"
    assert "       2 + new     long_stays_get_a_card/card" in found.out
    assert (
        f"by long_stays_get_a_card of 2024-06-01, {inn.name}.versions.v2024_06_01.stays; such as event 2, 3"
        in found.out
    )


def test_replaying_as_json_has_keys_that_stay(inn: Inn) -> None:
    inn.stays(1, 3, 5)

    found = inn.json("replay", "--version", "2024-06-01")

    assert found.pop("seconds") >= 0
    assert found == {
        "events": 3,
        "same": 1,
        "different": 2,
        "reconstructed": 0,
        "unanswerable": 0,
        "failed": 0,
        "effects": {"card": {"recorded": 0, "replayed": 2}},
        "operations": {"guest": {"insert": {"recorded": 2, "replayed": 2}, "update": {"recorded": 1, "replayed": 1}}},
        "rejections": {},
    }


def test_filters_choose_which_events(inn: Inn) -> None:
    inn.stays(1, 3, 5)

    counts = [
        inn.json("replay", "--version", "2024-06-01", *filters)["events"]
        for filters in (
            ("--subject", "guest:g0"),
            ("--kind", "stay"),
            ("--kind", "leave"),
            ("--by", "desk"),
            ("--recorded", "2024-06-01"),
            ("--after", "2"),
            ("--since", "2024-01-01"),
            ("--until", "2024-01-01"),
        )
    ]

    assert counts == [2, 3, 0, 3, 0, 1, 3, 0]


def test_what_comes_to_what_was_recorded_ends_well_and_what_does_not_is_an_error(inn: Inn) -> None:
    inn.stays(1, 3)
    well = inn.run("replay", "--processes", "1")
    inn.execute("UPDATE dateline_operation SET declared = '{\"nights\":9}' WHERE seq = 2")

    ill = inn.run("replay", "--processes", "1")

    assert (well.status, ill.status) == (0, 1)
    assert "1 ~ changed nights_are_counted/Insert:guest" in ill.out


def test_an_event_that_cannot_be_read_is_listed_and_the_others_go_on(inn: Inn) -> None:
    inn.stays(1, 3, 5)
    inn.execute("UPDATE dateline_event SET body = 'torn' WHERE seq = 2")
    inn.execute("UPDATE dateline_event SET occurred_at = 'never' WHERE seq = 1")

    found = inn.run("replay")

    assert found.status == 1
    assert found.out.splitlines()[0] == "3 events: 1 the same, 0 different, 2 failed"
    assert "such as event 1" in found.out
    assert "such as event 2" in found.out


def test_what_looks_at_the_clock_is_found_by_verifying(inn: Inn) -> None:
    inn.write("versions/v2024_09_01/__init__.py", '"""It looks."""\n')
    inn.write("versions/v2024_09_01/stays.py", WATCHING)
    inn.stays(1, version="2024-06-01")
    inn.stays(1, version="2024-09-01")

    plain, verified = inn.run("replay", "--processes", "1"), inn.run("replay", "--verify", "--processes", "1")

    assert (plain.status, verified.status) == (0, 1)
    assert "cards_on_even_years" in verified.out


def test_what_the_next_version_would_have_done_is_told_beforehand(inn: Inn) -> None:
    inn.stays(1, 2, 3, version="2024-06-01")
    inn.write("versions/next/__init__.py", '"""Two nights are long."""\n')
    inn.write("versions/next/stays.py", NEXT)

    found = inn.run("replay", "--impact", "--processes", "1")

    assert found.status == 0
    assert found.out.splitlines()[0] == "3 events: 2 the same, 1 different"
    assert "effect  card" in found.out
    assert "newest  next" in found.out


def test_only_one_way_to_replay_can_be_asked_for(inn: Inn) -> None:
    inn.stays(1)

    found = inn.run("replay", "--verify", "--impact")

    assert found.status == 2
    assert "one of --version, --verify and --impact" in found.err


def test_a_difference_stands_side_by_side_in_the_handlers_own_words(inn: Inn) -> None:
    inn.stays(1, 3)

    found = inn.run("diff", "2", "2024-06-01")
    told = inn.json("diff", "2", "2024-06-01")

    assert found.out.splitlines() == [
        "stay  event 2",
        "- 2024-01-01  committed",
        "+ 2024-06-01  committed",
        "",
        "+ effect card  long_stays_get_a_card/card[g1]",
        "    guest   g1",
        "    nights  3",
        f"    + by long_stays_get_a_card of 2024-06-01, {inn.name}.versions.v2024_06_01.stays",
        "      Long is three nights.",
    ]
    assert sorted(told) == sorted(
        ("event", "seq", "kind", "asked", "before", "after", "same", "baseline", "items", "rekeyed")
    )
    assert told["items"][0]["cells"] == [
        {"name": "guest", "before": None, "after": "g1"},
        {"name": "nights", "before": None, "after": 3},
    ]
    assert inn.run("diff", "1", "2024-06-01").out.splitlines()[-1] == "No difference."
    assert inn.run("diff", "9", "2024-06-01").err.strip() == (
        "dateline: there is no event 9; where tenants are kept apart, name one"
    )


def test_personal_values_are_masked_unless_they_are_asked_for(inn: Inn) -> None:
    inn.stays(1)

    masked, shown = (inn.run("diff", "1", "--input", "name=Bob", *more) for more in ((), ("--unmask",)))

    assert "name  ••• → •••" in masked.out
    assert "Ann" not in masked.out
    assert "name  Ann → Bob" in shown.out


def test_correcting_is_shown_first_and_done_on_demand_and_once(inn: Inn) -> None:
    inn.stays(1, 3, 5)
    how = ("correct", "--version", "2024-06-01", "--actor", "auditor", "--reason", "June's rules")

    shown, done, again = inn.run(*how), inn.run(*how, "--perform"), inn.run(*how, "--perform")

    assert shown.out.splitlines()[-2:] == ["2 events: 2 held", "Nothing was written; --perform does it."]
    assert done.out.splitlines()[-1] == "2 events: 2 held"
    assert again.out.splitlines() == ["0 events: nothing to do"]


def test_only_some_differences_are_performed_where_they_are_named(inn: Inn) -> None:
    inn.stays(1, 3, 5)
    how = ("correct", "--version", "2024-06-01", "--actor", "auditor", "--perform", "--json")

    some = inn.run(*how, "--only", "long_stays_get_a_card/card[g0]").out.splitlines()
    rest = inn.run(*how, "--only", "long_stays_get_a_card/card").out.splitlines()

    assert json.loads(some[-1]) == {"events": 2, "performed": True, "statuses": {"held": 1, "open": 1}}
    assert json.loads(rest[-1]) == {"events": 1, "performed": True, "statuses": {"held": 1}}
    assert sorted(json.loads(rest[0])) == ["event", "items", "needs", "number", "readers", "root", "seq"]


def test_writes_past_the_trail_are_told_and_the_exit_says_so(inn: Inn) -> None:
    inn.stays(1, 3)
    well = inn.run("drift")
    inn.execute("UPDATE guest SET nights = 9, name = 'Bea' WHERE id = 'g0'")

    ill, told = inn.run("drift"), json.loads(inn.run("drift", "--json").out)

    assert (well.status, well.out) == (0, "The tables are as the trail says.\n")
    assert (ill.status, ill.out.splitlines()) == (
        1,
        ["guest g0  updated past the trail, after event 1", '  name "•••" → "•••"', "  nights 1 → 9", "1 found."],
    )
    assert told["columns"] == [
        {"name": "name", "recorded": "•••", "found": "•••"},
        {"name": "nights", "recorded": 1, "found": 9},
    ]


def test_rows_from_before_are_adopted_and_a_row_is_shown_as_it_was(inn: Inn) -> None:
    inn.execute("INSERT INTO guest VALUES ('old', 'Old', 7)")
    inn.stays(1, 3, 5)
    unknown = inn.run("as-of", "1", "guest", "old")

    adopted = inn.run("adopt", "guest", "--actor", "keeper")

    assert unknown.status == 2
    assert "`dateline adopt guest` makes it know it" in unknown.err
    assert adopted.out == "guest: 1 row adopted.\n"
    assert inn.run("as-of", "1", "guest", "g0").out.splitlines() == ["id      g0", "name    •••", "nights  1"]
    assert inn.json("as-of", "3", "guest", "g0") == {"id": "g0", "name": "•••", "nights": 6}
    assert (inn.run("as-of", "1", "guest", "g1").status, inn.run("drift").status) == (1, 0)


def test_the_tables_are_made_again_somewhere_else_and_nowhere_twice(inn: Inn) -> None:
    inn.stays(1, 3, 5)
    again = f"sqlite:///{inn.folder / 'again.db'}"

    first, second = (inn.run("rebuild", "--into", again) for _ in range(2))

    with create_engine(again).connect() as connection:
        rows = [tuple(row) for row in connection.execute(text("SELECT id, name, nights FROM guest ORDER BY id"))]
    assert rows == inn.guests()
    assert first.out == "guest: 2 rows\n"
    assert (second.status, second.err) == (2, "dateline: guest holds rows already; rebuild into empty tables\n")
    assert inn.run("rebuild").err == "dateline: name one place: another database by its URL, or a schema of this one\n"
