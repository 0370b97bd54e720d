"""One page of a replay under another version, of which no more is decided again than that version can have changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from dateline.core.canon import unparsed
from dateline.core.decision import Decided, Decision
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.flow import fitted
from dateline.core.lane import Lane
from dateline.core.meta import Meta
from dateline.core.personal import ERASED, unsealed
from dateline.core.plan import Plan
from dateline.core.replay import read
from dateline.core.request import Flow
from dateline.core.snapshot import Field, Snapshot
from dateline.core.tally import Tally
from dateline.errors import Erased, HandlerFault, Malformed, NotFound, TooMany, Unanswerable
from dateline.run.path import Path
from dateline.sql.bulk import Bulk, Done, Head, Kept
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.world import Asking, World

__all__ = ["Brief"]

Whole: TypeAlias = Callable[[Sequence[Entry], Tally], Flow[None]]
Again: TypeAlias = Callable[[Entry, Mapping[str, Any], Tally], None]


class Brief:
    """Decides pages of events, each as its lane says.

    Args:
        whole: Decides those of which all has to be decided again, asking the world for what they miss.
        again: Decides one of which that turns out, given what it misses.
    """

    def __init__(
        self, path: Path, world: World, bulk: Bulk, whole: Whole, again: Again, drive: Callable[[Flow[Any], bool], Any]
    ) -> None:
        self.path = path
        self.world = world
        self.bulk = bulk
        self.whole = whole
        self.again = again
        # A flow, and whether it is about the world's tables.
        self.drive = drive

    def page(self, heads: Sequence[Head], lanes: Sequence[Lane], tally: Tally) -> None:
        """Decide a page."""
        counted = [one for one, lane in zip(heads, lanes, strict=True) if not (lane.skipped or lane.whole)]
        run = [
            one
            for one, lane in zip(heads, lanes, strict=True)
            if not (lane.skipped or lane.whole) and (lane.slots or one.outcome != "committed")
        ]
        ended = [one for one, lane in zip(heads, lanes, strict=True) if lane.gone and not lane.slots]
        slots = {name for lane in lanes for name in lane.gone}
        kept: dict[int, Kept | None] = self.drive(self.bulk.kept(run, slots), False) if run else {}
        if ended:
            kept |= self.drive(self.bulk.ended(ended, slots), False)
        writing = [one for one, lane in zip(heads, lanes, strict=True) if lane.writes]
        rows = self.drive(self.bulk.rows(writing), False) if writing else {}
        entries = self._entries([one.seq for one, lane in zip(heads, lanes, strict=True) if lane.whole], tally)
        self._recorded(counted, kept, tally)
        # Only what the world holds has to be moved forward in it, and only once it holds something.
        standing = self.world.names
        images = self.drive(self.bulk.images(heads, standing), False) if standing else {}
        waiting = _Waiting(self, tally)
        for place, (head, lane) in enumerate(zip(heads, lanes, strict=True)):
            if lane.skipped:
                pass
            elif lane.whole:
                if head.seq in entries:
                    waiting.flush()
                    self.drive(self.whole([entries[head.seq]], tally), True)
                    # It was moved with the entry.
                    images.pop(head.seq, None)
            elif lane.same:
                tally.events += 1
                tally.same += 1
            else:
                self._one(head, lane, kept.get(head.seq), rows.get(head.seq, ()), waiting, tally)
            if self.world.names != standing:
                standing = self.world.names
                images = self.drive(self.bulk.images(heads[place:], standing), False)
                if lane.whole:
                    images.pop(head.seq, None)
            self.world.moves(head.seq, images.get(head.seq, ()))
        waiting.flush()

    def _entries(self, seqs: Sequence[int], tally: Tally) -> dict[int, Entry]:
        if not seqs:
            return {}
        unreadable: list[int] = []
        found: Sequence[Entry] = self.drive(
            self.path.store.trail.among(seqs, self.path.versions, unreadable=unreadable), False
        )
        for seq in unreadable:
            tally.broke(seq)
        return {one.seq: one for one in found}

    def _recorded(self, heads: Sequence[Head], kept: Mapping[int, Kept | None], tally: Tally) -> None:
        """Count what was recorded, on both sides: what differs is added and taken away on the one."""
        written, asked = self.drive(self.bulk.totals(heads), False)
        for counts, found in ((tally.operations, written), (tally.effects, asked)):
            counts.recorded.update(found)
            counts.replayed.update(found)
        for one in heads:
            held = kept.get(one.seq)
            if one.outcome == "rejected" and held is not None:
                for rejection in held.body["decision"]["refusal"]["rejections"]:
                    tally.rejections.recorded[rejection["code"]] += 1
                    tally.rejections.replayed[rejection["code"]] += 1

    def _one(
        self,
        head: Head,
        lane: Lane,
        kept: Kept | None,
        rows: Sequence[tuple[str, str, str, bool]],
        waiting: _Waiting,
        tally: Tally,
    ) -> None:
        if kept is None:
            self._taken_back(head, tally)
            tally.broke(head.seq)
            return
        try:
            event = _event(lane, kept) if lane.slots else None
            seen, missing = _seen(lane, kept)
            asking = self.world.asking(missing) if missing else None
            if asking is not None and not self.world.standing(asking):
                waiting.flush()
                self.world.seq = head.seq
                self.drive(self.world.stands(asking), True)
            if asking is not None and self.world.doubtful(asking, head.seq):
                waiting.flush()
                assert event is not None
                found = self.drive(self.world.asked(asking, event, head.seq), True)
                seen |= found
                waiting.add(head, lane, kept, rows, event, seen, None, tuple(found))
                return
            waiting.add(head, lane, kept, rows, event, seen, asking)
        except Unanswerable as error:
            self._taken_back(head, tally)
            tally.said_nothing(head.seq, error)
        except (HandlerFault, Malformed, KeyError, TypeError, ValueError) as error:
            self._taken_back(head, tally)
            tally.broke(head.seq, error if isinstance(error, HandlerFault) else None)

    def _taken_back(self, head: Head, tally: Tally) -> None:
        """Of an event that could not be decided again, neither side's steps are counted."""
        written, asked = self.drive(self.bulk.totals([head]), False)
        for counts, found in ((tally.operations, written), (tally.effects, asked)):
            counts.recorded.subtract(found)
            counts.replayed.subtract(found)

    def ended(
        self,
        head: Head,
        lane: Lane,
        kept: Kept,
        rows: Sequence[tuple[str, str, str, bool]],
        event: Event | None,
        seen: Mapping[str, Any],
        reconstructed: tuple[str, ...],
        tally: Tally,
    ) -> None:
        """Decide what is left to be decided, and count."""
        try:
            before = [one for one in kept.steps if one.step.partition("/")[0] in lane.gone]
            made = _made(lane, event, seen)
            entangled = _entangled(lane, made, before, rows)
        except (NotFound, TooMany, HandlerFault):
            # What is wrong with the whole event is told of the whole event.
            entangled = True
        except Unanswerable as error:
            self._taken_back(head, tally)
            tally.said_nothing(head.seq, error)
            return
        except (Malformed, KeyError, TypeError, ValueError):
            self._taken_back(head, tally)
            tally.broke(head.seq)
            return
        if entangled:
            self._taken_back(head, tally)
            for entry in self._entries([head.seq], tally).values():
                # Of what was found out already: the world may have moved on.
                self.again(entry, {place: seen[place] for place in reconstructed}, tally)
            return
        tally.partly(head.seq, _recorded(head, before), Decision.made(made, None, reconstructed=reconstructed))


class _Waiting:
    """Events that wait for what the world answers, and the questions, in their places between the moves."""

    def __init__(self, brief: Brief, tally: Tally) -> None:
        self.brief = brief
        self.tally = tally
        self.statements: list[Statement] = []
        self._held: list[tuple[Any, ...]] = []

    def add(
        self,
        head: Head,
        lane: Lane,
        kept: Kept,
        rows: Sequence[tuple[str, str, str, bool]],
        event: Event | None,
        seen: dict[str, Any],
        asking: Asking | None,
        added: tuple[str, ...] = (),
    ) -> None:
        if asking is not None:
            self.statements += self.brief.world.due()
        self._held.append((head, lane, kept, rows, event, seen, asking, len(self.statements), added))
        if asking is not None:
            assert event is not None
            self.statements += asking.reading.statements(event, {})

    def flush(self) -> None:
        results: list[Result] = []
        self.statements += self.brief.world.due()
        if self.statements:
            batch = Batch((Statement("BEGIN"), *self.statements, Statement("COMMIT")), opens=True, ends=True)
            results = self.brief.drive(_one(batch), True)[1:-1]
        held, self._held, self.statements = self._held, [], []
        for head, lane, kept, rows, event, seen, asking, start, added in held:
            known = added
            try:
                if asking is not None:
                    found = asking.found(results[start:])
                    seen.update(found)
                    known = tuple(found)
            except Unanswerable as error:
                self.brief._taken_back(head, self.tally)
                self.tally.said_nothing(head.seq, error)
                continue
            self.brief.ended(head, lane, kept, rows, event, seen, known, self.tally)


def _one(batch: Batch) -> Flow[list[Result]]:
    results: list[Result] = yield batch
    return results


def _event(lane: Lane, kept: Kept) -> Event:
    assert lane.shape is not None
    body = kept.body
    asked = body["input"]
    if kept.personal:
        if any(value is ERASED and at.startswith("/input/") for at, value in kept.personal.items()):
            raise Erased("of what was asked something was erased")
        asked = kept.part("input", "")
    return lane.shape.from_json(unparsed(asked)).with_meta(Meta.from_facts(body["meta"]))


def _seen(lane: Lane, kept: Kept) -> tuple[dict[str, Any], tuple[Field, ...]]:
    """Return what was recorded of what has to be seen, and the fields that were not."""
    snapshot = kept.body["snapshot"] if lane.seen else {}
    seen: dict[str, Any] = {}
    missing: list[Field] = []
    for _, fields in lane.seen:
        for one in fields:
            held = snapshot.get(one.place)
            if held is None:
                missing.append(one)
                continue
            rows = held["rows"]
            if kept.personal:
                root = f"/snapshot/{one.place}/rows"
                if any(value is ERASED and at.startswith(f"{root}/") for at, value in kept.personal.items()):
                    raise Erased(f"of what the decision sees in {one.place} something was erased")
                rows = unsealed(rows, root, kept.personal)
            seen[one.place] = read(one, rows)
    return seen, tuple(missing)


def _made(lane: Lane, event: Event | None, seen: Mapping[str, Any]) -> Plan:
    if not lane.slots:
        return Plan()
    assert lane.cascade is not None
    assert event is not None
    snapshots: dict[type[Snapshot], Snapshot] = {
        snapshot: snapshot(**{one.name: fitted(one, seen[one.place]) for one in fields})
        for snapshot, fields in lane.seen
    }
    return lane.cascade.part(lane.slots, event, snapshots)


def _entangled(lane: Lane, made: Plan, before: Sequence[Done], rows: Sequence[tuple[str, str, str, bool]]) -> bool:
    """Tell whether what changed and what stands write one row, so that only the whole decision tells what comes of both."""
    if not lane.writes:
        return False
    mine = {one.step for one in before}
    others = {(table, key) for step, table, key, _ in rows if step not in mine}
    if any(merged for *_, merged in rows) or made.outline.waits:
        return True
    return any(one.row_key is None or (one.table, one.row_key) in others for one in made.changes())


def _recorded(head: Head, steps: Sequence[Done]) -> Decision:
    made = (
        Decided(
            key=one.step,
            sort=one.sort,
            of=one.of,
            row=one.row,
            values=one.values,
            handler=one.handler,
            date=one.date,
            ordinal=one.ordinal,
        )
        for one in sorted(steps, key=lambda one: one.ordinal)
    )
    return Decision(version=head.version, outcome="committed", steps=tuple(made))
