"""Where the parts meet: a runner on a database that has the clinic's tables and the trail's."""

from __future__ import annotations

import os

from sqlalchemy import Engine, text

from clinic.tables import Base
from dateline import AsyncRunner, Runner, load

__all__ = ["VERSIONS", "open_clinic", "runner"]

VERSIONS = load("versions")
"""The clinic's rules of all dates, loaded once for all runners of this process."""

LOCK = 0x636C696E6963
"""The advisory lock under which those that start together make the tables one after the other: "clinic" in ASCII."""


def open_clinic(database: str | Engine) -> Runner:
    """Return a runner under the clinic's rules; tables that are missing are made first.

    Args:
        database: A URL, `sqlite:///clinic.db` or `postgresql://…`.
    """
    runner = Runner(database, versions=VERSIONS)
    try:
        runner.migrate()
        _make_tables(runner.engine)
    except BaseException:
        runner.close()
        raise
    return runner


def runner() -> AsyncRunner:
    """Return an asynchronous runner on the clinic of this place: `dateline serve --app clinic.app:runner`.

    Its URL is in the environment variable `DATELINE_DATABASE`; without it, it is `sqlite:///clinic.db`.
    """
    database = os.environ.get("DATELINE_DATABASE", "sqlite:///clinic.db")
    open_clinic(database).close()
    return AsyncRunner(database, versions=VERSIONS)


def _make_tables(engine: Engine) -> None:
    """Make what is missing; `create_all` alone looks and then makes, and another may do so in between."""
    postgres = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        # READ COMMITTED: what the one before made must be seen once the lock is had.
        connection.execute(text("BEGIN ISOLATION LEVEL READ COMMITTED" if postgres else "BEGIN IMMEDIATE"))
        try:
            if postgres:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            Base.metadata.create_all(connection)
            connection.execute(text("COMMIT"))
        except BaseException:
            connection.execute(text("ROLLBACK"))
            raise
