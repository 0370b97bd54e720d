"""Recording what was decided and done: the event, then what hangs on its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Table as SqlTable
from sqlalchemy import bindparam, insert
from sqlalchemy import column as sql_column

from dateline.core.canon import canonical, parsed
from dateline.core.draft import Draft
from dateline.core.meta import derived
from dateline.core.operation import Placeholder
from dateline.core.outcome import Performed, Wrote
from dateline.core.personal import Sealed
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
    return derived(event, key)


class Recorder:
    """Makes the statements that write the trail, compiled once."""

    def __init__(self, dialect: Dialect, versions: Versions) -> None:
        self._inserts = inserts(dialect)
        self.sealer = RowSealer(versions)

    def claim(self, draft: Draft) -> tuple[Statement, ...]:
        """Return what takes the request key; it gives no row where another has it."""
        return () if draft.claim is None else (self._inserts["claim"].statement("claim", claim_facts(draft)),)

    @property
    def claiming(self) -> Compiled:
        """What takes a request key; it gives no row where another has it."""
        return self._inserts["claim"]

    def statements(
        self, draft: Draft, rows: Sequence[Row], images: Images, assigned: Assigned
    ) -> tuple[tuple[Wrote, ...], tuple[Performed, ...], list[Statement]]:
        """Return what was done, and the statements that record it: the event first, since the others take its number."""
        owner = {"tenant": draft.meta.tenant}
        performed = self.performed(draft, assigned)
        made: list[tuple[str, Mapping[str, Any]]] = [("event", self.event(draft))]
        made += [("operation", facts) for facts in self.operations(draft, rows, images)]
        for one, payload in performed:
            facts = effect_facts(one, payload)
            made += [("effect", facts), ("delivery", facts)]
        made += [("subject", {"subject": subject}) for subject in draft.subjects]
        # Last of all: sealing operations and effects has added to what is kept beside the body.
        made += [("personal", personal_facts(sealed)) for sealed in draft.sealer.sealed]
        made += [("pending", {})] if "pending" in self._inserts else []
        statements = [
            self._inserts[name].statement(name, {**owner, **facts}, step=facts.get("step")) for name, facts in made
        ]
        return wrote(rows), tuple(one for one, _ in performed), statements

    def operations(self, draft: Draft, rows: Sequence[Row], images: Images) -> list[dict[str, Any]]:
        """Return the operations' columns."""
        made = []
        for row, (before, after) in zip(rows, images, strict=True):
            change, last = row.change, row.change.last
            merged = [[p.key, p.handler, p.date] for p in change.steps] if len(change.steps) > 1 else None
            sealed = self.sealer.sealed(draft.sealer, change, row.values, before, after)
            made.append(
                {
                    "ordinal": change.ordinal,
                    "step": last.key,
                    "verb": change.verb,
                    "table_name": change.table,
                    "row_key": row.row_key,
                    **sealed,
                    "handler": last.handler,
                    "date": last.date,
                    "merged": merged and canonical(merged).decode(),
                }
            )
        return made

    @staticmethod
    def performed(draft: Draft, assigned: Assigned) -> list[tuple[Performed, str]]:
        """Return the effects as they are told, each with the payload that is recorded."""
        made = []
        for ordinal, planned, effect in draft.plan.effects():
            waiting = {n: assigned[v.row, v.column] for n, v in effect.__dict__.items() if type(v) is Placeholder}
            found = effect.model_copy(update=waiting) if waiting else effect
            kept = len(draft.sealer.sealed)
            recorded = draft.sealer.text(found, f"/effects/{ordinal}").decode()
            one = Performed(
                id=effect_id(draft.meta.id, planned.key),
                ordinal=ordinal,
                step=planned.key,
                kind=effect.__kind__,
                payload=parsed(recorded if len(draft.sealer.sealed) == kept else canonical(found)),
                handler=planned.handler,
                date=planned.date,
            )
            made.append((one, recorded))
        return made

    @staticmethod
    def event(draft: Draft) -> dict[str, Any]:
        """Return the event's columns."""
        meta = draft.meta
        return {
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


def wrote(rows: Sequence[Row]) -> tuple[Wrote, ...]:
    """Return the operations as they are told."""
    return tuple(
        Wrote(
            ordinal=row.change.ordinal,
            step=row.change.last.key,
            verb=row.change.verb,
            table=row.change.table,
            row_key=row.row_key,
            handler=row.change.last.handler,
            date=row.change.last.date,
        )
        for row in rows
    )


def claim_facts(draft: Draft) -> dict[str, Any]:
    """Return the columns of a request key's claim."""
    if draft.claim is None:
        return {}
    scope, key, salt, request = draft.claim
    owner = {"tenant": draft.meta.tenant, "event": draft.meta.id}
    return {**owner, "scope": scope, "key": key, "salt": salt, "request": request}


def effect_facts(one: Performed, payload: str) -> dict[str, Any]:
    """Return the columns of an effect, and of its delivery, which is due at once."""
    facts = {"effect": one.id, "ordinal": one.ordinal, "step": one.step, "kind": one.kind, "payload": payload}
    return {**facts, "handler": one.handler, "date": one.date, "state": one.state}


def personal_facts(one: Sealed) -> dict[str, Any]:
    """Return the columns of a personal value."""
    return {"path": one.path, "subject": one.subject, "salt": one.salt, "value": one.value}


def inserts(dialect: Dialect) -> dict[str, Compiled]:
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
