"""The text of a whole commit as one statement, put together of pieces that share their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    TextClause,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy import Text as SqlText
from sqlalchemy.types import TypeEngine

from dateline.core.plan import Change
from dateline.sql import tables
from dateline.sql.compiled import Compiled, Merger, Whole, compiled, light
from dateline.sql.dialect import Dialect, key_matches
from dateline.sql.image import cell_text, row_image
from dateline.sql.perform import overriding
from dateline.sql.types import Id

__all__ = ["RowShape", "Shape", "parts_of", "whole"]


@dataclass(frozen=True, slots=True)
class RowShape:
    """What the statement does to one row.

    Args:
        change: Any change of this shape.
        names: Which columns it writes, by the mapped class's names.
        personal: The table's personal columns, which are sealed on their way into the record.
    """

    change: Change
    names: tuple[str, ...]
    personal: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement's text depends on.

    Args:
        guard: What proves that what was seen still stands; None where nothing was read.
        claim: What takes the request key; None where there is none.
        effects: How many there are; so `subjects` and `personals`, the values kept beside the body.
    """

    guard: Compiled | None
    claim: Compiled | None
    rows: tuple[RowShape, ...]
    effects: int
    subjects: int
    personals: int


def whole(shape: Shape, dialect: Dialect) -> Whole:
    """Return the statement of a shape.

    Its parameters' scopes are "guard", "claim" and "event", and one for each item: "row0" with keys and values, "operation0",
    "effect0", "subject0", "personal0" with the columns that are recorded.
    """
    merger = Merger()
    add = merger.add
    parts: list[str] = []
    refusals: list[str] = []

    tenant = add("event", compiled(_bound(":tenant"), dialect.sql))

    def record(name: str, sql: str) -> None:
        parts.append(f"{name} AS ({sql})")

    if shape.guard is not None:
        parts.append(f"guard AS MATERIALIZED ({add('guard', shape.guard)})")
        refusals.append("WHEN NOT (SELECT ok FROM guard) THEN CAST('dateline stale ' || met.n AS integer)")
    if shape.claim is not None:
        parts.append(f"claim AS ({add('claim', shape.claim)})")
        refusals.append("WHEN NOT EXISTS (SELECT FROM claim) THEN CAST('dateline claimed ' || met.n AS integer)")
    operations: list[str] = []
    cells: list[str] = []
    for index, row in enumerate(shape.rows):
        if row.change.verb != "insert":
            parts.append(f"b{index} AS MATERIALIZED ({add(f'row{index}', _before(dialect, row))})")
        parts.append(f"o{index} AS ({add(f'row{index}', _change(dialect, row))})")
        images = {"before": "CAST(NULL AS text)", "after": "CAST(NULL AS text)"}
        for part in parts_of(row.change.verb):
            source = f"{'b' if part == 'before' else 'o'}{index}"
            images[part] = f"(SELECT img FROM {source})"
            found = (compiled(_cell(part, place, source), dialect.sql) for place in range(len(row.personal)))
            cells += [add(f"row{index}", cell) for cell in found]
        made = compiled(_bound(_OPERATION.format(**images)), dialect.sql)
        operations.append(add(f"operation{index}", made))
    count = " + ".join(f"(SELECT count(*) FROM o{index})" for index in range(len(shape.rows))) or "0::bigint"
    parts.append(f"met AS MATERIALIZED (SELECT {count} AS n)")
    refusals.append(f"WHEN met.n <> {len(shape.rows)} THEN CAST('dateline met ' || met.n AS integer)")
    parts.append(f"event AS ({add('event', compiled(_event(), dialect.sql))})")
    if operations:
        # As VALUES: made of JSON by the server, the same lists took sixty microseconds more.
        record(
            "operation",
            "INSERT INTO dateline_operation (tenant, seq, ordinal, step, verb, table_name, row_key, declared, before, after, handler, "
            f"date, merged) SELECT {tenant}, event.seq, x.* FROM event, (VALUES {', '.join(operations)}) AS x",
        )
    if shape.effects:
        due = _listed(add, dialect, "effect", shape.effects, _EFFECT)
        parts.append(f"due (ordinal, id, step, kind, payload, handler, date, state) AS MATERIALIZED (VALUES {due})")
        record(
            "effect",
            f"INSERT INTO dateline_effect (tenant, seq, ordinal, id, step, kind, payload, handler, date) SELECT {tenant}, event.seq, "
            "due.ordinal, due.id, due.step, due.kind, due.payload, due.handler, due.date FROM event, due",
        )
        record(
            "delivery",
            "INSERT INTO dateline_delivery (tenant, effect, seq, ordinal, kind, state, due_at) "
            f"SELECT {tenant}, due.id, event.seq, due.ordinal, due.kind, due.state, event.recorded_at FROM event, due",
        )
    if shape.subjects:
        subjects = _listed(add, dialect, "subject", shape.subjects, "(:subject)")
        record(
            "subject",
            "INSERT INTO dateline_subject (tenant, subject, seq) "
            f"SELECT {tenant}, x.column1, event.seq FROM event, (VALUES {subjects}) AS x",
        )
    if shape.personals:
        cells.append(f"VALUES {_listed(add, dialect, 'personal', shape.personals, '(:path, :subject, :salt, :value)')}")
    if cells:
        record(
            "personal",
            "INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) "
            f"SELECT {tenant}, event.seq, x.* FROM event, ({' UNION ALL '.join(cells)}) AS x",
        )
    record("pending", f"INSERT INTO dateline_pending (seq, tenant) SELECT event.seq, {tenant} FROM event")
    # The cast fails on purpose: inside one statement, only an error takes back what the other parts did. It depends on a count,
    # so the planner cannot try it beforehand.
    end = f"SELECT CASE {' '.join(refusals)} ELSE 0 END, event.seq, event.recorded_at FROM met LEFT JOIN event ON true"
    return merger.whole("WITH " + ",\n".join(parts) + "\n" + end)


_OPERATION = "(:ordinal, :step, :verb, :table_name, :row_key, :declared, {before}, {after}, :handler, :date, :merged)"
_EFFECT = "(:ordinal, :effect, :step, :kind, :payload, :handler, :date, :state)"


def parts_of(verb: str) -> tuple[str, ...]:
    """Return which images a row has that a verb changes."""
    return {"insert": ("after",), "update": ("before", "after"), "delete": ("before",)}[verb]


def _listed(add: Any, dialect: Dialect, name: str, count: int, row: str) -> str:
    piece = compiled(_bound(row), dialect.sql)
    return ", ".join(add(f"{name}{index}", piece) for index in range(count))


def _image(table: SqlTable, part: str, personal: Sequence[Any]) -> tuple[ColumnElement[Any], ...]:
    """Return a row's image, its personal columns sealed; then the text of each of those, for what is kept beside it."""
    salts = {column.name: bindparam(f"salt_{part}_{place}", type_=SqlText()) for place, column in enumerate(personal)}
    texts = (cell_text(column).label(f"p{place}") for place, column in enumerate(personal))
    return (row_image(table, salts).label("img"), *texts)


def _cell(part: str, place: int, source: str) -> TextClause:
    # Only the source's one row, and only where the column is not NULL: what is not there is not kept.
    return _bound(
        f"SELECT :path_{part}_{place}, :subject, :salt_{part}_{place}, p{place} FROM {source} WHERE p{place} IS NOT NULL"
    )


def _before(dialect: Dialect, row: RowShape) -> Compiled:
    table = row.change.mapped.__table__
    made = select(*_image(table, "before", row.personal)).select_from(table).where(*key_matches(table))
    return compiled(made, dialect.sql)


def _change(dialect: Dialect, row: RowShape) -> Compiled:
    mapped, verb = row.change.mapped, row.change.verb
    table, columns = mapped.__table__, mapped.__mapper__.columns
    bare = light(table)
    values = {bare.c[columns[n].name]: bindparam(f"v_{n}", type_=columns[n].type) for n in row.names}
    here = [bare.c[c.name] == bindparam(f"k{index}", type_=c.type) for index, c in enumerate(table.primary_key.columns)]
    made: Any
    if verb == "insert":
        made = insert(bare).values(values)
    elif verb == "update":
        made = update(bare).where(*here).values(values)
    else:
        made = delete(bare).where(*here)
    image = (literal_column("1"),) if verb == "delete" else _image(table, "after", row.personal)
    return overriding(dialect, compiled(made.returning(*image), dialect.sql), row.change, row.names)


def _event() -> Any:
    e = light(tables.event)
    columns = [c for c in tables.event.columns if c.name not in ("seq", "recorded_at")]
    # From `met`: the number is drawn when all changes have their rows.
    source = select(*(bindparam(c.name, type_=c.type) for c in columns), func.clock_timestamp()).select_from(
        text("met")
    )
    named = [*(c.name for c in columns), "recorded_at"]
    return insert(e).from_select(named, source).returning(e.c.seq, e.c.recorded_at)


_TYPES: dict[str, TypeEngine[Any]] = {"ordinal": Integer(), "effect": Id()}
"""The types of parameters that are no texts."""


def _bound(part: str) -> TextClause:
    clause = text(part)
    return clause.bindparams(*(bindparam(name, type_=_TYPES.get(name, SqlText())) for name in clause._bindparams))
