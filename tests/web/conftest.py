"""A ward whose events are shown live, served by a real server on loopback."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from dateline import Actor, AsyncRunner, Effect, Event, Personal, Runner, Versions, Yields, handler
from dateline.web.caller import Caller
from dateline.web.live import Live
from tests.web.serving import Server


class Call(Effect, kind="call", key="{patient}"):
    patient: str


class Move(Event, kind="move", subjects=("patient:{patient}", "ward:{ward}")):
    patient: str
    ward: str
    note: Personal[str] = "secret"
    text: str = ""


class Clean(Event, kind="clean", subjects=("ward:{ward}",)):
    ward: str


@handler
def move(event: Move) -> Yields[Call]:
    yield Call(patient=event.patient)


VERSIONS = Versions.of({"2024-01-01": [Move, Clean, move]})


@dataclass
class Ward:
    """The server, and what it was asked.

    Args:
        allowed: The subjects that may be heard of; None for all.
        asked: How often somebody was authorised.
    """

    url: str
    runner: Runner
    options: dict[str, Any] = field(default_factory=dict)
    allowed: set[str] | None = None
    asked: int = 0
    port: int = 0
    live: Live | None = None
    _server: Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def authenticate(self, connection: HTTPConnection) -> Caller | None:
        name = connection.query_params.get("me")
        if name is None:
            return None
        tenant, _, id = name.rpartition("/")
        rights = frozenset({"unmask"}) if id.startswith("doctor") else frozenset()
        return Caller(Actor(id, rights=rights), tenant)

    def authorise(self, caller: Caller, wanted: Any) -> bool:
        self.asked += 1
        return self.allowed is None or set(wanted.subjects) <= self.allowed

    def start(self) -> None:
        runner = AsyncRunner(self.url, versions=VERSIONS)
        self.live = Live(runner, authenticate=self.authenticate, authorise=self.authorise, **self.options)
        self._server = Server(runner, FastAPI(routes=self.live.routes), self.port)
        self.port = self._server.port

    def stop(self) -> None:
        assert self._server is not None
        self._server.stop()


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Give the URL of a fresh database: what differs between servers of one kind is another suite's."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def ward(request: pytest.FixtureRequest, url: str) -> Iterator[Ward]:
    options = {"heartbeat": timedelta(milliseconds=200), **getattr(request, "param", {})}
    with Runner(url, versions=VERSIONS) as runner:
        runner.migrate()
        made = Ward(url, runner, options)
        made.start()
        yield made
        made.stop()
    # A connection that was being opened when its task was cancelled is closed by the garbage collector alone; until then the server waits
    # for it for a minute before it drops the database.
    gc.collect()
