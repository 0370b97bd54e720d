"""Whoever watches a server is told whether it lives, and whether it can serve, within two seconds whatever the database does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from dateline import Actor, AsyncRunner, Effect, Event, Runner, Versions, Yields, handler
from dateline.run.migrate import migrated, revisions
from dateline.run.settings import Settings
from dateline.testing.postgres import launch
from dateline.web.health import health
from tests.web.serving import served


class Beep(Effect, kind="beep", key="{to}"):
    to: str


class Call(Event, kind="call"):
    to: str


@handler
def call(event: Call) -> Yields[Beep]:
    yield Beep(to=event.to)


VERSIONS = Versions.of({"2024-01-01": [Call, call]})
CHIEF = Actor("chief", rights=frozenset({"effects"}))
READY = {
    "database": {"ok": True},
    "migrated": {"ok": True},
    "feed": {"ok": True, "pending": 0, "seconds": 0.0},
    "relay": {"ok": True, "due": 0, "seconds": 0.0},
}


def ask(port: int, path: str = "/readyz") -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


@contextlib.contextmanager
def watched(url: str, **limits: timedelta) -> Iterator[int]:
    settings = Settings(pool=2, overflow=0)
    with served(
        lambda: AsyncRunner(url, versions=VERSIONS, settings=settings),
        lambda runner: FastAPI(routes=health(runner, **limits)),
    ) as port:
        yield port


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    with Runner(url, versions=VERSIONS) as made:
        made.migrate()
        yield made


def test_a_server_that_can_serve_says_so_and_tells_nothing_else(url: str, runner: Runner) -> None:
    with watched(url) as port:
        assert ask(port, "/healthz") == (200, {"status": "ok"})
        assert ask(port) == (200, {"status": "ready", "checks": READY})


def test_what_waits_is_counted_and_how_long_it_has(url: str, runner: Runner) -> None:
    for to in ("ann", "bob"):
        runner.dispatch(Call(to=to), actor="desk")
    time.sleep(0.3)

    with watched(url) as port:
        status, told = ask(port)
        assert (status, told["checks"]["feed"]["pending"], told["checks"]["relay"]["due"]) == (200, 2, 2)
        assert 0.3 <= told["checks"]["feed"]["seconds"] < 20
        assert 0.3 <= told["checks"]["relay"]["seconds"] < 20

        runner.sequence()
        assert ask(port)[1]["checks"]["feed"] == READY["feed"]

        # The change of a delivery wants a position too.
        runner.cancel("1.0", actor=CHIEF)
        changed = ask(port)[1]["checks"]
        assert (changed["feed"]["pending"] > 0, changed["feed"]["seconds"] < 20, changed["relay"]["due"]) == (
            *(True, True, 1),
        )
        runner.sequence()
        assert ask(port)[1]["checks"]["feed"] == READY["feed"]


@pytest.mark.parametrize("late", ["sequencer", "relay"])
def test_what_waits_for_longer_than_was_said_is_not_ready(url: str, runner: Runner, late: str) -> None:
    runner.dispatch(Call(to="ann"), actor="desk")
    time.sleep(0.1)

    with watched(url, **{late: timedelta(milliseconds=50)}) as port:
        status, told = ask(port)
        assert (status, told["status"]) == (503, "not-ready")
        name = {"sequencer": "feed", "relay": "relay"}[late]
        assert [one for one, check in told["checks"].items() if not check["ok"]] == [name]
    with watched(url, **{late: timedelta(minutes=1)}) as port:
        assert ask(port)[0] == 200


def test_a_database_without_the_trail_or_with_an_old_one_is_not_ready_and_a_newer_one_is(url: str) -> None:
    with watched(url) as port:
        if url.startswith("sqlite"):
            # And is not made by being asked for.
            assert ask(port)[1]["checks"]["database"] == {"ok": False}
            path = Path(url.removeprefix("sqlite:///"))
            assert not path.exists()
            path.touch()
        missing = {"database": {"ok": True}, "migrated": {"ok": False}, "feed": {"ok": None}, "relay": {"ok": None}}
        assert ask(port) == (503, {"status": "not-ready", "checks": missing})
        with Runner(url, versions=VERSIONS) as runner:
            runner.migrate()
            assert ask(port)[0] == 200
            for revision, status in (("0001", 503), ("9999", 200), (revisions()[0], 200)):
                with runner.engine.connect() as connection:
                    connection.execute(text("UPDATE dateline_migration SET version_num = :at"), {"at": revision})
                assert ask(port)[0] == status, revision
            runner._driven(migrated(runner.store.dialect, revisions()))


def test_a_database_that_never_answers_is_told_within_two_seconds_and_takes_one_connection(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(5) as pool:
        taken = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(silent.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        with watched(url) as port:
            began = time.monotonic()
            answers = list(pool.map(lambda _: ask(port), range(5)))
            took = time.monotonic() - began
            alive = ask(port, "/healthz")
        for connection in taken:
            connection.close()
        silent.shutdown(socket.SHUT_RDWR)

    unknown = {"database": {"ok": False}, "migrated": {"ok": None}, "feed": {"ok": None}, "relay": {"ok": None}}
    assert answers == [(503, {"status": "not-ready", "checks": unknown})] * 5
    assert (1.5 < took < 3, alive, len(taken)) == (True, (200, {"status": "ok"}), 1)


def test_a_server_that_is_stopped_in_the_middle_is_told_and_so_is_that_it_is_back() -> None:
    with launch(fsync=False) as server:
        url = server.database("stopped")
        with Runner(url, versions=VERSIONS) as runner:
            runner.migrate()
        with watched(url) as port:
            assert ask(port)[0] == 200
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                [(postmaster,)] = connection.execute("SELECT pg_read_file('postmaster.pid')::text").fetchall()
                [*sessions] = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")]
            pids = [int(postmaster.splitlines()[0]), *(pid for pid in sessions if _lives(pid))]
            for pid in pids:
                # A worker of the server's own may end at any moment.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            try:
                for _ in range(2):
                    began = time.monotonic()
                    assert ask(port)[0] == 503
                    assert time.monotonic() - began < 2.5
            finally:
                for pid in pids:
                    # A session of the pool's may have been about to end.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
            ends = time.monotonic() + 15
            while ask(port)[0] != 200:
                assert time.monotonic() < ends
                time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
