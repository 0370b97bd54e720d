"""Rules 31 to 37 over trails made by chance: what a correction does is what a plain reading of the rules does, and the laws hold.

Three rows, up to six events, edits by hand, deletes, effects sent or not, some of the differences chosen, and crashes in the middle.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import text

from dateline import Actor, Committed, Rejected, Runner, Settings
from dateline.core.correction import Correction
from dateline.errors import StaleDiff
from dateline.run.connection import Connection
from dateline.sql.statement import Batch, Result
from dateline.sql.tables import TRAIL
from tests.proofs.bank import Bank
from tests.proofs.paper import Paper
from tests.proofs.racing import on_newest, race
from tests.proofs.sabotage import Through
from tests.proofs.slips import DAYS, VERSIONS, Act, Base, Plan, Slip

TRAILS = 150
"""At the short size; a hundred and thirty-four times as many at the full."""

AUDITOR = Actor("auditor", rights=frozenset({"correct"}))
ROWS = ("p", "q", "r")


class Crash(BaseException):
    """The process is gone."""


class Dying(Connection):
    """A connection whose process dies before one of its batches."""

    left = 10**9

    def execute(self, batch: Batch) -> list[Result]:
        """Execute a batch, or die."""
        if Dying.left <= 0:
            raise Crash
        Dying.left -= 1
        return super().execute(batch)


@pytest.fixture(scope="module")
def runner() -> Iterator[Through]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="dateline-proofs-", dir=memory if memory.is_dir() else None) as folder:
        made = Through(f"sqlite:///{folder}/slips.db", versions=VERSIONS, settings=Settings())
        made.made = Dying
        made.migrate()
        Base.metadata.create_all(made.engine)
        yield made
        made.close()


def cleared(runner: Through) -> None:
    with runner.engine.begin() as connection:
        for name in ("square", *(name for name in TRAIL.tables if name != "dateline_incarnation")):
            connection.execute(text(f"DELETE FROM {name}"))


def plan(dice: random.Random) -> Plan:
    acts = []
    for row in dice.sample(ROWS, dice.choice((0, 1, 1, 2))):
        if dice.random() < 0.2:
            acts.append(Act(row=row, clear=True))
        else:
            names = dice.choice((("a",), ("b",), ("a", "b")))
            a, b = (dice.randrange(4) if name in names else None for name in "ab")
            acts.append(Act(row=row, a=a, b=b))
    pings = tuple((to, dice.randrange(2)) for to in dice.sample(("x", "y"), dice.choice((0, 0, 1, 2))))
    return Plan(refuse=dice.random() < 0.1, acts=tuple(acts), pings=pings)


def live(runner: Runner) -> dict[str, dict[str, Any]]:
    with runner.engine.connect() as connection:
        return {row.id: {"a": row.a, "b": row.b} for row in connection.execute(text("SELECT * FROM square"))}


class Told:
    """A trail in dateline, and the same on paper."""

    def __init__(self, runner: Through, seed: int) -> None:
        self.runner = runner
        self.dice = random.Random(seed)
        self.paper = Paper()
        self.events: list[Any] = []
        self.edited = False

    def write(self) -> None:
        """Dispatch up to six events, with edits by hand between them."""
        dice = self.dice
        for _ in range(dice.randint(1, 6)):
            slip = Slip(rows=ROWS, plans=tuple(plan(dice) for _ in DAYS))
            version = dice.randrange(len(DAYS))
            accepted = self.paper.dispatch(slip, version)
            try:
                done: Committed | Rejected = self.runner.dispatch(slip, actor="hand", version=DAYS[version])
                self.events.append(done.event_id)
            except Rejected as refusal:
                done = refusal
                self.events.append(refusal.event_id)
            assert accepted == isinstance(done, Committed)
            if dice.random() < 0.15:
                self.edit()

    def edit(self) -> None:
        """Write past the trail."""
        self.edited = True
        row, dice, rows = self.dice.choice(ROWS), self.dice, self.paper.live
        with self.runner.engine.begin() as connection:
            if row not in rows:
                rows[row] = {"a": 50, "b": dice.randrange(4)}
                connection.execute(text("INSERT INTO square VALUES (:id, :a, :b)"), {"id": row, **rows[row]})
            elif dice.random() < 0.3:
                del rows[row]
                connection.execute(text("DELETE FROM square WHERE id = :id"), {"id": row})
            else:
                name = dice.choice(("a", "b"))
                rows[row][name] = dice.choice((60, dice.randrange(4)))
                connection.execute(
                    text(f"UPDATE square SET {name} = :value WHERE id = :id"), {"id": row, "value": rows[row][name]}
                )

    def send(self) -> None:
        """Have some of the effects delivered, the approved and the unapproved alike."""
        sent = {}
        for index, sheet in enumerate(self.paper.sheets):
            for to, all_ in sheet.asked.items():
                for number, one in enumerate(all_):
                    if one.state in ("due", "held") and self.dice.random() < 0.5:
                        one.state = "sent"
                        sent[index, to, number] = True
                    if one.undo == "held" and self.dice.random() < 0.5:
                        one.undo = "sent"
                        sent[index, f"undo {to}", number] = True
        places = self.places()
        with self.runner.engine.begin() as connection:
            for key in sent:
                seq, ordinal = places[key]
                connection.execute(
                    text("DELETE FROM dateline_delivery WHERE seq = :seq AND ordinal = :ordinal"),
                    {"seq": seq, "ordinal": ordinal},
                )

    def places(self) -> dict[tuple[int, str, int], tuple[int, int]]:
        """Return where in the trail each ping is that was asked for, by event, addressee, and how manieth it was."""
        found: dict[tuple[int, str, int], tuple[int, int]] = {}
        counts: Counter[tuple[int, str]] = Counter()
        for entry in self.runner.scan():
            root = entry.meta.cause if entry.kind == "event.correct" else entry.id
            index = [str(one) for one in self.events].index(str(root))
            for effect in entry.effects:
                to = effect.payload["to"]
                if effect.kind == "unping":
                    found[index, f"undo {to}", counts[index, to] - 1] = (entry.seq, effect.ordinal)
                else:
                    found[index, to, counts[index, to]] = (entry.seq, effect.ordinal)
                    counts[index, to] += 1
        return found

    def correct(
        self, number: int, version: int, chosen: set[str] | None = None, *, crash: bool = False, **given: Any
    ) -> Correction:
        """Correct an event; where it crashes in the middle, once more."""
        diff = self.runner.diff(self.events[number], DAYS[version])
        preview = self.runner.correct(diff, preview=True, actor=AUDITOR)
        named = {name(one.item): one.key for one in preview.items if name(one.item)}
        if chosen is not None:
            # Naming what later events depend on is an error of its own.
            chosen -= {found for found, status in statuses(preview).items() if status == "depended-on"}
        items = None if chosen is None else [key for found, key in named.items() if found in chosen]
        if crash:
            before = dump(self.runner)
            Dying.left = self.dice.randint(0, 9)
            try:
                return self.runner.correct(diff, actor=AUDITOR, items=items, **given)
            except Crash:
                pass
            finally:
                Dying.left = 10**9
            assert dump(self.runner) == before
        return self.runner.correct(diff, actor=AUDITOR, items=items, **given)


def dump(runner: Through) -> list[Any]:
    with runner.engine.connect() as connection:
        return [
            sorted(tuple(map(str, row)) for row in connection.execute(text(f"SELECT * FROM {name}")))
            for name in ("square", "dateline_event", "dateline_operation", "dateline_effect", "dateline_delivery")
        ]


def name(item: Any) -> str:
    shown = item.shown
    return {"effect": f">{shown.values.get('to')}", "rejection": ""}.get(shown.sort, str(shown.row))


def statuses(found: Correction) -> dict[str, str]:
    return {name(one.item): one.status for one in found.items if name(one.item)}


def states(told: Told) -> dict[tuple[int, str], list[str]]:
    """Return the state of every ping that was asked for, as dateline keeps it."""
    made: dict[tuple[int, str], list[str]] = {}
    entries = {entry.seq: entry for entry in told.runner.scan()}
    for (index, to, _), (seq, ordinal) in sorted(told.places().items()):
        if not to.startswith("undo"):
            state = next(one.state for one in entries[seq].effects if one.ordinal == ordinal)
            made.setdefault((index, to), []).append("sent" if state == "delivered" else state)
    return made


def test_a_correction_does_what_a_plain_reading_of_the_rules_does(
    runner: Through, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    seen: Counter[str] = Counter()
    for seed in range(times(TRAILS)):
        cleared(runner)
        told = Told(runner, seed)
        told.write()
        dice = told.dice
        for _ in range(dice.randint(1, 6)):
            if dice.random() < 0.3:
                told.send()
            if dice.random() < 0.15:
                told.edit()
            number, version = dice.randrange(len(told.events)), dice.randrange(len(DAYS))
            chosen = None if dice.random() < 0.7 else {one for one in (*ROWS, ">x", ">y") if dice.random() < 0.5}
            outcome = {"admit": dice.random() < 0.8, "revoke": dice.random() < 0.8}

            found = told.correct(number, version, chosen, crash=dice.random() < 0.2, **outcome)
            expected = told.paper.correct(number, version, chosen, **outcome)

            if found.needs is None:
                assert statuses(found) == expected, (seed, number, version, chosen)
            assert live(runner) == told.paper.live, (seed, number, version, chosen)
            seen.update(expected.values())
            seen["blocked"] += found.needs is not None
        wanted = {
            (index, to): [one.state for one in all_]
            for index, sheet in enumerate(told.paper.sheets)
            for to, all_ in sheet.asked.items()
        }
        assert states(told) == wanted, seed
        if not told.edited:
            # The live tables are the fold of the effective trail.
            assert live(runner) == {row: held for row in ROWS if (held := told.paper.drawn(row)) is not None}, seed
        seen["trails"] += 1
    figure(f"{dict(sorted(seen.items()))}")
    assert {
        "clean",
        "partial",
        "conflict",
        "already",
        "hidden",
        "depended-on",
        "held",
        "cancelled",
        "sent",
        "same",
    } <= seen.keys()


def test_in_any_order_twice_is_once_and_back_is_the_original(
    runner: Through, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    orders = stuck = 0
    for seed in range(times(TRAILS // 3)):
        results = []
        for order in range(2):
            cleared(runner)
            told = Told(runner, 10**6 + seed)
            told.write()
            if told.edited:
                break
            original = live(runner)
            first = {
                number: next(iter(runner.trail(limit=1, after=number))).version for number in range(len(told.events))
            }
            targets = {number: told.dice.randrange(len(DAYS)) for number in range(len(told.events))}
            numbers = list(targets)
            random.Random(seed * 7 + order).shuffle(numbers)
            there = [told.correct(number, targets[number], admit=True, revoke=True) for number in numbers]
            if any(one.status == "depended-on" for found in there for one in found.items):
                # A row that goes or stays by who came first: here an order matters, and says so.
                stuck += 1
                break
            before = dump(runner)
            assert not any(told.correct(number, targets[number], admit=True, revoke=True) for number in numbers), seed
            assert dump(runner) == before, seed
            results.append(live(runner))
            days = {number: DAYS.index(day) for number, day in first.items() if day is not None}
            back = [told.correct(number, days[number], admit=True, revoke=True) for number in numbers]
            if not any(one.status == "depended-on" for found in back for one in found.items):
                assert live(runner) == original, seed
        if len(results) == 2:
            assert results[0] == results[1], seed
            orders += 1
    figure(f"{orders} trails in two orders, {stuck} in which a row was depended on")
    assert orders > stuck > 0


@on_newest
def test_of_many_who_perform_one_difference_one_does(bank: Bank, times: Callable[[int], int]) -> None:
    Base.metadata.create_all(bank.engine)
    runner = bank.opened(lambda url, kept: Runner(url, versions=VERSIONS, settings=kept))
    number = Plan(acts=(Act(row="p", a=1),), pings=(("y", 1),))
    other = Plan(acts=(Act(row="p", a=2),), pings=(("y", 2),))
    for _ in range(times(3)):
        done = runner.dispatch(Slip(rows=("p",), plans=(number, other, other)), actor="hand", version=DAYS[0])
        diff = runner.diff(done.event_id, DAYS[1])
        ends: list[str] = []

        def work(index: int, diff: Any = diff, ends: list[str] = ends) -> None:
            try:
                ends.append("done" if runner.correct(diff, actor=AUDITOR) else "nothing")
            except StaleDiff:
                ends.append("stale")

        race(8, work)

        assert sorted(ends) == ["done", *["stale"] * 7]
        assert live(runner)["p"]["a"] == 2
        assert len(runner.trail(cause=done.event_id, kind="event.correct", outcome="committed")) == 1
