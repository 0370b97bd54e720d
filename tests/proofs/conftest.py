"""How large the proofs are, and the databases that they attack.

`pytest tests/proofs --proof-size=40`, or DATELINE_PROOF_SIZE=40, makes every proof forty times as large: that is the full size, of which
docs/reliability.md speaks. Such a run needs `-o faulthandler_timeout=7200` too, since no test is to take four minutes otherwise.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from dateline.testing.postgres import Postgres
from tests.clinic.conftest import hospital_log, on_postgresql, on_sqlite  # noqa: F401 - fixtures: the log is imported once for all
from tests.proofs import goods, lists, seats, sheets  # noqa: F401 - their tables are made with the bank's
from tests.proofs.bank import Bank, make_tables

_FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof-size", type=float, default=None, help="how many times as large the proofs are")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Give what turns a proof's own size into the size asked for."""
    size = float(request.config.getoption("--proof-size", None) or os.environ.get("DATELINE_PROOF_SIZE") or 1)
    return lambda many: max(1, round(many * size))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what notes a measured figure for the end of the run."""
    figures = request.config.stash.setdefault(_FIGURES, [])
    return lambda line: figures.append(f"{request.node.name}: {line}")


@pytest.fixture(scope="session")
def template(postgres: Callable[[int], Postgres]) -> Iterator[Callable[[int], str]]:
    """Give the name of a database with all tables in it, of which the proofs take copies."""
    made: dict[int, str] = {}
    with ExitStack() as stack:

        def find(version: int) -> str:
            if version not in made:
                made[version] = f"dateline_{uuid4().hex}"
                make_tables(postgres(version).database(made[version]))
                stack.callback(postgres(version).drop, made[version])
            return made[version]

        yield find


@pytest.fixture
def bank(
    request: pytest.FixtureRequest, postgres: Callable[[int], Postgres], template: Callable[[int], str]
) -> Iterator[Bank]:
    """Give a fresh bank; `racing.on_all` and its like say on which databases."""
    kind, _, version = str(request.param).partition("-")
    with ExitStack() as stack:
        if kind == "sqlite":
            # In memory where there is such a file system: processes are killed here, but no plug is pulled.
            memory = Path("/dev/shm")
            parent = memory if os.access(memory, os.W_OK) else None
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dateline-proofs-", dir=parent))
            url = f"sqlite:///{folder}/dateline.db"
            make_tables(url)
        else:
            server, name = postgres(int(version)), f"dateline_{uuid4().hex}"
            url = server.database(name, template=template(int(version)))
            stack.callback(server.drop, name)
            # A socket that only the garbage collector will close makes the server wait a minute before it drops a database.
            stack.callback(gc.collect)
        found = Bank.at(url)
        stack.callback(found.close)
        yield found
