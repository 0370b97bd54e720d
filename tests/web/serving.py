"""A real server on loopback, for as long as a test takes."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from dateline import AsyncRunner
from dateline.web.serve import bound

__all__ = ["Server", "served"]


class Server:
    """An application, served in a thread of its own; its runner is closed with it.

    Args:
        port: Where it listens; any that is free, where it is 0.
    """

    def __init__(self, runner: AsyncRunner, app: FastAPI, port: int = 0) -> None:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            async with runner:
                yield

        app.router.lifespan_context = lifespan
        listening = bound("127.0.0.1", port)
        self.port = int(listening.getsockname()[1])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        ends = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < ends
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@contextmanager
def served(runner: Callable[[], AsyncRunner], app: Callable[[AsyncRunner], FastAPI]) -> Iterator[int]:
    """Serve an application on a free port, which is given."""
    made = runner()
    server = Server(made, app(made))
    try:
        yield server.port
    finally:
        server.stop()
