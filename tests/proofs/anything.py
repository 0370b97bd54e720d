"""Applications that nobody wrote: kinds of events whose checks and handlers are drawn from a small vocabulary, and what they mean.

Said twice: `application` makes handlers that yield steps, `Model` changes a dictionary. Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from dateline import (
    Delete,
    Event,
    Insert,
    Plan,
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
from dateline.core.operation import Operation
from dateline.core.step import Step
from tests.proofs.bank import Cell, Kept, Tell

__all__ = ["ACTIONS", "CHECKS", "DATES", "Asked", "Kind", "Model", "application"]

DATES = ("2024-01-01", "2024-06-01")
ACTIONS = ("put", "clear", "bump", "copy", "move", "tell")
CHECKS = ("there", "not there", "few writes")

Row = tuple[str, int]


@dataclass(frozen=True)
class Kind:
    """One kind of event: what is checked, and what is done, by date; what an earlier date says holds for the later too.

    Args:
        checks: For each date which check, and on which of the event's two cells.
        actions: The same for what is done.
    """

    checks: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]
    actions: tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Asked:
    """One event that is sent, and under which date."""

    kind: int
    a: str
    b: str
    text: str
    date: int

    def event(self, versions: Versions) -> Event:
        """Return it as the application's own."""
        body = {"a": self.a, "b": self.b, "text": self.text}
        made = versions.cascade(f"kind-{self.kind}", versions.versions[self.date].date).event
        return made(**body)


class Pair(Snapshot):
    a: Kept | None = rows(Cell.name == given("a"))
    b: Kept | None = rows(Cell.name == given("b"))


def application(kinds: tuple[Kind, ...]) -> Versions:
    """Return the versions of an application of these kinds."""
    members: tuple[list[Any], list[Any]] = [Kept], []
    for number, kind in enumerate(kinds):
        fields = {"a": str, "b": str, "text": str}
        event = cast(Any, type(Event))(
            f"Kind{number}", (Event,), {"__module__": __name__, "__annotations__": fields}, kind=f"kind-{number}"
        )
        members[0].append(event)
        for date in range(2):
            for place, (name, on) in enumerate(kind.checks[date]):
                members[date].append(
                    check(_named(f"check_{number}_{date}_{place}", event, _checking(name, on), Reject))
                )
            for place, (name, on) in enumerate(kind.actions[date]):
                made = _named(f"act_{number}_{date}_{place}", event, _acting(name, on), None)
                members[date].append(handler(made))
    return Versions.of(dict(zip(DATES, members, strict=True)))


def _named(name: str, event: type[Event], decide: Any, yields: Any) -> Any:
    decide.__name__ = decide.__qualname__ = name
    steps = Insert[Cell] | Update[Cell] | Delete[Cell] | Tell if yields is None else yields
    decide.__annotations__ = {"event": event, "pair": Pair, "return": Yields[steps]}  # type: ignore[valid-type]  # made here
    if yields is None:
        decide.__annotations__["plan"] = Plan
    return decide


def _checking(name: str, on: str) -> Callable[[Any, Pair], Iterator[Reject]]:
    def decide(event: Any, pair: Pair) -> Iterator[Reject]:
        cell: Kept | None = getattr(pair, on)
        fails = {
            "there": cell is None,
            "not there": cell is not None,
            "few writes": cell is not None and cell.writes >= 3,
        }
        if fails[name]:
            yield Reject(name.replace(" ", "-"), "so it is said")

    return decide


def _acting(name: str, on: str) -> Callable[[Any, Pair, Plan], Iterator[Step]]:
    def decide(event: Any, pair: Pair, plan: Plan) -> Iterator[Step]:
        cells = _left(pair, plan)
        mine, other = getattr(event, on), event.b if on == "a" else event.a
        cell, source = cells.get(mine), cells.get(other)
        match name:
            case "put" if cell is not None:
                yield Update(cell, text=event.text)
            case "put":
                yield Insert(Cell, name=mine, text=event.text)
            case "clear" if cell is not None:
                yield Delete(cell)
            case "bump" if cell is not None:
                yield Update(cell, writes=cell.writes + 1)
            case "copy" if source is not None and cell is None:
                yield Insert(Cell, name=mine, text=source.text, writes=source.writes)
            case "copy" if source is not None and cell is not None:
                yield Update(cell, text=source.text)
            case "move" if source is not None and cell is None:
                yield Delete(source)
                yield Insert(Cell, name=mine, text=source.text)
            case "tell":
                yield Tell(who=mine, text=event.text if cell is None else cell.text)

    return decide


def _left(pair: Pair, plan: Plan) -> dict[str, Kept]:
    """Return the cells as the steps so far leave them, those that are new among them."""
    cells = {cell.name: cell for cell in (pair.a, pair.b) if cell is not None}
    for planned in plan.planned:
        step = planned.step
        if not isinstance(step, Operation):
            continue
        name = str(step.row_key)
        if isinstance(step, Delete):
            del cells[name]
        elif isinstance(step, Insert):
            cells[name] = Kept(name=name, text=step.values["text"], writes=step.values["writes"])
        else:
            cells[name] = cells[name].model_copy(update=dict(step.values))
    return cells


@dataclass
class Model:
    """What all of it means, in memory.

    Args:
        cells: Text and writes of each cell.
        told: What was told, in order: to whom, and what.
    """

    kinds: tuple[Kind, ...]
    cells: dict[str, Row] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def copy(self) -> Model:
        """Return another that is the same."""
        return type(self)(self.kinds, dict(self.cells), list(self.told))

    def refusals(self, asked: Asked) -> list[str]:
        """Return the codes with which an event is refused now."""
        kind = self.kinds[asked.kind]
        found = []
        for name, on in (one for date in range(asked.date + 1) for one in kind.checks[date]):
            row = self.cells.get(asked.a if on == "a" else asked.b)
            if (name == "there") == (row is None) and name != "few writes":
                found.append(name.replace(" ", "-"))
            if name == "few writes" and row is not None and row[1] >= 3:
                found.append("few-writes")
        return found

    def perform(self, asked: Asked) -> None:
        """Do what an event does that is not refused."""
        kind, cells = self.kinds[asked.kind], self.cells
        for name, on in (one for date in range(asked.date + 1) for one in kind.actions[date]):
            mine, other = (asked.a, asked.b) if on == "a" else (asked.b, asked.a)
            if name == "put":
                cells[mine] = (asked.text, cells.get(mine, ("", 1))[1])
            elif name == "clear":
                cells.pop(mine, None)
            elif name == "bump" and mine in cells:
                cells[mine] = (cells[mine][0], cells[mine][1] + 1)
            elif name == "copy" and other in cells:
                cells[mine] = (cells[other][0], cells[mine][1] if mine in cells else cells[other][1])
            elif name == "move" and other in cells and mine not in cells:
                cells[mine] = (cells.pop(other)[0], 1)
            elif name == "tell":
                self.told.append((mine, cells[mine][0] if mine in cells else asked.text))

    def seen(self, asked: Asked) -> tuple[Row | None, Row | None]:
        """Return what an event looks at."""
        return self.cells.get(asked.a), self.cells.get(asked.b)
