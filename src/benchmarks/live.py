"""Deliveries and the feed under load: `python -m benchmarks.live` on a PostgreSQL that it starts itself."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median, quantiles
from threading import Event as Signal
from threading import Thread
from typing import Annotated, Any

import typer
from rich.console import Console

from dateline import (
    AsyncDelivery,
    AsyncRelay,
    AsyncRunner,
    DatelineError,
    Effect,
    Event,
    Retry,
    Runner,
    Undeliverable,
    Versions,
    Yields,
    delivers,
    handler,
)
from dateline.testing.postgres import launch

__all__ = ["Live", "app", "measured"]

PATIENT = Retry(tries=3, first=timedelta(milliseconds=200), timeout=timedelta(milliseconds=300))


class Nothing(Effect, kind="nothing", key="{number}", retry=PATIENT):
    number: int
    poison: bool = False


class Post(Event, kind="post", subjects=("box:{box}",)):
    box: int
    many: int = 1
    poisoned: int = 0


@handler
def post(event: Post) -> Yields[Nothing]:
    for number in range(event.many):
        yield Nothing(number=number, poison=number < event.poisoned)


VERSIONS = Versions.of({"2024-01-01": [Post, post]})


@dataclass(frozen=True, slots=True)
class Live:
    """What was measured.

    Args:
        relay: Effects delivered a second, to a coroutine function that does nothing, by one relay; `plain` to a plain function.
        commits: Events a second by one writer; `beside` the same with a follower and a relay in processes of their own.
        healthy: The others' 99th percentile from commit to delivery, in milliseconds; `poisoned` where one of a hundred hangs or fails.
        here: From commit to notice in the same process, at 200 events a second, in milliseconds: median and 99th percentile; `there` in
            another process.
        browser_here: From commit to message at five hundred WebSockets, of which ten want each event, at that rate, in milliseconds: median
            and 99th percentile, committed by the serving process; `browser_there` by another.
    """

    relay: float
    plain: float
    commits: float
    beside: float
    healthy: float
    poisoned: float
    here: tuple[float, float]
    there: tuple[float, float]
    browser_here: tuple[float, float]
    browser_there: tuple[float, float]


def _relay(runner: Any, *, plain: bool = False, seen: Callable[[AsyncDelivery], None] | None = None) -> AsyncRelay:
    """Return a relay to a receiver that does nothing; of what is poisoned, half hangs and half fails."""

    @delivers(Nothing, resend=True)
    async def nothing(effect: Nothing, delivery: AsyncDelivery) -> None:
        if effect.poison:
            if effect.number % 2:
                await asyncio.sleep(10)
            raise Undeliverable("poison") if delivery.tries > 2 else OSError
        if seen is not None:
            seen(delivery)

    @delivers(Nothing, resend=True)
    def at_once(effect: Nothing, delivery: Any) -> None:
        return

    return AsyncRelay(runner, at_once if plain else nothing, workers=128)


def _posted(url: str, events: int, *, many: int, poisoned: int = 0) -> None:
    with Runner(url, versions=VERSIONS) as runner:
        for box in range(events):
            runner.dispatch(Post(box=box, many=many, poisoned=poisoned), actor="bench")


def _drained(url: str, effects: int, *, plain: bool) -> float:
    """Return how many effects a second are delivered."""
    _posted(url, effects // 50, many=50)

    async def drain() -> float:
        runner = AsyncRunner(url, versions=VERSIONS)
        began = time.perf_counter()
        done = await _relay(runner, plain=plain).drain()
        took = time.perf_counter() - began
        await runner.close()
        return done / took

    return asyncio.run(drain())


def _relaying(url: str) -> None:
    async def run() -> None:
        await _relay(AsyncRunner(url, versions=VERSIONS)).run()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())


def _following(url: str, times: Any) -> None:
    """Follow from now on, and tell when each event was heard of."""
    with Runner(url, versions=VERSIONS) as runner, suppress(DatelineError):
        times.put(("ready", 0.0))
        for notice in runner.feed(after="now"):
            if notice.entry is not None:
                times.put((str(notice.entry.id), time.time()))


@contextmanager
def _beside(*work: tuple[Callable[..., None], tuple[Any, ...]]) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=args, daemon=True) for target, args in work]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _committed(url: str, seconds: float) -> float:
    """Return how many events with one effect one writer commits a second."""
    with Runner(url, versions=VERSIONS) as runner:
        for box in range(100):
            runner.dispatch(Post(box=box), actor="bench")
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            runner.dispatch(Post(box=done % 1000), actor="bench")
            done += 1
        return done / (time.perf_counter() - began)


def _latency(url: str, events: int, *, poisoned: bool) -> float:
    """Return the 99th percentile from commit to delivery of what is not poisoned, in milliseconds, at a hundred events a second."""
    waits: list[float] = []

    async def run() -> None:
        runner = AsyncRunner(url, versions=VERSIONS)
        relay = _relay(runner, seen=lambda delivery: waits.append(time.time() - delivery.recorded_at.timestamp()))
        running = asyncio.create_task(relay.run())
        for box in range(events):
            await runner.dispatch(Post(box=box, many=3, poisoned=int(poisoned and box % 33 == 0)), actor="bench")
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        relay.stop()
        await running
        await runner.close()

    asyncio.run(run())
    return quantiles(waits, n=100)[98] * 1000


def _heard(url: str, events: int, *, there: bool) -> tuple[float, float]:
    """Return median and 99th percentile from commit to notice, in milliseconds, at two hundred events a second."""
    context = multiprocessing.get_context("spawn")
    times: Any = context.Queue()
    at: dict[str, float] = {}
    committed: dict[str, float] = {}
    ready, enough = Signal(), Signal()

    def collect() -> None:
        while len(at) < events:
            name, moment = times.get()
            if name == "ready":
                ready.set()
            else:
                at[name] = moment
        enough.set()

    Thread(target=collect, daemon=True).start()
    elsewhere = [(_following, (url, times))] if there else []
    with _beside(*elsewhere):
        if not there:
            Thread(target=_following, args=(url, times), daemon=True).start()
        ready.wait(30)
        time.sleep(0.5)
        with Runner(url, versions=VERSIONS) as runner:
            began = time.perf_counter()
            for box in range(events):
                done = runner.dispatch(Post(box=box), actor="bench")
                committed[str(done.event_id)] = time.time()
                time.sleep(max(began + (box + 1) / 200 - time.perf_counter(), 0))
        enough.wait(30)
    waits = [max(at[one] - committed[one], 0) * 1000 for one in committed if one in at]
    return median(waits), quantiles(waits, n=100)[98]


SOCKETS, BOXES, RATE = 500, 50, 200
"""Browsers that listen, what they listen to, and events a second."""


def _serving(url: str, port: int, orders: Any, times: Any) -> None:
    """Serve WebSockets, and dispatch events from within where that is ordered."""
    import uvicorn  # noqa: PLC0415 - an extra
    from starlette.applications import Starlette  # noqa: PLC0415

    from dateline import Actor  # noqa: PLC0415
    from dateline.web.caller import Caller  # noqa: PLC0415
    from dateline.web.live import Live as Serving  # noqa: PLC0415

    async def serve() -> None:
        async with AsyncRunner(url, versions=VERSIONS) as runner:
            live = Serving(runner, authenticate=lambda _: Caller(Actor("bench")), authorise=lambda *_: True)
            config = uvicorn.Config(Starlette(routes=live.routes), "127.0.0.1", port, log_level="error")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve())
            events = await asyncio.to_thread(orders.get)
            await _dispatched(runner, events, times)
            await serving

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


async def _dispatched(runner: AsyncRunner, events: int, times: Any) -> None:
    """Dispatch at the rate, and tell when each was committed."""
    told: dict[str, float] = {}
    began = time.perf_counter()
    for number in range(events):
        done = await runner.dispatch(Post(box=number % BOXES), actor="bench")
        told[str(done.event_id)] = time.time()
        await asyncio.sleep(max(began + (number + 1) / RATE - time.perf_counter(), 0))
    times.put(told)


def _browsing(port: int, times: Any) -> None:
    """Be all the browsers, and tell when each heard of what."""
    from websockets.asyncio.client import connect  # noqa: PLC0415 - an extra

    heard: list[tuple[str, float]] = []

    async def browse(number: int, ready: asyncio.Semaphore) -> None:
        async with connect(f"ws://127.0.0.1:{port}/live", compression=None) as socket:
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "subjects": [f"box:{number % BOXES}"]}))
            await socket.recv()
            ready.release()
            async for message in socket:
                told = json.loads(message)
                if told["type"] == "event":
                    heard.append((told["event"]["id"], time.time()))

    async def all_of_them() -> None:
        ready = asyncio.Semaphore(0)
        tasks = []
        for number in range(SOCKETS):
            tasks.append(asyncio.create_task(browse(number, ready)))
            if number % 25 == 24:
                for _ in range(25):
                    await ready.acquire()
        times.put("ready")
        while True:
            before = len(heard)
            await asyncio.sleep(3)
            if heard and len(heard) == before:
                break
        times.put(heard)

    asyncio.run(all_of_them())


def _socketed(url: str, events: int, *, there: bool) -> tuple[float, float]:
    """Return median and 99th percentile from commit to message for all browsers, in milliseconds; `there`: another process commits."""
    import socket  # noqa: PLC0415

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    orders, committed, heard = context.Queue(), context.Queue(), context.Queue()
    with _beside((_serving, (url, port, orders, committed))):
        time.sleep(3)
        with _beside((_browsing, (port, heard))):
            assert heard.get(timeout=60) == "ready"
            if there:

                async def elsewhere() -> None:
                    async with AsyncRunner(url, versions=VERSIONS) as runner:
                        await _dispatched(runner, events, committed)

                asyncio.run(elsewhere())
            else:
                orders.put(events)
            at = committed.get(timeout=60 + events / RATE)
            got = heard.get(timeout=60)
    waits = [max(moment - at[event], 0) * 1000 for event, moment in got if event in at]
    assert len(waits) == events * SOCKETS // BOXES, f"{len(waits)} messages of {events * SOCKETS // BOXES}"
    return median(waits), quantiles(waits, n=100)[98]


def measured(*, quick: bool) -> Live:
    """Measure everything, each on a database of its own, with the server's defaults: fsync is on."""
    size = 4 if quick else 1
    with launch() as server:

        def fresh(name: str) -> str:
            url = server.database(name)
            with Runner(url, versions=VERSIONS) as runner:
                runner.migrate()
            return url

        relay = _drained(fresh("relay"), 20_000 // size, plain=False)
        plain = _drained(fresh("plain"), 8_000 // size, plain=True)
        # In turns, so that both see the same machine.
        alone, beside = [], []
        bare, followed = fresh("alone"), fresh("beside")
        for _ in range(1 if quick else 3):
            alone.append(_committed(bare, 8 / size))
            queue: Any = multiprocessing.get_context("spawn").Queue()
            with _beside((_relaying, (followed,)), (_following, (followed, queue))):
                queue.get(timeout=30)
                time.sleep(1)
                beside.append(_committed(followed, 8 / size))
        return Live(
            relay=relay,
            plain=plain,
            commits=median(alone),
            beside=median(beside),
            healthy=_latency(fresh("healthy"), 800 // size, poisoned=False),
            poisoned=_latency(fresh("poisoned"), 800 // size, poisoned=True),
            here=_heard(fresh("here"), 1_000 // size, there=False),
            there=_heard(fresh("there"), 1_000 // size, there=True),
            browser_here=_socketed(fresh("browser_here"), 2_000 // size, there=False),
            browser_there=_socketed(fresh("browser_there"), 2_000 // size, there=True),
        )


app = typer.Typer(name="live", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def live(
    quick: Annotated[bool, typer.Option("--quick", help="A quarter of the size.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Measure deliveries and the feed."""
    found = measured(quick=quick)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    console = Console(highlight=False)
    console.print(
        f"one relay delivers {found.relay:,.0f} effects a second to a coroutine function, {found.plain:,.0f} to a plain one"
    )
    console.print(
        f"one writer commits {found.commits:,.0f} events a second alone, and {found.beside:,.0f} beside a relay and a follower "
        f"({found.beside / found.commits:.2f}), on {os.cpu_count()} cores"
    )
    console.print(
        f"p99 from commit to delivery: {found.healthy:.1f} ms, and {found.poisoned:.1f} ms where one of a hundred is poisoned "
        f"({found.poisoned / found.healthy:.2f})"
    )
    for name, (middle, high) in (("the same process", found.here), ("another process", found.there)):
        console.print(
            f"from commit to notice in {name}, at 200 events a second: p50 {middle:.1f} ms, p99 {high:.1f} ms"
        )
    for name, (middle, high) in (("the serving process", found.browser_here), ("another", found.browser_there)):
        console.print(
            f"from commit in {name} to message at 500 WebSockets, at that rate: p50 {middle:.1f} ms, p99 {high:.1f} ms"
        )


if __name__ == "__main__":
    app()
