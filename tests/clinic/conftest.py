"""The hospital's log where there is one, imported once for all tests; and things that happen at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from clinic.app import open_clinic
from clinic.importer import Import
from dateline import Entry, Runner
from dateline.testing.postgres import Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def hospital_log() -> Path:
    """Give the real log; it is not part of the project, so a test without it says so."""
    folder = Path(os.environ.get("DATELINE_DATA") or ROOT.parent / "shared" / "data")
    path = folder / "sepsis.jsonl.gz"
    if not path.is_file():
        pytest.skip("the hospital's log is not here: name the folder of sepsis.jsonl.gz in DATELINE_DATA")
    return path


@dataclass
class Imported:
    """The whole log, imported once.

    Args:
        summary: What the importer said of it.
    """

    runner: Runner
    summary: dict[str, Any]

    @cached_property
    def trail(self) -> tuple[Entry, ...]:
        """All entries, read once for all tests."""
        return tuple(entries(self.runner))


def entries(runner: Runner) -> Iterator[Entry]:
    """Yield a trail to its end."""
    page = runner.trail(limit=1000)
    yield from page
    while page.next is not None:
        page = runner.trail(limit=1000, after=page.next)
        yield from page


def _imported(url: str, path: Path) -> Iterator[Imported]:
    with open_clinic(url) as runner, path.open("rb") as log:
        misfits: list[Any] = []
        run = Import(runner, misfit=misfits.append, kept=lambda text: None)
        run.run(log)
        runner.sequence()
        assert misfits == []
        yield Imported(runner, run.tally.summary(0))


@pytest.fixture(scope="session")
def on_sqlite(hospital_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """Give the whole log on SQLite. To be read only: all tests share it."""
    yield from _imported(f"sqlite:///{tmp_path_factory.mktemp('hospital') / 'clinic.db'}", hospital_log)


@pytest.fixture(scope="session")
def on_postgresql(hospital_log: Path, postgres18: Postgres) -> Iterator[Imported]:
    """Give the whole log on PostgreSQL. To be read only: all tests share it."""
    # Unique, because a server that DATELINE_TEST_URL names may serve other runs at the same time.
    name = f"clinic_{uuid4().hex}"
    yield from _imported(postgres18.database(name), hospital_log)
    postgres18.drop(name)


@pytest.fixture
def at_once() -> Callable[[list[Callable[[], Any]]], list[Any]]:
    """Give what runs several things at once, each in a thread of its own, and returns what they return."""

    def run(things: list[Callable[[], Any]]) -> list[Any]:
        barrier = Barrier(len(things))

        def started(thing: Callable[[], Any]) -> Any:
            barrier.wait(60)
            return thing()

        with ThreadPoolExecutor(len(things)) as threads:
            return list(threads.map(started, things))

    return run
