"""Spans as the OpenTelemetry SDK exports them, kept in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import opentelemetry.trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from dateline.run import trace

__all__ = ["Spans", "traceparent", "tracing"]


class Spans:
    """What was traced since."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.tracer = opentelemetry.trace.get_tracer("test")

    def named(self, *names: str) -> list[Any]:
        """Return the spans of some names that have ended, in the order in which they did; all without any."""
        return [one for one in self._exporter.get_finished_spans() if not names or one.name in names]

    def one(self, name: str) -> Any:
        [found] = self.named(name)
        return found

    def text(self) -> str:
        """Return all that leaves the process."""
        return json.dumps([json.loads(one.to_json()) for one in self._exporter.get_finished_spans()])

    def clear(self) -> None:
        self._exporter.clear()


def traceparent(span: ReadableSpan) -> str:
    """Return what names a span."""
    at = span.context
    assert at is not None
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"


@contextmanager
def tracing(sampler: Sampler | None = None) -> Iterator[Spans]:
    """Trace for a while: a provider can be set once only, and the tests after this one have none."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    held = opentelemetry.trace._TRACER_PROVIDER
    opentelemetry.trace._TRACER_PROVIDER = provider
    trace._api.cache_clear()
    # A thread of the test before, which ends yet, may keep what it found there until now.
    time.sleep(0.005)
    trace._api.cache_clear()
    try:
        yield Spans(exporter)
    finally:
        opentelemetry.trace._TRACER_PROVIDER = held
        trace._api.cache_clear()
