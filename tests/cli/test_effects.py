"""`dateline effects`, `dateline relay` and `dateline resume`, as somebody on duty types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dateline import Runner
from tests.cli.conftest import Ran

HOTEL = """
from datetime import timedelta

from dateline import Delivery, Effect, Event, Relay, Retry, Runner, Undeliverable, Versions, Yields, delivers, handler


class Call(Effect, kind="call", key="{room}", retry=Retry(tries=2, first=timedelta(0))):
    room: str


class Bill(Effect, kind="bill", key="{room}", held=True):
    room: str


class Wake(Event, kind="wake", subjects=("room:{room}",)):
    room: str


@handler
def wake(event: Wake) -> Yields[Call | Bill]:
    yield Call(room=event.room)
    yield Bill(room=event.room)


VERSIONS = Versions.of({"2024-01-01": [Wake, wake]})


@delivers(Call, Bill)
def call(effect: Call | Bill, delivery: Delivery) -> None:
    if effect.room == "13":
        raise Undeliverable("there is no such room")
    with open("calls.txt", "a") as calls:
        calls.write(f"{delivery.kind} {effect.room}\\n")


def relay() -> Relay:
    return Relay(Runner("sqlite:///hotel.db", versions=VERSIONS), call)
"""


@pytest.fixture
def hotel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of a database in which two guests are to be called, in whose folder one stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("hotel.py").write_text(HOTEL)
    Path("rules").mkdir()
    Path("rules", "__init__.py").touch()
    Path("rules", "v2024_01_01").mkdir()
    Path("rules", "v2024_01_01", "__init__.py").write_text('"""2024-01-01: calls."""\nfrom dateline import Event\n')
    sys.modules.pop("hotel", None)
    import hotel  # type: ignore[import-not-found]  # written a moment ago

    with Runner(
        "sqlite:///hotel.db", versions=hotel.VERSIONS, clock=lambda: datetime(2024, 7, 1, tzinfo=UTC)
    ) as runner:
        runner.migrate()
        for room in ("12", "13"):
            runner.dispatch(hotel.Wake(room=room), actor="desk")
    return "sqlite:///hotel.db"


def test_effects_are_delivered_listed_and_stepped_in_for(hotel: str, dateline: Callable[..., Ran]) -> None:
    drained = dateline("relay", "--app", "hotel:relay", "--drain")
    listed = dateline("effects", "--database", hotel)

    assert drained == Ran(0, "2 tries; nothing more is due.\n", "")
    assert Path("calls.txt").read_text() == "call 12\n"
    assert [line.split("since")[0].split() for line in listed.out.splitlines() if "since" in line] == [
        ["1.1", "held", "bill"],
        ["2.0", "dead", "call"],
        ["2.1", "held", "bill"],
    ]
    assert "          there is no such room\n" in listed.out
    as_json = dateline("effects", "--database", hotel, "--state", "dead", "--json")
    [one] = map(json.loads, as_json.out.splitlines())
    assert (one["key"], one["state"], one["tries"], one["detail"], one["step"]) == (
        *("2.0", "dead", 1, "there is no such room"),
        "wake/call[13]",
    )

    by = ("--database", hotel, "--versions", "rules", "--actor", "chief", "--reason", "asked")
    assert dateline("effects", "approve", "1.1", *by) == Ran(0, "1.1 is due; recorded as event 3.\n", "")
    assert dateline("effects", "retry", "2.0", *by) == Ran(0, "2.0 is due again; recorded as event 4.\n", "")
    assert dateline("effects", "cancel", "2.1", *by) == Ran(0, "2.1 is cancelled; recorded as event 5.\n", "")
    wrong = dateline("effects", "cancel", "1.0", *by)
    assert (wrong.status, wrong.err) == (
        2,
        "dateline: effect 1.0 (call) is delivered; cancelled can be what is held, due, waiting, unknown, dead\n",
    )
    assert dateline("relay", "--app", "hotel:relay", "--drain").out == "2 tries; nothing more is due.\n"
    assert Path("calls.txt").read_text() == "call 12\nbill 12\n"
    assert dateline("effects", "--database", hotel, "--state", "held").out.startswith("No such effects.")


def test_the_trail_goes_on_after_a_restore_once_it_is_said_that_it_is_meant(
    hotel: str, dateline: Callable[..., Ran]
) -> None:
    by = ("--database", hotel, "--versions", "rules", "--actor", "chief")

    asked = dateline("resume", *by)
    done = dateline("resume", *by, "--new-incarnation")

    assert (asked.status, "say that it is meant" in asked.err) == (2, True)
    assert done == Ran(0, "The trail goes on; what was not sent is held; recorded as event 3.\n", "")
    assert dateline("relay", "--app", "hotel:relay", "--drain").out == "0 tries; nothing more is due.\n"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (
            "hotel:nobody",
            "'hotel:nobody' is not there: module 'hotel' has no attribute 'nobody'; write --app module:name",
        ),
        ("motel:relay", "'motel:relay' is not there: No module named 'motel'; write --app module:name"),
        ("hotel:VERSIONS", "hotel:VERSIONS is no Relay or AsyncRelay, nor a function that makes one, but Versions"),
    ],
)
def test_what_is_no_relay_is_told_in_a_line(hotel: str, dateline: Callable[..., Ran], program: str, told: str) -> None:
    assert dateline("relay", "--app", program) == Ran(2, "", f"dateline: {told}\n")


def test_a_relay_that_is_told_to_end_finishes_what_it_delivers(hotel: str) -> None:
    slow = Path("hotel.py").read_text().replace("    with open(", "    import time\n    time.sleep(1)\n    with open(")
    Path("hotel.py").write_text(slow)
    command = [sys.executable, "-m", "dateline.cli.main", "relay", "--app", "hotel:relay"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert relay.stdout is not None
    try:
        assert relay.stdout.readline() == "Delivering bill, call; Ctrl-C ends it.\n"
        time.sleep(0.7)
        assert not Path("calls.txt").exists()

        relay.send_signal(signal.SIGTERM)

        assert relay.wait(10) == 0
        assert Path("calls.txt").read_text() == "call 12\n"
    finally:
        relay.kill()
        relay.wait()
        relay.stdout.close()
