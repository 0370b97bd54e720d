"""Tables beside the real ones, as the trail left them after some event: where a query of a snapshot is asked what it would have found.

They stand in one session and shadow the real ones there, so that the very queries of the versions are asked, by the very database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Column, String
from sqlalchemy import Table as SqlTable
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression

from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.outcome import Values
from dateline.core.personal import ERASED
from dateline.core.request import Flow
from dateline.core.snapshot import Field, key_of
from dateline.errors import Erased, Malformed, Unanswerable
from dateline.sql.dialect import Dialect, Reading, select_of
from dateline.sql.drift import drifting
from dateline.sql.fold import Fold, Left
from dateline.sql.given import Given
from dateline.sql.restore import Image, Restorer, Target
from dateline.sql.statement import Batch, Result, Statement

__all__ = ["Asking", "World"]


@dataclass(frozen=True, slots=True)
class _Gap:
    """A while in which a row was not as the trail says: after one event, up to and with another.

    Args:
        image: What it was instead, at the end of it; None where there was no row.
    """

    key: str
    after: int
    until: int | None
    recorded: Image | None
    image: Image | None

    def open(self, seq: int) -> bool:
        """Whether an event may have seen the row so."""
        return self.after < seq and (self.until is None or seq <= self.until)


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """Some fields as they are asked: compiled once, whichever event asks.

    Args:
        targets: The tables that they read.
        erased: By table and row the columns whose value was erased; the world's own.
    """

    fields: tuple[Field, ...]
    reading: Reading
    targets: tuple[Target, ...]
    erased: Mapping[str, Mapping[str, frozenset[str]]]

    def found(self, results: Sequence[Result]) -> dict[str, Values]:
        """Return what was found for each field.

        Raises:
            Unanswerable: Where a row does not fit its record.
        """
        try:
            values = self.reading.answer(results).values
        except Malformed as error:
            if any(self.erased.get(target.name) for target in self.targets):
                # Where a text was, a text stands; where a number was, nothing does, and that fits no record.
                raise Erased("of what the decision sees something was erased") from error
            raise Unanswerable(f"what the trail says of a row does not fit: {error}") from error
        for one, held in zip(self.fields, values, strict=True):
            if one.table is not None and self.erased.get(one.table.name):
                _told(one, held, self.erased[one.table.name])
        return {one.place: held for one, held in zip(self.fields, values, strict=True)}


@dataclass(eq=False)
class World:
    """The tables as they were before an event, moved forward as one goes.

    Args:
        targets: All tables of the application, by their names in the trail.
        seq: The event before which everything is as it was.
    """

    dialect: Dialect
    targets: Mapping[str, Target]
    seq: int = 1
    _made: dict[str, Target] = field(default_factory=dict, init=False)
    _gaps: dict[str, tuple[_Gap, ...]] = field(default_factory=dict, init=False)
    _askings: dict[tuple[int, ...], Asking] = field(default_factory=dict, init=False)
    _erased: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict, init=False)
    _adopted: dict[str, int] = field(default_factory=dict, init=False)
    _due: dict[tuple[str, str], tuple[Target, Image | None, Image | None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.restorer = Restorer(self.dialect, beside=True)
        self.fold = Fold(self.dialect)

    def asking(self, fields: tuple[Field, ...]) -> Asking:
        """Return how fields are asked.

        Raises:
            Unanswerable: Where they read a table that is not an application's, or stands in a schema.
        """
        key = tuple(map(id, fields))
        if key not in self._askings:
            read: dict[str, Target] = {}
            for one in fields:
                for table in _tables(one):
                    target = self.targets.get(table.fullname)
                    if target is None or table.schema is not None:
                        raise Unanswerable(
                            f"{one.place} reads {table.fullname}, which cannot be made again of the trail: "
                            + ("it stands in a schema" if target else "the versions know no class that is mapped to it")
                        )
                    read[target.name] = target
            reading = self.dialect.reading(_Fields(fields), keyed=False, look=False)
            self._askings[key] = Asking(fields, reading, tuple(read.values()), self._erased)
        return self._askings[key]

    def standing(self, asking: Asking) -> bool:
        """Tell whether all tables that are asked for stand."""
        return all(target.name in self._made for target in asking.targets)

    def forward(self, seq: int) -> Flow[None]:
        """Move all tables forward, to as they were before an event."""
        for target in self._made.values() if seq > self.seq else ():
            for page in self.fold.pages(target, seq, since=self.seq):
                if rows := (yield from page):
                    yield Batch(tuple(self._become(target, one) for one in rows))
        self.seq = max(seq, self.seq)

    def _put(self, target: Target, key: str, image: Image) -> Statement:
        """Write a row; what was erased of it stands empty, and is known to be."""
        rows = self._erased.setdefault(target.name, {})
        names = frozenset([name for name, value in image.items() if value is ERASED])
        if not names:
            if rows:
                rows.pop(key, None)
            return self.restorer.put(target, image)
        rows[key] = names
        texts = {column.name for column in target.table.columns if isinstance(column.type, String)}
        return self.restorer.put(target, {n: None if n in names - texts else value for n, value in image.items()})

    def _become(self, target: Target, one: Left) -> Statement:
        if one.image is not None:
            return self._put(target, one.key, one.image)
        assert one.before is not None
        return self.restorer.take(target, one.before)

    def stands(self, asking: Asking) -> Flow[None]:
        """Make the tables that are asked for and do not stand yet, as they were before the event that the world has come to."""
        for target in asking.targets:
            if target.name in self._made:
                continue
            # Before the copy stands, since it shadows the table.
            drifts = yield from drifting(self.dialect, target)
            self._gaps[target.name] = tuple(
                _Gap(one.key, one.after, one.until, one.recorded, one.found)
                for one in drifts
                if one.change != "unadopted"
            )
            if any(one.change == "unadopted" for one in drifts):
                raise Unanswerable(
                    f"{target.name} holds rows that the trail does not know; `dateline adopt {target.name}` makes it know them"
                )
            self._adopted[target.name] = yield from self.fold.adopted(target)
            indexed = sorted({name for one in asking.fields for name in _looked(one, target.table)})
            yield Batch(tuple(self.restorer.making(target, indexed)))
            self._made[target.name] = target
            for page in self.fold.pages(target, self.seq):
                rows = yield from page
                puts = [self._put(target, one.key, one.image) for one in rows if one.image is not None]
                if puts:
                    yield Batch((Statement("BEGIN"), *puts, Statement("COMMIT")), opens=True, ends=True)

    def falls(self) -> Flow[None]:
        """Take the tables away again, where the session outlives the world."""
        made, self._made = self._made, {}
        texts = [sql for one in made.values() for sql in self.dialect.fallen(one.table)]
        if texts:
            yield Batch(tuple(Statement(sql, (), "beside") for sql in texts))

    @property
    def names(self) -> frozenset[str]:
        """The tables that stand."""
        return frozenset(self._made)

    def moves(self, seq: int, images: Sequence[tuple[str, str, Image | None, Image | None]]) -> None:
        """Take what an event did to the tables that stand; it is written with what is `due`.

        Args:
            images: Table, key, and the row before and after, of each operation.
        """
        for name, key, before, after in images:
            target = self._made.get(name)
            if target is not None:
                # Behind what came before it; and of a row that nobody asked about in between, only the last is written.
                self._due.pop((name, key), None)
                self._due[name, key] = (target, before, after)
        self.seq = seq + 1

    def moved(self, entry: Entry) -> None:
        """As `moves`, of an entry; while no table stands, it is not read for that."""
        done = entry.operations if self._made else ()
        self.moves(entry.seq, [(one.table, one.row_key, one.before, one.after) for one in done])

    def due(self) -> list[Statement]:
        """Return what brings the tables to where the world has come; it must be performed before they are asked anything."""
        due, self._due = self._due, {}
        made = []
        for (_, key), (target, before, after) in due.items():
            if after is not None:
                made.append(self._put(target, key, after))
            elif before is not None:
                made.append(self.restorer.take(target, before))
        return made

    def doubtful(self, asking: Asking, seq: int) -> list[tuple[Target, _Gap]]:
        """Return the rows of which it is not known what an event would have seen.

        Raises:
            Unanswerable: Where the event came before its table was adopted: what stood there then, the trail does not know.
        """
        for target in asking.targets:
            if seq < self._adopted.get(target.name, 0):
                raise Unanswerable(
                    f"the decision sees {target.name}, whose rows were adopted later, by event {self._adopted[target.name]}"
                )
        return [(target, gap) for target in asking.targets for gap in self._gaps.get(target.name, ()) if gap.open(seq)]

    def asked(self, asking: Asking, event: Event, seq: int) -> Flow[dict[str, Values]]:
        """Ask what an event would have found.

        Raises:
            Unanswerable: Where the answer depends on a row that was written past the trail.
        """
        statements = asking.reading.statements(event, {})
        results: list[Result] = yield Batch(statements)
        found = asking.found(results)
        for target, gap in self.doubtful(asking, seq):
            # Asked again with the row as it was met: where that makes no difference, it does not matter when it was written.
            there = self._swap(target, gap.key, gap.recorded, gap.image)
            back = self._swap(target, gap.key, gap.image, gap.recorded)
            results = (yield Batch((*there, *statements, *back)))[len(there) : len(there) + len(statements)]
            if asking.found(results) != found:
                raise Unanswerable(f"the decision sees a row of {target.name} that was written past the trail")
        return found

    def _swap(self, target: Target, key: str, old: Image | None, new: Image | None) -> tuple[Statement, ...]:
        made = [self.restorer.take(target, old)] if old is not None else []
        return (*made, *([self._put(target, key, new)] if new is not None else []))


@dataclass(frozen=True, slots=True)
class _Fields:
    fields: tuple[Field, ...]


def _told(one: Field, values: Values, erased: Mapping[str, frozenset[str]]) -> None:
    """Refuse an answer that holds what was erased.

    Raises:
        Erased: Naming the field.
    """
    for record in values:
        columns = record.__table__.__mapper__.columns
        names = erased.get(key_of(record), frozenset())
        if any(columns[name].name in names for name in type(record).model_fields if name in columns):
            raise Erased(f"of what the decision sees in {one.place} something was erased")


def _tables(one: Field) -> Iterable[SqlTable]:
    """Return the tables that a field's query reads."""
    found = visitors.iterate(select_of(one, lambda column: column))
    return list(dict.fromkeys(part for part in found if isinstance(part, SqlTable)))


def _looked(one: Field, table: SqlTable) -> Iterator[str]:
    """Yield the columns of a table by which a field's query looks for rows."""
    for part in visitors.iterate(select_of(one, lambda column: column)):
        if isinstance(part, BinaryExpression) and part.operator in (operators.eq, operators.in_op):
            for side, other in ((part.left, part.right), (part.right, part.left)):
                if isinstance(side, Column) and side.table.name == table.name and isinstance(other, Given):
                    yield side.name
