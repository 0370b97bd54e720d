"""The text of a whole commit as one statement, put together of pieces that share their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, literal_column, select, text, update
from sqlalchemy import Table as SqlTable
from sqlalchemy import Text as SqlText

from dateline.core.plan import Change
from dateline.sql.compiled import Compiled, Merger, Whole, compiled, light
from dateline.sql.dialect import Dialect, key_matches
from dateline.sql.image import cell_text, row_image
from dateline.sql.perform import overriding
from dateline.sql.record import (
    CLAIM,
    EFFECT,
    EVENT,
    OPERATION,
    OPERATION_ROW,
    PERSONAL,
    SUBJECT,
    bound,
    event_insert,
    inserts_of,
    listed,
)

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
        proofs: How many texts it compares.
        claim: What takes the request key; None where there is none.
        effects: How many there are; so `subjects` and `personals`, the values kept beside the body.
    """

    guard: Compiled | None
    proofs: int
    claim: Compiled | None
    rows: tuple[RowShape, ...]
    effects: int
    subjects: int
    personals: int

    def layout(self) -> list[tuple[str, str]]:
        """Return what the statement's facts are, in their order, each with its scope."""
        made = [("event", name) for name in EVENT]
        made += [("guard", f"proof{index}") for index in range(self.proofs)]
        made += [("claim", name) for name in (CLAIM if self.claim is not None else ())]
        for index, row in enumerate(self.rows):
            made += [(f"operation{index}", name) for name in OPERATION]
            keys = len(row.change.mapped.__table__.primary_key.columns)
            made += [(f"row{index}", f"k{place}") for place in range(keys)]
            made += [(f"row{index}", f"v_{name}") for name in row.names]
            made += [(f"row{index}", name) for name in sealing_of(row)]
        for scope, count, columns in (
            ("effect", self.effects, EFFECT),
            ("subject", self.subjects, SUBJECT),
            ("personal", self.personals, PERSONAL),
        ):
            made += [(f"{scope}{index}", name) for index in range(count) for name in columns]
        return made


def sealing_of(row: RowShape) -> list[str]:
    """Return the names of what seals a row's personal columns: whose they are, then for each image path and salt of each column."""
    if not row.personal:
        return []
    parts = [(part, place) for part in parts_of(row.change.verb) for place in range(len(row.personal))]
    return ["subject", *(f"{name}_{part}_{place}" for part, place in parts for name in ("path", "salt"))]


def whole(shape: Shape, dialect: Dialect) -> Whole:
    """Return the statement of a shape."""
    merger = Merger(shape.layout(), numbered=True)
    add = merger.add
    parts: list[str] = []
    refusals: list[str] = []

    tenant = add("event", bound(":tenant", dialect))

    def record(name: str, items: str) -> None:
        parts.append(f"{name} AS ({inserts_of(name, tenant, items, 'event')})")

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
            cells += [
                add(f"row{index}", bound(_cell(part, place, source), dialect)) for place in range(len(row.personal))
            ]
        operations.append(add(f"operation{index}", bound(OPERATION_ROW.format(**images), dialect)))
    count = " + ".join(f"(SELECT count(*) FROM o{index})" for index in range(len(shape.rows))) or "0::bigint"
    parts.append(f"met AS MATERIALIZED (SELECT {count} AS n)")
    refusals.append(f"WHEN met.n <> {len(shape.rows)} THEN CAST('dateline met ' || met.n AS integer)")
    # From `met`: the number is drawn when all changes have their rows.
    event = event_insert(text("met"), func.clock_timestamp())
    parts.append(f"event AS ({add('event', compiled(event, dialect.sql))})")
    if operations:
        # As VALUES: made of JSON by the server, the same lists took sixty microseconds more.
        record("operation", ", ".join(operations))
    if shape.effects:
        record("effect", listed(merger, dialect, "effect", shape.effects))
        record("delivery", listed(merger, dialect, "delivery", shape.effects, scope="effect"))
    if shape.subjects:
        record("subject", listed(merger, dialect, "subject", shape.subjects))
    if shape.personals:
        cells.append(f"VALUES {listed(merger, dialect, 'personal', shape.personals)}")
    if cells:
        parts.append(
            "personal AS (INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) "
            f"SELECT {tenant}, event.seq, x.* FROM event, ({' UNION ALL '.join(cells)}) AS x)"
        )
    record("pending", "")
    # The cast fails on purpose: inside one statement, only an error takes back what the other parts did. It depends on a count,
    # so the planner cannot try it beforehand.
    end = f"SELECT CASE {' '.join(refusals)} ELSE 0 END, event.seq, event.recorded_at FROM met LEFT JOIN event ON true"
    return merger.whole("WITH " + ",\n".join(parts) + "\n" + end)


def parts_of(verb: str) -> tuple[str, ...]:
    """Return which images a row has that a verb changes."""
    return {"insert": ("after",), "update": ("before", "after"), "delete": ("before",)}[verb]


def _image(table: SqlTable, part: str, personal: Sequence[Any]) -> tuple[ColumnElement[Any], ...]:
    """Return a row's image, its personal columns sealed; then the text of each of those, for what is kept beside it."""
    salts = {column.name: bindparam(f"salt_{part}_{place}", type_=SqlText()) for place, column in enumerate(personal)}
    texts = (cell_text(column).label(f"p{place}") for place, column in enumerate(personal))
    return (row_image(table, salts).label("img"), *texts)


def _cell(part: str, place: int, source: str) -> str:
    # Only the source's one row, and only where the column is not NULL: what is not there is not kept.
    return f"SELECT :path_{part}_{place}, :subject, :salt_{part}_{place}, p{place} FROM {source} WHERE p{place} IS NOT NULL"


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
