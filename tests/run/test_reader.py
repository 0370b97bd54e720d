"""A trail can be read where its application is not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dateline import DatelineError, Versions
from dateline.errors import NotMigrated, Unreachable
from dateline.run.reader import Reader
from tests.cli.bank import VERSIONS, Pay, lived


def test_without_versions_entries_are_whole_but_for_their_type(database: str) -> None:
    lived(database)

    with Reader(database) as reader:
        [entry] = reader.trail(kind="pay", outcome="committed")

    assert entry.event is None
    assert entry.input == {"account": "ann", "cents": 9_00}
    assert [(one.table, one.before, one.after) for one in entry.operations] == [
        (
            "account",
            {"cents": 15_00, "id": "ann", "owner": "Ann Lee"},
            {"cents": 6_00, "id": "ann", "owner": "Ann Lee"},
        )
    ]


def test_with_versions_entries_carry_their_events(sqlite_url: str) -> None:
    lived(sqlite_url)

    with Reader(sqlite_url, versions=VERSIONS) as reader:
        [entry] = reader.trail(kind="pay", outcome="committed")

    assert entry.event == Pay(account="ann", cents=9_00)


def test_an_event_that_the_versions_cannot_read_comes_untyped(sqlite_url: str) -> None:
    lived(sqlite_url)

    with Reader(sqlite_url, versions=Versions.of({"2024-01-01": []})) as reader:
        assert [entry.event for entry in reader.trail()] == [None] * 4


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with Reader(f"sqlite:///{tmp_path}/none.db") as reader:
        for read in (reader.trail, reader.verify):
            with pytest.raises(Unreachable, match=r"there is no file .*none\.db"):
                read()

    assert list(tmp_path.iterdir()) == []


def test_a_database_without_a_trail_is_told(database: str) -> None:
    if database.startswith("sqlite"):
        Path(database.removeprefix("sqlite:///")).touch()

    with Reader(database) as reader, pytest.raises(NotMigrated, match="dateline migrate"):
        reader.trail()


def test_migrating_makes_a_trail_to_read(database: str) -> None:
    with Reader(database) as reader:
        reader.migrate()

        assert len(reader.trail()) == 0
        assert reader.verify().ok


def test_settings_that_cannot_be_are_told_without_their_value(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setenv("DATELINE_POOL", "hunter2")

    with pytest.raises(DatelineError, match="pool") as raised:
        Reader(sqlite_url)

    assert "hunter2" not in str(raised.value)
