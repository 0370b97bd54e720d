"""The state that handlers ask for: snapshots of records, read before any handler runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, cached_property, partial
from types import NoneType, UnionType, new_class
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args, get_origin
from uuid import UUID

from pydantic import ValidationError

from dateline.core.canon import canonical, digest
from dateline.core.event import Event, places
from dateline.core.model import PERSONAL, Model, faults, personal_fields, place
from dateline.core.purity import purely
from dateline.core.query import Query, Rows, Value
from dateline.core.table import Table, row_key, table_of
from dateline.errors import Impure, Malformed, NotQueried, WrongColumn

__all__ = ["Field", "Record", "Snapshot", "fields_of", "fingerprint", "key_of", "row_of"]

T = TypeVar("T")


class Record(Model, Generic[T]):
    """The columns of one row that a decision may see, the whole primary key among them: `class Balance(Record[Account])`.

    Args:
        subject: Whose the row's personal values are, as a template over the record's fields.
    """

    __table__: ClassVar[Any] = None
    __subject__: ClassVar[str | None] = None
    __personal_columns__: ClassVar[Mapping[str, Any]] = {}
    __head__: ClassVar[AtHead | None] = None

    def __eq__(self, other: object) -> bool:
        """Two records are equal where their fields are, whatever they were made of."""
        return type(self) is type(other) and isinstance(other, Record) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __init_subclass__(cls, *, subject: str | None = None, **config: Any) -> None:
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(cls, *, subject: str | None = None, **config: Any) -> None:
        mapped = next(
            (
                args[0]
                for base in cls.__mro__
                if (made := getattr(base, "__pydantic_generic_metadata__", None)) and (args := made["args"])
            ),
            None,
        )
        if mapped is None or isinstance(mapped, TypeVar) or cls.__pydantic_generic_metadata__["args"]:
            return
        cls.__table__ = mapped
        cls.__subject__ = subject or cls.__subject__
        where = f"{cls.__module__}.{cls.__qualname__}"
        table = table_of(mapped)
        old = [name for name in cls.model_fields if name not in table.columns and name in table.lowers]
        table.known((name for name in cls.model_fields if name not in old), where)
        cls.__head__ = _at_head(cls, table, old) if old else None
        missing = [name for name in table.key if name not in cls.model_fields]
        if missing:
            raise WrongColumn(f"{where}: a record holds its row's whole primary key; add {', '.join(missing)}")
        _fitting(cls, table)
        personal = {name: True for name, column in table.columns.items() if column.personal}
        made_of = {name: table.lowers[name].parts for name in old}
        cls.__personal_columns__ = personal | {
            n: True for n, parts in made_of.items() if personal.keys() & parts.keys()
        }
        for name in places(cls.__subject__ or ""):
            if name not in cls.model_fields:
                raise WrongColumn(f"{where}: its subject names {name!r}, which is not a field of it")


@dataclass(frozen=True, eq=False)
class AtHead:
    """How a record that names columns which its table no longer has is read: as another record, of today's columns.

    Args:
        made: Makes the one of the other; which is kept, since later steps may change it.
    """

    record: type[Record[Any]]
    made: Callable[[Record[Any]], Record[Any]]


def _at_head(record: type[Record[Any]], table: Table, old: list[str]) -> AtHead:
    parts = {part: hint for name in old for part, hint in table.lowers[name].parts.items()}
    kept = {name: info.rebuild_annotation() for name, info in record.model_fields.items() if name not in old}
    space = {"__module__": record.__module__, "__annotations__": {**parts, **kept}}
    base: Any = Record
    head = new_class(
        f"{record.__name__}AtHead",
        (base[record.__table__],),
        {"subject": record.__subject__},
        lambda held: held.update(space),
    )

    def made(found: Record[Any]) -> Record[Any]:
        values = {name: getattr(found, name) for name in kept}
        for name in old:
            lower = table.lowers[name]
            try:
                parts = {part: getattr(found, part) for part in lower.parts}
                values[name] = purely(lower, partial(lower.call, **parts))
            except Impure:
                raise
            except Exception as error:
                # Its text stays in the chained cause: it may hold what is in the row.
                raise Malformed(
                    f"{place(lower.call)} raised {type(error).__name__} over a row of {table.name}"
                ) from error
        try:
            lowered = record(**values)
        except ValidationError as error:
            raise faults(f"{record.__qualname__} (made of what {table.name} holds today)", error) from None
        object.__setattr__(lowered, "__pydantic_private__", {"_head": found})
        return lowered

    return AtHead(head, made)


_TEXTS: frozenset[Any] = frozenset({str, bytes, UUID})
_NUMBERS: frozenset[Any] = frozenset({int, float, bool, Decimal})
_TIMES: frozenset[Any] = frozenset({datetime, date, time, timedelta})
_NEVER: Mapping[Any, frozenset[Any]] = {
    str: _NUMBERS - {Decimal},
    int: _TEXTS | _TIMES | {bool},
    float: _TEXTS | _TIMES | {bool},
    bool: _TEXTS | _TIMES | _NUMBERS - {bool},
    bytes: _NUMBERS | _TIMES | {UUID},
    Decimal: _TIMES | {UUID, int, bool},
    datetime: _NUMBERS | _TIMES - {datetime} | {bytes, UUID},
    date: _NUMBERS | _TIMES - {date} | {bytes, UUID},
    time: _NUMBERS | {bytes, UUID, datetime, date},
    timedelta: _NUMBERS | {UUID, datetime, date, time},
}
"""For what a column takes, the types that hold none of its values, however they are read: as Python's or as JSON."""


def _fitting(record: type[Record[Any]], table: Table) -> None:
    """Refuse a field that none of its column's values fits; where a type or a validator of the application's may take them, trust it.

    Raises:
        WrongColumn: Naming file, record, column and mend.
    """
    validators = record.__pydantic_decorators__
    if validators.model_validators or record.model_config.get("strict") is not True:
        return
    handled = {name for one in validators.field_validators.values() for name in one.info.fields}
    for name, info in record.model_fields.items():
        if name not in table.columns:
            continue
        takes = table.columns[name].takes
        if takes is None or handled & {name, "*"} or not all(_plain(found) for found in info.metadata):
            continue
        held = set(_leaves(info.annotation)) - {NoneType}
        if held and held <= _NEVER[takes]:
            raise WrongColumn(
                f"{place(record)}.{name} is {' | '.join(sorted(found.__name__ for found in held))}, "
                f"and the column {table.name}.{name} holds {takes.__name__}; write {name}: {takes.__name__}"
                f"{' | None' if table.columns[name].nullable else ''}"
            )


def _plain(mark: Any) -> bool:
    """Tell whether a mark in an annotation restricts values, and changes none."""
    return mark is PERSONAL or type(mark).__module__.partition(".")[0] == "annotated_types"


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the classes that an annotation allows; None for what is no class, or not known for sure."""
    if hasattr(annotation, "__supertype__"):
        yield from _leaves(annotation.__supertype__)
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _leaves(part)
    elif get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from _leaves(inner) if all(_plain(mark) for mark in marks) else (None,)
    else:
        yield annotation if isinstance(annotation, type) else None


def _selects_personal(statement: Any) -> bool:
    """Tell whether a value is taken from a personal column; SQLAlchemy's annotations say of which mapped class it is."""
    for column in getattr(statement, "selected_columns", ()):
        mapper = getattr(column, "_annotations", {}).get("parententity")
        known = table_of(mapper.class_).columns.get(column.key) if mapper is not None else None
        if known is not None and known.personal:
            return True
    return False


def row_of(record: Record[Any]) -> str:
    """Return which row a record is of: `table/key`. A function, since `row` and `key` are names that columns have."""
    return f"{table_of(record.__table__).name}/{key_of(record)}"


def key_of(record: Record[Any]) -> str:
    """Return the key of a record's row, as text."""
    return row_key(getattr(record, name) for name in table_of(record.__table__).key)


class Snapshot(Model):
    """What one or several handlers need to see: `class Payer(Snapshot): account: Balance = rows(Account.id == given("account"))`."""

    __queries__: ClassVar[Mapping[str, Query]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **config: Any) -> None:
        for name in cls.model_fields:
            if name not in cls.__queries__:
                raise NotQueried(
                    f"{cls.__module__}.{cls.__qualname__}.{name} does not say how it is read; give it rows(…) or value(…)"
                )


@dataclass(frozen=True, eq=False)
class Field:
    """One field of a snapshot, ready to be read.

    Args:
        record: The record class of its rows; None for a value.
        table: The rows' table; None for a value.
        least: The fewest rows that it takes.
        most: The most rows that it takes; None for any number.
        personal: The value is about a person; of rows, their records say which columns are.
        shape: The shape of the event that its query is written for, and what turns an event into it; None where there is but one.
    """

    snapshot: type[Snapshot]
    name: str
    query: Query
    record: type[Record[Any]] | None
    table: Table | None
    least: int
    most: int | None
    personal: bool = False
    shape: tuple[type[Event], Callable[[Event], Event]] | None = None

    @cached_property
    def path(self) -> str:
        """Snapshot and field, as refusals name them."""
        return f"{self.snapshot.__qualname__}.{self.name}"

    @cached_property
    def place(self) -> str:
        """Snapshot and field with the folder of its date, as the record names them: two dates may use one name."""
        return ".".join((*self.snapshot.__module__.split(".")[-2:], self.path))

    @property
    def read(self) -> type[Record[Any]]:
        """The record as which its rows are read: its own, or that of today's columns."""
        assert self.record is not None
        return self.record if self.record.__head__ is None else self.record.__head__.record

    def lowered(self, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what was read as the handlers see it."""
        if self.record is None or self.record.__head__ is None:
            return rows
        return tuple(map(self.record.__head__.made, rows))

    @cached_property
    def plain(self) -> bool:
        """Whether it takes one row, and no more."""
        return self.record is not None and self.most == 1

    @cached_property
    def many(self) -> bool:
        """Whether it holds any number of rows."""
        return self.most is None

    @property
    def limit(self) -> int | None:
        """Rows to read: one more than is taken, so that a surplus is seen."""
        if isinstance(self.query, Rows):
            if self.query.first is not None:
                return self.query.first
            if self.query.at_most is not None:
                return self.query.at_most + 1
        return None if self.most is None else self.most + 1


@cache
def fields_of(snapshot: type[Snapshot]) -> tuple[Field, ...]:
    """Return a snapshot's fields as its types and queries declare them.

    Raises:
        NotQueried: When type and query do not fit each other.
    """
    snapshot.model_rebuild()
    return tuple(_field(snapshot, name, info.annotation) for name, info in snapshot.model_fields.items())


def _field(snapshot: type[Snapshot], name: str, annotation: Any) -> Field:
    query = snapshot.__queries__[name]
    if isinstance(query, Value):
        empty = type(None) in get_args(annotation) if get_origin(annotation) in (Union, UnionType) else False
        personal = name in personal_fields(snapshot) or _selects_personal(query.statement)
        return Field(snapshot, name, query, None, None, 0 if empty else 1, 1, personal)
    where = f"{snapshot.__module__}.{snapshot.__qualname__}.{name}"
    least, most, inner = 1, 1, annotation
    if get_origin(annotation) in (Union, UnionType):
        given = get_args(annotation)
        least, inner = 0, next((arg for arg in given if arg is not type(None)), None)
        if len(given) != 2 or type(None) not in given:
            inner = None
    elif get_origin(annotation) is tuple:
        args = get_args(annotation)
        if len(args) != 2 or args[1] is not Ellipsis:
            raise NotQueried(f"{where}: many rows are written tuple[X, ...]")
        least, inner = 0, args[0]
    if not (isinstance(inner, type) and issubclass(inner, Record) and inner.__table__ is not None):
        raise NotQueried(
            f"{where}: rows(…) gives records; its type is X, X | None or tuple[X, ...], where X is a Record[Table]"
        )
    many = get_origin(annotation) is tuple
    if not many and isinstance(query, Rows) and (query.at_most or (query.first or 1) != 1):
        raise NotQueried(f"{where}: at_most= and first= are for tuple[X, ...]; of one row, only first=1 can be asked")
    return Field(snapshot, name, query, inner, table_of(inner.__table__), least, None if many else most)


def fingerprint(record: Record[Any], fields: Iterable[str] = ()) -> str:
    """Return the digest that binds a decision to what was seen of one row.

    Args:
        fields: Columns that count, in any order; all of the record's when empty.

    Returns:
        64 lowercase hex digits of SHA-256 over the canonical JSON of those fields.

    Source: RFC 8785 (canonical JSON), FIPS 180-4 (SHA-256).
    """
    chosen = sorted(fields) or sorted(type(record).model_fields)
    return digest(canonical({name: getattr(record, name) for name in chosen}))
