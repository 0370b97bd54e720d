"""The order of the numbers is the order of the writes: the operations, applied by `seq`, make the tables again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

from dateline import Event, Runner
from tests.proofs.bank import Bank, Cell, Clear, Post, Put, Renew
from tests.proofs.evidence import live, operations, rebuilt
from tests.proofs.racing import again, on_every_path_and_15, on_newest, race

THREADS = 8
NAMES = ("one", "two", "three")


def anything(dice: random.Random) -> Event:
    """Return an insert, an update, a delete, a re-insert: what it is depends on what the others left."""
    name, text = dice.choice(NAMES), str(dice.random())
    return dice.choice(
        [Put(name=name, text=text), Post(name=name), Renew(name=name, text=text), Clear(name=name), Clear(name=name)]
    )


def turmoil(runner: Runner, each: int) -> None:
    """Have every thread do anything to few rows, alone and several together, some of it rolled back."""

    def work(index: int) -> None:
        dice = random.Random(index)
        for _ in range(each):
            # In one order everywhere: else they would wait for each other until the server finds the deadlock, a second later.
            events = sorted((anything(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))), key=lambda one: one.subjects)
            rolled_back = dice.random() < 0.2
            if len(events) == 1:
                runner.dispatch(events[0], actor="crowd")
            else:
                again(lambda events=events, rolled_back=rolled_back: joined(runner, events, rolled_back))  # type: ignore[misc]

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
