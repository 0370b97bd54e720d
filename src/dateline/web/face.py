"""What all faces of HTTP have in common: who calls, under which version, what went wrong, and that whoever looks is on record."""

from __future__ import annotations

import re
import traceback
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from logging import ERROR
from typing import Any, ClassVar
from urllib.parse import quote

from fastapi import APIRouter
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dateline.core.access import Look
from dateline.core.version import Version
from dateline.errors import DatelineError, HandlerFailed, HandlerFault, UnknownVersion
from dateline.run import log, trace
from dateline.run.pin import Pins
from dateline.run.runner import AsyncRunner
from dateline.web.asked import uuid_of
from dateline.web.call import Answer, Call, Route, Shows, origin_of
from dateline.web.caller import Authenticate, Caller, called, same_host
from dateline.web.problem import Explained, Unserved, answer

__all__ = ["Face"]


class _Anything(PathConvertor):
    """What a subject or a row may be called: slashes and line feeds too."""

    regex = "(?s:.+)"


register_url_convertor("anything", _Anything())


class Face(ABC):
    """Serves one runner."""

    DOOR: ClassVar[str]
    """Under which name looks through it are recorded."""

    ROUTES: ClassVar[Mapping[str, tuple[str, str, Route]]]
    """Every route: its method, its path, and what serves it."""

    UPGRADING: ClassVar[frozenset[str]] = frozenset()
    """Routes that serve a version also after its end: those by which one finds the way out."""

    def __init__(self, runner: AsyncRunner, authenticate: Authenticate) -> None:
        self.runner = runner
        self._authenticate = authenticate
        self.pins = Pins(runner.pinned)

    def router(self) -> APIRouter:
        """Return the routes."""
        made = APIRouter()
        methods: dict[str, list[str]] = defaultdict(list)
        paths: dict[str, str] = {}
        for name, (method, path, _) in self.ROUTES.items():
            made.add_route(path, _Endpoint(self, name), methods=[method], name=name, include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application
            place = _NAMES.sub("{}", path)
            paths[place] = path
            methods[place] += ["GET", "HEAD"] if method == "GET" else [method]
        for place, path in paths.items():
            # Behind them all: Starlette's own answer to another method names those of one route, where another has the same path.
            made.add_route(path, _NotAllowed(methods[place]), include_in_schema=False)  # type: ignore[arg-type]  # as above
        return made

    async def answered(self, request: Request, name: str) -> Response:
        """Serve a request, as a span where somebody traces."""
        with trace.serving(request.headers, lambda: self._told(request, name)) as answered:
            found = await self._answer(request, name)
            answered(found.status_code)
        return found

    def _told(self, request: Request, name: str) -> tuple[str, dict[str, Any]]:
        """Return the name and the attributes of a request's span.

        The path is scrubbed, as the conventions ask: subjects and rows are somebody, and what is no kind and no id may be anything.
        """
        found, template = request.path_params, _template(self.ROUTES[name][1])
        base = _base(request, template)
        # Where the routes are mounted is part of a route, but not with the values of parameters that the application has there.
        route = (base if all(f"{{{one}}}" in template for one in found) else "") + template
        shown = template
        if found.get("kind") in self.runner.versions.kinds:
            shown = shown.replace("{kind}", found["kind"])
        if uuid_of(found.get("id", "")) is not None:
            shown = shown.replace("{id}", found["id"])
        return f"{request.method} {route}", {
            "http.request.method": request.method,
            "http.route": route,
            "url.path": base + shown,
            "url.scheme": request.url.scheme,
        }

    async def _answer(self, request: Request, name: str) -> Response:
        """Serve a request: who calls, under which version, and what went wrong are the same for all."""
        headers: dict[str, str] = {"cache-control": "no-store"}
        caller: Caller | None = None
        try:
            caller = await called(self._authenticate, request)
            if caller is None:
                raise Unserved("unauthenticated", "who are you?")
            _own(request)
            base = _base(request, _template(self.ROUTES[name][1]))
            version = await self.version(request, caller)
            headers |= self._dated(version, base)
            if name not in self.UPGRADING:
                self._served(version, base)
            call = Call(request, caller, version, self.runner, base)
            done = await self.ROUTES[name][2](call)
            await self._looked(request, caller, done.shows)
            return self.respond(call, name, done, headers)
        except DatelineError as error:
            return await self._failed(request, name, caller, error, headers)

    @abstractmethod
    def respond(self, call: Call, name: str, answer: Answer, headers: dict[str, str]) -> Response:
        """Return what an answer is sent as."""

    @abstractmethod
    def refuse(self, request: Request, name: str, base: str, caller: Caller | None, error: DatelineError) -> Response:
        """Return what is sent where a request failed."""

    async def _failed(
        self, request: Request, name: str, caller: Caller | None, error: DatelineError, headers: Mapping[str, str]
    ) -> Response:
        if isinstance(error, Explained) and caller is not None:
            try:
                await self._looked(request, caller, error.shows)
            except DatelineError as unrecorded:
                error = unrecorded
        base = _base(request, _template(self.ROUTES[name][1]))
        found = self.refuse(request, name, base, caller, error)
        if found.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.told("fault", level=ERROR, path=request.url.path, fault=type(error).__name__, **_where(error))
        found.headers.update(headers)
        return found

    async def _looked(self, request: Request, caller: Caller, shows: Shows | None) -> None:
        """Record who is about to see whose data; what cannot be recorded is not shown."""
        if shows is not None and (shows.subjects or shows.event is not None):
            look = Look(
                actor=caller.actor,
                door=self.DOOR,
                view=shows.view,
                tenant=caller.tenant,
                subjects=shows.subjects,
                event=shows.event,
                unmasked=caller.unmasked,
                outcome="denied" if shows.denied else "shown",
            )
            await self.runner.look(look)

    async def version(self, request: Request, caller: Caller) -> Version:
        """Return the version under which a request is served: the one that it names, else the caller's, else where they are pinned.

        Raises:
            UnknownVersion: Where there is none such.
        """
        named = caller.version
        if named is None:
            named = await self.pins.of(
                caller.name, actor=caller.actor, tenant=caller.tenant, origin=origin_of(request, caller)
            )
        asked = request.headers.get("dateline-version")
        # A date, and nothing else that `choose` takes: a word for the newest would fall forward with it.
        found = self.runner.versions.asked(asked or named)
        if asked is not None:
            self._past(asked, found)
        elif isinstance(named, date) and caller.version is None and named > self.runner.versions.newest.date:
            raise Unserved(
                "unavailable",
                f"this server does not know version {named} yet; send it again, and another will do",
                again=5,
            )
        return found

    def _past(self, asked: str, found: Version) -> None:
        """Refuse a date that is yet to come: what is the newest until then would change in silence.

        Raises:
            UnknownVersion: Naming the newest.
        """
        # It may be tomorrow in the application's zone.
        latest = (self.runner.clock() + timedelta(hours=14)).date()
        if found.date < date.fromisoformat(asked) > latest:
            raise UnknownVersion(f"{asked} is yet to come; send {found.date}, or a date between", asked=asked)

    def _served(self, version: Version, base: str) -> None:
        """Refuse a version that has ended; never another one in its place.

        Raises:
            Unserved: Naming the way to the newest.
        """
        ends, now = version.retired or version.sunset, self.runner.clock()
        if ends is not None and ends <= now:
            newest = self.runner.versions.choose(None, now).date
            raise Unserved(
                "version-gone",
                f"{version.date} ended {ends.isoformat()}; read {base}/changelog?since={version.date}, and be moved to {newest}, "
                f"or send Dateline-Version: {newest}",
                version=version.date,
                ended=ends,
                newest=newest,
                changelog=f"{base}/changelog?since={version.date}",
            )

    def _dated(self, version: Version, base: str) -> dict[str, str]:
        """Return the headers that tell the version, when it ends, and where one reads about that.

        Source: RFC 9745 (Deprecation), RFC 8594 (Sunset), RFC 5829 (successor-version).
        """
        made = {"dateline-version": version.date.isoformat()}
        now = self.runner.clock()
        ends = version.retired or version.sunset
        deprecated = version.deprecated is not None and version.deprecated <= now
        if version.deprecated is not None and deprecated:
            made["deprecation"] = f"@{int(version.deprecated.timestamp())}"
        if ends is not None:
            made["sunset"] = format_datetime(ends.astimezone(UTC), usegmt=True)
        if deprecated or ends is not None:
            about = f"{base}/changelog?since={version.date}"
            newest = self.runner.versions.choose(None, now).date
            relations = [(about, "deprecation")] if deprecated else []
            relations += [(about, "sunset")] if ends is not None else []
            relations += (
                [(f"{base}/openapi.json?version={newest}", "successor-version")] if newest != version.date else []
            )
            made["link"] = ", ".join(f'<{target}>; rel="{relation}"' for target, relation in relations)
        return made


_FORMS = ("", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
"""Media types that a browser sends to wherever a page tells it, without asking there first.

Source: the Fetch standard, CORS-safelisted request headers."""


def _own(request: Request) -> None:
    """Refuse what a page of another site may have had somebody's browser send, with the cookies by which they are known.

    Raises:
        Unserved: Where nobody asked first whether it may.
    """
    headers = request.headers
    if request.method != "POST" or "idempotency-key" in headers:
        # Other methods, and a header that is nobody's but ours, a browser asks about before.
        return
    if not same_host(request) or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in _FORMS:
            raise Unserved("denied", "a page of another site sends this; if it is yours, have it send application/json")


def _where(error: DatelineError) -> dict[str, str]:
    """Return where a handler failed: file, line and function, and in our own words what it did; of what it raised itself, the class.

    What an application's exception says may hold what a person has sent.
    """
    cause = error.__cause__ or error
    frames = traceback.extract_tb(cause.__traceback__)
    ours = isinstance(error, HandlerFault) and not isinstance(error, HandlerFailed)
    found = {"detail": str(error)} if ours else {"raised": type(cause).__name__}
    return found | ({"where": f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}"} if frames else {})


class _Endpoint:
    """Serves one route, as an ASGI application of its own: what Starlette wraps around a function costs each request."""

    def __init__(self, face: Face, name: str) -> None:
        self._face = face
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._face.answered(Request(scope, receive), self._name)
        await response(scope, receive, send)


class _NotAllowed:
    """Answers the methods that no route of a path has."""

    def __init__(self, methods: Iterable[str]) -> None:
        self._error = Unserved("not-allowed", "that is not done here", allow=", ".join(sorted(methods)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answer(self._error)(scope, receive, send)


_NAMES = re.compile(r"\{\w+")


def _template(path: str) -> str:
    """Return a route's path as it is told: without what its parts may hold."""
    return path.replace(":anything", "")


def _base(request: Request, template: str) -> str:
    """Return the path under which the routes are mounted: what stands before the one that was found, as it is for a header."""
    path = str(request.scope["path"])
    # Quoted: where the application has parameters there, it may hold what no header can, and a line's end.
    return quote(path.removesuffix(template.format_map(request.path_params)))
