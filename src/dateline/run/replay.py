"""Deciding one recorded event again, the difference between two ways to decide it, and what two versions make of today's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from dateline.core.cascade import Cascade
from dateline.core.decision import Decision
from dateline.core.diff import Diff
from dateline.core.effective import CorrectEvent, corrected, effective
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.flow import flow
from dateline.core.outcome import Preview
from dateline.core.plan import Plan
from dateline.core.replay import Again, again, deviation
from dateline.core.request import Ending, Flow
from dateline.errors import Malformed, NonDeterministic, NoSuchEvent, Refused, Rejected, ReleaseEdited
from dateline.run.path import Given, Path
from dateline.run.settled import settled
from dateline.sql.dialect import unmoved
from dateline.sql.restore import tables_of
from dateline.sql.trail import MOST, Filters
from dateline.sql.world import World

__all__ = ["comparing", "corrections_of", "decided", "diffing", "recorded", "replaying", "since_recorded"]


def replaying(path: Path, of: UUID | str, version: date | str | None, tenant: str) -> Flow[Decision]:
    """Decide a recorded event again.

    Args:
        version: Under which date; without it, its own, and then it must come to what was recorded.

    Raises:
        NoSuchEvent: Where there is none of that id.
        NonDeterministic, ReleaseEdited: At its own version, where it comes to something else.
        Unanswerable: Where nothing can be said.
    """
    entry = yield from recorded(path, of, tenant)
    made = yield from decided(path, entry, version)
    if version is None:
        faithful(path, entry, made)
    return made


def faithful(path: Path, entry: Entry, made: Decision) -> None:
    """Refuse a replay at an event's own version that does not come to what was recorded (rule 26).

    Raises:
        NonDeterministic: Where the same code decides otherwise.
        ReleaseEdited: Where other code stands there now.
    """
    key = deviation(entry, made)
    if key is None:
        return
    assert entry.version is not None
    told = f"event {entry.seq} ({entry.kind}) does not replay to what was recorded under {entry.version}: it differs in {key}"
    same = path.versions.cascade(entry.kind, entry.version).digest == entry.cascade
    if same:
        raise NonDeterministic(
            f"{told}, though the code is the same; `dateline check` names what handlers must not do, such as to look at the clock"
        )
    raise ReleaseEdited(
        f"{told}, and the code of that date is not the code that decided; put it back, and release the change under a new date"
    )


def diffing(
    path: Path,
    of: UUID | str,
    a: date | str | None,
    b: date | str | None,
    changed: Mapping[str, Any] | None,
    tenant: str,
) -> Flow[Diff]:
    """Return how two ways to decide a recorded event differ.

    Args:
        a: The version of the first way; without it, what stands: the record, and what corrections made of it.
        b: The version of the second; where only one is given, it is this.
        changed: Fields of the input that the second way has otherwise.
    """
    if b is None:
        a, b = None, a
    entry = yield from recorded(path, of, tenant)
    if a is None:
        corrections = yield from corrections_of(path, entry)
        stands = effective(entry, corrections)
        before, baseline = stands.decision, stands.baseline
        if corrections and (b is not None or changed):
            # What was corrected before goes on: another version decides the input that stands, and another input is decided by the
            # version that stands. To have either back, one names it.
            last = corrected(corrections[-1])
            b, changed = b or last.to, {**(last.changed or {}), **(changed or {})}
    else:
        before, baseline = (yield from decided(path, entry, a)), None
    one = _again(path, entry, b, changed)
    after = yield from _with_missing(path, one)
    if a is None:
        after = settled(path, stands, after)
    return Diff.of(
        before,
        after,
        kind=entry.kind,
        event_id=entry.id,
        seq=entry.seq,
        asked=changed or None,
        baseline=baseline,
        about=one.event.subjects if changed else (),
        settled=a is None,
    )


def since_recorded(path: Path, entry: Entry, made: Decision) -> Flow[Diff]:
    """Return how what stands of an event differs from what was decided of it anew; of one whose input was corrected, with that."""
    corrections = yield from corrections_of(path, entry)
    stands, changed = effective(entry, corrections), None
    if corrections and (changed := corrected(corrections[-1]).changed):
        made = yield from decided(path, entry, made.version, changed)
    return Diff.of(
        stands.decision,
        settled(path, stands, made),
        kind=entry.kind,
        event_id=entry.id,
        seq=entry.seq,
        asked=changed or None,
        baseline=stands.baseline,
        settled=True,
    )


def comparing(path: Path, event: Event, a: date | str, b: date | str, given: Given) -> Flow[Diff]:
    """Return how two versions differ about an event that nobody has recorded, on today's state."""
    asked = path.request(event, Ending.PREVIEW, given)
    decisions = []
    for version in (a, b):
        chosen = path.versions.asked(version).date
        try:
            done = yield from flow(replace(asked, version=version), path.versions, path.store)
            assert isinstance(done, Preview)
            decisions.append(Decision.made(done.plan, done.version, personal=path.versions.personal))
        except Rejected as refusal:
            decisions.append(Decision.made(Plan(rejections=refusal.rejections), chosen))
        except Refused as refusal:
            decisions.append(Decision.made(Plan(), chosen, refusal=refusal))
    return Diff.of(*decisions, kind=event.__kind__)


def recorded(path: Path, of: UUID | str, tenant: str, *, joined: bool = False) -> Flow[Entry]:
    """Return a recorded event.

    Args:
        joined: Inside of an open transaction.

    Raises:
        Malformed: For what is no id.
        NoSuchEvent: Where there is none.
    """
    try:
        id = of if isinstance(of, UUID) else UUID(of)
    except (ValueError, AttributeError, TypeError):
        raise Malformed(f"{str(of)[:60]!r} is no event's id, a UUID") from None
    entry = yield from path.store.entry(tenant, id, path.versions, joined=joined)
    if entry is None:
        raise NoSuchEvent(f"there is no event {id}" + (f" of the tenant {tenant!r}" if tenant else ""))
    return entry


def corrections_of(path: Path, entry: Entry, *, joined: bool = False) -> Flow[tuple[Entry, ...]]:
    """Return the entries that record an event's corrections, oldest first."""
    kind = CorrectEvent.__kind__
    asked = Filters(tenant=entry.tenant, cause=entry.id, kind=kind, outcome="committed", limit=MOST)
    page = yield from path.store.trail.page(asked, path.versions, joined=joined)
    return page.entries


def decided(
    path: Path,
    entry: Entry,
    version: date | str | None,
    changed: Mapping[str, Any] | None = None,
    world: World | None = None,
) -> Flow[Decision]:
    """Decide an entry again: under a version, or its own; perhaps with some fields of its input otherwise.

    Args:
        world: Where what was not recorded is looked up; of several entries the same, which moves on from each to the next, so that they
            come in their order. Without it, one is made for this entry.

    Raises:
        Unanswerable: Where nothing can be said.
    """
    return (yield from _with_missing(path, _again(path, entry, version, changed), world))


def _again(path: Path, entry: Entry, version: date | str | None, changed: Mapping[str, Any] | None) -> Again:
    day = None if version is None else path.versions.asked(version).date
    return again(entry, path.versions, day, changed=changed, stands=_stands)


def _with_missing(path: Path, one: Again, world: World | None = None) -> Flow[Decision]:
    """Decide, after what was not recorded is taken from the trail (rule 27)."""
    if not one.missing:
        return one.decided()
    held = World(path.store.dialect, tables_of(path.versions)) if world is None else world
    try:
        asking = held.asking(one.missing)
        yield from held.forward(one.entry.seq)
        yield from held.stands(asking)
        found = yield from held.asked(asking, one.event, one.entry.seq)
    finally:
        if world is None:
            yield from held.falls()
    return one.decided(found)


def _stands(cascade: Cascade, before: Event, after: Event) -> tuple[bool, ...]:
    return tuple(unmoved(one, before, after) for one in cascade.fields)
