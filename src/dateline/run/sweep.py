"""A replay of the whole trail, or of a part: every event decided again, on all cores, page by page, so that memory stays flat."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select

from dateline.core.decision import Decision
from dateline.core.entry import Entry, Page
from dateline.core.replay import DECIDED, PERFORMED, Again, again, deviation
from dateline.core.request import Flow
from dateline.core.tally import Tally
from dateline.core.version import Versions
from dateline.errors import DatelineError, HandlerFault, TrailFault, Unanswerable
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.path import Path
from dateline.run.runner import Runner
from dateline.sql import tables
from dateline.sql.compiled import compiled
from dateline.sql.restore import tables_of
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.trail import Filters
from dateline.sql.world import Asking, World

__all__ = ["Sweep", "swept"]

CHUNK = 10_000
"""Numbers of events that a process takes at once."""

PATIENCE = timedelta(hours=1)
"""How long a read may be tried again; a replay makes nobody wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Which events are decided again, and how.

    Args:
        database: The database's URL.
        versions: The versions' dotted name.
        version: Under which date; without it, each under its own, and then it must be byte for byte what was recorded.
        load: What makes the versions of their name, where they are not loaded as usual; it must be known by name to other processes.
        filters: As for `Filters`; all events of all tenants without any.
        after: The number of the event before the first.
    """

    database: str
    versions: str
    version: date | None = None
    load: Callable[[str], Versions] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0

    def runner(self) -> Runner:
        """Return a runner that reads what is to be decided again."""
        return Runner(self.database, versions=self.versions if self.load is None else self.load(self.versions))


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
        if count <= 1:
            one = _Worker(sweep, runner)
            try:
                for chunk in chunks:
                    tally.add(one.chunk(*chunk))
                    told(tally, chunk[1], last)
            finally:
                one.close()
            return tally
    context = multiprocessing.get_context("spawn")
    with context.Pool(count, _begun, (sweep, [*sys.path])) as pool:
        for (_, end), found in zip(chunks, pool.imap(_chunk, chunks), strict=True):
            tally.add(found)
            told(tally, end, last)
    return tally


_worker: list[_Worker] = []
"""The one of this process, where it is one of several."""


def _begun(sweep: Sweep, path: Sequence[str]) -> None:
    sys.path[:] = path
    _worker.append(_Worker(sweep, sweep.runner()))


def _chunk(chunk: tuple[int, int]) -> Tally:
    return _worker[0].chunk(*chunk)


def _last(path: Path) -> Flow[int]:
    newest = compiled(select(func.coalesce(func.max(tables.event.c.seq), 0)), path.store.dialect.sql)
    results: list[Result] = yield Batch((newest.statement("trail", {}),))
    return int(results[0].rows[0][0])


def _driven(runner: Runner, flow: Flow[Any], connection: Connection | None = None) -> Any:
    held = connection or Connection(runner.engine)
    try:
        return drive(flow, held, Budget(PATIENCE), _never)
    finally:
        if connection is None:
            held.close()


def _never(apart: object) -> None:
    raise TypeError(f"a replay records nothing, not {apart!r}")


class _Worker:
    """What one process needs: a session to read by, and one in which the world stands."""

    def __init__(self, sweep: Sweep, runner: Runner) -> None:
        self.sweep = sweep
        self.runner = runner
        self.reading = Connection(runner.engine)
        self.aside = Connection(runner.aside)
        self.world = World(runner.store.dialect, tables_of(runner.versions))
        self.reached = 0
        # What stands now stands to the end: looking through it again and again for garbage took a fifth of the time.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        """Give the sessions back."""
        _driven(self.runner, self.world.falls(), self.aside)
        self.aside.close()
        self.reading.close()

    def chunk(self, after: int, until: int) -> Tally:
        """Decide the events behind one number, up to and with another."""
        tally = Tally()
        if after != self.reached:
            _driven(self.runner, self.world.forward(after + 1), self.aside)
        for page in self._pages(after, until, tally):
            _driven(self.runner, _decided(self.runner, page, self.world, self.sweep.version, tally), self.aside)
        _driven(self.runner, self.world.forward(until + 1), self.aside)
        self.reached = until
        return tally

    def _pages(self, after: int, until: int, tally: Tally) -> Iterator[list[Entry]]:
        cursor: int | None = after
        while cursor is not None:
            unreadable: list[int] = []
            page: Page = _driven(self.runner, self._page(cursor, unreadable), self.reading)
            for seq in unreadable:
                if seq <= until:
                    tally.broke(seq, "its record cannot be read; `dateline verify` says where")
            yield [entry for entry in page if entry.seq <= until]
            cursor = page.next if page.next is not None and page.next < until else None

    def _page(self, after: int, unreadable: list[int]) -> Flow[Page]:
        trail, versions = self.runner.store.trail, self.runner.versions
        if not self.sweep.filters:
            return trail.scan(versions, after=after, unreadable=unreadable)
        filters = Filters(**{**self.sweep.filters, "after": after, "limit": 500})
        return trail.page(filters, versions, unreadable=unreadable)


def _decided(path: Path, entries: Sequence[Entry], world: World, version: date | None, tally: Tally) -> Flow[None]:
    """Decide a page of entries; what they miss is asked for in one trip, each as of its own place."""
    waiting: list[tuple[Again, Asking | None, int]] = []
    statements: list[Statement] = []
    for entry in entries:
        try:
            if entry.outcome not in DECIDED or entry.kind in PERFORMED:
                continue
            one = again(entry, path.versions, version)
            asking = world.asking(one.missing) if one.missing else None
            if asking is not None and not world.standing(asking):
                yield from _flushed(waiting, statements, version, tally)
                world.seq = entry.seq
                yield from world.stands(asking)
            if asking is not None and world.doubtful(asking, entry.seq):
                yield from _flushed(waiting, statements, version, tally)
                found = yield from world.asked(asking, one.event, entry.seq)
                _took(one, found, version, tally)
            else:
                waiting.append((one, asking, len(statements)))
                statements += asking.reading.statements(one.event, {}) if asking is not None else ()
        except Unanswerable as error:
            tally.said_nothing(entry.seq, _reason(error))
        except (HandlerFault, TrailFault) as error:
            tally.broke(entry.seq, _reason(error))
        finally:
            statements += _moved(world, entry)
    yield from _flushed(waiting, statements, version, tally)


def _moved(world: World, entry: Entry) -> list[Statement]:
    try:
        return [*world.moved(entry)]
    except TrailFault:
        # It is counted where it is decided; what it did to the rows is as unreadable.
        return []


def _flushed(
    waiting: list[tuple[Again, Asking | None, int]],
    statements: list[Statement],
    version: date | None,
    tally: Tally,
) -> Flow[None]:
    results: list[Result] = []
    if statements:
        begin, end = Statement("BEGIN"), Statement("COMMIT")
        results = (yield Batch((begin, *statements, end), opens=True, ends=True))[1:-1]
    for one, asking, start in waiting:
        try:
            _took(one, _found(asking, results[start:]), version, tally)
        except Unanswerable as error:
            tally.said_nothing(one.entry.seq, _reason(error))
        except (HandlerFault, TrailFault) as error:
            tally.broke(one.entry.seq, _reason(error))
    waiting.clear()
    statements.clear()


def _found(asking: Asking | None, results: Sequence[Result]) -> Mapping[str, Any] | None:
    return None if asking is None else asking.found(results)


def _took(one: Again, found: Mapping[str, Any] | None, version: date | None, tally: Tally) -> None:
    made = one.decided(found)
    strict = deviation(one.entry, made) if version is None else None
    tally.took(one.entry.seq, Decision.recorded(one.entry), made, strict=strict)


def _reason(error: DatelineError) -> str:
    """Return why, without the event's number, so that events of one reason are counted together."""
    told = str(error)
    return told.partition(": ")[2] if told.startswith("event ") else told
