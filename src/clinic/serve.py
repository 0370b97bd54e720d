"""The ward board: one page that is always new, served beside a relay."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.requests import HTTPConnection

from clinic import deliveries
from clinic.app import VERSIONS, open_clinic
from dateline import Actor, AsyncRelay, AsyncRunner
from dateline.web.caller import Caller
from dateline.web.health import health
from dateline.web.live import Live
from dateline.web.serve import Site

__all__ = ["ward"]

BOARD = Path(__file__).with_name("board.html")


def _caller(connection: HTTPConnection) -> Caller | None:
    """Take everybody on this machine at their word; a real ward asks who they are."""
    return Caller(Actor(connection.query_params.get("me", "board"), kind="system"))


def ward(database: str) -> Site:
    """Return the ward board's site: the page, what it follows, and a relay that delivers meanwhile."""
    open_clinic(database).close()
    runner = AsyncRunner(database, versions=VERSIONS)
    # Masked, since nobody on the board has the right to see personal values.
    live = Live(runner, authenticate=_caller, authorise=lambda caller, wanted: True)
    app = FastAPI(title="clinic", openapi_url=None, routes=[*health(runner), *live.routes])

    @app.get("/")
    async def board() -> FileResponse:
        return FileResponse(BOARD, media_type="text/html")

    return Site(app=app, runner=runner, live=live, relay=AsyncRelay(runner, deliveries))
