"""Performing a plan's changes: what the database assigns first, then each row's image, its change, its image again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam, delete, insert, update

from dateline.core.internal import bounded, internal
from dateline.core.operation import Insert, Placeholder
from dateline.core.plan import Change, Plan, placeholders
from dateline.core.request import Broken
from dateline.core.table import row_key, table_of
from dateline.sql.compiled import Compiled, compiled, light
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Result, Statement

__all__ = ["Assigned", "Images", "Needed", "Performer"]

_KEY = attrgetter("key_values")

Assigned = Mapping[tuple[object, str], Any]
"""What the database assigned, by the row that waited for it and the column."""

Images = list[tuple[str | None, str | None]]
"""Each row's image before and after, as the database writes it."""


@internal()
class Needed:
    """One value that the database has to assign before anything is written."""

    change: Change
    name: str
    row: object


class Performer:
    """Makes the statements that change rows, each shape compiled once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._compiled: dict[Any, Compiled] = {}

    def needed(self, plan: Plan, changes: Sequence[Change]) -> list[Needed]:
        """Return what the database has to assign: keys that are missing, and what other steps wait for."""
        if not plan.outline.waits and None not in map(_KEY, changes):
            return []
        waited = {(found.row, found.column) for found in placeholders(plan)}
        needed: list[Needed] = []
        for change in changes:
            row = _made(change)
            if row is None:
                continue
            missing = [name for name in table_of(change.mapped).key if change.values.get(name) is None]
            if waited:
                missing += sorted(c for found, c in waited if found is row and change.values.get(c) is None)
            needed += [Needed(change, name, row) for name in dict.fromkeys(missing)]
        return needed

    def allocations(self, needed: Sequence[Needed]) -> list[Statement]:
        """Return the statements that have the database assign."""
        made = []
        for one in needed:
            table, column = one.change.mapped.__table__, one.change.mapped.__mapper__.columns[one.name]
            key = ("allocate", table, column)
            if key not in self._compiled:
                self._compiled[key] = self.dialect.allocate(table, column)
            made.append(self._compiled[key].statement("allocate", {}, step=one.change.last.key))
        return made

    def assigned(self, needed: Sequence[Needed], results: Sequence[Result]) -> Assigned:
        """Return what the allocations gave."""
        assigned: dict[tuple[object, str], Any] = {}
        seen: dict[Any, int] = {}
        for one, result in zip(needed, results, strict=True):
            column = one.change.mapped.__mapper__.columns[one.name]
            index = seen[column] = seen.get(column, -1) + 1
            assigned[one.row, one.name] = self.dialect.assigned(column, result.rows[0][0], index)
        return assigned

    @staticmethod
    def rows(changes: Sequence[Change], assigned: Assigned) -> Sequence[Change]:
        """Return the changes with what was assigned in its places: nothing is open in them."""
        if not assigned:
            return changes
        made = []
        for change in changes:
            filled = {
                n: assigned[v.row, v.column] if isinstance(v, Placeholder) else v for n, v in change.values.items()
            }
            row = _made(change)
            if row is not None:
                filled.update({name: value for (found, name), value in assigned.items() if found is row})
            key = change.key_values
            if key is None:
                key = tuple(filled[n] for n in table_of(change.mapped).key)
            made.append(replace(change, values=filled, key_values=key, row_key=row_key(key)))
        return made

    def statements(self, rows: Sequence[Change]) -> list[Statement]:
        """Return, for each row, what reads its image and what changes it; then what reads the images that are left."""
        made, after = [], []
        for row in rows:
            image = self.dialect.image(row.mapped.__table__)
            assert row.key_values is not None
            key = {f"k{index}": value for index, value in enumerate(row.key_values)}
            if row.verb != "insert":
                made.append(image.statement("before", key, step=row.last.key))
            values = {f"v_{name}": value for name, value in row.values.items()}
            made.append(self._operation(row).statement(row.verb, {**key, **values}, step=row.last.key))
            if row.verb != "delete":
                after.append(image.statement("after", key, step=row.last.key))
        return made + after

    def _operation(self, row: Change) -> Compiled:
        names = tuple(sorted(row.values))
        key = (row.verb, row.mapped, names)
        if key not in self._compiled:
            clause = _clause(row.verb, row.mapped, names)
            returned = self.dialect.returned(row.mapped.__table__) if row.verb == "insert" else ()
            made = compiled(clause.returning(*returned) if returned else clause, self.dialect.sql)
            self._compiled[key] = overriding(self.dialect, made, row, names)
            bounded(self._compiled)
        return self._compiled[key]

    def images(self, rows: Sequence[Change], statements: Sequence[Statement], results: Sequence[Result]) -> Images:
        """Return each row's image before and after.

        Raises:
            Broken: When a change did not meet its one row.
        """
        before: dict[str | None, str | None] = {}
        after: dict[str | None, str | None] = {}
        inserted: dict[str | None, str | None] = {}
        tables = {row.last.key: row.mapped.__table__ for row in rows}
        for statement, result in zip(statements, results, strict=True):
            assert statement.step is not None
            table = tables[statement.step]
            if statement.name in ("before", "after"):
                held = before if statement.name == "before" else after
                held[statement.step] = self.dialect.image_text(table, result)
            elif result.count != 1:
                raise Broken(
                    "row-count",
                    statement.step,
                    f"{statement.step}: the {statement.name} met {result.count} rows of {table.name}, "
                    "not one: there is no such row, or a trigger swallowed it",
                )
            elif result.rows:
                inserted[statement.step] = self.dialect.image_text(table, result)
        # Looked for by the key that was sent, a row whose key was rounded is not found.
        keys = (row.last.key for row in rows)
        return [(before.get(key), after.get(key) or inserted.get(key)) for key in keys]


def overriding(dialect: Dialect, made: Compiled, change: Change, names: Sequence[str]) -> Compiled:
    """Return an insert that may write what the database would always make itself: it has made it, a moment ago."""
    columns = change.mapped.__mapper__.columns
    if change.verb == "insert" and any(columns[n].identity is not None and columns[n].identity.always for n in names):
        return replace(made, sql=made.sql.replace(") VALUES (", f"){dialect.overriding} VALUES (", 1))
    return made


def _made(change: Change) -> object:
    """Return what stands for the row of an insert while its key is open."""
    step = change.steps[0].step
    return step.row if change.verb == "insert" and isinstance(step, Insert) else None


def _clause(verb: str, mapped: Any, names: tuple[str, ...]) -> Any:
    table, columns = mapped.__table__, mapped.__mapper__.columns
    bare = light(table)
    values = {bare.c[columns[name].name]: bindparam(f"v_{name}", type_=columns[name].type) for name in names}
    here = [bare.c[c.name] == bindparam(f"k{index}", type_=c.type) for index, c in enumerate(table.primary_key.columns)]
    if verb == "insert":
        return insert(bare).values(values)
    return update(bare).where(*here).values(values) if verb == "update" else delete(bare).where(*here)
