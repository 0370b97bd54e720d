"""The runners: dispatch, preview, read the trail; sync and async, equal in every method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from types import ModuleType, TracebackType
from typing import Any, Required, Self, TypedDict, TypeVar, Unpack
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from dateline.core.entry import Entry, Page
from dateline.core.event import Event
from dateline.core.flow import Apart, Draft, Ending, Flow, Pause, Request, flow
from dateline.core.meta import Actor, Origin, Reason
from dateline.core.outcome import Committed, Expects, Preview
from dateline.core.parse import parse
from dateline.core.version import Versions
from dateline.errors import DatelineError, Refused
from dateline.run import log, migrate
from dateline.run.clock import Budget, Clock, new_id, new_seed, now
from dateline.run.connection import AsyncConnection, Connection, async_drive, drive
from dateline.run.engine import async_engine, dialect_of, engine
from dateline.run.loading import load
from dateline.run.settings import Settings
from dateline.sql.sequencer import sequence
from dateline.sql.statement import Batch
from dateline.sql.store import SqlStore
from dateline.sql.together import brackets, joining
from dateline.sql.trail import Filters
from dateline.sql.verify import Verification, verify

__all__ = ["AsyncRunner", "AsyncTogether", "Runner", "Together"]

R = TypeVar("R")


class Given(TypedDict, total=False):
    """What every dispatch and preview can be told.

    Args:
        actor: Who acts; a plain string is an actor's id.
        reason: Why.
        cause: The event that brings this one about.
        tenant: Whose data; leads every key and every query.
        key: The request's key: the same key with the same request gets the same answer, and happens once.
        at: When it happened, where that is not now; needs the right "backdate" and a reason.
        version: A date, its ISO text, or "as-of-occurred"; without it, the newest in force.
        expects: What the caller saw: a preview, or fingerprints by row and field.
        origin: Where the request came from.
    """

    actor: Required[Actor | str]
    reason: Reason | str | None
    cause: UUID | None
    tenant: str
    key: str | None
    at: datetime | None
    version: date | str | None
    expects: Expects | None
    origin: Origin | None


class Asked(TypedDict, total=False):
    """Which entries of the trail are wanted; see `Filters`."""

    tenant: str
    subject: str | None
    table: str | None
    row: str | None
    kind: str | None
    actor: str | None
    version: date | None
    outcome: str | None
    cause: UUID | None
    since: datetime | None
    until: datetime | None
    after: int | None
    limit: int
    newest_first: bool


class _Path:
    """What both colours share: everything but waiting."""

    def __init__(
        self,
        made: Engine,
        versions: str | ModuleType | Versions,
        clock: Clock | None,
        settings: Settings,
    ) -> None:
        self.versions = load(versions)
        self.settings = settings
        self.clock: Clock = clock or now
        self.store = SqlStore(dialect_of(made), self.versions)

    def event(self, kind: str, body: bytes | str | Mapping[str, Any], *, version: date | str | None = None) -> Event:
        """Make an event of what came from outside, the one place where that is done.

        Args:
            body: The JSON text as it came, or a mapping of JSON's types.
            version: The date whose shape the body has; without it, the newest in force.

        Raises:
            Malformed: When it is no event of that kind and version; naming each fault by path, without the values.
            UnknownVersion: When there is no such version.
        """
        chosen = self.versions.choose(version, self.clock())
        return parse(self.versions.cascade(kind, chosen.date).event, body, self.settings.largest)

    def _request(self, event: Event, ending: Ending, *, joined: bool = False, **given: Unpack[Given]) -> Request:
        moment = self.clock()
        expects = given.get("expects")
        at = given.get("at")
        if at is not None and at.tzinfo is None:
            raise DatelineError(f"at={at!r} is naive; an instant has a time zone")
        return Request(
            event=event,
            ending=ending,
            id=expects.event_id if isinstance(expects, Preview) else new_id(moment),
            now=moment,
            seed=new_seed(),
            actor=Actor.of(given["actor"]),
            tenant=given.get("tenant", ""),
            version=given.get("version"),
            at=None if at is None else at.astimezone(UTC),
            reason=Reason.of(given.get("reason")),
            cause=given.get("cause"),
            origin=given.get("origin"),
            key=given.get("key"),
            expects=expects,
            expiry=self.settings.expiry,
            joined=joined,
        )

    def _dispatching(self, event: Event, *, joined: bool = False, **given: Unpack[Given]) -> Flow[Committed]:
        request = self._request(event, Ending.COMMIT, joined=joined, **given)
        try:
            done = yield from flow(request, self.versions, self.store)
        except Refused as refusal:
            log.told("refused", kind=event.__kind__, outcome=refusal.outcome, event=refusal.event_id)
            raise
        assert isinstance(done, Committed)
        log.told("committed", kind=event.__kind__, event=str(done.event_id), seq=done.seq, repeated=done.repeated or None)
        return done

    def _previewing(self, event: Event, *, rehearse: bool, joined: bool = False, **given: Unpack[Given]) -> Flow[Preview | Refused]:
        ending = Ending.REHEARSE if rehearse else Ending.PREVIEW
        try:
            done = yield from flow(self._request(event, ending, joined=joined, **given), self.versions, self.store)
        except Refused as refusal:
            return refusal
        assert isinstance(done, Preview)
        return done

    def _paging(self, **asked: Unpack[Asked]) -> Flow[Page]:
        return self.store.trail.page(Filters(**asked), self.versions)

    def _awaiting(self, of: UUID | str, tenant: str, patience: timedelta) -> Flow[Entry | None]:
        """Look for an event, by id or request key, until it is there or patience ends."""
        until = self.clock() + patience
        tries = 0
        while True:
            look = self.store.trail.one if isinstance(of, UUID) else self.store.trail.keyed
            entry = yield from look(tenant, of, self.versions)  # type: ignore[arg-type]  # each takes what was asked for
            if entry is not None or self.clock() >= until:
                return entry
            tries += 1
            yield Pause(min(tries, 6))

    def _recording(self, draft: Draft) -> Flow[Any]:
        """Record a refusal by itself, outside of the transaction in which it came about."""
        return self.store.write(draft, None, None, ending=Ending.COMMIT, joined=False)


class Runner(_Path):
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
        return self._driven(self._dispatching(event, **given))

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """Return what a dispatch would do now, or the refusal that it would raise; nothing is written.

        Args:
            rehearse: Let the database try the operations too, and take them back.
        """
        return self._driven(self._previewing(event, rehearse=rehearse, **given))

    def trail(self, **asked: Unpack[Asked]) -> Page:
        """Return a page of the trail, as `Filters` describes: a subject's timeline, a row's history, a kind, an actor, a time."""
        return self._driven(self._paging(**asked))

    def outcome(self, of: UUID | str, *, tenant: str = "", patience: timedelta = timedelta(seconds=10)) -> Entry | None:
        """Wait for an event, by its id or its request key, and return it; None when patience ends before it is there."""
        return self._driven(self._awaiting(of, tenant, patience), budget=patience * 2)

    def sequence(self) -> int:
        """Give all events that can be seen their positions in the feed; return how many there were."""
        return self._driven(sequence(self.store.dialect))

    def verify(self, *, tenant: str | None = None) -> Verification:
        """Recompute every digest of the trail."""
        return self._driven(verify(self.store.dialect, tenant))

    def together(self, session: Session | None = None) -> AbstractContextManager[Together]:
        """Open one transaction for several events, or join the caller's.

        A conflict inside is raised and not retried: the block is the caller's, and so is the second try.

        Raises:
            NotSerializable: When the caller's transaction could lose updates.
        """
        return self._together(session)

    @contextmanager
    def _together(self, session: Session | None) -> Iterator[Together]:
        if session is None:
            connection = Connection(self.engine)
        else:
            connection = Connection(None, session.connection().connection.driver_connection)
        begin, commit, rollback = brackets(self.store.dialect, joined=connection.joined)
        together = Together(self, connection)
        try:
            drive(joining(self.store.dialect), connection, self._budget(), self._apart) if connection.joined else None
            connection.execute(Batch(begin, opens=True)) if begin else None
            connection.joined, mine = True, not connection.joined
            try:
                yield together
                connection.joined = not mine
                connection.execute(Batch(commit, ends=True)) if commit else None
            except BaseException:
                connection.joined = not mine
                connection.execute(Batch(rollback, ends=True)) if rollback else None
                together.recorded_again()
                raise
        finally:
            connection.close()

    def _budget(self, budget: timedelta | None = None) -> Budget:
        return Budget(budget or self.settings.budget)

    def _driven(self, flow: Flow[R], budget: timedelta | None = None) -> R:
        connection = Connection(self.engine)
        try:
            return drive(flow, connection, self._budget(budget), self._apart)
        finally:
            connection.close()

    def _apart(self, apart: Apart) -> None:
        self._driven(self._recording(apart.draft))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Together:
    """One transaction over several events: all of them, or none."""

    def __init__(self, runner: Runner, connection: Connection) -> None:
        self._runner = runner
        self._connection = connection
        self._refused: list[Draft] = []

    def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Runner.dispatch`, within the transaction; conflicts are raised, and refusals stay recorded whatever becomes of it."""
        return self._driven(self._runner._dispatching(event, joined=True, **given))

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Runner.preview`, on what the transaction sees."""
        return self._driven(self._runner._previewing(event, rehearse=rehearse, joined=True, **given))

    def _driven(self, flow: Flow[R]) -> R:
        return drive(flow, self._connection, self._runner._budget(), self._apart)

    def _apart(self, apart: Apart) -> None:
        if self._runner.store.dialect.sequenced:
            self._runner._apart(apart)
            return
        # The only writer cannot wait for itself: the refusal goes into this transaction, and again if that is rolled back.
        self._refused.append(apart.draft)
        self._driven(self._runner.store.write(apart.draft, None, None, ending=Ending.COMMIT, joined=True))

    def recorded_again(self) -> None:
        for draft in self._refused:
            self._runner._apart(Apart(draft))


class AsyncRunner(_Path):
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
        super().__init__(self.engine.sync_engine, versions, clock, settings)

    async def migrate(self) -> None:
        """As `Runner.migrate`."""
        async with self.engine.connect() as connection:
            await connection.run_sync(migrate.upgrade_on)

    async def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Runner.dispatch`."""
        return await self._driven(self._dispatching(event, **given))

    async def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Runner.preview`."""
        return await self._driven(self._previewing(event, rehearse=rehearse, **given))

    async def trail(self, **asked: Unpack[Asked]) -> Page:
        """As `Runner.trail`."""
        return await self._driven(self._paging(**asked))

    async def outcome(self, of: UUID | str, *, tenant: str = "", patience: timedelta = timedelta(seconds=10)) -> Entry | None:
        """As `Runner.outcome`."""
        return await self._driven(self._awaiting(of, tenant, patience), budget=patience * 2)

    async def sequence(self) -> int:
        """As `Runner.sequence`."""
        return await self._driven(sequence(self.store.dialect))

    async def verify(self, *, tenant: str | None = None) -> Verification:
        """As `Runner.verify`."""
        return await self._driven(verify(self.store.dialect, tenant))

    def together(self, session: AsyncSession | None = None) -> AbstractAsyncContextManager[AsyncTogether]:
        """As `Runner.together`."""
        return self._together(session)

    @asynccontextmanager
    async def _together(self, session: AsyncSession | None) -> AsyncIterator[AsyncTogether]:
        if session is None:
            connection = AsyncConnection(self.engine)
        else:
            held = await (await session.connection()).get_raw_connection()
            connection = AsyncConnection(None, held.driver_connection)
        begin, commit, rollback = brackets(self.store.dialect, joined=connection.joined)
        together = AsyncTogether(self, connection)
        try:
            if connection.joined:
                await async_drive(joining(self.store.dialect), connection, self._budget(), self._apart)
            if begin:
                await connection.execute(Batch(begin, opens=True))
            connection.joined, mine = True, not connection.joined
            try:
                yield together
                connection.joined = not mine
                if commit:
                    await connection.execute(Batch(commit, ends=True))
            except BaseException:
                connection.joined = not mine
                if rollback:
                    await connection.execute(Batch(rollback, ends=True))
                await together.recorded_again()
                raise
        finally:
            await connection.close()

    def _budget(self, budget: timedelta | None = None) -> Budget:
        return Budget(budget or self.settings.budget)

    async def _driven(self, flow: Flow[R], budget: timedelta | None = None) -> R:
        connection = AsyncConnection(self.engine)
        try:
            return await async_drive(flow, connection, self._budget(budget), self._apart)
        finally:
            await connection.close()

    async def _apart(self, apart: Apart) -> None:
        await self._driven(self._recording(apart.draft))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


class AsyncTogether:
    """The same as `Together`, awaited."""

    def __init__(self, runner: AsyncRunner, connection: AsyncConnection) -> None:
        self._runner = runner
        self._connection = connection
        self._refused: list[Draft] = []

    async def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed:
        """As `Together.dispatch`."""
        return await self._driven(self._runner._dispatching(event, joined=True, **given))

    async def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused:
        """As `Together.preview`."""
        return await self._driven(self._runner._previewing(event, rehearse=rehearse, joined=True, **given))

    async def _driven(self, flow: Flow[R]) -> R:
        return await async_drive(flow, self._connection, self._runner._budget(), self._apart)

    async def _apart(self, apart: Apart) -> None:
        if self._runner.store.dialect.sequenced:
            await self._runner._apart(apart)
            return
        self._refused.append(apart.draft)
        await self._driven(self._runner.store.write(apart.draft, None, None, ending=Ending.COMMIT, joined=True))

    async def recorded_again(self) -> None:
        for draft in self._refused:
            await self._runner._apart(Apart(draft))


