"""Old versions folded into one: nothing is decided otherwise, and what no longer decides is gone."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from dateline import Entry, Rejected, Runner, UnknownVersion, Versions, load
from dateline.core.catalogue import explained
from dateline.core.replay import deviation, replayed
from dateline.errors import BadVersion
from dateline.run.release import edits, release
from dateline.run.squash import squash
from tests.run.test_release import write

_COUNT = itertools.count()
PRESENT = datetime(2025, 1, 1, tzinfo=UTC)

EFFECTS = """
from dateline import Effect


class Say(Effect, kind="say"):
    text: str
"""

ASKING = '''"""Asking."""

from dateline import Event, Reject, Yields, check, handler, retired
from {name}.effects import Say


class Ask(Event, kind="ask", subjects=("who:{{who}}",)):
    who: str
    loud: bool = False


def said(who: str) -> str:
    return f"yes, {{who}}"


@check
def quiet(event: Ask) -> Yields[Reject]:
    """Nobody shouts."""
    if event.loud:
        yield Reject("loud", "not so loud", field="loud")


@handler
def answer(event: Ask) -> Yields[Say]:
    """Somebody answers."""
    yield Say(text="yes, " + event.who)


@handler
def murmur(event: Ask) -> Yields[Say]:
    yield from ()
'''

KINDLY = '''"""Asking, kindly."""

from dateline import Yields, handler, retired
from {name}.effects import Say
from {name}.versions import v2020_01_01
from {name}.versions.v2020_01_01.asking import Ask, answer, said


@handler(supersedes=answer)
def answer_kindly(event: Ask) -> Yields[Say]:
    """Somebody answers, and means it."""
    yield Say(text={kindly})


no_murmur = retired(v2020_01_01.asking.murmur, because="nobody heard it")
'''

LOUDER = '''"""Asking again."""

from dateline import Yields, handler
from {name}.effects import Say
from {name}.versions.v2020_01_01.asking import Ask
from {name}.versions.v2021_01_01.kind import answer_kindly


@handler(supersedes=answer_kindly)
def answer_twice(event: Ask) -> Yields[Say]:
    yield Say(text="yes").keyed("1")
    yield Say(text="yes").keyed("2")
'''


def application(folder: Path, kindly: str) -> str:
    name = f"squashed_{next(_COUNT)}"
    write(folder / name / "__init__.py", "")
    write(folder / name / "effects.py", EFFECTS)
    root = folder / name / "versions"
    write(root / "__init__.py", "")
    for day, module, text in (
        (date(2020, 1, 1), "asking", ASKING),
        (date(2021, 1, 1), "kind", KINDLY.replace("{kindly}", kindly)),
        (date(2022, 1, 1), "again", LOUDER),
    ):
        write(root / "next" / "__init__.py", f'"""{day}: {module}."""\n')
        write(root / "next" / f"{module}.py", text.format(name=name))
        release(f"{name}.versions", day)
        toml = root / "released.toml"
        heading = f'[versions."{day}".modules]'
        if day.year < 2022:
            toml.write_text(toml.read_text().replace(heading, f"retired = 2024-01-01T00:00:00Z\n{heading}"))
        forget(name)
    test = f"from {name}.versions.v2020_01_01.asking import Ask\nfrom {name}.versions import v2020_01_01\n"
    write(folder / name / "tests" / "test_it.py", test)
    return name


def forget(name: str) -> None:
    for module in [found for found in sys.modules if found.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Make an application with three dates, of which two are retired, and with events that each decided."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(kindly: str = "said(event.who)") -> str:
        name = application(tmp_path, kindly)
        made.append(name)
        for year in (2020, 2021, 2022):
            clock = partial(datetime, year, 6, 1, tzinfo=UTC)
            with Runner(database(name), versions=f"{name}.versions", clock=clock) as runner:
                runner.migrate()
                for body in ({"who": "ann"}, {"who": "bob"}, {"who": "cy", "loud": True}):
                    event = runner.event("ask", body)
                    with suppress(Rejected):
                        runner.dispatch(event, actor="ann", tenant=f"t{year}")
        forget(name)
        return name

    yield make
    for name in made:
        forget(name)


def database(name: str) -> str:
    return f"sqlite:///{name}.db"


def scan(name: str) -> Callable[[Versions], Iterable[Entry]]:
    def entries(versions: Versions) -> Iterable[Entry]:
        with Runner(database(name), versions=versions) as runner:
            yield from runner.scan()

    return entries


def test_what_is_folded_decides_as_before_and_its_dead_code_is_gone(make: Callable[..., str]) -> None:
    name = make()
    root = Path(name, "versions")
    before = explained(load(f"{name}.versions"), "ask", "2022-01-01").document()

    made = squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)

    assert (made.folder, made.folded, made.events) == (root.absolute() / "v2021_01_01", (date(2020, 1, 1),), 3)
    inside = f"{name}.versions.v2020_01_01.asking"
    assert (made.emptied, made.kept) == ((f"{inside}.answer", f"{inside}.murmur"), ())
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*.py")) == [
        "__init__.py",
        "v2021_01_01/__init__.py",
        "v2021_01_01/kind.py",
        "v2021_01_01/v2020_01_01/__init__.py",
        "v2021_01_01/v2020_01_01/asking.py",
        "v2022_01_01/__init__.py",
        "v2022_01_01/again.py",
    ]
    asking = (root / "v2021_01_01" / "v2020_01_01" / "asking.py").read_text()
    assert 'yield Say(text="yes, "' not in asking
    assert '    """Somebody answers."""\n    yield from ()\n' in asking
    assert Path(name, "tests", "test_it.py").read_text() == (
        f"from {name}.versions.v2021_01_01.v2020_01_01.asking import Ask\n"
        f"from {name}.versions.v2021_01_01 import v2020_01_01\n"
    )
    assert list(edits(f"{name}.versions")) == []
    versions = load(f"{name}.versions")
    assert [one.date for one in versions.versions] == [date(2021, 1, 1), date(2022, 1, 1)]
    after = explained(versions, "ask", "2022-01-01").document()
    facts = ("input", "shape", "shapes", "operations", "effects", "rejections", "reads")
    assert {fact: after[fact] for fact in facts} == {fact: before[fact] for fact in facts}
    assert [(one["name"], one["opened"], one["since"]) for one in after["slots"]] == [
        (one["name"], one["opened"], one["since"]) for one in before["slots"]
    ]
    with Runner(database(name), versions=versions, clock=lambda: PRESENT) as runner:
        entries = list(runner.scan())
        assert len(entries) == 9
        assert [deviation(entry, replayed(entry, versions)) for entry in entries] == [None] * 9
        with pytest.raises(UnknownVersion, match="2021-01-01 was retired"):
            runner.dispatch(runner.event("ask", {"who": "ann"}), actor="ann", version="2020-01-01")
        with pytest.raises(UnknownVersion, match="before the first version, 2021-01-01"):
            runner.dispatch(runner.event("ask", {"who": "ann"}), actor="ann", version="2019-12-31")


def test_what_cannot_be_decided_again_since_it_was_erased_hinders_nothing(make: Callable[..., str]) -> None:
    name = make('"yes, " + event.who if event.who == "ann" else "no"')
    with Runner(database(name), versions=Versions.of({"2020-01-01": ()})) as runner, runner.engine.connect() as session:
        # As if `who` had been personal.
        session.exec_driver_sql(
            "INSERT INTO dateline_personal (tenant, seq, path, subject) VALUES ('t2020', 2, '/input/who', 'who:bob')"
        )

    made = squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)

    assert (made.folded, made.events) == ((date(2020, 1, 1),), 2)


def test_where_one_recorded_event_would_be_decided_otherwise_nothing_is_folded(make: Callable[..., str]) -> None:
    name = make('"yes, " + event.who if event.who == "ann" else "no"')
    before = everything(name)

    with pytest.raises(BadVersion) as caught:
        squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)

    assert str(caught.value) == (
        "1 of 3 recorded events would be decided otherwise under 2021-01-01: event 2 (ask, 2020-01-01) in answer/say. "
        "What decided them has to stay: fold up to an earlier date, or none"
    )
    assert everything(name) == before


def test_what_is_not_retired_is_not_folded_nor_what_was_edited_nor_the_first(make: Callable[..., str]) -> None:
    name = make()
    before = everything(name)
    for day, present, told in (
        (date(2022, 1, 1), PRESENT, "2022-01-01 is not retired"),
        (date(2021, 1, 1), datetime(2023, 12, 31, tzinfo=UTC), "2020-01-01 is not retired"),
        (date(2020, 1, 1), PRESENT, "2020-01-01 is the first version"),
        (date(2020, 6, 1), PRESENT, "there is no version 2020-06-01; there are 2020-01-01, 2021-01-01, 2022-01-01"),
    ):
        with pytest.raises(BadVersion, match=told):
            squash(f"{name}.versions", day, scan(name), present=present)
    path = Path(name, "versions", "v2020_01_01", "asking.py")
    path.write_text(path.read_text().replace('"yes, "', '"well, yes, "'))
    forget(name)
    with pytest.raises(BadVersion, match="its module asking was edited since; `dateline check` tells more"):
        squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)
    path.write_text(path.read_text().replace('"well, yes, "', '"yes, "'))
    assert everything(name) == before


def test_a_dry_run_tells_the_same_and_does_nothing(make: Callable[..., str]) -> None:
    name = make()
    before = everything(name)

    dry = squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT, dry=True)

    assert everything(name) == before
    forget(name)
    assert squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT) == dry


def test_what_fails_on_the_way_leaves_everything_as_it_was(make: Callable[..., str]) -> None:
    name = make()
    before = everything(name)
    looks = itertools.count()

    def failing(versions: Versions) -> Iterable[Entry]:
        if next(looks):
            raise OSError("the disk is full")
        yield from scan(name)(versions)

    with pytest.raises(OSError, match="the disk is full"):
        squash(f"{name}.versions", date(2021, 1, 1), failing, present=PRESENT)

    assert everything(name) == before
    assert [path.name for path in Path(name).iterdir() if path.name.startswith(".")] == []


def test_an_import_that_cannot_follow_is_told_and_all_is_as_it_was(make: Callable[..., str]) -> None:
    name = make()
    beside = Path(name, "versions", "__init__.py")
    beside.write_text(
        f"def first():\n    from {name}.versions import (\n        v2020_01_01,\n    )\n\n    return v2020_01_01\n\n\n"
    )
    odd = Path(name, "versions", "v2022_01_01", "again.py")
    odd.write_text(odd.read_text() + f"\n\nfrom {name}.versions import v2021_01_01, v2020_01_01  # noqa\n")
    toml = Path(name, "versions", "released.toml")
    toml.write_text(toml.read_text().partition('[versions."2022-01-01"]')[0])
    forget(name)
    before = everything(name)

    with pytest.raises(BadVersion, match="cannot be loaded any more: ImportError: cannot import name 'v2020_01_01'"):
        squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)

    assert everything(name) == before


def test_a_base_is_folded_into_the_next_one(make: Callable[..., str]) -> None:
    name = make()
    squash(f"{name}.versions", date(2021, 1, 1), scan(name), present=PRESENT)
    toml = Path(name, "versions", "released.toml")
    heading = '[versions."2022-01-01".modules]'
    toml.write_text(toml.read_text().replace(heading, f"retired = 2024-06-01T00:00:00Z\n{heading}"))
    forget(name)
    with pytest.raises(BadVersion, match="4 of 6 recorded events would be decided otherwise under 2022-01-01"):
        squash(f"{name}.versions", date(2022, 1, 1), scan(name), present=PRESENT)
    Path(f"{name}.db").unlink()
    with Runner(database(name), versions=f"{name}.versions") as runner:
        runner.migrate()
    forget(name)

    made = squash(f"{name}.versions", date(2022, 1, 1), scan(name), present=PRESENT)

    root = Path(name, "versions")
    assert made.folded == (date(2020, 1, 1), date(2021, 1, 1))
    assert [
        path.name for path in sorted((root / "v2022_01_01").iterdir()) if path.is_dir() and path.name[0] == "v"
    ] == [
        "v2020_01_01",
        "v2021_01_01",
    ]
    versions = load(f"{name}.versions")
    assert versions.asked("2020-03-03").date == date(2022, 1, 1)
    assert list(edits(f"{name}.versions")) == []


def everything(name: str) -> dict[str, str]:
    """Return the text of every file, by path."""
    return {str(path): path.read_text() for path in sorted(Path(name).rglob("*")) if path.suffix in (".py", ".toml")}
