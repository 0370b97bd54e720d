"""Two hundred writes past the trail, of eight kinds, scattered over a trail of its own: each is found, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from dateline import Actor, Runner
from dateline.run.rebuild import rebuild
from dateline.sql.drift import Drift
from dateline.sql.postgres import Postgres
from dateline.sql.statement import Statement
from tests.proofs.bank import Bank
from tests.proofs.racing import on_newest, on_postgresql, race
from tests.proofs.slips import DAYS, VERSIONS, Act, Base, Plan, Slip

WRITES = 200
ROWS = 1_000
KINDS = (
    "insert",
    "update",
    "delete",
    "change of key",
    "update, met by an event",
    "insert, met by an event",
    "delete, met by an event",
    "replacement, met by an event",
)


class Ledger:
    """The rows as the trail left them, beside the rows as they are.

    Args:
        last: The number of the event that wrote a row last.
    """

    def __init__(self, bank: Bank) -> None:
        Base.metadata.create_all(bank.engine)
        self.bank = bank
        self.runner = bank.opened(lambda url, kept: Runner(url, versions=VERSIONS, settings=kept))
        self.trail: dict[str, dict[str, Any] | None] = {}
        self.live: dict[str, dict[str, Any]] = {}
        self.last: dict[str, int] = {}
        self.expected: list[tuple[str, str, int, int | None]] = []

    def act(self, *acts: Act) -> int:
        """Have an event do something; what it meets that the trail did not leave is expected to be found."""
        rows = tuple(act.row for act in acts)
        plan = Plan(acts=acts)
        done = self.runner.dispatch(Slip(rows=rows, plans=(plan, plan, plan)), actor="hand", version=DAYS[0])
        for act in acts:
            there, told = self.live.get(act.row), self.trail.get(act.row)
            if act.clear and there is None:
                continue
            if there != told:
                self.expected.append((act.row, _change(told, there), self.last.get(act.row, 0), done.seq))
            if act.clear:
                self.live.pop(act.row, None)
                self.trail[act.row] = None
            else:
                made = dict(there) if there is not None else {"a": 0, "b": None}
                made |= {name: value for name, value in (("a", act.a), ("b", act.b)) if value is not None}
                self.live[act.row] = made
                self.trail[act.row] = dict(made)
            self.last[act.row] = done.seq
        return done.seq

    def past(self, statement: str, **values: Any) -> None:
        with self.bank.engine.begin() as connection:
            connection.execute(text(statement), values)

    def write(self, kind: str, row: str, new: str) -> None:
        """Write past the trail."""
        if kind.startswith("insert"):
            self.past("INSERT INTO square (id, a, b) VALUES (:id, 70, NULL)", id=new)
            self.live[new] = {"a": 70, "b": None}
        elif kind.startswith("update"):
            self.past("UPDATE square SET b = 71 WHERE id = :id", id=row)
            self.live[row] = self.live[row] | {"b": 71}
        elif kind.startswith("delete"):
            self.past("DELETE FROM square WHERE id = :id", id=row)
            del self.live[row]
        elif kind.startswith("replacement"):
            self.past("DELETE FROM square WHERE id = :id", id=row)
            self.past("INSERT INTO square (id, a, b) VALUES (:id, 72, 73)", id=row)
            self.live[row] = {"a": 72, "b": 73}
        else:
            self.past("UPDATE square SET id = :new WHERE id = :id", id=row, new=new)
            self.live[new] = self.live.pop(row)
        if kind.endswith("event"):
            self.act(Act(row=new if kind.startswith("insert") else row, a=9))

    def left(self) -> list[tuple[str, str, int, int | None]]:
        """Return what is to be found: what events met, and what is otherwise today."""
        today: list[tuple[str, str, int, int | None]] = [
            (row, _change(self.trail.get(row), self.live.get(row)), self.last.get(row, 0), None)
            for row in {**self.trail, **self.live}
            if self.trail.get(row) != self.live.get(row)
        ]
        return sorted(self.expected + today, key=str)


def _change(told: Any, there: Any) -> str:
    return "inserted" if told is None else "deleted" if there is None else "updated"


def found(runner: Runner) -> list[tuple[str, str, int, int | None]]:
    drifts: tuple[Drift, ...] = runner.drift("square")
    return sorted(((one.key, one.change, one.after, one.until) for one in drifts), key=str)


@on_newest
def test_every_write_past_the_trail_is_found_and_nothing_else(bank: Bank, figure: Callable[[str], None]) -> None:
    ledger, dice = Ledger(bank), random.Random(7)
    names = [f"row{n:04}" for n in range(ROWS)]
    for start in range(0, ROWS, 50):
        ledger.act(*(Act(row=name, a=dice.randrange(9)) for name in names[start : start + 50]))
    for _ in range(60):
        ledger.act(*(Act(row=name, b=dice.randrange(9)) for name in dice.sample(names, 5)))
    clean = found(ledger.runner)
    rows = dice.sample(names, WRITES)

    for number, row in enumerate(rows):
        ledger.write(KINDS[number % len(KINDS)], row, f"new{number:04}")
        quiet = dice.choice(names)
        if quiet not in rows:
            ledger.act(Act(row=quiet, a=dice.randrange(9)))

    expected = ledger.left()
    figure(f"{WRITES} writes of {len(KINDS)} kinds, {len(expected)} findings: a change of a key is two")
    assert clean == []
    assert found(ledger.runner) == expected
    assert len(expected) == WRITES + WRITES // len(KINDS)


@on_newest
def test_what_is_made_again_of_the_trail_is_what_the_tables_hold(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    ledger, dice = Ledger(bank), random.Random(11)
    names = [f"row{n:04}" for n in range(400)]
    for _ in range(times(150)):
        acts = (Act(row=name, clear=dice.random() < 0.2, a=dice.randrange(9)) for name in dice.sample(names, 20))
        ledger.act(*acts)
    file = f"{bank.url.removeprefix('sqlite:///').rpartition('/')[0]}/again.db"

    if bank.postgresql:
        done = rebuild(ledger.runner, "square", schema="again")
    else:
        done = rebuild(ledger.runner, "square", into=f"sqlite:///{file}")

    held = "SELECT id, a, b FROM {} ORDER BY id"
    with bank.engine.connect() as connection:
        live = [tuple(row) for row in connection.execute(text(held.format("square")))]
        if bank.postgresql:
            made = [tuple(row) for row in connection.execute(text(held.format("again.square")))]
        else:
            connection.execute(text("ATTACH :file AS again"), {"file": file})
            made = [tuple(row) for row in connection.execute(text(held.format("again.square")))]
    figure(f"{times(150)} events, {len(live)} rows")
    assert done.rows == {"square": len(live)}
    assert made == live
    assert len(live) > 200


def adopted_among_writers(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Adopt two hundred rows while others write them; return what is not as the trail says then."""
    monkeypatch.setattr("dateline.run.adopt.ROWS", 10)
    Base.metadata.create_all(bank.engine)
    names = [f"old{n:03}" for n in range(200)]
    with bank.engine.begin() as connection:
        connection.execute(text("INSERT INTO square (id, a) VALUES (:id, 0)"), [{"id": name} for name in names])
    runner = bank.opened(lambda url, kept: Runner(url, versions=VERSIONS, settings=kept))
    keeper = Actor("keeper", rights=frozenset({"adopt"}))

    def work(index: int) -> None:
        if index == 0:
            runner.adopt("square", actor=keeper)
            return
        dice = random.Random(index)
        for number in range(40):
            plan = Plan(acts=(Act(row=dice.choice(names), a=number),))
            runner.dispatch(Slip(rows=(plan.acts[0].row,), plans=(plan, plan, plan)), actor="hand", version=DAYS[0])

    race(5, work)
    runner.adopt("square", actor=keeper)
    return list(runner.drift("square"))


@on_newest
def test_rows_that_are_written_while_they_are_adopted_are_recorded_in_their_order(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert adopted_among_writers(bank, monkeypatch) == []


@on_postgresql
def test_control_where_writers_are_not_kept_out_some_are_not(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Postgres, "kept_still", lambda self, table: (Statement("SELECT pg_sleep(0.01)", (), "lock"),))

    assert adopted_among_writers(bank, monkeypatch) != []
