"""Columns that tables no longer have: how records of old layers go on reading them, and steps of old layers go on writing them.

Tables live at head: there is one database, and it is today's. What an old layer names is mapped here, beside the model, so that the layer
stays as it was released.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

from dateline.core.model import place
from dateline.core.table import Lift, Lower, Table, table_of
from dateline.errors import BadSignature, WrongColumn

__all__ = ["lift", "lifted", "lower"]

F = TypeVar("F", bound=Callable[..., Any])


def lower(mapped: Any, /) -> Callable[[F], F]:
    """Mark a function that tells what a column held which its table no longer has: `def dose(amount: Decimal, unit: str) -> str`.

    Its name is the column's, and its parameters are the columns of today that it is made of; none for what is always the same.

    Raises:
        BadSignature: Where a parameter is no column, or has no type.
        WrongColumn: Where the table has that column.
    """

    def mark(function: F) -> F:
        table, where = table_of(mapped), place(function)
        parameters = _parameters(table, function, where)
        for name in parameters:
            if name not in table.columns:
                raise BadSignature(
                    f"{where}: {name!r} is no column of {table.name}; it has {', '.join(sorted(table.columns))}"
                )
        hints = get_type_hints(function, include_extras=True)
        if missing := [name for name in (*parameters, "return") if name not in hints]:
            raise BadSignature(f"{where}: {missing[0]} has no type; a record is made of what the types say")
        _free(table, function.__name__, where)
        table.lowers[function.__name__] = Lower(function, {name: hints[name] for name in parameters})
        return function

    return mark


def lift(mapped: Any, /) -> Callable[[F], F]:
    """Mark a function that turns old columns into those of today: `def dose(dose: str) -> dict[str, Any]`.

    Its parameters are the old columns that it takes together; one with a default may be left out by a step.

    Raises:
        BadSignature: Where it takes nothing.
        WrongColumn: Where the table has one of these columns.
    """

    def mark(function: F) -> F:
        table, where = table_of(mapped), place(function)
        parameters = _parameters(table, function, where)
        if not parameters:
            raise BadSignature(f"{where}: takes no column; name the old one: def dose(dose: str) -> dict[str, Any]")
        needed = frozenset(name for name, one in parameters.items() if one.default is one.empty)
        made = Lift(function, tuple(parameters), needed)
        for name in parameters:
            _free(table, name, where)
            table.lifts[name] = made
        return function

    return mark


def _parameters(table: Table, function: Callable[..., Any], where: str) -> Mapping[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    for name, one in parameters.items():
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise BadSignature(f"{where}: {name!r} has to be named; it stands for a column of {table.name}")
    return parameters


def _free(table: Table, name: str, where: str) -> None:
    if name in table.columns:
        raise WrongColumn(f"{where}: {table.name} has a column {name!r}; only what it no longer has is mapped")


def lifted(table: Table, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a step's values by today's columns.

    Raises:
        WrongColumn: Where an old column is named without those that belong to it, or beside a column that it becomes.
    """
    made = {name: value for name, value in values.items() if name not in table.lifts}
    done: set[int] = set()
    for name in values:
        one = table.lifts.get(name)
        if one is None or id(one) in done:
            continue
        done.add(id(one))
        if missing := sorted(one.needed - values.keys()):
            raise WrongColumn(f"{where} names {name} and not {missing[0]}, and {place(one.call)} takes them together")
        became = one.call(**{column: values[column] for column in one.columns if column in values})
        for column, value in became.items():
            if column in made:
                raise WrongColumn(
                    f"{where} names {name} and {column}, and the one is made of the other; name one of them"
                )
            made[column] = value
    return made
