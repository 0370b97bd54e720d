"""The trail's tables are what the newest migration leaves, and migrating touches nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, text

from dateline import Runner, Versions
from dateline.sql.tables import TRAIL

VERSIONS = Versions.of({"2024-01-01": []})


def ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    return kind != "table" or bool(name and name.startswith("dateline_") and name != "dateline_migration")


def test_the_newest_migration_leaves_the_tables_that_the_code_knows(database: str) -> None:
    with Runner(database, versions=VERSIONS) as runner:
        runner.migrate()
    engine = create_engine(database)

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": False, "include_object": ours}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), TRAIL)
        tables = {name for name in inspect(connection).get_table_names() if name != "dateline_migration"}
    engine.dispose()

    assert found == []
    assert tables == set(TRAIL.tables)


def test_migrating_twice_changes_nothing_and_leaves_the_applications_tables_alone(database: str) -> None:
    engine = create_engine(database)
    application = MetaData()
    account = Table("account", application, Column("id", Integer, primary_key=True))
    application.create_all(engine)
    with engine.begin() as connection:
        connection.execute(account.insert().values(id=7))

    incarnations = []
    with Runner(database, versions=VERSIONS) as runner:
        for _ in range(2):
            runner.migrate()
            with engine.connect() as connection:
                incarnations.append(connection.execute(text("SELECT id FROM dateline_incarnation")).all())

    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM account")).all() == [(7,)]
    engine.dispose()
    assert incarnations[0] == incarnations[1]
    assert len(incarnations[0]) == 1


def test_a_trail_that_a_newer_dateline_has_migrated_is_left_as_it_is(database: str) -> None:
    engine = create_engine(database)
    with Runner(database, versions=VERSIONS) as runner:
        runner.migrate()
        with engine.begin() as connection:
            connection.execute(text("UPDATE dateline_migration SET version_num = '9999'"))

        runner.migrate()

        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM dateline_migration")).all() == [("9999",)]
    engine.dispose()


@pytest.mark.parametrize("name", sorted(TRAIL.tables))
def test_every_table_belongs_to_dateline_and_refers_to_no_other(name: str) -> None:
    table = TRAIL.tables[name]

    assert name.startswith("dateline_")
    assert table.foreign_keys == set()
    # Whose data comes first in every key, but for numbers that run through all tenants.
    keys = [column.name for column in table.primary_key.columns]
    assert keys[0] == "tenant" or keys in (["seq"], ["position"], ["id"], ["number"], ["last"])


def test_numbers_are_handed_out_one_by_one() -> None:
    [sequence] = TRAIL._sequences.values()

    # A session that kept some for later would hand them out in another order than that of the writes.
    assert sequence.cache == 1
