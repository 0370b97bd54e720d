"""The API: how controllers, and other languages, dispatch events and read the trail, each caller in the shapes of their version."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from logging import ERROR
from typing import Any, ClassVar, TypeAlias, TypeVar
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ValidationError
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from dateline.core.canon import canonical
from dateline.core.catalogue import explained
from dateline.core.diff import Diff
from dateline.core.entry import Page
from dateline.core.event import Event
from dateline.core.mask import masked
from dateline.core.model import faults
from dateline.core.version import Version
from dateline.errors import DatelineError, HandlerFault, Malformed, NoSuchEvent, Refused, StaleDiff
from dateline.run import log
from dateline.run.path import Given
from dateline.run.runner import AsyncRunner
from dateline.web.asked import (
    Asked,
    Call,
    Correcting,
    Otherwise,
    cut_of,
    given_of,
    id_of,
    instant_of,
    key_of,
    kind_of,
    number_of,
    word_of,
)
from dateline.web.caller import Authenticate, Caller, called
from dateline.web.openapi import described
from dateline.web.problem import Unserved, problem
from dateline.web.view import committed, previewed, stepped, viewed

__all__ = ["Api", "router"]

PATIENCE = 30
"""Seconds for which a caller may wait for an event."""

_ROOM = 64 * 2**10
"""Bytes of a body beside the event's own."""


B = TypeVar("B", bound=BaseModel)


class _Anything(PathConvertor):
    """What a subject or a row may be called: slashes and line feeds too."""

    regex = "(?s:.+)"


register_url_convertor("anything", _Anything())


Answer: TypeAlias = tuple[int, Any, Mapping[str, str]]
"""Status, document, and headers."""


def router(runner: AsyncRunner, *, authenticate: Authenticate | None = None) -> APIRouter:
    """Return the routes of an application's API, to be mounted: `app.include_router(router(runner, authenticate=…), prefix="/api")`.

    Args:
        authenticate: Tells who calls, with which rights, whose data they see, and at which version they are.

    Raises:
        DatelineError: Without it.
    """
    if authenticate is None:
        raise DatelineError(
            "router(…) dispatches for whoever asks; pass authenticate=, which tells of a request who sends it: "
            "authenticate=lambda request: Caller(Actor(…), tenant=…)"
        )
    return Api(runner, authenticate).router()


class Api:
    """Serves one runner."""

    def __init__(self, runner: AsyncRunner, authenticate: Authenticate) -> None:
        self._runner = runner
        self._authenticate = authenticate

    ROUTES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "dispatch": ("POST", "/events/{kind}"),
        "preview": ("POST", "/events/{kind}/preview"),
        "event": ("GET", "/events/{id}"),
        "timeline": ("GET", "/subjects/{subject:anything}/events"),
        "history": ("GET", "/rows/{table}/{key:anything}/history"),
        "row": ("GET", "/rows/{table}/{key:anything}"),
        "kinds": ("GET", "/kinds"),
        "kind": ("GET", "/kinds/{kind}"),
        "versions": ("GET", "/versions"),
        "openapi": ("GET", "/openapi.json"),
        "replay": ("POST", "/events/{id}/replay"),
        "diff": ("POST", "/events/{id}/diff"),
        "correct": ("POST", "/events/{id}/correct"),
    }
    """Every route, by the method that serves it."""

    def router(self) -> APIRouter:
        """Return the routes."""
        made = APIRouter()
        for name, (method, path) in self.ROUTES.items():
            made.add_route(
                path, self._serving(getattr(self, name)), methods=[method], name=name, include_in_schema=False
            )
        return made

    def _serving(self, work: Callable[[Call], Awaitable[Answer]]) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint: who calls, under which version, and what went wrong are the same for all."""

        async def served(request: Request) -> Response:
            headers: dict[str, str] = {"cache-control": "no-store"}
            try:
                caller = await called(self._authenticate, request)
                if caller is None:
                    raise Unserved("unauthenticated", "who are you?")
                version = self._version(request, caller)
                headers |= _dated(version, self._runner.clock())
                status, told, more = await work(Call(request, caller, version))
            except DatelineError as error:
                if isinstance(error, HandlerFault):
                    log.told("fault", level=ERROR, path=request.url.path, fault=type(error).__name__)
                answer = problem(error)
                answer.headers.update(headers)
                return answer
            return Response(canonical(told), status, {**headers, **more}, "application/json")

        return served

    def _version(self, request: Request, caller: Caller) -> Version:
        """Return the version under which a request is served.

        Raises:
            UnknownVersion: Where there is none such.
        """
        asked = request.headers.get("dateline-version") or caller.version
        return self._runner.versions.choose(asked, self._runner.clock())

    # Writing -------------------------------------------------------------------------------------------------------------

    async def dispatch(self, call: Call) -> Answer:
        """Commit an event."""
        kind_of(call)
        key = key_of(call)
        event, given = await self._asked(call)
        given["key"] = key
        done = await self._runner.dispatch(event, **given)
        beside = call.request.url.path.rpartition("/")[0]
        return 201, committed(done), {"location": f"{beside}/{done.event_id}"}

    async def preview(self, call: Call) -> Answer:
        """Tell what an event would do, and write nothing."""
        rehearse = word_of(call, "rehearse", ("0", "1")) == "1"
        event, given = await self._asked(call)
        made = await self._runner.preview(event, rehearse=rehearse, **given)
        if isinstance(made, Refused):
            raise made
        return 200, previewed(made, unmask=call.caller.unmasked), {}

    async def _asked(self, call: Call) -> tuple[Event, Given]:
        """Return the event that a body describes, and what it is told beside it."""
        asked = await self._read(call, Asked)
        day = call.version.date
        event = self._runner.event(call.request.path_params["kind"], asked.input, version=day)
        more: Given = {"version": day, "at": asked.at, "cause": asked.cause, "expects": asked.expects}  # type: ignore[typeddict-item]  # who acts comes next
        return event, {**given_of(call, asked.reason), **more}

    async def _read(self, call: Call, what: type[B]) -> B:
        """Return what a body says.

        Raises:
            Malformed: Where it says something else; naming each fault by path, without the values.
        """
        body = await self._body(call.request)
        try:
            return what.model_validate_json(body or b"{}")
        except ValidationError as error:
            raise faults("request", error) from None

    async def _body(self, request: Request) -> bytes:
        """Read a body, and no more of it than is taken.

        Raises:
            Unserved: Where it is larger.
        """
        largest = self._runner.settings.largest + _ROOM
        made = bytearray()
        async for some in request.stream():
            made += some
            if len(made) > largest:
                raise Unserved("too-large", f"{largest} bytes are read at most")
        return bytes(made)

    # Reading -------------------------------------------------------------------------------------------------------------

    async def event(self, call: Call) -> Answer:
        """Show an event; with `?wait=`, seconds, it may still be on its way."""
        if call.request.path_params["id"] in self._runner.versions.kinds:
            raise Unserved("not-allowed", "a kind is dispatched: POST /events/{kind}", allow="POST")
        id = id_of(call)
        patience = timedelta(seconds=number_of(call, "wait", 0, (0, PATIENCE)))
        found = await self._runner.outcome(id, tenant=call.caller.tenant, patience=patience)
        if found is None:
            raise NoSuchEvent(f"there is no event {id}")
        return 200, viewed(found, self._runner.versions, call.version.date, unmask=call.caller.unmasked), {}

    async def replay(self, call: Call) -> Answer:
        """Decide an event again, of what it saw; nothing is written."""
        asked = await self._read(call, Otherwise)
        made = await self._runner.replay(id_of(call), asked.version, tenant=call.caller.tenant)
        told = {
            "event": id_of(call),
            "version": made.version,
            "outcome": made.outcome,
            "reconstructed": list(made.reconstructed),
            "steps": [stepped(one, unmask=call.caller.unmasked) for one in made.steps],
        }
        return 200, told, {}

    async def diff(self, call: Call) -> Answer:
        """Tell how two ways to decide an event differ; nothing is written."""
        found = await self._differing(call, await self._read(call, Otherwise))
        return 200, found.document(self._runner.versions, unmask=call.caller.unmasked), {}

    async def correct(self, call: Call) -> Answer:
        """Perform a difference and nothing else, or tell what that would do; twice is once."""
        asked = await self._read(call, Correcting)
        found = await self._differing(call, asked)
        if asked.number is not None and found.baseline is not None and asked.number != found.baseline + 1:
            raise StaleDiff(
                f"that would be correction {found.baseline + 1} of the event, not {asked.number}; look again"
            )
        done = await self._runner.correct(
            found,
            preview=asked.preview,
            items=asked.items,
            admit=asked.admit,
            revoke=asked.revoke,
            closed=asked.closed,
            **given_of(call, asked.reason),
        )
        return 200, done.document(), {}

    async def _differing(self, call: Call, asked: Otherwise) -> Diff:
        if asked.base is not None and asked.version is None:
            raise Malformed("base is compared with version; send both", (("version", "is missing"),))
        versions = [one for one in (asked.base, asked.version) if one is not None]
        return await self._runner.diff(id_of(call), *versions, input=asked.input, tenant=call.caller.tenant)

    async def timeline(self, call: Call) -> Answer:
        """Show a page of what happened to a subject."""
        return self._page(call, await self._runner.trail(subject=call.request.path_params["subject"], **cut_of(call)))

    async def history(self, call: Call) -> Answer:
        """Show a page of what happened to a row."""
        table, key = call.request.path_params["table"], call.request.path_params["key"]
        return self._page(call, await self._runner.trail(table=table, row=key, **cut_of(call)))

    async def row(self, call: Call) -> Answer:
        """Show a row as the caller's own events left it: now, or at an instant, `?at=`."""
        table, key = call.request.path_params["table"], call.request.path_params["key"]
        at = instant_of(call, "at")
        before = None if at is None else (await self._runner.as_of(at)).seq + 1
        page = await self._runner.trail(
            tenant=call.caller.tenant, table=table, row=key, newest_first=True, limit=1, after=before
        )
        for entry in page:
            seen = entry if call.caller.unmasked else masked(entry)
            *_, last = (one for one in seen.operations if (one.table, one.row_key) == (table, key))
            if last.after is not None:
                told = {"table": table, "row": key, "event": entry.id, "seq": entry.seq, "values": last.after}
                return 200, told, {}
        raise Unserved("no-such-row", "no event of yours left such a row" + ("" if at is None else " then"))

    def _page(self, call: Call, page: Page) -> Answer:
        versions, day, unmask = self._runner.versions, call.version.date, call.caller.unmasked
        told = {"events": [viewed(one, versions, day, unmask=unmask) for one in page], "next": page.next}
        if page.next is None:
            return 200, told, {}
        query = call.request.url.include_query_params(after=page.next).query
        # Quoted here: Starlette gives it as it was understood, and a subject may hold a space, a percent sign, or any letter.
        return 200, told, {"link": f'<{quote(call.request.scope["path"])}?{query}>; rel="next"'}

    async def kinds(self, call: Call) -> Answer:
        """Tell which kinds of events the version knows."""
        found = []
        for kind in self._runner.versions.kinds:
            with contextlib.suppress(Malformed):
                one = explained(self._runner.versions, kind, call.version.date)
                found.append({"kind": kind, "shape": one.shape, "requires": one.requires, "doc": one.doc})
        return 200, {"version": call.version.date, "kinds": found}, {}

    async def kind(self, call: Call) -> Answer:
        """Tell everything that the version says of a kind."""
        return 200, explained(self._runner.versions, call.request.path_params["kind"], call.version.date).document(), {}

    async def versions(self, call: Call) -> Answer:
        """Tell which versions there are, and which the caller has."""
        told = [
            {
                "version": one.date,
                "title": one.title,
                "deprecated": one.deprecated,
                "sunset": one.sunset,
                "retired": one.retired,
            }
            for one in self._runner.versions.versions
        ]
        return 200, {"version": call.version.date, "versions": told}, {}

    async def openapi(self, call: Call) -> Answer:
        """Describe the API under a version: the request's, or the one that `?version=` names."""
        asked = call.request.query_params.get("version")
        version = self._runner.versions.asked(asked) if asked else call.version
        base = call.request.url.path.removesuffix("/openapi.json")
        return 200, described(self._runner.versions, version, base=base), {}


def _dated(version: Version, now: datetime) -> dict[str, str]:
    """Return the headers that tell the version, and when it ends.

    Source: RFC 9745 (Deprecation), RFC 8594 (Sunset).
    """
    made = {"dateline-version": version.date.isoformat()}
    ends = version.retired or version.sunset
    if version.deprecated is not None and version.deprecated <= now:
        made["deprecation"] = f"@{int(version.deprecated.timestamp())}"
    if ends is not None:
        made["sunset"] = format_datetime(ends.astimezone(UTC), usegmt=True)
    return made
