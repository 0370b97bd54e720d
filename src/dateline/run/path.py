"""What both runners share: everything but waiting. Each method is a flow that a runner of either colour drives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from logging import WARNING
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Required, TypedDict
from uuid import UUID

from sqlalchemy import Engine

from dateline.core.access import Access, Look
from dateline.core.draft import Draft
from dateline.core.entry import Entry, Page
from dateline.core.erase import erasure, reasoned
from dateline.core.event import Event
from dateline.core.flow import flow, meta_of, recorded
from dateline.core.meta import Actor, Meta, Origin, Reason
from dateline.core.notice import Notice
from dateline.core.outcome import Committed, Expects, Preview, Shown
from dateline.core.parse import parse
from dateline.core.permit import Permit
from dateline.core.promise import Promise
from dateline.core.request import Ending, Flow, Pause, Request
from dateline.core.version import Versions
from dateline.errors import Conflict, Contention, Malformed, Refused
from dateline.run import log, trace
from dateline.run.bell import bell_of
from dateline.run.clock import Clock, chance, new_id, now
from dateline.run.engine import dialect_of
from dateline.run.loading import load
from dateline.run.settings import Settings
from dateline.sql.access import Accesses
from dateline.sql.feed import Following, Wanted
from dateline.sql.store import SqlStore
from dateline.sql.trail import Filters

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["Asked", "Given", "Heard", "Looked", "Path", "heard"]


class Given(TypedDict, total=False):
    """What every dispatch and preview can be told.

    Args:
        actor: Who acts; a plain string is an actor's id.
        reason: Why.
        cause: The event that brings this one about.
        tenant: Whose data; leads every key and every query.
        key: The request's key: the same key with the same request gets the same answer, and happens once, whoever sends it.
        at: When it happened, where that is not now; needs the right "backdate" and a reason.
        version: A date, its ISO text, or "as-of-occurred"; without it, the newest in force.
        expects: What the caller saw: a preview, the promise of one, or fingerprints by row and field.
        origin: Where the request came from.
    """

    actor: Required[Actor | str]
    reason: Reason | str | None
    cause: UUID | None
    tenant: str
    key: str | None
    at: datetime | None
    version: date | str | None
    expects: Expects | None
    origin: Origin | None


class Asked(TypedDict, total=False):
    """Which entries of the trail are wanted; see `Filters`."""

    tenant: str
    subject: str | None
    table: str | None
    row: str | None
    kind: str | None
    actor: str | None
    version: date | str | None
    outcome: str | None
    cause: UUID | None
    since: date | None
    until: date | None
    after: int | None
    limit: int
    newest_first: bool


class Looked(TypedDict, total=False):
    """Which accesses are wanted.

    Args:
        subject: Those to this one; `actor` those by this one.
        after: The number of the last that was seen.
        limit: At most so many; a hundred without it.
    """

    tenant: str
    subject: str | None
    actor: str | None
    after: int | None
    limit: int
    newest_first: bool


class Heard(TypedDict, total=False):
    """What a follower of the feed wants to hear of; see `Wanted`."""

    tenant: str
    subjects: Iterable[str]
    kinds: Iterable[str]
    event: UUID | None


def heard(wanted: Heard) -> Wanted:
    """Return what a follower wants.

    Raises:
        TypeError: For an argument that nobody takes.
        Malformed: For one of another type.
    """
    _known("feed", Heard.__annotations__, wanted)
    lists: dict[str, tuple[str, ...]] = {"subjects": (), "kinds": ()}
    for name, found in (("subjects", wanted.get("subjects", ())), ("kinds", wanted.get("kinds", ()))):
        lists[name] = () if isinstance(found, str) else tuple(dict.fromkeys(found))
        if isinstance(found, str) or not all(isinstance(one, str) for one in lists[name]):
            raise Malformed(f"{name}= is a list of texts: {name}=['patient:42']")
    return Wanted(tenant=wanted.get("tenant", ""), event=wanted.get("event"), **lists)


class Path:
    """What both colours share: everything but waiting."""

    def __init__(
        self,
        made: Engine,
        versions: str | ModuleType | Versions,
        clock: Clock | None,
        settings: Settings,
    ) -> None:
        self.versions = load(versions)
        self.settings = settings
        if clock is not None and not callable(clock):
            raise TypeError(f"clock= is a function that gives the present, not {type(clock).__name__}")
        self.clock: Clock = clock or now
        self.store = SqlStore(dialect_of(made), self.versions)
        self._accesses = Accesses(self.store.dialect)
        secret = settings.secret
        self._key = chance()[0] if secret is None else secret.get_secret_value().encode()
        self.bell, self._left = bell_of(made.url), False
        # Those of which a program has yet to be told that they end.
        self._ending = {found.date: found for found in self.versions.versions if found.deprecated is not None}

    def event(self, kind: str, body: bytes | str | Mapping[str, Any], *, version: date | str | None = None) -> Event:
        """Make an event of what came from outside, the one place where that is done.

        Args:
            body: The JSON text as it came, or a mapping of JSON's types.
            version: The date whose shape the body has; without it, the newest in force.

        Raises:
            Malformed: When it is no event of that kind and version; naming each fault by path, without the values.
            UnknownVersion: When there is no such version.
        """
        chosen = self.versions.choose(version, self._now())
        return parse(self.versions.cascade(kind, chosen.date).event, body, self.settings.largest)

    def promise(self, preview: Preview) -> str:
        """Return what a client keeps of a preview: a text that tells nothing, good for `expects=runner.promised(text)` until it expires.

        Any process commits by it that has the same `Settings(secret=…)`.
        """
        return Promise.of(preview, self._key).text()

    def promised(self, text: str) -> Promise:
        """Return what to expect of what a client has kept of a preview.

        Raises:
            Malformed: For what no process with this secret has given.
        """
        return Promise.read(text, self._key)

    def permit(self, *of: str, actor: Actor, tenant: str = "") -> str:
        """Return what a form carries, so that only whom it was shown to does by it what it is for: a text that is good for an hour.

        Args:
            of: What is done, and of what: `"approve", "1234.0"`.
        """
        ends = self._now() + _FORM
        return Permit(of=of, actor=actor.id, tenant=tenant, ends=ends, key=str(self._fresh())).text(self._key)

    def permitted(self, text: str, *of: str, actor: Actor, tenant: str = "") -> Permit:
        """Return what a form permits that comes back; until when stands in it.

        Raises:
            Malformed: For what was given for something else, to somebody else, or by no process with this secret.
        """
        return Permit.read(text, self._key, of, actor=actor.id, tenant=tenant)

    def _now(self) -> datetime:
        moment = self.clock()
        if moment.tzinfo is None:
            raise TypeError(f"clock= gave {moment!r}, which is naive; an instant has a time zone: datetime.now(UTC)")
        return moment

    def left(self) -> None:
        """Let others be woken without this runner; more than once is once."""
        if not self._left:
            self._left = True
            self.bell.leave()

    def _fresh(self) -> UUID:
        """Return a new id."""
        return new_id(self._now(), chance()[1])

    def request(
        self, event: Event, ending: Ending, given: Given, *, joined: bool = False, span: Span | None = None
    ) -> Request:
        """Return the request with what clock and chance contribute.

        Args:
            span: The request's own; without it, what is recorded belongs to the current one.

        Raises:
            TypeError: For what is no event, for an argument that nobody takes, and where nobody acts.
            Malformed: For an argument of another type.
        """
        _checked(event, "dispatch" if ending is Ending.COMMIT else "preview", given)
        moment = self._now()
        expects, origin = given.get("expects"), given.get("origin")
        if ending is Ending.COMMIT:
            origin = trace.origin(origin, span)
            if isinstance(expects, Preview):
                expects = _belonging(expects, origin)
        at, reason = given.get("at"), Reason.of(given.get("reason"))
        reasoned(event, reason)
        seed, drawn = chance()
        spare = new_id(moment, drawn)
        return Request(
            event=event,
            ending=ending,
            id=expects.event_id if isinstance(expects, Shown) else spare,
            spare=spare,
            now=moment,
            seed=seed,
            actor=Actor.of(given["actor"]),
            tenant=given.get("tenant", ""),
            version=given.get("version"),
            at=None if at is None else _utc(at),
            reason=reason,
            cause=given.get("cause"),
            origin=origin,
            key=given.get("key"),
            expects=expects,
            expiry=self.settings.expiry,
            joined=joined,
        )

    def stamp(self, request: Request, *, root: UUID | None) -> Meta:
        """Return the meta of what is recorded without a cascade's deciding it."""
        return meta_of(request, self.versions.choose(None, request.now).date, root=root)

    def dispatching(self, event: Event, given: Given, *, joined: bool = False) -> Flow[Committed]:
        """Carry an event to its commit."""
        tenant = given.get("tenant")
        return trace.traced(
            "dateline.dispatch", event, tenant, lambda span: self._dispatching(event, given, joined, span)
        )

    def _dispatching(self, event: Event, given: Given, joined: bool, span: Span | None) -> Flow[Committed]:
        request = self.request(event, Ending.COMMIT, given, joined=joined, span=span)
        try:
            done = yield from flow(request, self.versions, self.store)
        except Refused as refusal:
            log.told("refused", kind=event.__kind__, outcome=refusal.outcome, id=refusal.event_id)
            raise
        assert isinstance(done, Committed)
        self._warn(done.version, request.now)
        if not joined:
            self.bell.ring()
        if log.heard():
            facts: dict[str, Any] = {} if done.removal is None else asdict(done.removal)
            facts |= {"kind": event.__kind__, "id": done.event_id, "seq": done.seq, "repeated": done.repeated or None}
            log.told("committed", **facts)
        return done

    def erasing(self, subject: str, given: Given) -> Flow[Committed]:
        """Have a subject's personal values leave the trail.

        Raises:
            Malformed: For what can be no subject, and without a reason.
        """
        return self.dispatching(erasure(subject), given)

    def _warn(self, version: date, moment: datetime) -> None:
        """Say once for each version that decides after it was deprecated; a line a dispatch would be no news."""
        found = self._ending.get(version)
        if found is None or found.deprecated is None or found.deprecated > moment:
            return
        if self._ending.pop(version, None) is not None:
            ends = found.retired or found.sunset
            log.told(
                "deprecated",
                level=WARNING,
                version=version.isoformat(),
                since=found.deprecated.isoformat(),
                ends=ends.isoformat() if ends is not None else None,
                newest=self.versions.choose(None, moment).date.isoformat(),
            )

    def previewing(
        self, event: Event, given: Given, *, rehearse: bool, joined: bool = False
    ) -> Flow[Preview | Refused]:
        """Carry an event to its preview; refusals are values here."""
        tenant = given.get("tenant")
        ending = Ending.REHEARSE if rehearse else Ending.PREVIEW
        return trace.traced("dateline.preview", event, tenant, lambda _: self._previewing(event, given, ending, joined))

    def _previewing(self, event: Event, given: Given, ending: Ending, joined: bool) -> Flow[Preview | Refused]:
        try:
            done = yield from flow(self.request(event, ending, given, joined=joined), self.versions, self.store)
        except Refused as refusal:
            return refusal
        assert isinstance(done, Preview)
        return done

    def paging(self, asked: Asked) -> Flow[Page]:
        """Read a page of the trail.

        Raises:
            TypeError: For a filter that there is not.
        """
        _known("trail", Filters.__dataclass_fields__, asked)
        return self.store.trail.page(Filters(**asked), self.versions)

    def looking(self, *looks: Look) -> Flow[int]:
        """Record that somebody looks at somebody's data; return at how many."""
        return self._accesses.recorded(looks)

    def looked(self, asked: Looked) -> Flow[tuple[Access, ...]]:
        """List who looked at whom.

        Raises:
            TypeError: For a filter that there is not.
        """
        _known("accesses", Looked.__annotations__, asked)
        return self._accesses.listed(**asked)

    def following(self, after: str | None, wanted: Wanted) -> Flow[Following]:
        """Find where a follower of the feed begins."""
        return self.store.feed.open(after, wanted.tenant)

    def noticing(self, at: Following, wanted: Wanted) -> Flow[list[Notice]]:
        """Read the next notices of the feed."""
        return self.store.feed.page(at, wanted, self.versions)

    def scanning(self, after: int) -> Flow[Page]:
        """Read the next entries of all tenants, in the order of writing."""
        return self.store.trail.scan(self.versions, after=after)

    def awaiting(self, of: UUID | str, tenant: str) -> Flow[Entry | None]:
        """Look for an event, by id or request key, until it is there or the time budget is spent."""
        tries = 0
        while True:
            asked = Filters(tenant=tenant, limit=1, **({"id": of} if isinstance(of, UUID) else {"key": of}))
            page = yield from self.store.trail.page(asked, self.versions)
            if page.entries:
                return page.entries[0]
            tries += 1
            try:
                # Whom somebody waits for needs a connection too: who wait must not have them all.
                yield Pause(min(tries, 6), idle=True)
            except Contention:
                return None

    def recording(self, draft: Draft) -> Flow[None]:
        """Record a refusal by itself, outside of the transaction in which it came about."""
        try:
            yield from recorded(self.store, draft)
        except Conflict:
            # Another has the request key, which says nothing against this record of the try.
            yield from recorded(self.store, replace(draft, claim=None))


_FORM = timedelta(hours=1)
"""How long a form can be sent: somebody fills it in, is called away, and comes back."""

LONGEST = 400
"""Characters of a request key: what the trail's column holds, on every database."""

# What type checkers see in `Given`, for those who call without one. Version and expectations are judged where they are used.
_TAKES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "actor": ((Actor, str), 'an Actor, or its id: actor="ann"'),
    "reason": ((Reason, str, NoneType), 'a Reason, or its sentence: reason="asked by phone"'),
    "cause": ((UUID, NoneType), "an event's id, a UUID: cause=done.event_id"),
    "tenant": ((str,), "a text; without tenants, leave it out"),
    "key": ((str, NoneType), "a text of the client's"),
    "at": ((datetime, NoneType), "an instant with a time zone: datetime(2024, 7, 1, 9, 30, tzinfo=UTC)"),
    "origin": ((Origin, NoneType), 'an Origin: origin=Origin(request="r-17")'),
}


def _checked(event: Event, call: str, given: Given) -> None:
    if not (isinstance(event, Event) and event.__kind__):
        found = getattr(event, "__qualname__", type(event).__qualname__)
        raise TypeError(
            f"{call}() takes an event of some kind, such as Pay(account=…, cents=…), not {found}; "
            "of a body from outside, runner.event(kind, body) makes one"
        )
    if not given.keys() <= Given.__annotations__.keys():
        _known(call, Given.__annotations__, given)
    if "actor" not in given:
        raise TypeError(f'{call}() needs actor=, who acts: {call}({type(event).__name__}(…), actor="ann")')
    for name, found in given.items():
        if name in _TAKES and not isinstance(found, _TAKES[name][0]):
            raise Malformed(f"{name}= is {_TAKES[name][1]}; not {type(found).__name__}")
    if len(given.get("key") or "") > LONGEST:
        raise Malformed(f"key= is a text of {LONGEST} characters at most, with whatever leads it")


def _known(call: str, names: Iterable[str], told: Iterable[str]) -> None:
    """Refuse an argument that nobody takes: left unread, a filter that is misspelt would show everything."""
    names = tuple(names)
    for name in told:
        if name not in names:
            close = get_close_matches(name, names, 1, cutoff=0.7)
            mend = f"did you mean {close[0]}=?" if close else f"it takes {', '.join(names)}"
            raise TypeError(f"{call}() takes no {name}=; {mend}")


def _belonging(preview: Preview, origin: Origin | None) -> Preview:
    """Return a preview whose event, once it is committed, belongs to the trace of its commit."""
    if origin is None or origin.trace is None:
        return preview
    meta = preview.event.meta
    found = replace(meta.origin or Origin(), trace=origin.trace)
    return replace(preview, event=preview.event.with_meta(replace(meta, origin=found)))


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Malformed(f"at={at!r} is naive; an instant has a time zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Malformed(f"at={at!r} is outside of the years 1 to 9999") from None
