"""One follower of the feed for all who listen in a process: each notice is read once, and handed to those who want it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from dateline.core.access import Look
from dateline.core.canon import canonical
from dateline.core.document import told
from dateline.core.internal import bounded
from dateline.core.notice import Notice
from dateline.errors import DatelineError
from dateline.run import log
from dateline.run.runner import AsyncRunner
from dateline.sql.feed import Wanted
from dateline.web.caller import Caller

__all__ = ["Hub", "Listener", "Said"]

BUFFER = 1_000
"""Notices that wait for one listener before it counts as slow."""

MOST = 10_000
"""Subjects that are remembered as heard of by one listener."""


class Said:
    """A notice, with its text for those who see personal values and for those who do not, each made once."""

    __slots__ = ("_texts", "notice")

    def __init__(self, notice: Notice) -> None:
        self.notice = notice
        self._texts: dict[bool, str] = {}

    def text(self, *, unmask: bool) -> str:
        """Return it as a JSON text."""
        if unmask not in self._texts:
            self._texts[unmask] = canonical(told(self.notice, unmask=unmask)).decode()
        return self._texts[unmask]


class Listener:
    """One subscription: what it wants, and what waits for it.

    Args:
        caller: Who listens; None for a program of ours, which shows nobody anything.
        slow: More waited for it than may; it gets no more, and `overrun` was called.
    """

    def __init__(self, wanted: Wanted, caller: Caller | None = None) -> None:
        self.wanted = wanted
        self._caller = caller
        # Whom it heard of already: each is recorded once, before anything about them is heard.
        self._heard: dict[str, None] = {}
        self.waiting: asyncio.Queue[Said | None] = asyncio.Queue(BUFFER)
        self.slow = False
        self.overrun: Callable[[], None] = lambda: None
        self._subjects = frozenset(wanted.subjects)
        self._kinds = frozenset(wanted.kinds)

    def wants(self, subjects: frozenset[str], kind: str) -> bool:
        """Tell whether an event about these, of that kind, is for it."""
        return (not self._kinds or kind in self._kinds) and (
            not self._subjects or not self._subjects.isdisjoint(subjects)
        )

    def look(self, subjects: Iterable[str]) -> Look | None:
        """Return the look that hearing of these is; None where it heard of all of them before."""
        if self._caller is None:
            return None
        new = tuple(one for one in subjects if one not in self._heard)
        if not new:
            return None
        return Look(
            actor=self._caller.actor,
            door="live",
            view="feed",
            tenant=self._caller.tenant,
            subjects=new,
            unmasked=self._caller.unmasked,
        )

    def looked(self, subjects: Iterable[str]) -> None:
        """Take note that it is recorded that they hear of these."""
        self._heard.update(dict.fromkeys(subjects))
        bounded(self._heard, MOST)

    def put(self, said: Said | None) -> None:
        """Have something wait for it; where too much does, nothing more will."""
        try:
            self.waiting.put_nowait(said)
        except asyncio.QueueFull:
            self.slow = True
            self.overrun()


class Hub:
    """Follows one tenant's feed for as long as somebody listens.

    Args:
        lost: How long to wait before the database is asked again, where it cannot be reached.
    """

    def __init__(self, runner: AsyncRunner, tenant: str, *, lost: float = 1.0) -> None:
        self._runner = runner
        self._tenant = tenant
        self._lost = lost
        self._listeners: set[Listener] = set()
        self._following: asyncio.Task[None] | None = None
        self._at: str | None = None
        self._ready = asyncio.Event()
        self._looking = asyncio.Lock()
        # Whom events are about that had effects lately, since a change of those says only of which event it is.
        self._about: dict[Any, frozenset[str]] = {}

    @contextlib.asynccontextmanager
    async def joined(
        self, wanted: Wanted, after: str | None, caller: Caller | None = None
    ) -> AsyncIterator[tuple[Listener, AsyncGenerator[Said]]]:
        """Give a listener, and what it hears: everything behind a cursor, and then what happens, without a gap."""
        listener = Listener(wanted, caller)
        self._listeners.add(listener)
        if self._following is None or self._following.done():
            self._ready.clear()
            self._following = asyncio.create_task(self._follow())
        try:
            # From here on what happens waits for it; so nothing is between what is read now and that.
            await self._ready.wait()
            yield listener, self._heard(listener, after)
        finally:
            self._listeners.discard(listener)
            following = self._following
            if not self._listeners and following is not None:
                self._following = None
                following.cancel()
                # Until it has given its connection back: whoever stops the server closes the runner next.
                await asyncio.gather(following, return_exceptions=True)

    async def _heard(self, listener: Listener, after: str | None) -> AsyncGenerator[Said]:
        wanted = listener.wanted
        # The hub may be behind what the listener has heard already.
        last = int(after.partition(".")[2]) if after not in (None, "now") else -1
        if after != "now":
            behind = self._runner.feed(
                after=after,
                follow=False,
                tenant=wanted.tenant,
                subjects=wanted.subjects,
                kinds=wanted.kinds,
            )
            async with contextlib.aclosing(behind):
                async for notice in behind:
                    last = notice.position
                    await self._looked((listener,), _shown(notice, await self._whom(notice)))
                    yield Said(notice)
        while True:
            said = await listener.waiting.get()
            if said is None:
                return
            if said.notice.position > last:
                yield said

    async def _follow(self) -> None:
        """Read what happens, for as long as somebody listens; what cannot be reached is asked again from where it was."""
        after: str | None = "now"
        while True:
            try:
                at = await self._runner._driven(self._runner.following(after, Wanted(tenant=self._tenant)))
                after = f"{at.incarnation.hex}.{at.after}"
                self._ready.set()
                async with contextlib.aclosing(self._runner.feed(after=after, tenant=self._tenant)) as happening:
                    async for notice in happening:
                        await self._tell(notice)
                        after = notice.cursor
            except DatelineError as error:
                log.told("hub.waits", reason=type(error).__name__)
                await asyncio.sleep(self._lost)

    async def _tell(self, notice: Notice) -> None:
        """Hand a notice to those who want it, once it is recorded that they hear of whom it is about."""
        subjects = await self._whom(notice)
        if notice.entry is not None:
            kind = notice.entry.kind
        else:
            assert notice.change is not None
            kind = notice.change.event_kind
        hearing = [one for one in tuple(self._listeners) if not one.slow and one.wants(subjects, kind)]
        await self._looked(hearing, _shown(notice, subjects))
        said = Said(notice)
        for listener in hearing:
            listener.put(said)

    async def _looked(self, listeners: Sequence[Listener], subjects: frozenset[str]) -> None:
        """Record, in one trip, that listeners are about to hear of subjects; each of them once."""
        # One after the other: a listener may catch up with a notice while the same is being handed to all.
        async with self._looking:
            looks = [look for listener in listeners if (look := listener.look(subjects)) is not None]
            if looks:
                await self._runner.look(*looks)
                for listener in listeners:
                    listener.looked(subjects)

    async def _whom(self, notice: Notice) -> frozenset[str]:
        """Return whom a notice is about."""
        if notice.entry is not None:
            subjects = frozenset(notice.entry.subjects)
            if notice.entry.effects:
                self._about[notice.entry.id] = subjects
                bounded(self._about, MOST)
            return subjects
        assert notice.change is not None
        return self._about.get(notice.change.event) or await self._subjects(notice.change.event)

    async def _subjects(self, event: Any) -> frozenset[str]:
        entry = await self._runner.outcome(event, tenant=self._tenant)
        return frozenset(entry.subjects) if entry is not None else frozenset()


def _shown(notice: Notice, subjects: frozenset[str]) -> frozenset[str]:
    """Return whose data a notice shows, beyond whom it is about."""
    return subjects if notice.entry is None else subjects | notice.entry.owners
