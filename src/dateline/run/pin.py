"""Pinning a caller to a version: at their first call, and whenever somebody moves them."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import date
from typing import Protocol, Unpack

from dateline.core.internal import bounded
from dateline.core.meta import Actor
from dateline.core.outcome import Committed
from dateline.core.pin import RIGHT, Pin, PinCaller, subject_of
from dateline.core.request import Flow
from dateline.core.version import Version
from dateline.errors import Malformed, UnknownVersion
from dateline.run.path import Given, Path
from dateline.sql.together import alone
from dateline.sql.trail import MOST, Filters

__all__ = ["Pins", "first_pinned", "pinned", "pinning", "pins"]

_KIND = PinCaller.__kind__


def pinned(path: Path, caller: str, tenant: str, *, joined: bool = False) -> Flow[Pin | None]:
    """Return where a caller stands; None for one who never called."""
    asked = Filters(
        tenant=tenant, subject=subject_of(caller), kind=_KIND, outcome="committed", limit=1, newest_first=True
    )
    page = yield from path.store.trail.page(asked, path.versions, joined=joined)
    return Pin.of(page[0]) if page.entries else None


def pins(path: Path, tenant: str) -> Flow[tuple[Pin, ...]]:
    """Return where all callers of a tenant stand, by name."""
    found: dict[str, Pin] = {}
    after: int | None = None
    while True:
        asked = Filters(tenant=tenant, kind=_KIND, outcome="committed", limit=MOST, after=after)
        page = yield from path.store.trail.page(asked, path.versions)
        found |= {pin.caller: pin for pin in map(Pin.of, page)}
        if page.next is None:
            return tuple(found[name] for name in sorted(found))
        after = page.next


def first_pinned(path: Path, caller: str, given: Given) -> Flow[Pin]:
    """Return where a caller stands, and pin them to the newest version in force where they never called; that needs no right."""
    found = yield from pinned(path, caller, given.get("tenant", ""))
    if found is not None:
        return found
    actor = Actor.of(given["actor"])
    by_itself: Given = {**given, "actor": replace(actor, rights=actor.rights | {RIGHT})}
    yield from _moved(path, caller, None, by_itself)
    found = yield from pinned(path, caller, given.get("tenant", ""))
    assert found is not None
    return found


def pinning(path: Path, caller: str, version: date | str, given: Given) -> Flow[Committed]:
    """Move a caller to a version.

    Raises:
        UnknownVersion: Where there is none such, or none in force.
        Denied: Without the right; recorded.
    """
    done = yield from _moved(path, caller, version, given)
    assert done is not None
    return done


def _moved(path: Path, caller: str, asked: date | str | None, given: Given) -> Flow[Committed | None]:
    """Record a pin, in one transaction with the look at the one before.

    Args:
        asked: Which version; None for the newest in force, and only where there is no pin yet.
    """
    version = _standing(path, asked)
    if not isinstance(caller, str) or not 0 < len(caller) <= 300:
        raise Malformed("a caller's name is a text of 1 to 300 characters")
    if RIGHT not in Actor.of(given["actor"]).rights:
        # Refused as every request is, and recorded.
        return (yield from path.dispatching(PinCaller(caller=caller, version=version.date), given))

    def work() -> Flow[Committed | None]:
        before = yield from pinned(path, caller, given.get("tenant", ""), joined=True)
        if asked is None and before is not None:
            return None
        was = None if before is None else before.version
        event = PinCaller(caller=caller, version=version.date, before=was)
        return (yield from path.dispatching(event, given, joined=True))

    done = yield from alone(path.store.dialect, work)
    path.bell.ring()
    return done


def _standing(path: Path, asked: date | str | None) -> Version:
    """Return a version at which somebody can stay."""
    moment = path.clock()
    found = path.versions.choose(asked, moment)
    if found.instant > moment:
        raise UnknownVersion(f"{found.date} is not in force yet; it begins {found.instant.isoformat()}")
    if found.retired is not None and found.retired <= moment:
        newest = path.versions.choose(None, moment).date
        raise UnknownVersion(
            f"{found.date} was retired {found.retired.isoformat()}; pin to {newest}, or a date between"
        )
    return found


class _Asking(Protocol):
    def __call__(self, caller: str, /, **given: Unpack[Given]) -> Awaitable[Pin]: ...


class Pins:
    """At which version callers are, asked for once a second: who is moved through another server is moved here no later than that.

    Args:
        ask: Tells where a caller stands, and pins them at their first call.
    """

    FRESH = 1.0
    """Seconds."""

    def __init__(self, ask: _Asking) -> None:
        self._ask = ask
        self._known: dict[tuple[str, str], tuple[float, date]] = {}

    async def of(self, caller: str, /, **given: Unpack[Given]) -> date:
        """Return where a caller stands."""
        place = (given.get("tenant", ""), caller)
        now = time.monotonic()
        if place in self._known and now - self._known[place][0] < self.FRESH:
            return self._known[place][1]
        pin = await self._ask(caller, **given)
        self._known[place] = (now, pin.version)
        bounded(self._known, 10_000)
        return pin.version

    def forget(self, tenant: str, caller: str) -> None:
        """Ask anew at the next call: somebody was moved."""
        self._known.pop((tenant, caller), None)
