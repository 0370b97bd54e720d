"""Whoever started a process on their own machine, where no application tells who calls."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dateline.core import adopt, effective, erase, pin
from dateline.core.access import AUDIT
from dateline.core.flow import BACKDATE
from dateline.core.meta import Actor
from dateline.core.version import Versions
from dateline.run import act
from dateline.web.caller import UNMASK, Caller, same_host

__all__ = ["Here", "Local", "loopback", "rights"]


def rights(versions: Versions) -> frozenset[str]:
    """Return all rights that there are: the framework's, and those that kinds of events require."""
    ours = (AUDIT, BACKDATE, UNMASK, act.RIGHT, adopt.RIGHT, effective.RIGHT, erase.RIGHT, pin.RIGHT)
    theirs = (one.event.__requires__ for one in versions.cascades())
    return frozenset((*ours, *(right for right in theirs if right is not None)))


class Local:
    """Knows one caller: whoever started the process, by a token that it told them, with all rights.

    Args:
        token: What each request carries, as `Authorization: Bearer …`; or, in a browser that came in by `enter`, a cookie made of it.
    """

    def __init__(self, token: str, versions: Versions) -> None:
        self._token = token.encode()
        self._expected = f"bearer {token}".encode()
        # Not the token: browsers send cookies to whatever listens at another port of this machine, too.
        self._cookie = hmac.digest(self._token, b"dateline's cookie", "sha256").hex().encode()
        self._caller = Caller(Actor("local", kind="person", rights=rights(versions)))

    def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Return them, where the request has the token, or the cookie and no page but ours sends it."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        # In constant time: how long it takes must not tell how much of it is right.
        same = hmac.compare_digest(f"{scheme.lower()} {token.strip()}".encode(), self._expected)
        return self._caller if same or self._browses(connection) else None

    def _browses(self, connection: HTTPConnection) -> bool:
        """Tell whether a browser sends this that came in before, from one of our pages or by its address.

        SameSite alone does not do: to it, what listens at another port of this machine is the same site.

        Source: Fetch Metadata Request Headers (W3C), Sec-Fetch-Site.
        """
        held = connection.cookies.get(_named(connection), "")
        if not hmac.compare_digest(held.encode(), self._cookie):
            return False
        return same_host(connection) and connection.headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    async def enter(self, request: Request) -> Response:
        """Let a browser in that has the token in its address, and send it on to an address without."""
        safe = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        if not hmac.compare_digest(request.query_params.get("token", "").encode(), self._token):
            return PlainTextResponse("who are you?\n", 401, safe)
        home = request.url.path.removesuffix("enter")
        answer = Response(b"", 303, {**safe, "location": home})
        # For the pages alone: what the API answers, nobody's browser asks for.
        answer.set_cookie(
            _named(request), self._cookie.decode(), path=home.rstrip("/") or "/", httponly=True, samesite="strict"
        )
        return answer


def _named(connection: HTTPConnection) -> str:
    """Return the cookie's name: a browser keeps one of each name for all ports of a host."""
    port = connection.headers.get("host", "").rpartition(":")[2]
    return f"dateline-{port if port.isascii() and port.isdigit() else 80}"


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
