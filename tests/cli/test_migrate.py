"""`dateline migrate`: makes the trail's tables, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import create_engine, inspect

from tests.cli.conftest import Ran

Dateline = Callable[..., Ran]


def _tables(database: str) -> list[str]:
    engine = create_engine(database)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_it_makes_the_trails_tables_and_no_others(database: str, dateline: Dateline) -> None:
    ran = dateline("migrate", "--database", database)

    assert ran.status == 0
    found = _tables(database)
    assert "dateline_event" in found
    assert all(name.startswith("dateline_") for name in found)


def test_it_can_be_repeated(database: str, dateline: Dateline) -> None:
    first, second = (dateline("migrate", "--database", database) for _ in range(2))

    assert first == second
    assert first.status == 0


def test_it_names_the_database_without_its_password(postgresql_url: str, dateline: Dateline) -> None:
    ran = dateline("migrate", "--database", postgresql_url)

    password = postgresql_url.partition("postgres:")[2].partition("@")[0]
    assert password
    assert password not in ran.out
    assert "postgres:***@" in ran.out
