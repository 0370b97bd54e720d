"""Asking the trail: an event with everything that followed, a subject's timeline, a row's history, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import NoneType
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, bindparam, select
from sqlalchemy import Table as SqlTable

from dateline.core.entry import Entry, Page
from dateline.core.request import Flow
from dateline.core.version import Versions
from dateline.errors import Malformed, Refused, TrailFault
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect
from dateline.sql.entry import PARTS, Entries, Rows
from dateline.sql.statement import Batch

__all__ = ["SCANNED", "Filters", "Trail", "parts_of", "scanned"]

MOST = 10_000
"""Entries of the largest page."""

SCANNED = 500
"""Entries that are read at once where all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries are asked for; those left out do not restrict.

    Args:
        subject: Whom or what the events are about: `patient:42`.
        table: The table that they wrote; `row` its row's key, as text.
        version: The date that decided, or its ISO text.
        outcome: "committed", or the word of a refusal.
        since: The earliest instant of occurrence; `until` the first that is too late. Of a date, its midnight in UTC is meant.
        after: The cursor of the page before.
    """

    tenant: str = ""
    subject: str | None = None
    table: str | None = None
    row: str | None = None
    kind: str | None = None
    actor: str | None = None
    version: date | str | None = None
    outcome: str | None = None
    cause: UUID | None = None
    since: date | None = None
    until: date | None = None
    id: UUID | None = None
    key: str | None = None
    after: int | None = None
    limit: int = 100
    newest_first: bool = False

    def __post_init__(self) -> None:
        for name, (types, told) in _TAKES.items():
            found = getattr(self, name)
            if not isinstance(found, types) or (isinstance(found, bool) and bool not in types):
                raise Malformed(f"{name}= is {told}; not {type(found).__name__}")
        if not 1 <= self.limit <= MOST:
            limit = self.limit if abs(self.limit) < 10**18 else "…"
            raise Malformed(f"limit={limit}: a page holds 1 to {MOST} entries")
        if self.row is not None and self.table is None:
            raise Malformed("row= is a key within a table; pass table= too")
        if self.outcome is not None and self.outcome not in (known := _outcomes()):
            raise Malformed(f"outcome={self.outcome[:40]!r} is none; there are {', '.join(known)}")
        if isinstance(self.version, datetime):
            raise Malformed("version= is a calendar date, not an instant; write one such as 2018-08-01")
        if isinstance(self.version, str):
            object.__setattr__(self, "version", _date(self.version))
        for name in ("since", "until"):
            object.__setattr__(self, name, _instant(name, getattr(self, name)))


_TEXT = (str, NoneType)
_TAKES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "tenant": ((str,), "a text"),
    "subject": (_TEXT, "a text such as 'account:ann'"),
    "table": (_TEXT, "a table's name"),
    "row": (_TEXT, "a row's key as text, such as 'ann' or '7'"),
    "kind": (_TEXT, "a kind of event, a text"),
    "actor": (_TEXT, "an actor's id, a text"),
    "version": ((str, date, NoneType), "a date such as 2018-08-01"),
    "outcome": (_TEXT, "a text such as 'committed'"),
    "cause": ((UUID, NoneType), "an event's id, a UUID"),
    "since": ((date, NoneType), "an instant with a time zone, or a date"),
    "until": ((date, NoneType), "an instant with a time zone, or a date"),
    "id": ((UUID, NoneType), "an event's id, a UUID"),
    "key": (_TEXT, "a request key, a text"),
    "after": ((int, NoneType), "the number in `next` of the page before"),
    "limit": ((int,), "a number"),
    "newest_first": ((bool,), "True or False"),
}


def _outcomes() -> list[str]:
    return ["committed", *(found.outcome for found in Refused.__subclasses__())]


def _date(told: str) -> date:
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise Malformed(f"version={told[:40]!r} is no date; write one such as 2018-08-01") from None


def _instant(name: str, told: date | None) -> datetime | None:
    if told is None:
        return None
    if not isinstance(told, datetime):
        return datetime(told.year, told.month, told.day, tzinfo=UTC)
    if told.tzinfo is None:
        raise Malformed(f"{name}={told!r} is naive; an instant has a time zone, as in datetime(2024, 7, 1, tzinfo=UTC)")
    return told


class Trail:
    """Builds the trail's queries, each shape of filter once, and reads pages of entries by them."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.entries = Entries(dialect)
        self._compiled: dict[Any, tuple[Compiled, ...]] = {}

    def page(
        self, filters: Filters, versions: Versions, *, joined: bool = False, unreadable: list[int] | None = None
    ) -> Flow[Page]:
        """Read one page of entries, in one round trip.

        Args:
            joined: Inside a transaction that is not ours; then what it sees is what is read.
            unreadable: Takes the numbers of events that cannot be read, which are left out then.
        """
        values = {name: getattr(filters, name) for name in Filters.__dataclass_fields__} | {"limit": filters.limit + 1}
        asked = tuple(
            name for name, value in values.items() if value is not None and name not in ("newest_first", "limit")
        )
        shape = (asked, filters.newest_first)
        if shape not in self._compiled:
            self._compiled[shape] = self._statements(asked, newest_first=filters.newest_first)
        statements = tuple(one.statement("trail", values) for one in self._compiled[shape])
        if joined:
            results = yield Batch(statements)
        else:
            results = (yield Batch.between(self.dialect.begin_reading, *statements))[1:-1]
        numbers = sorted((row[0] for row in results[0].rows), reverse=filters.newest_first)
        last = numbers[filters.limit - 1] if len(numbers) > filters.limit else None
        rows = self.entries.rows(results[1:])
        if last is not None and rows and rows[-1].seq == numbers[-1]:
            del rows[-1]
        return Page(self._made(rows, versions, unreadable), last)

    def _made(self, rows: list[Rows], versions: Versions, unreadable: list[int] | None) -> tuple[Entry, ...]:
        made = []
        for one in rows:
            try:
                made.append(self.entries.entry(one, versions))
            except TrailFault:
                if unreadable is None:
                    raise
                unreadable.append(one.seq)
        return tuple(made)

    def scan(
        self, versions: Versions, *, after: int = 0, tenant: str | None = None, unreadable: list[int] | None = None
    ) -> Flow[Page]:
        """Read the next entries in the order of writing, all tenants' without one, in one round trip.

        Args:
            after: The number in `next` of the page before.
            unreadable: As for `page`.
        """
        shape = ("scan", tenant is not None)
        if shape not in self._compiled:
            self._compiled[shape] = tuple(
                compiled(statement, self.dialect.sql) for statement in parts_of(self.dialect, scanned(tenant))
            )
        bound = {"after": after, "page": SCANNED, "tenant": tenant}
        statements = (one.statement("trail", bound) for one in self._compiled[shape])
        results = (yield Batch.between(self.dialect.begin_reading, *statements))[1:-1]
        numbers = [row[0] for row in results[0].rows]
        made = self._made(self.entries.rows(results[1:]), versions, unreadable)
        return Page(made, max(numbers) if len(numbers) == SCANNED else None)

    def among(
        self, seqs: Sequence[int], versions: Versions, *, unreadable: list[int] | None = None
    ) -> Flow[tuple[Entry, ...]]:
        """Read the entries of some numbers, in their order."""
        if "among" not in self._compiled:
            e = tables.event.c
            numbers = select(e.seq).where(e.seq.in_(bindparam("seqs", type_=BigInteger(), expanding=True)))
            self._compiled["among"] = tuple(compiled(one, self.dialect.sql) for one in parts_of(self.dialect, numbers))
        statements = (one.statement("trail", {"seqs": list(seqs)}) for one in self._compiled["among"])
        results = (yield Batch.between(self.dialect.begin_reading, *statements))[1:-1]
        return self._made(self.entries.rows(results[1:]), versions, unreadable)

    def _statements(self, asked: tuple[str, ...], *, newest_first: bool) -> tuple[Compiled, ...]:
        page = _page(asked, newest_first=newest_first)
        statements = parts_of(self.dialect, page, newest_first=newest_first, tenant="tenant")
        return tuple(compiled(statement, self.dialect.sql) for statement in statements)


def parts_of(
    dialect: Dialect, page: Select[Any], *, newest_first: bool = False, tenant: str | None = None
) -> Iterator[Select[Any]]:
    """Yield what looks the numbers of a page's events up, and then what reads each of their parts.

    Args:
        page: The query for the events' numbers.
        tenant: The parameter that names whose rows alone are read.
    """
    look, among = dialect.paged(page)
    yield look
    # Every key begins with the tenant: without one, the whole table would be gone through for each page.
    e = tables.event.alias("page_event")
    tenants = select(e.c.tenant).where(among(e.c.seq)).distinct()
    for columns in PARTS:
        table: SqlTable = columns[0].table
        statement = select(*columns).where(among(table.c.seq))
        if tenant is not None:
            statement = statement.where(table.c.tenant == bindparam(tenant))
        elif table not in (tables.event, tables.position):
            statement = statement.where(dialect.one_of(table.c.tenant, tenants))
        if table is tables.event:
            yield statement.order_by(table.c.seq.desc() if newest_first else table.c.seq)
        else:
            yield statement.order_by(table.c.seq, *([table.c.ordinal] if "ordinal" in table.c else []))


def scanned(tenant: str | None) -> Select[Any]:
    """Return the query for the numbers of one page of everything."""
    e = tables.event.c
    page = select(e.seq).where(e.seq > bindparam("after", type_=BigInteger()))
    if tenant is not None:
        page = page.where(e.tenant == bindparam("tenant"))
    return page.order_by(e.seq).limit(bindparam("page", type_=BigInteger()))


def _page(asked: tuple[str, ...], *, newest_first: bool) -> Select[Any]:
    """Return the query for the numbers of one page's events, one more than it holds."""
    e, o, s, k = tables.event.c, tables.operation.c, tables.subject.c, tables.claim.c
    plain = {"kind": e.kind, "actor": e.actor, "version": e.version, "outcome": e.outcome, "cause": e.cause, "id": e.id}
    conditions = [column == bindparam(name, type_=column.type) for name, column in plain.items() if name in asked]
    if "since" in asked:
        conditions.append(e.occurred_at >= bindparam("since", type_=e.occurred_at.type))
    if "until" in asked:
        conditions.append(e.occurred_at < bindparam("until", type_=e.occurred_at.type))
    if "key" in asked:
        found = select(k.event).where(k.tenant == bindparam("tenant"), k.scope == "request", k.key == bindparam("key"))
        conditions.append(e.id == found.scalar_subquery())
    about = [s.tenant == bindparam("tenant"), s.subject == bindparam("subject")]
    wrote = [o.tenant == bindparam("tenant"), o.table_name == bindparam("table")]
    wrote += [o.row_key == bindparam("row")] if "row" in asked else []
    # Of a subject, and of a row, an index gives the numbers in their order: however many there are, no more than a page is looked at.
    by: Any = tables.subject if "subject" in asked else tables.operation if "row" in asked else tables.event
    seq = by.c.seq
    if by is tables.event:
        conditions.append(e.tenant == bindparam("tenant"))
    else:
        if conditions:
            conditions += [e.tenant == bindparam("tenant"), e.seq == seq]
        conditions += about if by is tables.subject else wrote
    if "table" in asked and by is not tables.operation:
        conditions.append(seq.in_(select(o.seq).where(*wrote)))
    if "after" in asked:
        after = bindparam("after", type_=BigInteger())
        conditions.append(seq < after if newest_first else seq > after)
    # An event may have written a row more than once.
    made = select(seq).distinct() if by is tables.operation else select(seq)
    return (
        made.where(*conditions)
        .order_by(seq.desc() if newest_first else seq)
        .limit(bindparam("limit", type_=BigInteger()))
    )
