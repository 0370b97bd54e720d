"""Deciding no more than another version can have changed comes to what deciding all of it again does.

Over versions made by chance: handlers that come, go, are superseded by others, look at the plan, write rows of their own or a common one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import (
    Effect,
    Event,
    Insert,
    Plan,
    Record,
    Reject,
    Rejected,
    Runner,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    retired,
    rows,
)
from dateline.core.tally import Tally
from dateline.errors import HandlerFault
from dateline.run.sweep import Sweep, swept
from dateline.sql.tables import TRAIL
from tests.proofs.bank import Bank
from tests.proofs.racing import on_newest

HISTORIES = 12
DAYS = (date(2024, 1, 1), date(2024, 4, 1), date(2024, 8, 1), date(2024, 12, 1))


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Patch(Base):
    __tablename__ = "patch"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


class Wink(Effect, kind="wink", key="{at}"):
    at: str
    number: int


class Note(Event, kind="note", subjects=("note:{name}",)):
    name: str
    number: int


class Seen(Record[Patch]):
    id: str
    number: int


class Own(Snapshot):
    patch: Seen | None = rows(Patch.id == given("name"))


class Common(Snapshot):
    patch: Seen | None = rows(Patch.id == "common")


def made(slot: int, dice: random.Random, number: int) -> Any:
    """Return a handler that does one of a few things, of what it sees in one of a few ways."""
    sort, factor = dice.choice(("wink", "wink", "own", "common", "nothing", "count")), dice.randrange(1, 4)
    snapshot: Any = {"own": Own, "common": Common}.get(sort) or dice.choice((Own, Common))

    def decided(event: Any, seen: Any, plan: Any = None) -> Iterator[Any]:
        held = seen.patch
        total = event.number * factor + (held.number if held is not None else 0)
        if sort == "wink":
            yield Wink(at=f"{slot}", number=total % 5)
        elif sort == "count":
            yield Wink(at=f"{slot}", number=len(plan.steps(Wink)))
        elif sort in ("own", "common"):
            key = event.name if sort == "own" else "common"
            yield Insert(Patch, id=key, number=total) if held is None else Update(held, number=total)

    if sort == "count":

        def function(event: Any, seen: Any, plan: Any) -> Iterator[Any]:
            yield from decided(event, seen, plan)
    else:

        def function(event: Any, seen: Any) -> Iterator[Any]:  # type: ignore[misc]  # one of the two
            yield from decided(event, seen)

    yields = Yields[Insert[Patch] | Update[Patch]] if sort in ("own", "common") else Yields[Wink]
    function.__annotations__ = {"event": Note, "seen": snapshot, "return": yields}
    if sort == "count":
        function.__annotations__["plan"] = Plan
    function.__name__ = function.__qualname__ = f"slot{slot}_{number}"
    return function


@check
def small(event: Note) -> Yields[Reject]:
    if event.number > 17:
        yield Reject("large", "larger than 17")


@check(supersedes=small)
def smaller(event: Note) -> Yields[Reject]:
    if event.number > 14:
        yield Reject("large", "larger than 14")


def history(dice: random.Random) -> Versions:
    """Return versions of chance."""
    layers: dict[str | date, list[Any]] = {DAYS[0]: [Note, small]}
    holding: dict[int, Any] = {}
    number = 0
    for day in DAYS:
        layer = layers.setdefault(day, [])
        if day == DAYS[2] and dice.random() < 0.3:
            layer.append(smaller)
        for slot in [*holding]:
            chance = dice.random()
            number += 1
            if chance < 0.2:
                new = handler(supersedes=holding[slot])(made(slot, dice, number))
                holding[slot] = new
                layer.append(new)
            elif chance < 0.35:
                layer.append(retired(holding.pop(slot), because="chance"))
        for _ in range(dice.randrange(1, 3)):
            number += 1
            new = handler(made(number, dice, number))
            holding[number] = new
            layer.append(new)
    return Versions.of(layers)


def told(found: Tally) -> Any:
    document = found.document(0)
    groups = sorted((group, number) for group, (number, _) in found.groups.items())
    return document, groups, sorted((reason, number) for reason, (number, _) in found.unclear.items())


@on_newest
def test_deciding_what_can_have_changed_comes_to_what_deciding_all_does(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    Base.metadata.create_all(bank.engine)
    seen: Counter[str] = Counter()
    for seed in range(times(HISTORIES)):
        dice = random.Random(seed)
        versions = history(dice)
        with bank.engine.begin() as connection:
            for name in ("patch", *(name for name in TRAIL.tables if name != "dateline_incarnation")):
                connection.execute(text(f"DELETE FROM {name}"))
        with Runner(bank.url, versions=versions) as runner:
            for _ in range(40):
                note = Note(name=dice.choice("abc"), number=dice.randrange(20))
                # Two that write the common row clash: that is a fault of those versions, and of no interest here.
                with suppress(Rejected, HandlerFault):
                    runner.dispatch(note, actor="hand", version=dice.choice(DAYS), tenant=dice.choice(("", "t")))
        for day in DAYS:
            brief, whole = (
                swept(Sweep(database=bank.url, versions=versions, version=day, whole=all_), processes=1)
                for all_ in (False, True)
            )

            assert told(brief) == told(whole), (seed, day)

            seen["events"] += brief.events
            seen["same"] += brief.same
            seen["different"] += brief.different
            seen["reconstructed"] += brief.reconstructed
            seen["failed"] += brief.failed
    figure(f"{times(HISTORIES)} histories, {dict(seen)}")
    assert min(seen[name] for name in ("same", "different", "reconstructed")) > 50
