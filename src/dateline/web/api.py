"""The API: how controllers, and other languages, dispatch events and read the trail, each caller in the shapes of their version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dateline.core.canon import canonical
from dateline.errors import DatelineError
from dateline.run.runner import AsyncRunner
from dateline.web import again, read, rules, write
from dateline.web.call import Answer, Call, Route
from dateline.web.caller import Authenticate, Caller
from dateline.web.face import Face
from dateline.web.problem import answer as told

__all__ = ["Api", "router"]


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


class Api(Face):
    """Serves one runner to programs."""

    DOOR: ClassVar[str] = "http"

    ROUTES: ClassVar[Mapping[str, tuple[str, str, Route]]] = {
        "dispatch": ("POST", "/events/{kind}", write.dispatch),
        "preview": ("POST", "/events/{kind}/preview", write.preview),
        "event": ("GET", "/events/{id}", read.event),
        "timeline": ("GET", "/subjects/{subject:anything}/events", read.timeline),
        "accesses": ("GET", "/subjects/{subject:anything}/accesses", read.accesses),
        "history": ("GET", "/rows/{table}/{key:anything}/history", read.history),
        "row": ("GET", "/rows/{table}/{key:anything}", read.row),
        "kinds": ("GET", "/kinds", rules.kinds),
        "kind": ("GET", "/kinds/{kind}", rules.kind),
        "state": ("GET", "/kinds/{kind}/state", rules.state),
        "versions": ("GET", "/versions", rules.versions),
        "pin": ("PUT", "/pins/{caller:anything}", rules.pin),
        "changelog": ("GET", "/changelog", rules.changelog),
        "openapi": ("GET", "/openapi.json", rules.openapi),
        "replay": ("POST", "/events/{id}/replay", again.replay),
        "diff": ("POST", "/events/{id}/diff", again.diff),
        "correct": ("POST", "/events/{id}/correct", again.correct),
    }
    """Every route: its method, its path, and what serves it."""

    UPGRADING: ClassVar[frozenset[str]] = frozenset({"kinds", "kind", "versions", "changelog", "openapi"})

    def respond(self, call: Call, name: str, answer: Answer, headers: dict[str, str]) -> Response:
        """Return an answer's document."""
        if name == "pin":
            self.pins.forget(call.caller.tenant, call.request.path_params["caller"])
        more = dict(answer.headers)
        if "link" in headers and "link" in more:
            more["link"] = f"{more['link']}, {headers['link']}"
        return Response(canonical(answer.told, known=True), answer.status, {**headers, **more}, "application/json")

    def refuse(self, request: Request, name: str, base: str, caller: Caller | None, error: DatelineError) -> Response:
        """Return a problem document."""
        return told(error)
