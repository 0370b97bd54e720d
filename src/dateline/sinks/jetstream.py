"""NATS JetStream: effects as CloudEvents in a stream, each once, for consumers that outgrow one machine.

Source: CloudEvents 1.0.2, NATS Protocol Binding (binary content mode), and its extension for distributed tracing; NATS JetStream,
message deduplication by `Nats-Msg-Id`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import nats
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from dateline.core.canon import instant
from dateline.core.effect import Effect
from dateline.errors import AnswerLost, DatelineError
from dateline.run.delivery import AsyncDelivery
from dateline.run.trace import carried

__all__ = ["JetStream"]


class JetStream:
    """Publishes effects to a stream, which is made where there is none; subject `prefix.kind`, or `prefix.tenant.kind` of a tenant.

    Where deliveries are traced, the extension `traceparent` and the header of that name tell the span.

    The stream forgets what it received twice within `window`, by the effects' ids: what may have arrived is published again.

    Args:
        servers: Addresses such as nats://127.0.0.1:4222.
        stream: The stream's name; `prefix` what its subjects begin with.
        kinds: Which kinds it takes; without, all that nothing else delivers.
        source: The CloudEvents' source, which names this application.
        window: For how long the stream recognises a repetition; longer than an effect is ever retried.
        timeout: Until the server says that it has a message.
    """

    resend = True

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        stream: str = "dateline",
        prefix: str = "dateline",
        kinds: Iterable[type[Effect] | str] | None = None,
        source: str = "/dateline",
        window: timedelta = timedelta(hours=24),
        timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self.kinds = None if kinds is None else frozenset(k if isinstance(k, str) else k.__kind__ for k in kinds)
        self._servers = [servers] if isinstance(servers, str) else [*servers]
        self._stream, self._prefix, self._source = stream, prefix, source
        self._window, self._timeout = window.total_seconds(), timeout.total_seconds()
        self._client: Any = None
        self._jetstream: Any = None
        self._opening = asyncio.Lock()

    async def deliver(self, effect: Effect | None, delivery: AsyncDelivery) -> str:
        """Publish one effect; return stream and sequence number.

        Raises:
            AnswerLost: Where no answer came.
            DatelineError: Where there is no connection.
        """
        headers = {
            "Nats-Msg-Id": str(delivery.id),
            "ce-specversion": "1.0",
            "ce-id": str(delivery.id),
            "ce-source": self._source,
            "ce-type": delivery.kind,
            "ce-subject": str(delivery.event),
            "ce-time": instant(delivery.recorded_at),
            "content-type": "application/json",
        }
        # The extension stays with the event on its whole way; the header is each carrier's own, who may put another in its place.
        trace = carried()
        headers |= trace | {f"ce-{name}": told for name, told in trace.items()}
        body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            published = await (await self._open()).publish(
                self._subject(delivery), body, timeout=self._timeout, headers=headers
            )
        except (NatsTimeout, TimeoutError) as error:
            raise AnswerLost("the server did not say that it has it") from error
        except (NatsError, OSError) as error:
            raise DatelineError(f"no connection to the stream: {type(error).__name__}") from error
        return f"{published.stream}:{published.seq}"

    def _subject(self, delivery: AsyncDelivery) -> str:
        # A tenant's name may hold what separates tokens, or what stands for many of them.
        tenant = quote(delivery.tenant, safe="").replace(".", "%2E")
        return ".".join(filter(None, (self._prefix, tenant, delivery.kind)))

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None or self._client.is_closed:
                self._client = await nats.connect(
                    self._servers,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    connect_timeout=2,
                )
                self._jetstream = None
            if self._jetstream is None:
                made = self._client.jetstream(timeout=self._timeout)
                try:
                    await made.stream_info(self._stream)
                except NotFoundError:
                    await made.add_stream(
                        StreamConfig(name=self._stream, subjects=[f"{self._prefix}.>"], duplicate_window=self._window)
                    )
                self._jetstream = made
        return self._jetstream

    async def close(self) -> None:
        """Let connections go."""
        if self._client is not None and not self._client.is_closed:
            await self._client.close()
        self._client = self._jetstream = None
