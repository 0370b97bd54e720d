"""Recording what was decided and done: the event, then what hangs on its number.

What is recorded is laid out in flat rows of facts, one for each row of the trail, in the order of the columns that are named here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import Integer, TextClause, bindparam, insert, select, text
from sqlalchemy import Text as SqlText
from sqlalchemy.types import TypeEngine

from dateline.core.assigned import given_in
from dateline.core.canon import canonical, parsed
from dateline.core.draft import Draft
from dateline.core.effect import Effect
from dateline.core.event import fill
from dateline.core.internal import bounded
from dateline.core.meta import derived
from dateline.core.outcome import Performed, Wrote
from dateline.core.plan import Change, Planned
from dateline.core.version import Versions
from dateline.sql import tables
from dateline.sql.compiled import Compiled, Merger, Whole, compiled, light
from dateline.sql.dialect import Dialect, shared
from dateline.sql.perform import Assigned, Images
from dateline.sql.seal import RowSealer
from dateline.sql.statement import Statement

__all__ = [
    "CLAIM",
    "EFFECT",
    "EVENT",
    "MOST",
    "OPERATION",
    "OPERATION_ROW",
    "PERSONAL",
    "SUBJECT",
    "Recorder",
    "Telling",
    "bound",
    "claim_facts",
    "effect_facts",
    "event_facts",
    "event_insert",
    "inserts_of",
    "listed",
    "performing_of",
]

MOST = 20
"""Rows of one table that one statement takes, so that there are few texts."""

EVENT = tuple(column.name for column in tables.event.columns if column.name not in ("seq", "recorded_at"))
OPERATION = ("ordinal", "step", "verb", "table_name", "row_key", "declared", "handler", "date", "merged")
EFFECT = ("ordinal", "id", "step", "kind", "payload", "handler", "date", "state", "lane")
SUBJECT = ("subject",)
PERSONAL = ("path", "subject", "salt", "value")
CLAIM = tuple(column.name for column in tables.claim.columns)

Facts: TypeAlias = tuple[Any, ...]

Performing: TypeAlias = Sequence[tuple[int, Planned, Effect]]
"""The effects of a plan with nothing left open, each with its ordinal and who decided it."""


class Recording(NamedTuple):
    """What is to be recorded of one event.

    Args:
        event: What records the event itself, and gives its number and the database's clock.
        lists: By table, the facts of the rows that hang on it.
        told: Tells what was done.
    """

    event: Statement
    lists: Mapping[str, Sequence[Facts]]
    told: Telling


class Recorder:
    """Makes the statements that write the trail in order, each shape compiled once."""

    def __init__(self, dialect: Dialect, versions: Versions) -> None:
        self.dialect = dialect
        self.sealer = RowSealer(versions)
        self.claiming = shared(_claiming, dialect)
        """What takes a request key; it gives no row where another has it."""
        self._event = shared(_event, dialect)
        self._lists: dict[tuple[str, int], Whole] = {}

    def claim(self, draft: Draft) -> tuple[Statement, ...]:
        """Return what takes the request key; it gives no row where another has it."""
        if draft.claim is None:
            return ()
        return (self.claiming.statement("claim", dict(zip(CLAIM, claim_facts(draft), strict=True))),)

    def recording(self, draft: Draft, rows: Sequence[Change], images: Images, assigned: Assigned) -> Recording:
        """Return what is to be recorded of what was done.

        Raises:
            NotCanonical: For what has no canonical form, though the database took it.
        """
        performing = performing_of(draft, assigned)
        effects = effect_facts(draft, performing)
        lists: dict[str, list[Facts]] = {
            "operation": self._operations(draft, rows, images),
            "effect": effects,
            "delivery": effects,
            "subject": [(subject,) for subject in draft.subjects],
            # Last of all: sealing operations and effects has added to what is kept beside the body.
            "personal": [(one.path, one.subject, one.salt, one.value) for one in draft.sealer.sealed],
            "pending": [()] if self.dialect.sequenced else [],
        }
        event = Statement(self._event.sql, self._event.bind(list(event_facts(draft)), draft.event), "event")
        return Recording(event, lists, Telling(draft, rows, performing))

    def rest(self, draft: Draft, lists: Mapping[str, Sequence[Facts]], event: Sequence[Any] = ()) -> list[Statement]:
        """Return the statements that record what hangs on the event.

        Args:
            event: The event's number and the database's clock, where they are known already; else they are taken in the same trip.
        """
        made = []
        for name, all_ in lists.items():
            for start in range(0, len(all_), MOST):
                some = all_[start : start + MOST]
                whole = self._list(name, len(some))
                facts = [draft.meta.tenant, *event]
                for row in some:
                    facts += row
                made.append(Statement(whole.sql, whole.bind(facts, draft.event), name))
        return made

    def _operations(self, draft: Draft, rows: Sequence[Change], images: Images) -> list[Facts]:
        made = []
        for row, facts, (before, after) in zip(rows, self.operations(draft, rows), images, strict=True):
            parts = (("before", before), ("after", after))
            sealed = [self.sealer.image(draft.sealer, row, part, image) for part, image in parts]
            made.append((*facts, *sealed))
        return made

    def operations(self, draft: Draft, rows: Sequence[Change]) -> list[Facts]:
        """Return the operations' facts, without the images of their rows."""
        made = []
        for row in rows:
            last = row.steps[-1]
            merged = [[p.key, p.handler, p.date] for p in row.steps] if len(row.steps) > 1 else None
            made.append(
                (
                    row.ordinal,
                    last.key,
                    row.verb,
                    row.table,
                    row.row_key,
                    self.sealer.declared(draft.sealer, row),
                    last.handler,
                    last.date,
                    merged and canonical(merged).decode(),
                )
            )
        return made

    def _list(self, name: str, count: int) -> Whole:
        if (name, count) not in self._lists:
            columns = {**_LISTS, "operation": (*OPERATION, "before", "after"), "pending": ()}[name]
            known = ("tenant", "seq", "recorded_at") if self.dialect.near else ("tenant",)
            layout = [("event", column) for column in known]
            layout += [(f"{name}{index}", column) for index in range(count) for column in columns]
            self._lists[name, count] = _whole(self.dialect, layout, lambda merger: self._text(merger, name, count))
            bounded(self._lists)
        return self._lists[name, count]

    def _text(self, merger: Merger, name: str, count: int) -> str:
        dialect = self.dialect
        if dialect.near:
            return values_of(merger, dialect, name, count)
        # The number of the event that this very transaction has recorded.
        number = select(dialect.number().label("seq"), dialect.now().label("recorded_at"))
        tenant = merger.add("event", bound(":tenant", dialect))
        source = f"({merger.add('event', compiled(number, dialect.sql))}) AS event"
        return inserts_of(name, tenant, listed(merger, dialect, name, count), source)


def _whole(dialect: Dialect, layout: Sequence[tuple[str, str]], text_of: Callable[[Merger], str]) -> Whole:
    merger = Merger(layout, numbered=dialect.sql.paramstyle == "numeric_dollar")
    return merger.whole(text_of(merger))


def _event(dialect: Dialect) -> Whole:
    event = compiled(event_insert(None, dialect.now()), dialect.sql)
    return _whole(dialect, [("event", name) for name in EVENT], lambda merger: merger.add("event", event))


def _claiming(dialect: Dialect) -> Compiled:
    c = light(tables.claim)
    named = {c.c[column.name]: bindparam(column.name, type_=column.type) for column in tables.claim.columns}
    # Where the key is taken, nothing happens and no row comes back.
    return compiled(dialect.insert(c).values(named).on_conflict_do_nothing().returning(c.c.event), dialect.sql)


_LISTS = {"effect": EFFECT, "delivery": EFFECT, "subject": SUBJECT, "personal": PERSONAL}


def inserts_of(name: str, tenant: str, items: str, source: str) -> str:
    """Return the text that adds rows to one table of the trail.

    Args:
        tenant: The text of that parameter.
        items: The rows, as VALUES takes them.
        source: What gives `event` its `seq` and its `recorded_at`.
    """
    if name == "pending":
        return f"INSERT INTO dateline_pending (seq, tenant) SELECT event.seq, {tenant} FROM {source}"  # noqa: S608 - pieces of this module
    columns, taken = _INSERTS[name]
    rows = f"SELECT {tenant}, event.seq, {', '.join(taken)} FROM {source}, (VALUES {items}) AS x"  # noqa: S608 - pieces of this module
    return f"INSERT INTO dateline_{name} (tenant, seq, {', '.join(columns)}) {rows}"


def values_of(merger: Merger, dialect: Dialect, name: str, count: int) -> str:
    """Return the text that adds rows to one table of the trail, where the event's number is known: a quarter of the work of the other."""
    columns, _ = _INSERTS[name]
    # In the order of the text: where parameters have no numbers, that is their order.
    parts = [("", ":tenant, :seq"), (name, _ROWS[name][1:-1]), *([("", ":recorded_at")] if name == "delivery" else [])]
    pieces = [(scope, bound(part, dialect)) for scope, part in parts]
    rows = (
        ", ".join(merger.add(f"{scope}{index}" if scope else "event", piece) for scope, piece in pieces)
        for index in range(count)
    )
    return f"INSERT INTO dateline_{name} (tenant, seq, {', '.join(columns)}) VALUES ({'), ('.join(rows)})"  # noqa: S608 - as above


def _numbered(*columns: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return columns, and where in VALUES each stands: both databases name those alike."""
    return columns, tuple(f"x.column{place + 1}" for place in range(len(columns)))


_INSERTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "operation": _numbered(*OPERATION, "before", "after"),
    "effect": _numbered(*EFFECT[:-2]),
    "delivery": (
        ("ordinal", "kind", "state", "lane", "due_at"),
        ("x.column1", "x.column2", "x.column3", "x.column4", "event.recorded_at"),
    ),
    "subject": _numbered(*SUBJECT),
    "personal": _numbered(*PERSONAL),
}

OPERATION_ROW = (
    "(:ordinal, :step, :verb, :table_name, :row_key, :declared, :handler, :date, :merged, {before}, {after})"
)

_ROWS = {
    "operation": OPERATION_ROW.format(before=":before", after=":after"),
    "effect": "(:ordinal, :id, :step, :kind, :payload, :handler, :date)",
    "delivery": "(:ordinal, :kind, :state, :lane)",
    "subject": "(:subject)",
    "personal": "(:path, :subject, :salt, :value)",
}


def listed(merger: Merger, dialect: Dialect, name: str, count: int, *, scope: str | None = None) -> str:
    """Return a number of rows of one table as VALUES takes them.

    Args:
        scope: What their parameters' scopes are named after, each with its place; the table itself where that is left out.
    """
    if name == "pending":
        return ""
    piece = bound(_ROWS[name], dialect)
    return ", ".join(merger.add(f"{scope or name}{index}", piece) for index in range(count))


def bound(part: str, dialect: Dialect) -> Compiled:
    """Return a piece of text whose named parameters have the types of the trail's columns."""
    clause: TextClause = text(part)
    typed = (bindparam(name, type_=_TYPES.get(name, SqlText())) for name in clause._bindparams)
    return compiled(clause.bindparams(*typed), dialect.sql)


_TYPES: dict[str, TypeEngine[Any]] = {
    "ordinal": Integer(),
    "seq": tables.effect.c.seq.type,
    "id": tables.effect.c.id.type,
}
"""The types of parameters that are no texts."""


def event_facts(draft: Draft) -> Facts:
    """Return the event's facts."""
    meta = draft.meta
    return (
        meta.tenant,
        meta.id,
        draft.event.__kind__,
        meta.version,
        draft.shape,
        draft.cascade,
        meta.actor.id,
        meta.reason.text if meta.reason else None,
        meta.at,
        draft.outcome,
        meta.cause,
        meta.root,
        canonical(sorted(draft.subjects), known=True).decode(),
        draft.body.decode(),
        draft.sha256,
    )


def event_insert(source: Any, now: Any) -> Any:
    """Return the clause that records an event, which gives its number and the database's clock.

    Args:
        source: What the row is selected from; nothing where that is None.
        now: The database's clock.
    """
    e = light(tables.event)
    columns = [tables.event.c[name] for name in EVENT]
    row = select(*(bindparam(c.name, type_=c.type) for c in columns), now)
    row = row if source is None else row.select_from(source)
    return insert(e).from_select([*EVENT, "recorded_at"], row).returning(e.c.seq, e.c.recorded_at)


def claim_facts(draft: Draft) -> Facts:
    """Return the facts of a request key's claim."""
    if draft.claim is None:
        return ()
    scope, key, salt, request = draft.claim
    return (draft.meta.tenant, scope, key, draft.meta.id, salt, request)


def performing_of(draft: Draft, assigned: Assigned) -> Performing:
    """Return the plan's effects, with what was assigned in its places."""
    effects = draft.plan.outline.effects
    if not assigned:
        return effects
    made = []
    for ordinal, planned, effect in effects:
        waiting = given_in(effect.__dict__, assigned)
        made.append((ordinal, planned, effect.model_copy(update=waiting) if waiting else effect))
    return made


def effect_facts(draft: Draft, performing: Performing) -> list[Facts]:
    """Return the facts of the effects, and of their deliveries, which are due at once but for those that are held for approval."""
    made = []
    for ordinal, planned, effect in performing:
        payload = draft.sealer.text(effect, f"/effects/{ordinal}").decode()
        id = derived(draft.meta.id, planned.key)
        state = "held" if draft.held or effect.__held__ else "due"
        lane = effect.__lane__ and fill(effect.__lane__, effect)
        made.append((ordinal, id, planned.key, effect.__kind__, payload, planned.handler, planned.date, state, lane))
    return made


class Telling:
    """Tells, when it is asked, which operations and effects were recorded."""

    __slots__ = ("_issuer", "_performing", "_rows", "_told")

    def __init__(self, draft: Draft, rows: Sequence[Change], performing: Performing) -> None:
        self._issuer = draft.meta.id
        self._rows = rows
        self._performing = performing
        self._told: tuple[tuple[Wrote, ...], tuple[Performed, ...]] | None = None

    def __call__(self) -> tuple[tuple[Wrote, ...], tuple[Performed, ...]]:
        """Return what was recorded."""
        if self._told is None:
            effects = tuple(_performed(self._issuer, *one) for one in self._performing)
            self._told = (tuple(map(_wrote, self._rows)), effects)
        return self._told


def _wrote(row: Change) -> Wrote:
    last = row.last
    return Wrote(
        ordinal=row.ordinal,
        step=last.key,
        verb=row.verb,
        table=row.table,
        row_key=row.row_key or "",
        handler=last.handler,
        date=last.date,
    )


def _performed(issuer: UUID, ordinal: int, planned: Planned, effect: Effect) -> Performed:
    return Performed(
        # By which a receiver recognises a repetition (rule 13).
        id=derived(issuer, planned.key),
        ordinal=ordinal,
        step=planned.key,
        kind=effect.__kind__,
        payload=parsed(canonical(effect)),
        handler=planned.handler,
        date=planned.date,
        state="held" if effect.__held__ else "due",
    )
