"""What the core needs to know of a mapped table: its columns, its key, what a column takes.

Seen through the attributes that SQLAlchemy gives its mapped classes, so that the core needs no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, partial
from math import isnan
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from dateline.core.canon import canonical, plain
from dateline.core.model import PERSONAL, place
from dateline.errors import WrongColumn, WrongText, WrongValue

__all__ = ["PLAIN", "SURE", "Column", "Lift", "Lower", "Table", "row_key", "table_of"]

PLAIN: frozenset[type] = frozenset({str, int, float, bool, bytes, Decimal, datetime, date, time, timedelta})
"""Types whose values say by themselves whether a column can hold them."""

SURE: frozenset[type] = frozenset({int, bool, date, time, timedelta})
"""Those of them whose every value fits into a column of that very type."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, under the name that the mapped class gives it.

    Args:
        takes: The Python type of its values, or None where only the database can tell.
        length: The most characters or bytes it takes.
        aware: Whether instants need a time zone; None where it holds no instants.
        given: Whether the database gives a value where none is sent.
        personal: Whether its values are about a person.
    """

    name: str
    takes: type | None
    nullable: bool
    length: int | None
    aware: bool | None
    given: bool
    default: Any
    has_default: bool
    personal: bool

    def check(self, table: str, value: Any) -> None:
        """Refuse a value that the column cannot hold.

        Raises:
            WrongValue: Naming table, column, and what it takes; never the value. `WrongText` for texts and bytes of the right type.
        """
        if value is None:
            if not self.nullable:
                raise WrongValue(f"{table}.{self.name} takes no None")
            return
        takes = self.takes
        if takes is None:
            return
        found = type(value)
        if found is not takes and not self._close(takes, value):
            mend = "; write str(…) of it, or make the column a Uuid" if takes is str and isinstance(value, UUID) else ""
            raise WrongValue(f"{table}.{self.name} takes {takes.__name__}, not {found.__name__}{mend}")
        if takes is str:
            self._text(table, value)
        elif takes is bytes and self.length is not None and len(value) > self.length:
            raise WrongText(f"{table}.{self.name} takes {self.length} bytes at most, not {len(value)}")
        elif self.aware is not None and isinstance(value, datetime) and (value.tzinfo is not None) != self.aware:
            raise WrongValue(f"{table}.{self.name} takes {'aware' if self.aware else 'naive'} instants only")
        elif found in (float, Decimal) and isnan(value):
            raise WrongValue(f"{table}.{self.name} takes numbers, and this is not a number")

    @staticmethod
    def _close(takes: type, value: Any) -> bool:
        if isinstance(value, bool):
            return takes is bool
        if takes in (float, Decimal):
            return isinstance(value, int | takes)
        if takes is date:
            return isinstance(value, date) and not isinstance(value, datetime)
        return isinstance(value, takes)

    def _text(self, table: str, value: str) -> None:
        if self.length is not None and len(value) > self.length:
            raise WrongText(f"{table}.{self.name} takes {self.length} characters at most, not {len(value)}")
        if "\0" in value:
            raise WrongText(
                f"{table}.{self.name} takes no NUL character; no database text can hold it on every database"
            )
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise WrongText(f"{table}.{self.name} takes no lone surrogates; they are no text") from None


@dataclass(frozen=True, slots=True)
class Lower:
    """What tells an old column's value of a row.

    Args:
        parts: The columns of today that it is made of, with their types.
    """

    call: Callable[..., Any]
    parts: Mapping[str, Any]

    @property
    def where(self) -> str:
        """File, line and name, for errors."""
        return place(self.call)

    @property
    def day(self) -> str:
        """It is of no date: tables have today's columns."""
        return "today's tables"


@dataclass(frozen=True, slots=True, eq=False)
class Lift:
    """What turns values of old columns into those of today.

    Args:
        columns: The old ones that it takes together.
        needed: Those of them that have to be named.
    """

    call: Callable[..., Mapping[str, Any]]
    columns: tuple[str, ...]
    needed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapped table as decisions see it.

    Args:
        name: The table's name in the database, with its schema where it has one.
        key: The primary key's columns, in its order.
        lowers: How old columns are read.
        lifts: How old columns are written.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    lowers: dict[str, Lower] = field(default_factory=dict, compare=False, repr=False)
    lifts: dict[str, Lift] = field(default_factory=dict, compare=False, repr=False)

    def known(self, names: Iterable[str], where: str) -> None:
        """Refuse names that are no columns.

        Raises:
            WrongColumn: Naming the column and those that there are.
        """
        for name in names:
            if name not in self.columns:
                raise WrongColumn(
                    f"{where}: table {self.name} has no column {name!r}; it has {', '.join(sorted(self.columns))}"
                )


@cache
def table_of(mapped: Any) -> Table:
    """Return what a mapped class says of its table.

    Raises:
        WrongColumn: When the class is not mapped.
    """
    mapper = getattr(mapped, "__mapper__", None)
    if mapper is None:
        raise WrongColumn(f"{getattr(mapped, '__qualname__', mapped)} is not a mapped class; name a SQLAlchemy model")
    hints = _hints(mapped)
    columns = {
        name: _column(name, column, hints.get(name))
        for name, column in mapper.columns.items()
        if column.table is mapper.local_table
    }
    names = {column: name for name, column in mapper.columns.items()}
    key = tuple(names[column] for column in mapper.local_table.primary_key.columns)
    made = Table(str(mapper.local_table.fullname), columns, key)
    for name, target in mapper.synonyms.items():
        # Another name of a column that there is, for those who knew it by that.
        if target.name in columns:
            made.lowers[name] = Lower(
                lambda **parts: next(iter(parts.values())),
                {target.name: _value_of(hints.get(name, hints.get(target.name, Any)))},
            )
            made.lifts[name] = Lift(partial(_renamed, target.name), (name,), frozenset((name,)))
    return made


def _value_of(hint: Any) -> Any:
    """Return the type of a column's values, of which a model says `Mapped[…]`."""
    return get_args(hint)[0] if getattr(get_origin(hint), "__name__", "") == "Mapped" else hint


def _renamed(target: str, /, **named: Any) -> Mapping[str, Any]:
    return dict.fromkeys((target,), next(iter(named.values())))


def _hints(mapped: Any) -> Mapping[str, Any]:
    try:
        return get_type_hints(mapped, include_extras=True)
    except NameError:
        # A relationship may name a class that only type checkers import; such a table marks its personal columns with info=.
        return {}


def _marks(annotation: Any) -> bool:
    if annotation is PERSONAL:
        return True
    parts = (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
    return any(_marks(part) for part in parts) if parts or get_origin(annotation) else False


def _column(name: str, column: Any, hint: Any) -> Column:
    kind = column.type
    impl = getattr(kind, "impl", kind)
    decorated = hasattr(kind, "process_bind_param")
    try:
        takes = kind.python_type
    except NotImplementedError:
        takes = None
    # A decorated type's values are its own business, unless it says itself which Python type it takes.
    if takes not in PLAIN or (decorated and "python_type" not in vars(type(kind))):
        takes = None
    default = column.default
    has_default = default is not None and bool(getattr(default, "is_scalar", False))
    return Column(
        name=name,
        takes=takes,
        nullable=bool(column.nullable) and not column.primary_key,
        length=getattr(impl, "length", None) if takes in (str, bytes) else None,
        aware=bool(getattr(kind, "timezone", False)) if takes is datetime else None,
        given=column.server_default is not None
        or column.computed is not None
        or column.identity is not None
        or (default is not None and bool(getattr(default, "is_sequence", False)))
        or column is column.table.autoincrement_column,
        default=default.arg if has_default else None,
        has_default=has_default,
        personal=bool(column.info.get("personal")) or _marks(hint),
    )


def row_key(values: Iterable[Any]) -> str:
    """Return a row's key as text: the value itself where the key is one column, else a canonical array."""
    key = tuple(values)
    if len(key) == 1:
        only = key[0]
        if type(only) is str:
            return only
        if type(only) is int or type(only) is UUID:
            return str(only)
        made = plain(only)
        return made if isinstance(made, str) else canonical(made).decode()
    return canonical(key).decode()
