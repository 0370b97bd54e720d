"""Whatever many writers do at once, there is an order in which they could have done it one after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import select, text

from dateline import Preview, Rejected, Runner
from dateline.errors import ConstraintRefused
from dateline.run.together import Together
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked
from tests.proofs.history import Append, Look, Transaction, phenomena
from tests.proofs.lists import Count, Item, Line, Move, Touch, on, purses
from tests.proofs.racing import again, on_every_path, on_newest, race
from tests.proofs.sabotage import at_read_committed, at_repeatable_read, unguarded

THREADS = 32
PURSES = 40
LISTED = 8
CENTS = 100


class Regret(Exception):
    """The caller changes its mind."""


class Workload:
    """What each thread does to lists and purses, alone, in transactions of several, some of them rolled back; and what it saw.

    Args:
        dispatches: How many events there are to be, about.
        tolerated: Refusals that may come about where isolation is weakened.
    """

    def __init__(self, bank: Bank, runner: Runner, dispatches: int, *tolerated: type[Exception]) -> None:
        self.runner = runner
        self.tolerated = tolerated
        self.each = dispatches // THREADS
        self.transactions: list[tuple[str, list[Touch], bool]] = []
        self.looks: list[Transaction] = []
        self.sums: list[int] = []
        if bank.postgresql:
            # Whoever waits for each other in a circle is to find out soon; nothing else depends on it.
            with bank.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(text(f"ALTER DATABASE \"{bank.engine.url.database}\" SET deadlock_timeout = '20ms'"))

    def run(self) -> None:
        """Have all threads work."""
        race(THREADS, self._work)

    def _work(self, thread: int) -> None:
        dice = random.Random(thread)
        numbers = iter(range(thread * 10**6, (thread + 1) * 10**6))
        done = 0
        while done < self.each:
            # Lists are left behind after a while: a long one tells no more than a short one, and is stored with every event.
            era = done // 10
            match dice.randrange(10):
                case 0:
                    done += 1
                    self._transfer(dice)
                case 1:
                    self._look(f"{next(numbers)}", era, dice)
                case 2 | 3 | 4:
                    events = sorted((self._touch(numbers, era, dice) for _ in range(2)), key=lambda one: one.line)
                    done += len(events)
                    self._joined(f"{thread}-{done}", events, dice)
                case _:
                    done += 1
                    event = self._touch(numbers, era, dice)
                    self._alone(f"{thread}-{done}", event)

    @staticmethod
    def _touch(numbers: Iterator[int], era: int, dice: random.Random) -> Touch:
        to = dice.choice(("neither", "line", "pile", "line", "pile", "both"))
        line, pile = f"l{era}-{dice.randrange(LISTED)}", f"p{era}-{dice.randrange(LISTED)}"
        return Touch(line=line, pile=pile, number=next(numbers), to=to)  # type: ignore[arg-type]  # one of the four

    def _transfer(self, dice: random.Random) -> None:
        source, target = dice.sample(range(PURSES), 2)
        event = Move(source=f"p{source:02}", target=f"p{target:02}", cents=dice.randint(1, 60))
        with suppress(Rejected):
            if dice.random() < 0.5:
                self.runner.dispatch(event, actor="crowd")
            else:
                again(lambda: self._together([event], lambda tx: tx.dispatch(event, actor="crowd")))

    def _look(self, id: str, era: int, dice: random.Random) -> None:
        seen = self.runner.preview(Count(), actor="crowd")
        assert isinstance(seen, Preview)
        self.sums.append(sum(money.cents for money in seen.seen[0]))
        event = self._touch(iter((0,)), era, dice)
        seen = self.runner.preview(event, actor="crowd")
        assert isinstance(seen, Preview)
        line, pile = seen.seen
        numbers = tuple(map(int, line[0].numbers.split())) if line else ()
        looks = (Look(event.line, numbers), Look(event.pile, tuple(one.number for one in pile)))
        self.looks.append(Transaction(f"look-{id}", looks))

    def _alone(self, id: str, event: Touch) -> None:
        done = False
        with suppress(*self.tolerated):
            self.runner.dispatch(event, actor="crowd")
            done = True
        self.transactions.append((id, [event], done))

    def _joined(self, id: str, events: list[Touch], dice: random.Random) -> None:
        regrets = dice.random() < 0.2

        def work(tx: Together) -> None:
            for event in events:
                tx.dispatch(event, actor="crowd")
            if regrets:
                raise Regret

        done = False
        with suppress(Regret, *self.tolerated):
            again(lambda: self._together(events, work))
            done = True
        self.transactions.append((id, events, done))

    def _together(self, events: list[Touch] | list[Move], work: Callable[[Together], object]) -> None:
        with self.runner.together() as tx:
            work(tx)

    def history(self) -> list[Transaction]:
        """Return what every transaction saw and did; what it saw stands in the trail."""
        seen: dict[int, tuple[Look, Look]] = {}
        after: int | None = 0
        while after is not None:
            page = self.runner.trail(kind="touch", outcome="committed", after=after, limit=1000)
            for entry in page:
                line, pile = (held["rows"] for held in entry.snapshot.values())
                numbers = tuple(map(int, line[0]["numbers"].split())) if line else ()
                looks = Look(entry.input["line"], numbers), Look(entry.input["pile"], tuple(i["number"] for i in pile))
                seen[entry.input["number"]] = looks
            after = page.next
        made = []
        for id, events, committed in self.transactions:
            did: list[Look | Append] = []
            for event in events:
                did += seen.get(event.number, ()) if committed else ()
                did += [Append(event.line, event.number)] if event.to in ("line", "both") else []
                did += [Append(event.pile, event.number)] if event.to in ("pile", "both") else []
            made.append(Transaction(id, tuple(did), committed))
        return made + self.looks


def final(bank: Bank) -> dict[str, tuple[int, ...]]:
    """Return what the lists hold."""
    with bank.engine.connect() as connection:
        found = {
            row.name: tuple(map(int, row.numbers.split()))
            for row in connection.execute(select(Line.name, Line.numbers))
        }
        for row in connection.execute(select(Item.pile, Item.number).order_by(Item.place, Item.number)):
            found[row.pile] = (*found.get(row.pile, ()), row.number)
        return found


@on_every_path
def test_thirty_two_writers_leave_a_history_that_some_serial_order_explains(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    purses(bank, PURSES, CENTS)
    work = Workload(bank, on(bank, path, pool=THREADS), times(500))

    began = time.monotonic()
    work.run()
    took = time.monotonic() - began

    history = work.history()
    joined = sum(len(events) > 1 and committed for _, events, committed in work.transactions)
    figure(
        f"{len(asked(bank.engine, 'SELECT seq FROM dateline_event'))} events, {len(history)} transactions, {joined} of them joined, "
        f"{len(work.looks)} looks, in {took:.0f} s"
    )
    assert joined > THREADS
    assert sum(len(numbers) for numbers in final(bank).values()) > 10 * THREADS
    found = phenomena(history, final(bank))
    assert found == {}, found.told
    assert set(work.sums) == {PURSES * CENTS}
    assert work.runner.verify().ok


@pytest.mark.parametrize(
    ("bank", "weakened", "expected"),
    [
        pytest.param("postgresql-18", at_read_committed, {"lost"}, id="read-committed"),
        pytest.param("postgresql-18", at_repeatable_read, {"G0", "G1c", "G2"}, id="repeatable-read"),
        pytest.param("postgresql-18", unguarded, {"lost"}, id="postgresql-no-guard"),
        pytest.param("sqlite", unguarded, {"lost"}, id="sqlite-no-guard"),
    ],
    indirect=["bank"],
)
def test_control_weaker_isolation_or_no_guard_leaves_what_no_serial_order_explains(
    bank: Bank,
    weakened: Callable[[Runner], None],
    expected: set[str],
    figure: Callable[[str], None],
) -> None:
    purses(bank, PURSES, CENTS)
    work = Workload(bank, on(bank, weakened, pool=THREADS), 500, ConstraintRefused)

    work.run()

    found = phenomena(work.history(), final(bank))
    figure(f"{found}, {len(set(work.sums))} different sums of money")
    assert found.keys() & expected


def transaction(id: str, *did: Look | Append, committed: bool = True) -> Transaction:
    return Transaction(id, did, committed)


@pytest.mark.parametrize(
    ("history", "ends", "expected"),
    [
        (
            [
                transaction("a", Append("x", 1), Append("y", 1)),
                transaction("b", Append("x", 2), Append("y", 2)),
            ],
            {"x": (1, 2), "y": (2, 1)},
            {"G0": 1},
        ),
        (
            [transaction("a", Append("x", 1), committed=False), transaction("b", Look("x", (1,)))],
            {"x": ()},
            {"G1a": 1, "unordered": 1},
        ),
        (
            [transaction("a", Append("x", 1), Append("x", 2)), transaction("b", Look("x", (1,)))],
            {"x": (1, 2)},
            {"G1b": 1, "G2": 1},
        ),
        (
            [
                transaction("a", Append("x", 1), Look("y", (2,))),
                transaction("b", Append("y", 2), Look("x", (1,))),
            ],
            {"x": (1,), "y": (2,)},
            {"G1c": 1},
        ),
        (
            [
                transaction("a", Look("x", ()), Look("y", ()), Append("x", 1)),
                transaction("b", Look("x", ()), Look("y", ()), Append("y", 2)),
            ],
            {"x": (1,), "y": (2,)},
            {"G2": 1},
        ),
        (
            [transaction("a", Look("x", ()), Append("x", 1)), transaction("b", Look("x", ()), Append("x", 2))],
            {"x": (2,)},
            {"lost": 1},
        ),
        ([transaction("a", Append("x", 1))], {"x": (1, 1)}, {"twice": 1}),
        ([transaction("a", Append("x", 1), Look("x", ()))], {"x": (1,)}, {"internal": 1}),
        (
            [
                transaction("a", Look("x", ()), Append("x", 1), Look("x", (1,))),
                transaction("b", Look("x", (1,)), Append("x", 2)),
                transaction("c", Look("x", (1, 2))),
            ],
            {"x": (1, 2)},
            {},
        ),
    ],
    ids=["G0", "G1a", "G1b", "G1c", "G2", "lost", "twice", "internal", "sound"],
)
def test_the_checker_finds_each_phenomenon_by_itself(
    history: list[Transaction], ends: dict[str, tuple[int, ...]], expected: dict[str, int]
) -> None:
    assert phenomena(history, ends) == expected


@on_newest
def test_a_look_inside_a_transaction_sees_what_it_wrote(bank: Bank) -> None:
    runner = on(bank)

    with runner.together() as tx:
        tx.dispatch(Touch(line="l", pile="p", number=1, to="both"), actor="crowd")
        tx.dispatch(Touch(line="l", pile="p", number=2, to="both"), actor="crowd")

    assert final(bank) == {"l": (1, 2), "p": (1, 2)}
