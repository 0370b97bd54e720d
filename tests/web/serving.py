"""A real server on loopback, for as long as a test takes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from dateline import AsyncRunner

__all__ = ["served"]


@contextmanager
def served(runner: Callable[[], AsyncRunner], app: Callable[[AsyncRunner], FastAPI]) -> Iterator[int]:
    """Serve an application on a free port, which is given; its runner is closed with it."""
    made = runner()
    made_app = app(made)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with made:
            yield

    made_app.router.lifespan_context = lifespan
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = uvicorn.Config(made_app, "127.0.0.1", port, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < ends
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(20)
