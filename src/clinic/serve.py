"""The ward board: one page that is always new, served beside a relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.requests import HTTPConnection

from clinic import deliveries
from clinic.app import VERSIONS, open_clinic
from dateline import Actor, AsyncRelay, AsyncRunner
from dateline.web.caller import Caller
from dateline.web.live import Live

__all__ = ["application"]

BOARD = Path(__file__).with_name("board.html")


def _caller(connection: HTTPConnection) -> Caller | None:
    """Take everybody on this machine at their word; a real ward asks who they are."""
    return Caller(Actor(connection.query_params.get("me", "board"), kind="system"))


def application(database: str) -> FastAPI:
    """Return the ward board's application: the page, what it follows, and a relay that delivers meanwhile."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        open_clinic(database).close()
        async with AsyncRunner(database, versions=VERSIONS) as runner:
            # Masked, since nobody on the board has the right to see personal values.
            live = Live(runner, authenticate=_caller, authorise=lambda caller, wanted: True)
            app.router.routes += live.routes
            relay = AsyncRelay(runner, deliveries)
            delivering = asyncio.create_task(relay.run())
            yield
            relay.stop()
            with suppress(asyncio.CancelledError):
                await delivering

    app = FastAPI(title="clinic", lifespan=lifespan, openapi_url=None)

    @app.get("/")
    async def board() -> FileResponse:
        return FileResponse(BOARD, media_type="text/html")

    return app
