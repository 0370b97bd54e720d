"""Whether a process lives, and whether it can serve: for those who start it, watch it, and send it requests.

Both are told to whoever asks, so they hold counts and seconds and nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from logging import INFO, WARNING
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dateline.errors import NotMigrated, Unreachable
from dateline.run import log
from dateline.run.engine import absent
from dateline.run.migrate import migrated, revisions
from dateline.run.runner import AsyncRunner
from dateline.sql.lag import Lag, Lags

__all__ = ["Seen", "health"]

WITHIN = timedelta(seconds=2)
"""How long the database may take before it counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the database found.

    Args:
        reached: It answered.
        migrated: Its tables are up to date; None where nobody knows.
        lag: How far behind the work is, where that could be asked.
        reason: Why it was not reached; for the log.
    """

    reached: bool
    migrated: bool | None = None
    lag: Lag | None = None
    reason: str | None = None


def health(
    runner: AsyncRunner,
    *,
    sequencer: timedelta | None = None,
    relay: timedelta | None = None,
    within: timedelta = WITHIN,
) -> list[BaseRoute]:
    """Return the routes `/healthz` and `/readyz`, to be mounted in any Starlette or FastAPI application, for whoever asks.

    `/healthz` answers as long as the process does, and touches nothing. `/readyz` answers 200, or 503 where the database does not answer
    or its tables are older than this program, and tells in JSON what holds. It also tells for how long effects have been due, and events
    been without a position in the feed; that counts only where it is said how long is too long, since a server is of use also while a relay
    elsewhere stands still.

    Args:
        sequencer: For how long an event may wait for its position in the feed. It gets one when somebody follows.
        relay: For how long an effect may be due.
        within: For how long the database may keep us waiting.
    """
    return Health(runner, sequencer, relay, within).routes


class Health:
    """Looks at one runner's database, once at a time however many ask: one that hangs must not take a connection for each of them."""

    def __init__(
        self, runner: AsyncRunner, sequencer: timedelta | None, relay: timedelta | None, within: timedelta
    ) -> None:
        self._runner = runner
        self._sequencer, self._relay, self._within = sequencer, relay, within.total_seconds()
        # Now, because finding them takes a moment in which nobody else would be served.
        self._known = revisions()
        self._lags = Lags(runner.store.dialect)
        self._looking: asyncio.Task[Seen] | None = None
        self._missed: tuple[str, ...] = ()

    @property
    def routes(self) -> list[BaseRoute]:
        """Both routes."""
        return [Route("/healthz", self.alive), Route("/readyz", self.ready)]

    async def alive(self, request: Request) -> Response:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    async def ready(self, request: Request) -> Response:
        """Say whether it can serve, and what of that holds."""
        seen = await self._seen()
        checks = self._judged(seen)
        missed = tuple(name for name, check in checks.items() if not check["ok"])
        if missed != self._missed:
            # Once, and not with every question.
            level, word = (WARNING, "not-ready") if missed else (INFO, "ready")
            log.told(word, level=level, missed=list(missed) or None, reason=seen.reason)
            self._missed = missed
        told = {"status": "not-ready" if missed else "ready", "checks": checks}
        return JSONResponse(told, 503 if missed else 200, {"cache-control": "no-store"})

    async def _seen(self) -> Seen:
        """Look, for as long as may be waited; who asks meanwhile gets the same answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        looking = self._looking
        await asyncio.wait((looking,), timeout=self._within)
        if not looking.done():
            # Not waited for: giving up a connection to a server that hangs takes as long as that does. Until it is done, nobody begins
            # another.
            looking.cancel()
        return Seen(reached=False, reason="late") if not looking.done() or looking.cancelled() else looking.result()

    async def _look(self) -> Seen:
        runner = self._runner
        try:
            if absent(runner.engine.sync_engine) is not None:
                raise Unreachable("there is no such file")
            await runner._driven(migrated(runner.store.dialect, self._known))
            return Seen(reached=True, migrated=True, lag=await runner._driven(self._lags.waiting()))
        except NotMigrated:
            return Seen(reached=True, migrated=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, this process cannot serve now
            return Seen(reached=False, reason=type(error).__name__)

    def _judged(self, seen: Seen) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {"database": {"ok": seen.reached}, "migrated": {"ok": seen.migrated}}
        if seen.lag is None:
            return {**told, "feed": {"ok": None}, "relay": {"ok": None}}
        behind, oldest = seen.lag.behind, seen.lag.oldest
        told["feed"] = {
            "ok": _within(behind, self._sequencer),
            "pending": seen.lag.pending,
            "seconds": round(behind, 3),
        }
        told["relay"] = {
            "ok": _within(oldest, self._relay),
            "due": seen.lag.counts["due"],
            "seconds": round(oldest, 3),
        }
        return told


def _within(seconds: float, most: timedelta | None) -> bool:
    return most is None or seconds <= most.total_seconds()
