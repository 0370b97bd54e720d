"""A whole commit as one statement, where PostgreSQL can promise that it means the same as the statements in order.

A statement with CTEs has no order of its own, so what must come first is made an input of what comes after: the changes' count is an
input of the event's number, and all that is recorded hangs on that number. Where the guard, the claim or a count says no, the
statement fails, and takes all of it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, TextClause, bindparam, delete, func, insert, literal_column, select, text, update
from sqlalchemy import Table as SqlTable
from sqlalchemy import Text as SqlText

from dateline.core.canon import canonical
from dateline.core.cascade import Cascade
from dateline.core.outcome import Performed, Wrote
from dateline.core.personal import below
from dateline.core.plan import Change
from dateline.core.request import Draft, Flow
from dateline.sql import tables
from dateline.sql.compiled import Compiled, Merger, Whole, bounded, compiled, light
from dateline.sql.dialect import Dialect, key_matches
from dateline.sql.image import cell_text, row_image, written
from dateline.sql.perform import Row, overriding
from dateline.sql.postgres import PostgresReading
from dateline.sql.record import Recorder, claim_facts, effect_facts, personal_facts, wrote
from dateline.sql.statement import Batch, Statement

__all__ = ["Single"]

MOST = 20
"""Changes that one statement takes; plans with more go as statements in order, whose texts are shared by all plans."""

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
        self._recording = {name: compiled(clause, dialect.sql) for name, clause in _recording().items()}

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
        for part in _parts(row.change):
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
            None where a personal column can only be sealed by Python, which has to see the row first.
        """
        sealings = [self._sealing(draft, row) for row in rows]
        if None in sealings:
            return None
        performed = self.recorder.performed(draft, {})
        operations = self.recorder.operations(draft, rows, [(None, None)] * len(rows))
        effects = [effect_facts(one, payload) for one, payload in performed]
        scopes = {
            "record": {
                **self.recorder.event(draft),
                "operations": _json(operations),
                "effects": _json(effects),
                "subjects": _json(list(draft.subjects)),
                "kept": _json([personal_facts(one) for one in draft.sealer.sealed]),
            },
            "guard": {f"proof{index}": seen for index, seen in enumerate(proof)},
            "claim": claim_facts(draft),
        }
        for index, (row, sealing) in enumerate(zip(rows, sealings, strict=True)):
            scopes[str(index)] = {
                **{f"k{place}": value for place, value in enumerate(row.key)},
                **{f"v_{column}": value for column, value in row.values.items()},
                **(sealing or {}),
            }
        whole = self._whole(cascade, reading, rows, keyed=draft.claim is not None)
        statement = Statement(whole.sql, whole.bind(scopes, draft.event), "commit")
        return statement, wrote(rows), tuple(one for one, _ in performed)

    def _whole(self, cascade: Cascade, reading: PostgresReading, rows: Sequence[Row], *, keyed: bool) -> Whole:
        shape = tuple((row.change.verb, row.change.mapped, tuple(sorted(row.values))) for row in rows)
        key = (id(cascade), keyed, shape)
        held = self._wholes.get(key)
        if held is None:
            held = self._wholes[key] = (cascade, self._made(reading, rows, keyed=keyed))
            bounded(self._wholes)
        return held[1]

    def _made(self, reading: PostgresReading, rows: Sequence[Row], *, keyed: bool) -> Whole:
        merger = Merger()
        add = merger.add
        parts = []
        refusals = []
        if reading.guard is not None:
            parts.append(f"guard AS MATERIALIZED ({add('guard', reading.guard)})")
            refusals.append("WHEN NOT (SELECT ok FROM guard) THEN CAST('dateline stale ' || met.n AS integer)")
        if keyed:
            parts.append(f"claim AS ({add('claim', self.recorder.claiming)})")
            refusals.append("WHEN NOT EXISTS (SELECT FROM claim) THEN CAST('dateline claimed ' || met.n AS integer)")
        images: list[str] = []
        cells: list[str] = []
        for index, row in enumerate(rows):
            personal = self._personal(row.change.mapped)
            images_of = {"before": "NULL::text", "after": "NULL::text"}
            if row.change.verb != "insert":
                before = _before(self.dialect, row, personal)
                parts.append(f"b{index} AS MATERIALIZED ({add(str(index), before)})")
            parts.append(f"o{index} AS ({add(str(index), _change(self.dialect, row, personal))})")
            for part in _parts(row.change):
                source = f"{'b' if part == 'before' else 'o'}{index}"
                images_of[part] = f"(SELECT img FROM {source})"
                for place in range(len(personal)):
                    cell = compiled(_cell(part, place, source), self.dialect.sql)
                    cells.append(add(str(index), cell))
            images.append(f"({index + 1}, {images_of['before']}, {images_of['after']})")
        count = " + ".join(f"(SELECT count(*) FROM o{index})" for index in range(len(rows))) or "0::bigint"
        parts.append(f"met AS MATERIALIZED (SELECT {count} AS n)")
        refusals.append(f"WHEN met.n <> {len(rows)} THEN CAST('dateline met ' || met.n AS integer)")
        parts.append(f"event AS ({add('record', self._recording['event'])})")
        if images:
            parts.append(f"image (i, before, after) AS (VALUES {', '.join(images)})")
        for name in ("operation", "effect", "delivery", "subject", "personal", "pending"):
            if name != "operation" or images:
                parts += [f"{name} AS ({add('record', self._recording[name])})"]
        if cells:
            parts.append(f"cell (path, subject, salt, value) AS ({' UNION ALL '.join(cells)})")
            parts.append(f"celled AS ({add('record', self._recording['cell'])})")
        # The cast fails on purpose: inside one statement, only an error takes back what the other parts did. It depends on a count,
        # so the planner cannot try it beforehand.
        end = f"SELECT CASE {' '.join(refusals)} ELSE 0 END, event.seq, event.recorded_at FROM met LEFT JOIN event ON true"
        return merger.whole("WITH " + ",\n".join(parts) + "\n" + end)


def _json(value: Any) -> str:
    return canonical(value, known=True).decode()


def _parts(change: Change) -> tuple[str, ...]:
    """Return which images of a row there are."""
    return {"insert": ("after",), "update": ("before", "after"), "delete": ("before",)}[change.verb]


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


def _before(dialect: Dialect, row: Row, personal: Sequence[Any]) -> Compiled:
    table = row.change.mapped.__table__
    made = select(*_image(table, "before", personal)).select_from(table).where(*key_matches(table))
    return compiled(made, dialect.sql)


def _change(dialect: Dialect, row: Row, personal: Sequence[Any]) -> Compiled:
    mapped = row.change.mapped
    table, columns = mapped.__table__, mapped.__mapper__.columns
    bare = light(table)
    values = {bare.c[columns[n].name]: bindparam(f"v_{n}", type_=columns[n].type) for n in sorted(row.values)}
    here = [bare.c[c.name] == bindparam(f"k{index}", type_=c.type) for index, c in enumerate(table.primary_key.columns)]
    made: Any
    if row.change.verb == "insert":
        made = insert(bare).values(values)
    elif row.change.verb == "update":
        made = update(bare).where(*here).values(values)
    else:
        made = delete(bare).where(*here)
    image = (literal_column("1"),) if row.change.verb == "delete" else _image(table, "after", personal)
    return overriding(dialect, compiled(made.returning(*image), dialect.sql), row.change, sorted(row.values))


def _recording() -> dict[str, Any]:
    """Return what records, each part fed by the event's number and by lists that come as JSON, so that few texts serve all plans."""
    e = light(tables.event)
    columns = [c for c in tables.event.columns if c.name not in ("seq", "recorded_at")]
    # From `met`: the number is drawn when all changes have their rows.
    source = select(*(bindparam(c.name, type_=c.type) for c in columns), func.clock_timestamp()).select_from(
        text("met")
    )
    event = (
        insert(e).from_select([*(c.name for c in columns), "recorded_at"], source).returning(e.c.seq, e.c.recorded_at)
    )
    listed = "json_to_recordset(CAST(:{} AS json)) AS x"
    effects = listed.format("effects")
    parts = {
        "operation": "INSERT INTO dateline_operation (tenant, seq, ordinal, step, verb, table_name, row_key, declared, before, after, "
        "handler, date, merged) SELECT :tenant, event.seq, x.ordinal, x.step, x.verb, x.table_name, x.row_key, x.declared, image.before, "
        "image.after, x.handler, x.date, x.merged FROM event, ROWS FROM (json_to_recordset(CAST(:operations AS json)) AS (ordinal int, "
        "step text, verb text, table_name text, row_key text, declared text, handler text, date text, merged text)) WITH ORDINALITY "
        "AS x (ordinal, step, verb, table_name, row_key, declared, handler, date, merged, i) JOIN image ON image.i = x.i",
        "effect": "INSERT INTO dateline_effect (tenant, seq, ordinal, id, step, kind, payload, handler, date) "
        "SELECT :tenant, event.seq, x.ordinal, x.effect, x.step, x.kind, x.payload, x.handler, x.date "
        f"FROM event, {effects} (ordinal int, effect uuid, step text, kind text, payload text, handler text, date text)",
        "delivery": "INSERT INTO dateline_delivery (tenant, effect, seq, ordinal, kind, state, due_at) "
        "SELECT :tenant, x.effect, event.seq, x.ordinal, x.kind, x.state, event.recorded_at "
        f"FROM event, {effects} (ordinal int, effect uuid, kind text, state text)",
        "subject": "INSERT INTO dateline_subject (tenant, subject, seq) "
        "SELECT :tenant, x, event.seq FROM event, json_array_elements_text(CAST(:subjects AS json)) AS x",
        "personal": "INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) "
        "SELECT :tenant, event.seq, x.path, x.subject, x.salt, x.value "
        f"FROM event, {listed.format('kept')} (path text, subject text, salt text, value text)",
        "cell": "INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) "
        "SELECT :tenant, event.seq, cell.path, cell.subject, cell.salt, cell.value FROM event, cell",
        "pending": "INSERT INTO dateline_pending (seq, tenant) SELECT event.seq, :tenant FROM event",
    }
    return {"event": event, **{name: _bound(part) for name, part in parts.items()}}


def _bound(part: str) -> TextClause:
    clause = text(part)
    return clause.bindparams(*(bindparam(name, type_=SqlText()) for name in clause._bindparams))
