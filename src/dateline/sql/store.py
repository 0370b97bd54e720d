"""The core's store: reads what a decision needs, and writes event, operations and effects, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select

from dateline.core.cascade import Cascade
from dateline.core.draft import Draft
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.internal import bounded
from dateline.core.plan import Change
from dateline.core.request import Broken, Ending, Flow, Request, Seen, Written
from dateline.core.version import Versions
from dateline.errors import Conflict, NotCanonical, NotStorable
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect, Question, Reading, askable, asked, question, shared
from dateline.sql.erase import Eraser
from dateline.sql.feed import Feed
from dateline.sql.perform import Assigned, Images, Performer
from dateline.sql.postgres import Postgres, PostgresReading
from dateline.sql.record import Recorder
from dateline.sql.single import Single
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.trail import Filters, Trail
from dateline.sql.turns import EVERYBODY, Turns, places
from dateline.sql.types import Instant

__all__ = ["SqlStore"]

SAVEPOINT = "dateline"

_INSTANT = Instant()


class SqlStore:
    """One database as the path sees it; holds what is compiled, and nothing else.

    Args:
        versions: Whose records say whose a table's personal values are.
    """

    def __init__(self, dialect: Dialect, versions: Versions) -> None:
        self.dialect = dialect
        self.trail = shared(Trail, dialect)
        self.feed = shared(Feed, dialect)
        self.performer = Performer(dialect)
        self.recorder = Recorder(dialect, versions)
        self.eraser = Eraser(dialect)
        self.turns = Turns()
        self.queues = dialect.queues
        self.single = Single(dialect, self.recorder) if isinstance(dialect, Postgres) else None
        self._root = shared(_root, dialect)
        for cascade in versions.cascades():
            askable(cascade)
        self._readings: dict[tuple[int, bool, bool], tuple[Cascade, Reading]] = {}
        self._questions: dict[int, tuple[Cascade, tuple[Question, ...]]] = {}

    def _reading(self, cascade: Cascade, *, keyed: bool, look: bool) -> Reading:
        key = (id(cascade), keyed, look)
        held = self._readings.get(key)
        if held is None:
            # The cascade is kept beside what was compiled for it: an id is unique only while its object lives.
            held = self._readings[key] = (cascade, self.dialect.reading(cascade, keyed=keyed, look=look))
            bounded(self._readings)
        return held[1]

    def asked(self, cascade: Cascade, event: Event) -> tuple[dict[str, Any], ...]:
        """As `Store.asked`."""
        held = self._questions.get(id(cascade))
        if held is None:
            held = self._questions[id(cascade)] = (cascade, tuple(question(one) for one in cascade.fields))
            bounded(self._questions)
        return asked(held[1], event)

    def read(self, cascade: Cascade, event: Event, request: Request, *, look: bool, queue: bool) -> Flow[Seen]:
        """As `Store.read`."""
        keyed = request.key is not None
        reading = self._reading(cascade, keyed=keyed, look=look)
        looked: dict[str, Any] = {}
        if keyed or look:
            looked = {"tenant": request.tenant, "scope": request.scope, "key": request.key, "id": event.meta.id}
        statements = reading.statements(event, looked)
        if queue:
            # A transaction of its own: what is read after it is read as it is then.
            turn = self._turn(request.tenant, event.subjects)
            results = (yield Batch((*turn, *statements), apart=True))[len(turn) :]
            return reading.answer(results)
        if not statements:
            return Seen((), (), None, False, ())
        if len(statements) > 1 and not request.joined:
            results = (yield Batch.between("BEGIN", *statements))[1:-1]
        else:
            results = yield Batch(statements)
        return reading.answer(results)

    def entry(self, tenant: str, id: UUID, versions: Versions, *, joined: bool) -> Flow[Entry | None]:
        """As `Store.entry`."""
        page = yield from self.trail.page(Filters(tenant=tenant, id=id, limit=1), versions, joined=joined)
        return page.entries[0] if page.entries else None

    def root(self, tenant: str, cause: UUID) -> Flow[UUID]:
        """As `Store.root`."""
        results = yield Batch((self._root.statement("root", {"tenant": tenant, "id": cause}),))
        found = results[0].rows
        return UUID(str(found[0][0])) if found else cause

    def fought(self, tenant: str, event: Event) -> bool:
        """As `Store.fought`."""
        return self.turns.wanted(places(tenant, event.subjects)) if self.turns.any else False

    def _turn(self, tenant: str, subjects: tuple[str, ...]) -> tuple[Statement, ...]:
        """Return what waits for the turn of subjects."""
        return tuple(self.dialect.turn(place, wait=True) for place in places(tenant, subjects) or (EVERYBODY,))

    def queue(self, tenant: str, subjects: tuple[str, ...]) -> Flow[None]:
        """As `Store.queue`."""
        wanted = places(tenant, subjects) or (EVERYBODY,)
        results = yield Batch((self.dialect.turn(wanted[0], wait=False),))
        free = results[0].rows[0][0]
        if not free:
            self.turns.waited(wanted)
        if statements := self._turn(tenant, subjects)[1 if free else 0 :]:
            yield Batch(statements)

    def leave(self) -> Flow[None]:
        """As `Store.leave`."""
        if statements := self.dialect.leave():
            yield Batch(statements)

    def write(
        self,
        draft: Draft,
        cascade: Cascade | None,
        proof: Any,
        *,
        ending: Ending,
        joined: bool,
        careful: bool = False,
        leave: bool = False,
        closes: bool = False,
        before: tuple[Statement, ...] = (),
    ) -> Flow[Written]:
        """Write in order inside one transaction: guard and claim, operations, trail.

        With `closes` the transaction is joined and ours, and is committed in the last trip: locks are held no longer than they must be.
        What else it has to change comes `before`, in the first.

        The event's number is drawn after the operations have their rows, so that the order of numbers is the order of writes
        for every row.
        """
        changes = draft.plan.changes()
        erasing = self.eraser.statements(draft)
        if self.single is not None and cascade is not None and ending is Ending.COMMIT and not careful and not erasing:
            at_once = yield from self._at_once(
                self.single, draft, cascade, changes, proof, joined=joined, leave=leave, closes=closes, before=before
            )
            if at_once is not None:
                return at_once
        begin, undo, end = self._brackets(joined, guarded=cascade is not None, closes=closes)
        # A transaction that is ours is gone with the statement that fails; the caller's is to be as it was found.
        inside = joined and not closes
        reading = self._reading(cascade, keyed=False, look=False) if cascade is not None else None
        guards = reading.statements(draft.event, {}) if reading is not None else ()
        claim = self.recorder.claim(draft)
        needed = self.performer.needed(draft.plan, changes)
        first = [begin, *before, *claim, *guards, *self.performer.allocations(needed)]
        # The operations go along in the same trip, unless the database has something to assign, or the guard is to speak first.
        later = bool(needed) or careful or self.dialect.near
        rows = () if later else self.performer.rows(changes, {})
        operations = self.performer.statements(rows)
        results = yield from self._tried(Batch((*first, *operations), opens=not joined), undo, inside)
        at = 1 + len(before)
        stale = bool(claim and not results[at].rows)
        if reading is not None and not stale:
            at += len(claim)
            stale = reading.proof(results[at : at + len(guards)]) != proof
        if stale:
            yield Batch((undo,), ends=not joined)
            raise Conflict("another writer changed what the decision looked at")
        assigned: Assigned = {}
        done = results[len(first) :]
        if later:
            assigned = self.performer.assigned(needed, results[len(first) - len(needed) :])
            rows = self.performer.rows(changes, assigned)
            operations = self.performer.statements(rows)
            done = (yield from self._tried(Batch(tuple(operations)), undo, inside)) if operations else []
        try:
            images = self.performer.images(rows, operations, done)
            event, lists, told = self.recorder.recording(draft, rows, images, assigned)
        except (Broken, NotCanonical):
            # The database took what has no canonical form, such as an infinite float: its rows must not stay without a record.
            yield Batch((undo,), ends=not joined)
            raise
        if ending is Ending.REHEARSE:
            yield from self._tried(Batch((*self.dialect.rehearsed(), undo), ends=not joined), undo, joined)
            return Written(0, draft.meta.at, lambda: ((), ()))
        row, done = yield from self._added(draft, event, lists, erasing, (end,), undo, joined=inside)
        seq, recorded_at = row
        removal = self.eraser.removal(erasing, done)
        return Written(seq, _instant(recorded_at, self.dialect), told, removal=removal)

    def add(self, draft: Draft, rows: Sequence[Change], images: Images) -> Flow[Written]:
        """Record changes that stand in the tables already, inside an open transaction.

        Args:
            images: Each row's text before and after, as the database writes it.
        """
        event, lists, told = self.recorder.recording(draft, rows, images, {})
        undo = Statement("ROLLBACK", name="undo")
        (seq, recorded_at), _ = yield from self._added(draft, event, lists, (), (), undo, joined=False)
        return Written(seq, _instant(recorded_at, self.dialect), told)

    def _added(
        self,
        draft: Draft,
        event: Statement,
        lists: Mapping[str, Sequence[Any]],
        more: tuple[Statement, ...],
        end: tuple[Statement, ...],
        undo: Statement,
        *,
        joined: bool,
    ) -> Flow[tuple[Sequence[Any], list[Result]]]:
        """Record the event, then what hangs on its number; return the number with the database's clock, and what came of `more`."""
        ends = any(one.sql == "COMMIT" for one in end)
        if self.dialect.near:
            [made] = yield from self._tried(Batch((event,)), undo, joined)
            rest = self.recorder.rest(draft, lists, made.rows[0])
            done = yield from self._tried(Batch((*rest, *more, *end), ends=ends), undo, joined)
        else:
            rest = self.recorder.rest(draft, lists)
            made, *done = yield from self._tried(Batch((event, *rest, *more, *end), ends=ends), undo, joined)
        return made.rows[0], done[len(rest) : len(rest) + len(more)]

    def _at_once(
        self,
        single: Single,
        draft: Draft,
        cascade: Cascade,
        changes: tuple[Change, ...],
        proof: Any,
        *,
        joined: bool,
        leave: bool,
        closes: bool,
        before: tuple[Statement, ...],
    ) -> Flow[Written | None]:
        """Write in one statement where that means the same; None where it does not, and nothing was written."""
        if self.performer.needed(draft.plan, changes) or not (yield from single.fits(changes)):
            return None
        reading = self._reading(cascade, keyed=False, look=False)
        assert isinstance(reading, PostgresReading)
        kept = list(draft.sealer.sealed)
        try:
            made = single.statement(draft, cascade, reading, changes, proof)
        except NotCanonical:
            # In order, the database says first what it thinks of the value.
            made = None
        if made is None:
            draft.sealer.sealed[:] = kept
            return None
        statement, told = made
        try:
            if leave and not joined:
                # Whoever waits for the turn has it as soon as this is committed, without a trip in between.
                results = yield Batch((statement, *self.dialect.leave()), apart=True)
            elif not joined:
                results = yield Batch((statement,))
            else:
                begin, undo, end = self._brackets(joined, guarded=True, closes=closes)
                batch = Batch((begin, *before, statement, end), ends=closes)
                results = (yield from self._tried(batch, undo, joined=not closes))[1 + len(before) :]
        except (Broken, NotStorable):
            if closes:
                # The transaction is gone, and with it what was looked at: nothing is left to be tried in order.
                raise
            # Only the statements in order can tell which of the changes it was.
            draft.sealer.sealed[:] = kept
            return None
        _, seq, recorded_at = results[0].rows[0]
        return Written(seq, _instant(recorded_at, self.dialect), told, left=leave and not joined)

    def _brackets(self, joined: bool, *, guarded: bool, closes: bool = False) -> tuple[Statement, Statement, Statement]:
        if joined:
            # A refused write must leave the caller's transaction as it found it; a conflict ends it anyway.
            return (
                Statement(f"SAVEPOINT {SAVEPOINT}", name="begin"),
                Statement(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}", name="undo"),
                Statement("COMMIT" if closes else f"RELEASE SAVEPOINT {SAVEPOINT}", name="end"),
            )
        begin = self.dialect.begin if guarded else self.dialect.begin_unguarded
        return Statement(begin, name="begin"), Statement("ROLLBACK", name="undo"), Statement("COMMIT", name="end")

    def _tried(self, batch: Batch, undo: Statement, joined: bool) -> Flow[list[Result]]:
        try:
            results: list[Result] = yield batch
            return results
        except (Broken, NotStorable):
            if joined:
                yield Batch((undo,))
            raise


def _instant(value: Any, dialect: Dialect) -> datetime:
    found = _INSTANT.process_result_value(value, dialect.sql)
    assert found is not None
    return found


def _root(dialect: Dialect) -> Compiled:
    e = tables.event.c
    root = select(func.coalesce(e.root, e.id)).where(e.tenant == bindparam("tenant"), e.id == bindparam("id"))
    return compiled(root, dialect.sql)
