"""Opening a database: the pool, and what each of its sessions is pinned to."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from dateline.errors import DatelineError
from dateline.run.pool import AsyncSessions, Sessions
from dateline.run.settings import Settings
from dateline.sql import postgres, sqlite
from dateline.sql.dialect import Dialect

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["absent", "async_engine", "dialect_of", "engine", "in_memory"]

UNRESET: dict[str, Any] = {"pool_reset_on_return": None}
"""`run/connection.py` gives sessions back with nothing open, so that the pool need not roll back what is not there."""

_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "postgresql+psycopg"),
    "sqlite": ("sqlite+pysqlite", "sqlite+aiosqlite"),
}


def engine(database: str | URL | Engine, settings: Settings, *, pooled: bool = True) -> Engine:
    """Return an engine whose sessions are pinned as the guard needs them.

    Args:
        pooled: False for connections that must be had even when all of the pool are taken.
    """
    url = _url(database, asynchronous=False)
    pool = _pool(url, settings, asynchronous=False) if pooled else {"poolclass": NullPool}
    made = create_engine(url, isolation_level="AUTOCOMMIT", **UNRESET, **pool)
    event.listen(made, "connect", _pin(settings))
    return made


def async_engine(database: str | URL | Engine | AsyncEngine, settings: Settings, *, pooled: bool = True) -> AsyncEngine:
    """As `engine`."""
    # Here, because it brings SQLAlchemy's ORM along, and half of the programs need neither.
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    url = _url(database, asynchronous=True)
    pool = _pool(url, settings, asynchronous=True) if pooled else {"poolclass": NullPool}
    made = create_async_engine(url, isolation_level="AUTOCOMMIT", **UNRESET, **pool)
    event.listen(made.sync_engine, "connect", _pin(settings))
    return made


def dialect_of(made: Engine) -> Dialect:
    """Return the object that knows this engine's database."""
    return postgres.Postgres() if made.dialect.name == "postgresql" else sqlite.Sqlite()


def in_memory(made: Engine) -> bool:
    """Tell whether a database is its one session, so that there is no other."""
    return made.dialect.name == "sqlite" and made.url.database in (None, "", ":memory:")


def absent(made: Engine) -> Path | None:
    """Return the file of a database, where there is none: SQLite would make an empty one of every name that is misspelt."""
    named = made.url.database
    if made.dialect.name != "sqlite" or in_memory(made) or named is None or named.startswith("file:"):
        return None
    return None if Path(named).exists() else Path(named)


def _url(database: str | URL | Engine | AsyncEngine, *, asynchronous: bool) -> URL:
    try:
        held = getattr(database, "sync_engine", database)
        url = held.url if isinstance(held, Engine) else make_url(cast("str | URL", database))
    except (ArgumentError, ValueError):
        raise DatelineError("that is no database URL; write sqlite:///file.db or postgresql://user@host/name") from None
    name = url.get_backend_name()
    if name not in _DRIVERS:
        raise DatelineError(f"dateline keeps its trail in PostgreSQL or SQLite, not in {name}")
    return url.set(drivername=_DRIVERS[name][asynchronous])


def _pool(url: URL, settings: Settings, *, asynchronous: bool) -> dict[str, Any]:
    pool = AsyncSessions if asynchronous else Sessions
    if url.get_backend_name() != "sqlite":
        return {"poolclass": pool, "pool_size": settings.pool, "max_overflow": settings.overflow}
    arguments = {"timeout": settings.busy.total_seconds(), "check_same_thread": False}
    if url.database in (None, "", ":memory:"):
        # A database in memory is its connection: there is one, and everybody waits for it.
        return {"poolclass": pool, "pool_size": 1, "max_overflow": 0, "connect_args": arguments}
    return {"poolclass": pool, "pool_size": settings.pool, "max_overflow": settings.overflow, "connect_args": arguments}


def _pin(settings: Settings) -> Callable[[Any, Any], None]:
    """Return what pins a new session.

    The pool calls it with psycopg's or sqlite3's connection, or SQLAlchemy's stand-in for an async one.
    """

    def pin(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        if hasattr(connection, "create_function"):
            for pragma in sqlite.SESSION:
                _patiently(cursor, pragma, settings.busy)
        else:
            connection.autocommit = True
            # A row that somebody holds must not hold a request for longer than its time budget can notice.
            busy = max(1, int(min(settings.busy, settings.budget).total_seconds() * 1000))
            cursor.execute(f"{postgres.SESSION}; SET lock_timeout = {busy}")
        cursor.close()

    return pin


def _patiently(cursor: Any, pragma: str, busy: timedelta) -> None:
    """Execute a pragma; several that open a new file at once all want its mode changed, and SQLite lets nobody wait for that."""
    until = time.monotonic() + busy.total_seconds()
    while True:
        try:
            cursor.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.005)
