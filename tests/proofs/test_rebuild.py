"""The order of the numbers is the order of the writes: the operations, applied by `seq`, make the tables again."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal

import pytest
from sqlalchemy import delete, insert, text

from dateline import Event, Runner
from dateline.errors import ConstraintRefused
from dateline.run.connection import Connection
from dateline.sql.statement import Batch, Result, Statement
from tests.proofs.bank import Bank, Cell, Claimed, Clear, Post, Put, Renew
from tests.proofs.evidence import Rows, asked, live, operations, rebuilt
from tests.proofs.goods import GOODS, Bring, Good, Keep, Take
from tests.proofs.racing import again, on_every_path_and_15, on_newest, on_postgresql, race
from tests.proofs.sabotage import Through, through

THREADS = 8
NAMES = ("one", "two", "three")


def anything(dice: random.Random) -> Event:
    """Return an insert, an update, a delete, a re-insert: what it is depends on what the others left."""
    name, text = dice.choice(NAMES), str(dice.random())
    return dice.choice(
        [Put(name=name, text=text), Post(name=name), Renew(name=name, text=text), Clear(name=name), Clear(name=name)]
    )


def any_good(dice: random.Random, digits: int = 3) -> Event:
    """Return the same for goods, of whose rows the database makes a part, and an insert of whoever has not looked.

    Args:
        digits: How many digits a weight has after its point; the column takes two.
    """
    id, weight = dice.choice(NAMES), Decimal(dice.randrange(100_000)).scaleb(-digits)
    return dice.choice(
        [Keep(id=id, weight=weight), Keep(id=id, weight=weight), Take(id=id), Take(id=id), Bring(id=id, weight=weight)]
    )


def turmoil(runner: Runner, each: int, anything: Callable[[random.Random], Event] = anything) -> None:
    """Have every thread do anything to few rows, alone and several together, some of it rolled back."""

    def work(index: int) -> None:
        dice = random.Random(index)
        for _ in range(each):
            # In one order everywhere: else they would wait for each other until the server finds the deadlock, a second later.
            events = sorted((anything(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))), key=lambda one: one.subjects)
            rolled_back = dice.random() < 0.2
            with suppress(ConstraintRefused):
                if len(events) == 1:
                    runner.dispatch(events[0], actor="crowd")
                else:
                    again(lambda events=events, rolled_back=rolled_back: joined(runner, events, rolled_back))  # type: ignore[misc]  # bound now

    race(THREADS, work)


class Regret(Exception):
    """The caller changes its mind."""


def joined(runner: Runner, events: Iterable[Event], rolled_back: bool) -> None:
    try:
        with runner.together() as tx:
            for event in events:
                tx.dispatch(event, actor="crowd")
            if rolled_back:
                raise Regret
    except Regret:
        pass


@on_every_path_and_15
def test_the_operations_in_the_order_of_seq_make_the_tables_again(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    runner = bank.runner()
    path(runner)

    turmoil(runner, times(60))

    found = operations(bank.engine, "o.seq")
    verbs = Counter(
        ("update" if before and after else "insert" if after else "delete") for _, _, before, after in found
    )
    figure(f"{dict(sorted(verbs.items()))}")
    assert min(verbs["insert"], verbs["update"], verbs["delete"]) > 10
    assert rebuilt(found) == (live(bank.engine, Cell), 0)
    assert runner.verify().ok


@on_newest
def test_control_in_the_order_of_the_events_ids_some_steps_are_impossible(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    turmoil(bank.runner(), times(60))

    _, impossible = rebuilt(operations(bank.engine, "e.id"))

    figure(
        f"{impossible} impossible steps by id, {rebuilt(operations(bank.engine, 'e.recorded_at'))[1]} by recorded_at"
    )
    assert impossible > 0


def goods(bank: Bank) -> Through:
    return bank.opened(lambda url, kept: Through(url, versions=GOODS, settings=kept))


def written_anew(bank: Bank, rows: Rows) -> Rows:
    """Empty the table and write these rows into it, all but what the database generates; return what it holds then."""
    made = [
        {n: v for n, v in row.items() if n != "twice"} | {"weight": Decimal(row["weight"])} for row in rows.values()
    ]
    with bank.engine.begin() as connection:
        connection.execute(delete(Good))
        if made:
            connection.execute(insert(Good), made)
    return live(bank.engine, Good)


@pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning")
@on_every_path_and_15
def test_tables_of_which_the_database_makes_a_part_can_be_made_of_the_trail_alone(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    runner = goods(bank)
    path(runner)

    # SQLite keeps what it gets, and knows no scale.
    turmoil(runner, times(40), lambda dice: any_good(dice, 3 if bank.postgresql else 2))

    found, held = operations(bank.engine), live(bank.engine, Good)
    rows, impossible = rebuilt(found)
    figure(f"{len(found)} operations, {impossible} of them impossible, {len(held)} rows in the end")
    assert (rows, impossible) == (held, 0)
    assert written_anew(bank, rows) == held
    assert runner.verify().ok


def cached(bank: Bank, runner: Through) -> None:
    """Have each session take twenty numbers at a time."""
    with bank.engine.begin() as connection:
        connection.execute(text("ALTER SEQUENCE dateline_event_seq CACHE 20"))


class NumberFirst(Connection):
    """A connection that draws the event's number before the one statement that changes the rows, as if the event were written first."""

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch."""
        if batch.statements[0].name != "commit":
            return super().execute(batch)
        # It takes its time, as a slow line would.
        drawn = Statement("SELECT nextval('dateline_event_seq'), pg_sleep(random() * 0.02)", (), "draw")
        begin, end = Statement("BEGIN ISOLATION LEVEL SERIALIZABLE", name="begin"), Statement("COMMIT", name="end")
        results = super().execute(Batch((begin, drawn, *batch.statements, end), opens=True, ends=True))
        return results[2:-1]


def event_first(bank: Bank, runner: Through) -> None:
    """Have the number drawn early, and taken late."""
    with bank.engine.begin() as connection:
        connection.execute(text("ALTER TABLE dateline_event ALTER seq SET DEFAULT currval('dateline_event_seq')"))
    runner.made = NumberFirst


def unseen(dice: random.Random) -> Event:
    """Return a delete, or an insert of whoever has not looked whether there is something to delete."""
    name = dice.choice(NAMES)
    return dice.choice([Clear(name=name), Claimed(name=name)])


@on_postgresql
@pytest.mark.parametrize("weakened", [None, cached, event_first], ids=["last", "control-cached", "control-event-first"])
def test_inserts_of_whoever_has_not_looked_fit_where_numbers_are_drawn_last_and_in_no_control(
    bank: Bank, weakened: Callable[[Bank, Through], None] | None, figure: Callable[[str], None]
) -> None:
    runner = bank.opened(through)
    if weakened is not None:
        weakened(bank, runner)

    def work(index: int) -> None:
        dice = random.Random(index)
        for _ in range(60):
            with suppress(ConstraintRefused):
                runner.dispatch(unseen(dice), actor="crowd")

    race(THREADS, work)

    found = [one for one in operations(bank.engine) if one.table_name == "cell"]
    rows, impossible = rebuilt(found)
    figure(f"{impossible} impossible steps of {len(found)}")
    assert (impossible > 0) == (weakened is not None)
    assert weakened is not None or rows == live(bank.engine, Cell)


@on_newest
@pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning")
def test_control_what_the_handlers_named_is_not_what_the_tables_hold(bank: Bank) -> None:
    runner = goods(bank)
    runner.dispatch(Keep(id="one", weight=Decimal("1.005")), actor="crowd")
    runner.dispatch(Keep(id="one", weight=Decimal("2.999")), actor="crowd")

    declared: dict[str, object] = {}
    for row in asked(bank.engine, "SELECT declared FROM dateline_operation ORDER BY seq"):
        declared |= json.loads(row.declared)

    [held] = live(bank.engine, Good).values()
    assert rebuilt(operations(bank.engine)) == ({("good", "one"): held}, 0)
    assert declared == {"id": "one", "weight": "2.999"}
    assert held == {"id": "one", "label": "plain", "revision": 1, "twice": held["twice"], "weight": held["weight"]}
    if bank.postgresql:
        assert held["weight"] == "3.00"
