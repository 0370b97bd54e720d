"""A crew of processes, each with some threads, that send events; now and then one is killed, and another goes on where it was.

`sent(url, …)` runs this module by itself, as a process that has no threads, so that it may fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Barrier, Thread
from typing import Any

from dateline import Committed, Event, Rejected
from dateline.errors import DatelineError
from dateline.run.settings import Settings
from tests.proofs.bank import Add, Clear, Note, Pay, Post, Put, Renew, seconds
from tests.proofs.racing import again
from tests.proofs.sabotage import Claimless, Sabotage, Through, through, unguarded

__all__ = ["Orders", "Told", "sent"]


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a crew is to do.

    Args:
        keys: How many keys each thread sends.
        racing: All threads send the same keys; else each its own.
        joined: How many of ten events go together with another, in one transaction.
        kills: How many processes are killed, at moments that nobody chose.
        points: How many of a thousand events bring their process to an end in the midst of their commit.
        only: The one kind of event that is sent: "one" for additions to one account, "own" for one account a
            process, without a key; all sorts where it is empty.
        weakened: "claimless", "unguarded" or "deferred".
        patience: Seconds that a request may fight for its turn.
    """

    keys: int
    processes: int = 4
    threads: int = 1
    racing: bool = False
    joined: int = 0
    kills: int = 0
    points: int = 0
    only: str = ""
    weakened: str = ""
    patience: float = 60
    seed: int = 0


@dataclass
class Told:
    """What a crew told.

    Args:
        answers: By key, the digest of each answer that somebody got, and whether it had been given before.
        ids: The events that were acknowledged.
        waits: How long each answer took, in seconds.
        kills: How many processes were killed from outside.
        points: After which statements others ended themselves.
        faults: What was raised instead of an answer.
    """

    answers: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    waits: list[float] = field(default_factory=list)
    kills: int = 0
    points: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


def sent(url: str, orders: Orders) -> Told:
    """Have a crew carry out its orders, and return what it told."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.proofs.crew", url, json.dumps(asdict(orders))],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    told = Told()
    for line in ran.stdout.splitlines():
        found = json.loads(line)
        if "kills" in found:
            told.kills = found["kills"]
        elif "point" in found:
            told.points[found["point"]] += 1
        elif "fault" in found:
            told.faults[found["fault"]] += 1
        else:
            told.waits.append(found["took"])
            for key, id, digest, repeated in found["answers"]:
                told.answers.setdefault(key, []).append((digest, repeated))
                told.ids.add(id)
    return told


def event_of(key: str, only: str) -> Event:
    """Return the event that is sent with a key: always the same."""
    dice = random.Random(key)
    name = f"c{dice.randrange(6)}"
    made: dict[str, Callable[[], Event]] = {
        "add": lambda: Add(account=f"a{dice.randrange(8)}", cents=dice.randint(1, 9)),
        "pay": lambda: Pay(account=f"a{dice.randrange(8)}", cents=1, note="secret"),
        "put": lambda: Put(name=name, text=key),
        "post": lambda: Post(name=name, note="secret"),
        "clear": lambda: Clear(name=name),
        "renew": lambda: Renew(name=name, text=key),
        "one": lambda: Add(account="a0", cents=1),
        "own": lambda: Add(account=f"a{key.split('-')[1]}", cents=1),
    }
    return made[only or dice.choice(sorted(made.keys() - {"one", "own"}))]()


def digest_of(done: Committed) -> str:
    """Return what tells one answer from another."""
    parts = (done.event_id, done.seq, done.version, done.recorded_at.isoformat(), done.event, done.operations)
    effects = [(one.id, one.step, dict(one.payload)) for one in done.effects]
    return hashlib.sha256(repr((*parts, effects)).encode()).hexdigest()


class Worker:
    """One process of the crew.

    Args:
        told: Where it writes what it has to tell: a pipe that takes a line at once.
    """

    def __init__(self, url: str, orders: Orders, process: int, life: int, told: int) -> None:
        self.orders = orders
        self.process = process
        self.life = life
        self.told = told
        settings = Settings(budget=seconds(orders.patience))
        self.runner = self._weakened(through(url, settings))

    def _weakened(self, runner: Through) -> Through:
        match self.orders.weakened:
            case "claimless":
                runner.store = Claimless(runner.store.dialect, runner.versions)
            case "unguarded":
                unguarded(runner)
            case "deferred":
                runner.store.dialect.begin = "BEGIN DEFERRED"
        return runner

    def work(self, starts: list[int]) -> None:
        """Have the threads go on from where those before them were."""
        start = Barrier(len(starts))
        threads = [Thread(target=self._sending, args=(start, index, at)) for index, at in enumerate(starts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _tell(self, **found: Any) -> None:
        os.write(self.told, (json.dumps(found) + "\n").encode())

    def _sending(self, start: Barrier, thread: int, at: int) -> None:
        dice = random.Random(f"{self.orders.seed}-{self.process}-{self.life}-{thread}")
        start.wait()
        for number in range(at, self.orders.keys):
            key = f"key-{number}" if self.orders.racing else f"key-{self.process}-{thread}-{number}"
            if dice.randrange(1000) < self.orders.points:
                self._ends(dice.randrange(20))
            began = time.monotonic()
            answers = []
            try:
                answers = self._answers(key, f"{self.process}-{thread}-{self.life}-{number}")
            except Rejected:
                pass
            except DatelineError as error:
                self._tell(fault=type(error).__name__, thread=thread, at=number)
                continue
            self._tell(answers=answers, took=time.monotonic() - began, thread=thread, at=number)

    def _answers(self, key: str, alone: str) -> list[tuple[str, str, str, bool]]:
        event = event_of(key, self.orders.only)
        # What takes the key writes first, and so makes a writer of any transaction.
        given = {"actor": "crowd", "key": None if self.orders.only == "own" else key}
        done = []
        if random.Random(f"{key}-joined").randrange(10) < self.orders.joined:

            def joined() -> list[tuple[str, Committed]]:
                with self.runner.together() as tx:
                    first = tx.dispatch(event, **given)  # type: ignore[arg-type]  # of Given
                    second = tx.dispatch(Note(about=alone), actor="crowd", key=f"also-{alone}")
                    return [(key, first), (f"also-{alone}", second)]

            done = again(joined, self.orders.patience)
        else:
            done = [(key, self.runner.dispatch(event, **given))]  # type: ignore[arg-type]  # of Given
        return [(key, str(one.event_id), digest_of(one), one.repeated) for key, one in done]

    def _ends(self, after: int) -> None:
        """Have the next commit of any thread be this process's last."""

        def end(connection: Sabotage) -> None:
            name = connection.passed[-1].name if connection.passed else "before begin"
            self._tell(point=name or "plain", thread=-1, at=-1)
            os.kill(os.getpid(), signal.SIGKILL)

        self.runner.made = lambda engine: Sabotage(engine, after, end)


class Crew:
    """The process that forks the others, and kills them."""

    def __init__(self, url: str, orders: Orders) -> None:
        self.url = url
        self.orders = orders
        self.dice = random.Random(orders.seed)
        self.at = [[0] * orders.threads for _ in range(orders.processes)]
        self.lives = [0] * orders.processes
        self.running: dict[int, tuple[int, int]] = {}
        self.rest: dict[int, bytes] = {}
        self.waiting = selectors.DefaultSelector()
        self.killed = 0

    def run(self) -> None:
        """Have all orders carried out, and pass on what is told."""
        for process in range(self.orders.processes):
            self._fork(process)
        due = time.monotonic() + 0.5
        while self.running:
            for key, _ in self.waiting.select(0.01):
                self._hear(key.fd)
            if self.killed < self.orders.kills and self.running and time.monotonic() > due:
                self.killed += 1
                os.kill(self.dice.choice(sorted(pid for pid, _ in self.running.values())), signal.SIGKILL)
                due = time.monotonic() + self.dice.uniform(0.05, 0.4)
        sys.stdout.write(json.dumps({"kills": self.killed}) + "\n")

    def _fork(self, process: int) -> None:
        here, there = os.pipe()
        self.lives[process] += 1
        pid = os.fork()
        if not pid:
            try:
                Worker(self.url, self.orders, process, self.lives[process], there).work(self.at[process])
            finally:
                os._exit(0)
        os.close(there)
        self.running[here] = pid, process
        self.rest[here] = b""
        self.waiting.register(here, selectors.EVENT_READ)

    def _hear(self, pipe: int) -> None:
        found = os.read(pipe, 2**16)
        pid, process = self.running[pipe]
        if not found:
            self.waiting.unregister(pipe)
            os.close(pipe)
            del self.running[pipe]
            os.waitpid(pid, 0)
            # Whoever comes next sends again what was not answered.
            if any(at < self.orders.keys for at in self.at[process]):
                self._fork(process)
            return
        *lines, self.rest[pipe] = (self.rest[pipe] + found).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["at"] >= 0:
                self.at[process][told["thread"]] = told["at"] + 1
            sys.stdout.write(line.decode() + "\n")


if __name__ == "__main__":
    Crew(sys.argv[1], Orders(**json.loads(sys.argv[2]))).run()
