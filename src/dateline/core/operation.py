"""One row change as data: insert, update, delete."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeAlias, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dateline.core.head import lifted
from dateline.core.meta import NewId
from dateline.core.snapshot import Record
from dateline.core.step import Step
from dateline.core.table import PLAIN, SURE, Table, row_key, table_of
from dateline.errors import Unassigned, WrongColumn, WrongValue

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute
    from sqlalchemy.sql.elements import SQLCoreOperations

__all__ = ["Assigned", "Delete", "Insert", "Operation", "Placeholder", "Update"]

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")


if TYPE_CHECKING:
    # A mapped dataclass takes an SQL expression of the column's type wherever it takes a value, and so takes this.
    class _Expression(SQLCoreOperations[V]):
        pass
else:

    class _Expression(Generic[V]):
        __slots__ = ()


class Placeholder(_Expression[V]):
    """A value that the database will assign when the plan is committed; until then it can be passed on, and nothing else."""

    __slots__ = ("column", "step")

    def __init__(self, step: Insert[Any], column: str) -> None:
        self.step = step
        self.column = column

    @property
    def row(self) -> object:
        """What the insert and all copies of it have in common, before there is a key."""
        return self.step.row

    def __repr__(self) -> str:
        return f"<{self.step.table.name}.{self.column}, assigned at commit>"

    def __format__(self, spec: str) -> str:
        raise Unassigned(
            f"{self!r} has no value before the commit; pass it on as it is, in a field of type Assigned[…]"
        )

    def __str__(self) -> str:
        return self.__format__("")

    def __eq__(self, other: object) -> bool:  # type: ignore[override]  # an expression's == would be another expression
        return isinstance(other, Placeholder) and (self.step, self.column) == (other.step, other.column)

    def __hash__(self) -> int:
        return hash((self.step.table.name, self.column))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


Assigned: TypeAlias = V | Placeholder[V]
"""The type of an effect's field that may hold what the database has yet to assign: `number: Assigned[int]`."""


class Operation(Step, Generic[T]):
    """What insert, update and delete have in common: a table, a row's key, values by column.

    Args:
        key_values: The primary key's values in its order; None where the database assigns the key.
        row_key: The same as text.
        named: Values of columns that the table no longer has, as an old layer's step names them.
    """

    verb: str = ""
    named: Mapping[str, Any] = MappingProxyType({})

    mapped: Any
    table: Table
    key_values: tuple[Any, ...] | None
    row_key: str | None
    values: Mapping[str, Any]

    def known_by(self, key: tuple[Any, ...]) -> None:
        """Take the values of the key; of one that the database has yet to assign, or a part of it, nothing is known."""
        kinds = set(map(type, key))
        open_ = NoneType in kinds or Placeholder in kinds
        self.key_values = None if open_ else key
        self.row_key = None if open_ else row_key(key)

    def step_type(self) -> str:
        """Return verb and table."""
        return f"{type(self).__name__}:{self.table.name}"

    def step_part(self) -> str | None:
        """Return what `keyed` says, else the row's key."""
        return self._part if self._part is not None else self.row_key

    def __repr__(self) -> str:
        named = "".join(f", {name}={value!r}" for name, value in self.values.items())
        return f"{type(self).__name__}({self.table.name}[{self.row_key or 'new'}]{named})"

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Operation)
            and (self.mapped, self.key_values, self.values, self._part)
            == (other.mapped, other.key_values, other.values, other._part)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.table.name, self.row_key))


class Insert(Operation[T]):
    """A new row: `Insert(Invoice, customer=…, cents=…)`, typed where the table is a mapped dataclass.

    `invoice[Invoice.number]` stands for a value that the database assigns.

    Raises:
        WrongColumn: For a column that the table lacks, or one that is needed and missing.
        WrongValue: For a value that its column cannot hold.
    """

    verb = "insert"

    def __init__(self, table: Callable[P, T], /, *args: P.args, **values: P.kwargs) -> None:
        if not isinstance(table, type):
            raise WrongColumn(
                f"Insert takes a mapped class and its columns' values, as in Insert(Account, id=…), not {_sort(table)}"
            )
        given: dict[str, Any] = _positional(table, args) if args else {}
        given.update(values)
        self.mapped = table
        self.table = seen = table_of(table)
        where = f"Insert({seen.name})"
        if seen.lifts:
            self.named = {name: value for name, value in given.items() if name in seen.lifts}
            given = lifted(seen, given, where)
        _checked(seen, given, where)
        if len(given) < len(seen.columns):
            for name, column in seen.columns.items():
                if name in given:
                    continue
                if column.has_default:
                    given[name] = column.default
                elif not column.nullable and not column.given:
                    raise WrongColumn(
                        f"{where} needs {name}: the column takes no NULL, and the database gives it no value"
                    )
        self.values = given
        self.row = object()
        self.known_by(tuple([given.get(name) for name in seen.key]))

    def step_part(self) -> str | None:
        """Return what `keyed` says, else the row's key or the name under which the event made it."""
        if self._part is not None:
            return self._part
        if self.key_values is None or NewId not in map(type, self.key_values):
            return self.row_key
        return row_key(value.name if type(value) is NewId else value for value in self.key_values)

    def __getitem__(self, column: InstrumentedAttribute[V]) -> Placeholder[V]:
        if not hasattr(column, "key"):
            raise WrongColumn(
                f"a value that the database assigns is asked for by the model's column, as in made[Invoice.number], not {_sort(column)}"
            )
        self.table.known((column.key,), "placeholder")
        return Placeholder(self, column.key)

    def __iter__(self) -> NoReturn:
        # __getitem__ alone would make Python believe that a step can be iterated.
        raise TypeError("an Insert is one step; yield it as it is")


class Update(Operation[T]):
    """New values for some columns of one row: `Update(payer.account, cents=…)`.

    Raises:
        WrongColumn: For a column that the table lacks, or one of the key.
        WrongValue: For a value that its column cannot hold, or what is no record that was seen.
    """

    verb = "update"

    def __init__(self, record: Record[T], /, **values: Any) -> None:
        _seen(record, "Update")
        self.mapped = record.__table__
        self.table = seen = table_of(record.__table__)
        where = f"Update({seen.name})"
        if not values:
            raise WrongColumn(f"{where} changes nothing; name at least one column")
        if seen.lifts:
            self.named = {name: value for name, value in values.items() if name in seen.lifts}
            values = lifted(seen, values, where)
        for name, value in values.items():
            if name in seen.key:
                raise WrongColumn(
                    f"{where} cannot change {name}, which is of the key; delete the row and insert another"
                )
            if type(value) not in PLAIN and (hasattr(value, "__clause_element__") or hasattr(value, "compile")):
                raise WrongValue(
                    f"{where} {name} is an SQL expression; a decision is a value: read it in a snapshot, then compute"
                )
        _checked(seen, values, where)
        self.values = values
        self.key_values = key = tuple([getattr(record, name) for name in seen.key])
        self.row_key = row_key(key)


class Delete(Operation[T]):
    """The row is no more: `Delete(chart.draft)`.

    Raises:
        WrongValue: For what is no record that was seen.
    """

    verb = "delete"

    def __init__(self, record: Record[T], /) -> None:
        _seen(record, "Delete")
        self.mapped = record.__table__
        self.table = seen = table_of(record.__table__)
        self.values = {}
        self.key_values = key = tuple([getattr(record, name) for name in seen.key])
        self.row_key = row_key(key)


def _checked(table: Table, values: Mapping[str, Any], where: str) -> None:
    """Refuse names that are no columns, and values that their columns cannot hold.

    Raises:
        WrongColumn, WrongValue: As `Table.known` and `Column.check` say.
    """
    columns = table.columns
    for name, value in values.items():
        column = columns.get(name)
        if column is None:
            table.known(values, where)
            continue
        kind = type(value)
        # What most values are, without a call for each of them.
        if column.takes is None:
            if value is not None:
                continue
        elif kind is column.takes and (
            kind in SURE
            or (
                kind is str
                and (column.length is None or len(value) <= column.length)
                and value.isascii()
                and "\0" not in value
            )
        ):
            continue
        if kind is not Placeholder:
            column.check(table.name, value)


def _seen(record: Any, step: str) -> None:
    if record is None:
        raise WrongValue(f"{step}(None): there is no such row; where a snapshot says X | None, ask for None first")
    if not (isinstance(record, Record) and record.__table__ is not None):
        raise WrongValue(
            f"{step} takes a record that a snapshot has seen, as in {step}(payer.account), not {_sort(record)}"
        )


def _positional(table: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return dict(inspect.signature(table).bind_partial(*args).arguments)
    except TypeError:
        raise WrongColumn(
            f"Insert({table.__qualname__}, …): name the columns, as in id=…; only a mapped dataclass has an order"
        ) from None


def _sort(found: Any) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else f"a value of {type(found).__qualname__}"
