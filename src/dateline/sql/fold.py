"""What the trail says of rows: the image that a row's latest operation left, and where the chain of images is broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, Text, bindparam, func, select

from dateline.core.adopt import AdoptTable
from dateline.core.canon import parsed
from dateline.core.personal import ERASED, MARK, unsealed
from dateline.core.request import Flow
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect, shared
from dateline.sql.restore import Image, Target
from dateline.sql.statement import Batch, Result

__all__ = ["NEWEST", "PAGE", "Break", "Fold", "Left", "agree"]

PAGE = 1_000
"""Rows that are read at once."""

NEWEST = 2**62
"""A number that no event reaches."""


class Left(NamedTuple):
    """What a row's latest operation left of it.

    Args:
        key: The row's key, as text.
        seq: The event whose operation it was.
        image: None where it deleted the row; then `before` is what it deleted.
    """

    key: str
    seq: int
    image: Image | None
    before: Image | None = None


class Break(NamedTuple):
    """An operation that met another row than the one before it had left: somebody wrote in between, past the trail.

    Args:
        after: The event before; 0 where there is none.
        seq: The event that met it.
        left: What the trail left; None where there was no row.
        met: What the operation met.
    """

    key: str
    after: int
    seq: int
    left: Image | None
    met: Image | None


@dataclass(slots=True)
class _At:
    """How far a walk through a table has come: in which tenant, and behind which key."""

    place: int = 0
    after: str | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    tenant: str
    seq: int
    ordinal: int
    part: str
    text: str | None


def agree(one: Image | None, other: Image | None) -> bool:
    """Tell whether two images are of one state.

    Columns that only one of them knows came or went with the table; and of what was erased, nobody can tell.
    """
    if one is None or other is None:
        return one is other
    return all(
        other[name] == value or value is ERASED or other[name] is ERASED for name, value in one.items() if name in other
    )


class _Texts:
    """The queries about rows, compiled."""

    def __init__(self, dialect: Dialect) -> None:
        def made(query: Select[Any]) -> Compiled:
            return compiled(query, dialect.sql)

        o, p = tables.operation.c, tables.personal.c
        before = bindparam("before", type_=BigInteger())
        # With the tenants, which lead every key: without them, all operations would be gone through for each page.
        mine = (_of_any(o.tenant), o.table_name == bindparam("table"), o.seq < before)
        after = bindparam("after", type_=Text())
        since = bindparam("since", type_=BigInteger())
        newest = (
            select(o.row_key, func.max(o.seq))
            .group_by(o.row_key)
            .where(o.seq < before, o.table_name == bindparam("table"))
        )
        # Of one tenant each: so the index gives them in order, and a page costs a page.
        of_one = newest.where(o.tenant == bindparam("tenant"), o.seq >= since).order_by(o.row_key)
        page = of_one.limit(bindparam("page", type_=BigInteger()))
        self.first, self.page = made(page), made(page.where(o.row_key > after))
        keys = bindparam("keys", type_=Text(), expanding=True)
        self.newest = made(newest.where(_of_any(o.tenant), o.row_key.in_(keys)))
        seqs = bindparam("seqs", type_=BigInteger(), expanding=True)
        # By the events' numbers alone: with the server left to choose, and no statistics yet, it joined each row with each.
        self.written = made(
            select(o.row_key, o.tenant, o.seq, o.ordinal, o.after, o.before)
            .where(_of_any(o.tenant), o.seq.in_(seqs))
            .where(o.table_name.concat("") == bindparam("table"), o.row_key.concat("").in_(keys))
            .order_by(o.seq, o.ordinal)
        )
        before_it = (("t", o.tenant), ("s", o.seq), ("n", o.ordinal), ("a", o.after))
        lags = [
            func.lag(c).over(partition_by=o.row_key, order_by=(o.seq, o.ordinal)).label(name) for name, c in before_it
        ]
        chain = select(o.row_key, o.tenant, o.seq, o.ordinal, o.before, *lags).where(*mine).subquery("chain")
        c = chain.c
        broken = select(chain).where(c.before.is_distinct_from(c.a), c.seq > since)
        self.breaks = made(broken.order_by(c.seq, c.ordinal).limit(bindparam("page", type_=BigInteger())))
        e = tables.event.c
        adopted = select(func.coalesce(func.max(o.seq), 0)).where(
            _of_any(o.tenant), o.table_name == bindparam("table"), e.seq == o.seq, e.kind == AdoptTable.__kind__
        )
        self.adopted = made(adopted)
        personal = select(p.tenant, p.seq, p.path, p.value).where(_of_any(p.tenant), p.seq.in_(seqs))
        self.personal = made(personal)
        self.known = made(_tenants())


class Fold:
    """Reads what the trail says of rows."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._texts = shared(_Texts, dialect)
        self._tenants: list[str] = []

    def tenants(self) -> Flow[list[str]]:
        """Return whose operations there are; looked up once."""
        if not self._tenants:
            results: list[Result] = yield Batch((self._texts.known.statement("fold", {}),))
            self._tenants = sorted(row[0] for row in results[0].rows)
        return self._tenants

    def adopted(self, target: Target) -> Flow[int]:
        """Return the last event that adopted rows of a table; 0 where none did."""
        values = {"table": target.name, "tenants": (yield from self.tenants())}
        results: list[Result] = yield Batch((self._texts.adopted.statement("fold", values),))
        return int(results[0].rows[0][0])

    def pages(self, target: Target, before: int, *, since: int = 0) -> Iterator[Flow[list[Left]]]:
        """Yield what reads what is left of the next rows of a table before an event, tenant by tenant; also of those that are deleted.

        Each is to be driven to its end before the next is taken. One may find nothing, and the next something.

        Args:
            since: Only of rows that this event or a later one wrote.
        """
        at = _At()
        while not at.ended:
            yield self._read(target, before, since, at)

    def _read(self, target: Target, before: int, since: int, at: _At) -> Flow[list[Left]]:
        tenants = yield from self.tenants()
        if at.place >= len(tenants):
            at.ended = True
            return []
        tenant = tenants[at.place]
        query = self._texts.first if at.after is None else self._texts.page
        values = {"table": target.name, "before": before, "since": since, "page": PAGE, "tenant": tenant}
        if at.after is not None:
            values["after"] = at.after
        results: list[Result] = yield Batch((query.statement("fold", values),))
        newest = _numbers(results[0])
        if len(newest) < PAGE:
            at.place, at.after = at.place + 1, None
            at.ended = at.place >= len(tenants)
        else:
            at.after = results[0].rows[-1][0]
        if not newest:
            return []
        if len(tenants) == 1:
            return (yield from self._left(target, newest))
        # A row that another tenant wrote later is told with that one's.
        found = yield from self._newest_of(target, list(newest), before)
        return (yield from self._left(target, {key: seq for key, seq in found.items() if newest[key] == seq}))

    def _newest_of(self, target: Target, keys: list[str], before: int) -> Flow[dict[str, int]]:
        values: dict[str, Any] = {"table": target.name, "before": before, "keys": keys}
        values["tenants"] = yield from self.tenants()
        results: list[Result] = yield Batch((self._texts.newest.statement("fold", values),))
        return _numbers(results[0])

    def of(self, target: Target, keys: Iterable[str], before: int = NEWEST) -> Flow[dict[str, Left]]:
        """Read what is left of some rows before an event; those that the trail does not know are left out."""
        newest = yield from self._newest_of(target, list(keys), before)
        found = yield from self._left(target, newest)
        return {one.key: one for one in found}

    def _left(self, target: Target, newest: Mapping[str, int]) -> Flow[list[Left]]:
        """Read what the events that wrote some rows last left of them."""
        if not newest:
            return []
        values: dict[str, Any] = {"table": target.name, "keys": list(newest), "seqs": sorted({*newest.values()})}
        values["tenants"] = yield from self.tenants()
        results: list[Result] = yield Batch((self._texts.written.statement("fold", values),))
        # One event may have written a row twice: the last of its operations counts.
        last = {
            key: _Row(
                key, tenant, seq, ordinal, "before" if after is None else "after", before if after is None else after
            )
            for key, tenant, seq, ordinal, after, before in results[0].rows
            if newest[key] == seq
        }
        images = yield from self._images(target, last.values())
        return [
            Left(one.key, one.seq, image) if one.part == "after" else Left(one.key, one.seq, None, image)
            for one, image in zip(last.values(), images, strict=True)
        ]

    def breaks(self, target: Target, since: int, before: int = NEWEST) -> Flow[tuple[list[Break], int | None]]:
        """Read the next breaks in the chain of images, in the order of the events.

        Returns:
            With them, after which event to go on; None at the end.
        """
        values: dict[str, Any] = {"table": target.name, "before": before, "since": since, "page": PAGE}
        values["tenants"] = yield from self.tenants()
        results: list[Result] = yield Batch((self._texts.breaks.statement("fold", values),))
        met, left = [], []
        for key, tenant, seq, ordinal, text, t, s, n, a in results[0].rows:
            met.append(_Row(key, tenant, seq, ordinal, "before", text))
            left.append(_Row(key, t or "", s or 0, n or 0, "after", a))
        both = yield from self._images(target, (*met, *left))
        found = []
        for index, one in enumerate(met):
            was, is_ = both[len(met) + index], both[index]
            if not agree(was, is_):
                found.append(Break(one.key, left[index].seq, one.seq, was, is_))
        more = len(results[0].rows) == PAGE
        if not more:
            return found, None
        # An event is never torn apart by the end of a page.
        end = met[-1].seq - 1
        return ([one for one in found if one.seq <= end], end) if end > since else (found, met[-1].seq)

    def _images(self, target: Target, rows: Iterable[_Row]) -> Flow[list[Image | None]]:
        rows = list(rows)
        values: dict[tuple[str, int], dict[str, Any]] = {}
        # By what stands there: a column is personal by its table's mark, by that of any record, or by one that there no longer is.
        seqs = sorted({one.seq for one in rows if one.text is not None and MARK in one.text})
        for start in range(0, len(seqs), PAGE):
            asked = self._texts.personal.statement(
                "fold", {"seqs": seqs[start : start + PAGE], "tenants": self._tenants}
            )
            results: list[Result] = yield Batch((asked,))
            for tenant, seq, path, text in results[0].rows:
                held = values.setdefault((tenant, seq), {})
                held[path] = ERASED if text is None else parsed(text)
        made: list[Image | None] = []
        for one in rows:
            if one.text is None:
                made.append(None)
                continue
            root = f"/operations/{one.ordinal}/{one.part}"
            made.append(unsealed(parsed(one.text), root, _at(values.get((one.tenant, one.seq), {}), root)))
        return made


def _at(values: Mapping[str, Any], root: str) -> Mapping[str, Any]:
    return {path: value for path, value in values.items() if path.startswith(f"{root}/")}


def _of_any(column: Any) -> Any:
    return column.in_(bindparam("tenants", type_=Text(), expanding=True))


def _numbers(found: Result) -> dict[str, int]:
    return {str(key): int(seq) for key, seq in found.rows}


def _tenants() -> Select[Any]:
    """Return what finds all tenants by a step in the index for each, where `distinct` would read the whole of it."""
    e = tables.event.c
    least = select(func.min(e.tenant).label("tenant")).cte("tenants", recursive=True)
    more = select(func.min(e.tenant)).where(e.tenant > least.c.tenant).scalar_subquery()
    every = least.union_all(select(more).where(least.c.tenant.is_not(None)))
    return select(every.c.tenant).where(every.c.tenant.is_not(None))
