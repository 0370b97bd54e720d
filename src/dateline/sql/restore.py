"""Rows made again of their images: the inverse of what the trail keeps of a row before and after a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Table as SqlTable
from sqlalchemy import types as sqltypes

from dateline.core.canon import parsed
from dateline.core.table import table_of
from dateline.core.version import Versions
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Statement

__all__ = ["Image", "Restorer", "Target", "key_values", "keying", "tables_of", "values_of"]

Image: TypeAlias = Mapping[str, Any]
"""A row by its columns' names in the database, as JSON's types."""


@dataclass(frozen=True, slots=True)
class Target:
    """One application's table, and the class that is mapped to it."""

    mapped: Any
    table: SqlTable

    @property
    def name(self) -> str:
        """Its name in the trail."""
        return table_of(self.mapped).name


def tables_of(versions: Versions) -> dict[str, Target]:
    """Return every table that an application's versions know, and those beside them, by their names in the trail."""
    known = {record.__table__ for record in versions.records}
    for function in versions.functions:
        known |= {what[1] for what in function.yields if isinstance(what, tuple) and len(what) == 2}
    mapped: dict[str, Any] = {}
    for one in known:
        for mapper in one.__mapper__.registry.mappers:
            if isinstance(mapper.local_table, SqlTable):
                mapped.setdefault(mapper.local_table.fullname, mapper.class_)
    for one in known:
        # A table that several classes are mapped to is seen as the versions see it.
        mapped[table_of(one).name] = one
    return {name: Target(one, one.__mapper__.local_table) for name, one in sorted(mapped.items())}


class Restorer:
    """Makes the statements that write rows as their images say, each table's compiled once.

    Args:
        beside: Into copies that stand beside the real tables, in the session alone.
    """

    def __init__(self, dialect: Dialect, *, beside: bool = False) -> None:
        self.dialect = dialect
        self.beside = beside
        self._puts: dict[SqlTable, tuple[str, Callable[[Image], Sequence[Any]]]] = {}
        self._takes: dict[SqlTable, tuple[str, Callable[[Image], Sequence[Any]]]] = {}
        self._columns: dict[SqlTable, frozenset[str]] = {}

    def making(self, target: Target, indexed: Iterable[str] = ()) -> list[Statement]:
        """Return what makes an empty copy of a table in the session: its columns and its key, and nothing that could refuse a row.

        Args:
            indexed: Columns by which rows will be looked for.
        """
        return [
            Statement(sql, (), "beside") for sql in self.dialect.beside(target.table, tuple(dict.fromkeys(indexed)))
        ]

    def put(self, target: Target, image: Image) -> Statement:
        """Return what writes a row as its image says, over the row of that key where there is one."""
        table = target.table
        held = self._puts.get(table)
        if held is None:
            held = self._puts[table] = self.dialect.putting(table, generated=self.beside)
        return Statement(held[0], held[1](self._today(target, image)), "put")

    def take(self, target: Target, image: Image) -> Statement:
        """Return what deletes the row of an image's key."""
        table = target.table
        held = self._takes.get(table)
        if held is None:
            held = self._takes[table] = self.dialect.taking(table)
        return Statement(held[0], held[1](self._today(target, image)), "take")

    def _today(self, target: Target, image: Image) -> Image:
        """Return an image by the columns that the table has today, where it is of older ones."""
        columns = self._columns.get(target.table)
        if columns is None:
            columns = self._columns[target.table] = frozenset(column.name for column in target.table.columns)
        return image if image.keys() <= columns else _lifted(target, image, columns)


def keying(dialect: Dialect, target: Target) -> Callable[[Image], dict[str, Any]]:
    """Return what gives the key of an image's row as `key_matches` names it: `k0`, `k1` and so on."""
    columns = [(f"k{n}", c.name, dialect.valued(c.type)) for n, c in enumerate(target.table.primary_key.columns)]
    return lambda image: {place: read(image[name]) for place, name, read in columns}


def key_values(dialect: Dialect, target: Target, key: str) -> dict[str, Any] | None:
    """Return a key's values, as `keying` does, of its text; None where the text does not tell."""
    columns = list(target.table.primary_key.columns)
    try:
        told = [key] if len(columns) == 1 else parsed(key)
        made = {}
        for n, (column, value) in enumerate(zip(columns, told, strict=True)):
            whole = isinstance(column.type, sqltypes.Integer)
            made[f"k{n}"] = int(value) if whole else dialect.valued(column.type)(value)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return made


def values_of(dialect: Dialect, target: Target, image: Image) -> dict[str, Any]:
    """Return an image's values, or those of some of its columns, by the mapped class's names, as Python's."""
    made = {}
    for name, column in target.mapped.__mapper__.columns.items():
        if column.name in image:
            value = image[column.name]
            made[name] = None if value is None else dialect.valued(column.type)(value)
    return made


def _lifted(target: Target, image: Image, columns: frozenset[str]) -> Image:
    known = table_of(target.mapped)
    made = {name: value for name, value in image.items() if name in columns}
    for name, value in image.items():
        lift = known.lifts.get(name)
        if name in columns or lift is None:
            continue
        became = lift.call(**{column: image[column] for column in lift.columns if column in image})
        names = target.mapped.__mapper__.columns
        made |= {names[column].name: held for column, held in became.items() if column in names}
        made.setdefault(name, value)
        made.pop(name)
    return made
