"""Another application under proof: lists that grow, whose every state tells who wrote it, and purses whose sum never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sqlalchemy import insert
from sqlalchemy.orm import Mapped, mapped_column

from dateline import (
    Event,
    Insert,
    Record,
    Reject,
    Runner,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
)
from tests.proofs.bank import Bank, Base

__all__ = ["LISTS", "Count", "Draw", "Duty", "Fill", "Item", "Line", "Move", "Touch", "Turn", "on", "purses"]


class Line(Base):
    """A list in one row: numbers, with a space between them."""

    __tablename__ = "line"

    name: Mapped[str] = mapped_column(primary_key=True)
    numbers: Mapped[str]


class Item(Base):
    """A list of rows, one an item: whoever reads it looks for rows that may not be there yet."""

    __tablename__ = "item"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pile: Mapped[str] = mapped_column(index=True)
    place: Mapped[int]


class Purse(Base):
    __tablename__ = "purse"

    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class Duty(Base):
    """Who is on duty in a ward."""

    __tablename__ = "duty"

    name: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str] = mapped_column(index=True)
    present: Mapped[bool]


class Written(Record[Line]):
    name: str
    numbers: str


class Piled(Record[Item]):
    number: int
    place: int


class Money(Record[Purse]):
    id: str
    cents: int


class OnDuty(Record[Duty]):
    name: str
    present: bool


class Around(Snapshot):
    line: Written | None = rows(Line.name == given("line"))
    pile: tuple[Piled, ...] = rows(Item.pile == given("pile"), order_by=(Item.place, Item.number))


class One(Snapshot):
    purse: Money = rows(Purse.id == given("source"))


class Purses(Snapshot):
    source: Money = rows(Purse.id == given("source"))
    target: Money = rows(Purse.id == given("target"))


class All(Snapshot):
    purses: tuple[Money, ...] = rows()


class Ward(Snapshot):
    staff: tuple[OnDuty, ...] = rows(Duty.ward == given("ward"), Duty.present.is_(True))


class Touch(Event, kind="touch", subjects=("line:{line}", "pile:{pile}")):
    """A look at two lists, and a number at the end of neither, of one of them, or of both."""

    line: str
    pile: str
    number: int
    to: Literal["neither", "line", "pile", "both"]


@handler
def touch(event: Touch, around: Around) -> Yields[Insert[Line] | Update[Line] | Insert[Item]]:
    if event.to in ("line", "both"):
        if around.line is None:
            yield Insert(Line, name=event.line, numbers=f"{event.number}")
        else:
            yield Update(around.line, numbers=f"{around.line.numbers} {event.number}")
    if event.to in ("pile", "both"):
        yield Insert(Item, number=event.number, pile=event.pile, place=len(around.pile) + 1)


class Move(Event, kind="move", subjects=("purse:{source}", "purse:{target}")):
    """Money goes from one purse into another."""

    source: str
    target: str
    cents: int


@check
def enough(event: Move, purses: Purses) -> Yields[Reject]:
    if purses.source.cents < event.cents:
        yield Reject("too-little", "the purse does not hold that much")


@handler
def move(event: Move, purses: Purses) -> Yields[Update[Purse]]:
    changes = {
        event.source: Update(purses.source, cents=purses.source.cents - event.cents),
        event.target: Update(purses.target, cents=purses.target.cents + event.cents),
    }
    for _, change in sorted(changes.items()):
        yield change


class Count(Event, kind="count"):
    """All the money there is, as somebody saw it."""


@handler
def counted(event: Count, everything: All) -> Yields[Update[Purse]]:
    yield from ()


class Fill(Event, kind="fill", subjects=("purse:{source}",)):
    """Money comes into a purse."""

    source: str
    cents: int


@handler
def fill(event: Fill, one: One) -> Yields[Update[Purse]]:
    yield Update(one.purse, cents=one.purse.cents + event.cents)


class Draw(Event, kind="draw", subjects=("purse:{source}",)):
    """Money leaves a purse, and one cent more where two purses together do not hold it."""

    source: str
    target: str
    cents: int


@handler
def draw(event: Draw, purses: Purses) -> Yields[Update[Purse]]:
    short = purses.source.cents + purses.target.cents < event.cents
    yield Update(purses.source, cents=purses.source.cents - event.cents - short)


class Turn(Event, kind="turn", subjects=("ward:{ward}",)):
    """Somebody comes on duty, or goes where another stays: the ward is never left alone."""

    ward: str
    name: str
    present: bool


@check
def never_alone(event: Turn, ward: Ward) -> Yields[Reject]:
    if not event.present and {one.name for one in ward.staff} <= {event.name}:
        yield Reject("last", "nobody else is on duty")


@handler
def take_turns(event: Turn, ward: Ward) -> Yields[Insert[Duty] | Update[Duty]]:
    mine = next((one for one in ward.staff if one.name == event.name), None)
    if event.present:
        yield Insert(Duty, name=event.name, ward=event.ward, present=True)
    elif mine is not None:
        yield Update(mine, present=False)


LISTS = Versions.of(
    {
        "2024-01-01": (
            *(Written, Piled, Money, OnDuty),
            *(Touch, touch, Move, enough, move, Count, counted, Fill, fill, Draw, draw),
            *(Turn, never_alone, take_turns),
        )
    }
)


def on(bank: Bank, weakened: Callable[[Runner], None] = lambda _: None, **settings: Any) -> Runner:
    """Open a runner of this application, weakened or not."""
    runner = bank.opened(lambda url, kept: Runner(url, versions=LISTS, settings=kept), **settings)
    weakened(runner)
    return runner


def purses(bank: Bank, many: int, cents: int = 0) -> None:
    """Make so many purses: p00, p01 and so on."""
    with bank.engine.begin() as connection:
        connection.execute(insert(Purse), [{"id": f"p{index:02}", "cents": cents} for index in range(many)])
