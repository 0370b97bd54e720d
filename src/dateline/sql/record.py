"""Recording what was decided and done: the event, then what hangs on its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Table as SqlTable
from sqlalchemy import bindparam, insert
from sqlalchemy import column as sql_column

from dateline.core.canon import canonical, plain
from dateline.core.operation import Placeholder
from dateline.core.outcome import Performed, Wrote
from dateline.core.request import Draft
from dateline.core.version import Versions
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled, light
from dateline.sql.dialect import Dialect
from dateline.sql.perform import Assigned, Images, Row
from dateline.sql.seal import RowSealer
from dateline.sql.statement import Statement

__all__ = ["Recorder", "effect_id"]


def effect_id(event: UUID, key: str) -> UUID:
    """Return an effect's id, by which a receiver recognises a repetition (rule 13)."""
    return uuid5(event, key)


class Recorder:
    """Makes the statements that write the trail, compiled once."""

    def __init__(self, dialect: Dialect, versions: Versions) -> None:
        self._inserts = _inserts(dialect)
        self._rows = RowSealer(versions)

    def claim(self, draft: Draft) -> tuple[Statement, ...]:
        """Return what takes the request key; it gives no row where another has it."""
        if draft.claim is None:
            return ()
        scope, key, salt, request = draft.claim
        values = {"tenant": draft.meta.tenant, "scope": scope, "key": key, "event": draft.meta.id, "salt": salt}
        return (self._inserts["claim"].statement("claim", {**values, "request": request}),)

    def statements(
        self, draft: Draft, rows: Sequence[Row], images: Images, assigned: Assigned
    ) -> tuple[tuple[Wrote, ...], tuple[Performed, ...], list[Statement]]:
        """Return what was done, and the statements that record it: the event first, since the others take its number."""
        owner = {"tenant": draft.meta.tenant}
        wrote, made = self._operations(draft, rows, images, owner)
        performed, effects = self._effects(draft, assigned, owner)
        made += effects
        made += [self._inserts["subject"].statement("subject", {**owner, "subject": one}) for one in draft.subjects]
        # Last of all: sealing operations and effects has added to what is kept beside the body.
        for one in draft.sealer.sealed:
            values = {"path": one.path, "subject": one.subject, "salt": one.salt, "value": one.value}
            made.append(self._inserts["personal"].statement("personal", {**owner, **values}))
        if "pending" in self._inserts:
            made.append(self._inserts["pending"].statement("pending", owner))
        return wrote, performed, [self._event(draft), *made]

    def _operations(
        self, draft: Draft, rows: Sequence[Row], images: Images, owner: Mapping[str, Any]
    ) -> tuple[tuple[Wrote, ...], list[Statement]]:
        wrote, made = [], []
        for row, (before, after) in zip(rows, images, strict=True):
            change, last = row.change, row.change.last
            facts: dict[str, Any] = {
                "ordinal": change.ordinal,
                "step": last.key,
                "verb": change.verb,
                "row_key": row.row_key,
                "handler": last.handler,
                "date": last.date,
            }
            wrote.append(Wrote(table=change.table, **facts))
            merged = [[p.key, p.handler, p.date] for p in change.steps] if len(change.steps) > 1 else None
            values = {
                **owner,
                **facts,
                **self._rows.sealed(draft.sealer, change, row.values, before, after),
                "table_name": change.table,
                "merged": merged and canonical(merged).decode(),
            }
            made.append(self._inserts["operation"].statement("operation", values, step=last.key))
        return tuple(wrote), made

    def _effects(
        self, draft: Draft, assigned: Assigned, owner: Mapping[str, Any]
    ) -> tuple[tuple[Performed, ...], list[Statement]]:
        performed, made = [], []
        for ordinal, planned, effect in draft.plan.effects():
            waiting = {n: assigned[v.row, v.column] for n, v in effect.__dict__.items() if isinstance(v, Placeholder)}
            found = effect.model_copy(update=waiting) if waiting else effect
            facts: dict[str, Any] = {
                "ordinal": ordinal,
                "step": planned.key,
                "kind": effect.__kind__,
                "handler": planned.handler,
                "date": planned.date,
            }
            one = Performed(id=effect_id(draft.meta.id, planned.key), payload=plain(found), **facts)
            performed.append(one)
            payload = canonical(draft.sealer.plain(found, f"/effects/{ordinal}")).decode()
            values = {**owner, **facts, "effect": one.id, "payload": payload}
            made.append(self._inserts["effect"].statement("effect", values, step=one.step))
            made.append(self._inserts["delivery"].statement("delivery", {**values, "state": "due"}, step=one.step))
        return tuple(performed), made

    def _event(self, draft: Draft) -> Statement:
        meta = draft.meta
        values = {
            "tenant": meta.tenant,
            "id": meta.id,
            "kind": draft.event.__kind__,
            "version": meta.version,
            "shape": draft.shape,
            "cascade": draft.cascade,
            "actor": meta.actor.id,
            "reason": meta.reason.text if meta.reason else None,
            "occurred_at": meta.at,
            "outcome": draft.outcome,
            "cause": meta.cause,
            "root": meta.root,
            "body": draft.body.decode(),
            "sha256": draft.sha256,
        }
        return self._inserts["event"].statement("event", values)


def _inserts(dialect: Dialect) -> dict[str, Compiled]:
    """Return the statements that record: each takes the event's number by the event's id, so that they go in one trip."""
    number = dialect.number()

    def made(table: SqlTable, renamed: Mapping[str, str] | None = None, **fixed: Any) -> Any:
        bare = light(table)
        values = {
            bare.c[c.name]: fixed.get(c.name, bindparam((renamed or {}).get(c.name, c.name), type_=c.type))
            for c in table.columns
        }
        return insert(bare).values({column: value for column, value in values.items() if value is not None})

    event = made(tables.event, seq=None, recorded_at=dialect.now())
    event = event.returning(sql_column("seq"), sql_column("recorded_at"))
    c = light(tables.claim)
    named = {c.c[column.name]: bindparam(column.name, type_=column.type) for column in tables.claim.columns}
    # Where the key is taken, nothing happens and no row comes back.
    claims = dialect.insert(c).values(named).on_conflict_do_nothing().returning(c.c.event)
    clauses = {
        "event": event,
        "claim": claims,
        "operation": made(tables.operation, seq=number),
        "effect": made(tables.effect, {"id": "effect"}, seq=number),
        "delivery": made(tables.delivery, seq=number, due_at=dialect.now(), tries=None, lease=None),
        "subject": made(tables.subject, seq=number),
        "personal": made(tables.personal, seq=number),
    }
    if dialect.sequenced:
        clauses["pending"] = made(tables.pending, seq=number)
    return {name: compiled(clause, dialect.sql) for name, clause in clauses.items()}
