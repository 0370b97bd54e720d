"""`import dateline` loads what events and handlers are written with; all that only a runner needs comes when it is first named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

import dateline

LATER = frozenset(
    {
        "aiosqlite",
        "alembic",
        "asyncio",
        "psycopg",
        "pydantic_settings",
        "sqlalchemy",
        "sqlite3",
        "structlog",
    }
)
"""What runs a dispatch: the databases, their drivers, the log, the settings."""

FACES = frozenset({"click", "fastapi", "rich", "starlette", "typer"})
TESTING = frozenset({"freezegun", "hypothesis", "pytest"})


def answered(program: str) -> Any:
    """Run a program in an interpreter that has loaded nothing yet, and return what it leaves in `told`."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{program}\nprint(json.dumps(told))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        # As the command line's tests: it imports what the test does, also where dateline is not installed.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def loaded(program: str) -> set[str]:
    """Return the packages that a program has loaded."""
    return set(
        answered(
            # Not what the interpreter begins with, which is its installation's matter.
            f"before = {{*sys.modules}}\n{program}\n"
            "told = sorted({name.partition('.')[0] for name in {*sys.modules} - before})"
        )
    )


WRITTEN = """
from dateline import Actor, Effect, Event, Plan, Reject, Snapshot, Yields, check, decide, handler

class Tell(Effect, kind="tell", key="{who}"):
    who: str

class Pay(Event, kind="pay", subjects=("account:{account}",)):
    account: str

@check
def named(event: Pay) -> Yields[Reject]:
    if not event.account:
        yield Reject("unnamed", "an account has a name")

@handler
def tell(event: Pay, plan: Plan) -> Yields[Tell]:
    yield Tell(who=event.account)

assert list(tell(Pay(account="ann"), Plan())) == [Tell(who="ann")]
"""


@pytest.mark.parametrize("program", ["import dateline", WRITTEN], ids=["imported", "written"])
def test_events_and_handlers_load_no_database_no_driver_no_log_and_no_event_loop(program: str) -> None:
    assert loaded(program) & (LATER | FACES | TESTING) == set()


def test_a_runner_is_loaded_with_its_drivers_when_it_is_named_and_not_amid_the_first_request() -> None:
    found = loaded("from dateline import Runner")

    assert found >= {"asyncio", "psycopg", "pydantic_settings", "sqlalchemy", "sqlite3"}
    assert found & (FACES | TESTING | {"alembic", "structlog"}) == set()


def test_what_a_table_needs_loads_no_driver() -> None:
    found = loaded("from dateline import Instant, given")

    assert "sqlalchemy" in found
    assert found & {"aiosqlite", "alembic", "psycopg", "pydantic_settings", "sqlite3", "structlog"} == set()


def test_every_public_name_is_listed_before_it_is_loaded() -> None:
    listed = answered("import dateline\ntold = [name for name in dateline.__all__ if name not in dir(dateline)]")

    assert listed == []


def test_a_star_import_brings_every_public_name() -> None:
    missing = answered(
        "from dateline import *\nimport dateline\ntold = [name for name in dateline.__all__ if name not in globals()]"
    )

    assert missing == []


def test_help_tells_of_what_is_loaded_later() -> None:
    page = answered("import dateline, pydoc\ntold = pydoc.plain(pydoc.render_doc(dateline))")

    assert "class Runner(" in page
    assert "class AsyncRunner(" in page
    assert "given(path: " in page


def test_what_is_loaded_later_is_pickled_by_its_own_name() -> None:
    same = answered(
        "import dateline, pickle\n"
        "named = [dateline.Runner, dateline.AsyncRunner, dateline.Settings, dateline.Instant, dateline.given, dateline.load]\n"
        "told = pickle.loads(pickle.dumps(named)) == named"
    )

    assert same


def test_a_name_is_looked_for_once() -> None:
    found = answered("import dateline\ndateline.Runner\ntold = sorted(vars(dateline))")

    assert "Runner" in found
    assert "AsyncRunner" not in found


def test_a_misspelt_name_is_no_name_of_the_module() -> None:
    with pytest.raises(AttributeError, match=r"^module 'dateline' has no attribute 'Runer'$"):
        dateline.Runer  # type: ignore[attr-defined]  # noqa: B018  # what is claimed: type checkers know the names, too

    with pytest.raises(ImportError, match="cannot import name 'Runer' from 'dateline'"):
        exec("from dateline import Runer")
