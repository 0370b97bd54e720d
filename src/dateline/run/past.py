"""The rows that a correction is about: what the trail says of each, what it would say, and what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dateline.core.canon import parsed
from dateline.core.decision import OPEN
from dateline.core.diff import Item
from dateline.core.effective import CorrectEvent, Effective, Row, corrected, recorded_write, subject_of, write_of
from dateline.core.entry import Entry
from dateline.core.operation import Placeholder
from dateline.core.plan import Change, Plan
from dateline.core.replay import recalled
from dateline.core.request import Flow
from dateline.core.snapshot import key_of
from dateline.core.table import row_key
from dateline.core.verdict import NOTHING, Past, Told, Verdict, Write, judged
from dateline.errors import Malformed, Refused
from dateline.run.path import Path
from dateline.run.replay import recorded
from dateline.sql.drift import live_row
from dateline.sql.restore import Image, Target, key_values, keying, tables_of
from dateline.sql.statement import Batch, Result
from dateline.sql.trail import MOST, Filters

__all__ = ["Pasts", "Place"]


LATER = 500
"""Events about a subject that are looked through for what they saw."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row that an item is about, with all that is known of it.

    Args:
        change: What the plan does to it; None where it does nothing.
        new: The same as it would be written.
    """

    target: Target
    key: str
    past: Past
    change: Change | None
    new: Write
    entries: tuple[Entry, ...] = ()


class Pasts:
    """Looks at rows, inside of an open transaction.

    Args:
        entry: The event that is corrected; `stands` what it does as it stands, `plan` what it would do.
    """

    def __init__(self, path: Path, entry: Entry, stands: Effective, plan: Plan) -> None:
        self.path = path
        self.entry = entry
        self.stands = stands
        self.plan = plan
        self.dialect = path.store.dialect
        self.targets = tables_of(path.versions)
        self._known: tuple[Entry, ...] | None = None

    def row(self, item: Item) -> Flow[tuple[Verdict, Place | None]]:
        """Return what is to be done about the row of a difference, and what is known of the row."""
        shown = item.shown
        target = self.targets.get(shown.of)
        if target is None:
            return Verdict(status="conflict", detail=f"no version at hand knows the table {shown.of}"), None
        change = self._change(item)
        key = next((str(one.row) for one in (*item.before, *item.after) if one.row is not OPEN), None)
        values = yield from self._normal(target, change)
        if key is None:
            # A new row, whose key the database will give.
            new = Write("insert", values)
            place = Place(target, "", Past(start=None, live=None), change, new)
            return Verdict(status="clean", verb="insert", cells=values, effective=new), place
        own = self.stands.writes.get(Row(target.name, key), NOTHING)
        new = self._new(target, item, change, values, own)
        past, entries = yield from self._past(target, key, own, new, change)
        if past is None:
            return Verdict(status="conflict", detail="its key cannot be told from the trail"), None
        return judged(past, new), Place(target, key, past, change, new, entries)

    def _change(self, item: Item) -> Change | None:
        if not item.after:
            return None
        key = item.after[-1].key
        return next(one for one in self.plan.changes() if one.last.key == key)

    def _normal(self, target: Target, change: Change | None) -> Flow[dict[str, Any]]:
        """Return a change's values as the database would keep them; those that it has yet to assign are OPEN."""
        if change is None or not change.values:
            return {}
        held = {name: value for name, value in change.values.items() if type(value) is not Placeholder}
        columns = target.mapped.__mapper__.columns
        open_ = dict.fromkeys((columns[name].name for name in change.values.keys() - held.keys()), OPEN)
        made = self.dialect.normal(target.mapped, held)
        if isinstance(made, str):
            return {**parsed(made), **open_}
        results: list[Result] = yield Batch(
            (made.statement("normal", {f"v_{name}": value for name, value in held.items()}, step=change.last.key),)
        )
        return {**parsed(results[0].rows[0][0]), **open_}

    @staticmethod
    def _new(target: Target, item: Item, change: Change | None, values: Image, own: Write) -> Write:
        """Return what the plan does to a row, in the database's own words."""
        if change is None:
            return NOTHING
        if change.verb == "delete":
            return Write("delete")
        if change.verb == "update":
            return Write("update", values)
        declared = item.before[-1].values if item.before else {}
        cells = dict(values)
        for column in target.table.columns:
            name = column.name
            if name in cells or column.computed is not None:
                continue
            if own.verb == "insert" and name in own.cells and name not in declared:
                # What the database made of it then, it would make of it again.
                cells[name] = own.cells[name]
            elif column.nullable and column.server_default is None and not column.primary_key:
                cells[name] = None
        return Write("insert", cells)

    def _past(
        self, target: Target, key: str, own: Write, new: Write, change: Change | None
    ) -> Flow[tuple[Past | None, tuple[Entry, ...]]]:
        trail, versions, tenant = self.path.store.trail, self.path.versions, self.entry.tenant
        asked = Filters(tenant=tenant, table=target.name, row=key, limit=MOST)
        history = (yield from trail.page(asked, versions, joined=True)).entries
        subject = subject_of(target.name, key)
        kind = CorrectEvent.__kind__
        about = Filters(tenant=tenant, subject=subject, kind=kind, outcome="committed", limit=MOST)
        more = (yield from trail.page(about, versions, joined=True)).entries
        writes: dict[UUID, Told] = {}
        start: Image | None = None
        images: list[Image] = []
        for entry in history:
            mine = [one for one in entry.operations if one.table == target.name and one.row_key == key]
            if not images:
                start = mine[0].before
            images += [image for one in mine for image in (one.before, one.after) if image is not None]
            if entry.kind != kind:
                writes[entry.id] = Told(entry.seq, entry.id, _plain(target, recorded_write(mine)))
        for entry in {one.seq: one for one in (*more, *(e for e in history if e.kind == kind))}.values():
            event = corrected(entry)
            for part in event.parts:
                row, write = write_of(part, entry)
                if (part.table, row) == (target.name, key):
                    root = writes.get(event.root)
                    seq = (
                        root.seq
                        if root is not None
                        else (yield from recorded(self.path, event.root, tenant, joined=True)).seq
                    )
                    writes[event.root] = Told(seq, event.root, _plain(target, write))
        place = self._at(target, key, images, change)
        if place is None:
            return None, ()
        live = yield from live_row(self.dialect, target, place)
        others = sorted((one for id, one in writes.items() if id != self.entry.id), key=lambda one: one.seq)
        if not images:
            start = live if new.verb != "insert" else None
        clean = None if start is None else {n: v for n, v in start.items() if n not in _computed(target)}
        past = Past(
            start=clean,
            before=tuple(one for one in others if one.seq < self.entry.seq),
            own=_plain(target, own),
            after=tuple(one for one in others if one.seq > self.entry.seq),
            live=None if live is None else {n: v for n, v in live.items() if n not in _computed(target)},
        )
        return past, tuple(entry for entry in history if entry.seq > self.entry.seq)

    def _at(self, target: Target, key: str, images: Sequence[Image], change: Change | None) -> Mapping[str, Any] | None:
        if images:
            return keying(self.dialect, target)(images[-1])
        if change is not None and change.key_values is not None and row_key(change.key_values) == key:
            return {f"k{n}": value for n, value in enumerate(change.key_values)}
        return key_values(self.dialect, target, key)

    def readers(self, place: Place, verdict: Verdict) -> Flow[list[int]]:
        """Return the later events, about the same subjects or writing the row, that saw those of its cells which change here."""
        changing = set(verdict.cells)
        names = {name for name, column in place.target.mapped.__mapper__.columns.items() if column.name in changing}
        if not names:
            return []
        later = {entry.seq: entry for entry in (*(yield from self._later()), *place.entries)}
        return [seq for seq, entry in sorted(later.items()) if self._saw(entry, place, names)]

    def _later(self) -> Flow[tuple[Entry, ...]]:
        """Return the next events about the subjects of the one that is corrected; read once."""
        if self._known is None:
            found: dict[int, Entry] = {}
            for subject in self.entry.subjects:
                asked = Filters(tenant=self.entry.tenant, subject=subject, after=self.entry.seq, limit=LATER)
                page = yield from self.path.store.trail.page(asked, self.path.versions, joined=True)
                found |= {entry.seq: entry for entry in page}
            self._known = tuple(found.values())
        return self._known

    def _saw(self, entry: Entry, place: Place, names: AbstractSet[str]) -> bool:
        if entry.event is None or entry.version is None:
            return False
        try:
            cascade = self.path.versions.for_event(entry.event, entry.version)
            return any(
                key_of(record) == place.key
                for one in cascade.fields
                if one.record is not None
                and one.record.__table__ is place.target.mapped
                and names & one.record.model_fields.keys()
                for record in recalled(one, entry.snapshot)
            )
        except (Refused, Malformed):
            return False


def _computed(target: Target) -> frozenset[str]:
    return frozenset(column.name for column in target.table.columns if column.computed is not None)


def _plain(target: Target, write: Write) -> Write:
    computed = _computed(target)
    return Write(write.verb, {n: v for n, v in write.cells.items() if n not in computed}) if computed else write
