"""The field: who takes part, and what each needs; nothing of a peer is imported before it is its turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from benchmarks.contestant import Contestant

__all__ = ["BASE", "CEILING", "FIELD", "Entrant", "entrant", "program"]

BASE, CEILING = "psycopg", "psycopg-guarded"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One contestant before it is imported.

    Args:
        name: By which it is asked for and shown.
        place: Its module, and its class there: `module:Class`.
        about: What it is, in some words.
        needs: The modules without which it cannot take part.
        programs: The programs without which it cannot, of those that come with PostgreSQL.
        backend: "postgresql" or "sqlite".
        leaves_rows: False where nothing is written.
        processes: How many it can be spread over; None for any number.
    """

    name: str
    place: str
    about: str
    needs: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    backend: str = "postgresql"
    leaves_rows: bool = True
    processes: int | None = None

    def load(self) -> type[Contestant]:
        """Import it."""
        module, _, name = self.place.partition(":")
        found = getattr(import_module(module), name)
        assert isinstance(found, type)
        assert issubclass(found, Contestant)
        return found

    def missing(self) -> tuple[str, ...]:
        """Return what it needs and is not here."""
        modules = (name for name in self.needs if find_spec(name) is None)
        return (*modules, *(name for name in self.programs if program(name) is None))


def program(name: str) -> Path | None:
    """Return where a program of PostgreSQL's is: beside the servers, or where programs are."""
    # Not above: every contestant's process would import dateline, and most have no use for it.
    from dateline.testing.postgres import servers  # noqa: PLC0415

    for found in servers():
        if found.binaries is not None and (found.binaries / name).is_file():
            return found.binaries / name
    named = which(name)
    return Path(named) if named else None


FIELD: tuple[Entrant, ...] = (
    Entrant("dateline", "benchmarks.peers.dateline:Dateline", "Runner"),
    Entrant("dateline-async", "benchmarks.peers.dateline:DatelineAsync", "AsyncRunner"),
    Entrant(BASE, "benchmarks.peers.by_hand:ByHand", "by hand, a statement a round trip, no guard"),
    Entrant(
        "psycopg-cte", "benchmarks.peers.by_hand:ByHandOneStatement", "by hand, one SELECT and one statement, no guard"
    ),
    Entrant(CEILING, "benchmarks.peers.guarded:Guarded", "by hand, dateline's own statement and rows"),
    Entrant(
        "pgbench",
        "benchmarks.peers.pgbench:Pgbench",
        "the same statements in C, without Python",
        programs=("pgbench",),
        processes=1,
    ),
    Entrant("sqlalchemy-core", "benchmarks.peers.alchemy:Core", "SQLAlchemy Core, audit rows by hand"),
    Entrant("sqlalchemy-orm", "benchmarks.peers.alchemy:Orm", "SQLAlchemy ORM, audit rows by hand"),
    Entrant(
        "continuum",
        "benchmarks.peers.continuum:Continuum",
        "SQLAlchemy ORM with SQLAlchemy-Continuum, outbox beside it",
        needs=("sqlalchemy_continuum",),
    ),
    Entrant(
        "eventsourcing",
        "benchmarks.peers.eventsourced:Eventsourced",
        "the library eventsourcing: an aggregate's event, no rows",
        needs=("eventsourcing",),
    ),
    Entrant(
        "dbos",
        "benchmarks.peers.durable:Durable",
        "DBOS: a workflow of a transaction and three steps",
        needs=("dbos",),
    ),
    Entrant(
        "dbos-outbox",
        "benchmarks.peers.durable:DurableOutbox",
        "DBOS: a workflow of a transaction that writes the outbox",
        needs=("dbos",),
    ),
    Entrant(
        "django-pghistory",
        "benchmarks.peers.django_ward:DjangoWard",
        "Django with django-pghistory, outbox beside it",
        needs=("django", "pghistory", "pgtrigger"),
    ),
    Entrant("dateline-preview", "benchmarks.peers.dateline:DatelinePreview", "Runner.preview", leaves_rows=False),
    Entrant("psycopg-locked", "benchmarks.peers.by_hand:ByHandLocked", "by hand, SELECT … FOR UPDATE"),
    Entrant("dateline-sqlite", "benchmarks.peers.dateline:DatelineSqlite", "Runner on SQLite", backend="sqlite"),
    Entrant(
        "sqlite3",
        "benchmarks.peers.sqlite:Sqlite",
        "by hand on SQLite, dateline's own guard and rows",
        backend="sqlite",
    ),
)


def entrant(name: str, among: Sequence[Entrant] = FIELD) -> Entrant:
    """Return one by its name.

    Raises:
        LookupError: There is none of that name.
    """
    for one in among:
        if one.name == name:
            return one
    raise LookupError(f"no contestant {name!r}; there are {', '.join(one.name for one in among)}")
