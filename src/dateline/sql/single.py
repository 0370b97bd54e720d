"""A whole commit as one statement, where PostgreSQL can promise that it means the same as the statements in order.

A statement with CTEs has no order of its own, so what must come first is made an input of what comes after: the changes' count is an
input of the event's number, and all that is recorded hangs on that number. Where the guard, the claim or a count says no, the
statement fails, and takes all of it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dateline.core.cascade import Cascade
from dateline.core.draft import Draft
from dateline.core.internal import bounded
from dateline.core.personal import below
from dateline.core.plan import Change
from dateline.core.request import Flow
from dateline.sql.compiled import Whole
from dateline.sql.dialect import Dialect
from dateline.sql.image import written
from dateline.sql.postgres import PostgresReading
from dateline.sql.record import MOST, Recorder, Telling, claim_facts, effect_facts, event_facts, performing_of
from dateline.sql.statement import Batch, Statement
from dateline.sql.whole import RowShape, Shape, parts_of, whole

__all__ = ["Single"]

# What makes a table unfit: triggers and row policies act between statements, cascades reach rows that the plan may write too, and a
# second unique key is checked row by row, in an order that nobody chose.
_TRAITS = """
SELECT c.relrowsecurity OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
         OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid),
       EXISTS (SELECT FROM pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f' AND f.confdeltype NOT IN ('a', 'r')),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary)
FROM pg_class c WHERE c.oid = to_regclass($1)
"""


@dataclass(frozen=True, slots=True)
class _Traits:
    """What of a table matters here: triggers or policies, cascades onto others, unique keys beside the primary one."""

    odd: bool
    cascades: bool
    unique: bool

    def fit(self, changes: Sequence[Change]) -> bool:
        if self.odd or not _apart(changes):
            return False
        if self.cascades and any(change.verb == "delete" for change in changes):
            return False
        return not self.unique or len(changes) == 1


def _apart(changes: Sequence[Change]) -> bool:
    """Tell whether no two changes are of one row; a key without a hash, such as an array, does not tell."""
    try:
        return len(changes) == 1 or len({change.key_values for change in changes}) == len(changes)
    except TypeError:
        return False


class Single:
    """Makes the one statement of a commit, each shape compiled once."""

    def __init__(self, dialect: Dialect, recorder: Recorder) -> None:
        self.dialect = dialect
        self.recorder = recorder
        self._traits: dict[Any, _Traits] = {}
        self._fitting: dict[Any, None] = {}
        self._columns: dict[Any, tuple[Any, ...]] = {}
        self._wholes: dict[Any, tuple[Cascade, Whole]] = {}

    def fits(self, changes: Sequence[Change]) -> Flow[bool]:
        """Tell whether one statement means the same as the statements in order; asks the database once for each table."""
        shape = tuple([(change.verb, change.mapped) for change in changes])
        if shape in self._fitting:
            return True
        if len(changes) > MOST:
            return False
        held: dict[Any, list[Change]] = {}
        for change in changes:
            held.setdefault(change.mapped.__table__, []).append(change)
        unknown = [table for table in held if table not in self._traits]
        if unknown:
            named = [self.dialect.sql.identifier_preparer.format_table(table) for table in unknown]
            results = yield Batch(tuple(Statement(_TRAITS, (name,), "traits") for name in named))
            for table, result in zip(unknown, results, strict=True):
                self._traits[table] = _Traits(*result.rows[0]) if result.rows else _Traits(True, True, True)
        fit = all(self._traits[table].fit(found) for table, found in held.items())
        if fit and len(held) == len(changes):
            # Where no table has two changes, nothing else of them matters.
            self._fitting[shape] = None
            bounded(self._fitting)
        return fit

    def _personal(self, mapped: Any) -> tuple[Any, ...]:
        """Return a table's personal columns."""
        found = self._columns.get(mapped)
        if found is None:
            personal = self.recorder.sealer.personal(mapped)
            found = tuple(column for column in mapped.__table__.columns if column.name in personal)
            self._columns[mapped] = found
        return found

    def _sealing(self, draft: Draft, row: Change) -> list[Any] | None:
        """Return what seals a row's personal columns inside the statement, as `sealing_of` names it; None where only Python can."""
        columns = self._personal(row.mapped)
        owner = self.recorder.sealer.owner(row, row.key_values or (), draft.sealer)
        if owner is None or not all(written(column.type) for column in columns):
            return None
        made: list[Any] = [owner]
        for part in parts_of(row.verb):
            for column in columns:
                path = below(f"/operations/{row.ordinal}/{part}", column.name)
                made += (path, draft.sealer.salt(path).hex())
        return made

    def statement(
        self, draft: Draft, cascade: Cascade, reading: PostgresReading, rows: Sequence[Change], proof: Sequence[str]
    ) -> tuple[Statement, Telling] | None:
        """Return what writes all of the draft, and what tells what it will have done.

        Its one row holds, second and third, the event's number and the database's clock.

        It fails as `Conflict` when the guard or the claim says no, and as `Broken` with the constraint "row-count" when a change
        does not meet its one row.

        Returns:
            None where a personal column can only be sealed by Python, which has to see the row first, or where there is too much of it.
        """
        performing = performing_of(draft, {})
        facts = [*event_facts(draft), *proof]
        if draft.claim is not None:
            facts += claim_facts(draft)
        shapes = []
        for row, operation in zip(rows, self.recorder.operations(draft, rows), strict=True):
            values = row.values
            names = tuple(sorted(values))
            shapes.append((row.verb, row.mapped, names))
            facts += operation
            facts += row.key_values or ()
            for name in names:
                facts.append(values[name])
            if self._personal(row.mapped):
                sealing = self._sealing(draft, row)
                if sealing is None:
                    return None
                facts += sealing
        for effect in effect_facts(draft, performing):
            facts += effect
        facts += draft.subjects
        for one in draft.sealer.sealed:
            facts += (one.path, one.subject, one.salt, one.value)
        counts = (len(performing), len(draft.subjects), len(draft.sealer.sealed))
        if max(counts) > MOST:
            return None
        key = (id(cascade), draft.claim is not None, tuple(shapes), counts)
        held = self._wholes.get(key)
        if held is None:
            shape = Shape(
                reading.guard,
                len(proof),
                self.recorder.claiming if draft.claim is not None else None,
                tuple(
                    RowShape(row, names, self._personal(row.mapped))
                    for row, (_, _, names) in zip(rows, shapes, strict=True)
                ),
                *counts,
            )
            held = self._wholes[key] = (cascade, whole(shape, self.dialect))
            bounded(self._wholes)
        return Statement(held[1].sql, held[1].bind(facts, draft.event), "commit"), Telling(draft, rows, performing)
