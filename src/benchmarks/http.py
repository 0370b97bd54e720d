"""What HTTP adds to a dispatch: `python -m benchmarks.http` on a PostgreSQL that it starts itself."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from threading import Thread
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.database import Database
from benchmarks.peers.dateline import ACTOR, TENANT, VERSIONS, event_of
from benchmarks.work import Unit, Work
from dateline import Actor, AsyncRunner, Runner
from dateline.testing.postgres import launch

__all__ = ["Http", "app", "measured", "served"]

CLIENTS = 8
"""Clients that send at once where a rate is measured."""

WORK = Work(patients=2_000)


@dataclass(frozen=True, slots=True)
class Http:
    """What was measured, each figure the median of the rounds, in which all take turns.

    Args:
        runner: One dispatch by `Runner`, one after the other: median, in microseconds; `awaited` by an `AsyncRunner`, which is what a
            server has; `request` one request to dispatch the same.
        dispatches: Events a second by an `AsyncRunner` with eight in flight, its process on one core; `requests` the same
            sent by eight clients to a server on one core.
        two: As `requests`, by two servers, each on a core of its own where there are as many; `cores` how many there are.
    """

    runner: float
    awaited: float
    request: float
    dispatches: float
    requests: float
    two: float
    cores: int

    @property
    def overhead(self) -> float:
        """What HTTP adds to one dispatch, in microseconds."""
        return self.request - self.runner


def _pinned(core: int | None) -> None:
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def _site(url: str) -> Any:
    from dateline.web.caller import Caller  # noqa: PLC0415 - an extra
    from dateline.web.serve import Site  # noqa: PLC0415

    caller = Caller(Actor(ACTOR), tenant=TENANT, version=VERSIONS.newest.date)
    # What `dateline serve` serves.
    return Site.of(AsyncRunner(url, versions=VERSIONS), authenticate=lambda _: caller).app


def _serving(site: Callable[[str], Any], url: str, port: int, core: int | None) -> None:
    import uvicorn  # noqa: PLC0415 - an extra

    _pinned(core)
    uvicorn.run(site(url), host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def served(site: Callable[[str], Any], url: str, core: int | None = None) -> Iterator[int]:
    """Serve an application, made of the database's URL, in a process of its own; give its port on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = multiprocessing.get_context("spawn").Process(target=_serving, args=(site, url, port, core), daemon=True)
    process.start()
    try:
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.join()


def _message(unit: Unit) -> bytes:
    told: dict[str, Any] = {
        "patient": unit.patient,
        "prescription": str(unit.prescription),
        "drug": unit.drug,
        "dose_mg": unit.dose_mg,
        "directions": unit.directions,
        "note": unit.note,
    }
    body = json.dumps({"input": told}).encode()
    head = (
        "POST /events/prescription.write HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"idempotency-key: {unit.number}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _sent(port: int, messages: Sequence[bytes]) -> list[float]:
    """Send requests on one connection, one after the other; return what each took, in microseconds."""
    took = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for message in messages:
            began = time.perf_counter()
            connection.sendall(message)
            answer = connection.recv(65_536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65_536)
            took.append((time.perf_counter() - began) * 1e6)
            assert answer.startswith(b"HTTP/1.1 201"), answer
    return took


def _flooded(ports: Sequence[int], lanes: Sequence[Sequence[Unit]]) -> float:
    """Send from eight clients; return how many a second are answered."""
    waiting = [[_message(unit) for unit in lane] for lane in lanes]
    threads = [
        Thread(target=_sent, args=(ports[number % len(ports)], messages)) for number, messages in enumerate(waiting)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, waiting)) / (time.perf_counter() - began)


def _dispatching(url: str, lanes: Sequence[Sequence[Unit]], told: Any) -> None:
    """Dispatch with eight in flight on one core, and tell how many a second."""
    _pinned(0)

    async def run() -> float:
        async with AsyncRunner(url, versions=VERSIONS) as runner:

            async def lane(units: Sequence[Unit]) -> None:
                for number, unit in enumerate(units):
                    key = f"{unit.number}-{number}"
                    await runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT, key=key)

            await asyncio.gather(*(lane(units[:8]) for units in lanes))
            began = time.perf_counter()
            await asyncio.gather(*(lane(units[8:]) for units in lanes))
            return sum(len(units) - 8 for units in lanes) / (time.perf_counter() - began)

    told.put(asyncio.run(run()))


def _awaiting(url: str, units: Sequence[Unit], told: Any) -> None:
    """Dispatch one after the other, and tell the median, in microseconds."""

    async def run() -> float:
        took = []
        async with AsyncRunner(url, versions=VERSIONS) as runner:
            for unit in units:
                began = time.perf_counter()
                await runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT, key=str(unit.number))
                took.append((time.perf_counter() - began) * 1e6)
        return median(took[len(took) // 10 :])

    told.put(asyncio.run(run()))


def _apart(url: str, work: Any, what: Any) -> float:
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    process = context.Process(target=work, args=(url, what, told), daemon=True)
    process.start()
    found = told.get(timeout=600)
    process.join()
    return float(found)


class _Units:
    """Hands out units that nobody has had."""

    def __init__(self) -> None:
        self._next = 0

    def some(self, count: int) -> range:
        made = range(self._next, self._next + count)
        self._next = made.stop
        return made

    def one(self, count: int) -> list[Unit]:
        """Return units for one client."""
        some = self.some(count)
        return list(WORK.units(some.start, some.stop))

    def lanes(self, count: int) -> list[list[Unit]]:
        """Return units for all clients."""
        some = self.some(count)
        return WORK.lanes(some.start, some.stop, CLIENTS)


def measured(*, quick: bool) -> Http:
    """Measure everything on one database, with the server's defaults: fsync is on."""
    rounds, few, many = (2, 400, 1_600) if quick else (7, 1_000, 6_400)
    units = _Units()
    found: dict[str, list[float]] = {
        name: [] for name in ("runner", "awaited", "request", "dispatches", "requests", "two")
    }
    with launch() as server, ExitStack() as stack:
        url = server.database("http")
        Database.at(url).seed(WORK)
        runner = stack.enter_context(Runner(url, versions=VERSIONS))
        runner.migrate()
        Database.at(url).settle()
        free = stack.enter_context(served(_site, url))
        first, second = (stack.enter_context(served(_site, url, core)) for core in (0, 1))
        for port in (free, first, second):
            _flooded([port], units.lanes(200))
        for _ in range(rounds):
            took = []
            for unit in units.one(few):
                began = time.perf_counter()
                runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT, key=str(unit.number))
                took.append((time.perf_counter() - began) * 1e6)
            found["runner"].append(median(took))
            found["awaited"].append(_apart(url, _awaiting, units.one(few)))
            found["request"].append(median(_sent(free, [_message(unit) for unit in units.one(few)])))
            found["dispatches"].append(_apart(url, _dispatching, units.lanes(many)))
            found["requests"].append(_flooded([first], units.lanes(many)))
            found["two"].append(_flooded([first, second], units.lanes(many)))
    return Http(**{name: median(values) for name, values in found.items()}, cores=os.cpu_count() or 1)


app = typer.Typer(name="http", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def http(
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the size.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Measure what HTTP adds to a dispatch."""
    found = measured(quick=quick)
    if as_json:
        print(json.dumps({**asdict(found), "overhead": found.overhead}))
        return
    console = Console(highlight=False)
    console.print(
        f"one after the other: a dispatch {found.runner:,.0f} µs, awaited {found.awaited:,.0f} µs, a request {found.request:,.0f} µs: "
        f"{found.overhead:,.0f} and {found.request - found.awaited:,.0f} µs more"
    )
    console.print(
        f"eight at once on one core: {found.dispatches:,.0f} dispatches a second, {found.requests:,.0f} requests "
        f"({found.requests / found.dispatches:.2f})"
    )
    console.print(
        f"two servers: {found.two:,.0f} requests a second ({found.two / found.requests:.2f} of one), on {found.cores} cores with "
        "PostgreSQL and the clients"
    )


if __name__ == "__main__":
    app()
