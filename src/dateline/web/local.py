"""Whoever started a process on their own machine, where no application tells who calls."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dateline.core import adopt, effective, erase, pin
from dateline.core.access import AUDIT
from dateline.core.flow import BACKDATE
from dateline.core.meta import Actor
from dateline.core.version import Versions
from dateline.run import act
from dateline.web.caller import UNMASK, Caller

__all__ = ["Here", "Local", "loopback", "rights"]


def rights(versions: Versions) -> frozenset[str]:
    """Return all rights that there are: the framework's, and those that kinds of events require."""
    ours = (AUDIT, BACKDATE, UNMASK, act.RIGHT, adopt.RIGHT, effective.RIGHT, erase.RIGHT, pin.RIGHT)
    theirs = (one.event.__requires__ for one in versions.cascades())
    return frozenset((*ours, *(right for right in theirs if right is not None)))


class Local:
    """Knows one caller: whoever started the process, by a token that it told them, with all rights.

    Args:
        token: What each request carries, as `Authorization: Bearer …`; a browser has it in a cookie, once it went through `door`.
    """

    COOKIE = "dateline"

    def __init__(self, token: str, versions: Versions) -> None:
        self._token = token.encode()
        self._caller = Caller(Actor("local", kind="person", rights=rights(versions)))

    def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Return them, where the request has the token."""
        scheme, _, told = connection.headers.get("authorization", "").partition(" ")
        token = told.strip() if scheme.lower() == "bearer" else connection.cookies.get(self.COOKIE, "")
        return self._caller if self._right(token) else None

    def door(self, pages: str) -> Route:
        """Return the route by which a browser comes in: `/enter?token=…` gives it the cookie, and leads to the pages.

        Args:
            pages: The path of the pages, the only ones to which the browser sends it: neither the API nor what else listens on this
                machine under other paths. Pages of other ports are of the same site to a browser, so acts are refused them beside.
        """

        async def enter(request: Request) -> Response:
            token = request.query_params.get("token", "")
            if not self._right(token):
                return PlainTextResponse("this is not the token of the process that runs now\n", 403)
            # The address with the token is left at once; no page has seen it, and none is told of it.
            answer = Response(
                b"", 303, {"location": f"{pages}/", "cache-control": "no-store", "referrer-policy": "no-referrer"}
            )
            answer.set_cookie(self.COOKIE, token, path=pages, httponly=True, samesite="strict")
            return answer

        return Route("/enter", enter)

    def _right(self, token: str) -> bool:
        # In constant time: how long it takes must not tell how much of it is right.
        return hmac.compare_digest(token.encode(), self._token)


class Here:
    """Serves requests for this machine alone: a page of another site may give its name our address, and read what we answer.

    Source: "Protecting Browsers from DNS Rebinding Attacks", Jackson et al., 2007.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        names = [_name(host) for host in Headers(scope=scope).getlist("host")] if "headers" in scope else []
        if scope["type"] in ("http", "websocket") and (len(names) != 1 or not loopback(names[0])):
            refusal = PlainTextResponse("this is served to this machine alone, as localhost\n", 421)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """Return the name of a host header, without its port."""
    name, bracket, _ = host.partition("]")
    return name[1:] if bracket and name.startswith("[") else host.partition(":")[0]


def loopback(name: str) -> bool:
    """Tell whether a host is this machine, and nobody else can reach it by that name or number."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"
