"""Run by a test: serves the bank over HTTP, on a port of loopback, until it is killed."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

from dateline import Actor, AsyncRunner
from dateline.web.api import router
from dateline.web.caller import Caller
from tests.proofs.bank import VERSIONS


def serve(url: str, port: int) -> None:
    app = FastAPI(openapi_url=None)
    # Of a version of their own: where they are pinned would be an event too.
    caller = Caller(Actor("crowd"), version=VERSIONS.newest.date)
    app.include_router(router(AsyncRunner(url, versions=VERSIONS), authenticate=lambda connection: caller))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
