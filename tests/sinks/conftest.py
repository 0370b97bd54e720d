"""An application that sends letters, and a relay that hands them on to a sink."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dateline import AsyncRelay, Effect, Event, Personal, Retry, Runner, Versions, Yields, handler

FAST = Retry(tries=4, first=timedelta(milliseconds=10), timeout=timedelta(seconds=5))


class Letter(Effect, kind="letter.send", key="{to}", retry=FAST):
    to: str
    text: Personal[str]


class Write(Event, kind="write", subjects=("person:{to}",)):
    to: str
    text: Personal[str] = "héllo"


@handler
def write(event: Write) -> Yields[Letter]:
    yield Letter(to=event.to, text=event.text)


VERSIONS = Versions.of({"2024-01-01": [Write, write]})


class Office:
    """A runner on a database of its own."""

    def __init__(self, path: Path) -> None:
        self.runner = Runner(
            f"sqlite:///{path / 'office.db'}", versions=VERSIONS, clock=lambda: datetime(2024, 7, 1, tzinfo=UTC)
        )
        self.runner.migrate()

    def write(self, *to: str, **given: Any) -> list[Any]:
        return [self.runner.dispatch(Write(to=one), actor="clerk", **given) for one in to]

    async def deliver(self, sink: Any) -> None:
        """Deliver until nothing is due any more, also later."""
        for _ in range(200):
            await AsyncRelay(self.runner, sink, poll=timedelta(milliseconds=10)).drain()
            if not self.runner.effects("due", "retrying", "sending"):
                return

    def states(self) -> list[tuple[str, int, str | None]]:
        return [(one.state, one.tries, one.detail) for one in self.runner.effects()]

    def references(self) -> list[str | None]:
        with self.runner.engine.connect() as connection:
            told = "SELECT reference FROM dateline_attempt WHERE outcome = 'delivered' ORDER BY seq"
            return [row[0] for row in connection.exec_driver_sql(told)]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.runner.close()
