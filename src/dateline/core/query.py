"""How a snapshot's field is read: which rows, in which order, how many; or one value. What the criteria are is SQL's matter, not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Query", "Rows", "Value", "rows", "value"]


@dataclass(frozen=True, eq=False)
class Query:
    """What all ways of reading have in common; equal only to itself."""


@dataclass(frozen=True, eq=False)
class Rows(Query):
    """Which rows."""

    criteria: tuple[Any, ...]
    order_by: tuple[Any, ...] = ()
    at_most: int | None = None
    first: int | None = None


@dataclass(frozen=True, eq=False)
class Value(Query):
    """Which value."""

    statement: Any


def rows(*criteria: Any, order_by: Any = (), at_most: int | None = None, first: int | None = None) -> Any:
    """Declare the rows that a snapshot's field holds; its type says how many: `X` one, `X | None` at most one, `tuple[X, ...]` many.

    Args:
        criteria: SQLAlchemy conditions, all of which hold; `given("field")` stands for what the event brings.
        order_by: One column or several; without it, many rows come by primary key.
        at_most: More rows than this refuse the event with `TooMany`.
        first: Take this many and leave the rest unread.
    """
    if at_most is not None and first is not None:
        raise TypeError("rows() takes at_most (refuse more) or first (leave the rest unread), not both")
    for limit in (at_most, first):
        if limit is not None and limit < 1:
            raise TypeError("rows() counts from 1")
    ordering = tuple(order_by) if isinstance(order_by, list | tuple) else (order_by,)
    return Rows(criteria, ordering, at_most, first)


def value(statement: Any) -> Any:
    """Declare a single value that the database computes, such as `value(select(func.count()).select_from(Task).where(…))`."""
    return Value(statement)
