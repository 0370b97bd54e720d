"""Bringing the trail's tables up to date."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

import dateline.sql.migrations as scripts
from dateline.errors import Unreachable

__all__ = ["upgrade", "upgrade_on"]

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
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(scripts.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    postgres = connection.dialect.name == "postgresql"
    connection.execute(text("BEGIN ISOLATION LEVEL READ COMMITTED" if postgres else "BEGIN IMMEDIATE"))
    try:
        if postgres:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        command.upgrade(config, "head")
        connection.execute(text("COMMIT"))
    except BaseException:
        connection.execute(text("ROLLBACK"))
        raise
