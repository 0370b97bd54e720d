"""An event as it stands: its record, and what corrections made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from dateline.core.canon import unparsed
from dateline.core.decision import Decided, Decision
from dateline.core.entry import Entry, Written
from dateline.core.event import Event
from dateline.core.model import Model, Personal
from dateline.core.outcome import Performed
from dateline.core.verdict import Occurrence, Write
from dateline.errors import Rejection

__all__ = [
    "RIGHT",
    "CorrectEvent",
    "Effective",
    "Part",
    "Row",
    "Want",
    "corrected",
    "effective",
    "recorded_write",
    "subject_of",
    "write_of",
]

RIGHT = "correct"
"""The right to correct what was recorded."""


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
class Effective:
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
    return CorrectEvent.model_validate_json(unparsed(entry.input))


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


def effective(entry: Entry, corrections: Sequence[Entry] = ()) -> Effective:
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
    return Effective(
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
