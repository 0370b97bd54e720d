"""The life of a version: written in `next`, released under a date, kept as it was, and retired."""

from __future__ import annotations

import itertools
import json
import py_compile
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from logging import WARNING
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from sqlalchemy import create_engine, text

from dateline import Preview, Runner, UnknownVersion, load
from dateline.errors import BadVersion, DateBeforeNewest, NameTaken
from dateline.run.loading import record
from dateline.run.release import Released, edits, midnight, new, release, rewrite

_COUNT = itertools.count()

EFFECTS = """
from dateline import Effect


class Say(Effect, kind="say"):
    text: str
"""

FIRST = '''"""Asking."""

from dateline import Event, Yields, handler
from {name}.effects import Say


class Ask(Event, kind="ask"):
    pass


@handler
def answer(event: Ask) -> Yields[Say]:
    """Somebody answers."""
    yield Say(text="yes")
'''

SECOND = '''"""Asking again."""

from dateline import Yields, handler
from {name}.effects import Say
from {name}.versions.next import words
from {name}.versions.v2024_01_01.asking import Ask, answer


@handler(supersedes=answer)
def answer_politely(event: Ask) -> Yields[Say]:
    yield Say(text=words.POLITE)
'''


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An application with one version that is not recorded, and one in `next`; stands beside it."""
    made = f"released_{next(_COUNT)}"
    root = tmp_path / made / "versions"
    write(tmp_path / made / "__init__.py", "")
    write(tmp_path / made / "effects.py", EFFECTS)
    write(root / "__init__.py", "")
    write(root / "v2024_01_01" / "__init__.py", '"""2024-01-01: asking."""\n')
    write(root / "v2024_01_01" / "asking.py", FIRST.format(name=made))
    write(root / "next" / "__init__.py", '"""Politely.\n\nPeople complained.\n"""\n')
    write(root / "next" / "words.py", 'POLITE = "yes, please"\n')
    write(root / "next" / "asking.py", SECOND.format(name=made))
    write(tmp_path / made / "tests" / "test_it.py", f"from {made}.versions import next\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    for module in [found for found in sys.modules if found.partition(".")[0] == made]:
        del sys.modules[module]


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def forget(name: str) -> None:
    """Have Python read the application anew, as the next process would."""
    for module in [found for found in sys.modules if found.partition(".")[0] == name]:
        del sys.modules[module]


def test_a_release_moves_what_is_next_rewrites_who_names_it_and_records_it(name: str) -> None:
    root = Path(name, "versions")

    made = release(f"{name}.versions", date(2025, 6, 1), zone="Europe/Amsterdam")

    assert made.instant == datetime(2025, 5, 31, 22, tzinfo=UTC)
    assert sorted(path.name for path in root.iterdir() if not path.name.startswith("_")) == [
        *("released.toml", "v2024_01_01", "v2025_06_01"),
    ]
    assert f"from {name}.versions.v2025_06_01 import words" in (root / "v2025_06_01" / "asking.py").read_text()
    assert Path(name, "tests", "test_it.py").read_text() == f"from {name}.versions import v2025_06_01 as next\n"
    told = record(root)
    assert told["zone"] == "Europe/Amsterdam"
    assert told["versions"]["2025-06-01"]["instant"] == datetime(2025, 5, 31, 22, tzinfo=UTC)
    assert sorted(told["versions"]["2025-06-01"]["modules"]) == ["__init__", "asking", "words"]
    assert list(told["versions"]["2025-06-01"]["effects"]) == [f"{name}.effects.Say"]
    assert [version.instant for version in load(f"{name}.versions").versions] == [
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2025, 5, 31, 22, tzinfo=UTC),
    ]


def test_a_dry_run_tells_the_same_and_does_nothing(name: str) -> None:
    before = {path: path.read_bytes() for path in Path(name).rglob("*.py")}

    made = release(f"{name}.versions", date(2025, 6, 1), dry=True)

    assert sorted(path.name for path in made.rewritten) == ["asking.py", "test_it.py"]
    assert {path: path.read_bytes() for path in Path(name).rglob("*.py")} == before
    assert not Path(name, "versions", "released.toml").exists()


def test_a_release_that_was_interrupted_is_finished_by_doing_it_again(name: str) -> None:
    root = Path(name, "versions")
    release(f"{name}.versions", date(2025, 6, 1))
    whole = (root / "released.toml").read_text()
    (root / "released.toml").unlink()

    release(f"{name}.versions", date(2025, 6, 1))

    assert (root / "released.toml").read_text() == whole


def test_what_cannot_be_loaded_is_not_released_and_all_is_as_it_was(name: str) -> None:
    path = Path(name, "versions", "next", "asking.py")
    path.write_text(
        path.read_text().replace("supersedes=answer", "supersedes=None").replace("answer_politely", "answer")
    )
    before = path.read_text()

    with pytest.raises(NameTaken):
        release(f"{name}.versions", date(2025, 6, 1))

    assert path.read_text() == before
    assert not Path(name, "versions", "released.toml").exists()


@pytest.mark.parametrize("day", [date(2024, 1, 1), date(2023, 12, 31)])
def test_a_date_that_is_not_after_the_newest_is_refused(name: str, day: date) -> None:
    with pytest.raises(DateBeforeNewest, match=f"{day} is not after 2024-01-01"):
        release(f"{name}.versions", day)


def test_a_second_version_is_written_beside_none(name: str) -> None:
    root = Path(name, "versions")

    with pytest.raises(BadVersion, match="is there already; release it, or go on writing in it"):
        new(root)
    release(f"{name}.versions", date(2025, 6, 1))
    with pytest.raises(BadVersion, match="make it with `dateline new`"):
        release(f"{name}.versions", date(2025, 7, 1))
    new(root)

    assert sorted(path.name for path in (root / "next").iterdir()) == ["__init__.py", "rules.py"]


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (lambda text: text, []),
        (lambda text: "# a comment\n\n" + text.replace("    yield", "\n    yield"), []),
        (lambda text: text.replace('"""Asking again."""', '"""Something else."""'), []),
        (lambda text: text.replace("words.POLITE", "words.POLITE + '!'"), ["edited"]),
    ],
    ids=["untouched", "reformatted", "another docstring", "another text"],
)
def test_an_edit_of_a_released_layer_is_found_and_a_new_layout_is_none(
    name: str, change: object, rules: list[str]
) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    path = Path(name, "versions", "v2025_06_01", "asking.py")
    assert callable(change)
    path.write_text(change(path.read_text()))
    forget(name)

    assert [one.rule for one in edits(f"{name}.versions")] == rules


def test_modules_that_come_and_go_a_folder_that_is_gone_and_an_effect_that_changed_are_found(name: str) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    folder = Path(name, "versions", "v2025_06_01")
    write(folder / "more.py", "")
    effects = Path(name, "effects.py")
    effects.write_text(effects.read_text().replace("text: str", "text: str\n    loud: bool = False"))
    forget(name)

    assert [(one.name, one.rule) for one in edits(f"{name}.versions")] == [
        ("more", "added"),
        (f"{name}.effects.Say", "edited"),
    ]
    folder.rename(Path("elsewhere"))
    assert [(one.name, one.rule) for one in edits(f"{name}.versions")] == [("2025-06-01", "missing")]


def test_a_released_folder_with_another_date_is_found_and_so_is_another_instant(name: str) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    folder, toml = Path(name, "versions", "v2025_06_01"), Path(name, "versions", "released.toml")
    toml.write_text(toml.read_text().replace("2025-06-01T00:00:00Z", "2025-06-03T00:00:00Z"))
    forget(name)

    assert [(one.name, one.rule, one.reason) for one in edits(f"{name}.versions")] == [
        (
            "2025-06-01",
            "re-dated",
            "2025-06-01 was released, and begins at 2025-06-03 00:00:00+00:00, which is no midnight of that date in any zone",
        )
    ]
    toml.write_text(toml.read_text().replace("2025-06-03T00:00:00Z", "2025-06-01T00:00:00Z"))
    moved = folder.with_name("v2025_06_02")
    folder.rename(moved)
    for path in moved.glob("*.py"):
        path.write_text(path.read_text().replace("v2025_06_01", "v2025_06_02"))
    assert [(one.name, one.rule, one.reason) for one in edits(f"{name}.versions")] == [
        ("2025-06-01", "re-dated", "2025-06-01 was released, and its folder is called v2025_06_02 now")
    ]


# A release that slips ---------------------------------------------------------------------------------------------------

BEFORE = datetime(2025, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2025, 6, 2), date(2025, 5, 31)], ids=["later", "earlier"])
def test_a_release_that_slips_is_what_it_would_have_been_under_that_date(name: str, day: date) -> None:
    root = Path(name, "versions")
    release(f"{name}.versions", date(2025, 6, 1), zone="Europe/Amsterdam")
    forget(name)

    made = release(f"{name}.versions", day, slips=BEFORE)

    slipped = everything(Path(name))
    forget(name)
    (root / "released.toml").unlink()
    made.folder.rename(root / "next")
    Path(name, "tests", "test_it.py").write_text(f"from {name}.versions import next\n")
    write(root / "next" / "asking.py", SECOND.format(name=name))
    again = release(f"{name}.versions", day, zone="Europe/Amsterdam")
    assert (everything(Path(name)), made) == (slipped, Released(again.folder, again.instant, made.rewritten))
    assert sorted(path.name for path in made.rewritten) == ["asking.py", "test_it.py"]
    assert list(edits(f"{name}.versions")) == []


def test_what_was_compiled_of_a_file_goes_when_it_is_rewritten_to_the_same_length(tmp_path: Path) -> None:
    path, cached = tmp_path / "one.py", tmp_path / "__pycache__" / "one.cpython-311.pyc"
    path.write_text("DAY = 1\n")
    py_compile.compile(str(path), cfile=str(cached))

    rewrite(path, "DAY = 2\n")

    assert (path.read_text(), cached.exists()) == ("DAY = 2\n", False)


def everything(root: Path) -> dict[str, str]:
    """Return the text of every file, by path."""
    return {str(path): path.read_text() for path in sorted(root.rglob("*")) if path.suffix in (".py", ".toml")}


def test_a_slip_that_was_interrupted_is_finished_by_doing_it_again(name: str) -> None:
    root = Path(name, "versions")
    release(f"{name}.versions", date(2025, 6, 1))
    forget(name)
    interrupted = (root / "released.toml").read_text()
    release(f"{name}.versions", date(2025, 6, 2), slips=BEFORE)
    forget(name)
    whole = everything(Path(name))
    (root / "released.toml").write_text(interrupted)

    release(f"{name}.versions", date(2025, 6, 2), slips=BEFORE)

    assert everything(Path(name)) == whole


def test_what_is_in_force_does_not_slip_nor_does_what_was_never_released(name: str) -> None:
    with pytest.raises(BadVersion, match="nothing was released yet that could slip"):
        release(f"{name}.versions", date(2025, 6, 2), slips=BEFORE)
    release(f"{name}.versions", date(2025, 6, 1))
    before = everything(Path(name))

    for day, present, told in (
        (date(2025, 6, 2), datetime(2025, 6, 1, tzinfo=UTC), "2025-06-01 is in force since 2025-06-01T00:00:00"),
        (date(2025, 6, 1), BEFORE, "2025-06-01 is its date already; name the one that it slips to"),
    ):
        with pytest.raises(BadVersion, match=told):
            release(f"{name}.versions", day, slips=present)
    with pytest.raises(DateBeforeNewest, match="2024-01-01 is not after 2024-01-01, the newest version"):
        release(f"{name}.versions", date(2024, 1, 1), slips=BEFORE)
    assert everything(Path(name)) == before


# Instants ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone", ["UTC", "America/Sao_Paulo", "Asia/Beirut", "America/Havana", "Africa/Cairo", "Pacific/Apia"]
)
def test_versions_of_all_days_begin_one_after_the_other(zone: str) -> None:
    days = [date(2010, 1, 1) + timedelta(days=index) for index in range(6000)]
    # Samoa went past one day, on its way to the other side of the date line.
    there = [day for day in days if (zone, day) != ("Pacific/Apia", date(2011, 12, 30))]

    instants = [midnight(day, ZoneInfo(zone)) for day in there]

    assert all(one < other for one, other in itertools.pairwise(instants))


def test_a_date_that_a_zone_has_not_is_refused() -> None:
    with pytest.raises(BadVersion, match="Pacific/Apia has no 2011-12-30: its clocks went past it"):
        midnight(date(2011, 12, 30), ZoneInfo("Pacific/Apia"))


def test_before_its_instant_a_version_can_be_looked_at_and_not_written_under(name: str, tmp_path: Path) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    toml = Path(name, "versions", "released.toml")
    modules = '[versions."2025-06-01".modules]'
    toml.write_text(toml.read_text().replace(modules, f"retired = 2026-01-01T00:00:00Z\n{modules}"))
    forget(name)
    now = [datetime(2025, 5, 31, 23, 59, tzinfo=UTC)]
    with Runner(f"sqlite:///{tmp_path / 'a.db'}", versions=f"{name}.versions", clock=lambda: now[0]) as runner:
        runner.migrate()
        event = runner.event("ask", {})

        looked = runner.preview(event, actor="ann", version="2025-06-01")
        assert isinstance(looked, Preview)
        assert looked.plan.planned[0].date == "2025-06-01"
        with pytest.raises(UnknownVersion, match=r"2025-06-01 is not in force yet; it begins 2025-06-01T00:00:00"):
            runner.dispatch(event, actor="ann", version="2025-06-01")
        assert runner.dispatch(event, actor="ann").version == date(2024, 1, 1)

        now[0] += timedelta(minutes=1)
        assert runner.dispatch(event, actor="ann").version == date(2025, 6, 1)

        now[0] = datetime(2026, 1, 1, tzinfo=UTC)
        with pytest.raises(UnknownVersion, match=r"2025-06-01 was retired 2026-01-01T00:00:00"):
            runner.dispatch(event, actor="ann", version="2025-06-01")
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM dateline_event")).scalar() == 4
    engine.dispose()


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("UTC", date(2025, 6, 1), datetime(2025, 6, 1, tzinfo=UTC)),
        ("Europe/Amsterdam", date(2025, 6, 1), datetime(2025, 5, 31, 22, tzinfo=UTC)),
        # Its clocks went from midnight to one.
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),
        # Its clocks went from one back to midnight, which came twice.
        ("America/Havana", date(2018, 11, 4), datetime(2018, 11, 4, 4, tzinfo=UTC)),
        # The day before was left out.
        ("Pacific/Apia", date(2011, 12, 31), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
    ids=["UTC", "summer", "midnight is skipped", "midnight comes twice", "a day is skipped"],
)
def test_a_version_comes_into_force_once_at_its_instant_wherever_the_clock_stands(
    name: str, tmp_path: Path, zone: str, day: date, begins: datetime
) -> None:
    first = Path(name, "versions", "v2024_01_01")
    write(Path(name, "versions", "next", "asking.py"), SECOND.format(name=name).replace("2024_01_01", "2010_01_01"))
    first.rename(first.with_name("v2010_01_01"))
    release(f"{name}.versions", day, zone=zone)
    chosen, made = [], [begins + timedelta(minutes=minute) for minute in range(-150, 151, 10)]

    with Runner(f"sqlite:///{tmp_path / 'a.db'}", versions=f"{name}.versions") as runner:
        runner.migrate()
        event = runner.event("ask", {}, version="2010-01-01")
        for moment in made:
            with freeze_time(moment):
                chosen.append(runner.dispatch(event, actor="ann").version)

    assert chosen == [day if moment >= begins else date(2010, 1, 1) for moment in made]


def test_that_a_version_ends_is_said_once_a_program(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    toml = Path(name, "versions", "released.toml")
    told = "deprecated = 2026-01-01T00:00:00Z\nsunset = 2026-06-01T00:00:00Z\n"
    modules = '[versions."2025-06-01".modules]'
    toml.write_text(toml.read_text().replace(modules, told + modules))
    forget(name)
    now = [datetime(2025, 12, 31, tzinfo=UTC)]
    with Runner(f"sqlite:///{tmp_path / 'a.db'}", versions=f"{name}.versions", clock=lambda: now[0]) as runner:
        runner.migrate()
        event = runner.event("ask", {})

        runner.dispatch(event, actor="ann")
        before = warnings(caplog)
        now[0] = datetime(2026, 1, 1, tzinfo=UTC)
        runner.dispatch(event, actor="ann", version="2024-01-01")
        runner.dispatch(event, actor="ann")
        runner.dispatch(event, actor="ann")

    assert before == []
    [line] = warnings(caplog)
    assert {name: fact for name, fact in line.items() if name != "timestamp"} == {
        "event": "deprecated",
        "level": "warning",
        "version": "2025-06-01",
        "since": "2026-01-01T00:00:00+00:00",
        "ends": "2026-06-01T00:00:00+00:00",
        "newest": "2025-06-01",
    }


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return what was said as a warning."""
    return [json.loads(one.message) for one in caplog.records if one.name == "dateline" and one.levelno == WARNING]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            "deprecated = 2026-01-01",
            "2025-06-01 is deprecated at 2026-01-01; write an instant, such as 2027-01-01T00:00:00Z",
        ),
        (
            "deprecated = 2026-02-01T00:00:00Z\nsunset = 2026-01-01T00:00:00Z",
            (
                "2025-06-01 is sunset at 2026-01-01T00:00:00+00:00, before it is deprecated at "
                "2026-02-01T00:00:00+00:00; let sunset be the later one"
            ),
        ),
    ],
)
def test_an_end_that_is_no_instant_or_comes_without_warning_is_refused(name: str, told: str, reason: str) -> None:
    release(f"{name}.versions", date(2025, 6, 1))
    toml = Path(name, "versions", "released.toml")
    modules = '[versions."2025-06-01".modules]'
    toml.write_text(toml.read_text().replace(modules, f"{told}\n{modules}"))
    forget(name)

    with pytest.raises(BadVersion) as caught:
        load(f"{name}.versions")

    assert str(caught.value) == f"released.toml: {reason}"
