"""Slips of paper: each says what it does to a few cells, once for each of three versions. What corrections are attacked with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import (
    Delete,
    Effect,
    Event,
    Insert,
    Record,
    Reject,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
)
from dateline.core.model import Model

__all__ = ["DAYS", "VERSIONS", "Act", "Base", "Cell", "Ping", "Slip"]

DAYS = (date(2024, 1, 1), date(2024, 6, 1), date(2024, 9, 1))


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Cell(Base):
    __tablename__ = "square"

    id: Mapped[str] = mapped_column(primary_key=True)
    a: Mapped[int]
    b: Mapped[int | None] = mapped_column(default=None)


class Ping(Effect, kind="ping", key="{to}"):
    """Somebody is told a number."""

    to: str
    number: int

    def correction(self) -> Effect | None:
        """Some can be taken back, others cannot."""
        return Unping(to=self.to) if self.to == "x" else None


class Unping(Effect, kind="unping", key="{to}"):
    to: str


class Act(Model):
    """What is done to one row: cells are put, or it is cleared."""

    row: str
    clear: bool = False
    a: int | None = None
    b: int | None = None


class Plan(Model):
    """What one version does."""

    refuse: bool = False
    acts: tuple[Act, ...] = ()
    pings: tuple[tuple[str, int], ...] = ()


class Slip(Event, kind="slip"):
    rows: tuple[str, ...]
    plans: tuple[Plan, ...]


class Seen(Record[Cell]):
    id: str
    a: int
    b: int | None


class Sheet(Snapshot):
    cells: tuple[Seen, ...] = rows(Cell.id.in_(given("rows")))


def _no(event: Slip, version: int) -> Iterator[Reject]:
    if event.plans[version].refuse:
        yield Reject("no", "it is refused")


def _done(event: Slip, sheet: Sheet, version: int) -> Iterator[Any]:
    held = {one.id: one for one in sheet.cells}
    for act in event.plans[version].acts:
        there = held.get(act.row)
        values = {name: value for name, value in (("a", act.a), ("b", act.b)) if value is not None}
        if act.clear:
            if there is not None:
                yield Delete(there)
        elif there is None:
            yield Insert(Cell, id=act.row, a=act.a or 0, b=act.b)
        elif values:
            yield Update(there, **values)
    for to, number in event.plans[version].pings:
        yield Ping(to=to, number=number)


@check
def allowed(event: Slip) -> Yields[Reject]:
    yield from _no(event, 0)


@handler
def done(event: Slip, sheet: Sheet) -> Yields[Insert[Cell] | Update[Cell] | Delete[Cell] | Ping]:
    yield from _done(event, sheet, 0)


@check(supersedes=allowed)
def allowed_in_june(event: Slip) -> Yields[Reject]:
    yield from _no(event, 1)


@handler(supersedes=done)
def done_in_june(event: Slip, sheet: Sheet) -> Yields[Insert[Cell] | Update[Cell] | Delete[Cell] | Ping]:
    yield from _done(event, sheet, 1)


@check(supersedes=allowed_in_june)
def allowed_in_september(event: Slip) -> Yields[Reject]:
    yield from _no(event, 2)


@handler(supersedes=done_in_june)
def done_in_september(event: Slip, sheet: Sheet) -> Yields[Insert[Cell] | Update[Cell] | Delete[Cell] | Ping]:
    yield from _done(event, sheet, 2)


VERSIONS = Versions.of(
    {
        "2024-01-01": [Slip, allowed, done],
        "2024-06-01": [allowed_in_june, done_in_june],
        "2024-09-01": [allowed_in_september, done_in_september],
    }
)
