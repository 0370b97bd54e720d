"""While a decision runs, nothing outside of it can be reached; and whatever is no decision is left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dateline import Effect, Event, Versions, Yields, handler
from dateline.errors import Impure


class Go(Event, kind="go"):
    pass


class Say(Effect, kind="say"):
    text: str


def decided(act: Callable[[], object]) -> list[Any]:
    """Return the steps of a handler that does this first."""

    @handler
    def acting(event: Go) -> Yields[Say]:
        yield Say(text=str(act()))

    plan = Versions.of({"2024-01-01": [Go, acting]}).cascade("go", date(2024, 1, 1)).decide(Go(), {})
    return [one.step for one in plan.planned]


def swallowing() -> str:
    try:
        Path(__file__).read_text()
    except Exception:  # noqa: BLE001 - as a careless handler would
        return "nothing happened"
    return "read"


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (lambda: Path(__file__).read_text(), "open"),
        (lambda: Path("made.txt").write_text("x"), "open"),
        (lambda: os.scandir("."), "os.scandir"),
        (lambda: os.system("true"), "os.system"),
        (lambda: subprocess.run(["true"], check=True), "subprocess.Popen"),
        (lambda: socket.create_connection(("127.0.0.1", 9)), "socket.getaddrinfo"),
        (socket.socket, "socket.__new__"),
        (swallowing, "open"),
    ],
)
def test_what_reaches_outside_is_stopped_and_named_with_its_date(
    act: Callable[[], object], event: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        Impure, match=rf"test_purity.py:\d+ acting \(2024-01-01\) reaches outside of the decision \({event}\)"
    ):
        decided(act)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "act",
    [
        lambda: datetime.strptime("2024-01-01", "%Y-%m-%d").replace(tzinfo=UTC).year,
        lambda: ZoneInfo.no_cache("America/Sao_Paulo").key,
        lambda: __import__("colorsys").rgb_to_hls(0, 0, 0)[0],
    ],
    ids=["strptime", "zone", "import"],
)
def test_what_a_library_needs_for_itself_is_let_through(act: Callable[[], object]) -> None:
    sys.modules.pop("colorsys", None)

    assert len(decided(act)) == 1


def test_other_threads_and_what_comes_after_are_left_alone() -> None:
    inside, outside = threading.Event(), threading.Event()

    def wait() -> str:
        inside.set()
        assert outside.wait(10)
        return "waited"

    with ThreadPoolExecutor(1) as pool:
        deciding = pool.submit(decided, wait)
        assert inside.wait(10)
        Path(__file__).read_text()
        outside.set()
        assert deciding.result() == [Say(text="waited")]

    assert Path(__file__).exists()
    with pytest.raises(Impure):
        decided(lambda: Path(__file__).read_text())
    assert "Impure" in Path(__file__).read_text()


def test_a_handler_that_returns_a_generator_is_watched_to_its_end() -> None:
    @handler
    def lazily(event: Go) -> Yields[Say]:
        def steps() -> Iterator[Say]:
            yield Say(text=Path(__file__).read_text())

        return steps()

    with pytest.raises(Impure, match="lazily"):
        Versions.of({"2024-01-01": [Go, lazily]}).cascade("go", date(2024, 1, 1)).decide(Go(), {})
