"""Rules 1 to 19 over histories made by chance: dateline decides what a plain reading of the rules does, and the laws hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dateline import Event, Versions
from dateline.core.effect import Effect
from tests.proofs.histories import History, built, history
from tests.proofs.naive import Told, decided

HISTORIES = 250
"""At the short size; forty times as many at the full."""


def told(versions: Versions, event: Event, day: Any) -> Told:
    """Return what dateline decides, as the plain reading tells it."""
    plan = versions.for_event(event, day).decide(event, {})
    steps = [(one.key, one.step.__dict__["text"]) for one in plan.planned if isinstance(one.step, Effect)]
    amended = [(one.step, one.verb, one.moot, one.because) for one in plan.amended]
    return [(one.key, one.detail) for one in plan.rejections], steps, amended


def events(found: History, chain: list[type[Event]], until: int, dice: random.Random) -> list[tuple[int, Event]]:
    """Return some events in some of the shapes that are known then, each with its place in the chain."""
    known = 1 + sum(shape is not None for shape in found.shapes[:until])
    made = []
    for _ in range(3):
        place = dice.randrange(known)
        made.append((place, chain[place](**{name: dice.randrange(60) for name in chain[place].model_fields})))
    return made


def test_what_is_decided_is_what_a_plain_reading_of_the_rules_gives(
    times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    seen = {"decisions": 0, "rejected": 0, "amended": 0, "moot": 0, "converted": 0, "dates": 0}
    for seed in range(times(HISTORIES)):
        found = history(seed)
        versions, chain = built(found)
        dice = random.Random(seed)
        for _ in range(3):
            until = dice.randint(1, len(found.days))
            for place, event in events(found, chain, until, dice):
                expected = decided(found, until, place, dict(event.__dict__))

                assert told(versions, event, found.days[until - 1]) == expected, (seed, until, event)

                seen["decisions"] += 1
                seen["rejected"] += bool(expected[0])
                seen["amended"] += sum(not moot for _, _, moot, _ in expected[2])
                seen["moot"] += sum(moot for _, _, moot, _ in expected[2])
                seen["converted"] += place > 0
        seen["dates"] += len(found.days)
    figure(f"{times(HISTORIES)} histories, {seen}")
    assert min(seen.values()) > 20


def test_later_dates_are_inert_and_break_no_earlier_one(times: Callable[[int], int]) -> None:
    for seed in range(times(HISTORIES)):
        found = history(seed)
        dice = random.Random(seed)
        until = dice.randint(1, len(found.days))
        whole, chain = built(found)
        part, _ = built(found, until)
        day = found.days[until - 1]
        for _, event in events(found, chain, until, dice):
            # Each builds classes of its own; what they are made of is the same.
            twin = next(one for one in part._shapes["value"].chain if one.__name__ == type(event).__name__)

            assert told(whole, event, day) == told(part, twin(**event.__dict__), day), (seed, until)


def test_the_order_in_which_modules_are_imported_is_irrelevant(times: Callable[[int], int]) -> None:
    for seed in range(times(HISTORIES)):
        found = history(seed)
        versions, chain = built(found)
        dice = random.Random(seed)
        layers = list(versions.layers)
        dice.shuffle(layers)
        shuffled = Versions(versions.versions, tuple(layers))
        for _, event in events(found, chain, len(found.days), dice):
            assert told(shuffled, event, found.days[-1]) == told(versions, event, found.days[-1]), seed


def test_superseding_by_a_copy_is_the_identity(times: Callable[[int], int]) -> None:
    compared = 0
    for seed in range(times(HISTORIES)):
        found = history(seed)
        dice = random.Random(seed)
        copied = with_a_copy(found, dice)
        if copied is None:
            continue
        (versions, chain), (others, twins) = built(found), built(copied)
        for place, event in events(found, chain, len(found.days), dice):
            twin = twins[place](**event.__dict__)
            first, second = told(versions, event, found.days[-1]), told(others, twin, copied.days[-1])
            # A copy has a name of its own, which these functions write down.
            assert [key for part in first for key, *_ in part] == [key for part in second for key, *_ in part], seed
            compared += 1
    assert compared > 100


def with_a_copy(found: History, dice: random.Random) -> History | None:
    """Return the history with one more date, on which a slot is held by a copy of its holder; None where nobody holds one."""
    held: dict[tuple[str, str], Any] = {}
    for modules in found.modules:
        for name in sorted(modules):
            for one in modules[name]:
                held[one.role, one.slot] = None if one.sort == "retire" else one
    able = [one for one in held.values() if one is not None]
    if not able:
        return None
    old = dice.choice(able)
    new = replace(old, name=f"{old.name}_again", supersedes=old.name)
    last = found.days[-1] + timedelta(days=1)
    return History((*found.days, last), (*found.modules, {"m": (new,)}), (*found.shapes, None))
