"""Spans for whoever traces with OpenTelemetry, from a request to the deliveries that follow from it; without that package, nothing.

Attributes hold ids, codes and counts, never what anybody sent. What is told of an exception is its class: its text may hold a value.

A flow is driven now here, now there, so nothing is attached to a context while it waits: its spans are given their parents.

Source: W3C Trace Context (traceparent); OpenTelemetry's semantic conventions for HTTP spans (stable) and messaging spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from dateline.core.event import Event
from dateline.core.meta import Origin
from dateline.core.outcome import Committed, Preview
from dateline.core.request import Flow, Pause
from dateline.errors import Malformed, Refused
from dateline.sql.queue import Claimed, Ended
from dateline.sql.statement import Batch

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["carried", "delivering", "heard", "origin", "serving", "traced"]

R = TypeVar("R")


@cache
def _api() -> Any:
    """Return what spans are made with; None without the package."""
    try:
        from opentelemetry import context, trace  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        return None
    return SimpleNamespace(
        context=context, trace=trace, tracer=trace.get_tracer("dateline"), w3c=TraceContextTextMapPropagator()
    )


def heard() -> bool:
    """Tell whether anybody collects spans."""
    api = _api()
    return api is not None and not isinstance(api.trace.get_tracer_provider(), api.trace.ProxyTracerProvider)


def _facts(**facts: Any) -> dict[str, Any]:
    """Return attributes under dateline's name, without what is not known."""
    return {f"dateline.{name}": fact for name, fact in facts.items() if fact not in (None, "")}


def _fault(span: Span, word: str) -> None:
    span.set_attribute("error.type", word)
    span.set_status(_api().trace.StatusCode.ERROR)


# Requests -----------------------------------------------------------------------------------------------------------------


def _unheard(_: Any) -> None:
    return


@contextmanager
def serving(
    headers: Mapping[str, str], told: Callable[[], tuple[str, dict[str, Any]]]
) -> Iterator[Callable[[int], None]]:
    """Have a request over HTTP be a span, which is the current one within; give what is told the answer's status.

    Where the request has one already, FastAPI's own or some instrumentation's, that is enough; but its path is replaced by what we tell,
    since nobody else knows which parts of a path are about somebody.

    Args:
        headers: The request's, which may name the trace that it belongs to.
        told: Gives the span's name and attributes.
    """
    if not heard():
        yield _unheard
        return
    api = _api()
    current = api.trace.get_current_span()
    if current.get_span_context().is_valid:
        if getattr(current, "kind", None) is api.trace.SpanKind.SERVER:
            current.set_attribute("url.path", told()[1]["url.path"])
        yield _unheard
        return
    from opentelemetry import propagate  # noqa: PLC0415 - an extra

    name, attributes = told()
    around = propagate.extract(headers)
    span = api.tracer.start_span(name, around, kind=api.trace.SpanKind.SERVER, attributes=attributes)

    def answered(status: int) -> None:
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            _fault(span, str(status))

    held = api.context.attach(api.trace.set_span_in_context(span, around))
    try:
        yield answered
    except Exception as error:
        answered(500)
        _fault(span, type(error).__qualname__)
        raise
    finally:
        api.context.detach(held)
        span.end()


# Dispatch and preview -----------------------------------------------------------------------------------------------------


def traced(name: str, event: Event, tenant: Any, made: Callable[[Span | None], Flow[R]]) -> Flow[R]:
    """Have a flow be a span, and each of its trips to the database one within.

    Args:
        tenant: As the caller gave it, as is the event: neither is checked yet.
        made: Makes the flow; takes the span, None where nobody traces.
    """
    api = _api()
    kind = getattr(event, "__kind__", None)
    span = api and api.tracer.start_span(
        name, attributes=_facts(kind=kind, tenant=tenant if isinstance(tenant, str) else None)
    )
    if not (span and span.is_recording()):
        return (yield from made(None))
    try:
        result = yield from _followed(made(span), span)
        _told(span, result)
        return result
    except BaseException as error:
        _told(span, error)
        raise
    finally:
        span.end()


def _followed(flow: Flow[R], span: Span) -> Flow[R]:
    api = _api()
    # Of the context alone in which the flow began: it may go on in another.
    within = api.trace.set_span_in_context(span)
    answer: Any = None
    step, tries = flow.send, 1
    try:
        while True:
            try:
                wanted = step(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped here
            step, trip = flow.send, None
            if type(wanted) is Batch:
                names = tuple(dict.fromkeys(one.name for one in wanted.statements))
                trip = api.tracer.start_span("dateline.trip", within, attributes=_facts(statements=names))
            try:
                answer = yield wanted
                if isinstance(wanted, Pause):
                    tries += 1
            except BaseException as error:  # noqa: BLE001 - the flow's to deal with: it may hold a turn that others wait for
                if trip is not None:
                    # No error of the whole: what was lost is tried again.
                    trip.set_attribute("error.type", type(error).__qualname__)
                step, answer = flow.throw, error
            finally:
                if trip is not None:
                    trip.end()
    finally:
        span.set_attribute("dateline.tries", tries)


def _told(span: Span, result: object) -> None:
    """Tell how a flow ended. A refusal is an answer, as a rejected form is; what is at fault is the server, or nobody."""
    if isinstance(result, Committed):
        facts = _facts(outcome="committed", event=str(result.event_id), version=result.version.isoformat())
        span.set_attributes(facts | _facts(repeated=result.repeated))
    elif isinstance(result, Preview):
        span.set_attributes(_facts(outcome="previewed", event=str(result.event_id), version=result.version.isoformat()))
    elif isinstance(result, Refused):
        span.set_attributes(_facts(outcome=result.outcome, event=result.event_id, repeated=result.repeated))
    elif isinstance(result, Malformed):
        span.set_attribute("dateline.outcome", "malformed")
    elif isinstance(result, Exception):
        _fault(span, type(result).__qualname__)


def origin(given: Origin | None, span: Span | None = None) -> Origin | None:
    """Return where a request came from, with the trace that it belongs to, unless the caller has named one.

    Only of a span that somebody keeps: a link to any other would lead nowhere.

    Args:
        span: The request's; without it, the current one.
    """
    api = _api()
    if api is None or (given is not None and given.trace is not None):
        return given
    found = span or api.trace.get_current_span()
    at = found.get_span_context()
    if not (found.is_recording() and at.trace_flags.sampled):
        return given
    return replace(given or Origin(), trace=f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}")


# Deliveries ---------------------------------------------------------------------------------------------------------------


@contextmanager
def delivering(one: Claimed) -> Iterator[Callable[[Ended], None]]:
    """Have a try of an effect be a span, which is the current one within; give what is told what came of it."""
    if not heard():
        yield _unheard
        return
    api = _api()
    # A trace of its own, whatever was current where the relay was started; the event's may have ended hours ago, so that is linked.
    alone = api.context.Context()
    recorded = api.w3c.extract({"traceparent": one.trace or ""}, alone)
    links = [api.trace.Link(api.trace.get_current_span(recorded).get_span_context())] if recorded else ()
    span = api.tracer.start_span(
        "dateline.deliver",
        alone,
        # By the conventions for messaging, what takes a message from a queue and processes it is a CONSUMER, also where to process it is
        # to send something: that is a span within, CLIENT or PRODUCER, of whoever sends. It is linked, and no child, since others may
        # process what the same sender wanted.
        kind=api.trace.SpanKind.CONSUMER,
        links=links,
        attributes=_facts(kind=one.kind, tries=one.tries, tenant=one.tenant, event=str(one.event), effect=str(one.id)),
    )

    def ended(found: Ended) -> None:
        span.set_attributes(_facts(state=found.told))
        if found.outcome in ("failed", "unknown"):
            _fault(span, found.outcome)

    held = api.context.attach(api.trace.set_span_in_context(span, alone))
    try:
        yield ended
    finally:
        api.context.detach(held)
        span.end()


def carried() -> dict[str, str]:
    """Return the headers by which a receiver knows the current span; none where there is none.

    Only those of W3C Trace Context: what else an application has its own programs hand on, its baggage, is not for others.
    """
    made: dict[str, str] = {}
    if (api := _api()) is not None:
        api.w3c.inject(made)
    return made
