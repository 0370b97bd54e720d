"""Decisions as tests state them: what is given, when what is asked, then what is decided; no database is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from difflib import unified_diff
from typing import Any

import pytest
from sqlalchemy import MetaData

from dateline.core.event import Event
from dateline.core.parse import decide
from dateline.core.plan import Plan, Planned
from dateline.core.snapshot import Snapshot
from dateline.core.step import Step
from dateline.core.version import Versions
from dateline.errors import NoMeta
from dateline.run.runner import Runner

__all__ = ["Clock", "Given", "When", "given", "in_memory", "under_each"]


def given(*snapshots: Snapshot, versions: Versions) -> Given:
    """Begin a test of a decision: `given(payer, versions=VERSIONS).when(Pay(…)).then(Update(…))`.

    Args:
        snapshots: What is seen, one of each class that the versions ask for; further ones may be left for those who ask.
    """
    return Given(snapshots, versions)


class Given:
    """What is seen."""

    def __init__(self, snapshots: tuple[Snapshot, ...], versions: Versions) -> None:
        self._snapshots = snapshots
        self._versions = versions

    def when(self, event: Event, *, under: date | str | None = None) -> When:
        """Decide an event.

        Args:
            event: Bare, it gets a meta: at the version's first instant, by "tester".
            under: The version; without it, the newest.
        """
        version = self._versions.newest if under is None else self._versions.asked(under)
        try:
            _ = event.meta
        except NoMeta:
            event = event.stamped(at=version.instant, actor="tester", version=version.date)
        cascade = self._versions.for_event(event, version.date)
        seen = [one for one in self._snapshots if type(one) in cascade.snapshots]
        return When(decide(event, *seen, version=version.date, versions=self._versions))


class When:
    """What was decided.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def then(self, *steps: Step) -> None:
        """Assert that these steps were decided, in this order, and no others."""
        __tracebackhide__ = True
        if self.plan.rejections:
            pytest.fail("the event was refused:\n" + "\n".join(_refusals(self.plan)))
        found = [planned.step for planned in self.plan.planned]
        if found != list(steps):
            expected = [repr(step) for step in steps]
            pytest.fail(
                "another plan was decided:\n" + _difference(expected, [repr(step) for step in found], self.plan.planned)
            )

    def refused(self, *codes: str) -> None:
        """Assert that checks refused the event with these codes, in any order, and with no others."""
        __tracebackhide__ = True
        found = sorted(rejection.code for rejection in self.plan.rejections)
        if found != sorted(codes):
            told = "\n".join(_refusals(self.plan)) or "it was not refused"
            pytest.fail(f"refused with {found or 'nothing'}, not with {sorted(codes)}:\n{told}")


def _refusals(plan: Plan) -> Iterator[str]:
    return (f"  {one.key}: {one.detail}  by {one.handler} of {one.date}" for one in plan.rejections)


def _difference(expected: list[str], found: list[str], planned: Iterable[Planned]) -> str:
    who = {repr(one.step): f"  by {one.handler} of {one.date}, {one.key}" for one in planned}
    lines = list(unified_diff(expected, found, "expected", "decided", lineterm="", n=100))[3:]
    return "\n".join(f"  {line}{who.get(line[1:], '') if line.startswith('+') else ''}" for line in lines)


def under_each(versions: Versions, *, since: date | str | None = None, name: str = "version") -> pytest.MarkDecorator:
    """Run a test once under each version: `@under_each(VERSIONS, since="2018-07-30")`.

    Args:
        since: Leave older versions out.
        name: The test's parameter that takes the date.
    """
    first = date.fromisoformat(since) if isinstance(since, str) else since
    days = [version.date for version in versions.versions if first is None or version.date >= first]
    return pytest.mark.parametrize(name, days, ids=[day.isoformat() for day in days])


class Clock:
    """A clock that stands still until it is moved; for a runner's `clock=`."""

    def __init__(self, now: datetime = datetime(2024, 1, 1, 12, tzinfo=UTC)) -> None:
        if now.tzinfo is None:
            raise ValueError(f"{now!r} is naive; an instant has a time zone")
        self.now = now

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@contextmanager
def in_memory(versions: Versions, tables: MetaData | None = None, **options: Any) -> Iterator[Runner]:
    """Give a runner on a database of its own in memory, with its trail, and the application's tables, made.

    Args:
        tables: The application's, such as `Base.metadata`.
        options: As `Runner` takes them, such as `clock=`.
    """
    with Runner("sqlite://", versions=versions, **options) as runner:
        runner.migrate()
        if tables is not None:
            tables.create_all(runner.engine)
        yield runner
