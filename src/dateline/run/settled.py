"""What the database assigned to rows that stand: a decision made anew about the same event means those, and no new ones (rule 31)."""

from __future__ import annotations

from typing import Any

from dateline.core.assigned import filled
from dateline.core.decision import Decision
from dateline.core.effective import Effective, Row
from dateline.core.operation import Insert, Placeholder
from dateline.core.personal import ERASED
from dateline.core.plan import Change, Plan, placeholders
from dateline.run.path import Path
from dateline.sql.restore import Target, values_of

__all__ = ["replanned", "settled"]


def settled(path: Path, stands: Effective, made: Decision) -> Decision:
    """Return a decision with what is on record of the rows that stand, where it waits for what the database assigned to them."""
    plan = made.plan
    while plan is not None and plan.outline.waits:
        inserts = {_row(change): change for change in plan.changes() if change.verb == "insert"}
        given = {}
        for one in placeholders(plan):
            known = _recorded(path, stands, inserts.get(one.row), one)
            if known:
                given[one.row, one.column] = known[one.column]
        if not given:
            break
        # Once more: the key of another row may have waited for it, and a third for that row.
        plan = filled(plan, given)
    return made if plan is None or plan is made.plan else replanned(path, made, plan)


def replanned(path: Path, made: Decision, plan: Plan) -> Decision:
    """Return a decision of another plan, of which no more is known otherwise than what the database assigned."""
    return Decision.made(plan, made.version, reconstructed=made.reconstructed, personal=path.versions.personal)


def _row(change: Change) -> object:
    step = change.steps[0].step
    return step.row if isinstance(step, Insert) else None


def _recorded(path: Path, stands: Effective, change: Change | None, one: Placeholder[Any]) -> dict[str, Any]:
    """Return what is on record of a column, by its name; nothing where the row does not stand, or it was erased."""
    if change is None:
        return {}
    key = change.row_key
    if key is None:
        # A row that the database gave its key is known by its step.
        steps = (step for step in stands.decision.steps if step.sort == "insert" and step.of == change.table)
        key = next((str(step.row) for step in steps if step.key == change.last.key), None)
    write = stands.writes.get(Row(change.table, key)) if key is not None else None
    mapper = change.mapped.__mapper__
    name = mapper.columns[one.column].name
    if write is None or write.verb != "insert" or write.cells.get(name, ERASED) is ERASED:
        return {}
    return values_of(path.store.dialect, Target(change.mapped, mapper.local_table), {name: write.cells[name]})
