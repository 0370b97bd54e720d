"""Webhooks, signed as the Standard Webhooks specification says.

Source: Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from dateline.core.canon import instant
from dateline.core.effect import Effect
from dateline.errors import AnswerLost, DatelineError, Undeliverable
from dateline.run.clock import Clock, now
from dateline.run.delivery import AsyncDelivery
from dateline.run.trace import carried

__all__ = ["Webhooks", "signature"]

_PREFIX = "whsec_"
_GONE = 410


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of one message: `v1,` and the HMAC-SHA256 of id, timestamp and body, in base64.

    Args:
        secret: `whsec_` and 24 to 64 bytes in base64.
        timestamp: Seconds since 1970.

    Raises:
        DatelineError: For what is no such secret; without showing it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise DatelineError("a webhook's secret is whsec_ and its bytes in base64") from None
    signed = f"{id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


class Webhooks:
    """Sends effects by HTTP to an address, or to one that depends on the effect.

    The body is a JSON object with `type` (the effect's kind), `timestamp` (when its event was recorded) and `data` (its payload). The
    header `webhook-id` is the effect's id: a receiver recognises a repetition by it, so what may have arrived is sent again. Where
    deliveries are traced, `traceparent` names the span.

    Args:
        url: The address, or what gives it for a delivery; None from there means that nobody wants the effect, which is then delivered.
        secrets: One, or several while they are changed: a receiver takes any of them.
        kinds: Which kinds it takes; without, all that nothing else delivers.
        timeout: Until the whole answer is there; shorter than the effects' own.
        private: Addresses that are not public may be called too, such as those of one's own network.
    """

    resend = True

    def __init__(
        self,
        url: str | Callable[[AsyncDelivery], str | None],
        secrets: str | Sequence[str],
        *,
        kinds: Iterable[type[Effect] | str] | None = None,
        timeout: timedelta = timedelta(seconds=15),
        private: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.kinds = None if kinds is None else frozenset(k if isinstance(k, str) else k.__kind__ for k in kinds)
        self._url = url
        self._secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        for secret in self._secrets:
            signature(secret, "", 0, b"")
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._private = private
        self._clock = clock or now
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, effect: Effect | None, delivery: AsyncDelivery) -> str | None:
        """Send one effect; return the answer's status.

        Raises:
            Undeliverable: Where the receiver says that it is gone, or the address is none that may be called.
            AnswerLost: Where it was sent and no answer came.
            DatelineError: For every other answer than one that says yes.
        """
        told = self._url if isinstance(self._url, str) else self._url(delivery)
        if told is None:
            return None
        url = self._checked(told)
        body = json.dumps(
            {"type": delivery.kind, "timestamp": instant(delivery.recorded_at), "data": delivery.payload},
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        moment = int(self._clock().timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": str(delivery.id),
            "webhook-timestamp": str(moment),
            "webhook-signature": " ".join(signature(one, str(delivery.id), moment, body) for one in self._secrets),
            **carried(),
        }
        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _Private):
                raise Undeliverable(str(error.os_error)) from None
            raise DatelineError(f"no connection to {url.host}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AnswerLost(f"no answer from {url.host}: {type(error).__name__}") from error
        if status == _GONE:
            raise Undeliverable(f"{url.host} answers {status}: it is gone")
        if not 200 <= status < 300:
            raise DatelineError(f"{url.host} answers {status}")
        return str(status)

    def _checked(self, told: str) -> URL:
        url = URL(told)
        if url.scheme not in ("http", "https") or url.host is None:
            raise Undeliverable("that is no address of a webhook; it begins with https://")
        # A name is looked at when it is resolved; what is an address already would not be.
        try:
            address = ipaddress.ip_address(url.host)
        except ValueError:
            return url
        if not self._private and not _public(address):
            raise Undeliverable(f"{url.host} is no public address; Webhooks(…, private=True) allows it")
        return url

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            resolver = None if self._private else _Public()
            connector = aiohttp.TCPConnector(resolver=resolver) if resolver is not None else aiohttp.TCPConnector()
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Let connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Private(OSError):
    """A name stands for an address that is not public."""


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return address.is_global and not address.is_multicast and (inner is None or _public(inner))


class _Public(AbstractResolver):
    """Resolves names, and refuses those that lead inside: what is connected to is the very address that was looked at."""

    def __init__(self) -> None:
        self._inner: Any = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: list[ResolveResult] = await self._inner.resolve(host, port, family)
        for one in found:
            if not _public(ipaddress.ip_address(one["host"])):
                raise _Private(
                    f"{host} is at {one['host']}, which is no public address; Webhooks(…, private=True) allows it"
                )
        return found

    async def close(self) -> None:
        await self._inner.close()
