"""Whoever traces with OpenTelemetry sees each request and what follows from it, hours later; and nothing that anybody sent."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from dateline import Actor, Effect, Event, Personal, Plan, Reject, Versions, Yields, check, handler
from dateline.core.effect import Retry
from dateline.core.meta import Origin
from dateline.errors import HandlerFailed, Malformed, Rejected, Undeliverable
from dateline.run.delivery import AsyncDelivery, Delivery, delivers
from dateline.run.trace import carried
from tests.contract.conftest import Shop
from tests.contract.shop import Product
from tests.contract.test_relay import drained
from tests.spans import Spans, traceparent, tracing

CANARY = "canary"
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Send(Effect, kind="send", key="{to}", retry=Retry(tries=2, first=timedelta(0))):
    to: str
    text: Personal[str]


class Stale(Effect, kind="stale", key="{to}", expires=timedelta(microseconds=1)):
    to: str


class Greet(Event, kind="greet", subjects=("person:{to}",)):
    to: str
    text: Personal[str] = f"personal {CANARY}"
    how: str = ""
    trace: str | None = None


class Thank(Event, kind="thank", subjects=("person:{to}",)):
    to: str


@check
def not_rude(event: Greet) -> Yields[Reject]:
    if event.how == "rude":
        yield Reject("rude", f"{event.to} minds {CANARY}", field="how")


@handler
def greet(event: Greet, plan: Plan) -> Yields[Send | Stale]:
    if event.how == "broken":
        raise ValueError(f"{event.to} {event.text} {CANARY}")
    if event.how == "late":
        yield Stale(to=event.to)
    else:
        yield Send(to=event.to, text=event.text)


VERSIONS = Versions.of({"2024-01-01": [Greet, Thank, not_rude, greet]})


@pytest.fixture
def hall(shop: Shop) -> Shop:
    return shop.under(VERSIONS)


def outcome(span: Any) -> dict[str, Any]:
    return {name.removeprefix("dateline."): value for name, value in span.attributes.items()}


def deliveries(waiting: bool, seen: list[dict[str, str]], failing: type[Exception] | None = None) -> Any:
    """Return a function that looks at the trace, follows the effect up, and fails where that is asked for."""
    if waiting:

        @delivers(Send, Stale)
        async def later(effect: Any, delivery: AsyncDelivery) -> None:
            await asyncio.sleep(0)
            seen.append(carried())
            if failing is not None:
                raise failing(CANARY)
            await delivery.dispatch(Thank(to=effect.to))

        return later

    @delivers(Send, Stale)
    def at_once(effect: Any, delivery: Delivery) -> None:
        seen.append(carried())
        if failing is not None:
            raise failing(CANARY)
        delivery.dispatch(Thank(to=effect.to))

    return at_once


def test_a_dispatch_is_a_span_that_says_what_became_of_it(hall: Shop, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("around"):
        done = hall.dispatch(Greet(to="ann"), tenant="north")

    around, span = spans.one("around"), spans.one("dateline.dispatch")
    assert (span.kind, span.status.status_code, span.parent) == (SpanKind.INTERNAL, StatusCode.UNSET, around.context)
    assert outcome(span) == {
        "kind": "greet",
        "tenant": "north",
        "outcome": "committed",
        "event": str(done.event_id),
        "version": "2024-01-01",
        "repeated": False,
        "tries": 1,
    }


def test_each_trip_to_the_database_is_a_span_within(hall: Shop, spans: Spans) -> None:
    hall.dispatch(Greet(to="ann"), key="k")

    span, trips = spans.one("dateline.dispatch"), spans.named("dateline.trip")
    assert [trip.parent for trip in trips] == [span.context] * len(trips)
    assert all(span.start_time <= trip.start_time <= trip.end_time <= span.end_time for trip in trips)
    said = [name for trip in trips for name in outcome(trip)["statements"]]
    # On PostgreSQL the whole commit is one statement.
    assert {"commit"} & {*said} or {"claim", "event", "end"} <= {*said}


def test_a_request_that_comes_again_is_told_apart(hall: Shop, spans: Spans) -> None:
    hall.dispatch(Greet(to="ann"), key="k")
    hall.dispatch(Greet(to="ann"), key="k")

    assert [outcome(one)["repeated"] for one in spans.named("dateline.dispatch")] == [False, True]


def test_a_refusal_is_no_error(hall: Shop, spans: Spans) -> None:
    refused = hall.refused(Rejected, Greet(to="ann", how="rude"))
    hall.tried(Greet(to="ann", how="rude"))
    with pytest.raises(Malformed):
        hall.dispatch(Greet(to="ann"), reason=3)

    dispatched, malformed = spans.named("dateline.dispatch")
    previewed = spans.one("dateline.preview")
    assert {one.status.status_code for one in spans.named()} == {StatusCode.UNSET}
    assert outcome(dispatched) == {
        "kind": "greet",
        "outcome": "rejected",
        "event": refused.event_id,
        "repeated": False,
        "tries": 1,
    }
    assert outcome(previewed)["outcome"] == "rejected"
    assert outcome(malformed)["outcome"] == "malformed"


def test_a_fault_is_an_error_of_which_its_class_alone_is_told(hall: Shop, spans: Spans) -> None:
    with pytest.raises(HandlerFailed):
        hall.dispatch(Greet(to="ann", how="broken"))
    with pytest.raises(HandlerFailed):
        hall.tried(Greet(to="ann", how="broken"))

    for span in spans.named("dateline.dispatch", "dateline.preview"):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert outcome(span) == {"kind": "greet", "error.type": "HandlerFailed", "tries": 1}
        assert span.events == ()


def test_a_preview_is_a_span_and_records_nothing(hall: Shop, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("around"):
        made = hall.preview(Greet(to="ann"))

    assert outcome(spans.one("dateline.preview")) == {
        "kind": "greet",
        "outcome": "previewed",
        "event": str(made.event_id),
        "version": "2024-01-01",
        "tries": 1,
    }
    assert made.event.meta.origin is None


def test_what_is_committed_together_is_traced_one_by_one(hall: Shop, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("around"), hall.together() as tx:
        tx.dispatch(Greet(to="ann"), actor="till")
        tx.dispatch(Greet(to="bob"), actor="till")
        tx.preview(Greet(to="cid"), actor="till")

    around, found = spans.one("around"), spans.named("dateline.dispatch", "dateline.preview")
    assert [outcome(one)["outcome"] for one in found] == ["committed", "committed", "previewed"]
    assert [one.parent for one in found] == [around.context] * 3
    assert [entry.meta.origin for entry in hall.trail()] == [Origin(trace=traceparent(one)) for one in found[:2]]


def test_the_record_names_the_span_and_is_read_verified_and_replayed_as_ever(hall: Shop, spans: Spans) -> None:
    done = hall.dispatch(Greet(to="ann"), origin=Origin(request="r-17"))
    hall.refused(Rejected, Greet(to="ann", how="rude"))

    first, second = spans.named("dateline.dispatch")
    assert [entry.meta.origin for entry in hall.trail()] == [
        Origin(request="r-17", trace=traceparent(first)),
        Origin(trace=traceparent(second)),
    ]
    assert hall.verify().faults == ()
    assert hall.colour.wait(hall.colour.runner.replay(done.event_id)).outcome == "committed"


def test_a_trace_that_the_caller_names_is_kept(hall: Shop, spans: Spans) -> None:
    hall.dispatch(Greet(to="ann"), origin=Origin(trace=GIVEN))

    assert hall.entry().meta.origin == Origin(trace=GIVEN)


def test_the_commit_of_a_preview_belongs_to_the_trace_of_the_commit(hall: Shop, spans: Spans) -> None:
    shown = hall.preview(Greet(to="ann"), origin=Origin(request="r-17"))
    hall.dispatch(Greet(to="ann"), expects=shown)

    span = spans.one("dateline.dispatch")
    assert hall.entry().meta.origin == Origin(request="r-17", trace=traceparent(span))


def test_what_is_no_dispatch_belongs_to_the_callers_span(shop: Shop, spans: Spans) -> None:
    shop.put(Product("tea", stock=1))
    registrar = Actor("registrar", rights=frozenset({"adopt"}))

    with spans.tracer.start_as_current_span("around"):
        assert shop.colour.wait(shop.colour.runner.adopt(Product, actor=registrar, reason="older than we are")) == 1

    assert shop.entry().meta.origin == Origin(trace=traceparent(spans.one("around")))


def test_without_a_collector_nothing_is_recorded_and_bodies_are_the_same(hall: Shop) -> None:
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, True, trace.TraceFlags(1)))):
        hall.dispatch(Greet(to="ann"))
    with tracing(ALWAYS_OFF):
        hall.dispatch(Greet(to="ann"))
    with tracing():
        hall.dispatch(Greet(to="ann"))

    metas = [json.loads(row.body)["meta"] for row in hall.execute("SELECT body FROM dateline_event ORDER BY seq")]
    assert [sorted(meta) for meta in metas] == [
        ["actor", "at", "id", "version"],
        ["actor", "at", "id", "version"],
        ["actor", "at", "id", "origin", "version"],
    ]


@pytest.mark.parametrize("waiting", [False, True], ids=["function", "coroutine"])
def test_a_delivery_is_a_trace_of_its_own_that_is_linked_to_the_events(hall: Shop, spans: Spans, waiting: bool) -> None:
    seen: list[dict[str, str]] = []
    done = hall.dispatch(Greet(to="ann"), tenant="north")

    with spans.tracer.start_as_current_span("what started the relay"):
        assert drained(hall, [deliveries(waiting, seen)]) == 1

    asked, followed = spans.named("dateline.dispatch")
    span = spans.one("dateline.deliver")
    assert (span.kind, span.parent, span.status.status_code) == (SpanKind.CONSUMER, None, StatusCode.UNSET)
    assert span.context.trace_id != asked.context.trace_id
    [link] = span.links
    assert (link.context.trace_id, link.context.span_id) == (asked.context.trace_id, asked.context.span_id)
    assert outcome(span) == {
        "kind": "send",
        "tries": 1,
        "tenant": "north",
        "event": str(done.event_id),
        "effect": str(done.effects[0].id),
        "state": "delivered",
    }
    # What the function calls, and what it dispatches, is of that trace.
    assert seen == [{"traceparent": traceparent(span)}]
    assert followed.parent == span.context
    assert outcome(followed)["kind"] == "thank"
    assert hall.entry(tenant="north").meta.origin == Origin(trace=traceparent(followed))


@pytest.mark.parametrize(
    ("how", "failing", "states", "errors"),
    [
        ("", ValueError, ["retrying", "dead"], ["failed", "failed"]),
        ("", Undeliverable, ["dead"], ["failed"]),
        ("", TimeoutError, ["unknown"], ["unknown"]),
        ("late", None, ["expired"], [None]),
    ],
)
def test_a_try_that_failed_is_an_error(
    hall: Shop, spans: Spans, how: str, failing: type[Exception] | None, states: list[str], errors: list[str | None]
) -> None:
    hall.dispatch(Greet(to="ann", how=how))
    for _ in states:
        drained(hall, [deliveries(True, [], failing)])

    found = spans.named("dateline.deliver")
    assert [outcome(one)["state"] for one in found] == states
    assert [outcome(one).get("error.type") for one in found] == errors
    assert [one.status.status_code is StatusCode.ERROR for one in found] == [bool(error) for error in errors]
    assert CANARY not in spans.text()


@pytest.mark.parametrize("told", [None, "no trace", '"trace":"\u0000'])
def test_what_names_no_trace_is_delivered_without_a_link(hall: Shop, spans: Spans, told: str | None) -> None:
    # What a sender says may hold every word, and a character for which PostgreSQL's JSON has none.
    hall.dispatch(Greet(to="ann", how='{"trace":"'), origin=Origin(request="\u0000", trace=told or "none"))

    assert drained(hall, [deliveries(True, [])]) == 1

    assert spans.one("dateline.deliver").links == ()


def test_an_event_of_before_tracing_is_delivered_without_a_link(hall: Shop) -> None:
    # What is called a trace elsewhere in the record is something else.
    hall.dispatch(Greet(to="ann", trace=GIVEN))

    with tracing() as spans:
        assert drained(hall, [deliveries(True, [])]) == 1

    assert spans.one("dateline.deliver").links == ()


def test_no_span_holds_what_anybody_sent(hall: Shop, spans: Spans) -> None:
    someone = Actor(f"actor {CANARY}", role=CANARY)
    given = {"actor": someone, "key": f"key {CANARY}", "reason": f"reason {CANARY}"}
    hall.dispatch(Greet(to=f"to {CANARY}", how=f"how {CANARY}"), **given)
    hall.preview(Greet(to=CANARY), actor=someone)
    hall.refused(Rejected, Greet(to=CANARY, how="rude"), actor=someone)
    with pytest.raises(HandlerFailed):
        hall.dispatch(Greet(to=CANARY, how="broken"), actor=someone)
    drained(hall, [deliveries(False, [])])

    assert len(spans.named("dateline.dispatch", "dateline.preview", "dateline.deliver")) == 6
    assert CANARY not in spans.text()
