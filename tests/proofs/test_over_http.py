"""A server that is killed under load, behind clients that retry with keys: every request has exactly one event."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

from sqlalchemy import func, select

from dateline.sql import tables
from tests.proofs.bank import Bank
from tests.proofs.racing import on_newest, on_postgresql

ROOT = Path(__file__).parents[2]
THREADS = 8


@contextmanager
def counter(url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that serves the bank, once it does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proofs.counter", url, str(port)], env=environment, cwd=ROOT
    )
    try:
        ends = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < ends
                assert process.poll() is None
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def sent(port: int, key: str) -> int | None:
    """Send one request; return its answer's status, None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"input": {"account": "a0", "cents": 1}})
    try:
        connection.request("POST", "/events/add", body, {"idempotency-key": key})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return None
    else:
        return answer.status
    finally:
        connection.close()


def stormed(bank: Bank, kills: int, key_of: Callable[[str, int], str]) -> tuple[int, int]:
    """Have clients send until the server was killed so often; return how many requests there were, and how many were sent again.

    Args:
        key_of: The key of a request's n-th try.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    over, requests, again = Flag(), itertools.count(), itertools.count()
    failed: list[Any] = []

    def client() -> None:
        while not over.is_set():
            name = f"r{next(requests)}"
            for tries in itertools.count():
                status = sent(port, key_of(name, tries))
                if status == 201:
                    break
                if status not in (None, 503):
                    failed.append(status)
                    return
                next(again)
                time.sleep(0.01)

    threads = [Thread(target=client) for _ in range(THREADS)]
    dice = random.Random(7)
    for number in range(kills + 1):
        with counter(bank.url, port) as process:
            if not number:
                for thread in threads:
                    thread.start()
            time.sleep(0.3 + dice.random())
            if number < kills:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                continue
            over.set()
            for thread in threads:
                thread.join(60)
    assert not failed
    return next(requests), next(again)


def events(bank: Bank) -> int:
    with bank.engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(tables.event)) or 0)


@on_newest
def test_every_request_has_exactly_one_event(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(1)

    requests, again = stormed(bank, times(3), lambda name, tries: name)

    figure(f"{requests} requests, {times(3)} kills, sent again {again} times")
    assert again > 0
    assert (events(bank), bank.cents()) == (requests, {"a0": requests})


@on_postgresql
def test_without_keys_that_stay_some_would_have_two(bank: Bank, figure: Callable[[str], None]) -> None:
    bank.accounts(1)
    requests = 0

    for attempt in range(5):
        requests += stormed(bank, 4, lambda name, tries, attempt=attempt: f"{attempt}-{name}-{tries}")[0]  # type: ignore[misc]  # bound now
        if events(bank) > requests:
            break

    figure(f"{requests} requests, {events(bank)} events")
    assert events(bank) > requests
