"""Correcting an event: what a difference comes to on today's rows and effects, and performing it in one transaction.

The event, the rows, and what became of its effects are read inside the transaction that writes; so nothing can slip between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, TypedDict
from uuid import UUID

from dateline.core.assigned import filled
from dateline.core.canon import canonical, unparsed
from dateline.core.cascade import Cascade
from dateline.core.correction import Corrected, Correction
from dateline.core.decision import OPEN, Decided, Decision
from dateline.core.diff import Diff, Item, changes_of
from dateline.core.draft import drafted
from dateline.core.effect import Effect
from dateline.core.effective import (
    RIGHT,
    CorrectEvent,
    Effective,
    Part,
    Want,
    corrected,
    effective,
)
from dateline.core.entry import Entry
from dateline.core.flow import constraint_refused
from dateline.core.meta import Actor
from dateline.core.operation import Delete, Insert, Operation, Placeholder, Update
from dateline.core.plan import Change, Plan, Planned
from dateline.core.replay import DECIDED, PERFORMED
from dateline.core.request import Broken, Ending, Flow, Pause, Request, Seen
from dateline.core.table import table_of
from dateline.core.verdict import Occurrence, Verdict, unwanted, wanted
from dateline.errors import (
    BooksClosed,
    Conflict,
    DependedOn,
    Malformed,
    NotCorrectable,
    StaleDiff,
)
from dateline.run import log
from dateline.run.past import Pasts, Place
from dateline.run.path import Given, Path
from dateline.run.replay import corrections_of, recorded
from dateline.run.settled import replanned
from dateline.sql.restore import Target, values_of
from dateline.sql.standing import Standing
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.together import opening

__all__ = ["Choice", "correcting"]


_UNSENT = ("held", "due", "waiting", "dead")
"""The states in which an effect can be cancelled."""

_NOTHING_SEEN = Cascade(CorrectEvent.__kind__, None, CorrectEvent)
"""A correction is guarded by the transaction in which it looked; nothing has to be seen a second time."""


class Choice(TypedDict, total=False):
    """What is chosen of a correction.

    Args:
        items: The keys of the differences to perform; all without it.
        admit: An event that was rejected may become accepted.
        revoke: An event that was accepted may become rejected.
        closed: Nothing that happened before this date, or instant, is corrected.
    """

    items: Iterable[str] | None
    admit: bool
    revoke: bool
    closed: date | None


def correcting(path: Path, diff: Diff, choice: Choice, given: Given, *, preview: bool) -> Flow[Correction]:
    """Perform a difference, or tell what performing it would do.

    Raises:
        NotCorrectable: Of a correction, of what no handler decided, and of a difference between two versions of which neither stands.
        StaleDiff: Where the event was corrected since the difference was made.
        BooksClosed: For an event from before the books were closed.
        DependedOn: For a row that was named, and on which later events depend.
        Denied: Without the right; recorded.
        ConstraintRefused: Where the database refuses what would be written.
    """
    if diff.baseline is None or diff.event_id is None or diff.after.plan is None:
        raise NotCorrectable(
            "only the difference between what stands and another way to decide can be performed: runner.diff(event, version)"
        )
    dialect, tries = path.store.dialect, 0
    while True:
        try:
            if not preview and RIGHT not in Actor.of(given["actor"]).rights:
                # Refused as every request is, and recorded.
                asked = CorrectEvent(
                    root=diff.event_id, number=diff.baseline + 1, to=_day(diff), outcome=diff.after.outcome
                )
                yield from path.dispatching(asked, {"cause": diff.event_id, **given})
            yield from opening(dialect, own=True, idle=True)
            one = _Correcting(path, diff, choice, given)
            found = yield from one.looked()
            if preview or not found:
                yield Batch((Statement("ROLLBACK", name="undo"),), ends=True)
                return found
            found = yield from one.assigned(found)
            done = yield from one.performed(found)
        except Conflict:
            tries += 1
            yield Pause(tries)
        else:
            path.bell.ring()
            log.told("corrected", root=found.root, id=done, number=found.number)
            return replace(found, event_id=done)


def _day(diff: Diff) -> date:
    assert diff.after.version is not None
    return diff.after.version


class _Correcting:
    """One correction, inside of an open transaction."""

    def __init__(self, path: Path, diff: Diff, choice: Choice, given: Given) -> None:
        self.path = path
        self.diff = diff
        self.choice = choice
        self.given = given
        self.dialect = path.store.dialect
        self.places: dict[str, Place] = {}
        self.effects: dict[str, tuple[Effect | None, Effect | None, Occurrence | None, Occurrence | None]] = {}
        self._decide(diff.after)
        self.stands: Effective
        self.entry: Entry
        self.pasts: Pasts

    def _decide(self, after: Decision) -> None:
        assert after.plan is not None
        self.after: Decision = after
        self.plan: Plan = after.plan

    def assigned(self, found: Correction) -> Flow[Correction]:
        """Have the database assign what is waited for of the rows that are inserted, and judge again with that.

        Raises:
            Conflict: Where a number that it gave is taken, by a row that was written by hand: the next may not be.
        """
        if not self.plan.outline.waits:
            return found
        performer, new = self.path.store.performer, self._inserted(found.items)
        needed = performer.needed(self.plan, tuple(new.values()))
        results: list[Result] = yield Batch(tuple(performer.allocations(needed)))
        given = performer.assigned(needed, results)
        self._decide(replanned(self.path, self.after, filled(self.plan, given, new=True)))
        again = yield from self.looked()
        if lost := new.keys() - self._inserted(again.items).keys():
            raise Conflict(f"{min(lost)}: the row that the database gave a key was there already")
        return again

    def _inserted(self, items: Iterable[Corrected]) -> dict[str, Change]:
        """Return the rows that are inserted, by their items' keys."""
        made = {}
        for one in items:
            place = self.places.get(one.key)
            if one.performed and one.verdicts[0].verb == "insert" and place is not None and place.change is not None:
                made[one.key] = place.change
        return made

    def _held(self, items: Sequence[Corrected]) -> list[Corrected]:
        """Return the items; one that waits for a row which is not inserted stays open, and so does what waits for that."""
        made = list(items)
        while self.plan.outline.waits:
            steps = [change.steps[0].step for change in self._inserted(made).values()]
            rows = {step.row for step in steps if isinstance(step, Insert)}
            stuck = {
                place: waited
                for place, one in enumerate(made)
                if one.performed and (waited := next((v for v in self._waits(one.item) if v.row not in rows), None))
            }
            if not stuck:
                break
            for place, waited in stuck.items():
                detail = f"it holds {waited!r}, of a row that is not inserted here"
                made[place] = replace(made[place], verdicts=(Verdict(status="unassigned", detail=detail),))
        return made

    def _waits(self, item: Item) -> Iterator[Placeholder[Any]]:
        place = self.places.get(item.key)
        new = self.effects[f"{item.key} {item.change}"][0] if item.shown.sort == "effect" else None
        values = vars(new) if new is not None else place.change.values if place and place.change else {}
        return (value for value in values.values() if type(value) is Placeholder)

    def looked(self) -> Flow[Correction]:
        """Look at all that the difference is about, and judge."""
        path, diff = self.path, self.diff
        assert diff.event_id is not None
        entry = self.entry = yield from recorded(path, diff.event_id, self.given.get("tenant", ""), joined=True)
        self._correctable(entry)
        self.stands = effective(entry, (yield from corrections_of(path, entry, joined=True)))
        if self.stands.baseline != diff.baseline:
            raise StaleDiff(
                f"event {entry.seq} was corrected since the difference was made ({self.stands.baseline} times, not {diff.baseline}); "
                "make it anew"
            )
        self.pasts = Pasts(path, entry, self.stands, self.plan)
        items = changes_of(self.stands.decision, self.after, settled=True)[0]
        chosen = self._chosen(items)
        made: list[Corrected] = []
        readers: dict[int, None] = {}
        for item in items:
            sort = item.shown.sort
            if sort == "rejection":
                verdicts: tuple[Verdict, ...] = (Verdict(status="already", detail="the record says so from now on"),)
            elif sort == "effect":
                verdicts = self._effect(item)
            else:
                verdict, place = yield from self.pasts.row(item)
                verdicts = (verdict,)
                if place is not None:
                    self.places[item.key] = place
            one = Corrected(item=item, verdicts=verdicts, chosen=chosen is None or item.key in chosen)
            if chosen is not None and item.key in chosen and one.status == "depended-on":
                raise DependedOn(f"{item.key}: {one.detail}; correct those first, or leave it out")
            made.append(one)
            if item.key in self.places:
                readers |= dict.fromkeys((yield from self.pasts.readers(self.places[item.key], verdicts[0])))
        return Correction(
            root=entry.id,
            seq=entry.seq,
            number=self.stands.baseline + 1,
            items=tuple(self._held(made)),
            needs=self._needs(),
            readers=tuple(sorted(readers)),
        )

    def _correctable(self, entry: Entry) -> None:
        if entry.kind == CorrectEvent.__kind__:
            raise NotCorrectable(
                f"event {entry.seq} is itself a correction; correct its root, {corrected(entry).root}, once more"
            )
        if entry.outcome not in DECIDED or entry.kind in PERFORMED:
            raise NotCorrectable(f"event {entry.seq} ({entry.kind}, {entry.outcome}) was not decided by handlers")
        closed = self.choice.get("closed")
        if closed is not None:
            moment = (
                closed if isinstance(closed, datetime) else datetime(closed.year, closed.month, closed.day, tzinfo=UTC)
            )
            if entry.occurred_at < moment:
                raise BooksClosed(
                    f"event {entry.seq} is of {entry.occurred_at.isoformat()}, and the books are closed until {moment.isoformat()}"
                )

    def _chosen(self, items: Sequence[Item]) -> frozenset[str] | None:
        asked = self.choice.get("items")
        if asked is None:
            return None
        chosen = frozenset((asked,) if isinstance(asked, str) else asked)
        if unknown := sorted(chosen - {one.key for one in items}):
            raise Malformed(
                f"{unknown[0]!r} is no difference; there are {', '.join(one.key for one in items) or 'none'}"
            )
        return chosen

    def _needs(self) -> str | None:
        before, after = self.stands.decision.outcome == "committed", self.diff.after.outcome == "committed"
        if before == after:
            return None
        word = "admit" if after else "revoke"
        return None if self.choice.get("admit" if after else "revoke") else word

    def _effect(self, item: Item) -> tuple[Verdict, ...]:
        verdicts = []
        old: Occurrence | None = None
        undo: Effect | None = None
        new: Effect | None = None
        again: Occurrence | None = None
        if item.before:
            old = self.stands.wishes.get(item.before[-1].key)
            assert old is not None
            known = self.path.versions.effects.get(old.kind)
            if known is not None and old.state == "delivered":
                undo = known.from_json(_json(old.payload)).correction()
            verdicts.append(unwanted(old, undo))
        if item.after:
            key = item.after[-1].key
            new = next(one.step for one in self.plan.planned if one.key == key and isinstance(one.step, Effect))
            payload = item.after[-1].values
            verdict, again = wanted(new.__kind__, payload, self.stands.occurrences.get(key, ()))
            verdicts.append(verdict)
        self.effects[f"{item.key} {item.change}"] = (new, undo, old, again)
        return tuple(verdicts)

    def performed(self, found: Correction) -> Flow[UUID]:
        """Write what was judged, and record it."""
        parts: list[Part] = []
        wants: list[Want] = []
        planned: list[Planned] = []
        cancel: list[Occurrence] = []
        taken = sorted((one for one in found.items if one.performed), key=_turn)
        for one in taken:
            item = one.item
            sort = item.shown.sort
            if sort == "effect":
                new, undo, old, again = self.effects[f"{item.key} {item.change}"]
                self._asked(item, one.verdicts, (new, undo, old, again), planned, wants, cancel)
            elif sort != "rejection":
                place, verdict = self.places[item.key], one.verdicts[0]
                step = self._step(item, place, verdict)
                if step is not None:
                    planned.append(step)
                parts.append(self._part(item, place, verdict, len(planned) - 1 if step is not None else 0))
        event = CorrectEvent(
            root=found.root,
            number=found.number,
            to=_day(self.diff),
            changed=dict(self.diff.asked) if self.diff.asked else None,
            parts=tuple(parts),
            wants=tuple(wants),
            # Whoever performs a part of an admission has admitted it; what is left of it stays open.
            outcome=self.diff.after.outcome,
            rejections=tuple(
                {
                    "key": r.key,
                    "code": r.code,
                    "detail": r.detail,
                    "field": r.field,
                    "handler": r.handler,
                    "date": r.date,
                }
                for r in self.plan.rejections
            ),
            about=self._about(),
        )
        return (yield from self._written(event, Plan(tuple(planned)), cancel))

    def _about(self) -> tuple[str, ...]:
        """Return whom the correction is about: those of the event as it was recorded, and of what it is to be."""
        then = self.entry.event
        anew: tuple[str, ...] = ()
        if self.diff.asked and then is not None:
            anew = type(then).from_json(unparsed({**self.entry.input, **self.diff.asked})).subjects
        return tuple(dict.fromkeys((*self.entry.subjects, *anew)))

    def _asked(
        self,
        item: Item,
        verdicts: Sequence[Verdict],
        known: tuple[Effect | None, Effect | None, Occurrence | None, Occurrence | None],
        planned: list[Planned],
        wants: list[Want],
        cancel: list[Occurrence],
    ) -> None:
        new, undo, old, again = known
        statuses = [one.status for one in verdicts]
        undone: str | None = None
        if old is not None and statuses[0] == "cancelled":
            cancel.append(old)
        if undo is not None and statuses[0] == "undone":
            undone = f"{item.before[-1].key}~undone"
            planned.append(_planned(undone, undo, item.shown))
        if item.before and not (item.after and item.after[-1].key == item.before[-1].key):
            wants.append(Want(step=item.before[-1].key, wanted=False, undo=undone))
        if item.after:
            key = item.after[-1].key
            if again is not None:
                if again.undo is not None and again.undo.state not in ("cancelled", "expired"):
                    cancel.append(again.undo)
                wants.append(Want(step=key, wanted=True, again=again.key))
            else:
                assert new is not None
                planned.append(_planned(key, new, item.after[-1]))
                wants.append(Want(step=key, wanted=True, undo=undone if item.before else None))

    def _step(self, item: Item, place: Place, verdict: Verdict) -> Planned | None:
        """Return the operation that writes what is to be written; None where nothing is."""
        if not verdict.verb:
            return None
        key, shown = item.key, item.shown
        if verdict.verb == "insert" and place.change is not None:
            values = {**values_of(self.dialect, place.target, verdict.cells), **place.change.values}
            if place.key and any(verdict.cells.get(n) != v for n, v in place.new.cells.items()):
                values = values_of(self.dialect, place.target, verdict.cells)
            original = place.change.steps[0].step
            if isinstance(original, Insert):
                return _planned(key, _operation(Insert, place.target, values, original.row), shown)
        values = values_of(self.dialect, place.target, verdict.cells)
        if verdict.verb == "insert":
            return _planned(key, _operation(Insert, place.target, values, object()), shown)
        assert place.past.live is not None
        whole = values_of(self.dialect, place.target, place.past.live)
        if place.change is not None and verdict.verb == "update":
            columns = place.target.mapped.__mapper__.columns
            for name, value in place.change.values.items():
                # As the handler gave it, where it is what is written: the database makes of it what it made of it before.
                if name in values and place.new.cells.get(columns[name].name) == verdict.cells[columns[name].name]:
                    values[name] = value
        kind: type[Operation[Any]] = Update if verdict.verb == "update" else Delete
        return _planned(key, _operation(kind, place.target, values if kind is Update else {}, None, whole), shown)

    def _part(self, item: Item, place: Place, verdict: Verdict, ordinal: int) -> Part:
        shown = item.shown
        personal = self.path.store.recorder.sealer.personal(place.target.mapped)
        stands = verdict.effective
        told = dict(item.after[-1].values) if item.after else {}
        if verdict.conflicts:
            # What was left alone stands as it stood, and stays open.
            stood = item.before[-1].values if item.before else {}
            told = {name: value for name, value in told.items() if name not in verdict.conflicts}
            told |= {name: value for name, value in stood.items() if name in verdict.conflicts}
        declared = {name: value for name, value in told.items() if value is not OPEN}
        image = {**(place.past.live or {}), **stands.cells}
        hidden = {
            "cells": {n: v for n, v in stands.cells.items() if n in personal and v is not None},
            "declared": {n: v for n, v in declared.items() if n in personal and v is not None},
        }
        whose = self.path.store.recorder.sealer.whose(place.target.mapped, image)
        return Part(
            step=item.key,
            table=place.target.name,
            row=place.key,
            verb=stands.verb,
            cells={n: v for n, v in stands.cells.items() if n not in hidden["cells"]},
            declared={n: v for n, v in declared.items() if n not in hidden["declared"]},
            hidden=hidden if any(hidden.values()) else None,
            whose=whose if whose is not None else next(iter(self.entry.subjects), ""),
            handler=shown.handler,
            date=shown.date,
            ordinal=shown.ordinal,
        )

    def _written(self, event: CorrectEvent, plan: Plan, cancel: Sequence[Occurrence]) -> Flow[UUID]:
        path, queue = self.path, Standing(self.dialect)
        given: Given = {"cause": self.entry.id, **self.given}
        request: Request = path.request(event, Ending.COMMIT, given, joined=True)
        stamped = event.with_meta(path.stamp(request, root=self.entry.meta.root or self.entry.id))
        draft = replace(drafted(request, path.versions, (), stamped, _NOTHING_SEEN, plan, Seen((), None)), held=True)
        places = [(int(seq), int(ordinal)) for seq, _, ordinal in (one.key.partition(".") for one in cancel)]
        # As its state was read in this transaction, so it is: had a relay taken one since, changing it would be a conflict.
        before = queue.acting(self.entry.tenant, places, before=_UNSENT, after="cancelled") if places else ()
        try:
            # In one trip, or two: from the first on others wait for the rows.
            yield from path.store.write(
                draft, _NOTHING_SEEN, (), ending=Ending.COMMIT, joined=True, closes=True, before=before
            )
        except Broken as error:
            raise constraint_refused(error) from error
        return stamped.meta.id


def _turn(one: Corrected) -> tuple[bool, int]:
    """Return when an item is performed: rows that refer to others go before those, and come after them; what goes, goes first."""
    stays = bool(one.item.after)
    return stays, one.item.shown.ordinal if stays else -one.item.shown.ordinal


def _planned(key: str, step: Any, who: Decided) -> Planned:
    return Planned(key, step, key.partition("/")[0], who.handler, who.date, informed=True)


def _operation(
    kind: type[Operation[Any]], target: Target, values: Mapping[str, Any], row: object, whole: Mapping[str, Any] = {}
) -> Operation[Any]:
    """Return a step whose values come from the trail, and need no second look."""
    made: Any = kind.__new__(kind)
    made.mapped, made.table, made.values = target.mapped, table_of(target.mapped), dict(values)
    made.known_by(tuple((whole or values).get(name) for name in made.table.key))
    if row is not None:
        made.row = row
    return made  # type: ignore[no-any-return]  # made here


def _json(payload: Mapping[str, Any]) -> bytes:
    return canonical(dict(payload))
