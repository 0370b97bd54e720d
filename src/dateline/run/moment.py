"""Any row, and any snapshot, as it was at any moment: read of the trail, not of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import BigInteger, bindparam, func, select

from dateline.core.event import Event
from dateline.core.flow import fitted
from dateline.core.request import Flow
from dateline.core.snapshot import Snapshot, fields_of
from dateline.core.table import row_key, table_of
from dateline.errors import Malformed, Unanswerable
from dateline.run.path import Path
from dateline.sql import tables
from dateline.sql.compiled import compiled
from dateline.sql.drift import Drift, drifting, drifting_row
from dateline.sql.fold import Fold
from dateline.sql.restore import Image, Target, tables_of
from dateline.sql.statement import Batch, Result
from dateline.sql.types import Instant
from dateline.sql.world import World

if TYPE_CHECKING:
    from dateline.run.runner import AsyncRunner, Runner

__all__ = ["AsyncMoment", "Moment", "drifted", "drifted_row", "found_row", "found_snapshot", "reached", "target_of"]

S = TypeVar("S", bound=Snapshot)

_INSTANT = Instant()


def target_of(path: Path, table: Any) -> Target:
    """Return the table that a name or a mapped class means.

    Raises:
        Malformed: Where the versions know none.
    """
    known = tables_of(path.versions)
    name = table if isinstance(table, str) else table_of(table).name
    if name not in known:
        raise Malformed(f"the versions know no table {str(name)[:60]!r}; they know {', '.join(known) or 'none'}")
    return known[name]


def reached(path: Path, moment: datetime | int) -> Flow[int]:
    """Return the number of the last event that was recorded up to an instant, by the database's clock; a number stays what it is.

    Numbers grow with time, so it is found by halving.
    """
    if isinstance(moment, int) and not isinstance(moment, bool):
        return moment
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Malformed("a moment is an instant with a time zone, or the number of an event")
    e, sql = tables.event.c, path.store.dialect.sql
    newest = compiled(select(func.coalesce(func.max(e.seq), 0)), sql)
    at = compiled(
        select(e.seq, e.recorded_at).where(e.seq >= bindparam("seq", type_=BigInteger())).order_by(e.seq).limit(1), sql
    )
    results: list[Result] = yield Batch((newest.statement("moment", {}),))
    low, high = 0, int(results[0].rows[0][0])
    while low < high:
        middle = (low + high + 1) // 2
        results = yield Batch((at.statement("moment", {"seq": middle}),))
        seq, recorded = results[0].rows[0]
        then = _INSTANT.process_result_value(recorded, sql)
        assert then is not None
        if then <= moment:
            low = int(seq)
        else:
            high = middle - 1
    return low


def found_row(path: Path, seq: int, table: Any, key: Any) -> Flow[Image | None]:
    """Return a row as it was after an event.

    Raises:
        Unanswerable: Of a row that is there today, and that the trail does not know.
    """
    target = target_of(path, table)
    text = row_key(key if isinstance(key, tuple) else (key,))
    fold = Fold(path.store.dialect)
    found = yield from fold.of(target, [text], seq + 1)
    if text in found:
        return found[text].image
    later = yield from fold.of(target, [text])
    if text not in later:
        drifts = yield from drifting(path.store.dialect, target)
        if any(one.change == "unadopted" or one.key == text for one in drifts):
            raise Unanswerable(
                f"the trail does not know {target.name} {text}, which is there today; `dateline adopt {target.name}` makes it know it"
            )
    return None


def found_snapshot(path: Path, seq: int, snapshot: type[S], event: Event) -> Flow[S]:
    """Return what an event would have seen, had it come after another.

    Raises:
        Unanswerable: Where that is not known.
        NotFound, TooMany: Where rows are fewer or more than the snapshot takes.
    """
    world = World(path.store.dialect, tables_of(path.versions), seq=seq + 1)
    fields = fields_of(snapshot)
    try:
        asking = world.asking(fields)
        yield from world.stands(asking)
        found = yield from world.asked(asking, event, seq + 1)
    finally:
        yield from world.falls()
    return snapshot(**{one.name: fitted(one, found[one.place]) for one in fields})


def drifted(path: Path, wanted: Sequence[Any]) -> Flow[tuple[Drift, ...]]:
    """Compare tables with the trail; all that the versions know, where none is named."""
    targets = [target_of(path, one) for one in wanted] or tables_of(path.versions).values()
    found: list[Drift] = []
    for target in targets:
        found += yield from drifting(path.store.dialect, target)
    return tuple(found)


def drifted_row(path: Path, table: Any, key: Any) -> Flow[Drift | None]:
    """Compare one row with what the trail left of it."""
    target = target_of(path, table)
    text = key if isinstance(key, str) else row_key(key if isinstance(key, tuple) else (key,))
    return (yield from drifting_row(path.store.dialect, target, text))


class Moment:
    """The application's tables as they were at one moment.

    Args:
        seq: The last event that had happened.
    """

    def __init__(self, runner: Runner, seq: int) -> None:
        self._runner = runner
        self.seq = seq

    def row(self, table: Any, key: Any) -> Mapping[str, Any] | None:
        """Return a row by column, as the trail writes values; None where there was none.

        Args:
            table: The mapped class, or the table's name.
            key: The primary key; a tuple where it is of several columns.

        Raises:
            Unanswerable: Of a row that is there today, and that the trail does not know.
        """
        return self._runner.driven_aside(found_row(self._runner, self.seq, table, key))

    def snapshot(self, snapshot: type[S], event: Event) -> S:
        """Return what an event would have seen.

        Raises:
            Unanswerable: Where that is not known.
            NotFound, TooMany: Where rows are fewer or more than the snapshot takes.
        """
        return self._runner.driven_aside(found_snapshot(self._runner, self.seq, snapshot, event))


class AsyncMoment:
    """As `Moment`, awaited."""

    def __init__(self, runner: AsyncRunner, seq: int) -> None:
        self._runner = runner
        self.seq = seq

    async def row(self, table: Any, key: Any) -> Mapping[str, Any] | None:
        """As `Moment.row`."""
        return await self._runner.driven_aside(found_row(self._runner, self.seq, table, key))

    async def snapshot(self, snapshot: type[S], event: Event) -> S:
        """As `Moment.snapshot`."""
        return await self._runner.driven_aside(found_snapshot(self._runner, self.seq, snapshot, event))
