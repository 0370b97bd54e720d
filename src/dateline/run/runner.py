"""The runners: dispatch, preview, read the trail; sync and async, equal in every method."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import date, datetime, timedelta
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from dateline.core.access import Access, Look
from dateline.core.correction import Correction
from dateline.core.decision import Decision
from dateline.core.diff import Diff
from dateline.core.entry import Entry, Page
from dateline.core.event import Event
from dateline.core.notice import Notice
from dateline.core.outcome import Committed, Preview, State
from dateline.core.pin import Pin
from dateline.core.request import Apart, Flow
from dateline.core.tally import Tally
from dateline.core.version import Versions
from dateline.errors import Refused
from dateline.run import migrate
from dateline.run.act import ApproveEffect, CancelEffect, RetryEffect, acting, resuming
from dateline.run.adopt import adopting
from dateline.run.clock import Budget, Clock
from dateline.run.connection import AsyncConnection, Connection, async_drive, drive
from dateline.run.correct import Choice, correcting
from dateline.run.engine import async_engine, engine, in_memory
from dateline.run.impact import impacting
from dateline.run.moment import AsyncMoment, Moment, drifted, drifted_row, reached
from dateline.run.path import Asked, Given, Heard, Looked, Path, heard
from dateline.run.pin import first_pinned, pinning, pins
from dateline.run.replay import comparing, diffing, replaying
from dateline.run.settings import Settings
from dateline.run.state import stating
from dateline.run.together import AsyncTogether, Together, async_together, together
from dateline.sql.drift import Drift
from dateline.sql.overview import Overview, Overviews, Step
from dateline.sql.sequencer import sequence
from dateline.sql.standing import Queued, Standing, Tried
from dateline.sql.verify import Verification, verify

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

__all__ = ["AsyncRunner", "Runner"]

POLL = timedelta(seconds=1)
"""How long a follower of the feed waits before it looks by itself."""

LEAST, EACH, MOST = 0.004, 0.001, 0.02
"""Seconds that a follower who is woken waits for more, since each look costs the same, whatever it finds: at the least, for each
notice of the look before, and at the most."""

R = TypeVar("R")


class Runner(Path):
    """Executes an application's events on one database.

    Args:
        database: A URL, `sqlite:///file.db` or `postgresql://…`, or a SQLAlchemy engine, whose URL is taken.
        versions: The package of the application's versions, by dotted name.
        clock: What gives the present; for tests.

    Raises:
        Unloadable: When a version breaks a rule; naming file, function and mend.
    """

    def __init__(
        self,
        database: str | Engine,
        *,
        versions: str | ModuleType | Versions,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.engine = engine(database, settings)
        # A refusal inside `together` is recorded while that holds a connection; were it to wait for the pool, all could wait for all.
        self._beside = (
            engine(database, settings, pooled=False) if self.engine.dialect.name == "postgresql" else self.engine
        )
        self.aside = self._beside if in_memory(self.engine) else engine(database, settings, pooled=False)
        super().__init__(self.engine, versions, clock, settings)

    def migrate(self) -> None:
        """Make the trail's tables, or bring them up to date; the application's own are not touched."""
        migrate.upgrade(self.engine)

    def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """Carry an event to its commit, as `Given` describes.

        Raises:
            Refused: As the tree in `errors` says; the refusal is recorded.
            Contention: When others won every try within the time budget.
        """
        return self._driven(self.dispatching(event, given))

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """Return what a dispatch would do now, or the refusal that it would raise; nothing is written.

        Args:
            rehearse: Let the database try the operations too, and take them back. Numbers that it assigns from a sequence
                meanwhile, keys of new rows, are not given back on PostgreSQL, so the next row's key may leave some out.
        """
        return self._driven(self.previewing(event, given, rehearse=rehearse))

    def state(self, kind: str, known: Mapping[str, Any], **given: Unpack[Given]) -> State:
        """Return what an event of a kind would see now, with fingerprints: what a form shows before it is sent.

        Args:
            known: The event's fields by which something is read; texts stand for what they say.

        Raises:
            Malformed: Where one is missing.
        """
        return self._driven(stating(self, kind, known, given))

    def erase(self, subject: str, **given: Unpack[Given]) -> Committed:
        """Have a subject's personal values leave the trail: an event, which needs the right "erase" and a reason.

        The event is an `EraseSubject`; handlers of that kind say what becomes of the application's tables. What would still have been sent
        of the values is cancelled. `removal` of the answer tells how much was removed. Twice is harmless.

        Args:
            subject: Whose values, by the name that events and records give them: `patient:42`.

        Raises:
            Malformed: For what can be no subject, and without a reason.
            Denied: Without the right; recorded.
        """
        return self._driven(self.erasing(subject, given))

    def trail(self, **asked: Unpack[Asked]) -> Page:
        """Return a page of the trail, as `Filters` describes: a subject's timeline, a row's history, a kind, an actor, a time."""
        return self._driven(self.paging(asked))

    def scan(self, *, after: int = 0) -> Iterator[Entry]:
        """Yield every entry of all tenants in the order of writing, a page at a time, so that memory stays flat.

        Args:
            after: The number of the entry before the first.
        """
        cursor: int | None = after
        while cursor is not None:
            page = self._driven(self.scanning(cursor))
            yield from page
            cursor = page.next

    def replay(self, event_id: UUID | str, version: date | str | None = None, *, tenant: str = "") -> Decision:
        """Decide a recorded event again, of what it saw then; nothing is written.

        Args:
            version: Under which date; without it, its own, and then it must come to what was recorded.

        Raises:
            NoSuchEvent: Where there is none of that id.
            NonDeterministic, ReleaseEdited: At its own version, where it comes to something else.
            Unanswerable: Where nothing can be said.
        """
        return self.driven_aside(replaying(self, event_id, version, tenant))

    def diff(
        self,
        event_id: UUID | str,
        a: date | str | None = None,
        b: date | str | None = None,
        *,
        input: Mapping[str, Any] | None = None,
        tenant: str = "",
    ) -> Diff:
        """Return how two ways to decide a recorded event differ; nothing is written.

        Args:
            a: One version, to be compared with what stands; or, with b, the first of two.
            input: Fields that should have been other than they were: the wrong patient, the wrong dose.

        Raises:
            NoSuchEvent, Unanswerable: As `replay` does.
            Malformed: Where the changed input is none of its kind.
        """
        return self.driven_aside(diffing(self, event_id, a, b, input, tenant))

    def compare(self, event: Event, a: date | str, b: date | str, **given: Unpack[Given]) -> Diff:
        """Return how two versions differ about an event that nobody has recorded, on today's state; nothing is written."""
        return self._driven(comparing(self, event, a, b, given))

    def correct(
        self,
        diff: Diff,
        *,
        preview: bool = False,
        items: Iterable[str] | None = None,
        admit: bool = False,
        revoke: bool = False,
        closed: date | None = None,
        **given: Unpack[Given],
    ) -> Correction:
        """Perform a difference and nothing else: one event, which needs the right "correct"; or tell what that would do.

        Args:
            diff: Between what stands and another way to decide, as `diff(event_id, version)` returns it.
            preview: Tell, and write nothing.
            items: The keys of the differences to perform; all without it.
            admit: An event that was rejected may become accepted; `revoke` the reverse.
            closed: Nothing that happened before this date, or instant, is corrected.

        Raises:
            NotCorrectable, StaleDiff, BooksClosed, DependedOn: As they say.
            Denied: Without the right; recorded.
            ConstraintRefused: Where the database refuses what would be written.
        """
        choice: Choice = {"items": items, "admit": admit, "revoke": revoke, "closed": closed}
        return self._driven(correcting(self, diff, choice, given, preview=preview))

    def as_of(self, moment: datetime | int) -> Moment:
        """Return the application's tables as they were: at an instant by the database's clock, or after the event of a number."""
        return Moment(self, self._driven(reached(self, moment)))

    def adopt(self, table: Any, **given: Unpack[Given]) -> int:
        """Have the trail know the rows of a table that are older than it, as they are; return how many there were.

        Events of five hundred rows each, which need the right "adopt". Broken off, it goes on where it ended.

        Args:
            table: The mapped class, or the table's name.
        """
        return self._driven(adopting(self, table, given))

    def drift(self, *tables: Any) -> tuple[Drift, ...]:
        """Compare tables with the trail, row by row; return what was written past it.

        Args:
            tables: Mapped classes, or tables' names; all that the versions know without any.
        """
        return self._driven(drifted(self, tables))

    def drift_of(self, table: Any, key: Any) -> Drift | None:
        """Compare one row with what the trail left of it; None where it is so.

        Args:
            table: A mapped class, or a table's name.
            key: The row's key, or its text, as entries tell it; of several columns, a tuple.

        Raises:
            Malformed: Where the versions know no such table.
        """
        return self._driven(drifted_row(self, table, key))

    def feed(
        self, *, after: str | None = None, follow: bool = True, poll: timedelta = POLL, **wanted: Unpack[Heard]
    ) -> Iterator[Notice]:
        """Yield what happens, committed events and what becomes of their effects, in the order in which it became visible; never skipping.

        Args:
            after: The cursor of the last notice that was dealt with, "now", or None for everything from the beginning.
            follow: Go on waiting for more; without, it ends with what there is.
            poll: How long to wait before looking, where nobody wakes us.
            wanted: As `Wanted` describes: tenant, subjects, kinds, event.

        Raises:
            OtherIncarnation: For a cursor of before a restore.
        """
        told = heard(wanted)
        at = self._driven(self.following(after, told))
        woken = threading.Event()
        ended = self.bell.wait(woken.set)
        try:
            while True:
                woken.clear()
                before = at.after
                found = self._driven(self.noticing(at, told))
                yield from found
                if at.after == before or at.after >= at.newest:
                    if not follow:
                        return
                    if woken.wait(poll.total_seconds()):
                        time.sleep(min(LEAST + EACH * len(found), MOST))
        finally:
            ended()

    def outcome(self, of: UUID | str, *, tenant: str = "", patience: timedelta = timedelta(seconds=10)) -> Entry | None:
        """Wait for an event, by its id or its request key, and return it; None when patience ends before it is there."""
        return self._driven(self.awaiting(of, tenant), budget=patience)

    def look(self, *looks: Look) -> int:
        """Record who is about to see whose data, before it is shown; return at how many subjects that was."""
        return self._driven(self.looking(*looks))

    def accesses(self, **asked: Unpack[Looked]) -> tuple[Access, ...]:
        """Return who looked at whom: at a subject, `subject=`, or who it was that an actor looked at, `actor=`; oldest first."""
        return self._driven(self.looked(asked))

    def pin(self, caller: str, to: date | str, **given: Unpack[Given]) -> Committed:
        """Have a caller stay at a version from now on; an event, which needs the right "pin".

        Raises:
            UnknownVersion: Where there is none such, or none in force.
        """
        return self._driven(pinning(self, caller, to, given))

    def pinned(self, caller: str, **given: Unpack[Given]) -> Pin:
        """Return where a caller stands; at their first call they are pinned to the newest version in force."""
        return self._driven(first_pinned(self, caller, given))

    def pins(self, *, tenant: str = "") -> tuple[Pin, ...]:
        """Return where all callers of a tenant stand, by name."""
        return self._driven(pins(self, tenant))

    def impact(
        self,
        version: date | str | None = None,
        *,
        base: date | str | None = None,
        tenant: str = "",
        events: int = 1000,
    ) -> dict[str, Tally]:
        """Decide the newest events of a tenant's again under a version, the newest without one; return what differs, by caller.

        Args:
            base: Compare with what this version makes of them, rather than with what was recorded.
            events: How many are looked at, of all callers together.
        """
        return self.driven_aside(impacting(self, version, tenant, events, base))

    def sequence(self) -> int:
        """Give all events that can be seen their positions in the feed; return how many there were."""
        return self._driven(sequence(self.store.dialect))

    def verify(self, *, tenant: str | None = None) -> Verification:
        """Recompute every digest of the trail."""
        return self._driven(verify(self.store.dialect, tenant))

    def effects(
        self, *states: str, kind: str | None = None, tenant: str = "", limit: int = 1000, after: str | None = None
    ) -> tuple[Queued, ...]:
        """Return effects whose delivery is not done, the oldest first.

        Args:
            states: Only these, such as "dead" and "unknown".
            after: The key of the last that was seen.
        """
        return tuple(self._driven(Standing(self.store.dialect).listed(tenant, states, kind, limit, after)))

    def attempts(self, *seqs: int, tenant: str = "") -> tuple[Tried, ...]:
        """Return the tries to deliver the effects of events, by the events' numbers."""
        return self._driven(Standing(self.store.dialect).tried(tenant, seqs))

    def overview(self, since: datetime, *, step: Step = "day", tenant: str = "") -> Overview:
        """Tell how many events and effects of a tenant's there were since an instant, from sums that are kept of every hour.

        What is not in the sums yet is counted now, the newest first; where that is very much, a part of it, and `uncounted` says so.

        Args:
            step: "hour" or "day": the times, in UTC, of which counts are told.

        Raises:
            Malformed: For what is none, and an instant without a zone.
        """
        return self._driven(Overviews(self.store.dialect).counted(tenant, since, step))

    def retry(self, effect: str, **given: Unpack[Given]) -> Committed:
        """Have an effect tried at once that is dead, expired, unknown or waits for its next try; an event, which needs the right "effects".

        Args:
            effect: Its key, as `effects` lists it.

        Raises:
            NotInState: Where it is in another state.
        """
        return self._driven(acting(self, RetryEffect, effect, given))

    def cancel(self, effect: str, **given: Unpack[Given]) -> Committed:
        """Have an effect never sent; as `retry`, of one that is not being sent at this moment."""
        return self._driven(acting(self, CancelEffect, effect, given))

    def approve(self, effect: str, **given: Unpack[Given]) -> Committed:
        """Have an effect sent that was held; as `retry`."""
        return self._driven(acting(self, ApproveEffect, effect, given))

    def resume(self, **given: Unpack[Given]) -> Committed:
        """Go on after a restore from a backup: hold all that is not sent, since it may have been, and begin a new incarnation of the feed.

        An event, which needs the right "effects".
        """
        return self._driven(resuming(self, self._fresh(), given))

    def together(self, session: Session | scoped_session[Session] | None = None) -> AbstractContextManager[Together]:
        """Open one transaction for several events, or join the caller's.

        A conflict inside is raised and not retried: the block is the caller's, and so is the second try.

        Raises:
            NotSerializable: When the caller's transaction could lose updates.
        """
        return together(self, self.engine, session, self._driven_beside)

    def _driven(self, flow: Flow[R], budget: timedelta | None = None, *, on: Engine | None = None) -> R:
        connection = Connection(on or self.engine)
        try:
            return drive(flow, connection, Budget(self.settings.budget if budget is None else budget), self._apart)
        except BaseException as error:
            if not isinstance(error, Exception):
                connection.discard()
            raise
        finally:
            connection.close()

    def _driven_beside(self, flow: Flow[R]) -> R:
        return self._driven(flow, on=self._beside)

    def driven(self, flow: Flow[R]) -> R:
        """Drive a flow of this runner's to its end."""
        return self._driven(flow)

    def driven_aside(self, flow: Flow[R]) -> R:
        """Drive what may make tables beside the real ones: in a session of its own, which ends with it."""
        return self._driven(flow, on=self.aside)

    def _apart(self, apart: Apart) -> None:
        self._driven(self.recording(apart.draft))

    def close(self) -> None:
        """Close all connections."""
        self.left()
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRunner(Path):
    """The same as `Runner`, awaited.

    Args:
        database: A URL, `sqlite:///file.db` or `postgresql://…`, or a SQLAlchemy engine, whose URL is taken.
        versions: The package of the application's versions, by dotted name.
        clock: What gives the present; for tests.

    Raises:
        Unloadable: When a version breaks a rule; naming file, function and mend.
    """

    def __init__(
        self,
        database: str | Engine | AsyncEngine,
        *,
        versions: str | ModuleType | Versions,
        clock: Clock | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self.engine = async_engine(database, settings)
        # As in Runner.
        self._beside = (
            async_engine(database, settings, pooled=False) if self.engine.dialect.name == "postgresql" else self.engine
        )
        made = self.engine.sync_engine
        self.aside = self._beside if in_memory(made) else async_engine(database, settings, pooled=False)
        super().__init__(self.engine.sync_engine, versions, clock, settings)

    async def migrate(self) -> None:
        """As `Runner.migrate`."""
        try:
            async with self.engine.connect() as connection:
                await connection.run_sync(migrate.upgrade_on)
        except OperationalError as error:
            raise migrate.unreachable(error) from error

    async def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Runner.dispatch`."""
        return await self._driven(self.dispatching(event, given))

    async def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Runner.preview`."""
        return await self._driven(self.previewing(event, given, rehearse=rehearse))

    async def state(self, kind: str, known: Mapping[str, Any], **given: Unpack[Given]) -> State:
        """As `Runner.state`."""
        return await self._driven(stating(self, kind, known, given))

    async def erase(self, subject: str, **given: Unpack[Given]) -> Committed:
        """As `Runner.erase`."""
        return await self._driven(self.erasing(subject, given))

    async def trail(self, **asked: Unpack[Asked]) -> Page:
        """As `Runner.trail`."""
        return await self._driven(self.paging(asked))

    async def scan(self, *, after: int = 0) -> AsyncIterator[Entry]:
        """As `Runner.scan`."""
        cursor: int | None = after
        while cursor is not None:
            page = await self._driven(self.scanning(cursor))
            for entry in page:
                yield entry
            cursor = page.next

    async def replay(self, event_id: UUID | str, version: date | str | None = None, *, tenant: str = "") -> Decision:
        """As `Runner.replay`."""
        return await self.driven_aside(replaying(self, event_id, version, tenant))

    async def diff(
        self,
        event_id: UUID | str,
        a: date | str | None = None,
        b: date | str | None = None,
        *,
        input: Mapping[str, Any] | None = None,
        tenant: str = "",
    ) -> Diff:
        """As `Runner.diff`."""
        return await self.driven_aside(diffing(self, event_id, a, b, input, tenant))

    async def compare(self, event: Event, a: date | str, b: date | str, **given: Unpack[Given]) -> Diff:
        """As `Runner.compare`."""
        return await self._driven(comparing(self, event, a, b, given))

    async def correct(
        self,
        diff: Diff,
        *,
        preview: bool = False,
        items: Iterable[str] | None = None,
        admit: bool = False,
        revoke: bool = False,
        closed: date | None = None,
        **given: Unpack[Given],
    ) -> Correction:
        """As `Runner.correct`."""
        choice: Choice = {"items": items, "admit": admit, "revoke": revoke, "closed": closed}
        return await self._driven(correcting(self, diff, choice, given, preview=preview))

    async def as_of(self, moment: datetime | int) -> AsyncMoment:
        """As `Runner.as_of`."""
        return AsyncMoment(self, await self._driven(reached(self, moment)))

    async def adopt(self, table: Any, **given: Unpack[Given]) -> int:
        """As `Runner.adopt`."""
        return await self._driven(adopting(self, table, given))

    async def drift(self, *tables: Any) -> tuple[Drift, ...]:
        """As `Runner.drift`."""
        return await self._driven(drifted(self, tables))

    async def drift_of(self, table: Any, key: Any) -> Drift | None:
        """As `Runner.drift_of`."""
        return await self._driven(drifted_row(self, table, key))

    async def feed(
        self, *, after: str | None = None, follow: bool = True, poll: timedelta = POLL, **wanted: Unpack[Heard]
    ) -> AsyncGenerator[Notice]:
        """As `Runner.feed`."""
        told = heard(wanted)
        at = await self._driven(self.following(after, told))
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):
                # Of a loop that is closed, nobody waits any more.
                loop.call_soon_threadsafe(woken.set)

        ended = self.bell.wait(wake)
        try:
            while True:
                woken.clear()
                before = at.after
                found = await self._driven(self.noticing(at, told))
                for notice in found:
                    yield notice
                if at.after == before or at.after >= at.newest:
                    if not follow:
                        return
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), poll.total_seconds())
                        await asyncio.sleep(min(LEAST + EACH * len(found), MOST))
        finally:
            ended()

    async def outcome(
        self, of: UUID | str, *, tenant: str = "", patience: timedelta = timedelta(seconds=10)
    ) -> Entry | None:
        """As `Runner.outcome`."""
        return await self._driven(self.awaiting(of, tenant), budget=patience)

    async def look(self, *looks: Look) -> int:
        """As `Runner.look`."""
        return await self._driven(self.looking(*looks))

    async def accesses(self, **asked: Unpack[Looked]) -> tuple[Access, ...]:
        """As `Runner.accesses`."""
        return await self._driven(self.looked(asked))

    async def pin(self, caller: str, to: date | str, **given: Unpack[Given]) -> Committed:
        """As `Runner.pin`."""
        return await self._driven(pinning(self, caller, to, given))

    async def pinned(self, caller: str, **given: Unpack[Given]) -> Pin:
        """As `Runner.pinned`."""
        return await self._driven(first_pinned(self, caller, given))

    async def pins(self, *, tenant: str = "") -> tuple[Pin, ...]:
        """As `Runner.pins`."""
        return await self._driven(pins(self, tenant))

    async def impact(
        self,
        version: date | str | None = None,
        *,
        base: date | str | None = None,
        tenant: str = "",
        events: int = 1000,
    ) -> dict[str, Tally]:
        """As `Runner.impact`."""
        return await self.driven_aside(impacting(self, version, tenant, events, base))

    async def sequence(self) -> int:
        """As `Runner.sequence`."""
        return await self._driven(sequence(self.store.dialect))

    async def verify(self, *, tenant: str | None = None) -> Verification:
        """As `Runner.verify`."""
        return await self._driven(verify(self.store.dialect, tenant))

    async def effects(
        self, *states: str, kind: str | None = None, tenant: str = "", limit: int = 1000, after: str | None = None
    ) -> tuple[Queued, ...]:
        """As `Runner.effects`."""
        return tuple(await self._driven(Standing(self.store.dialect).listed(tenant, states, kind, limit, after)))

    async def attempts(self, *seqs: int, tenant: str = "") -> tuple[Tried, ...]:
        """As `Runner.attempts`."""
        return await self._driven(Standing(self.store.dialect).tried(tenant, seqs))

    async def overview(self, since: datetime, *, step: Step = "day", tenant: str = "") -> Overview:
        """As `Runner.overview`."""
        return await self._driven(Overviews(self.store.dialect).counted(tenant, since, step))

    async def retry(self, effect: str, **given: Unpack[Given]) -> Committed:
        """As `Runner.retry`."""
        return await self._driven(acting(self, RetryEffect, effect, given))

    async def cancel(self, effect: str, **given: Unpack[Given]) -> Committed:
        """As `Runner.cancel`."""
        return await self._driven(acting(self, CancelEffect, effect, given))

    async def approve(self, effect: str, **given: Unpack[Given]) -> Committed:
        """As `Runner.approve`."""
        return await self._driven(acting(self, ApproveEffect, effect, given))

    async def resume(self, **given: Unpack[Given]) -> Committed:
        """As `Runner.resume`."""
        return await self._driven(resuming(self, self._fresh(), given))

    def together(
        self, session: AsyncSession | async_scoped_session[AsyncSession] | None = None
    ) -> AbstractAsyncContextManager[AsyncTogether]:
        """As `Runner.together`."""
        return async_together(self, self.engine, session, self._driven_beside)

    async def _driven(self, flow: Flow[R], budget: timedelta | None = None, *, on: AsyncEngine | None = None) -> R:
        connection = AsyncConnection(on or self.engine)
        try:
            return await async_drive(
                flow, connection, Budget(self.settings.budget if budget is None else budget), self._apart
            )
        except BaseException as error:
            if not isinstance(error, Exception):
                await connection.discard()
            raise
        finally:
            await connection.close()

    async def _driven_beside(self, flow: Flow[R]) -> R:
        return await self._driven(flow, on=self._beside)

    async def driven_aside(self, flow: Flow[R]) -> R:
        """As in Runner."""
        return await self._driven(flow, on=self.aside)

    async def _apart(self, apart: Apart) -> None:
        await self._driven(self.recording(apart.draft))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self.left)
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
