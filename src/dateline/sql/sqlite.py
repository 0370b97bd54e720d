"""SQLite: no round trips to save, so each query is a statement of its own, and the guard compares the very values of the driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Select, TypeDecorator, bindparam, func, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.sqlite import insert, pysqlite

from dateline.core.canon import canonical
from dateline.core.event import Event
from dateline.core.model import faults
from dateline.core.outcome import Values
from dateline.core.request import Claim, Seen
from dateline.core.snapshot import Field
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Asks, Dialect, Reading, default_of, question, select_of
from dateline.sql.interval import duration
from dateline.sql.statement import Result, Statement
from dateline.sql.types import Id, Instant
from dateline.sql.value import valued

__all__ = ["SESSION", "Sqlite"]

SESSION = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is erased is overwritten, and not left in a free part of the file.
    "PRAGMA secure_delete = ON",
)
"""What every connection is pinned to: readers do not wait for the writer, what is committed survives a power cut, what is gone is gone."""

_SQL = pysqlite.dialect(paramstyle="qmark")


_SEQUENCE = sql_table("sqlite_sequence", sql_column("name"), sql_column("seq"))


def _same(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column


class Sqlite(Dialect):
    """SQLite 3.35 and later. One writer at a time, so the order of writing is the order of the feed."""

    name = "sqlite"
    begin = "BEGIN IMMEDIATE"
    begin_unguarded = "BEGIN IMMEDIATE"
    begin_reading = "BEGIN"
    sequenced = False
    queues = False
    near = True

    def __init__(self) -> None:
        super().__init__()
        self.sql = _SQL
        self._rows: dict[SqlTable, list[tuple[str, Callable[[Any], Any] | None]]] = {}

    def reading(self, asks: Asks, *, keyed: bool, look: bool) -> Reading:
        return _Reading(self, asks, keyed=keyed, look=look)

    def image_columns(self, table: SqlTable) -> list[ColumnElement[Any]]:
        return sorted(table.columns, key=lambda column: column.name)

    def image_text(self, table: SqlTable, result: Result) -> str | None:
        if not result.rows:
            return None
        if table not in self._rows:
            self._rows[table] = [(column.name, _stored_reader(column.type)) for column in self.image_columns(table)]
        row = {}
        for (name, read), value in zip(self._rows[table], result.rows[0], strict=True):
            row[name] = value if read is None else read(value)
        return canonical(row).decode()

    def now(self) -> ColumnElement[Any]:
        return func.strftime("%Y-%m-%dT%H:%M:%fZ", "now")

    def allocate(self, table: SqlTable, column: Any) -> Compiled:
        if hasattr(column.server_default, "arg"):
            return compiled(select(default_of(column)), self.sql)
        # Only under the write lock, which is held when this runs, is the next number sure to stay free.
        highest = select(func.coalesce(func.max(column), 0) + 1)
        if table.dialect_kwargs.get("sqlite_autoincrement"):
            used = select(_SEQUENCE.c.seq).where(_SEQUENCE.c.name == table.name).scalar_subquery()
            highest = select(
                func.max(func.coalesce(select(func.max(column)).scalar_subquery(), 0), func.coalesce(used, 0)) + 1
            )
        return compiled(highest, self.sql)

    def paged(self, numbers: Select[Any]) -> tuple[Select[Any], Callable[[Any], ColumnElement[bool]]]:
        # Each statement looks by itself: there is nowhere to keep what was found, and no trip to save.
        page = numbers.subquery("page")
        return numbers, lambda column: column.in_(select(page.c.seq))

    def assigned(self, column: Any, value: Any, index: int) -> Any:
        return value + index if column.server_default is None else value

    def putting(self, table: SqlTable, *, generated: bool) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        quote = self.sql.identifier_preparer.quote
        columns = [column for column in table.columns if generated or column.computed is None]
        key = ", ".join(quote(column.name) for column in table.primary_key.columns)
        changes = ", ".join(f"{quote(c.name)} = excluded.{quote(c.name)}" for c in columns if not c.primary_key)
        sql = (
            f"INSERT INTO {self._name(table, beside=generated)} ({', '.join(quote(c.name) for c in columns)}) "
            f"VALUES ({', '.join('?' * len(columns))}) ON CONFLICT ({key}) DO "
            + (f"UPDATE SET {changes}" if changes else "NOTHING")
        )
        return sql, _restoring(columns)

    def normal(self, mapped: Any, values: Mapping[str, Any]) -> Compiled | str:
        made = {}
        for name, value in values.items():
            column = mapped.__mapper__.columns[name]
            bind, read = column.type.dialect_impl(_SQL).bind_processor(_SQL), _stored_reader(column.type)
            kept = value if bind is None else bind(value)
            made[column.name] = kept if read is None else read(kept)
        return canonical(made).decode()

    @staticmethod
    def valued(kind: Any) -> Callable[[Any], Any]:
        if isinstance(kind.dialect_impl(_SQL), sqltypes.JSON):
            # A document is kept as it is, also where it stands for a type that this database lacks.
            return _same
        return duration if isinstance(kind, sqltypes.Interval) else valued(kind)

    def taking(self, table: SqlTable) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        quote = self.sql.identifier_preparer.quote
        columns = list(table.primary_key.columns)
        here = " AND ".join(f"{quote(c.name)} = ?" for c in columns)
        return f"DELETE FROM {self._name(table, beside=True)} WHERE {here}", _restoring(columns)

    def beside(self, table: SqlTable, indexed: Sequence[str]) -> list[str]:
        quote, name = self.sql.identifier_preparer.quote, self._name(table, beside=True)
        bare = name.removeprefix("temp.")
        key = ", ".join(quote(column.name) for column in table.primary_key.columns)
        return [
            f"CREATE TEMPORARY TABLE {bare} AS SELECT * FROM main.{bare} LIMIT 0",
            f"CREATE UNIQUE INDEX temp.{quote(f'beside_{table.name}')} ON {bare} ({key})",
            *(f"CREATE INDEX temp.{quote(f'beside_{table.name}_{c}')} ON {bare} ({quote(c)})" for c in indexed),
        ]

    def _name(self, table: SqlTable, *, beside: bool) -> str:
        name = self.sql.identifier_preparer.format_table(table, use_schema=not beside)
        return f"temp.{name}" if beside else name

    def insert(self, table: Any) -> Any:
        return insert(table)

    def turn(self, place: int, *, wait: bool) -> Statement:
        raise NotImplementedError("writers queue anyway")

    def leave(self) -> tuple[Statement, ...]:
        return ()


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    made: Callable[[Any], Any] | None = kind.dialect_impl(_SQL).result_processor(_SQL, None)
    return made


def _stored_reader(kind: Any) -> Callable[[Any], Any] | None:
    """Return what reads a column as it is stored: an image shows the row, not what a decorated type makes of it."""
    if isinstance(kind, sqltypes.Enum):
        return None
    if isinstance(kind, TypeDecorator) and not isinstance(kind, Instant | Id | sqltypes.Interval):
        return _stored_reader(kind.load_dialect_impl(_SQL))
    return _reader(kind)


def _restoring(columns: Sequence[Any]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Return what makes of an image what is stored in columns."""
    made = [(column.name, _restorer(column.type)) for column in columns]
    return lambda image: [
        None if (value := image.get(name)) is None else value if read is None else read(value) for name, read in made
    ]


def _restorer(kind: Any) -> Callable[[Any], Any] | None:
    """Return what makes of a column's JSON what is stored; the inverse of `_stored_reader`."""
    if isinstance(kind, sqltypes.Enum):
        return None
    if isinstance(kind, TypeDecorator) and not isinstance(kind, Instant | Id | sqltypes.Interval):
        return _restorer(kind.load_dialect_impl(_SQL))
    read = Sqlite.valued(kind)
    bind = kind.dialect_impl(_SQL).bind_processor(_SQL)
    return read if bind is None else lambda value: bind(read(value))


class _Reading(Reading):
    """A read transaction: the queries, then the look at claim and id."""

    def __init__(self, dialect: Sqlite, asks: Asks, *, keyed: bool, look: bool) -> None:
        self.keyed, self.look = keyed, look
        asked: dict[Any, int] = {}
        self.queries: list[Compiled] = []
        self.places: list[tuple[int, Callable[[Sequence[Sequence[Any]]], Values]]] = []
        for one in asks.fields:
            key = (question(one).digest, one.record)
            if key not in asked:
                asked[key] = len(self.queries)
                self.queries.append(compiled(select_of(one, _same), dialect.sql))
            self.places.append((asked[key], _decoder(one)))
        c, e = tables.claim.c, tables.event.c
        self.claim = compiled(
            select(c.event, c.salt, c.request).where(
                c.tenant == bindparam("tenant"), c.scope == bindparam("scope"), c.key == bindparam("key")
            ),
            dialect.sql,
        )
        self.id = compiled(select(e.seq).where(e.tenant == bindparam("tenant"), e.id == bindparam("id")), dialect.sql)

    def statements(self, event: Event, looked: Mapping[str, Any]) -> tuple[Statement, ...]:
        made = [query.statement("read", {}, event) for query in self.queries]
        if self.keyed:
            made.append(self.claim.statement("claim", looked))
        if self.look:
            made.append(self.id.statement("look", looked))
        return tuple(made)

    def proof(self, results: Sequence[Result]) -> Any:
        return tuple(tuple(map(tuple, result.rows)) for result in results[: len(self.queries)])

    def answer(self, results: Sequence[Result]) -> Seen:
        count = len(self.queries)
        values = tuple(decode(results[index].rows) for index, decode in self.places)
        claim = None
        if self.keyed and results[count].rows:
            event, salt, request = results[count].rows[0]
            claim = Claim(UUID(event), salt, request)
        return Seen(values, self.proof(results), claim, bool(self.look and results[-1].rows), (None,) * len(values))


def _decoder(one: Field) -> Callable[[Sequence[Sequence[Any]]], Values]:
    query = select_of(one, _same)
    readers = [_reader(column.type) for column in query.selected_columns]
    if one.record is None:
        annotation: Any = one.snapshot.model_fields[one.name].rebuild_annotation()
        adapter: TypeAdapter[Any] = TypeAdapter(annotation | None, config=ConfigDict(strict=True))

        def single(rows: Sequence[Sequence[Any]]) -> Values:
            return tuple(adapter.validate_python(readers[0](row[0]) if readers[0] else row[0]) for row in rows)

        return _checked(one, single)
    names = sorted(one.read.model_fields)
    validate = one.read.__pydantic_validator__.validate_python
    converted = [(name, read) for name, read in zip(names, readers, strict=True) if read is not None]

    def many(rows: Sequence[Sequence[Any]]) -> Values:
        made = []
        for row in rows:
            fields = dict(zip(names, row, strict=True))
            for name, read in converted:
                fields[name] = read(fields[name])
            made.append(validate(fields))
        return one.lowered(tuple(made))

    return _checked(one, many)


def _checked(
    one: Field, read: Callable[[Sequence[Sequence[Any]]], Values]
) -> Callable[[Sequence[Sequence[Any]]], Values]:
    def checked(rows: Sequence[Sequence[Any]]) -> Values:
        try:
            return read(rows)
        except ValidationError as error:
            raise faults(f"{one.path} (what the database holds does not fit its type)", error) from None

    return checked
