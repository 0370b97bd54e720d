"""Connections and stores that misbehave on purpose: what the promises are attacked with, and what shows that the attacks hit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine, event

from dateline import Runner
from dateline.core.cascade import Cascade
from dateline.core.draft import Draft
from dateline.core.request import Ending, Flow, Written
from dateline.errors import Contention
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.settings import Settings
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.store import SqlStore
from tests.proofs.bank import VERSIONS

__all__ = [
    "Claimless",
    "Sabotage",
    "ThreeTries",
    "Through",
    "Unguarded",
    "Watching",
    "at_read_committed",
    "at_repeatable_read",
    "through",
    "unguarded",
    "writes",
]

R = TypeVar("R")


class Through(Runner):
    """A runner whose statements pass through a connection of the test's choice."""

    made: Callable[[Engine], Connection] | None = None
    budget: Callable[[timedelta], Budget] = Budget

    def _driven(self, flow: Flow[R], budget: timedelta | None = None, *, on: Engine | None = None) -> R:
        connection = (self.made or Connection)(on or self.engine)
        try:
            return drive(flow, connection, self.budget(budget or self.settings.budget), self._apart)
        except BaseException as error:
            if not isinstance(error, Exception):
                connection.discard()
            raise
        finally:
            connection.close()


def through(url: str, settings: Settings) -> Through:
    """Open such a runner."""
    return Through(url, versions=VERSIONS, settings=settings)


def writes(batch: Batch) -> bool:
    """Tell whether a batch begins a commit: the one statement of it, or the first of several."""
    return (batch.opens and not batch.ends) or batch.statements[0].name == "commit"


def at_read_committed(runner: Runner) -> None:
    """Put a runner on PostgreSQL's default isolation, with its guard as it is."""
    _at(runner, "read committed")


def at_repeatable_read(runner: Runner) -> None:
    """Put a runner on snapshot isolation, as others call it, with its guard as it is."""
    _at(runner, "repeatable read")


def _at(runner: Runner, level: str) -> None:
    runner.store.dialect.begin = f"BEGIN ISOLATION LEVEL {level.upper()}"

    @event.listens_for(runner.engine, "connect")
    def default(connection: Any, record: Any) -> None:
        connection.execute(f"SET default_transaction_isolation = '{level}'")


def unguarded(runner: Runner) -> None:
    """Have a runner forget the guard."""
    runner.store = Unguarded(runner.store.dialect, runner.versions)


class ThreeTries(Budget):
    """The usual way to retry: so many times, whatever the time."""

    def pause(self, tries: int, *, brief: bool = False) -> float:
        """Give up after the third retry."""
        if tries > 3:
            raise Contention(f"gave up after {tries} tries")
        return super().pause(tries, brief=brief)


class Watching(Connection):
    """A connection that tells of each commit that is tried, before its first statement is sent.

    Args:
        before: What is done first.
    """

    def __init__(self, engine: Engine, before: Callable[[Watching], Any]) -> None:
        super().__init__(engine)
        self._before = before

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch."""
        if writes(batch):
            self._before(self)
        return super().execute(batch)


class Sabotage(Connection):
    """A connection that lets so many statements of a commit pass, then does something, once, then goes on.

    Args:
        after: How many statements pass before it happens.
        fault: What happens; it may raise, or return statements to be sent before the rest.
    """

    def __init__(
        self, engine: Engine, after: int, fault: Callable[[Sabotage], tuple[Statement, ...] | None], joined: Any = None
    ) -> None:
        super().__init__(engine, joined)
        self._left = after
        self._fault = fault
        self._writing = False
        self.passed: list[Statement] = []

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch, in two parts where the fault is in its middle."""
        self._writing = self._writing or writes(batch)
        if not self._writing:
            return super().execute(batch)
        results: list[Result] = []
        if 0 <= self._left <= len(batch.statements):
            first, rest = batch.statements[: self._left], batch.statements[self._left :]
            results = super().execute(Batch(first)) if first else []
            self.passed += first
            self._left = -1
            more = self._fault(self)
            if more is not None:
                super().execute(Batch(more))
            batch = replace(batch, statements=rest)
        if batch.statements:
            results += super().execute(batch)
            self.passed += batch.statements
            self._left -= len(batch.statements)
        if batch.ends or self.passed[-1].name == "commit":
            self._writing = False
        return results

    @property
    def session(self) -> int:
        """The server process at the other end."""
        return int(self._taken().info.backend_pid)


class Draining(Connection):
    """A connection on which a statement fails just before the first of a name."""

    def __init__(self, engine: Engine, name: str, failing: Statement) -> None:
        super().__init__(engine)
        self._name = name
        self._failing = failing

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch, which fails in its middle where such a statement is in it."""
        names = [one.name for one in batch.statements]
        if self._name not in names:
            return super().execute(batch)
        at = names.index(self._name)
        return super().execute(replace(batch, statements=(*batch.statements[:at], self._failing)))


class Unguarded(SqlStore):
    """A store that forgets the guard."""

    def write(
        self,
        draft: Draft,
        cascade: Cascade | None,
        proof: Any,
        *,
        ending: Ending,
        joined: bool,
        careful: bool = False,
        leave: bool = False,
        closes: bool = False,
        before: tuple[Statement, ...] = (),
    ) -> Flow[Written]:
        """Write whatever was decided, come what may."""
        return super().write(
            draft, None, None, ending=ending, joined=joined, careful=careful, leave=leave, closes=closes, before=before
        )


class Claimless(SqlStore):
    """A store that forgets to take the request key."""

    def write(
        self,
        draft: Draft,
        cascade: Cascade | None,
        proof: Any,
        *,
        ending: Ending,
        joined: bool,
        careful: bool = False,
        leave: bool = False,
        closes: bool = False,
        before: tuple[Statement, ...] = (),
    ) -> Flow[Written]:
        """Write without a claim."""
        made = replace(draft, claim=None)
        return super().write(
            made,
            cascade,
            proof,
            ending=ending,
            joined=joined,
            careful=careful,
            leave=leave,
            closes=closes,
            before=before,
        )
