"""dateline through its public API, with its default settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contestant import AsyncContestant, Doer, Threaded
from benchmarks.versions.v2024_01_01.prescriptions import Prescribe
from benchmarks.work import Unit, Work
from dateline import AsyncRunner, Preview, Runner, Versions, load

__all__ = ["VERSIONS", "Dateline", "DatelineAsync", "DatelinePreview", "DatelineSqlite"]

VERSIONS: Versions = load("benchmarks.versions")

ACTOR = "dr-7"
TENANT = "north"


def event_of(unit: Unit) -> Prescribe:
    return Prescribe(
        patient=unit.patient,
        prescription=unit.prescription,
        drug=unit.drug,
        dose_mg=unit.dose_mg,
        directions=unit.directions,
        note=unit.note,
    )


class Dateline(Threaded):
    """The synchronous runner, one for all threads of a process."""

    runner: Runner

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, and the trail's."""
        super().prepare(work)
        with Runner(self.url, versions=VERSIONS) as runner:
            runner.migrate()

    def open(self) -> None:
        """Make the runner."""
        self.runner = Runner(self.url, versions=VERSIONS)

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """Dispatch."""
        yield lambda unit: self.runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT)

    def close(self) -> None:
        """Close the runner."""
        self.runner.close()


class DatelineSqlite(Dateline):
    """The same on SQLite."""


class DatelinePreview(Dateline):
    """The same without the commit."""

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """Preview."""

        def preview(unit: Unit) -> object:
            found = self.runner.preview(event_of(unit), actor=ACTOR, tenant=TENANT)
            assert isinstance(found, Preview)
            return found

        yield preview


class DatelineAsync(AsyncContestant):
    """The asynchronous runner, one for all tasks of a process."""

    runner: AsyncRunner

    def prepare(self, work: Work) -> None:
        """As `Dateline.prepare`."""
        Dateline(self.url).prepare(work)

    def open(self) -> None:
        """Make the runner."""
        self.runner = AsyncRunner(self.url, versions=VERSIONS)

    async def do(self, unit: Unit) -> object:
        """Dispatch."""
        return await self.runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT)

    async def finish(self) -> None:
        """Close the runner."""
        await self.runner.close()
