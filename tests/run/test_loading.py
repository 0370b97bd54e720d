"""A package of versions is loaded whole: what is meant as a date and is none is refused, and not left out without a word."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dateline import load
from dateline.errors import BadVersion, NotQueried

Loaded = Callable[[dict[str, str]], list[str]]
NUMBERS = count()


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    """Give what makes a package of these files, loads it, and returns its dates."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    name = f"package_of_versions_{next(NUMBERS)}"

    def load_files(files: dict[str, str]) -> list[str]:
        for path, text in {"__init__.py": "", **files}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return [str(version.date) for version in load(name).versions]

    yield load_files
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


GOOD = {"v2024_01_01/__init__.py": '"""The first."""'}


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("2025_10_01", "is no date, and would be left out; name the folder v2025_10_01"),
        ("2025-10-01", "name the folder v2025_10_01"),
        ("20251001", "name the folder v2025_10_01"),
        ("v2025-10-01", "name the folder v2025_10_01"),
        ("v2025.10.01", "name the folder v2025_10_01"),
        ("v20251001", "name the folder v2025_10_01"),
        ("v2025_1_1", "name the folder v2025_01_01"),
        ("V2025_10_01", "name the folder v2025_10_01"),
        ("v_2025_10_01", "name the folder v2025_10_01"),
        ("version_2025_10_01", "name the folder v2025_10_01"),
        ("2025_10_01_prices", "name the folder v2025_10_01"),
        ("v2025_10", "name the folder vYYYY_MM_DD, such as v2024_01_01"),
        ("v2", "name the folder vYYYY_MM_DD"),
        ("v2025_13_01", r"is no date \(month must be in 1..12.*\); name the folder of one that the calendar has"),
        ("v2025_02_29", r"is no date \(day .*\); name the folder of one"),
    ],
)
@pytest.mark.parametrize("file", ["__init__.py", "rules.py"])
def test_a_folder_that_is_meant_as_a_date_and_is_none_is_refused(
    loaded: Loaded, folder: str, file: str, told: str
) -> None:
    with pytest.raises(BadVersion, match=told) as refused:
        loaded(GOOD | {f"{folder}/{file}": ""})

    assert folder in str(refused.value)


def test_a_folder_of_a_date_is_a_package(loaded: Loaded) -> None:
    with pytest.raises(BadVersion, match=r"v2025_10_01 \(.*\) has no __init__\.py; add one"):
        loaded(GOOD | {"v2025_10_01/rules.py": ""})


def test_a_version_is_a_folder_and_no_module(loaded: Loaded) -> None:
    with pytest.raises(BadVersion, match=r"is a module; .* move it into a folder v2025_10_01"):
        loaded(GOOD | {"v2025_10_01.py": ""})


@pytest.mark.parametrize(
    "other",
    [
        *("next/__init__.py", "next/rules.py", "drafts/rules.py", "vat/__init__.py", "v/__init__.py"),
        *("old_2023_01_01/__init__.py", "3rdparty/x.py", "prices.py", "v2025-10-01/notes.txt", "README.md"),
    ],
)
def test_what_is_clearly_no_date_is_left_alone(loaded: Loaded, other: str) -> None:
    assert loaded(GOOD | {other: "raise SystemExit('executed')" if other.endswith(".py") else ""}) == ["2024-01-01"]


RULES = """
from dateline import Effect, Event, Snapshot, Yields, given, handler, rows
from tests.core.library import Book, Stock

class Found(Event, kind="found"):
    book: str

class Look(Snapshot):
    book: Stock = rows(Book.id == given("book.nowhere"))

class Tell(Effect, kind="tell"):
    pass

@handler
def tell(event: Found, look: Look) -> Yields[Tell]:
    yield Tell()
"""


def test_a_path_that_leads_nowhere_is_found_without_a_database(loaded: Loaded) -> None:
    with pytest.raises(NotQueried, match=r"v2024_01_01.rules\.py(:\d+)? Look, field book, read for Found: given"):
        loaded(GOOD | {"v2024_01_01/rules.py": RULES})
