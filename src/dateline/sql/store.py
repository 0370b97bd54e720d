"""The core's store: reads what a decision needs, and writes event, operations and effects, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table as SqlTable
from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from dateline.core.canon import canonical, plain
from dateline.core.cascade import Cascade
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.flow import Broken, Draft, Ending, Flow, Request, Seen, Written
from dateline.core.operation import Insert, Placeholder
from dateline.core.outcome import Performed, Wrote
from dateline.core.plan import Change, placeholders
from dateline.core.table import row_key, table_of
from dateline.core.version import Versions
from dateline.errors import Conflict
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect, Question, Reading, question
from dateline.sql.image import Images
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.trail import Trail
from dateline.sql.types import Instant

__all__ = ["SqlStore"]

SAVEPOINT = "dateline"


class SqlStore:
    """One database as the path sees it; holds what is compiled, and nothing else.

    Args:
        versions: Whose records say whose a table's personal values are.
    """

    def __init__(self, dialect: Dialect, versions: Versions) -> None:
        self.dialect = dialect
        self.trail = Trail(dialect)
        self.images = Images(versions)
        self._readings: dict[tuple[int, bool, bool], tuple[Cascade, Reading]] = {}
        self._questions: dict[int, tuple[Cascade, tuple[Question, ...]]] = {}
        self._operations: dict[Any, Compiled] = {}
        self._inserts: dict[str, Compiled] = _inserts(dialect)

    def _reading(self, cascade: Cascade, *, keyed: bool, look: bool) -> Reading:
        key = (id(cascade), keyed, look)
        held = self._readings.get(key)
        if held is None:
            # The cascade is kept beside what was compiled for it: an id is unique only while its object lives.
            held = self._readings[key] = (cascade, self.dialect.reading(cascade, keyed=keyed, look=look))
            _bounded(self._readings)
        return held[1]

    def asked(self, cascade: Cascade, event: Event) -> tuple[dict[str, Any], ...]:
        held = self._questions.get(id(cascade))
        if held is None:
            held = self._questions[id(cascade)] = (cascade, tuple(question(one) for one in cascade.fields))
            _bounded(self._questions)
        return tuple(found.asked(event) for found in held[1])

    def read(self, cascade: Cascade, event: Event, request: Request, *, look: bool) -> Flow[Seen]:
        reading = self._reading(cascade, keyed=request.key is not None, look=look)
        looked = {"tenant": request.tenant, "scope": request.scope, "key": request.key, "id": event.meta.id}
        statements = reading.statements(event, looked)
        if not statements:
            return Seen((), ())
        if len(statements) > 1 and not request.joined:
            results = (yield Batch((Statement("BEGIN"), *statements, Statement("COMMIT")), opens=True, ends=True))[1:-1]
        else:
            results = yield Batch(statements)
        return Seen(*reading.answer(results))

    def entry(self, tenant: str, id: UUID, versions: Versions) -> Flow[Entry | None]:
        return self.trail.one(tenant, id, versions)

    def queue(self) -> Flow[None]:
        if statements := self.dialect.queue():
            yield Batch(statements)

    def leave(self) -> Flow[None]:
        if statements := self.dialect.leave():
            yield Batch(statements)

    def write(self, draft: Draft, cascade: Cascade | None, proof: Any, *, ending: Ending, joined: bool) -> Flow[Written]:
        """Write in order inside one transaction: guard and claim, operations, trail; the event's number is drawn after the
        operations have their rows, so that the order of numbers is the order of writes for every row.
        """
        begin, undo, end = self._brackets(joined, guarded=cascade is not None)
        changes = draft.plan.changes()
        reading = self._reading(cascade, keyed=False, look=False) if cascade is not None else None
        guards = reading.statements(draft.event, {}) if reading is not None else ()
        claim = self._claim(draft)
        needed = self._needed(draft, changes)
        allocations = [self._allocation(change, column) for change, column, _ in needed]
        # What the database must assign is asked for first; without such, the operations go along in the same trip.
        first = [begin, *claim, *guards, *allocations]
        operations = [] if needed else self._performing(changes, {})
        results = yield from self._tried(Batch((*first, *operations), opens=not joined), undo, joined)
        stale = bool(claim and not results[1].rows)
        if reading is not None and not stale:
            at = 1 + len(claim)
            stale = reading.answer(results[at : at + len(guards)])[1] != proof
        if stale:
            yield Batch((undo,), ends=not joined)
            raise Conflict("another writer changed what the decision looked at")
        assigned: dict[tuple[object, str], Any] = {}
        done = results[len(first) :]
        if needed:
            assigned = self._assigned(needed, results[len(first) - len(needed) :])
            operations = self._performing(changes, assigned)
            done = yield from self._tried(Batch(tuple(operations)), undo, joined)
        images = yield from self._images(changes, operations, done, assigned, undo, joined)
        if ending is Ending.REHEARSE:
            yield Batch((*self.dialect.rehearsed(), undo), ends=not joined)
            return Written(0, draft.meta.at, (), ())
        written, effects, statements = self._recording(draft, changes, images, assigned)
        results = yield from self._tried(Batch((*statements, end), ends=not joined), undo, joined)
        seq, recorded_at = results[0].rows[0]
        return Written(seq, _instant(recorded_at, self.dialect), written, effects)

    def _brackets(self, joined: bool, *, guarded: bool) -> tuple[Statement, Statement, Statement]:
        if joined:
            # A refused write must leave the caller's transaction as it found it; a conflict ends it anyway.
            return (
                Statement(f"SAVEPOINT {SAVEPOINT}", name="begin"),
                Statement(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", name="undo"),
                Statement(f"RELEASE SAVEPOINT {SAVEPOINT}", name="end"),
            )
        begin = self.dialect.begin if guarded else self.dialect.begin_unguarded
        return Statement(begin, name="begin"), Statement("ROLLBACK", name="undo"), Statement("COMMIT", name="end")

    def _tried(self, batch: Batch, undo: Statement, joined: bool) -> Flow[list[Result]]:
        try:
            return (yield batch)
        except Broken:
            if joined:
                yield Batch((undo,))
            raise

    def _claim(self, draft: Draft) -> tuple[Statement, ...]:
        if draft.claim is None:
            return ()
        scope, key, salt, request = draft.claim
        values = {"tenant": draft.meta.tenant, "scope": scope, "key": key, "event": draft.meta.id, "salt": salt, "request": request}
        return (self._inserts["claim"].statement("claim", values),)

    def _needed(self, draft: Draft, changes: tuple[Change, ...]) -> list[tuple[Change, str, object]]:
        """Return what the database has to assign before anything is written: keys that are missing, and what others wait for."""
        waited = {(found.row, found.column) for found in placeholders(draft.plan, changes)}
        needed = []
        for change in changes:
            row = _row_of(change)
            if change.verb != "insert" or row is None:
                continue
            missing = [name for name in table_of(change.mapped).key if change.values.get(name) is None]
            for name in dict.fromkeys((*missing, *sorted(column for found, column in waited if found is row))):
                if change.values.get(name) is None:
                    needed.append((change, name, row))
        return needed

    def _allocation(self, change: Change, name: str) -> Statement:
        table, column = change.mapped.__table__, change.mapped.__mapper__.columns[name]
        key = ("allocate", table, column)
        if key not in self._operations:
            self._operations[key] = self.dialect.allocate(table, column)
        return self._operations[key].statement("allocate", {}, step=change.last.key)

    def _assigned(self, needed: list[tuple[Change, str, object]], results: list[Result]) -> dict[tuple[object, str], Any]:
        assigned: dict[tuple[object, str], Any] = {}
        seen: dict[Any, int] = {}
        for (change, name, row), result in zip(needed, results, strict=True):
            column = change.mapped.__mapper__.columns[name]
            index = seen[column] = seen.get(column, -1) + 1
            assigned[row, name] = self.dialect.assigned(column, result.rows[0][0], index)
        return assigned

    def _performing(self, changes: tuple[Change, ...], assigned: Mapping[tuple[object, str], Any]) -> list[Statement]:
        """Return, for each change, what reads its row's image before, and what changes it; then what reads the images after."""
        made, after = [], []
        for change in changes:
            table = change.mapped.__table__
            key = self._key(change, assigned)
            if change.verb != "insert":
                made.append(self.dialect.image(table).statement("before", key, step=change.last.key))
            values = {f"v_{name}": value for name, value in _resolved(change, assigned).items()}
            made.append(self._operation(change).statement(change.verb, {**key, **values}, step=change.last.key))
            if change.verb != "delete":
                after.append(self.dialect.image(table).statement("after", key, step=change.last.key))
        return made + after

    def _key(self, change: Change, assigned: Mapping[tuple[object, str], Any]) -> dict[str, Any]:
        return {f"k{index}": value for index, value in enumerate(_key_values(change, assigned))}

    def _operation(self, change: Change) -> Compiled:
        names = tuple(sorted(_names(change)))
        key = (change.verb, change.mapped, names)
        found = self._operations.get(key)
        if found is None:
            found = self._operations[key] = compiled(_clause(change.verb, change.mapped, names), self.dialect.sql)
            _bounded(self._operations)
        return found

    def _images(
        self,
        changes: tuple[Change, ...],
        operations: list[Statement],
        results: list[Result],
        assigned: Mapping[tuple[object, str], Any],
        undo: Statement,
        joined: bool,
    ) -> Flow[list[tuple[str | None, str | None]]]:
        """Return each row's image before and after, once it is sure that each change met its one row."""
        before: dict[str, str | None] = {}
        after: dict[str, str | None] = {}
        by_step = {change.last.key: change for change in changes}
        for statement, result in zip(operations, results, strict=True):
            assert statement.step is not None
            change = by_step[statement.step]
            if statement.name in ("before", "after"):
                held = before if statement.name == "before" else after
                held[statement.step] = self.dialect.image_text(change.mapped.__table__, result)
            elif result.count != 1:
                yield Batch((undo,), ends=not joined)
                raise Broken(
                    "row-count",
                    statement.step,
                    f"{statement.step}: the {change.verb} of {change.table}[{row_key(_key_values(change, assigned))}] met {result.count} rows, "
                    "not one: there is no such row, or a trigger swallowed it",
                )
        return [(before.get(change.last.key), after.get(change.last.key)) for change in changes]

    def _recording(
        self,
        draft: Draft,
        changes: tuple[Change, ...],
        images: list[tuple[str | None, str | None]],
        assigned: Mapping[tuple[object, str], Any],
    ) -> tuple[tuple[Wrote, ...], tuple[Performed, ...], list[Statement]]:
        """Return what was done, and the statements that record it: the event first, since the others take its number."""
        meta, tenant = draft.meta, draft.meta.tenant
        owner = {"tenant": tenant, "id": meta.id}
        inserts = self._inserts
        wrote, performed, rows = [], [], []
        for change, (before, after) in zip(changes, images, strict=True):
            last = change.last
            key = row_key(_key_values(change, assigned))
            sealed = self.images.sealed(draft.sealer, change, _resolved(change, assigned), before, after)
            wrote.append(
                Wrote(
                    ordinal=change.ordinal,
                    step=last.key,
                    verb=change.verb,
                    table=change.table,
                    row_key=key,
                    handler=last.handler,
                    date=last.date,
                )
            )
            merged = [[p.key, p.handler, p.date] for p in change.steps]
            rows.append(
                inserts["operation"].statement(
                    "operation",
                    {
                        **owner,
                        "ordinal": change.ordinal,
                        "step": last.key,
                        "verb": change.verb,
                        "table_name": change.table,
                        "row_key": key,
                        **sealed,
                        "handler": last.handler,
                        "date": last.date,
                        "merged": canonical(merged).decode() if len(merged) > 1 else None,
                    },
                    step=last.key,
                )
            )
        for ordinal, planned, effect in draft.plan.effects():
            waiting = {n: assigned[v.row, v.column] for n, v in effect.__dict__.items() if isinstance(v, Placeholder)}
            found = effect.model_copy(update=waiting) if waiting else effect
            payload = canonical(draft.sealer.plain(found, f"/effects/{ordinal}"))
            made = Performed(
                id=effect_id(meta.id, planned.key),
                ordinal=ordinal,
                step=planned.key,
                kind=effect.__kind__,
                payload=plain(found),
                handler=planned.handler,
                date=planned.date,
            )
            performed.append(made)
            values = {"effect": made.id, "ordinal": ordinal, "step": made.step, "kind": made.kind, "payload": payload.decode()}
            rows.append(
                inserts["effect"].statement("effect", {**owner, **values, "handler": made.handler, "date": made.date}, step=made.step)
            )
            rows.append(inserts["delivery"].statement("delivery", {**owner, **values, "state": "due"}, step=made.step))
        rows += [inserts["subject"].statement("subject", {**owner, "subject": subject}) for subject in draft.subjects]
        rows += [
            inserts["personal"].statement(
                "personal", {**owner, "path": one.path, "subject": one.subject, "salt": one.salt, "value": one.value}
            )
            for one in draft.sealer.sealed
        ]
        if "pending" in inserts:
            rows.append(inserts["pending"].statement("pending", owner))
        return tuple(wrote), tuple(performed), [self._event(draft), *rows]

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


def effect_id(event: UUID, key: str) -> UUID:
    """Return an effect's id, by which a receiver recognises a repetition (rule 13)."""
    from uuid import uuid5

    return uuid5(event, key)


def _instant(value: Any, dialect: Dialect) -> datetime:
    found = Instant().process_result_value(value, dialect.sql)
    assert found is not None
    return found


def _bounded(cache: dict[Any, Any], most: int = 2000) -> None:
    while len(cache) > most:
        del cache[next(iter(cache))]


def _row_of(change: Change) -> object:
    step = change.steps[0].step
    return step.row if isinstance(step, Insert) else None


def _resolved(change: Change, assigned: Mapping[tuple[object, str], Any]) -> dict[str, Any]:
    """Return the change's values by attribute, with what the database assigned in its places."""
    values = {name: assigned[v.row, v.column] if isinstance(v, Placeholder) else v for name, v in change.values.items()}
    row = _row_of(change)
    if row is not None:
        values.update({name: value for (found, name), value in assigned.items() if found is row})
    return values


def _names(change: Change) -> set[str]:
    row = set(change.values)
    if change.verb == "insert":
        row |= set(table_of(change.mapped).key)
    return row


def _key_values(change: Change, assigned: Mapping[tuple[object, str], Any]) -> tuple[Any, ...]:
    if change.key_values is not None:
        return change.key_values
    values = _resolved(change, assigned)
    return tuple(values[name] for name in table_of(change.mapped).key)


def _light(table: SqlTable) -> Any:
    """Return a table without defaults: SQLAlchemy would fill in Python's own, which the decision did not make."""
    return sql_table(table.name, *(sql_column(c.name, c.type) for c in table.columns), schema=table.schema)


def _clause(verb: str, mapped: Any, names: tuple[str, ...]) -> Any:
    table, columns = mapped.__table__, mapped.__mapper__.columns
    light = _light(table)
    values = {light.c[columns[name].name]: bindparam(f"v_{name}", type_=columns[name].type) for name in names}
    here = [light.c[c.name] == bindparam(f"k{index}", type_=c.type) for index, c in enumerate(table.primary_key.columns)]
    if verb == "insert":
        return insert(light).values(values)
    return update(light).where(*here).values(values) if verb == "update" else delete(light).where(*here)


def _inserts(dialect: Dialect) -> dict[str, Compiled]:
    """Return the statements that record: each takes the event's number by the event's id, so that they go in one trip."""
    number = dialect.number()

    def made(table: SqlTable, renamed: Mapping[str, str] | None = None, **fixed: Any) -> Any:
        light = _light(table)
        values = {
            light.c[c.name]: fixed.get(c.name, bindparam((renamed or {}).get(c.name, c.name), type_=c.type)) for c in table.columns
        }
        return insert(light).values({column: value for column, value in values.items() if value is not None})

    event = made(tables.event, seq=None, recorded_at=dialect.now())
    event = event.returning(sql_column("seq"), sql_column("recorded_at"))
    c = _light(tables.claim)
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


