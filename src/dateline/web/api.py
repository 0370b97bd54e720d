"""The API: how controllers, and other languages, dispatch events and read the trail, each caller in the shapes of their version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC
from email.utils import format_datetime
from logging import ERROR
from typing import ClassVar

from fastapi import APIRouter
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dateline.core.access import Look
from dateline.core.canon import canonical
from dateline.core.version import Version
from dateline.errors import DatelineError, HandlerFault
from dateline.run import log
from dateline.run.runner import AsyncRunner
from dateline.web import again, read, rules, write
from dateline.web.call import Answer, Call, Route, Shows, origin_of
from dateline.web.caller import Authenticate, Caller, Pins, called
from dateline.web.problem import Explained, Unserved, problem

__all__ = ["Api", "router"]


class _Anything(PathConvertor):
    """What a subject or a row may be called: slashes and line feeds too."""

    regex = "(?s:.+)"


register_url_convertor("anything", _Anything())


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

    ROUTES: ClassVar[Mapping[str, tuple[str, str, Route]]] = {
        "dispatch": ("POST", "/events/{of}", write.dispatch),
        "preview": ("POST", "/events/{of}/preview", write.preview),
        "event": ("GET", "/events/{of}", read.event),
        "timeline": ("GET", "/subjects/{subject:anything}/events", read.timeline),
        "accesses": ("GET", "/subjects/{subject:anything}/accesses", read.accesses),
        "history": ("GET", "/rows/{table}/{key:anything}/history", read.history),
        "row": ("GET", "/rows/{table}/{key:anything}", read.row),
        "kinds": ("GET", "/kinds", rules.kinds),
        "kind": ("GET", "/kinds/{of}", rules.kind),
        "state": ("GET", "/kinds/{of}/state", rules.state),
        "versions": ("GET", "/versions", rules.versions),
        "pin": ("PUT", "/pins/{caller:anything}", rules.pin),
        "changelog": ("GET", "/changelog", rules.changelog),
        "openapi": ("GET", "/openapi.json", rules.openapi),
        "replay": ("POST", "/events/{of}/replay", again.replay),
        "diff": ("POST", "/events/{of}/diff", again.diff),
        "correct": ("POST", "/events/{of}/correct", again.correct),
    }
    """Every route: its method, its path, and what serves it."""

    UPGRADING: ClassVar[frozenset[str]] = frozenset({"kinds", "kind", "versions", "changelog", "openapi"})
    """Routes by which one finds the way out of a version that has ended: they serve it still."""

    def __init__(self, runner: AsyncRunner, authenticate: Authenticate) -> None:
        self.runner = runner
        self._authenticate = authenticate
        self._pins = Pins(runner)

    def router(self) -> APIRouter:
        """Return the routes."""
        made = APIRouter()
        paths: dict[str, dict[str, str]] = defaultdict(dict)
        for name, (method, path, _) in self.ROUTES.items():
            paths[path][method] = name
        for path, methods in paths.items():
            # One for all methods of a path, so that each is told of the others.
            made.add_route(path, _Endpoint(self, path, methods), methods=[*methods], include_in_schema=False)  # type: ignore[arg-type]  # an ASGI application
        return made

    async def answered(self, request: Request, name: str, path: str) -> Response:
        """Serve a request: who calls, under which version, and what went wrong are the same for all."""
        headers: dict[str, str] = {"cache-control": "no-store"}
        caller: Caller | None = None
        try:
            caller = await called(self._authenticate, request)
            if caller is None:
                raise Unserved("unauthenticated", "who are you?")
            base = _base(request, path)
            version = await self._version(request, caller)
            headers |= self._dated(version, base)
            if name not in self.UPGRADING:
                self._served(version, base)
            call = Call(request, caller, version, self.runner, base)
            answer = await self.ROUTES[name][2](call)
            await self._looked(request, caller, answer.shows)
            if name == "pin":
                self._pins.forget(caller.tenant, request.path_params["caller"])
            return _response(answer, headers)
        except DatelineError as error:
            return await self._failed(request, caller, error, headers)

    async def _failed(
        self, request: Request, caller: Caller | None, error: DatelineError, headers: Mapping[str, str]
    ) -> Response:
        if isinstance(error, Explained) and caller is not None:
            try:
                await self._looked(request, caller, error.shows)
            except DatelineError as unrecorded:
                error = unrecorded
        if isinstance(error, HandlerFault):
            log.told("fault", level=ERROR, path=request.url.path, fault=type(error).__name__)
        found = problem(error)
        found.headers.update(headers)
        return found

    async def _looked(self, request: Request, caller: Caller, shows: Shows | None) -> None:
        """Record who is about to see whose data; what cannot be recorded is not shown."""
        if shows is not None and (shows.subjects or shows.event is not None):
            look = Look(
                actor=caller.actor,
                door="http",
                view=shows.view,
                tenant=caller.tenant,
                subjects=shows.subjects,
                event=shows.event,
                unmasked=caller.unmasked,
                outcome="denied" if shows.denied else "shown",
            )
            await self.runner.look(look)

    async def _version(self, request: Request, caller: Caller) -> Version:
        """Return the version under which a request is served: the one that it names, else the caller's, else where they are pinned.

        Raises:
            UnknownVersion: Where there is none such.
        """
        named = caller.version
        if named is None:
            named = await self._pins.of(caller, origin_of(request, caller))
        asked = request.headers.get("dateline-version") or named
        return self.runner.versions.choose(asked, self.runner.clock())

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


class _Endpoint:
    """Serves the methods of one path, as an ASGI application of its own: what Starlette wraps around a function costs each request."""

    def __init__(self, api: Api, path: str, methods: Mapping[str, str]) -> None:
        self._api = api
        self._path = path
        self._methods = {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._api.answered(request, self._methods[request.method], self._path)
        await response(scope, receive, send)


def _base(request: Request, path: str) -> str:
    """Return the path under which the routes are mounted: what stands before the one that was matched."""
    matched = path.replace(":anything", "").format_map(request.path_params)
    return str(request.scope["path"]).removesuffix(matched)


def _response(answer: Answer, headers: dict[str, str]) -> Response:
    more = dict(answer.headers)
    if "link" in headers and "link" in more:
        more["link"] = f"{more['link']}, {headers['link']}"
    return Response(canonical(answer.told), answer.status, {**headers, **more}, "application/json")
