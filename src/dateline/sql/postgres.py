"""PostgreSQL: the server writes every row as JSON text, once to be read, and again, inside the write, to be compared byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, ColumnElement, Select, Text, and_, bindparam, cast, func, literal_column, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import ARRAY, insert

from dateline.core.canon import canonical
from dateline.core.event import Event
from dateline.core.outcome import Values
from dateline.core.request import Claim, Seen
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Asks, Dialect, Reading, default_of, question, select_of
from dateline.sql.image import POSTGRES, image, row_image, stored, verbatim
from dateline.sql.statement import Result, Statement
from dateline.sql.value import decoder, valued

__all__ = ["SESSION", "Postgres", "PostgresReading"]

SESSION = (
    "SET default_transaction_isolation = 'serializable'; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; "
    "SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'; "
    "SET client_encoding = 'UTF8'; SET enable_seqscan = off"
)
"""What every session is pinned to: the server's text of a row depends on these, and the guard compares texts."""


_PAGE: ColumnElement[str] = literal_column("'dateline.page'")
"""The setting that holds the numbers of a page's events."""

_KEPT = (sqltypes.Integer, sqltypes.String, sqltypes.Uuid, sqltypes.Date, sqltypes.Boolean, sqltypes.LargeBinary)
"""Types whose values are found again as they were sent; of the others, some are rounded."""


class Postgres(Dialect):
    """PostgreSQL 15 and later, by psycopg's raw cursors, whose parameters are numbered: `$1`."""

    name = "postgresql"
    begin = "BEGIN ISOLATION LEVEL SERIALIZABLE"
    begin_unguarded = "BEGIN ISOLATION LEVEL READ COMMITTED"
    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    sequenced = True
    queues = True
    near = False
    overriding = " OVERRIDING SYSTEM VALUE"

    def __init__(self) -> None:
        super().__init__()
        self.sql = POSTGRES

    def reading(self, asks: Asks, *, keyed: bool, look: bool) -> Reading:
        return PostgresReading(self, asks, keyed=keyed, look=look)

    def image_columns(self, table: SqlTable) -> list[ColumnElement[Any]]:
        return [row_image(table)]

    def image_text(self, table: SqlTable, result: Result) -> str | None:
        return result.rows[0][0] if result.rows else None

    def returned(self, table: SqlTable) -> list[ColumnElement[Any]]:
        return [] if all(isinstance(c.type, _KEPT) for c in table.primary_key.columns) else [row_image(table)]

    def now(self) -> ColumnElement[Any]:
        return func.clock_timestamp()

    def number(self) -> ColumnElement[Any]:
        # Not by a look at the table: reading the index page where others insert would make every two writers conflict.
        return literal_column("currval('dateline_event_seq')")

    def allocate(self, table: SqlTable, column: Any) -> Compiled:
        if column.identity is None and hasattr(column.server_default, "arg"):
            return compiled(select(default_of(column)), self.sql)
        if column.default is not None and getattr(column.default, "is_sequence", False):
            return compiled(select(column.default.next_value()), self.sql)
        sequence = func.pg_get_serial_sequence(self.sql.identifier_preparer.format_table(table), column.name)
        return compiled(select(func.nextval(sequence)), self.sql)

    def paged(self, numbers: Select[Any]) -> tuple[Select[Any], Callable[[Any], ColumnElement[bool]]]:
        # Kept in a setting of the transaction's own: a later statement of the same trip can read it, and a transaction that only reads
        # may write it.
        text = cast(func.array(numbers.scalar_subquery()), Text)
        look = select(_numbers(func.set_config(_PAGE, text, literal_column("true"))))
        # As an array, made once: without statistics the planner believes in a handful of rows and reads the setting anew for each.
        kept = select(_numbers(func.current_setting(_PAGE))).scalar_subquery()
        return look, lambda column: column == func.any(func.array(kept))

    def one_of(self, column: Any, among: Select[Any]) -> ColumnElement[bool]:
        # As an array, made once: a join may be planned as a walk through everything.
        found: ColumnElement[bool] = column == func.any(func.array(among.scalar_subquery()))
        return found

    def assigned(self, column: Any, value: Any, index: int) -> Any:
        return value

    def kept_still(self, table: SqlTable) -> tuple[Statement, ...]:
        # Waits for whoever is writing, and lets everybody read.
        return (Statement(f"LOCK TABLE {self._name(table)} IN SHARE MODE", (), "lock"),)

    def putting(self, table: SqlTable, *, generated: bool) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        quote, name = self.sql.identifier_preparer.quote, self._name(table, beside=generated)
        columns = [column for column in table.columns if generated or column.computed is None]
        key = ", ".join(quote(column.name) for column in table.primary_key.columns)
        changes = ", ".join(f"{quote(c.name)} = EXCLUDED.{quote(c.name)}" for c in columns if not c.primary_key)
        sql = (
            f"INSERT INTO {name} ({', '.join(quote(c.name) for c in columns)}) OVERRIDING SYSTEM VALUE "
            f"SELECT {', '.join(self._restored(c) for c in columns)} "
            f"FROM json_populate_record(CAST(NULL AS {name}), CAST($1 AS json)) AS r "
            f"ON CONFLICT ({key}) DO " + (f"UPDATE SET {changes}" if changes else "NOTHING")
        )
        return sql, _text

    def normal(self, mapped: Any, values: Mapping[str, Any]) -> Compiled | str:
        columns = [(mapped.__mapper__.columns[name], name) for name in sorted(values)]
        cells = (image(cast(bindparam(f"v_{n}", type_=c.type), c.type)).label(c.name) for c, n in columns)
        inner = select(*cells).subquery("r")
        return compiled(select(cast(func.row_to_json(literal_column("r.*")), Text)).select_from(inner), self.sql)

    def valued(self, kind: Any) -> Callable[[Any], Any]:
        return valued(kind)

    def taking(self, table: SqlTable) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        quote, name = self.sql.identifier_preparer.quote, self._name(table, beside=True)
        here = " AND ".join(f"t.{quote(c.name)} = {self._restored(c)}" for c in table.primary_key.columns)
        return (
            f"DELETE FROM {name} AS t USING json_populate_record(CAST(NULL AS {name}), CAST($1 AS json)) AS r WHERE {here}",
            _text,
        )

    def beside(self, table: SqlTable, indexed: Sequence[str]) -> list[str]:
        quote, name = self.sql.identifier_preparer.quote, self._name(table, beside=True)
        key = ", ".join(quote(column.name) for column in table.primary_key.columns)
        return [
            f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM {self._name(table)} LIMIT 0",
            f"ALTER TABLE {name} ADD PRIMARY KEY ({key})",
            *(f"CREATE INDEX ON {name} ({quote(column)})" for column in indexed),
        ]

    def _name(self, table: SqlTable, *, beside: bool = False) -> str:
        return self.sql.identifier_preparer.format_table(table, use_schema=not beside)

    def _restored(self, column: Any) -> str:
        """Return a column of what an image was parsed to; bytes stand in it as base64, which the server takes for something else."""
        if isinstance(stored(column.type), sqltypes.LargeBinary):
            named = column.name.replace("'", "''")
            return f"decode(CAST($1 AS json) ->> '{named}', 'base64')"
        return f"r.{self.sql.identifier_preparer.quote(column.name)}"

    def insert(self, table: Any) -> Any:
        return insert(table)

    def rehearsed(self) -> tuple[Statement, ...]:
        return (Statement("SET CONSTRAINTS ALL IMMEDIATE", name="rehearse"),)

    def turn(self, place: int, *, wait: bool) -> Statement:
        # Waited for by the server: asked for again and again, the turn would go to nobody for a while.
        return Statement(f"SELECT {'pg_advisory_lock' if wait else 'pg_try_advisory_lock'}($1)", (place,), "queue")

    def leave(self) -> tuple[Statement, ...]:
        return (Statement("SELECT pg_advisory_unlock_all()", (), "leave"),)


def _text(image: Mapping[str, Any]) -> Sequence[Any]:
    return (canonical(dict(image)).decode(),)


def _numbers(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.unnest(cast(text, ARRAY(BigInteger)))


class PostgresReading(Reading):
    """One SELECT: a JSON text for each query, and the look at claim and id beside them."""

    def __init__(self, dialect: Postgres, asks: Asks, *, keyed: bool, look: bool) -> None:
        self.keyed, self.look = keyed, look
        columns: list[ColumnElement[Any]] = []
        asked: dict[Any, int] = {}
        self.places: list[tuple[int, Callable[[str], Values], bool]] = []
        for one in asks.fields:
            # Each query once: two snapshots that ask the same thing are answered from one place.
            key = (question(one).digest, one.record)
            if key not in asked:
                asked[key] = len(columns)
                rows = select_of(one, image).subquery(f"q{len(columns)}")
                row = cast(func.row_to_json(literal_column(f"q{len(columns)}.*")), Text)
                text = (
                    literal_column("'['")
                    .concat(func.string_agg(row, literal_column("','")))
                    .concat(literal_column("']'"))
                )
                columns.append(select(func.coalesce(text, literal_column("'[]'"))).select_from(rows).scalar_subquery())
            self.places.append((asked[key], decoder(one), verbatim(one)))
        self.asked = len(columns)
        same = [column == bindparam(f"proof{index}", type_=Text()) for index, column in enumerate(columns)]
        self.guard = compiled(select(and_(*same).label("ok")), dialect.sql) if same else None
        if keyed:
            c = tables.claim.c
            who = select(func.json_build_array(c.event, func.encode(c.salt, "hex"), c.request)).where(
                c.tenant == bindparam("tenant"), c.scope == bindparam("scope"), c.key == bindparam("key")
            )
            columns.append(cast(who.scalar_subquery(), Text))
        if look:
            e = tables.event.c
            columns.append(select(e.seq).where(e.tenant == bindparam("tenant"), e.id == bindparam("id")).exists())
        self.compiled = compiled(select(*columns), dialect.sql) if columns else None

    def statements(self, event: Event, looked: Mapping[str, Any]) -> tuple[Statement, ...]:
        return (self.compiled.statement("read", looked, event),) if self.compiled else ()

    def proof(self, results: Sequence[Result]) -> Any:
        return tuple(results[0].rows[0][: self.asked]) if results else ()

    def answer(self, results: Sequence[Result]) -> Seen:
        row = results[0].rows[0] if results else ()
        claim = None
        if self.keyed and row[self.asked] is not None:
            event, salt, request = orjson.loads(row[self.asked])
            claim = Claim(UUID(event), None if salt is None else bytes.fromhex(salt), request)
        values, texts = [], []
        for index, decode, known in self.places:
            text = row[index]
            values.append(decode(text))
            texts.append(text if known else None)
        return Seen(tuple(values), tuple(row[: self.asked]), claim, bool(self.look and row[-1]), tuple(texts))
