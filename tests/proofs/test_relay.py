"""Relays that are killed lose no effect and send none twice; followers that are killed miss nothing and see nothing in another order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from dateline import Runner
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked
from tests.proofs.postoffice import LETTERS, Send, lines
from tests.proofs.racing import on_newest, on_postgresql
from tests.proofs.test_positions import Follower, bustle, everything

WORKERS = 4


class Crew:
    """Processes that do one thing, of which some are killed and replaced."""

    def __init__(self, what: str, bank: Bank, path: Path, many: int) -> None:
        self._command = [sys.executable, "-m", "tests.proofs.postoffice", what, bank.url, str(path)]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.working = [self._hired() for _ in range(many)]
        self.killed = 0

    def _hired(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._environment)

    def kill_one(self, pid: int | None = None) -> None:
        """Kill a process in the middle of whatever it does, this one or any, and put another in its place."""
        places = [place for place, process in enumerate(self.working) if pid in (None, process.pid)]
        if not places:
            return
        place = places[0]
        os.kill(self.working[place].pid, signal.SIGKILL)
        self.working[place].wait()
        self.killed += 1
        self.working[place] = self._hired()

    def dismissed(self) -> None:
        for process in self.working:
            process.kill()
            process.wait()


@contextmanager
def crew(what: str, bank: Bank, path: Path, many: int = WORKERS) -> Iterator[Crew]:
    made = Crew(what, bank, path, many)
    try:
        yield made
    finally:
        made.dismissed()


def states(bank: Bank) -> Counter[str]:
    """Return how many effects are in each state of delivery."""
    told = "SELECT coalesce(d.state, 'delivered') AS state FROM dateline_effect e LEFT JOIN dateline_delivery d"
    return Counter(row.state for row in asked(bank.engine, f"{told} ON d.seq = e.seq AND d.ordinal = e.ordinal"))


def settled(bank: Bank, crew: Crew, path: Path, dice: random.Random, kills: int, until: Callable[[], bool]) -> None:
    """Kill processes, each while it delivers, until there were enough of it, and then wait until something is so."""
    ends = time.monotonic() + 600
    while crew.killed < kills:
        before = len(lines(path))
        while len(lines(path)) == before:
            assert time.monotonic() < ends, (crew.killed, states(bank))
            time.sleep(0.001)
        time.sleep(dice.random() * 0.02)
        crew.kill_one(int(lines(path)[-1].split(" ")[1]))
    while not until():
        assert time.monotonic() < ends, states(bank)
        time.sleep(0.1)


def posted(bank: Bank, letters: int) -> None:
    with Runner(bank.url, versions=LETTERS) as runner:
        for first in range(0, letters, 10):
            runner.dispatch(Send(first=first), actor="crowd")


def ids(bank: Bank, state: str | None = None) -> set[str]:
    told = "SELECT e.id, coalesce(d.state, 'delivered') AS state FROM dateline_effect e LEFT JOIN dateline_delivery d"
    rows = asked(bank.engine, f"{told} ON d.seq = e.seq AND d.ordinal = e.ordinal")
    return {str(row.id) for row in rows if state in (None, row.state)}


@on_newest
def test_relays_that_are_killed_lose_nothing_and_send_nothing_twice(
    bank: Bank, tmp_path: Path, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    many, kills, path, dice = times(500) // 10 * 10, times(10), tmp_path / "received", random.Random(1)
    with crew("relay", bank, path) as relays:
        feeding = Thread(target=slowly, args=(bank, many, kills))
        feeding.start()
        settled(
            bank,
            relays,
            path,
            dice,
            kills,
            lambda: not feeding.is_alive() and not {"due", "sending"} & states(bank).keys(),
        )
        feeding.join()

    got = Counter(line.split(" ")[0] for line in lines(path))
    found = states(bank)
    figure(
        f"{many} effects, {relays.killed} kills: {dict(found)}, {len(got)} arrived, at most {max(got.values())} times each"
    )
    assert found.keys() <= {"delivered", "unknown"}
    assert found.total() == many
    assert set(got.values()) == {1}
    assert ids(bank, "delivered") <= got.keys() <= ids(bank)
    # What did not arrive is known not to be known.
    assert ids(bank) - got.keys() <= ids(bank, "unknown")
    assert 0 < found["unknown"] <= relays.killed * 8


def slowly(bank: Bank, many: int, kills: int) -> None:
    """Have letters written for as long as processes are killed, so that each of those has something to do."""
    with Runner(bank.url, versions=LETTERS) as runner:
        for first in range(0, many, 10):
            runner.dispatch(Send(first=first), actor="crowd")
            time.sleep(0.25 * kills / (many / 10))


@on_newest
def test_where_the_receiver_knows_repetitions_all_of_it_arrives(
    bank: Bank, tmp_path: Path, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    many, kills, path, dice = times(300) // 10 * 10, times(6), tmp_path / "received", random.Random(2)
    with crew("resending", bank, path) as relays:
        feeding = Thread(target=slowly, args=(bank, many, kills))
        feeding.start()
        settled(bank, relays, path, dice, kills, lambda: not feeding.is_alive() and set(states(bank)) == {"delivered"})
        feeding.join()

    got = Counter(line.split(" ")[0] for line in lines(path))
    figure(
        f"{many} effects, {relays.killed} kills: {sum(got.values()) - len(got)} repetitions, all of them known by their id"
    )
    assert got.keys() == ids(bank)
    tries = asked(bank.engine, "SELECT seq, ordinal, count(*) AS n FROM dateline_attempt GROUP BY seq, ordinal")
    assert sum(row.n for row in tries) >= sum(got.values())


@on_postgresql
def test_the_control_without_leases_sends_some_twice(bank: Bank, tmp_path: Path, times: Callable[[int], int]) -> None:
    many, path = times(300) // 10 * 10, tmp_path / "received"
    posted(bank, many)

    with crew("careless", bank, path) as workers:
        settled(bank, workers, path, random.Random(3), 2, lambda: set(states(bank)) == {"delivered"})

    assert max(Counter(line.split(" ")[0] for line in lines(path)).values()) > 1


@on_newest
def test_followers_that_are_killed_miss_nothing_and_see_nothing_in_another_order(
    bank: Bank, tmp_path: Path, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(3)
    kills, path, dice = times(6), tmp_path / "followed", random.Random(4)
    runner, done = bank.runner(), Signal()

    def write() -> None:
        while not done.is_set():
            bustle(bank, runner, 6)
            time.sleep(0.05)

    writing = Thread(target=write)
    writing.start()
    try:
        with crew("follow", bank, path, 1) as followers:
            while followers.killed < kills:
                # Until it has gone on, so that each of them does.
                before, ends = len(lines(path)), time.monotonic() + 60
                while len(lines(path)) <= before:
                    assert time.monotonic() < ends
                    time.sleep(0.01)
                time.sleep(dice.random() * 0.2)
                followers.kill_one()
            done.set()
            writing.join()
            committed = [
                row.seq for row in asked(bank.engine, "SELECT seq FROM dateline_event WHERE outcome = 'committed'")
            ]
            ends = time.monotonic() + 60
            while len(lines(path)) < len(committed):
                assert time.monotonic() < ends, (len(lines(path)), len(committed))
                time.sleep(0.05)
            time.sleep(0.3)
    finally:
        done.set()
        writing.join()

    told = [line.split(" ") for line in lines(path)]
    positions, seen = [int(one[1]) for one in told], [int(one[3]) for one in told]
    judge = Follower(bank, "position")
    judge.seen = seen
    faults = f"missed {judge.missed(committed)}, twice {judge.doubled}, inverted {judge.inverted()}"
    figure(f"{len(everything(bank))} events, {kills} kills: {faults}")
    assert positions == sorted(set(positions))
    assert (judge.missed(committed), judge.doubled, judge.inverted()) == (0, 0, 0)
    assert sorted(seen) == sorted(committed)
