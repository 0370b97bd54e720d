"""Serving in one process: the API, the live feed, whether all is well, and a relay; stopped without losing anything."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from logging import WARNING
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from dateline.errors import DatelineError, Unreachable
from dateline.run import log
from dateline.run.engine import absent
from dateline.run.migrate import migrated, revisions
from dateline.run.relay import AsyncRelay
from dateline.run.runner import AsyncRunner
from dateline.sql.feed import Wanted
from dateline.web.api import router
from dateline.web.caller import Authenticate, Caller
from dateline.web.health import health
from dateline.web.live import Authorise, Live
from dateline.web.local import Here, Local, loopback

__all__ = ["GRACE", "Site", "bound", "serve"]

GRACE = timedelta(seconds=20)
"""How long what is in flight may take to end; most who stop processes lose their patience after thirty seconds."""

SEQUENCER, RELAY = timedelta(minutes=1), timedelta(minutes=5)
"""How far behind a process may be that sequences and delivers itself, and still call itself ready."""

PACE = 1.0
"""Seconds between two looks at whether events want a position in the feed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What one process serves.

    Args:
        app: What answers requests.
        runner: Closed when it ends.
        live: Whose connections end first when it is told to.
        relay: Runs beside it.
    """

    app: Starlette
    runner: AsyncRunner
    live: Live | None = None
    relay: AsyncRelay | None = None

    @classmethod
    def of(
        cls,
        runner: AsyncRunner,
        *,
        authenticate: Authenticate,
        authorise: Authorise | None = None,
        relay: AsyncRelay | None = None,
        pages: Sequence[BaseRoute] = (),
        prefix: str = "",
    ) -> Site:
        """Return one with the API and the live feed behind a prefix, and `/healthz` and `/readyz`.

        Args:
            pages: What is for people, at `/console`: `console(runner, authenticate=…).routes`.
            authenticate: Tells who calls; a `Local` admits nobody but those on this machine who know its token.
            authorise: Tells who may hear of what; without it, all of a tenant may hear of all that is the tenant's.
        """
        live = Live(runner, authenticate=authenticate, authorise=authorise or _own)
        served = [*router(runner, authenticate=authenticate).routes, *live.routes]
        well = health(runner, sequencer=SEQUENCER, relay=RELAY if relay is not None else None)
        # Not by FastAPI, of which nothing is needed here: what it wraps around each request takes a third of the time.
        app = Starlette(
            routes=[*well, *_shown(pages, authenticate), *([Mount(prefix, routes=served)] if prefix else served)]
        )
        if isinstance(authenticate, Local):
            app.add_middleware(Here)
        return cls(app=app, runner=runner, live=live, relay=relay)


def _shown(pages: Sequence[BaseRoute], authenticate: Authenticate) -> list[BaseRoute]:
    """Return what is for people, and their way in where nobody but us knows them."""
    if not pages:
        return []
    door = [Route("/console/enter", authenticate.enter)] if isinstance(authenticate, Local) else []
    return [*door, Mount("/console", routes=pages)]


def _own(caller: Caller, wanted: Wanted) -> bool:
    return wanted.tenant == caller.tenant


# Where --------------------------------------------------------------------------------------------------------------------


def bound(host: str, port: int, *, here: bool = False) -> socket.socket:
    """Return a socket that listens.

    Args:
        port: 0 for any that is free.
        here: It is for this machine alone, because nobody tells who calls.

    Raises:
        DatelineError: Where that cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if here and not loopback(str(address[0])):
            raise DatelineError(
                f"{host} can be reached from elsewhere, and nobody tells who calls: pass --authenticate module:name, "
                "or stay on this machine with --host 127.0.0.1"
            )
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise DatelineError(_unbound(host, port, error)) from error


def _unbound(host: str, port: int, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken; end who listens there, or choose another: --port {port + 1}, or 0 for any"
        )
    if code in (errno.EACCES, errno.EPERM):
        return f"port {port} of {host} is not for everybody; choose one above 1023: --port 8000"
    return f"nobody can listen at port {port} of {host} here: {getattr(error, 'strerror', None) or error}; choose another --host or --port"


# How long -----------------------------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens, and ends streams before it waits for what is in flight."""

    def __init__(
        self, config: uvicorn.Config, listening: Callable[[], None] | None, ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._listening, self._ending = listening, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._listening is not None and not self.should_exit:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)

    def stop(self, *_: Any) -> None:
        self.should_exit = True


def serve(
    site: Site, listening: socket.socket, *, told: Callable[[], None] | None = None, grace: timedelta = GRACE
) -> None:
    """Serve a site until SIGTERM or SIGINT; then take no more, finish what is in flight, and close its runner.

    Args:
        listening: Where; as `bound` returns it.
        told: Called when it serves.
        grace: How long what is in flight may take.

    Raises:
        NotMigrated, Unreachable: Where the database is not as it should be; before anything is served.
    """
    config = uvicorn.Config(
        site.app, log_config=None, access_log=False, timeout_graceful_shutdown=math.ceil(grace.total_seconds())
    )
    relay = site.relay

    def ending() -> None:
        # At once, so that what it performs has the same time as what is in flight.
        if relay is not None:
            relay.stop()
        if site.live is not None:
            site.live.end()

    server = _Server(config, told, ending)
    with listening, _stopped_by_signals(server.stop), asyncio.Runner(loop_factory=config.get_loop_factory()) as loop:
        loop.run(_served(server, site, listening))


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[..., None]) -> Iterator[None]:
    """Have signals stop it, also those before uvicorn hears them, and those that it raises again once it has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


async def _served(server: _Server, site: Site, listening: socket.socket) -> None:
    runner, relay = site.runner, site.relay
    tasks: list[asyncio.Task[None]] = []
    try:
        await _able(runner)
        tasks.append(asyncio.create_task(_sequencing(runner)))
        if relay is not None:
            tasks.append(asyncio.create_task(relay.run()))
        for task in tasks:
            # One that fails takes the process with it: whoever starts it again hears why, and nobody would of a relay that is just gone.
            task.add_done_callback(server.stop)
        await server.serve([listening])
    finally:
        try:
            await _ended(tasks, relay)
        finally:
            await runner.close()


async def _able(runner: AsyncRunner) -> None:
    """Make sure that there is a trail.

    Raises:
        Unreachable, NotMigrated: Where there is none.
    """
    missing = absent(runner.engine.sync_engine)
    if missing is not None:
        raise Unreachable(f"there is no file {missing}; run `dateline migrate --database sqlite:///{missing}`")
    await runner._driven(migrated(runner.store.dialect, revisions()))


async def _sequencing(runner: AsyncRunner) -> None:
    """Give events their positions while nobody follows: who begins to, finds little to do, and how far it is behind means something."""
    while True:
        try:
            await runner.sequence()
        except DatelineError as error:
            log.told("sequencer.waits", level=WARNING, reason=type(error).__name__)
        await asyncio.sleep(PACE)


async def _ended(tasks: list[asyncio.Task[None]], relay: AsyncRelay | None) -> None:
    """Wait for the relay to finish, and raise what one of them failed of."""
    if not tasks:
        return
    sequencing, *relaying = tasks
    sequencing.cancel()
    if relay is not None and relaying:
        relay.stop()
        # It waits for its deliveries by itself; this is for a database that does not answer when it records what came of them.
        await asyncio.wait(relaying, timeout=relay.grace.total_seconds() + 5)
        if not relaying[0].done():
            log.told("serve.gave-up", level=WARNING)
            relaying[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
