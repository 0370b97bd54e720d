"""Performing a difference and nothing else: what is to be written, what is left alone and why (rules 31 to 37).

A row is compared in three states: as the effective trail leaves it, as it would leave it with one event planned anew, and as it is. Only
the cells in which the first two differ are written, and only where the third is the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from dateline.core.decision import OPEN, Decided, Decision
from dateline.core.diff import Item
from dateline.core.effect import Effect
from dateline.core.entry import Entry, Written
from dateline.core.event import Event
from dateline.core.model import Model, Personal
from dateline.core.outcome import Performed
from dateline.errors import Rejection

__all__ = [
    "NOTHING",
    "RIGHT",
    "Cells",
    "CorrectEvent",
    "Corrected",
    "Correction",
    "Occurrence",
    "Part",
    "Past",
    "Row",
    "Standing",
    "Told",
    "Verdict",
    "Want",
    "Write",
    "corrected",
    "folded",
    "judged",
    "recorded_write",
    "standing",
    "subject_of",
    "unwanted",
    "wanted",
    "write_of",
]

RIGHT = "correct"
"""The right to correct what was recorded."""

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
            that would go. "held", "cancelled", "undone", "same", "busy", "unknown", "sent": of an effect.
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


class Part(Model):
    """What an event does to one row once it is corrected.

    Args:
        row: The row's key; empty where the database gave it with this correction.
        verb: As in `Write`; empty where it does nothing any more.
        cells: As in `Write`; `declared` what the steps named. What is personal of both stands in `hidden`, under their names.
        whose: Whose the personal values are.
    """

    __subject__: ClassVar[str | None] = "{whose}"

    step: str
    table: str
    row: str
    verb: str
    cells: dict[str, Any]
    declared: dict[str, Any]
    hidden: Personal[dict[str, Any]] | None = None
    whose: str = ""
    handler: str = ""
    date: str = ""
    ordinal: int = 0


class Want(Model):
    """Whether an event wants an effect once it is corrected.

    Args:
        step: The effect's key.
        wanted: Whether it does.
        again: The earlier occurrence that serves; without it, one of this correction.
        undo: The step of this correction that makes the last occurrence good.
    """

    step: str
    wanted: bool
    again: str | None = None
    undo: str | None = None


class CorrectEvent(Event, kind="event.correct", requires=RIGHT):
    """An event is planned anew, and the difference performed.

    Args:
        root: The event; `number` counts its corrections.
        to: The version that decided anew.
        changed: What of the input was changed.
        parts: What it does to rows from now on; `wants` which effects it wants.
        outcome: "committed" or "rejected", as it stands from now on; `rejections` why.
        about: The event's subjects.
    """

    root: UUID
    number: int
    to: date
    changed: Personal[dict[str, Any]] | None = None
    parts: tuple[Part, ...] = ()
    wants: tuple[Want, ...] = ()
    outcome: str
    rejections: tuple[dict[str, str | None], ...] = ()
    about: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the event is about, and each row that is: so its corrections are found by row."""
        return (*self.about, *dict.fromkeys(subject_of(one.table, one.row) for one in self.parts if one.row))


def subject_of(table: str, row: str) -> str:
    """Return the subject by which the corrections about a row are found."""
    return f"row:{table}/{row}"


class Row(NamedTuple):
    """A row's place: its table and its key."""

    table: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An event as it stands: its record, and what corrections made of it.

    Args:
        writes: What it does to rows.
        wishes: By step the occurrence of each effect that it wants.
        occurrences: By step all times that an effect was asked for, oldest first.
        baseline: How many corrections there are.
    """

    decision: Decision
    writes: Mapping[Row, Write]
    wishes: Mapping[str, Occurrence]
    occurrences: Mapping[str, tuple[Occurrence, ...]]
    baseline: int


def recorded_write(operations: Sequence[Written]) -> Write:
    """Return what the operations of one event did to one row."""
    last = operations[-1]
    if last.after is None:
        return Write("delete")
    if any(one.verb == "insert" for one in operations):
        return Write("insert", last.after)
    cells: dict[str, Any] = {}
    for one in operations:
        assert one.after is not None
        before = one.before or {}
        # What the database changed beside what was named, by a trigger, counts as written too.
        cells |= {name: v for name, v in one.after.items() if name in one.declared or before.get(name) != v}
    return Write("update", cells)


def corrected(entry: Entry) -> CorrectEvent:
    """Return the correction that an entry records."""
    return CorrectEvent.model_validate_json(json.dumps(entry.input))


def write_of(part: Part, entry: Entry) -> tuple[str, Write]:
    """Return a row's key and what the corrected event does to it, as the database wrote it where it did."""
    done = next((one for one in entry.operations if one.step == part.step and one.table == part.table), None)
    row = part.row or (done.row_key if done is not None else "")
    cells = {**part.cells, **(part.hidden or {}).get("cells", {})}
    if part.verb not in ("insert", "update"):
        return row, Write(part.verb)
    if done is not None and done.after is not None and part.row in ("", done.row_key):
        # What only the database could know is taken of what it wrote; the rest may be what later events make of the row.
        named = done.after if part.verb == "insert" else part.declared
        cells |= {name: done.after[name] for name in named if name in done.after and name not in cells}
    return row, Write(part.verb, cells)


def standing(entry: Entry, corrections: Sequence[Entry] = ()) -> Standing:
    """Return an event as it stands.

    Args:
        corrections: The entries that record its corrections, oldest first.
    """
    before = Decision.recorded(entry)
    steps: dict[Any, tuple[Decided, ...]] = {}
    by_row: dict[Row, list[Written]] = {}
    for one in before.steps:
        key: Any = Row(one.of, str(one.row)) if one.sort in ("insert", "update", "delete") else one.key
        steps[key] = (*steps.get(key, ()), one)
    for made in entry.operations:
        by_row.setdefault(Row(made.table, made.row_key), []).append(made)
    writes = {row: recorded_write(found) for row, found in by_row.items()}
    occurrences: dict[str, tuple[Occurrence, ...]] = {one.step: (_occurrence(entry, one),) for one in entry.effects}
    wishes = {step: found[-1] for step, found in occurrences.items()}
    outcome = entry.outcome
    for later in corrections:
        event = corrected(later)
        outcome = event.outcome
        asked = {one.step: one for one in later.effects}
        rejections = {k: v for k, v in steps.items() if v[0].sort != "rejection"}
        steps = {**rejections, **{one.key: (one,) for one in _rejected(event)}}
        for part in event.parts:
            row, write = write_of(part, later)
            writes[Row(part.table, row)] = write
            steps.pop(Row(part.table, row), None)
            if part.verb:
                steps[Row(part.table, row)] = (_decided(part, row),)
        for want in event.wants:
            found = occurrences.get(want.step, ())
            if want.undo is not None and found:
                undo = asked.get(want.undo)
                done = None if undo is None else _occurrence(later, undo)
                found = (*found[:-1], _undone(found[-1], done))
            if want.wanted and want.again is None:
                found = (*found, _occurrence(later, asked[want.step]))
            occurrences[want.step] = found
            steps.pop(want.step, None)
            wishes.pop(want.step, None)
            if want.wanted:
                wishes[want.step] = next(one for one in found if one.key == want.again) if want.again else found[-1]
                steps[want.step] = (_effect(want.step, wishes[want.step], later, entry),)
    decision = Decision(
        version=before.version,
        outcome=outcome,
        steps=tuple(sorted((one for found in steps.values() for one in found), key=lambda one: one.ordinal)),
    )
    return Standing(
        decision=decision,
        writes={row: write for row, write in writes.items() if write.verb},
        wishes=wishes,
        occurrences=occurrences,
        baseline=len(corrections),
    )


def _undone(one: Occurrence, undo: Occurrence | None) -> Occurrence:
    return Occurrence(key=one.key, kind=one.kind, payload=one.payload, state=one.state, undo=undo)


def _occurrence(entry: Entry, one: Performed) -> Occurrence:
    return Occurrence(key=f"{entry.seq}.{one.ordinal}", kind=one.kind, payload=one.payload, state=one.state)


def _effect(step: str, one: Occurrence, *entries: Entry) -> Decided:
    for entry in entries:
        for effect in entry.effects:
            if f"{entry.seq}.{effect.ordinal}" == one.key:
                root = f"/effects/{effect.ordinal}/"
                personal = frozenset(at[len(root) :] for at in entry.personal if at.startswith(root))
                return Decided(
                    key=step,
                    sort="effect",
                    of=one.kind,
                    values=one.payload,
                    handler=effect.handler,
                    date=effect.date,
                    personal=personal,
                    ordinal=effect.ordinal,
                )
    return Decided(key=step, sort="effect", of=one.kind, values=one.payload, handler="", date="")


def _decided(part: Part, row: str) -> Decided:
    hidden = (part.hidden or {}).get("declared", {})
    return Decided(
        key=part.step,
        sort=part.verb,
        of=part.table,
        row=row,
        values={**part.declared, **hidden},
        handler=part.handler,
        date=part.date,
        personal=frozenset((part.hidden or {}).get("cells", {})) | frozenset(hidden),
        ordinal=part.ordinal,
    )


def _rejected(event: CorrectEvent) -> list[Decided]:
    made = [Rejection(**one) for one in event.rejections]  # type: ignore[arg-type]  # as it was recorded
    return [
        Decided(
            key=one.key,
            sort="rejection",
            of=one.code,
            values={"detail": one.detail, "field": one.field},
            handler=one.handler,
            date=one.date,
        )
        for one in made
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """One item of a correction, and what becomes of it.

    Args:
        item: The difference.
        verdicts: What is done; two of an effect whose content changes.
        chosen: Whether it was asked for.
    """

    item: Item
    verdicts: tuple[Verdict, ...]
    chosen: bool = True

    @property
    def key(self) -> str:
        """What names it."""
        return self.item.key

    @property
    def status(self) -> str:
        """What becomes of it; "open" of what was not asked for, and stays as it is."""
        if not self.chosen:
            return "open"
        stopped = next((one.status for one in self.verdicts if not one.performed), None)
        return stopped or self.verdicts[-1].status

    @property
    def performed(self) -> bool:
        """Whether it is performed."""
        return self.chosen and all(one.performed for one in self.verdicts)

    @property
    def detail(self) -> str:
        """The status as a sentence."""
        return "; ".join(one.detail for one in self.verdicts if one.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a correction does, or would do. False where nothing is performed.

    Args:
        root: The event that is corrected; `number` counts its corrections.
        items: Each difference, and what becomes of it.
        needs: "admit" or "revoke", where the outcome would change and nobody said that it may; then nothing is performed.
        readers: Later events that saw what is changed here; they are not decided again.
        event_id: The event that recorded it; None of a preview, and where there was nothing to do.
    """

    root: UUID
    seq: int
    number: int
    items: tuple[Corrected, ...]
    needs: str | None = None
    readers: tuple[int, ...] = ()
    event_id: UUID | None = None

    def __bool__(self) -> bool:
        """Whether anything is performed."""
        return self.needs is None and any(one.performed for one in self.items)

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types, with keys that stay; without values, which the difference has."""
        return {
            "root": str(self.root),
            "seq": self.seq,
            "number": self.number,
            "event": None if self.event_id is None else str(self.event_id),
            "needs": self.needs,
            "readers": list(self.readers),
            "items": [
                {
                    "key": one.key,
                    "change": one.item.change,
                    "sort": one.item.shown.sort,
                    "of": one.item.shown.of,
                    "row": None if one.item.shown.row is OPEN else one.item.shown.row,
                    "status": one.status,
                    "performed": one.performed,
                    "detail": one.detail,
                    "cells": sorted(name for verdict in one.verdicts for name in verdict.cells),
                    "conflicts": sorted(name for verdict in one.verdicts for name in verdict.conflicts),
                    "later": [told.seq for verdict in one.verdicts for told in verdict.later],
                }
                for one in self.items
            ],
        }
