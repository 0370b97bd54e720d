"""Rules 31 to 37 read plainly, with nothing of dateline's: every state is worked out from the beginning each time, cell by cell.

A row is a dict of its cells. An event's plan is kept per row as a list of (cell, value), where the cell "*" stands for the row itself:
True for a new one, False for none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.proofs.slips import Plan, Slip

__all__ = ["Paper"]

_LEFT = ("open", "conflict", "depended-on", "sent")
"""What becomes of a difference that is not performed."""

Row = dict[str, Any]
Pen = tuple[tuple[str, Any], ...]
"""What is written of one row, in order."""


@dataclass
class Sent:
    """One time that a ping was asked for."""

    to: str
    number: int
    state: str = "due"
    undo: str | None = None


@dataclass
class Sheet:
    """One event: what each version makes of it, and what stands."""

    plans: list[dict[str, Pen]]
    pings: list[dict[str, int]]
    refused: list[bool]
    stands: dict[str, Pen] = field(default_factory=dict)
    wanted: dict[str, Sent] = field(default_factory=dict)
    asked: dict[str, list[Sent]] = field(default_factory=dict)
    rejected: bool = False


@dataclass
class Paper:
    """The whole trail on paper, beside the table as it is.

    Args:
        live: The rows as they are.
        start: Each row as it was when the trail first wrote it.
    """

    live: dict[str, Row] = field(default_factory=dict)
    start: dict[str, Row | None] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)

    def dispatch(self, slip: Slip, version: int) -> bool:
        """Do what a version says; return whether it was accepted."""
        seen = {row: dict(self.live[row]) for row in slip.rows if row in self.live}
        sheet = Sheet(
            plans=[_plan(plan, seen) for plan in slip.plans],
            pings=[dict(plan.pings) for plan in slip.plans],
            refused=[plan.refuse for plan in slip.plans],
        )
        self.sheets.append(sheet)
        sheet.rejected = slip.plans[version].refuse
        if sheet.rejected:
            return False
        sheet.stands = dict(sheet.plans[version])
        for row, pen in sheet.stands.items():
            self._write(row, pen)
        for to, number in sheet.pings[version].items():
            sheet.wanted[to] = Sent(to, number)
            sheet.asked[to] = [sheet.wanted[to]]
        return True

    def _write(self, row: str, pen: Pen) -> None:
        self._begun(row)
        held = _drawn(self.live.get(row), [pen])
        if held is None:
            self.live.pop(row, None)
        else:
            self.live[row] = held

    def _begun(self, row: str) -> None:
        self.start.setdefault(row, dict(self.live[row]) if row in self.live else None)

    def drawn(self, row: str, instead: tuple[int, Pen] | None = None, pen: Pen = ()) -> Row | None:
        """Return what the trail says of a row, an event's writing perhaps taken for another.

        Args:
            pen: What is about to be written; of a row that nobody wrote yet, it tells whether one is expected to be there.
        """
        pens = [sheet.stands.get(row, ()) for sheet in self.sheets]
        if instead is not None:
            pens[instead[0]] = instead[1]
        start = self.start.get(row) if row in self.start else None if ("*", True) in pen else self.live.get(row)
        return _drawn(start, pens)

    def correct(
        self, number: int, version: int, chosen: set[str] | None = None, *, admit: bool = True, revoke: bool = True
    ) -> dict[str, str]:
        """Correct an event to a version; return what became of each difference, rows by name, pings by `>name`."""
        sheet = self.sheets[number]
        refused = sheet.refused[version]
        plan: Mapping[str, Pen] = {} if refused else sheet.plans[version]
        pings: Mapping[str, int] = {} if refused else sheet.pings[version]
        rows = dict.fromkeys((*sheet.stands, *plan))
        differing = [row for row in rows if sheet.stands.get(row, ()) != plan.get(row, ())]
        mine = {to: one.number for to, one in sheet.wanted.items()}
        told = [to for to in {**mine, **pings} if mine.get(to) != pings.get(to)]
        found: dict[str, str] = {}
        blocked = (sheet.rejected and not refused and not admit) or (not sheet.rejected and refused and not revoke)
        judged: dict[str, tuple[str, Pen]] = {}
        for row in differing:
            judged[row] = self._judge(number, row, plan.get(row, ()), write=False)
            found[row] = judged[row][0]
        for to in told:
            found[f">{to}"] = self._ping(sheet, to, mine.get(to), pings.get(to), write=False)
        if blocked:
            return found
        for name in list(found):
            if chosen is not None and name not in chosen:
                found[name] = "open"
            elif name.startswith(">"):
                to = name[1:]
                self._ping(sheet, to, mine.get(to), pings.get(to), write=True)
            else:
                _, stands = self._judge(number, name, plan.get(name, ()), write=True)
                judged[name] = (found[name], stands)
        for name, (status, stands) in judged.items():
            if status not in ("open", "conflict", "depended-on") and found[name] != "open":
                if stands:
                    sheet.stands[name] = stands
                else:
                    sheet.stands.pop(name, None)
        if chosen is None or any(status not in _LEFT for status in found.values()):
            sheet.rejected = refused
        return found

    def _judge(self, number: int, row: str, pen: Pen, *, write: bool) -> tuple[str, Pen]:
        old = self.sheets[number].stands.get(row, ())
        was, would, live = self.drawn(row, None, pen), self.drawn(row, (number, pen), pen), self.live.get(row)

        if was == would:
            return "hidden", pen
        if was is None:
            if live is None:
                if write:
                    assert would is not None
                    self._begun(row)
                    self.live[row] = dict(would)
                return "clean", pen
            return ("already", pen) if live == would else ("conflict", old)
        if would is None:
            if live is None:
                return "already", pen
            if any(sheet.stands.get(row) for sheet in self.sheets[number + 1 :]):
                return "depended-on", old
            if live != was:
                return "conflict", old
            if write:
                self._begun(row)
                del self.live[row]
            return "clean", pen
        cells = [name for name in was if was[name] != would[name]]
        if live is None:
            return "conflict", old
        byhand = [name for name in cells if live[name] not in (was[name], would[name])]
        free = [name for name in cells if live[name] == was[name]]
        if not byhand:
            if write and free:
                self._begun(row)
                self.live[row].update({name: would[name] for name in free})
            return ("clean" if free else "already"), pen
        mixed = _mixed(old, pen, byhand)
        if mixed is None or len(byhand) == len(cells):
            return "conflict", old
        if write and free:
            self._begun(row)
            self.live[row].update({name: would[name] for name in free})
        return "partial", mixed

    def _ping(self, sheet: Sheet, to: str, old: int | None, new: int | None, *, write: bool) -> str:
        stop: str | None = None
        status = ""
        undo: str | None = None
        held = sheet.wanted.get(to)
        if old is not None:
            assert held is not None
            if held.state in ("held", "due"):
                status = "cancelled"
            elif held.state == "cancelled":
                status = "already"
            elif to == "x":
                status, undo = "undone", "held"
            else:
                status = stop = "sent"
        serves: Sent | None = None
        if new is not None:
            for one in reversed(sheet.asked.get(to, [])):
                if one.number == new and one.state != "cancelled":
                    if one.undo != "sent":
                        serves = one
                    break
            status = "same" if serves is not None else "held"
        if stop is not None:
            return stop
        if write:
            if old is not None:
                assert held is not None
                if held.state in ("held", "due"):
                    held.state = "cancelled"
                if undo is not None:
                    sheet.asked[to][-1].undo = undo
                del sheet.wanted[to]
            if new is not None:
                if serves is not None and serves.undo == "held":
                    serves.undo = "cancelled"
                if serves is None:
                    serves = Sent(to, new, "held")
                    sheet.asked.setdefault(to, []).append(serves)
                sheet.wanted[to] = serves
        return status


def _plan(plan: Plan, seen: dict[str, Row]) -> dict[str, Pen]:
    made: dict[str, Pen] = {}
    for act in plan.acts:
        values = {name: value for name, value in (("a", act.a), ("b", act.b)) if value is not None}
        if act.clear:
            if act.row in seen:
                made[act.row] = (("*", False),)
        elif act.row not in seen:
            made[act.row] = (("*", True), *({"a": 0, "b": None} | values).items())
        elif values:
            made[act.row] = tuple(values.items())
    return made


def _drawn(row: Row | None, pens: list[Pen]) -> Row | None:
    held = None if row is None else dict(row)
    for pen in pens:
        for cell, value in pen:
            if cell == "*":
                held = {} if value else None
            elif held is not None:
                held[cell] = value
    return held


def _mixed(old: Pen, new: Pen, kept: list[str]) -> Pen | None:
    """Return the new writing with some cells of the old; None where one makes a row and the other does not."""
    if [one for one in old if one[0] == "*"] != [one for one in new if one[0] == "*"]:
        return None
    before, after = dict(old), dict(new)
    cells = [name for name in ("*", "a", "b") if name in (before if name in kept else after)]
    return tuple((name, (before if name in kept else after)[name]) for name in cells)
