"""Deciding a recorded event again, of what it saw then; and whether that comes to what the record says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dateline.core.adopt import AdoptTable
from dateline.core.canon import unparsed
from dateline.core.cascade import Cascade
from dateline.core.decision import Decision, alike
from dateline.core.effective import CorrectEvent
from dateline.core.entry import Entry
from dateline.core.erase import erased_under
from dateline.core.event import Event
from dateline.core.flow import snapshots_of
from dateline.core.model import faults
from dateline.core.outcome import Values
from dateline.core.plan import Plan
from dateline.core.snapshot import Field
from dateline.core.version import Versions
from dateline.errors import Erased, Malformed, NotFound, Refused, TooMany, Unanswerable

__all__ = ["DECIDED", "PERFORMED", "Again", "again", "deviation", "read", "recalled", "replayed"]

DECIDED = ("committed", "rejected", "not-found", "too-many")
"""The outcomes that snapshots, checks and handlers brought about."""

PERFORMED = frozenset({CorrectEvent.__kind__, AdoptTable.__kind__})
"""Kinds whose operations no handler decided."""


class Again(NamedTuple):
    """A recorded event about to be decided again.

    Args:
        version: The date under which.
        cascade: What decides; None of a kind that nobody handles, which is recorded as it is.
        seen: For each field of the cascade what was recorded; None where nothing was.
        personal: As `Decision.made` takes it.
    """

    entry: Entry
    event: Event
    version: date
    cascade: Cascade | None
    seen: tuple[Values | None, ...]
    personal: Callable[[Any], Iterable[str]] | None = None

    @property
    def missing(self) -> tuple[Field, ...]:
        """The fields that were not recorded."""
        fields = self.cascade.fields if self.cascade is not None else ()
        return tuple(one for one, values in zip(fields, self.seen, strict=True) if values is None)

    def decided(self, found: Mapping[str, Values] | None = None) -> Decision:
        """Decide it.

        Args:
            found: By field what was not recorded and was found out since.

        Raises:
            Unanswerable: Where something is still missing, or a shape has no word for the event.
            HandlerFault: Where a check or a handler fails.
        """
        if self.cascade is None:
            return Decision.made(Plan(), self.version)
        found = found or {}
        seen, added = [], []
        for one, recorded in zip(self.cascade.fields, self.seen, strict=True):
            if recorded is None:
                if one.place not in found:
                    raise Unanswerable(
                        f"event {self.entry.seq}, under {self.version}: the decision sees {one.place}, which was not recorded"
                    )
                added.append(one.place)
            seen.append(found[one.place] if recorded is None else recorded)
        try:
            plan = self.cascade.decide(self.event, snapshots_of(self.cascade, tuple(seen)))
        except (NotFound, TooMany) as refusal:
            return Decision.made(Plan(), self.version, refusal=refusal, reconstructed=tuple(added))
        except (Malformed, Refused) as error:
            raise Unanswerable(f"event {self.entry.seq}, under {self.version}: {error}") from error
        return Decision.made(plan, self.version, reconstructed=tuple(added), personal=self.personal)


def again(
    entry: Entry,
    versions: Versions,
    version: date | None = None,
    *,
    changed: Mapping[str, Any] | None = None,
    stands: Callable[[Cascade, Event, Event], tuple[bool, ...]] | None = None,
) -> Again:
    """Return a recorded event as it will be decided again: the same input, snapshot, instant, ids and actor (rule 26).

    Args:
        version: Under which date; without it, its own.
        changed: Fields of the input that are to be other than they were.
        stands: Tells, with other input, for each field of the cascade whether what was recorded is still what it asks for.

    Raises:
        Erased: Where a personal value that it would read was erased: any of the event's own, or of what was seen.
        Unanswerable: Where no version at hand can read it, or it was never decided.
        Malformed: Where the changed input is none of its kind.
    """
    chosen = version or entry.version
    if entry.outcome not in DECIDED or entry.kind in PERFORMED or chosen is None:
        raise Unanswerable(f"event {entry.seq} ({entry.kind}, {entry.outcome}) was not decided by checks and handlers")
    day = versions.asked(chosen).date
    event = entry.event
    if versions.shape(entry.kind, day) is None and event is None:
        # A kind that nobody handles is recorded as it is.
        return Again(entry, Event.model_construct(), day, None, ())
    if erased_under(entry, "/input"):
        raise _erased(entry, "of its input")
    if event is None:
        raise Unanswerable(f"event {entry.seq}: no version at hand reads {entry.kind} in the shape of {entry.shape}")
    try:
        before = event
        if changed:
            text = unparsed({**entry.input, **changed})
            event = type(event).from_json(text).with_meta(entry.meta)
        cascade = versions.for_event(event, day)
        cascade.shaped(event)
    except Refused as error:
        raise Unanswerable(f"event {entry.seq}, under {chosen}: {error}") from error
    same = stands(cascade, before, event) if changed and stands is not None else (True,) * len(cascade.fields)
    snapshot = entry.snapshot if cascade.fields else {}
    for one in cascade.fields:
        if erased_under(entry, f"/snapshot/{one.place}"):
            raise _erased(entry, f"in {one.path}")
    try:
        seen = tuple(
            recalled(one, snapshot) if here and one.place in snapshot else None
            for one, here in zip(cascade.fields, same, strict=True)
        )
    except Malformed as error:
        raise Unanswerable(f"event {entry.seq}, under {chosen}: {error}") from error
    return Again(entry, event, day, cascade, seen, versions.personal)


def _erased(entry: Entry, where: str) -> Erased:
    told = f"event {entry.seq} ({entry.kind}): a personal value {where} was erased"
    return Erased(f"{told}, so it cannot be decided again; what came of it stays on record")


def replayed(entry: Entry, versions: Versions, version: date | None = None) -> Decision:
    """Decide a recorded event again, of its record alone.

    Args:
        version: Under which date; without it, its own.

    Raises:
        Unanswerable: Where nothing can be said: another version needs what was not recorded, or has no word for the event.
        HandlerFault: Where a check or a handler fails.
    """
    return again(entry, versions, version).decided()


def recalled(one: Field, snapshot: Any) -> Values:
    """Return what a field of a snapshot holds: rows or a value, bare or as the record keeps them, beside the query.

    Raises:
        Malformed: Where that was not recorded, or is no such row.
    """
    held = snapshot.get(one.place, ()) if isinstance(snapshot, Mapping) else ()
    if held == () and (not isinstance(snapshot, Mapping) or one.place not in snapshot):
        raise Malformed(f'the decision sees {one.place}; put it into the document\'s "snapshot"')
    rows = held["rows"] if isinstance(held, Mapping) and "rows" in held else held
    if not isinstance(rows, list):
        rows = [] if rows is None else [rows]
    return read(one, rows)


def read(one: Field, rows: list[Any]) -> Values:
    """Return what a field of a snapshot holds, given the rows as the record keeps them.

    Raises:
        Malformed: Where one of them is no such row.
    """
    if not rows:
        return ()
    try:
        return tuple(_adapter(one).validate_json(unparsed(rows)))
    except ValidationError as error:
        raise faults(one.place, error) from None


@lru_cache(2000)
def _adapter(one: Field) -> TypeAdapter[Any]:
    """Return what reads a field's rows; made once, since making it takes longer than reading."""
    if one.record is not None:
        return TypeAdapter(list[one.record])  # type: ignore[name-defined]  # known at run time only
    annotation: Any = one.snapshot.model_fields[one.name].rebuild_annotation() | None
    return TypeAdapter(list[annotation], config=ConfigDict(strict=True))


def deviation(entry: Entry, made: Decision) -> str | None:
    """Return the key of the first step, or rejection, in which a decision is not what was recorded; None where it is (rule 26).

    The order counts. Who decided is no deviation, nor is what only the database could know.
    """
    recorded = Decision.recorded(entry)
    if recorded.outcome != made.outcome:
        return made.steps[0].key if made.steps else recorded.steps[0].key if recorded.steps else made.outcome
    old, new = {one.key: one for one in recorded.steps}, {one.key: one for one in made.steps}
    for key in [*old, *new]:
        if key not in new or key not in old or not alike(old[key], new[key]):
            return key
    return None if [*old] == [*new] else next(k for k, other in zip(old, new, strict=True) if k != other)
