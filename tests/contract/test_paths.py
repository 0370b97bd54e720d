"""Two ways of writing a commit on PostgreSQL, one statement and statements in order: for a column of any type they mean the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, literal_column, select, text, true
from sqlalchemy import Text as SqlText
from sqlalchemy import cast as sql_cast

from dateline import Delete, Event, Insert, Record, Runner, Snapshot, Update, Versions, Yields, handler, rows
from dateline.core.canon import canonical, digest
from dateline.errors import DatelineError, Malformed
from dateline.sql.tables import event as events
from dateline.sql.tables import operation as operations
from dateline.testing.postgres import Postgres
from tests.contract.columns import BEYOND, KINDS, ODD, REFUSED, TABLES, Base, Kind
from tests.contract.test_round_trips import trips

MANY = 4
"""Rows of one event: always as many, so that the statement is compiled once."""


Step: TypeAlias = Callable[[tuple[Any, ...]], Iterable[Any]]
"""What a handler makes of the rows that it saw."""


@dataclass
class Rules:
    """What the handlers do next, and what they saw; a value of any type has no place in an event."""

    step: Step = tuple
    seen: list[Any] = field(default_factory=list)


RULES = Rules()


def _rules(kind: str, mapped: Any, columns: dict[str, Any]) -> list[Any]:
    """Return an event that reads all of a table's rows, these columns of them, and does what the test says next."""
    record = cast(Any, type(Record))("Seen", (Record[mapped],), {"__module__": __name__, "__annotations__": columns})
    asked = {"rows": tuple.__class_getitem__((record, ...))}
    look = cast(Any, type(Snapshot))(
        "Look", (Snapshot,), {"__module__": __name__, "__annotations__": asked, "rows": rows(true())}
    )
    event = cast(Any, type(Event))("Go", (Event,), {"__module__": __name__}, kind=kind)

    def go(event: Any, look: Any) -> Iterator[Any]:
        RULES.seen.append(look.rows)
        yield from RULES.step(look.rows)

    go.__annotations__ = {
        "event": event,
        "look": look,
        "return": Yields[Insert[mapped] | Update[mapped] | Delete[mapped]],
    }
    return [event, handler(go)]


def _annotation(kind: Kind) -> Any:
    return kind.annotation if kind.empty is not None else kind.annotation | None


def _all() -> Iterator[Any]:
    for name, kind in KINDS.items():
        yield from _rules(name, TABLES[name], {"id": str, "value": _annotation(kind)})
    yield from _rules("all", TABLES["all"], {"id": str, **{f"of_{n}": _annotation(kind) for n, kind in KINDS.items()}})
    for name, (_, annotation, _) in BEYOND.items():
        mapped = TABLES[f"beyond {name}"]
        yield from _rules(f"beyond {name}", mapped, {"id": str})
        yield from _rules(f"read {name}", mapped, {"id": str, "value": annotation | None})
    for name, odd in ODD.items():
        yield from _rules(f"odd {name}", TABLES[f"odd {name}"], odd.key)
    for name in REFUSED:
        yield from _rules(f"refused {name}", TABLES[f"refused {name}"], {"id": str})


class Left(NamedTuple):
    """What an event left, but for ids and instants.

    Args:
        operations: As they are recorded.
        shown: As the trail shows them.
        table: Its rows.
        seen: What the handler saw.
    """

    body: str
    operations: list[tuple[Any, ...]]
    shown: list[tuple[Any, ...]]
    table: list[str]
    seen: list[Any]


class Refused(NamedTuple):
    """With what an event was refused, and the table's rows after that."""

    error: type[DatelineError]
    told: str
    table: list[str]


@dataclass
class Path:
    """A database that is written one way.

    Args:
        connection: The test's own, to look behind dateline's back.
        trips: With what each trip of a dispatch begins.
    """

    runner: Runner
    connection: Connection
    trips: list[str]

    def go(self, name: str, step: Step) -> Left | Refused:
        """Dispatch an event and return what it left."""
        mapped = TABLES[f"beyond {name[5:]}" if name.startswith("read ") else name]
        RULES.step, RULES.seen = step, []
        versions = self.runner.versions
        event = versions.cascade(name, versions.newest.date).event
        try:
            made = trips(self.runner, event())
        except DatelineError as refused:
            return Refused(type(refused), str(refused), self.table(mapped))
        assert [trip[0] for trip in made] == self.trips
        e, o = events.c, operations.c
        [told] = self.connection.execute(select(e.seq, e.body, e.sha256).order_by(e.seq.desc()).limit(1))
        assert told.sha256 == digest(told.body.encode())
        done = select(o.step, o.verb, o.table_name, o.row_key, o.declared, o.before, o.after)
        recorded = self.connection.execute(done.where(o.seq == told.seq).order_by(o.ordinal)).all()
        [entry] = self.runner.trail(newest_first=True, limit=1)
        shown = [(one.step, one.verb, one.row_key, one.declared, one.before, one.after) for one in entry.operations]
        return Left(_without_meta(told.body), [tuple(row) for row in recorded], shown, self.table(mapped), RULES.seen)

    def table(self, mapped: Any) -> list[str]:
        """Return a table's rows as the server writes them."""
        table = mapped.__table__
        whole = sql_cast(literal_column(f'"{table.name}".*'), SqlText)
        return list(self.connection.execute(select(whole).select_from(table).order_by(whole)).scalars())


def _without_meta(body: str) -> str:
    meta = canonical(json.loads(body)["meta"]).decode()
    before, found, after = body.partition(meta)
    assert found
    return before + after


@dataclass
class Both:
    """The two ways, each with a database of its own, in which the same happens."""

    at_once: Path
    in_order: Path

    def go(self, name: str, step: Step) -> Left | Refused:
        """Dispatch an event both ways, and return what both left: the same."""
        left = self.at_once.go(name, step)
        assert self.in_order.go(name, step) == left
        return left

    def done(self, name: str, step: Step) -> Left:
        """Dispatch an event that must not be refused."""
        left = self.go(name, step)
        assert isinstance(left, Left), left
        return left

    def execute(self, statement: str) -> None:
        """Execute SQL behind dateline's back."""
        for path in (self.at_once, self.in_order):
            path.connection.execute(text(statement))


@pytest.fixture(scope="module")
def both(postgres18: Postgres) -> Iterator[Both]:
    versions = Versions.of({"2024-01-01": list(_all())})
    with ExitStack() as closing:

        def path(trips: list[str]) -> Path:
            url = postgres18.database(f"path_{uuid4().hex}")
            closing.callback(postgres18.drop, url.rpartition("/")[2])
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            closing.callback(engine.dispose)
            connection = closing.enter_context(engine.connect())
            for made in ("EXTENSION citext", "EXTENSION hstore", 'SCHEMA "my schema"'):
                connection.execute(text(f"CREATE {made}"))
            Base.metadata.create_all(connection)
            runner = closing.enter_context(Runner(url, versions=versions))
            runner.migrate()
            return Path(runner, connection, trips)

        made = Both(path(["read", "commit"]), path(["read", "begin", "event"]))
        made.in_order.runner.store.single = None
        yield made


@pytest.mark.parametrize("name", KINDS)
def test_a_column_of_any_type_is_written_alike_and_keeps_its_values(both: Both, name: str) -> None:
    kind, mapped = KINDS[name], TABLES[name]
    seen = []

    for value in (*kind.values, None, kind.values[0]):
        left = both.done(name, lambda rows, value=value: [_put(mapped, rows, value)])  # type: ignore[misc]
        seen += left.seen
    last = both.done(name, lambda rows: [Delete(rows[0])])

    values = [row.value for rows in (*seen, *last.seen) for row in rows]
    wanted = [*kind.read, kind.empty, kind.read[0]]
    assert [(value, type(value)) for value in values] == [(value, type(value)) for value in wanted]
    assert last.table == []


def _put(mapped: Any, rows: Any, value: Any) -> Insert[Any] | Update[Any]:
    return Update(rows[0], value=value) if rows else Insert(mapped, id="a", value=value)


def test_a_record_reads_each_of_many_columns_as_it_does_alone(both: Both) -> None:
    sent, kept = (
        {f"of_{name}": values[0] for name, values in found.items()}
        for found in (
            {name: kind.values for name, kind in KINDS.items()},
            {name: kind.read for name, kind in KINDS.items()},
        )
    )

    both.done("all", lambda rows: [Insert(TABLES["all"], id="a", **sent)])
    left = both.done("all", lambda rows: [Update(rows[0], **sent)])

    [[row]] = left.seen
    assert {name: getattr(row, name) for name in kept} == kept


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.drawn is not None])
def test_whatever_a_column_holds_is_written_alike(both: Both, name: str) -> None:
    kind, mapped = KINDS[name], TABLES[name]
    assert kind.drawn is not None

    # Few examples of many rows: compiling is what takes time.
    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(kind.drawn, min_size=MANY, max_size=MANY))
    def prove(drawn: list[Any]) -> None:
        both.execute(f"TRUNCATE {mapped.__table__.name}")
        other = drawn[::-1]
        both.done(name, lambda rows: [Insert(mapped, id=str(i), value=one) for i, one in enumerate(drawn)])
        first = both.done(name, lambda rows: [Update(row, value=one) for row, one in zip(rows, other, strict=True)])
        last = both.done(name, lambda rows: [Delete(row) for row in rows])

        assert [[row.value for row in left.seen[0]] for left in (first, last)] == [drawn, other]
        assert last.table == []

    prove()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, one in BEYOND.items() for value in one[2]])
def test_what_only_others_can_have_written_is_kept_alike_and_no_record_reads_it(
    both: Both, name: str, value: str
) -> None:
    table = TABLES[f"beyond {name}"].__table__
    both.execute(f"INSERT INTO {table.name} (id, value) VALUES ('a', '{value}')")

    refused = both.go(f"read {name}", lambda rows: ())
    changed = both.done(f"beyond {name}", lambda rows: [Update(rows[0], note="seen")])
    deleted = both.done(f"beyond {name}", lambda rows: [Delete(rows[0])])

    assert isinstance(refused, Refused)
    assert refused.error is Malformed
    assert value not in refused.told
    images = [image and json.loads(image) for left in (changed, deleted) for image in left.operations[0][-2:]]
    before, after = ({"id": "a", "note": note, "value": value} for note in (None, "seen"))
    assert images == [before, after, after, None]


@pytest.mark.parametrize("name", ODD)
def test_a_table_of_any_make_is_written_alike(both: Both, name: str) -> None:
    odd, mapped = ODD[name], TABLES[f"odd {name}"]

    inserted = both.done(f"odd {name}", lambda rows: [Insert(mapped, **odd.insert)])
    updated = both.done(f"odd {name}", lambda rows: [Update(row, **odd.update) for row in rows if odd.update])
    deleted = both.done(f"odd {name}", lambda rows: [Delete(row) for row in rows])

    images = [image for left in (inserted, updated, deleted) for one in left.operations for image in one[-2:]]
    # What one event leaves, the next one finds.
    assert images[0] is images[-1] is None
    assert images[1:-1:2] == images[2:-1:2]
    assert None not in images[1:-1]
    assert [len(left.table) for left in (inserted, updated, deleted)] == [1, 1, 0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_column_cannot_hold_is_refused_alike(both: Both, name: str) -> None:
    value, mapped = REFUSED[name][1], TABLES[f"refused {name}"]

    refused = both.go(f"refused {name}", lambda rows: [Insert(mapped, id="a", value=value)])

    assert isinstance(refused, Refused), refused
    assert refused.table == []
