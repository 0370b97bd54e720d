"""What happens, live: by WebSocket, and as server-sent events.

The protocol is small. A client sends `{"type": "subscribe", "id": …, "subjects": […], "kinds": […], "after": …}`, where `after` is a
cursor, "now" (as without it), or null for everything. It gets `subscribed`, then `event` and `change`, each with `id`, `position` and
`cursor`, and `heartbeat` where nothing happens. `denied`, `malformed` and `other-incarnation` end a subscription; `slow`, `revoked` and
`ending`, with the last cursor, the connection. Behind a cursor nothing is missed and nothing comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from logging import WARNING
from pathlib import Path
from typing import Any, TypeAlias

from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dateline.core.access import Look
from dateline.errors import DatelineError, Malformed, OtherIncarnation
from dateline.run import log
from dateline.run.path import Heard, heard
from dateline.run.runner import AsyncRunner
from dateline.sql.feed import Wanted
from dateline.web.caller import Authenticate, Caller, called, same_host
from dateline.web.hub import Hub, Said

__all__ = ["Authorise", "Live"]

Authorise: TypeAlias = Callable[[Caller, Wanted], bool | Awaitable[bool]]
"""Tells whether a caller may hear of that."""

_SCRIPT = Path(__file__).with_name("live.js")

# RFC 6455, section 7.4, and IANA's registry: 1008 is a breach of policy, 1012 a service that restarts; 4000 and above are an application's
# own.
_POLICY, _ENDING, _SLOW, _REVOKED = 1008, 1012, 4008, 4003

_MISSPELT = {"subjects": "subject", "kinds": "kind", "cursor": "after"}
"""What other doors call what server-sent events are asked by."""

MOST = 20
"""Subscriptions of one connection."""


class Live:
    """Serves the feed to browsers; `routes` go into any Starlette or FastAPI application.

    Args:
        runner: Whose feed.
        authenticate: Tells who connects.
        authorise: Tells, for every subscription, whether they may have it; asked again every `recheck`.
        origins: Pages of other hosts that may connect, such as https://ward.example.org; pages of the same host may.
        heartbeat: After how much silence a sign of life is sent.

    Raises:
        DatelineError: Without somebody who authenticates and authorises.
    """

    def __init__(
        self,
        runner: AsyncRunner,
        *,
        authenticate: Authenticate | None = None,
        authorise: Authorise | None = None,
        origins: Iterable[str] = (),
        recheck: timedelta = timedelta(seconds=30),
        heartbeat: timedelta = timedelta(seconds=15),
    ) -> None:
        if authenticate is None or authorise is None:
            raise DatelineError(
                "Live(…) shows what happens to whoever asks; pass authenticate=, which tells who that is, and authorise=, which tells "
                "for each subscription whether they may have it"
            )
        self._runner = runner
        self._authenticate = authenticate
        self._authorise = authorise
        self._origins = frozenset(origins)
        self._recheck, self._heartbeat = recheck.total_seconds(), heartbeat.total_seconds()
        self._hubs: dict[str, Hub] = {}
        self._open: dict[asyncio.Event, Caller] = {}
        self._ended = False

    @property
    def routes(self) -> list[BaseRoute]:
        """`/live` as a WebSocket, `/live/events` as server-sent events, and `/live/live.js`, a module that reconnects and resumes."""
        return [
            WebSocketRoute("/live", self.socket),
            Route("/live/events", self.events),
            Route("/live/live.js", self._script),
        ]

    def revoke(self, actor: str) -> int:
        """Close all connections of an actor, by id, at once; return how many there were."""
        found = [revoked for revoked, caller in self._open.items() if caller.actor.id == actor]
        for revoked in found:
            revoked.set()
        return len(found)

    def end(self) -> None:
        """End all connections, and those that come yet, because the process does: their clients connect again, with their last cursor.

        A server that is told to stop waits for what is in flight, and a stream would be so for ever.
        """
        self._ended = True
        for revoked in self._open:
            revoked.set()

    # Whom ----------------------------------------------------------------------------------------------------------------

    def _from_here(self, connection: HTTPConnection) -> bool:
        """Tell whether a page may connect."""
        return connection.headers.get("origin") in self._origins or same_host(connection)

    async def _allowed(self, caller: Caller, wanted: Wanted) -> bool:
        """Tell whether a caller may hear of that; who may not is on record with the try."""
        found = self._authorise(caller, wanted)
        allowed = bool(await found if inspect.isawaitable(found) else found)
        if not allowed:
            await self._runner.look(
                Look(
                    actor=caller.actor,
                    door="live",
                    view="feed",
                    tenant=caller.tenant,
                    subjects=wanted.subjects,
                    unmasked=caller.unmasked,
                    outcome="denied",
                )
            )
        return allowed

    def _hub(self, tenant: str) -> Hub:
        if tenant not in self._hubs:
            self._hubs[tenant] = Hub(self._runner, tenant)
        return self._hubs[tenant]

    @contextlib.contextmanager
    def _known(self, caller: Caller) -> Any:
        revoked = asyncio.Event()
        self._open[revoked] = caller
        if self._ended:
            revoked.set()
        try:
            yield revoked
        finally:
            self._open.pop(revoked, None)

    # WebSocket -------------------------------------------------------------------------------------------------------------

    async def socket(self, socket: WebSocket) -> None:
        """Serve one WebSocket."""
        caller = await called(self._authenticate, socket) if self._from_here(socket) else None
        if caller is None:
            await socket.close(_POLICY)
            return
        await socket.accept()
        with self._known(caller) as revoked:
            connection = _Connection(self, socket, caller)
            reading = asyncio.create_task(connection.read())
            ended = asyncio.create_task(revoked.wait())
            try:
                await asyncio.wait((reading, ended, connection.over), return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    code, word = (_ENDING, "ending") if self._ended else (_REVOKED, "revoked")
                    await connection.end(code, {"type": word, "cursor": connection.cursor})
                elif connection.over.done():
                    word = connection.over.result()
                    code = _SLOW if word == "slow" else _ENDING
                    await connection.end(code, {"type": word, "cursor": connection.cursor})
            finally:
                await connection.closed(reading, ended)

    # Server-sent events ------------------------------------------------------------------------------------------------------

    async def events(self, request: Request) -> Response:
        """Serve server-sent events: `?subject=…&kind=…&after=…`, or the header Last-Event-ID, which browsers send when they reconnect."""
        caller = await called(self._authenticate, request) if self._from_here(request) else None
        if caller is None:
            return PlainTextResponse("who are you?\n", 401)
        query = request.query_params
        odd = sorted(_MISSPELT.keys() & set(query))
        if odd:
            # Left unread, it would have everything told. Other names may be the application's, which knows somebody by them.
            return PlainTextResponse(f"there is no {odd[0]}=; write {_MISSPELT[odd[0]]}=, once for each\n", 400)
        try:
            wanted = heard(
                {"tenant": caller.tenant, "subjects": query.getlist("subject"), "kinds": query.getlist("kind")}
            )
            after = request.headers.get("last-event-id") or query.get("after", "now")
            # So that a cursor of another life is told by a status, before anything is sent.
            await self._runner._driven(self._runner.following(after or None, wanted))
            allowed = await self._allowed(caller, wanted)
        except (Malformed, OtherIncarnation) as error:
            return PlainTextResponse(f"{error}\n", 400 if isinstance(error, Malformed) else 410)
        except DatelineError as error:
            log.told("live.ends", level=WARNING, reason=type(error).__name__)
            return PlainTextResponse("not now\n", 503, {"retry-after": "5"})
        if not allowed:
            return PlainTextResponse("not for you\n", 403)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._until_lost(caller, wanted, after or None), media_type="text/event-stream", headers=headers
        )

    async def _until_lost(self, caller: Caller, wanted: Wanted, after: str | None) -> AsyncIterator[str]:
        try:
            async with contextlib.aclosing(self._stream(caller, wanted, after)) as said:
                async for text in said:
                    yield text
        except DatelineError as error:
            # It reconnects by itself, with the cursor of the last that it got.
            log.told("live.ends", level=WARNING, reason=type(error).__name__)

    async def _stream(self, caller: Caller, wanted: Wanted, after: str | None) -> AsyncGenerator[str]:
        with self._known(caller) as revoked:
            async with self._hub(caller.tenant).joined(wanted, after, caller) as (listener, heard_):
                yield ": here\n\n"
                async with contextlib.aclosing(self._patiently(caller, wanted, heard_, revoked)) as happening:
                    async for said in happening:
                        if said is None:
                            yield ": still here\n\n"
                            continue
                        kind = "event" if said.notice.entry is not None else "change"
                        yield f"id: {said.notice.cursor}\nevent: {kind}\ndata: {said.text(unmask=caller.unmasked)}\n\n"
                        if listener.slow:
                            # It reconnects by itself, with the cursor of the last that it got.
                            return

    async def _patiently(
        self, caller: Caller, wanted: Wanted, heard_: AsyncGenerator[Said], revoked: asyncio.Event
    ) -> AsyncGenerator[Said | None]:
        """Yield what is heard, and None after silence; end where the caller may no longer hear it."""
        loop = asyncio.get_running_loop()
        again = loop.time() + self._recheck
        ended = asyncio.create_task(revoked.wait())
        following: asyncio.Task[Said] | None = None
        try:
            while True:
                following = following or asyncio.create_task(_next(heard_))
                patience = min(self._heartbeat, max(again - loop.time(), 0))
                await asyncio.wait((following, ended), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return
                if loop.time() >= again:
                    again = loop.time() + self._recheck
                    if not await self._allowed(caller, wanted):
                        return
                if not following.done():
                    yield None
                    continue
                made, following = following, None
                try:
                    yield made.result()
                except StopAsyncIteration:
                    return
        finally:
            tasks = [task for task in (following, ended) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await heard_.aclose()

    async def _script(self, request: Request) -> Response:
        return FileResponse(_SCRIPT, media_type="text/javascript")


async def _next(heard_: AsyncGenerator[Said]) -> Said:
    return await anext(heard_)


class _Connection:
    """One WebSocket and its subscriptions."""

    def __init__(self, live: Live, socket: WebSocket, caller: Caller) -> None:
        self._live = live
        self._socket = socket
        self._caller = caller
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self.cursor: str | None = None
        # The word with which it ends.
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def read(self) -> None:
        """Take what the client sends, until it leaves."""
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                try:
                    text = await self._socket.receive_text()
                    asked = json.loads(text) if len(text) <= 65_536 else None
                except (ValueError, KeyError, RecursionError):
                    # No JSON, bytes that are no text, or nested too deeply.
                    asked = None
                if not isinstance(asked, dict) or not isinstance(asked.get("id", ""), str):
                    await self._send(
                        {"type": "malformed", "id": "", "detail": "a message is an object with a type and an id"}
                    )
                    continue
                await self._asked(asked)

    async def _asked(self, asked: dict[str, Any]) -> None:
        id = asked.get("id", "")
        if asked.get("type") == "unsubscribe":
            if id in self._subscriptions:
                self._subscriptions.pop(id).cancel()
            return
        if asked.get("type") != "subscribe" or id in self._subscriptions or len(self._subscriptions) >= MOST:
            told = (
                "send subscribe, with an id of its own, or unsubscribe"
                if len(self._subscriptions) < MOST
                else f"{MOST} are enough"
            )
            await self._send({"type": "malformed", "id": id, "detail": told})
            return
        self._subscriptions[id] = asyncio.create_task(self._subscribed(id, asked))

    async def _subscribed(self, id: str, asked: dict[str, Any]) -> None:
        try:
            await self._serve(id, asked)
        except (WebSocketDisconnect, RuntimeError):
            # It left while something was being sent to it.
            return
        except OtherIncarnation as error:
            # The database was restored between its cursor and what is read from there.
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._send({"type": "other-incarnation", "id": id, "detail": str(error)})
        except DatelineError as error:
            # As of a database that is away, or an access that cannot be recorded: it connects again, with its last cursor.
            log.told("live.ends", level=WARNING, reason=type(error).__name__)
            self._ended("ending")
        finally:
            self._subscriptions.pop(id, None)

    async def _serve(self, id: str, asked: dict[str, Any]) -> None:
        live, caller = self._live, self._caller
        after = asked.get("after", "now")
        try:
            wanted = heard(_heard_of(asked, caller.tenant))
            at = await live._runner._driven(live._runner.following(after, wanted))
        except (Malformed, TypeError) as error:
            await self._send({"type": "malformed", "id": id, "detail": str(error)})
            return
        if not await live._allowed(caller, wanted):
            await self._send({"type": "denied", "id": id})
            return
        begin = f"{at.incarnation.hex}.{at.after}"
        async with live._hub(caller.tenant).joined(wanted, begin, caller) as (listener, heard_):
            listener.overrun = self._overrun
            await self._send({"type": "subscribed", "id": id, "cursor": begin})
            forever = asyncio.Event()
            async with contextlib.aclosing(live._patiently(caller, wanted, heard_, forever)) as happening:
                async for said in happening:
                    if said is None:
                        await self._send({"type": "heartbeat", "id": id})
                        continue
                    text = said.text(unmask=caller.unmasked)
                    async with self._sending:
                        await self._socket.send_text(f'{{"id":{json.dumps(id)},{text[1:]}')
                    self.cursor = said.notice.cursor
        await self._send({"type": "denied", "id": id})

    def _overrun(self) -> None:
        """End a connection that takes less than there is; also one that takes nothing at all, for which something is being sent."""
        self._ended("slow")

    def _ended(self, word: str) -> None:
        if not self.over.done():
            self.over.set_result(word)

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending:
            await self._socket.send_text(json.dumps(message))

    async def end(self, code: int, message: dict[str, Any]) -> None:
        """Say why, and close; a client that takes nothing more is not waited for."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await self._send(message)
                await self._socket.close(code)

    async def closed(self, *tasks: asyncio.Task[Any]) -> None:
        """Let everything of it go."""
        for task in (*tasks, *self._subscriptions.values()):
            task.cancel()
        self.over.cancel()
        await asyncio.gather(*tasks, *self._subscriptions.values(), return_exceptions=True)


def _heard_of(asked: dict[str, Any], tenant: str) -> Heard:
    lists = {name: asked.get(name) or [] for name in ("subjects", "kinds")}
    for name, found in lists.items():
        if not isinstance(found, list):
            raise Malformed(f"{name} is a list of texts")
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Malformed(f"{name}: a lone surrogate is no text") from None
    return {"tenant": tenant, "subjects": lists["subjects"], "kinds": lists["kinds"]}
