"""Opening the clinic makes its tables, once, whoever else does so at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from clinic.app import VERSIONS, open_clinic, runner
from clinic.tables import Base
from dateline import DatelineError, Page, Runner


def test_opening_makes_the_clinics_tables_and_the_trails(database: str) -> None:
    with open_clinic(database) as clinic:
        names = set(inspect(clinic.engine).get_table_names())

    assert set(Base.metadata.tables) < names
    assert "dateline_event" in names


def test_all_that_open_at_once_get_a_clinic(database: str, at_once: Callable[..., list[Any]]) -> None:
    def opened() -> bool:
        open_clinic(database).close()
        return True

    assert at_once([opened] * 6) == [True] * 6


def test_the_clinic_of_a_place_is_found_by_those_who_serve_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATELINE_DATABASE", database)

    async def opened() -> Page:
        async with runner() as clinic:
            return await clinic.trail()

    assert asyncio.run(opened()).entries == ()
    with open_clinic(database) as clinic:
        assert set(Base.metadata.tables) < set(inspect(clinic.engine).get_table_names())


def test_control_making_tables_without_a_lock_fails_for_some_of_them(
    postgresql_url: str, at_once: Callable[..., list[Any]]
) -> None:
    with Runner(postgresql_url, versions=VERSIONS) as clinic:

        def made() -> bool:
            try:
                Base.metadata.create_all(clinic.engine)
            except DBAPIError:
                return False
            return True

        def failed() -> bool:
            Base.metadata.drop_all(clinic.engine)
            return not all(at_once([made] * 6))

        # Six threads may by chance come one after the other, but not twenty times.
        assert any(failed() for _ in range(20))


def test_no_clinic_can_be_opened_where_there_is_no_database(tmp_path: Any) -> None:
    with pytest.raises(DatelineError):
        open_clinic(f"sqlite:///{tmp_path / 'missing' / 'clinic.db'}")
