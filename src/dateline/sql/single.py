"""A whole commit as one statement, where PostgreSQL can promise that it means the same as the statements in order.

A statement with CTEs has no order of its own, so what must come first is made an input of what comes after: the changes' count is an
input of the event's number, and all that is recorded hangs on that number. Where the guard, the claim or a count says no, the
statement fails, and takes all of it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dateline.core.cascade import Cascade
from dateline.core.draft import Draft
from dateline.core.outcome import Performed, Wrote
from dateline.core.personal import below
from dateline.core.plan import Change
from dateline.core.request import Flow
from dateline.sql.compiled import Whole, bounded
from dateline.sql.dialect import Dialect
from dateline.sql.image import written
from dateline.sql.perform import Row
from dateline.sql.postgres import PostgresReading
from dateline.sql.record import Recorder, claim_facts, effect_facts, personal_facts, wrote
from dateline.sql.statement import Batch, Statement
from dateline.sql.whole import RowShape, Shape, parts_of, whole

__all__ = ["Single"]

MOST = 20
"""Changes, effects, subjects or personal values that one statement takes; more go as statements in order, whose texts are shared by all."""

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
        if self.odd or len({change.key_values for change in changes}) < len(changes):
            return False
        if self.cascades and any(change.verb == "delete" for change in changes):
            return False
        return not self.unique or len(changes) == 1


class Single:
    """Makes the one statement of a commit, each shape compiled once."""

    def __init__(self, dialect: Dialect, recorder: Recorder) -> None:
        self.dialect = dialect
        self.recorder = recorder
        self._traits: dict[Any, _Traits] = {}
        self._wholes: dict[Any, tuple[Cascade, Whole]] = {}

    def fits(self, changes: Sequence[Change]) -> Flow[bool]:
        """Tell whether one statement means the same as the statements in order; asks the database once for each table."""
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
        return all(self._traits[table].fit(found) for table, found in held.items())

    def _personal(self, mapped: Any) -> tuple[Any, ...]:
        """Return a table's personal columns."""
        personal = self.recorder.sealer.personal(mapped)
        return tuple(column for column in mapped.__table__.columns if column.name in personal)

    def _sealing(self, draft: Draft, row: Row) -> dict[str, Any] | None:
        """Return what seals a row's personal columns inside the statement; None where only Python can."""
        columns = self._personal(row.change.mapped)
        if not columns:
            return {}
        owner = self.recorder.sealer.owner(row.change, row.key, draft.sealer)
        if owner is None or not all(written(column.type) for column in columns):
            return None
        made: dict[str, Any] = {"subject": owner}
        for part in parts_of(row.change.verb):
            for place, column in enumerate(columns):
                path = below(f"/operations/{row.change.ordinal}/{part}", column.name)
                made |= {f"path_{part}_{place}": path, f"salt_{part}_{place}": draft.sealer.salt(path).hex()}
        return made

    def statement(
        self, draft: Draft, cascade: Cascade, reading: PostgresReading, rows: Sequence[Row], proof: Sequence[str]
    ) -> tuple[Statement, tuple[Wrote, ...], tuple[Performed, ...]] | None:
        """Return what writes all of the draft, and what it will have done; its one row holds, second and third, number and clock.

        It fails as `Conflict` when the guard or the claim says no, and as `Broken` with the constraint "row-count" when a change
        does not meet its one row.

        Returns:
            None where a personal column can only be sealed by Python, which has to see the row first, or where there is too much of it.
        """
        sealings = [self._sealing(draft, row) for row in rows]
        if None in sealings:
            return None
        performed = self.recorder.performed(draft, {})
        lists = {
            "operation": self.recorder.operations(draft, rows, [(None, None)] * len(rows)),
            "effect": [effect_facts(one, payload) for one, payload in performed],
            "subject": [{"subject": subject} for subject in draft.subjects],
            "personal": [personal_facts(one) for one in draft.sealer.sealed],
        }
        if max(map(len, lists.values())) > MOST:
            return None
        scopes: dict[str, Mapping[str, Any]] = {
            "event": self.recorder.event(draft),
            "guard": {f"proof{index}": seen for index, seen in enumerate(proof)},
            "claim": claim_facts(draft),
        }
        for name, items in lists.items():
            for index, facts in enumerate(items):
                scopes[f"{name}{index}"] = facts
        for index, (row, sealing) in enumerate(zip(rows, sealings, strict=True)):
            scopes[f"row{index}"] = {
                **{f"k{place}": value for place, value in enumerate(row.key)},
                **{f"v_{column}": value for column, value in row.values.items()},
                **(sealing or {}),
            }
        shapes = tuple((row.change.verb, row.change.mapped, tuple(sorted(row.values))) for row in rows)
        counts = {name: len(lists[name]) for name in ("effect", "subject", "personal")}
        key = (id(cascade), draft.claim is not None, shapes, *counts.values())
        held = self._wholes.get(key)
        if held is None:
            shape = Shape(
                reading.guard,
                self.recorder.claiming if draft.claim is not None else None,
                tuple(
                    RowShape(row.change, tuple(sorted(row.values)), self._personal(row.change.mapped)) for row in rows
                ),
                **{f"{name}s": count for name, count in counts.items()},
            )
            held = self._wholes[key] = (cascade, whole(shape, self.dialect))
            bounded(self._wholes)
        statement = Statement(held[1].sql, held[1].bind(scopes, draft.event), "commit")
        return statement, wrote(rows), tuple(one for one, _ in performed)
