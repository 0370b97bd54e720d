"""SQLAlchemy expressions, compiled once, executed as plain text ever after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Dialect, Text, TypeDecorator, func, select
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import ClauseElement, operators, visitors
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.types import TypeEngine

from dateline.core.canon import canonical
from dateline.core.event import Event
from dateline.errors import NotStorable
from dateline.sql.given import Given, getter
from dateline.sql.statement import Statement

__all__ = ["Compiled", "Merger", "Source", "Whole", "compiled", "light"]


class _JsonList(TypeDecorator[Any]):
    """A list as SQLite takes it: one JSON text, each item as its column stores it."""

    impl = Text
    cache_ok = False

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        process = self.item.dialect_impl(dialect).bind_processor(dialect)
        return canonical([process(item) if process else item for item in value or ()]).decode()


class Source(NamedTuple):
    """Where one parameter comes from.

    Args:
        get: Takes it out of an event; None where it is named.
        process: Turns a Python value into the driver's; None where they are the same.
        type: Its SQL type, as text.
    """

    name: str
    get: Callable[[Event], Any] | None
    constant: Any
    process: Callable[[Any], Any] | None
    type: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement's text, and where each of its parameters comes from, in order."""

    sql: str
    sources: tuple[Source, ...]

    @property
    def given(self) -> list[tuple[str, Callable[[Event], Any]]]:
        """The parameters that the event brings: where in it, and what takes them out."""
        return [(one.name, one.get) for one in self.sources if one.get is not None]

    def bind(self, values: Mapping[str, Any], event: Event | None = None) -> list[Any]:
        """Return the parameters in order.

        Raises:
            NotStorable: For a value that its column's type cannot turn into the driver's.
        """
        made = []
        for name, get, constant, process, _ in self.sources:
            value = get(event) if get is not None and event is not None else values.get(name, constant)
            made.append(value if process is None else _processed(name, process, value))
        return made

    def statement(
        self, name: str, values: Mapping[str, Any], event: Event | None = None, *, step: str | None = None
    ) -> Statement:
        """Return the statement with its parameters bound."""
        return Statement(self.sql, self.bind(values, event), name, step)


def compiled(clause: ClauseElement, dialect: Dialect) -> Compiled:
    """Return a clause's text for a dialect with positional parameters."""
    made: Any = _listed(clause, dialect).compile(dialect=dialect)
    sources = []
    for name in made.positiontup or ():
        bind: BindParameter[Any] = made.binds[name]
        get = getter(bind) if isinstance(bind, Given) else None
        process = bind.type.dialect_impl(dialect).bind_processor(dialect)
        named = bind.whence if isinstance(bind, Given) else name
        sources.append(Source(named, get, bind.effective_value, process, repr(bind.type)))
    return Compiled(str(made), tuple(sources))


class Merger:
    """Joins the texts of several pieces into one statement, whose parameters are taken from one flat row of facts.

    A piece's parameters are its scope's. Where the dialect numbers them, two pieces of one scope that name the same thing, of the same
    type, share it, and it is sent once.

    Args:
        layout: What the facts are, in their order: scope and name of each.
    """

    def __init__(self, layout: Sequence[tuple[str, str]], *, numbered: bool) -> None:
        self._places = {named: place for place, named in enumerate(layout)}
        self._numbered = numbered
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._sources: list[tuple[str, Source]] = []

    def add(self, scope: str, piece: Compiled) -> str:
        """Return the piece's text with the numbers that its parameters have in the whole."""
        places = [self._number(scope, source) for source in piece.sources]
        if not self._numbered:
            return piece.sql
        return _NUMBER.sub(lambda found: f"${places[int(found[1]) - 1]}" if found[1] else found[0], piece.sql)

    def _number(self, scope: str, source: Source) -> int:
        key = (scope, source.name, source.type)
        if not self._numbered or key not in self._numbers:
            self._sources.append((scope, source))
            self._numbers[key] = len(self._sources)
        return self._numbers[key]

    def whole(self, sql: str) -> Whole:
        """Return the statement that was put together."""
        given: list[Callable[[Event], Any]] = []
        constants: list[Any] = []
        known, places = len(self._places), []
        count = sum(source.get is not None for _, source in self._sources)
        for scope, source in self._sources:
            if source.get is not None:
                places.append(known + len(given))
                given.append(source.get)
            elif (scope, source.name) in self._places:
                places.append(self._places[scope, source.name])
            else:
                places.append(known + count + len(constants))
                constants.append(source.constant)
        processed = tuple(
            (place, source.name, source.process)
            for place, (_, source) in enumerate(self._sources)
            if source.process is not None
        )
        return Whole(sql, tuple(given), tuple(constants), _taker(places), processed)


@dataclass(frozen=True, slots=True)
class Whole:
    """A statement of several pieces, and where each of its parameters comes from.

    Args:
        given: What an event brings, after the facts.
        constants: What is the same every time, after that.
        take: Takes the parameters, in order, out of all these.
        processed: The places of parameters that the driver takes in another form, with their names and what makes it.
    """

    sql: str
    given: tuple[Callable[[Event], Any], ...]
    constants: tuple[Any, ...]
    take: Callable[[Sequence[Any]], tuple[Any, ...]]
    processed: tuple[tuple[int, str, Callable[[Any], Any]], ...]

    def bind(self, facts: list[Any], event: Event) -> list[Any]:
        """Return the parameters in order.

        Args:
            facts: As the layout says; they are the callee's from here on.

        Raises:
            NotStorable: For a value that its column's type cannot turn into the driver's.
        """
        for get in self.given:
            facts.append(get(event))  # noqa: PERF401 - no call of its own for a comprehension
        facts += self.constants
        made = [*self.take(facts)]
        for place, name, process in self.processed:
            made[place] = _processed(name, process, made[place])
        return made


def _taker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    # One call for all of them; a single place would come without its tuple.
    return itemgetter(*places) if len(places) > 1 else lambda facts: tuple(facts[place] for place in places)


def _processed(name: str, process: Callable[[Any], Any], value: Any) -> Any:
    try:
        return process(value)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise NotStorable(f"{name}: its column cannot hold or compare {type(value).__name__}") from error


# Quoted text is passed over, and so is a name such as `cost$1`.
_NUMBER = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?<![\w$])\$(\d+)")


def _listed(clause: ClauseElement, dialect: Dialect) -> ClauseElement:
    """Replace `column.in_(given(…))` by what takes a whole list as one parameter, so that the text does not depend on its length.

    A named parameter that stands for a list is treated alike.
    """

    def replace(element: Any, **_: Any) -> Any:
        if not (isinstance(element, BinaryExpression) and element.operator in (operators.in_op, operators.not_in_op)):
            return None
        right: Any = element.right
        if not isinstance(right, Given) and not (
            isinstance(right, BindParameter) and right.expanding and right.required
        ):
            return None
        many = right._clone(maintain_key=True)
        many.expanding = False
        column: Any = element.left
        if dialect.name == "postgresql":
            many.type = ARRAY(column.type)
            wanted: Any = func.any(many)
            return column == wanted if element.operator is operators.in_op else ~(column == wanted)
        many.type = _JsonList(column.type)
        inside = select(func.json_each(many).table_valued("value").c.value)
        return column.in_(inside) if element.operator is operators.in_op else column.not_in(inside)

    replaced = visitors.replacement_traverse(clause, {}, replace)
    assert isinstance(replaced, ClauseElement)
    return replaced


def light(table: SqlTable) -> Any:
    """Return a table without defaults: SQLAlchemy would fill in Python's own, which no decision made."""
    return sql_table(table.name, *(sql_column(c.name, c.type) for c in table.columns), schema=table.schema)
