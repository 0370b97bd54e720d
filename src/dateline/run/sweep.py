"""A replay of the whole trail, or of a part: every event decided again, on all cores, page by page, so that memory stays flat."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import func, select

from dateline.core.decision import Decision
from dateline.core.effective import CorrectEvent
from dateline.core.entry import Entry, Page
from dateline.core.internal import bounded
from dateline.core.lane import Lane, lane_of
from dateline.core.replay import DECIDED, PERFORMED, Again, again, deviation
from dateline.core.request import Flow
from dateline.core.tally import Tally
from dateline.core.version import Versions
from dateline.errors import HandlerFault, TrailFault, Unanswerable
from dateline.run.brief import Brief
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.loading import load
from dateline.run.path import Path
from dateline.run.runner import Runner
from dateline.sql import tables
from dateline.sql.bulk import Bulk, Head
from dateline.sql.compiled import compiled
from dateline.sql.restore import tables_of
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.trail import Filters
from dateline.sql.world import Asking, World

__all__ = ["Sweep", "clock_can_be_shifted", "differing", "swept"]

CHUNK = 10_000
"""Numbers of events that a process takes at once."""

PAGE = 500
"""Events that are read at once."""

BATCH = 500
"""The same where each difference is performed before the next are looked for."""

GARBAGE = 50_000
"""Objects made and not yet gone, after which garbage is looked for."""

Taken: TypeAlias = Callable[[Entry, Decision, bool], None] | None

PATIENCE = timedelta(hours=1)
"""How long a read may be tried again; a replay makes nobody wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Which events are decided again, and how.

    Args:
        database: The database's URL.
        versions: The versions' dotted name; or themselves, where one process is enough.
        version: Under which date; without it, each under its own, and then it must be byte for byte what was recorded.
        base: Compare with what is decided under this date, rather than with what was recorded.
        ahead: Load what stands in `next` too, as a version after the newest.
        odd: In processes with another seed of hashes, time zone and clock, so that what depends on one of them shows.
        whole: Decide all of each event again, also what that version cannot have changed.
        filters: As for `Filters`; all events of all tenants without any.
        after: The number of the event before the first.
    """

    database: str
    versions: str | Versions
    version: date | None = None
    base: date | None = None
    ahead: bool = False
    odd: bool = False
    whole: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0

    def runner(self) -> Runner:
        """Return a runner that reads what is to be decided again."""
        return Runner(self.database, versions=load(self.versions, ahead=self.ahead))


def swept(
    sweep: Sweep,
    *,
    processes: int | None = None,
    told: Callable[[Tally, int, int], object] = lambda tally, seq, last: None,
) -> Tally:
    """Decide events again and count.

    Args:
        processes: How many at once; as many as there are cores without it, and none but this one where there is little to do.
        told: Is told after each chunk what came of all up to a number, and which is the last.
    """
    tally = Tally()
    with sweep.runner() as runner:
        last = _driven(runner, _last(runner))
        chunks = [(start, min(start + CHUNK, last)) for start in range(sweep.after, last, CHUNK)]
        count = min(processes or os.cpu_count() or 1, len(chunks))
        if count <= 1 and not (sweep.odd and chunks):
            one = _Worker(sweep, runner)
            try:
                for chunk in chunks:
                    tally.add(one.chunk(*chunk))
                    told(tally, chunk[1], last)
            finally:
                one.close()
            return tally
    context = multiprocessing.get_context("spawn")
    with _environment(_ODD if sweep.odd else {}), context.Pool(count, _begun, (sweep, [*sys.path])) as pool:
        for (_, end), found in zip(chunks, pool.imap(_chunk, chunks), strict=True):
            tally.add(found)
            told(tally, end, last)
    return tally


_ODD = {"PYTHONHASHSEED": "20130201", "TZ": "Pacific/Chatham"}
"""Another order of sets than most, and a zone of three quarters of an hour."""

_CLOCK = datetime(2037, 11, 29, 23, 59, 58, tzinfo=UTC)


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Have the processes that are begun meanwhile find other variables."""
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def clock_can_be_shifted() -> bool:
    """Tell whether freezegun is here, which shows handlers another time than it is."""
    return find_spec("freezegun") is not None


def differing(
    sweep: Sweep, runner: Runner, told: Callable[[Tally, int, int], object] = lambda tally, seq, last: None
) -> Iterator[tuple[Entry, Decision]]:
    """Yield each event that is decided otherwise than it was recorded, or was corrected before, with what is decided; in their order.

    Args:
        told: As for `swept`.
    """
    last, roots = _driven(runner, _last(runner)), _driven(runner, _roots(runner))
    tally = Tally()
    worker = _Worker(sweep, runner)
    try:
        for start in range(sweep.after, last, BATCH):
            found: list[tuple[Entry, Decision]] = []

            def taken(entry: Entry, made: Decision, differs: bool, found: list[Any] = found) -> None:
                if differs or entry.id in roots:
                    found.append((entry, made))

            end = min(start + BATCH, last)
            tally.add(worker.chunk(start, end, taken))
            yield from found
            told(tally, end, last)
    finally:
        worker.close()


def _roots(path: Path) -> Flow[frozenset[UUID]]:
    """Return the events that were corrected."""
    e = tables.event.c
    query = select(e.cause).where(e.kind == CorrectEvent.__kind__, e.outcome == "committed").distinct()
    results: list[Result] = yield Batch((compiled(query, path.store.dialect.sql).statement("trail", {}),))
    return frozenset(UUID(str(row[0])) for row in results[0].rows)


_worker: list[_Worker | Exception] = []
"""The one of this process, where it is one of several; or why there is none."""


def _begun(sweep: Sweep, path: Sequence[str]) -> None:
    sys.path[:] = path
    try:
        made: _Worker | Exception = _Worker(sweep, sweep.runner())
    except Exception as error:  # noqa: BLE001 - raised by the first chunk: here, the pool would begin processes for ever
        made = error
    _worker.append(made)
    if sweep.odd and clock_can_be_shifted():
        from freezegun import freeze_time  # noqa: PLC0415 - only where it is asked for, and where it is

        # After all is loaded, and for the application's modules alone.
        freeze_time(_CLOCK, tick=True, ignore=list(_REAL)).start()


_REAL = ("dateline", "psycopg", "sqlalchemy", "pydantic", "pydantic_core", "multiprocessing", "threading", "asyncio")
"""Packages that go on seeing the time that it is."""


def _chunk(chunk: tuple[int, int]) -> Tally:
    held = _worker[0]
    if isinstance(held, Exception):
        raise held
    return held.chunk(*chunk)


def _last(path: Path) -> Flow[int]:
    newest = compiled(select(func.coalesce(func.max(tables.event.c.seq), 0)), path.store.dialect.sql)
    results: list[Result] = yield Batch((newest.statement("trail", {}),))
    return int(results[0].rows[0][0])


def _driven(runner: Runner, flow: Flow[Any], connection: Connection | None = None) -> Any:
    held = connection or Connection(runner.engine)
    try:
        return drive(flow, held, Budget(PATIENCE))
    finally:
        if connection is None:
            held.close()


class _Worker:
    """What one process needs: a session to read by, and one in which the world stands."""

    def __init__(self, sweep: Sweep, runner: Runner) -> None:
        self.sweep = sweep
        self.runner = runner
        self.reading = Connection(runner.engine)
        self.aside = Connection(runner.aside)
        self.world = World(runner.store.dialect, tables_of(runner.versions))
        self.bulk = Bulk(runner.store.dialect)
        self.lanes: dict[Any, Lane] = {}
        self.brief = Brief(runner, self.world, self.bulk, self._whole, self._again, self._drive)
        self.reached = 0
        # What stands now stands to the end: looking through it again and again for garbage took a fifth of the time.
        gc.collect()
        gc.freeze()
        # A page's bodies are thousands of dicts that go all at once, and hold no circles: looking for some took a twelfth.
        self.patience = gc.get_threshold()
        gc.set_threshold(GARBAGE)

    def close(self) -> None:
        """Give the sessions back, and look for garbage as often as before."""
        gc.set_threshold(*self.patience)
        _driven(self.runner, self.world.falls(), self.aside)
        self.aside.close()
        self.reading.close()

    def chunk(self, after: int, until: int, taken: Taken = None) -> Tally:
        """Decide the events behind one number, up to and with another.

        Args:
            taken: Is told of each event what is decided of it, and whether that differs.
        """
        tally = Tally()
        if after != self.reached:
            _driven(self.runner, self.world.forward(after + 1), self.aside)
        sweep = self.sweep
        brief = sweep.base is None and not (sweep.filters or sweep.whole) and taken is None
        if brief and sweep.version is not None:
            self._briefly(after, until, tally, sweep.version)
        else:
            for page in self._pages(after, until, tally):
                _driven(self.runner, _decided(self.runner, page, self.world, sweep, tally, taken), self.aside)
        _driven(self.runner, self.world.forward(until + 1), self.aside)
        self.reached = until
        return tally

    def _briefly(self, after: int, until: int, tally: Tally, day: date) -> None:
        """Decide no more of each event than another version can have changed."""
        while heads := _driven(self.runner, self.bulk.heads(after, until, PAGE), self.reading):
            after = heads[-1].seq
            lanes = [self._lane(one, day) for one in heads]
            self.brief.page(heads, lanes, tally)

    def _whole(self, entries: Sequence[Entry], tally: Tally) -> Flow[None]:
        return _decided(self.runner, entries, self.world, self.sweep, tally, None)

    def _again(self, entry: Entry, found: Mapping[str, Any], tally: Tally) -> None:
        try:
            _took(again(entry, self.runner.versions, self.sweep.version), None, found, self.sweep, tally, None)
        except Unanswerable as error:
            tally.said_nothing(entry.seq, error)
        except (HandlerFault, TrailFault) as error:
            tally.broke(entry.seq, error)

    def _drive(self, flow: Flow[Any], aside: bool) -> Any:
        return _driven(self.runner, flow, self.aside if aside else self.reading)

    def _lane(self, one: Head, day: date) -> Lane:
        key = (one.kind, one.version, one.shape, one.outcome, one.cascade)
        held = self.lanes.get(key)
        if held is None:
            held = self.lanes[key] = lane_of(
                self.runner.versions, one.kind, one.version, one.shape, one.outcome, one.cascade, day
            )
            bounded(self.lanes)
        return held

    def _pages(self, after: int, until: int, tally: Tally) -> Iterator[list[Entry]]:
        cursor: int | None = after
        while cursor is not None:
            unreadable: list[int] = []
            page: Page = _driven(self.runner, self._page(cursor, unreadable), self.reading)
            for seq in unreadable:
                if seq <= until:
                    tally.broke(seq)
            yield [entry for entry in page if entry.seq <= until]
            cursor = page.next if page.next is not None and page.next < until else None

    def _page(self, after: int, unreadable: list[int]) -> Flow[Page]:
        trail, versions = self.runner.store.trail, self.runner.versions
        if not self.sweep.filters:
            return trail.scan(versions, after=after, unreadable=unreadable)
        filters = Filters(**{**self.sweep.filters, "after": after, "limit": 500})
        return trail.page(filters, versions, unreadable=unreadable)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that is decided as soon as what it misses is there.

    Args:
        base: The same under the date that it is compared with; None where that is the record.
        start: Where in the answers those to its questions begin.
    """

    one: Again
    base: Again | None
    asking: Asking | None
    start: int


def _decided(
    path: Path, entries: Sequence[Entry], world: World, sweep: Sweep, tally: Tally, taken: Taken
) -> Flow[None]:
    """Decide a page of entries; what they miss is asked for in one trip, each as of its own place."""
    waiting: list[_Waiting] = []
    statements: list[Statement] = []
    for entry in entries:
        try:
            if entry.outcome not in DECIDED or entry.kind in PERFORMED:
                continue
            one = again(entry, path.versions, sweep.version)
            base = None if sweep.base is None else again(entry, path.versions, sweep.base)
            missing = {field.place: field for both in (one, base) if both is not None for field in both.missing}
            asking = world.asking(tuple(missing.values())) if missing else None
            if asking is not None and not world.standing(asking):
                yield from _flushed(waiting, statements, world, sweep, tally, taken)
                world.seq = entry.seq
                yield from world.stands(asking)
            if asking is not None and sweep.filters and world.seq < entry.seq:
                # Others came in between, which are not decided again, and did to the tables what they did.
                yield from _flushed(waiting, statements, world, sweep, tally, taken)
                yield from world.forward(entry.seq)
            if asking is not None and world.doubtful(asking, entry.seq):
                yield from _flushed(waiting, statements, world, sweep, tally, taken)
                found = yield from world.asked(asking, one.event, entry.seq)
                _took(one, base, found, sweep, tally, taken)
            else:
                if asking is not None:
                    statements += world.due()
                waiting.append(_Waiting(one, base, asking, len(statements)))
                statements += asking.reading.statements(one.event, {}) if asking is not None else ()
        except Unanswerable as error:
            tally.said_nothing(entry.seq, error)
        except (HandlerFault, TrailFault) as error:
            tally.broke(entry.seq, error)
        finally:
            _moved(world, entry)
    yield from _flushed(waiting, statements, world, sweep, tally, taken)


def _moved(world: World, entry: Entry) -> None:
    # It is counted where it is decided; what it did to the rows is as unreadable.
    with suppress(TrailFault):
        world.moved(entry)


def _flushed(
    waiting: list[_Waiting], statements: list[Statement], world: World, sweep: Sweep, tally: Tally, taken: Taken
) -> Flow[None]:
    results: list[Result] = []
    statements += world.due()
    if statements:
        begin, end = Statement("BEGIN"), Statement("COMMIT")
        results = (yield Batch((begin, *statements, end), opens=True, ends=True))[1:-1]
    for held in waiting:
        seq = held.one.entry.seq
        try:
            found = None if held.asking is None else held.asking.found(results[held.start :])
            _took(held.one, held.base, found, sweep, tally, taken)
        except Unanswerable as error:
            tally.said_nothing(seq, error)
        except (HandlerFault, TrailFault) as error:
            tally.broke(seq, error)
    waiting.clear()
    statements.clear()


def _took(
    one: Again, base: Again | None, found: Mapping[str, Any] | None, sweep: Sweep, tally: Tally, taken: Taken
) -> None:
    made = one.decided(found)
    before = Decision.recorded(one.entry, shown=False) if base is None else base.decided(found)
    if before.same(made):
        tally.same_as(before, reconstructed=bool(made.reconstructed))
        if taken is not None:
            taken(one.entry, made, False)
        return
    strict = deviation(one.entry, made) if sweep.version is None else None
    differs = tally.took(one.entry.seq, before, made, strict=strict)
    if taken is not None:
        taken(one.entry, made, differs)
