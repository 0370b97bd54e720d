"""Whatever many writers do at once, there is an order in which they could have done it one after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest
from sqlalchemy import insert, select, text

from dateline import Preview, Rejected, Runner
from dateline.errors import Conflict, ConstraintRefused
from dateline.run.settings import Settings
from dateline.run.together import Together
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked
from tests.proofs.history import Append, Look, Transaction, phenomena
from tests.proofs.lists import LISTS, Count, Draw, Duty, Fill, Item, Line, Move, Purse, Touch, Turn
from tests.proofs.racing import again, on_every_path, on_newest, on_postgresql, race
from tests.proofs.sabotage import at_read_committed, at_repeatable_read, unguarded

THREADS = 32
PURSES = 40
LISTED = 8
CENTS = 100


class Regret(Exception):
    """The caller changes its mind."""


def on(bank: Bank, weakened: Callable[[Runner], None] = lambda _: None) -> Runner:
    runner = bank.opened(
        lambda url, kept: Runner(url, versions=LISTS, settings=kept),
        # None waits for a connection: what is to be seen is how they meet in the database.
        **Settings(pool=THREADS).model_dump(exclude={"budget"}),
    )
    weakened(runner)
    return runner


def purses(bank: Bank, many: int, cents: int = 0) -> None:
    with bank.engine.begin() as connection:
        connection.execute(insert(Purse), [{"id": f"p{index:02}", "cents": cents} for index in range(many)])


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
    work = Workload(bank, on(bank, path), times(500))

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
    work = Workload(bank, on(bank, weakened), 500, ConstraintRefused)

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


def skewed(bank: Bank, weakened: Callable[[Runner], None]) -> int:
    """Have two who see each other on duty go at the same time; return how many are left."""
    with bank.engine.begin() as connection:
        connection.execute(insert(Duty), [{"name": name, "ward": "w", "present": True} for name in ("ann", "bea")])
    runner = on(bank, weakened)

    with suppress(Conflict), runner.together() as one, runner.together() as another:
        one.dispatch(Turn(ward="w", name="ann", present=False), actor="ann")
        another.dispatch(Turn(ward="w", name="bea", present=False), actor="bea")

    return len(asked(bank.engine, "SELECT FROM duty WHERE present"))


@on_postgresql
def test_of_two_who_both_see_that_the_other_stays_only_one_may_go(bank: Bank) -> None:
    assert skewed(bank, lambda _: None) == 1


@on_postgresql
def test_control_at_repeatable_read_both_go(bank: Bank) -> None:
    assert skewed(bank, at_repeatable_read) == 0


def phantom(bank: Bank, weakened: Callable[[Runner], None]) -> list[int]:
    """Have two put an item at the end of one pile, each before the other is seen; return the places they took."""
    runner = on(bank, weakened)

    with suppress(Conflict), runner.together() as one, runner.together() as another:
        one.dispatch(Touch(line="l", pile="p", number=1, to="pile"), actor="ann")
        another.dispatch(Touch(line="l", pile="p", number=2, to="pile"), actor="bea")

    return [row.place for row in asked(bank.engine, "SELECT place FROM item")]


@on_postgresql
def test_of_two_who_both_find_no_row_only_one_may_add_it(bank: Bank) -> None:
    assert phantom(bank, lambda _: None) == [1]


@on_postgresql
@pytest.mark.parametrize("weakened", [at_read_committed, at_repeatable_read])
def test_control_at_lower_levels_both_add_it(bank: Bank, weakened: Callable[[Runner], None]) -> None:
    assert phantom(bank, weakened) == [1, 1]


def seen_between(
    bank: Bank, weakened: Callable[[Runner], None], look: Callable[[Runner], list[int]]
) -> tuple[list[int], list[int]]:
    """Have somebody draw, and, before that is committed, somebody fill, and a third look; return what was seen, and what is left.

    Source: A. Fekete, E. O'Neil, P. O'Neil, A read-only transaction anomaly under snapshot isolation, 2004.
    """
    purses(bank, 2)
    runner = on(bank, weakened)

    seen: list[int] = []
    with suppress(Conflict), runner.together() as tx:
        tx.dispatch(Draw(source="p00", target="p01", cents=10), actor="drawer")
        runner.dispatch(Fill(source="p01", cents=20), actor="filler")
        seen = look(runner)

    left = [row.cents for row in asked(bank.engine, "SELECT cents FROM purse ORDER BY id")]
    return seen, left


def by_preview(runner: Runner) -> list[int]:
    seen = runner.preview(Count(), actor="reader")
    assert isinstance(seen, Preview)
    return [money.cents for money in seen.seen[0]]


def by_event(runner: Runner) -> list[int]:
    done = runner.dispatch(Count(), actor="reader")
    [held] = runner.trail(kind="count").entries[0].snapshot.values()
    assert done.operations == ()
    return [row["cents"] for row in held["rows"]]


looking = pytest.mark.parametrize("look", [by_preview, by_event])


@on_postgresql
@looking
def test_who_only_looks_does_not_see_what_no_order_explains(bank: Bank, look: Callable[[Runner], list[int]]) -> None:
    seen, left = seen_between(bank, lambda _: None, look)

    # The filling was seen without the drawing: then the drawing, with its extra cent, must not have happened before it.
    assert (seen, left) == ([0, 20], [0, 20])


@on_postgresql
@looking
def test_control_at_repeatable_read_who_only_looks_sees_it(bank: Bank, look: Callable[[Runner], list[int]]) -> None:
    seen, left = seen_between(bank, at_repeatable_read, look)

    assert (seen, left) == ([0, 20], [-11, 20])


def waited_for(bank: Bank, weakened: Callable[[Runner], None]) -> int:
    """Have one statement wait for a row that another transaction holds and then commits; return what is in the purse."""
    purses(bank, 1)
    runner = on(bank, weakened)
    runner.dispatch(Fill(source="p00", cents=0), actor="first")
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'WITH %' "
        "AND datname = current_database()"
    )

    waiter = Thread(target=lambda: runner.dispatch(Fill(source="p00", cents=1), actor="waiter"))
    with runner.together() as tx:
        tx.dispatch(Fill(source="p00", cents=10), actor="holder")
        waiter.start()
        end = time.monotonic() + 10
        while not asked(bank.engine, waiting):
            assert time.monotonic() < end, "nobody waits"
    waiter.join()

    return int(asked(bank.engine, "SELECT cents FROM purse")[0].cents)


@on_postgresql
def test_one_statement_that_waited_for_another_writer_loses_nothing(bank: Bank) -> None:
    assert waited_for(bank, lambda _: None) == 11


@on_postgresql
def test_control_at_read_committed_one_statement_that_waited_writes_over_what_it_waited_for(bank: Bank) -> None:
    assert waited_for(bank, at_read_committed) == 1


@on_newest
def test_a_look_inside_a_transaction_sees_what_it_wrote(bank: Bank) -> None:
    runner = on(bank)

    with runner.together() as tx:
        tx.dispatch(Touch(line="l", pile="p", number=1, to="both"), actor="crowd")
        tx.dispatch(Touch(line="l", pile="p", number=2, to="both"), actor="crowd")

    assert final(bank) == {"l": (1, 2), "p": (1, 2)}
