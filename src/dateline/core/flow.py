"""The one path of an event: resolve, read, expect, check, handle, end.

Commit, preview and rehearsal differ in their ending alone. A generator: it yields what the outside must do (a batch of
statements, a pause) and receives what came of it, so that a runner of either colour is the few lines that do it. Handlers are
pure, so deciding again after a conflict is free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from dateline.core.canon import canonical, parsed
from dateline.core.cascade import Cascade
from dateline.core.draft import Draft, drafted
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.meta import Meta
from dateline.core.outcome import Committed, Preview, Shown, Values, Wrote, compare, request_digest
from dateline.core.personal import ERASED, unsealed
from dateline.core.plan import Plan
from dateline.core.request import Apart, Broken, Claim, Ending, Flow, Pause, Request, Seen, Store
from dateline.core.snapshot import Field, Snapshot
from dateline.core.version import Version, Versions
from dateline.errors import (
    Conflict,
    ConstraintRefused,
    Contention,
    DatelineError,
    Denied,
    HandlerFault,
    KeyReused,
    Lost,
    Malformed,
    NotFound,
    NotStorable,
    PreviewExpired,
    Refused,
    Rejected,
    StaleSnapshot,
    TooMany,
    UnknownVersion,
)

__all__ = ["allowed", "committed_from", "constraint_refused", "fitted", "flow", "meta_of", "recorded", "snapshots_of"]

ALONE_AFTER = 5
"""Tries lost in the queue of its subjects, after which a writer queues behind all that still lose."""

BRIEF = 2
"""Lost tries after which a writer that has a turn waits no longer than it must."""

BACKDATE = "backdate"

_RECORDED = frozenset({"dateline_event_id", "dateline_event.tenant, dateline_event.id"})
"""What the databases call the constraint that an event is recorded once."""


@dataclass
class _Tries:
    count: int = 0
    look: bool = False
    conflicts: int = 0
    turns: int = 0
    turn: bool = False
    held: bool = False
    along: bool = False
    fought: bool = False
    careful: bool = False
    root: UUID | None = None
    refusal: Refused | None = None
    lost: Lost | None = None


def flow(request: Request, versions: Versions, store: Store) -> Flow[Committed | Preview]:
    """Carry one request to its end.

    Raises:
        Refused: As the tree in `errors` says; recorded first, unless this is a preview or the kind opts out.
        Contention: From outside, when the time budget is spent.
    """
    tries = _Tries(look=isinstance(request.expects, Shown) and request.ending is Ending.COMMIT)
    try:
        while True:
            try:
                result = yield from _tried(request, versions, store, tries)
                break
            except Conflict:
                if request.joined:
                    raise
                tries.conflicts, tries.lost = tries.conflicts + 1, None
            except Broken as broken:
                if tries.refusal is not None:
                    # The record of the refusal breaks a constraint itself, and would do so for ever.
                    raise tries.refusal from None
                if request.joined or request.ending is Ending.REHEARSE or tries.careful:
                    # The guard had passed in this very transaction: it is the decision that breaks the constraint, no other writer.
                    tries.refusal = constraint_refused(broken)
                    continue
                tries.careful = True
            except NotStorable as refusal:
                if tries.refusal is not None:
                    # The database cannot hold the record of the refusal either.
                    raise tries.refusal from None
                tries.refusal = refusal
                continue
            except Lost as lost:
                if request.joined:
                    raise
                tries.look, tries.turns, tries.turn, tries.held, tries.lost = True, 0, False, False, lost
            tries.count += 1
            try:
                # Who has a turn keeps others waiting; who loses even so had better wait longer each time.
                yield Pause(tries.count, brief=tries.turn and tries.conflicts <= BRIEF)
            except Contention:
                if tries.lost is not None:
                    # It was no other writer that took the time.
                    raise tries.lost from None
                raise
    except GeneratorExit:
        raise
    except BaseException:
        yield from _left(store, tries)
        raise
    if tries.held:
        yield from _left(store, tries)
    return result


def constraint_refused(broken: Broken) -> ConstraintRefused:
    """Return the refusal that names step and constraint, without the row's key: that may be a value of somebody's."""
    told = broken.detail.removeprefix(f"{broken.step}: ")
    named = told if broken.constraint in told else f"{told} ({broken.constraint})"
    step = broken.step.partition("[")[0] if broken.step else "the commit"
    return ConstraintRefused(broken.constraint, broken.step, f"{step}: {named}")


def _left(store: Store, tries: _Tries) -> Flow[None]:
    if tries.held:
        try:
            yield from store.leave()
        except DatelineError:
            # A session that is gone has given up its turn; what was to be told is not this.
            return


def _tried(request: Request, versions: Versions, store: Store, tries: _Tries) -> Flow[Committed | Preview]:
    if tries.refusal is not None:
        yield from _refuse(request, versions, store, tries.refusal, conflicts=tries.conflicts)
        raise tries.refusal
    if not tries.count and store.queues and request.ending is Ending.COMMIT and not request.joined:
        tries.fought = store.fought(request.tenant, request.event)
    wanted = (tries.fought or tries.conflicts > 0) + (tries.conflicts > ALONE_AFTER) if store.queues else 0
    tries.along = False
    while tries.turns < wanted:
        # Those that lost over one subject take turns from the first lost try on: each try that is lost is work for nothing. Who loses
        # even so, to writers of other subjects, queues with all of their kind; nobody waits for the first queue within the second.
        tries.turns += 1
        tries.turn = tries.held = True
        if wanted == 1 and tries.conflicts != 1:
            # It is known that others want it: no need to look whether it is free.
            tries.along = True
        else:
            yield from store.queue(request.tenant, request.event.subjects if tries.turns == 1 else ())
    return (yield from _attempt(request, versions, store, tries))


def _attempt(request: Request, versions: Versions, store: Store, tries: _Tries) -> Flow[Committed | Preview]:
    if request.cause is not None and tries.root is None:
        tries.root = yield from store.root(request.tenant, request.cause)
    try:
        event, cascade = _resolved(request, versions, tries.root)
    except Refused as refusal:
        yield from _refuse(request, versions, store, refusal, conflicts=tries.conflicts)
        raise
    seen = yield from store.read(cascade, event, request, look=tries.look, queue=tries.along)
    if seen.recorded:
        return (yield from _again(event.meta.id, request, versions, store))
    if seen.claim is not None and request.ending is Ending.COMMIT:
        if not (yield from _same(request, seen.claim, versions, store)):
            reused = KeyReused(
                f"the key {request.key!r} came with another request before; a new request needs a new key",
                key=request.key,
            )
            yield from _refuse(request, versions, store, reused, conflicts=tries.conflicts)
            raise reused
        return (yield from _again(seen.claim.event, request, versions, store))
    plan, no = _decided(request, cascade, event, seen)
    if no is not None:
        guarded = isinstance(no, Rejected | NotFound | TooMany)
        decided = (event, cascade, seen) if guarded else None
        yield from _refuse(request, versions, store, no, decided=decided, conflicts=tries.conflicts)
        raise no
    # Also where nothing is written: what has no canonical form is refused by a preview as it is by a dispatch.
    asked = store.asked(cascade, event) if seen.values else ()
    draft = drafted(request, versions, asked, event, cascade, plan, seen, conflicts=tries.conflicts)
    if request.ending is Ending.PREVIEW:
        return _previewed(request, cascade, event, plan, seen)
    # Where the turn may be gone after a try that is lost, the next try takes it anew; what is still held is taken at once.
    leave, tries.turns = tries.turn, 0
    written = yield from store.write(
        draft, cascade, seen.proof, ending=request.ending, joined=request.joined, careful=tries.careful, leave=leave
    )
    tries.held = tries.held and not written.left
    if request.ending is Ending.REHEARSE:
        return replace(_previewed(request, cascade, event, plan, seen), rehearsed=True)
    meta = event.meta
    assert meta.version is not None
    return Committed(
        event_id=meta.id,
        seq=written.seq,
        version=meta.version,
        recorded_at=written.recorded_at,
        event=event,
        told=written.told,
        plan=plan,
        removal=written.removal,
    )


def _resolved(request: Request, versions: Versions, root: UUID | None) -> tuple[Event, Cascade]:
    """Return the event with its meta, and what decides it."""
    event = request.event
    expects = request.expects
    allowed(type(event), request)
    shown = expects if isinstance(expects, Shown) else None
    late = request.at is not None or request.version == "as-of-occurred" if shown is None else shown.backdated()
    if late and BACKDATE not in request.actor.rights:
        raise Denied(
            f"{request.actor.id} lacks the right {BACKDATE!r}, which at= and version='as-of-occurred' require",
            right=BACKDATE,
        )
    if shown is not None:
        event = event.with_meta(shown.adopted(event, meta_of(request, shown.version, late, root)))
        if request.now > shown.expires_at:
            raise PreviewExpired(f"the preview could be committed until {shown.expires_at.isoformat()}; preview again")
        _dispatchable(versions.asked(shown.version), versions, request)
        return event, _deciding(versions.for_event(event, shown.version), event, request)
    if late and request.reason is None:
        raise Denied("back-dating needs a reason: pass reason=", right=BACKDATE)
    version = versions.choose(request.version, request.now, occurred=request.at)
    _dispatchable(version, versions, request)
    cascade = versions.for_event(event, version.date)
    event = event.with_meta(meta_of(request, version.date, late, root))
    return event, _deciding(cascade, event, request)


def _dispatchable(version: Version, versions: Versions, request: Request) -> None:
    """Refuse to write under a version before its time, or after it; looking is free.

    Raises:
        UnknownVersion: Naming when, and which version to send.
    """
    if request.ending is not Ending.COMMIT:
        return
    if version.instant > request.now:
        raise UnknownVersion(
            f"{version.date} is not in force yet; it begins {version.instant.isoformat()}: preview under it, or send an earlier one",
            asked=version.date.isoformat(),
        )
    if version.retired is not None and version.retired <= request.now:
        newest = versions.choose(None, request.now).date
        raise UnknownVersion(
            f"{version.date} was retired {version.retired.isoformat()}; send {newest}, or a date between",
            asked=version.date.isoformat(),
        )


def allowed(shape: type[Event], request: Request) -> None:
    """Refuse an actor who lacks the right that a kind requires.

    Raises:
        Denied: Naming it.
    """
    needs = shape.__requires__
    if needs is not None and needs not in request.actor.rights:
        raise Denied(f"{request.actor.id} lacks the right {needs!r}, which {shape.__kind__} requires", right=needs)


def _deciding(cascade: Cascade, event: Event, request: Request) -> Cascade:
    """Return what decides, where it can: an older shape is no way around a right, and what has no word for the event says so here."""
    if cascade.event is not type(event):
        allowed(cascade.event, request)
    cascade.shaped(event)
    return cascade


def meta_of(request: Request, version: date | None, late: bool = False, root: UUID | None = None) -> Meta:
    """Return what an event carries beside its input, as its request says."""
    return Meta(
        id=request.id,
        at=request.at or request.now,
        actor=request.actor,
        tenant=request.tenant,
        version=version,
        reason=request.reason,
        cause=request.cause,
        root=root,
        late=late,
        origin=request.origin,
    )


def _same(request: Request, claim: Claim, versions: Versions, store: Store) -> Flow[bool]:
    """Tell whether a request key comes with the request that it came with before."""
    if claim.salt is not None and request_digest(request.event, claim.salt, request.at) == claim.request:
        return True
    if claim.salt is not None:
        # A client that sends again over a release's instant sends the same body, of which another shape is made then.
        before = yield from store.entry(request.tenant, claim.event, versions, joined=request.joined)
        return before is not None and _same_in_another_shape(request, before, versions)
    # Without its salt the digest tells nothing, as it should: what was erased can be anything now, and all else is compared.
    entry = yield from store.entry(request.tenant, claim.event, versions, joined=request.joined)
    if entry is None:
        return True
    erased = dict.fromkeys(entry.erased, ERASED)
    asked = unsealed(parsed(canonical(request.event)), "/input", erased)
    return (entry.kind, entry.input) == (request.event.__kind__, asked) and request.at in (None, entry.occurred_at)


def _same_in_another_shape(request: Request, entry: Entry, versions: Versions) -> bool:
    event, then = request.event, entry.event
    if then is None or type(then) is type(event) or entry.kind not in versions.kinds or entry.kind != event.__kind__:
        return False
    shapes = versions.cascade(entry.kind, versions.newest.date).shapes
    try:
        same = shapes is not None and shapes.convert(then, type(event)) == event
    except (Malformed, Refused, HandlerFault):
        return False
    return same and request.at == (entry.occurred_at if entry.meta.late else None)


def _again(id: UUID, request: Request, versions: Versions, store: Store) -> Flow[Committed]:
    """Return, or raise, the answer that this request got before."""
    entry = yield from store.entry(request.tenant, id, versions, joined=request.joined)
    if entry is None:
        raise Conflict("the request key is being claimed by another writer")
    refusal = entry.refusal
    if refusal is not None:
        refusal.repeated = True
        raise refusal
    return committed_from(entry, request.event)


def committed_from(entry: Entry, event: Event | None = None) -> Committed:
    """Return the answer that a recorded event once was."""
    assert entry.version is not None
    found = entry.event or (event.with_meta(entry.meta) if event is not None else None)
    if found is None:
        raise Malformed(f"no version at hand knows the shape of {entry.kind} that event {entry.id} has")
    operations = tuple(
        Wrote(
            ordinal=o.ordinal,
            step=o.step,
            verb=o.verb,
            table=o.table,
            row_key=o.row_key,
            handler=o.handler,
            date=o.date,
        )
        for o in entry.operations
    )
    effects = tuple(replace(effect, state="due") for effect in entry.effects)
    return Committed(
        event_id=entry.id,
        seq=entry.seq,
        version=entry.version,
        recorded_at=entry.recorded_at,
        event=found,
        told=lambda: (operations, effects),
        repeated=True,
    )


def _decided(request: Request, cascade: Cascade, event: Event, seen: Seen) -> tuple[Plan, Refused | None]:
    try:
        if request.expects is not None:
            compare(request.expects, cascade.fields, seen.values)
        plan = cascade.decide(event, snapshots_of(cascade, seen.values))
        if plan.rejections:
            raise Rejected(plan.rejections)
        if isinstance(request.expects, Shown) and not request.expects.decides(plan):
            raise StaleSnapshot(
                (),
                "what was seen is unchanged, but the rules now decide otherwise than the preview showed; preview again",
            )
    except Refused as refusal:
        return Plan(), refusal
    return plan, None


def snapshots_of(cascade: Cascade, seen: tuple[Values, ...]) -> dict[type[Snapshot], Snapshot]:
    """Return the snapshots that a cascade's handlers take.

    Raises:
        NotFound, TooMany: Where a field's rows are fewer or more than its type says.
    """
    made: dict[type[Snapshot], Snapshot] = {}
    rest = iter(seen)
    for snapshot, fields in cascade.seen:
        found: dict[str, Any] = {}
        for one in fields:
            values = next(rest)
            found[one.name] = values[0] if one.plain and len(values) == 1 else fitted(one, values)
        made[snapshot] = snapshot(**found)
    return made


def fitted(one: Field, values: Values) -> Any:
    """Return what a snapshot holds in a field whose rows, or value, are these.

    Raises:
        NotFound, TooMany: Where they are fewer or more than its type says.
    """
    if one.record is None:
        if len(values) > 1:
            raise TooMany(f"{one.path}: more than one value", field=one.path)
        found = values[0] if values else None
        if found is None and one.least:
            raise NotFound(f"{one.path}: there is no such value", field=one.path)
        return found
    assert one.table is not None
    if len(values) < one.least:
        raise NotFound(f"{one.path}: no such row in {one.table.name}", field=one.path, table=one.table.name)
    most = getattr(one.query, "at_most", None) or one.most
    if most is not None and len(values) > most:
        raise TooMany(
            f"{one.path}: more than {most} row{'s' if most > 1 else ''} in {one.table.name}",
            field=one.path,
            table=one.table.name,
        )
    if one.many:
        return values
    return values[0] if values else None


def _previewed(request: Request, cascade: Cascade, event: Event, plan: Plan, seen: Seen) -> Preview:
    assert event.meta.version is not None
    return Preview(
        event_id=event.meta.id,
        version=event.meta.version,
        at=event.meta.at,
        event=event,
        plan=plan,
        expires_at=request.now + request.expiry,
        fields=cascade.fields,
        seen=seen.values,
    )


def _refuse(
    request: Request,
    versions: Versions,
    store: Store,
    refusal: Refused,
    *,
    decided: tuple[Event, Cascade, Seen] | None = None,
    conflicts: int,
) -> Flow[None]:
    """Record a refusal: with the guard where reading decided it, without where it did not."""
    if request.ending is not Ending.COMMIT or not request.event.__record_refusals__:
        return
    if decided is not None:
        event, cascade, seen = decided
    else:
        event = request.event.with_meta(replace(meta_of(request, None), id=request.spare))
        cascade, seen = Cascade(event.__kind__, None, type(event)), Seen((), None)
    asked = store.asked(cascade, event) if seen.values else ()
    draft = drafted(request, versions, asked, event, cascade, Plan(), seen, refusal, conflicts=conflicts)
    if request.joined:
        yield Apart(draft)
    else:
        yield from recorded(store, draft, *((cascade, seen.proof) if decided is not None else (None, None)))
    refusal.event_id = str(event.meta.id)


def recorded(store: Store, draft: Draft, cascade: Cascade | None = None, proof: Any = None) -> Flow[None]:
    """Record a refusal; one that is recorded already, as of a preview that is refused twice, is not recorded again."""
    try:
        yield from store.write(draft, cascade, proof, ending=Ending.COMMIT, joined=False)
    except Broken as broken:
        if broken.constraint not in _RECORDED:
            raise
