"""The seam to a database: the little in which they differ, in one object each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, bindparam, literal, literal_column, select
from sqlalchemy import Dialect as SqlDialect
from sqlalchemy import Table as SqlTable
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import visitors

from dateline.core.canon import Verbatim, canonical, digest
from dateline.core.cascade import Cascade
from dateline.core.event import Event
from dateline.core.meta import Meta
from dateline.core.model import personal_fields, place
from dateline.core.query import Rows
from dateline.core.request import Seen
from dateline.core.snapshot import Field
from dateline.errors import NotQueried
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.given import Given, seen_through
from dateline.sql.statement import Result, Statement

__all__ = ["Asks", "Dialect", "Question", "Reading", "asked", "question", "select_of", "shared", "unmoved"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One query of a snapshot in a form that is the same on every database.

    Args:
        normal: Its text in SQLAlchemy's neutral dialect, and where its parameters come from.
        digest: The first sixteen hex digits of the text's SHA-256.
        shape: The shape of the event that it is written for, where there are several.
    """

    normal: Compiled
    digest: str
    shape: type[Event] | None = None

    @cache  # noqa: B019 - there are as many questions as there are queries in the versions
    def given(self, event: type[Event]) -> tuple[tuple[str, Callable[[Event], Any]], ...]:
        """Return what the record keeps of the query's parameters: where in the event each is, and what takes it out."""
        # A personal value stands, sealed, in the input; a second time here it could not be erased.
        return tuple((path, get) for path, get in self.normal.given if not _personal(event, path))


def asked(questions: Iterable[Question], event: Event) -> tuple[dict[str, Any], ...]:
    """Return what the record keeps of queries: which each is, and with what it was asked."""
    kind = type(event)
    texts: dict[tuple[str, ...], Verbatim] = {}
    made = []
    for one in questions:
        given = one.given(one.shape or kind)
        paths = tuple([path for path, _ in given])
        if paths not in texts:
            # Most queries of an event ask with the same.
            texts[paths] = Verbatim(canonical({path: get(event) for path, get in given}))
        made.append({"query": one.digest, "given": texts[paths]})
    return tuple(made)


class Asks(Protocol):
    """What asks for fields: a cascade, or whoever wants a few of its fields."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in order."""
        ...


class Reading(ABC):
    """All that one event's decision reads, compiled once: statements for one round trip, and how to take the answer apart."""

    @abstractmethod
    def statements(self, event: Event, looked: Mapping[str, Any]) -> tuple[Statement, ...]:
        """Return the statements; `looked` holds tenant, scope, key and id for the look at the claim and at the event's own id."""

    @abstractmethod
    def proof(self, results: Sequence[Result]) -> Any:
        """Return what the guard compares again inside the write."""

    @abstractmethod
    def answer(self, results: Sequence[Result]) -> Seen:
        """Return the fields' values, the proof for the guard, who has the key, and whether the id is recorded."""


class Dialect(ABC):
    """One database's ways.

    Args:
        name: "postgresql" or "sqlite".
        sql: SQLAlchemy's dialect, with the parameter style that the driver takes.
        begin: What opens a transaction that writes what a decision brought.
        begin_unguarded: What opens one that only adds to the trail; it has read nothing that others could change.
        begin_reading: What opens a transaction that only looks at the trail, and must neither fail nor make writers fail.
        sequenced: Whether what waits for its position is written down with it; where there is one writer at a time, numbers tell that.
        overriding: What lets an insert write a column that the database would always fill itself.
        queues: Whether writers can take turns; where there is one at a time, they queue anyway.
        near: Whether the database is in this process, so that statements one by one cost no round trips.
    """

    name: str
    sql: SqlDialect
    begin: str
    begin_unguarded: str
    begin_reading: str
    sequenced: bool
    queues: bool
    near: bool
    overriding: str = ""

    def __init__(self) -> None:
        self._images: dict[Any, Compiled] = {}

    @abstractmethod
    def reading(self, asks: Asks, *, keyed: bool, look: bool) -> Reading:
        """Compile what is read for some fields."""
        ...

    @abstractmethod
    def image_columns(self, table: SqlTable) -> list[ColumnElement[Any]]:
        """Return what a row's image is selected as."""

    @abstractmethod
    def image_text(self, table: SqlTable, result: Result) -> str | None:
        """Return the canonical JSON of the row that an image statement found."""

    def returned(self, table: SqlTable) -> list[ColumnElement[Any]]:
        """Return what an insert gives back: the row's image, where the key that it wrote may not be the one that was sent."""
        return []

    @abstractmethod
    def now(self) -> ColumnElement[Any]:
        """Return the database's clock."""

    def number(self) -> ColumnElement[Any]:
        """Return the number of the event that this transaction has just recorded, where the database is not near."""
        raise NotImplementedError(f"{self.name} gives the number before it is needed")

    @abstractmethod
    def allocate(self, table: SqlTable, column: Any) -> Compiled:
        """Return what gives the next value of a column that the database assigns, before its row is inserted."""

    @abstractmethod
    def turn(self, place: int, *, wait: bool) -> Statement:
        """Return what takes the turn at a place.

        Args:
            wait: Behind whoever has it, no longer than this database lets anybody wait. Without, it gives whether the turn was free.
        """

    @abstractmethod
    def leave(self) -> tuple[Statement, ...]:
        """Return what gives up all turns."""
        ...

    @abstractmethod
    def paged(self, numbers: Select[Any]) -> tuple[Select[Any], Callable[[Any], ColumnElement[bool]]]:
        """Return what looks the numbers of a page's events up, and for the statements after it the condition that a column is among them.

        Args:
            numbers: The query for the numbers; one column, `seq`.
        """

    def one_of(self, column: Any, among: Select[Any]) -> ColumnElement[bool]:
        """Return the condition that a column is among the few values of a query, so that an index on it can be used."""
        found: ColumnElement[bool] = column.in_(among)
        return found

    @abstractmethod
    def assigned(self, column: Any, value: Any, index: int) -> Any:
        """Return the value that the index-th row of one plan gets, of what was allocated for it."""

    @abstractmethod
    def insert(self, table: Any) -> Any:
        """Return the database's own insert, which can do nothing on a conflict."""

    def rehearsed(self) -> tuple[Statement, ...]:
        """Return what makes constraints speak that would wait for the commit."""
        return ()

    @abstractmethod
    def putting(self, table: SqlTable, *, generated: bool) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        """Return what writes a row over the one of its key, and what makes its parameters of the row's image.

        Args:
            generated: Columns that the database computes are written too, since it does not.
        """

    @abstractmethod
    def valued(self, kind: Any) -> Callable[[Any], Any]:
        """Return what turns the JSON of a column of a type, which is not null, into the value that SQLAlchemy would give."""

    @abstractmethod
    def normal(self, mapped: Any, values: Mapping[str, Any]) -> Compiled | str:
        """Return what gives the JSON of values, by the mapped class's names, as their columns would keep them; or that text itself."""

    @abstractmethod
    def taking(self, table: SqlTable) -> tuple[str, Callable[[Mapping[str, Any]], Sequence[Any]]]:
        """Return what deletes a row, and what makes its parameters of the row's image."""

    def kept_still(self, table: SqlTable) -> tuple[Statement, ...]:
        """Return what keeps writers out of a table until the transaction ends, which it begins; one at a time, they are out already."""
        return ()

    def fallen(self, table: SqlTable) -> tuple[str, ...]:
        """Return what takes a copy away again."""
        return (f"DROP TABLE temp.{self.sql.identifier_preparer.quote(table.name)}",) if self.near else ()

    @abstractmethod
    def beside(self, table: SqlTable, indexed: Sequence[str]) -> list[str]:
        """Return what makes an empty copy of a table, in the session alone and under its name, with its key and further indexes."""

    def image(self, table: SqlTable) -> Compiled:
        """Return the statement that reads one row's image by its key: `k0`, `k1` and so on."""
        found = self._images.get(table)
        if found is None:
            found = self._images[table] = compiled(
                select(*self.image_columns(table)).where(*key_matches(table)), self.sql
            )
        return found


def key_matches(table: Any) -> list[ColumnElement[bool]]:
    """Return the conditions under which a row is the one with the key `k0`, `k1` and so on."""
    return [
        column == bindparam(f"k{index}", type_=column.type) for index, column in enumerate(table.primary_key.columns)
    ]


def select_of(one: Field, image: Any) -> Select[Any]:
    """Return the query of a snapshot's field, its columns named as the record names them.

    Args:
        image: What to select for a column.

    Raises:
        NotQueried: When `value(…)` was not given a statement of one column.
    """
    query: Any = one.query
    where = f"{one.snapshot.__module__}.{one.path}"
    if not isinstance(query, Rows):
        if not isinstance(query.statement, Select) or len(query.statement.selected_columns) != 1:
            raise NotQueried(f"{where}: value(…) takes a select(…) of one column")
        inner = query.statement.limit(literal_column("2")).subquery("v")
        return _shaped(select(image(next(iter(inner.c))).label("value")), one)
    assert one.record is not None
    for criterion in query.criteria:
        if isinstance(criterion, bool) or not isinstance(_clause(criterion), ColumnElement):
            raise NotQueried(
                f"{where}: rows(…) takes conditions on columns, such as Account.id == given('account'), not {type(criterion).__name__}"
            )
    mapper = one.record.__table__.__mapper__
    # In the canonical order, so that the server's text of a row can be its canonical form.
    columns = [image(mapper.columns[name]).label(name) for name in sorted(one.read.model_fields)]
    ordering = query.order_by or tuple(mapper.local_table.primary_key.columns)
    made = select(*columns).select_from(mapper.local_table).where(*query.criteria).order_by(*ordering)
    # Of the text, not a parameter: it is the same for every event.
    return _shaped(made.limit(literal_column(str(one.limit))) if one.limit is not None else made, one)


def _shaped(query: Select[Any], one: Field) -> Select[Any]:
    """Return a query that asks with the event in the shape for which it was written."""
    if one.shape is None:
        return query
    through = one.shape[1]

    def replace(element: Any, **_: Any) -> Any:
        return seen_through(element, through) if isinstance(element, Given) else None

    made: Any = visitors.replacement_traverse(query, {}, replace)
    assert isinstance(made, Select)
    return made


def _clause(criterion: Any) -> Any:
    """Return what a criterion stands for in SQL."""
    return criterion.__clause_element__() if hasattr(criterion, "__clause_element__") else criterion


_NEUTRAL = DefaultDialect(paramstyle="qmark")


@cache
def question(one: Field) -> Question:
    """Return a field's query in its neutral form."""
    normal = compiled(select_of(one, lambda column: column), _NEUTRAL)
    paths = [path for path, _ in normal.given]
    constants = [repr(one.constant) for one in normal.sources if one.get is None]
    return Question(
        normal, digest(canonical([normal.sql, paths, constants]))[:16], one.shape[0] if one.shape is not None else None
    )


def unmoved(one: Field, before: Event, after: Event) -> bool:
    """Tell whether a field asks the same for two events of one kind."""
    return all(get(before) == get(after) for _, get in question(one).normal.given)


def _steps(model: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield each step of a path with the class that it is taken in, as far as classes tell."""
    for name in path.partition(" ")[0].split("."):
        yield model, name
        model = _class(_annotation(model, name))


def _annotation(model: Any, name: str) -> Any:
    """Return what a class says of the type of one of its names; None where it does not."""
    if isinstance(model, type) and issubclass(model, BaseModel) and name in model.model_fields:
        return model.model_fields[name].annotation
    if isinstance(model, type) and issubclass(model, Event) and name == "meta":
        return Meta
    return get_type_hints(model).get(name) if is_dataclass(model) else None


def _class(annotation: Any) -> Any:
    """Return the one class whose values an annotation allows beside None; None where it does not tell."""
    while get_origin(annotation) is Annotated or hasattr(annotation, "__supertype__"):
        annotation = getattr(annotation, "__supertype__", None) or get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        classes = [found for found in get_args(annotation) if found is not NoneType]
        return _class(classes[0]) if len(classes) == 1 else None
    annotation = get_origin(annotation) or annotation
    return annotation if isinstance(annotation, type) and annotation is not object else None


def _personal(event: type[Event], path: str) -> bool:
    """Tell whether a path may lead through a personal field, by any of the classes that its annotations name."""
    classes: tuple[Any, ...] = (event,)
    for name in path.partition(" ")[0].split("."):
        models = [found for found in classes if isinstance(found, type) and issubclass(found, BaseModel)]
        if any(name in personal_fields(model) for model in models):
            return True
        classes = tuple(found for model in classes for found in _within(_annotation(model, name)))
    return False


def _within(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _within(part)


def askable(cascade: Cascade) -> None:
    """Refuse queries that name what their event does not have.

    Raises:
        NotQueried: Naming file, snapshot, field, path and mend.
    """
    for one in cascade.fields:
        try:
            asked = question(one)
        except SQLAlchemyError as error:
            raise NotQueried(f"{place(one.snapshot)}, field {one.name}: {str(error).splitlines()[0]}") from error
        for path, _ in asked.normal.given:
            names, _, plus = path.partition(" ")
            event = one.shape[0] if one.shape is not None else cascade.event
            told = f"{place(one.snapshot)}, field {one.name}, read for {event.__qualname__}: given({names!r})"
            for model, name in _steps(event, path):
                if model is not None and _lacks(model, name):
                    raise NotQueried(f"{told} asks for {name!r}, which {model.__qualname__} has not; {_mend(model)}")
            *_, (model, name) = _steps(event, path)
            last = _class(_annotation(model, name))
            if plus and last in _LEAVES and not issubclass(last, date | timedelta):
                raise NotQueried(f"{told} is {last.__name__}; plus= is for an instant or a date")


_LEAVES: frozenset[Any] = frozenset(
    (str, int, float, bool, bytes, Decimal, datetime, date, time, timedelta, UUID, tuple, list, dict, set, frozenset)
)
"""Classes whose values have what the class has, and nothing else."""


def _lacks(model: Any, name: str) -> bool:
    """Tell whether a class says for certain that its values have no such value: a method is none."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if name in model.model_fields or model.model_config.get("extra") == "allow":
            return False
    elif not is_dataclass(model) and model not in _LEAVES:
        return False
    return not (is_dataclass(model) and name in _fields(model)) and callable(getattr(model, name, callable))


def _fields(model: Any) -> set[str]:
    return {field.name for field in fields(model)}


def _mend(model: Any) -> str:
    if is_dataclass(model):
        return f"it has {', '.join(sorted(_fields(model)))}"
    if isinstance(model, type) and issubclass(model, BaseModel):
        return f"it has {', '.join(sorted({*model.model_fields, *(('meta',) if issubclass(model, Event) else ())}))}"
    return f"end the path before {model.__name__}'s own"


def shared(make: Callable[[Dialect], T], dialect: Dialect) -> T:
    """Return what is made for a sort of database, once in a process: texts of statements about the trail's own tables.

    Whoever opens many runners, such as a test suite, would compile the same each time; it holds nothing that is one database's.
    """
    made: T = _shared(make, type(dialect))
    return made


@cache
def _shared(make: Callable[[Dialect], Any], sort: type[Dialect]) -> Any:
    return make(sort())


def default_of(column: Any) -> Any:
    """Return what the database gives a column where nothing is sent: a text is a value, all else is SQL."""
    arg = column.server_default.arg
    return literal(arg, type_=column.type) if isinstance(arg, str) else arg
