"""`python -m clinic import`, as a person runs it: stopped, killed, run again, fed with rubbish."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from clinic.app import open_clinic
from tests.clinic.conftest import ROOT, entries
from tests.clinic.lines import VISIT, visit

COMMAND = (sys.executable, "-m", "clinic", "import")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "COLUMNS": "100"}


def run(folder: Path, *told: str, fed: bytes | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *told], cwd=folder, env=ENVIRONMENT, input=fed, capture_output=True, check=False, timeout=120
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(folder: Path, *told: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*COMMAND, *told],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        # Whoever runs the tests in the background ignores Ctrl-C, and children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs here
    ) as one:
        try:
            yield one
        finally:
            one.kill()


def visits(count: int) -> list[bytes]:
    return [one for number in range(count) for one in visit(f"C{number}")]


def until(database: str, events: int) -> None:
    """Wait until so many events are committed."""
    patience = time.monotonic() + 60
    engine = create_engine(database)
    try:
        while _committed(engine) < events:
            assert time.monotonic() < patience
            time.sleep(0.02)
    finally:
        engine.dispose()


def _committed(engine: Engine) -> int:
    with engine.connect() as connection:
        if not inspect(connection).has_table("dateline_event"):
            return 0
        found: int = connection.execute(text("SELECT count(*) FROM dateline_event")).scalar_one()
        return found


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def newest(request: pytest.FixtureRequest) -> str:
    """Give a fresh database of each kind, PostgreSQL in its newest version only: what is killed here is the command."""
    url: str = request.getfixturevalue(request.param)
    return url


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("seconds") > 0
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_with_json_one_object_is_printed_and_nothing_else(tmp_path: Path, newest: str, packed: bool) -> None:
    log = b"".join(visit("XJ"))
    (tmp_path / "log").write_bytes(gzip.compress(log) if packed else log)

    done = run(tmp_path, "log", "--database", newest, "--json")

    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert list(json.loads(done.stdout)) == [*VISIT, "seconds"]
    assert summary(done) == VISIT


def test_without_json_progress_goes_to_standard_error(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(visit("XJ")))

    done = run(tmp_path, "log.jsonl", "--database", sqlite_url)

    assert done.returncode == 0
    assert "importing" in done.stderr
    assert "importing" not in done.stdout
    assert [line.split() for line in done.stdout.splitlines() if "insert" in line] == [
        ["insert", "encounter", "1"],
        ["insert", "observation", "2"],
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_can_come_on_standard_input(tmp_path: Path, sqlite_url: str, packed: bool) -> None:
    log = b"".join(visit("XJ"))

    done = run(tmp_path, "-", "--database", sqlite_url, "--json", fed=gzip.compress(log) if packed else log)

    assert done.returncode == 0
    assert summary(done) == VISIT


def test_an_empty_log_is_a_log(tmp_path: Path, sqlite_url: str) -> None:
    done = run(tmp_path, "-", "--database", sqlite_url, "--json", fed=b"")

    assert done.returncode == 0
    assert summary(done)["events"] == 0


def test_lines_that_are_none_of_the_logs_are_named_and_kept_and_can_be_mended(tmp_path: Path, sqlite_url: str) -> None:
    lines = visit("XJ")
    harmed = lines[7].replace(b"IV Antibiotics", b"IV Antibiotix")
    (tmp_path / "log.jsonl").write_bytes(b"".join([*lines[:7], harmed, *lines[8:], b"\xff\n"]))

    done = run(tmp_path, "log.jsonl", "--database", sqlite_url, "--json")

    assert done.returncode == 1
    assert summary(done)["malformed"] == 2
    assert "line 8: activity: not one that the hospital has\n" in done.stderr
    assert "line 11: not UTF-8 at byte 1\n" in done.stderr
    assert "log.malformed.jsonl" in done.stderr
    kept = tmp_path / "log.malformed.jsonl"
    assert kept.read_bytes() == harmed + b"\xff\n"

    kept.write_bytes(lines[7])
    mended = run(tmp_path, "log.malformed.jsonl", "--database", sqlite_url, "--json")

    assert mended.returncode == 0
    assert (summary(mended)["committed"], summary(mended)["effects"]) == (1, {"sepsis.review": 1})


def test_of_a_damaged_file_what_could_be_read_is_imported(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(b"".join(visit("XJ"))) + gzip.compress(b"{}\n")[:-5])

    done = run(tmp_path, "log.jsonl.gz", "--database", sqlite_url, "--json")

    assert done.returncode == 1
    assert "the log is damaged after line 1" in done.stderr
    assert summary(done)["committed"] == 9


@pytest.mark.parametrize(
    "told",
    [("missing.jsonl",), ("log.jsonl", "--database", "mysql://host/name"), ("log.jsonl", "--database", "nonsense")],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, told: tuple[str, ...]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"")

    done = run(tmp_path, *told)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_an_import_and_running_it_again_goes_on(tmp_path: Path, newest: str) -> None:
    lines = visits(30)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines))
    with running(tmp_path, "-", "--database", newest) as stopped:
        assert stopped.stdin
        assert stopped.stderr
        stopped.stdin.write(b"".join(lines[:220]))
        stopped.stdin.flush()
        until(newest, 200)
        stopped.send_signal(signal.SIGINT)

        assert stopped.wait(30) == 130
        assert "stopped after 200 lines; run the same command again to go on" in stopped.stderr.read().decode()

    done = run(tmp_path, "log.jsonl", "--database", newest, "--json")

    found = summary(done)
    assert (found["events"], found["repeated"], found["committed"], found["rejected"]) == (300, 200, 90, 10)


def test_killing_an_import_loses_nothing_that_running_it_again_does_not_find(tmp_path: Path, newest: str) -> None:
    lines = visits(40)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines))
    for share in (1, 201):
        # At some moment inside a transaction or between two: whichever it hits.
        with running(tmp_path, "log.jsonl", "--database", newest) as killed:
            until(newest, share)
            killed.send_signal(signal.SIGKILL)

    done = run(tmp_path, "log.jsonl", "--database", newest, "--json")

    found = summary(done)
    assert done.returncode == 0
    assert found["events"] == found["committed"] + found["rejected"] + found["repeated"] == 400
    with open_clinic(newest) as clinic:
        trail = list(entries(clinic))
        assert clinic.verify().faults == ()
    assert sorted((entry.subjects, entry.occurred_at) for entry in trail) == sorted(
        ((f"encounter:{line['case']}",), datetime.fromisoformat(line["at"])) for line in map(json.loads, lines)
    )
    assert sum(entry.outcome == "rejected" for entry in trail) == 40
