"""The tables made again of the trail alone: into an empty database, or into a schema beside the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, MetaData, func, select, text
from sqlalchemy.schema import CreateSchema

from dateline.core.request import Flow
from dateline.errors import DatelineError
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.engine import dialect_of, engine
from dateline.run.moment import target_of
from dateline.run.runner import Runner
from dateline.sql.fold import NEWEST, Fold
from dateline.sql.restore import Restorer, Target, tables_of
from dateline.sql.statement import Batch, Statement

__all__ = ["Rebuilt", "rebuild"]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made again.

    Args:
        rows: How many rows each table has, by its name in the trail.
    """

    rows: dict[str, int]


def rebuild(
    runner: Runner,
    *tables: Any,
    into: str | None = None,
    schema: str | None = None,
    told: Callable[[str, int], object] = lambda table, rows: None,
) -> Rebuilt:
    """Make tables again of the trail; the real ones are neither read nor touched.

    Args:
        tables: Mapped classes, or tables' names; all that the versions know without any.
        into: The URL of another database, in which what is missing of the tables is made.
        schema: The name of a schema of this database, PostgreSQL's; made where it is missing.
        told: Is told after each few rows how many a table has.

    Raises:
        DatelineError: Where both or neither of the places is named, or a table there holds rows already.
    """
    if (into is None) == (schema is None):
        raise DatelineError("name one place: another database by its URL, or a schema of this one")
    if schema is not None and runner.engine.dialect.name != "postgresql":
        raise DatelineError("SQLite has no schemas; name another database: sqlite:///rebuilt.db")
    known = [target_of(runner, one) for one in tables] or list(tables_of(runner.versions).values())
    place = engine(into if into is not None else runner.engine, runner.settings)
    try:
        targets = _made(place, known, schema)
        source, sink = Connection(runner.engine), Connection(place)
        try:
            rows = {}
            for original, copy in targets:
                filling = _filled(runner, original, copy, dialect_of(place), sink, told)
                rows[original.name] = drive(filling, source, Budget(runner.settings.budget))
            _numbered(place, [copy for _, copy in targets])
            return Rebuilt(rows)
        finally:
            source.close()
            sink.close()
    finally:
        place.dispose()


def _made(place: Engine, targets: Iterable[Target], schema: str | None) -> list[tuple[Target, Target]]:
    """Make what is missing, and return each table beside its copy, those before that others refer to.

    Raises:
        DatelineError: Where one holds rows.
    """
    copies: dict[Any, Target] = {}
    metadata = MetaData()
    targets = list(targets)
    for one in targets:
        for table in one.table.metadata.sorted_tables:
            if table.name not in metadata.tables and f"{schema}.{table.name}" not in metadata.tables:
                table.to_metadata(metadata, schema=schema or table.schema)  # type: ignore[arg-type]  # None is no schema
    with place.begin() as connection:
        if schema is not None:
            connection.execute(CreateSchema(schema, if_not_exists=True))
        metadata.create_all(connection)
        for one in targets:
            name = one.table.name
            place_of = schema or one.table.schema
            copy = metadata.tables[f"{place_of}.{name}" if place_of else name]
            if connection.scalar(select(func.count()).select_from(select(copy).limit(1).subquery())):
                raise DatelineError(f"{copy.fullname} holds rows already; rebuild into empty tables")
            copies[one.table] = Target(one.mapped, copy)
    order = {copy: place for place, copy in enumerate(metadata.sorted_tables)}
    found = [(one, copies[one.table]) for one in targets]
    return sorted(found, key=lambda both: order[both[1].table])


def _filled(
    runner: Runner, original: Target, copy: Target, dialect: Any, sink: Connection, told: Callable[[str, int], object]
) -> Flow[int]:
    fold, restorer = Fold(runner.store.dialect), Restorer(dialect)
    count = 0
    for walked in fold.pages(original, NEWEST):
        page = yield from walked
        puts = tuple(restorer.put(copy, one.image) for one in page if one.image is not None)
        if puts:
            sink.execute(Batch((Statement("BEGIN"), *puts, Statement("COMMIT")), opens=True, ends=True))
        count += len(puts)
        told(original.name, count)
    return count


def _numbered(place: Engine, targets: Iterable[Target]) -> None:
    """Let the numbers that the database gives go on behind those that it gave before."""
    if place.dialect.name != "postgresql":
        return
    with place.begin() as connection:
        for one in targets:
            column = one.table.autoincrement_column
            if column is None:
                continue
            name = place.dialect.identifier_preparer.format_table(one.table)
            sequence = connection.scalar(select(func.pg_get_serial_sequence(name, column.name)))
            highest = connection.scalar(select(func.max(column)))
            if sequence is not None and highest is not None:
                connection.execute(
                    text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest}
                )
