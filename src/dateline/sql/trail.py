"""Reading the trail: an event with everything that followed, a subject's timeline, a row's history, page by page."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import BigInteger, Select, bindparam, select
from sqlalchemy import Table as SqlTable

from dateline.core.canon import parsed
from dateline.core.entry import Entry, Page, Written
from dateline.core.event import Event
from dateline.core.meta import Actor, Meta, Reason
from dateline.core.outcome import Performed
from dateline.core.personal import ERASED, below, unsealed
from dateline.core.request import Flow
from dateline.core.version import Versions
from dateline.errors import Malformed, Refused, TrailFault
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result

__all__ = ["PARTS", "UNREADABLE", "Filters", "Parts", "Trail", "entries_of", "read"]

MOST = 10_000
"""Entries of the largest page."""


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
    """Builds the trail's queries, each shape of filter once, and makes entries of their rows."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._compiled: dict[Any, tuple[Compiled, ...]] = {}

    def page(self, filters: Filters, versions: Versions, *, joined: bool = False) -> Flow[Page]:
        """Read one page of entries, in one round trip.

        Args:
            joined: Inside a transaction that is not ours; then what it sees is what is read.
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
        parts = read(self.dialect, results, _refused)
        more = len(parts[0]) > filters.limit
        del parts[0][filters.limit :]
        entries = entries_of(self.dialect, parts, versions, _refused)
        return Page(entries, entries[-1].seq if more else None)

    def _statements(self, asked: tuple[str, ...], *, newest_first: bool) -> tuple[Compiled, ...]:
        page = _page(asked, newest_first=newest_first)
        made = []
        for columns in PARTS:
            table: SqlTable = columns[0].table
            if table is tables.event:
                c = tables.event.c
                statement = select(*columns).where(self.dialect.among(c.seq, page))
                made.append(statement.order_by(c.seq.desc() if newest_first else c.seq))
                continue
            statement = select(*columns).where(self.dialect.among(table.c.seq, page))
            if "tenant" in table.c:
                statement = statement.where(table.c.tenant == bindparam("tenant"))
            made.append(statement.order_by(table.c.seq, *([table.c.ordinal] if "ordinal" in table.c else [])))
        return tuple(compiled(statement, self.dialect.sql) for statement in made)


# The parts of an entry: the event's own row first, then what hangs on its number.
PARTS: tuple[tuple[Any, ...], ...] = (
    tuple(tables.event.c),
    tuple(tables.operation.c),
    tuple(tables.effect.c),
    tuple(tables.personal.c),
    tuple(tables.delivery.c),
    tuple(tables.position.c),
)


def _page(asked: tuple[str, ...], *, newest_first: bool) -> Select[Any]:
    """Return the query for the numbers of one page's events, one more than it holds."""
    e, o, s, k = tables.event.c, tables.operation.c, tables.subject.c, tables.claim.c
    conditions = [e.tenant == bindparam("tenant")]
    plain = {"kind": e.kind, "actor": e.actor, "version": e.version, "outcome": e.outcome, "cause": e.cause, "id": e.id}
    conditions += [column == bindparam(name, type_=column.type) for name, column in plain.items() if name in asked]
    if "since" in asked:
        conditions.append(e.occurred_at >= bindparam("since", type_=e.occurred_at.type))
    if "until" in asked:
        conditions.append(e.occurred_at < bindparam("until", type_=e.occurred_at.type))
    if "subject" in asked:
        conditions.append(
            e.seq.in_(select(s.seq).where(s.tenant == bindparam("tenant"), s.subject == bindparam("subject")))
        )
    if "key" in asked:
        found = select(k.event).where(k.tenant == bindparam("tenant"), k.scope == "request", k.key == bindparam("key"))
        conditions.append(e.id == found.scalar_subquery())
    if "table" in asked:
        rows = [o.tenant == bindparam("tenant"), o.table_name == bindparam("table")]
        rows += [o.row_key == bindparam("row")] if "row" in asked else []
        conditions.append(e.seq.in_(select(o.seq).where(*rows)))
    if "after" in asked:
        after = bindparam("after", type_=BigInteger())
        conditions.append(e.seq < after if newest_first else e.seq > after)
    order = e.seq.desc() if newest_first else e.seq
    return select(e.seq).where(*conditions).order_by(order).limit(bindparam("limit", type_=BigInteger()))


def _by_seq(rows: Iterable[dict[str, Any]]) -> Mapping[int, list[dict[str, Any]]]:
    made: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        made[row["seq"]].append(row)
    return made


Parts: TypeAlias = list[list[dict[str, Any]]]
"""The rows of each of `PARTS`, their values as Python's."""

UNREADABLE = (ArithmeticError, AttributeError, LookupError, Malformed, RecursionError, TypeError, ValueError)
"""What reading raises where somebody has changed a record."""


def _refused(seq: int, error: Exception) -> None:
    raise TrailFault(f"event {seq} cannot be read: its record was changed; `dateline verify` says where") from error


def read(dialect: Dialect, results: Iterable[Result], unreadable: Callable[[int, Exception], object]) -> Parts:
    """Return what was found of each part.

    Args:
        unreadable: What becomes of a row that holds what dateline never wrote, given its event's number; it is left out.
    """
    parts: Parts = []
    for columns, result in zip(PARTS, results, strict=True):
        names = [column.name for column in columns]
        readers = [column.type.dialect_impl(dialect.sql).result_processor(dialect.sql, None) for column in columns]
        seq, made = names.index("seq"), []
        for row in result.rows:
            try:
                values = [value if made_ is None else made_(value) for made_, value in zip(readers, row, strict=True)]
            except UNREADABLE as error:
                unreadable(row[seq], error)
                continue
            made.append(dict(zip(names, values, strict=True)))
        parts.append(made)
    return parts


def entries_of(
    dialect: Dialect, found: Parts, versions: Versions, unreadable: Callable[[int, Exception], object]
) -> tuple[Entry, ...]:
    """Return the entries that the parts make.

    Args:
        unreadable: As for `read`.
    """
    events, operations, effects, personal, deliveries, positions = found
    of = tuple(_by_seq(rows) for rows in (operations, effects, personal))
    states = {(row["seq"], row["ordinal"]): row["state"] for row in deliveries}
    places = {row["seq"]: row["position"] for row in positions}
    made = []
    for row in events:
        parts = tuple(part[row["seq"]] for part in of)
        try:
            position = places.get(row["seq"]) if dialect.sequenced else row["seq"]
            entry = _entry(row, parts, states, position, versions)
            # Made here once, so that whoever asks an entry for it can rely on it.
            _ = entry.refusal
        except UNREADABLE as error:
            unreadable(row["seq"], error)
            continue
        made.append(entry)
    return tuple(made)


def _entry(
    row: dict[str, Any],
    parts: tuple[list[dict[str, Any]], ...],
    states: Mapping[tuple[int, int], str],
    position: int | None,
    versions: Versions,
) -> Entry:
    operations, effects, personal = parts
    values = {one["path"]: ERASED if one["value"] is None else parsed(one["value"]) for one in personal}
    body = parsed(row["body"])
    facts = body["meta"]
    return Entry(
        seq=row["seq"],
        position=position,
        id=row["id"],
        tenant=row["tenant"],
        kind=row["kind"],
        version=row["version"],
        shape=row["shape"],
        cascade=row["cascade"],
        actor=Actor(**facts["actor"]),
        reason=Reason(**facts["reason"]) if "reason" in facts else None,
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        outcome=row["outcome"],
        meta=Meta.from_facts(facts),
        event=_typed(row, body, values, versions),
        input=unsealed(body["input"], "/input", values),
        snapshot={
            path: {**held, "rows": unsealed(held["rows"], f"/snapshot/{path}/rows", values)}
            for path, held in body["snapshot"].items()
        },
        decision=body["decision"],
        operations=tuple(_operation(one, values) for one in operations),
        effects=tuple(
            Performed(
                id=one["id"],
                ordinal=one["ordinal"],
                step=one["step"],
                kind=one["kind"],
                payload=unsealed(parsed(one["payload"]), f"/effects/{one['ordinal']}", values),
                handler=one["handler"],
                date=one["date"],
                state=states.get((row["seq"], one["ordinal"]), "delivered"),
            )
            for one in effects
        ),
        subjects=tuple(parsed(row["subjects"])),
        personal=frozenset(values),
    )


def _operation(row: dict[str, Any], values: Mapping[str, Any]) -> Written:
    root = f"/operations/{row['ordinal']}"

    def part(name: str) -> Any:
        return None if row[name] is None else unsealed(parsed(row[name]), f"{root}/{name}", values)

    after = part("after")
    # A declared personal value is kept once, with the row that holds it.
    kept = {
        below(f"{root}/declared", name): value
        for name, value in (after or {}).items()
        if below(f"{root}/after", name) in values
    }
    return Written(
        ordinal=row["ordinal"],
        step=row["step"],
        verb=row["verb"],
        table=row["table_name"],
        row_key=row["row_key"],
        handler=row["handler"],
        date=row["date"],
        merged=tuple((step, handler, day) for step, handler, day in parsed(row["merged"] or "[]")),
        declared=unsealed(parsed(row["declared"]), f"{root}/declared", kept),
        before=part("before"),
        after=after,
    )


def _typed(row: dict[str, Any], body: Mapping[str, Any], values: Mapping[str, Any], versions: Versions) -> Event | None:
    """Return the event in the shape that it arrived in; None where no version at hand can read it."""
    shape = versions.shape(row["kind"], row["shape"])
    if shape is None:
        return None
    text = json.dumps(unsealed(body["input"], "/input", values))
    try:
        return shape.from_json(text).with_meta(Meta.from_facts(body["meta"]))
    except Malformed:
        return None
