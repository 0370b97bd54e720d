"""Bringing the trail's tables up to date."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

import dateline.sql.migrations as scripts
from dateline.core.request import Flow
from dateline.errors import NotMigrated, Unreachable
from dateline.run import log
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result, Statement

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["migrated", "revisions", "upgrade", "upgrade_on"]

LOCK = 0x646174656D6967
"""The advisory lock under which servers that start together migrate one after the other."""


def upgrade(engine: Engine) -> None:
    """Make or update the trail's tables; the application's own are not touched."""
    try:
        with engine.connect() as connection:
            upgrade_on(connection)
    except OperationalError as error:
        raise unreachable(error) from error


def unreachable(error: OperationalError) -> Unreachable:
    """Return why there is no connection, without the URL, which holds a password."""
    return Unreachable(f"no connection to the database: {str(error.orig).splitlines()[0][:300]}")


def upgrade_on(connection: Connection) -> None:
    """As `upgrade`, on a connection in autocommit: each migration is one transaction."""
    # Here, because it takes as long to load as all the rest, and most programs never migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.script.revision import ResolutionError  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = _config()
    config.attributes["connection"] = connection
    postgres = connection.dialect.name == "postgresql"
    connection.execute(text("BEGIN ISOLATION LEVEL READ COMMITTED" if postgres else "BEGIN IMMEDIATE"))
    try:
        if postgres:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        command.upgrade(config, "head")
        connection.execute(text("COMMIT"))
    except CommandError as error:
        connection.execute(text("ROLLBACK"))
        if not isinstance(error.__cause__, ResolutionError):
            raise
        # Migrated by a newer dateline, to what is not known here: that will do, since servers are replaced one after the other.
        log.told("migrated.newer")
    except BaseException:
        connection.execute(text("ROLLBACK"))
        raise


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    made = Config()
    made.set_main_option("script_location", str(Path(scripts.__file__).parent).replace("%", "%%"))
    return made


@cache
def revisions() -> tuple[str, ...]:
    """Return the names of all migrations, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return tuple(one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions())


def migrated(dialect: Dialect, known: tuple[str, ...]) -> Flow[None]:
    """Make sure that the trail's tables are those of the newest migration.

    A trail that was migrated by a newer dateline, to what is not known here, will do: servers are replaced one after the other.

    Args:
        known: The names of all migrations, the newest first.

    Raises:
        NotMigrated: Where they are missing, or old.
    """
    look = Statement("SELECT version_num FROM dateline_migration", (), "migrated")
    results: list[Result] = yield Batch.between(dialect.begin_reading, look)
    for (at,) in results[1].rows or ((None,),):
        if at is None or at in known[1:]:
            raise NotMigrated(
                f"the trail's tables are {'missing' if at is None else f'as of {at}, and this is {known[0]}'}: "
                "run `dateline migrate`, or call runner.migrate()"
            )
