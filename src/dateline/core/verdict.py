"""What is to be done about one row, or one effect, so that it becomes what it would be had its event been decided otherwise (rules 31, 37).

A row is compared in three states: as the effective trail leaves it, as it would leave it with one event planned anew, and as it is. Only
the cells in which the first two differ are written, and only where the third is the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from dateline.core.effect import Effect

__all__ = [
    "NOTHING",
    "Cells",
    "Occurrence",
    "Past",
    "Told",
    "Verdict",
    "Write",
    "folded",
    "judged",
    "unwanted",
    "wanted",
]

Cells = Mapping[str, Any]
"""Columns of one row, as the database writes them in an image."""


class Write(NamedTuple):
    """What one event does to one row, all its steps taken together.

    Args:
        verb: "insert", "update" or "delete"; empty where it does nothing.
        cells: Of an insert the whole row, as far as it is known; of an update the columns that it writes.
    """

    verb: str = ""
    cells: Cells = MappingProxyType({})


NOTHING = Write()


class Told(NamedTuple):
    """A write, and the event that did it."""

    seq: int
    id: UUID
    write: Write


def folded(state: Cells | None, writes: Iterable[Write]) -> Cells | None:
    """Return what writes leave of a row; None where there is none."""
    for write in writes:
        if write.verb == "insert":
            state = write.cells
        elif write.verb == "delete":
            state = None
        elif write.verb == "update" and state is not None:
            state = {**state, **write.cells}
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All that is known of one row.

    Args:
        start: The row before the first event wrote it.
        before: What earlier events did to it, corrections of theirs included.
        own: What the event does to it, as it stands.
        after: What later events did to it.
        live: The row as it is.
    """

    start: Cells | None
    before: tuple[Told, ...] = ()
    own: Write = NOTHING
    after: tuple[Told, ...] = ()
    live: Cells | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about one row, or one effect.

    Args:
        status: "clean": it is written. "partial": some of its cells are, others were written by hand. "conflict": it was written by
            hand, and is left alone. "already": it is so. "hidden": later events wrote over it. "depended-on": later events wrote the row
            that would go. "unassigned": it holds what the database would assign to a row that is not inserted. "held", "cancelled",
            "undone", "same", "busy", "unknown", "sent": of an effect.
        verb: What is done to the row; empty for nothing.
        cells: What is written.
        conflicts: The cells that were written by hand, each with what the trail says and what is there.
        effective: What the event does to the row once this is performed.
        later: The later events on which it depends.
        detail: The status as a sentence.
    """

    status: str
    verb: str = ""
    cells: Cells = field(default_factory=dict)
    conflicts: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    effective: Write = NOTHING
    later: tuple[Told, ...] = ()
    detail: str = ""

    @property
    def performed(self) -> bool:
        """Whether anything of it is performed, be it only that the record says so."""
        return self.status in _PERFORMED


_PERFORMED = frozenset({"clean", "partial", "already", "hidden", "held", "cancelled", "undone", "same"})


def judged(past: Past, new: Write) -> Verdict:
    """Return what is to be done about a row, so that it becomes what it would be had the event done something else (rule 31)."""
    earlier = [one.write for one in past.before]
    later = [one.write for one in past.after]
    was = folded(past.start, (*earlier, past.own, *later))
    wanted_ = folded(past.start, (*earlier, new, *later))
    live = past.live
    if was is None and wanted_ is None:
        return Verdict(status="hidden", effective=new, detail="a later event deleted the row")
    if was is None:
        assert wanted_ is not None
        if live is None:
            return Verdict(status="clean", verb="insert", cells=wanted_, effective=new)
        if _same(wanted_, live):
            return Verdict(status="already", effective=new, detail="the row is there")
        return _conflict(past.own, {n: (None, live.get(n)) for n in wanted_}, "a row of that key was written by hand")
    if wanted_ is None:
        if live is None:
            return Verdict(status="already", effective=new, detail="the row is gone")
        wrote = tuple(one for one in past.after if one.write.verb)
        if wrote:
            seqs = ", ".join(str(one.seq) for one in wrote)
            return Verdict(
                status="depended-on", effective=past.own, later=wrote, detail=f"later events wrote the row: {seqs}"
            )
        if _same(was, live):
            return Verdict(status="clean", verb="delete", cells=was, effective=new)
        found = {n: (was[n], live[n]) for n in was if n in live and live[n] != was[n]}
        return _conflict(past.own, found, "the row was written by hand")
    differing = [name for name in wanted_ if name in was and was[name] != wanted_[name]]
    if not differing:
        return Verdict(status="hidden", effective=new, detail="later events wrote over it")
    if live is None:
        return _conflict(past.own, {n: (was[n], None) for n in differing}, "the row was deleted by hand")
    there = live
    clean = {n: wanted_[n] for n in differing if there.get(n) == was[n]}
    conflicts = {n: (was[n], there.get(n)) for n in differing if there.get(n) not in (was[n], wanted_[n])}
    if not conflicts:
        return Verdict(
            status="clean" if clean else "already", verb="update" if clean else "", cells=clean, effective=new
        )
    mixed = _mixed(past.own, new, conflicts)
    already = len(clean) + len(conflicts) < len(differing)
    if mixed is None or not (clean or already):
        return _conflict(past.own, conflicts, "written by hand: " + ", ".join(conflicts))
    return Verdict(
        status="partial",
        verb="update" if clean else "",
        cells=clean,
        conflicts=conflicts,
        effective=mixed,
        detail="written by hand, and left alone: " + ", ".join(conflicts),
    )


def _conflict(own: Write, conflicts: Mapping[str, tuple[Any, Any]], detail: str) -> Verdict:
    return Verdict(status="conflict", conflicts=conflicts, effective=own, detail=detail)


def _same(one: Cells, other: Cells) -> bool:
    return all(other[name] == value for name, value in one.items() if name in other)


def _mixed(old: Write, new: Write, kept: Iterable[str]) -> Write | None:
    """Return the new write with some cells of the old one; None where the two are not of one sort."""
    kept = set(kept)
    cells = {name: value for name, value in new.cells.items() if name not in kept}
    cells |= {name: value for name, value in old.cells.items() if name in kept}
    if old.verb == new.verb == "insert":
        return Write("insert", cells)
    if {old.verb, new.verb} <= {"update", ""}:
        return Write("update", cells) if cells else NOTHING
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One time that an effect was asked for.

    Args:
        key: Its place in the trail, `seq.ordinal`.
        state: The state of its delivery.
        undo: The correction of it that its kind declares, where that was asked for since.
    """

    key: str
    kind: str
    payload: Mapping[str, Any]
    state: str
    undo: Occurrence | None = None

    def is_(self, kind: str, payload: Mapping[str, Any]) -> bool:
        """Tell whether it is of that content."""
        return self.kind == kind and dict(self.payload) == dict(payload)


_UNSENT = frozenset({"held", "due", "waiting", "retrying", "dead"})


def unwanted(of: Occurrence, undo: Effect | None) -> Verdict:
    """Return what is to be done about an effect that turns out to be unwanted (rule 37).

    Args:
        undo: What makes it good, by its own declaration.
    """
    if of.state in _UNSENT:
        return Verdict(status="cancelled", detail="it was not sent")
    if of.state in ("cancelled", "expired"):
        return Verdict(status="already", detail=f"it is {of.state}")
    if of.state == "sending":
        return Verdict(status="busy", detail="it is being sent at this moment")
    if of.state == "unknown":
        return Verdict(status="unknown", detail="it was sent, and nobody knows whether it arrived")
    if undo is not None:
        return Verdict(status="undone", detail=f"it was sent; {undo.__kind__} makes it good, held for approval")
    return Verdict(status="sent", detail="it was sent, and cannot be unsent")


def wanted(kind: str, payload: Mapping[str, Any], before: Sequence[Occurrence]) -> tuple[Verdict, Occurrence | None]:
    """Return what is to be done about an effect that turns out to be wanted, and the earlier occurrence that serves (rule 37)."""
    for one in reversed(before):
        if not one.is_(kind, payload) or one.state in ("cancelled", "expired"):
            continue
        if one.undo is None:
            return Verdict(status="same", detail="it was asked for before, and is not sent again"), one
        if one.undo.state in _UNSENT or one.undo.state in ("cancelled", "expired"):
            return Verdict(status="same", detail="it was sent before; what would make it good is cancelled"), one
        break
    return Verdict(status="held", detail="held for approval"), None
