"""Tables against trail: every row that is not as the trail left it, and every write past the trail that an event met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, literal_column, select, tuple_
from sqlalchemy import types as sqltypes

from dateline.core.canon import parsed
from dateline.core.personal import ERASED
from dateline.core.request import Flow
from dateline.core.table import row_key
from dateline.sql import tables
from dateline.sql.compiled import compiled
from dateline.sql.dialect import Dialect
from dateline.sql.fold import NEWEST, PAGE, Break, Fold, Left, agree
from dateline.sql.restore import Image, Target, key_values, keying
from dateline.sql.statement import Batch, Result, Statement

__all__ = ["Drift", "Live", "LiveRow", "drifting", "drifting_row", "live_row"]


_PLAIN = (sqltypes.Integer, sqltypes.String, sqltypes.Uuid)
"""Types of keys that both databases take as a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One row, or table, that is not as the trail says.

    Args:
        change: "inserted", "updated" or "deleted" past the trail; "unadopted" of a table of which the trail knows no row.
        key: The row's key, as text; empty of a table.
        after: The last event that wrote the row before; 0 where there is none.
        until: The event that met it; None where it is so today.
        recorded: The row as the trail left it, and `found` as it was found; None where there was no row.
        rows: How many rows it is about.
    """

    table: str
    change: str
    key: str = ""
    after: int = 0
    until: int | None = None
    recorded: Image | None = None
    found: Image | None = None
    rows: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that differ; of a row that came or went, all."""
        if self.recorded is None or self.found is None:
            return tuple(self.recorded or self.found or ())
        found = self.found
        return tuple(
            name
            for name, value in self.recorded.items()
            if name in found and found[name] != value and value is not ERASED and found[name] is not ERASED
        )


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A row that is in its table today.

    Args:
        place: Its key's values, as the database takes them.
        text: The image as the database writes it.
    """

    key: str
    place: tuple[Any, ...]
    image: Image
    text: str


def live_row(dialect: Dialect, target: Target, place: Mapping[str, Any]) -> Flow[Image | None]:
    """Return a row as it is in its table; None where there is none.

    Args:
        place: Its key, as `keying` gives it.
    """
    image = dialect.image(target.table)
    results: list[Result] = yield Batch((image.statement("live", dict(place)),))
    text = dialect.image_text(target.table, results[0])
    return None if text is None else parsed(text)


def drifting_row(dialect: Dialect, target: Target, key: str) -> Flow[Drift | None]:
    """Return how a row is not as the trail left it; None where it is.

    Args:
        key: As text.
    """
    fold = Fold(dialect)
    left = (yield from fold.of(target, [key])).get(key)
    while True:
        recorded = None if left is None else left.image
        known = recorded if left is None or recorded is not None else left.before
        place = key_values(dialect, target, key) if known is None else keying(dialect, target)(known)
        found = None if place is None else (yield from live_row(dialect, target, place))
        before, left = left, (yield from fold.of(target, [key])).get(key)
        # Where an event wrote it in between, what was found may be either's.
        if (left and left.seq) == (before and before.seq):
            break
    if agree(recorded, found):
        return None
    change = "inserted" if recorded is None else "deleted" if found is None else "updated"
    return Drift(
        table=target.name, change=change, key=key, after=left.seq if left else 0, recorded=recorded, found=found
    )


class Live:
    """Reads a table's rows as they are, by key, a page at a time; its queries are compiled once."""

    def __init__(self, dialect: Dialect, target: Target) -> None:
        self.dialect = dialect
        self.target = target
        table = target.table
        keys = list(table.primary_key.columns)
        query = select(*dialect.image_columns(table), *(c.label(f"k{n}") for n, c in enumerate(keys))).order_by(*keys)
        page = query.limit(bindparam("page", type_=BigInteger()))
        behind = tuple_(*keys) > tuple_(*(bindparam(f"k{n}", type_=c.type) for n, c in enumerate(keys)))
        self._first, self._page = compiled(page, dialect.sql), compiled(page.where(behind), dialect.sql)
        self._readers = [c.type.dialect_impl(dialect.sql).result_processor(dialect.sql, None) for c in keys]
        among = select(*keys).where(keys[0].in_(bindparam("keys", type_=keys[0].type, expanding=True)))
        self._there = compiled(among, dialect.sql) if len(keys) == 1 and isinstance(keys[0].type, _PLAIN) else None
        self._any = compiled(select(func.count()).select_from(table), dialect.sql)
        self._keyed = keying(dialect, target)

    def count(self) -> Flow[int]:
        """Return how many rows there are."""
        results: list[Result] = yield Batch((self._any.statement("drift", {}),))
        return int(results[0].rows[0][0])

    def page(self, after: LiveRow | None, page: int = PAGE) -> Flow[list[LiveRow]]:
        """Read the next rows."""
        query = self._first if after is None else self._page
        values: dict[str, Any] = {"page": page}
        if after is not None:
            values |= {f"k{n}": value for n, value in enumerate(after.place)}
        results: list[Result] = yield Batch((query.statement("drift", values),))
        return [self._row(row) for row in results[0].rows]

    def gone(self, rows: Sequence[Left]) -> Flow[list[Left]]:
        """Return those of some rows that are not in the table."""
        places = {one.key: self._keyed(one.image) for one in rows if one.image is not None}
        if self._there is not None and places:
            asked = self._there.statement("drift", {"keys": [place["k0"] for place in places.values()]})
            results: list[Result] = yield Batch((asked,))
            read = self._readers[0]
            there = {row[0] if read is None else read(row[0]) for row in results[0].rows}
            places = {key: place for key, place in places.items() if place["k0"] not in there}
        # One by one, where the key is of several columns, or the database has another value for it than we.
        image, missing = self.dialect.image(self.target.table), set()
        left = list(places.items())
        for start in range(0, len(left), 200):
            some = left[start : start + 200]
            results = yield Batch(tuple(image.statement("drift", place) for _, place in some))
            for (key, _), result in zip(some, results, strict=True):
                if self.dialect.image_text(self.target.table, result) is None:
                    missing.add(key)
        return [one for one in rows if one.key in missing]

    def _row(self, row: Sequence[Any]) -> LiveRow:
        width = len(row) - len(self._readers)
        text = self.dialect.image_text(self.target.table, Result((row[:width],)))
        assert text is not None
        place = tuple(
            value if read is None else read(value) for read, value in zip(self._readers, row[width:], strict=True)
        )
        return LiveRow(row_key(place), place, parsed(text), text)


def drifting(dialect: Dialect, target: Target) -> Flow[list[Drift]]:
    """Compare one table with the trail, row by row; all is read as it is at one moment."""
    fold, live = Fold(dialect), Live(dialect, target)
    yield Batch((Statement(dialect.begin_reading, (), "begin"),), opens=True)
    found = yield from _drifting(dialect, target, fold, live)
    yield Batch((Statement("COMMIT", (), "end"),), ends=True)
    return found


def _drifting(dialect: Dialect, target: Target, fold: Fold, live: Live) -> Flow[list[Drift]]:
    o = tables.operation.c
    any_ = compiled(
        select(literal_column("1")).where(o.table_name == bindparam("table")).limit(literal_column("1")), dialect.sql
    )
    results: list[Result] = yield Batch((any_.statement("drift", {"table": target.name}),))
    if not results[0].rows:
        count = yield from live.count()
        return [Drift(table=target.name, change="unadopted", rows=count)] if count else []
    found: list[Drift] = []
    adopted = yield from fold.adopted(target)
    since: int | None = 0
    while since is not None:
        breaks, since = yield from fold.breaks(target, since)
        # A row that an event came upon before its table was adopted is older than the trail, as those are that were adopted.
        found += [_met(target, one) for one in breaks if one.after or one.left is not None or one.seq > adopted]
    last: LiveRow | None = None
    while page := (yield from live.page(last)):
        last = page[-1]
        known = yield from fold.of(target, [one.key for one in page])
        found += [
            drift for one in page if (drift := _differs(target, known.get(one.key), one.key, one.image)) is not None
        ]
    for walked in fold.pages(target, NEWEST):
        rows = yield from walked
        gone = yield from live.gone(rows)
        found += [
            Drift(table=target.name, change="deleted", key=one.key, after=one.seq, recorded=one.image) for one in gone
        ]
    return found


def _met(target: Target, one: Break) -> Drift:
    change = "inserted" if one.left is None else "deleted" if one.met is None else "updated"
    return Drift(
        table=target.name,
        change=change,
        key=one.key,
        after=one.after,
        until=one.seq,
        recorded=one.left,
        found=one.met,
    )


def _differs(target: Target, left: Left | None, key: str, image: Image) -> Drift | None:
    recorded = None if left is None else left.image
    if agree(recorded, image):
        return None
    change = "inserted" if recorded is None else "updated"
    after = 0 if left is None else left.seq
    return Drift(table=target.name, change=change, key=key, after=after, recorded=recorded, found=image)
