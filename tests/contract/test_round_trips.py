"""How often a dispatch goes to PostgreSQL and back: once to read and once to write, where one statement can mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Annotated, Any, cast

import pytest

from dateline import Event, Insert, Personal, Record, Runner, Snapshot, Update, Versions, Yields, given, handler, rows
from dateline.core.model import PERSONAL
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.path import Asked, Given
from dateline.sql.statement import Batch, Result
from dateline.sql.turns import places
from dateline.testing.postgres import Postgres
from tests.contract.conftest import Mall, Shop, Sync
from tests.contract.everything import KINDS, Everything, Kind
from tests.contract.shop import VERSIONS, Buyer, Customer, Enrol, Product, Sell, Stocktake
from tests.contract.test_dispatch import COUNTER


class Counting:
    """Executes batches, and remembers what each was for."""

    def __init__(self, runner: Runner) -> None:
        self.connection = Connection(runner.engine)
        self.trips: list[list[str]] = []

    def execute(self, batch: Batch) -> list[Result]:
        self.trips.append([statement.name for statement in batch.statements])
        return self.connection.execute(batch)

    def rest(self) -> None:
        self.connection.rest()


@pytest.fixture
def shop(mall: Mall, postgres18: Postgres) -> Iterator[Shop]:
    """Give an empty shop on the newest PostgreSQL: SQLite has no trips, and both runners execute the same batches."""
    made = mall.cleared("postgresql-18", Sync)
    with ExitStack() as made.others:
        yield made


@pytest.fixture
def url(shop: Shop) -> str:
    return shop.url


def trips(runner: Runner, event: Event, **given: Any) -> list[list[str]]:
    """Return what each round trip of a dispatch was for, once the tables are known."""
    counting = Counting(runner)
    flow = runner.dispatching(event, cast(Given, {"actor": COUNTER, **given}))
    try:
        drive(flow, counting, Budget(timedelta(seconds=5)), lambda apart: None)
    finally:
        counting.connection.close()
    return [trip for trip in counting.trips if trip[0] != "traits"]


class Rename(Event, kind="rename", subjects=("customer:{id}",)):
    id: str
    name: Personal[str]


class Known(Snapshot):
    buyer: Buyer = rows(Customer.id == given("id"))


@handler
def rename(event: Rename, known: Known) -> Yields[Update[Customer]]:
    yield Update(known.buyer, name=event.name)


def test_a_dispatch_takes_two_trips_also_with_a_key_and_with_personal_columns(url: str) -> None:
    with Runner(url, versions=VERSIONS) as runner, Runner(url, versions=Versions.of({"2024-01-01": [rename]})) as other:
        runner.dispatch(Enrol(id="ann", name="Ann"), actor="ann")

        assert trips(runner, Stocktake(counted=3), key="k") == [["read"], ["commit"]]
        assert trips(other, Rename(id="ann", name="Anne"), reason="marriage") == [["read"], ["commit"]]


def test_a_decision_that_reads_nothing_takes_one(url: str) -> None:
    with Runner(url, versions=VERSIONS) as runner:
        assert trips(runner, Enrol(id="bob", name="Bob", email="bob@example.org")) == [["commit"]]


def test_whose_subject_others_fight_over_takes_its_turn_and_gives_it_up_within_the_same_two_trips(url: str) -> None:
    with Runner(url, versions=VERSIONS) as runner, Runner(url, versions=Versions.of({"2024-01-01": [rename]})) as other:
        runner.dispatch(Enrol(id="ann", name="Ann"), actor="ann")
        other.store.turns.waited(places("", ("customer:ann",)))

        assert trips(other, Rename(id="ann", name="Anne")) == [["queue", "read"], ["commit", "leave"]]


def test_what_one_statement_cannot_do_takes_three(shop: Shop) -> None:
    shop.put(Product("tea", 9))

    with Runner(shop.url, versions=VERSIONS) as runner:
        assert [trip[0] for trip in trips(runner, Sell(product="tea"))] == ["read", "begin", "before", "event"]


def test_a_page_of_the_trail_takes_one_whatever_is_asked(url: str) -> None:
    with Runner(url, versions=VERSIONS) as runner:
        runner.dispatch(Enrol(id="ann", name="Ann"), actor="ann")
        for asked in ({}, {"subject": "customer:ann"}, {"table": "customer", "row": "ann"}, {"subject": "nobody"}):
            counting = Counting(runner)

            page = drive(runner.paging(cast(Asked, asked)), counting, Budget(timedelta(seconds=5)), lambda apart: None)

            counting.connection.close()
            assert (len(page), len(counting.trips)) == (asked != {"subject": "nobody"}, 1)


def sealing(name: str, kind: Kind) -> Versions:
    """Return rules under which a column is personal: its row is inserted, updated to nothing, and updated again."""
    record = cast(Any, type(Record))(
        "Seen",
        (Record[Everything],),
        {"__module__": __name__, "__annotations__": {"id": str, name: Annotated[kind.annotation | None, PERSONAL]}},
        subject="thing:{id}",
    )
    snapshot = cast(Any, type(Snapshot))(
        "Look",
        (Snapshot,),
        {
            "__module__": __name__,
            "__annotations__": {"row": record | None},
            "row": rows(Everything.__table__.c["id"] == given("id")),
        },
    )
    put = cast(Any, type(Event))("Put", (Event,), {"__module__": __name__, "__annotations__": {"id": str}}, kind="put")

    def write(event: Any, look: Any) -> Iterator[Any]:
        if look.row is None:
            yield Insert(Everything, id=event.id, **{name: kind.one})
        else:
            yield Update(look.row, **{name: kind.other if getattr(look.row, name) in (None, ()) else None})

    write.__annotations__ = {"event": put, "look": snapshot, "return": Yields[Insert[Everything] | Update[Everything]]}
    return Versions.of({"2024-01-01": [put, record, handler(write)]})


@pytest.mark.parametrize("name", KINDS)
def test_a_personal_column_of_any_type_is_sealed_alike_in_one_statement_and_in_order(shop: Shop, name: str) -> None:
    made = shop.under(sealing(name, KINDS[name]))
    put: Callable[..., Event] = made.versions.cascade("put", made.versions.newest.date).event
    in_order = shop.under(made.versions)
    in_order.colour.runner.store.single = None

    for _ in range(3):
        made.dispatch(put(id="at once"))
        in_order.dispatch(put(id="in order"))

    told: dict[str, list[Any]] = {"at once": [], "in order": []}
    for entry in made.trail():
        [operation] = entry.operations
        row = operation.row_key
        images = [image and {**image, "id": None} for image in (operation.declared, operation.before, operation.after)]
        told[row].append((operation.verb, images, entry.personal))
    assert told["at once"] == told["in order"]
    assert len(told["at once"]) == 3
    assert made.verify().ok
    kept = [
        [(one["path"], one["value"]) for one in shop.rows("dateline_personal") if one["subject"] == f"thing:{row}"]
        for row in told
    ]
    assert kept[0] == kept[1] != []


class ByPoints(Record[Customer], subject="points:{points}"):
    id: str
    name: str
    points: int


class Look(Snapshot):
    row: ByPoints = rows(Customer.id == given("id"))


class Call(Event, kind="call"):
    id: str


@handler
def call(event: Call, look: Look) -> Yields[Update[Customer]]:
    yield Update(look.row, name="Someone")


def test_whose_a_row_is_may_depend_on_more_than_its_key_and_then_takes_three(url: str) -> None:
    with (
        Runner(url, versions=VERSIONS) as runner,
        Runner(url, versions=Versions.of({"2024-01-01": [ByPoints, call]})) as other,
    ):
        runner.dispatch(Enrol(id="ann", name="Ann"), actor="ann")

        assert [trip[0] for trip in trips(other, Call(id="ann"))] == ["read", "begin", "event"]
        assert other.verify().ok
