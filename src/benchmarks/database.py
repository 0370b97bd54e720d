"""A contestant's database, whichever way the contestant goes about it."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.tables import SCHEMA
from benchmarks.work import Rows, Work

__all__ = ["Database", "connect", "connect_sqlite"]

_PATIENTS = "SELECT id, name, ward, weight_g, prescribed, last_drug, last_dose_mg FROM patient ORDER BY id"
_PRESCRIPTIONS = "SELECT id, patient, drug, dose_mg, directions, active FROM prescription ORDER BY id"


class Database(ABC):
    """One contestant's own database, by its SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    @staticmethod
    def at(url: str) -> Database:
        """Return the database at a URL."""
        return _Sqlite(url) if make_url(url).get_backend_name() == "sqlite" else _Postgres(url)

    @abstractmethod
    def seed(self, work: Work) -> None:
        """Make the business tables and fill them with what is there before the first unit."""

    @abstractmethod
    def rows(self) -> Rows:
        """Return what the business tables hold."""

    @abstractmethod
    def settle(self) -> None:
        """Let the planner know the tables, before anything is measured."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes that all of it takes."""

    @abstractmethod
    def written(self) -> int:
        """Return the bytes that the server's log has taken so far; 0 where there is no such log."""


class _Postgres(Database):
    def seed(self, work: Work) -> None:
        with connect(self.url) as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            cursor = connection.cursor()
            with cursor.copy("COPY patient FROM STDIN") as copy:
                for patient in work.patient_rows():
                    copy.write_row(patient)
            with cursor.copy("COPY prescription FROM STDIN") as copy:
                for prescription in work.prescription_rows():
                    copy.write_row(prescription)

    def rows(self) -> Rows:
        with connect(self.url) as connection:
            patients = tuple(connection.execute(_PATIENTS).fetchall())
            return Rows(patients, tuple(connection.execute(_PRESCRIPTIONS).fetchall()))

    def settle(self) -> None:
        with connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def size(self) -> int:
        return self._number("SELECT pg_database_size(current_database())")

    def written(self) -> int:
        return self._number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")

    def _number(self, query: str) -> int:
        with connect(self.url) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(str(row[0]))


class _Sqlite(Database):
    def seed(self, work: Work) -> None:
        with connect_sqlite(self.url) as connection:
            connection.execute("BEGIN")
            for statement in SCHEMA:
                connection.execute(statement)
            connection.executemany("INSERT INTO patient VALUES (?, ?, ?, ?, ?, ?, ?)", work.patient_rows())
            connection.executemany(
                "INSERT INTO prescription VALUES (?, ?, ?, ?, ?, ?)",
                ((row[0].hex, *row[1:]) for row in work.prescription_rows()),
            )
            connection.execute("COMMIT")

    def rows(self) -> Rows:
        with connect_sqlite(self.url) as connection:
            patients = tuple(connection.execute(_PATIENTS).fetchall())
            found = connection.execute(_PRESCRIPTIONS).fetchall()
        return Rows(patients, tuple((UUID(row[0]), *row[1:5], bool(row[5])) for row in found))

    def settle(self) -> None:
        with connect_sqlite(self.url) as connection:
            connection.execute("ANALYZE")

    def size(self) -> int:
        with connect_sqlite(self.url) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path = make_url(self.url).database
        assert path is not None
        return Path(path).stat().st_size

    def written(self) -> int:
        return 0


def connect(url: str, *, autocommit: bool = False) -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection to the PostgreSQL at a SQLAlchemy URL."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=autocommit)


@contextmanager
def connect_sqlite(url: str) -> Iterator[sqlite3.Connection]:
    """Give a connection to the SQLite file at a SQLAlchemy URL, as durable as dateline's, in no transaction."""
    path = make_url(url).database
    assert path is not None
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        for pragma in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
            connection.execute(pragma)
        yield connection
    finally:
        connection.close()
