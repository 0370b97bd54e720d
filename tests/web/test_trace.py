"""A request over HTTP is the beginning of what follows from it: one trace from whoever sent it, and a link from every delivery."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind, StatusCode
from starlette.requests import HTTPConnection

from dateline import (
    Actor,
    AsyncRunner,
    Delivery,
    Effect,
    Event,
    Personal,
    Reject,
    Relay,
    Runner,
    Versions,
    Yields,
    check,
    delivers,
    handler,
)
from dateline.web.api import router
from dateline.web.caller import Caller
from tests.spans import Spans, traceparent, tracing
from tests.web.serving import served

CANARY = "canary"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Tell(Effect, kind="tell", key="{who}"):
    who: str


class Visit(Event, kind="visit", subjects=("person:{who}",)):
    who: str
    note: Personal[str] = CANARY


class Seen(Event, kind="seen"):
    pass


@check
def nobody_comes_twice(event: Visit) -> Yields[Reject]:
    if event.who == "again":
        yield Reject("again", CANARY)


@handler
def visit(event: Visit) -> Yields[Tell]:
    if event.who == "broken":
        raise ValueError(CANARY)
    yield Tell(who=event.who)


@delivers(Tell)
def tell(effect: Tell, delivery: Delivery) -> None:
    delivery.dispatch(Seen())


VERSIONS = Versions.of({"2024-01-01": [Visit, Seen, nobody_comes_twice, visit]})


def authenticate(connection: HTTPConnection) -> Caller | None:
    if connection.headers.get("authorization") == "broken":
        raise RuntimeError(CANARY)
    return Caller(Actor("desk"), version="2024-01-01")


@pytest.fixture
def runner(url: str) -> Iterator[Runner]:
    with Runner(url, versions=VERSIONS) as made:
        made.migrate()
        yield made


def application(served: AsyncRunner, *, native: bool) -> FastAPI:
    """Mount the routes.

    Args:
        native: With FastAPI's own tracing, which it does unless it is told not to.
    """
    made = FastAPI(openapi_url=None, telemetry={"tracing": native})
    for prefix in ("", "/api", "/of/{tenant}"):
        made.include_router(router(served, authenticate=authenticate), prefix=prefix)
    return made


@pytest.fixture(params=[False], ids=["ours"])
def port(request: pytest.FixtureRequest, url: str, runner: Runner) -> Iterator[int]:
    def app(served: AsyncRunner) -> FastAPI:
        return application(served, native=request.param)

    with served(lambda: AsyncRunner(url, versions=VERSIONS), app) as made:
        yield made


def ask(port: int, method: str, path: str, who: str | None = None, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        body = None if who is None else json.dumps({"input": {"who": who}})
        connection.request(method, path, body, {"idempotency-key": uuid4().hex, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_one_trace_leads_from_the_request_to_the_record_and_the_delivery_links_to_it(
    spans: Spans, port: int, runner: Runner
) -> None:
    assert ask(port, "POST", "/events/visit", "ann", traceparent=f"00-{TRACE}-{PARENT}-01") == 201
    assert Relay(runner, tell).drain() == 1

    [server] = [one for one in spans.named() if one.kind is SpanKind.SERVER]
    dispatch, followed = spans.named("dateline.dispatch")
    deliver = spans.one("dateline.deliver")
    assert (server.name, server.status.status_code) == ("POST /events/{kind}", StatusCode.UNSET)
    assert dict(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/events/{kind}",
        "http.response.status_code": 201,
        "url.path": "/events/visit",
        "url.scheme": "http",
    }
    assert [f"{one.context.trace_id:032x}" for one in (server, dispatch)] == [TRACE, TRACE]
    assert (f"{server.parent.span_id:016x}", dispatch.parent) == (PARENT, server.context)
    first, second = runner.trail()
    assert [getattr(one.meta.origin, "trace", None) for one in (first, second)] == [
        traceparent(dispatch),
        traceparent(followed),
    ]
    assert first.meta.origin is not None
    assert first.meta.origin.network == "127.0.0.1"
    [link] = deliver.links
    assert (link.context.trace_id, link.context.span_id) == (dispatch.context.trace_id, dispatch.context.span_id)
    assert deliver.parent is None
    assert followed.parent == deliver.context
    assert CANARY not in spans.text()


def test_without_a_traceparent_a_request_begins_a_trace(spans: Spans, port: int) -> None:
    assert ask(port, "POST", "/api/events/visit/preview", "ann", traceparent="nonsense") == 200

    assert spans.one("POST /api/events/{kind}/preview").parent is None


def test_what_the_sender_does_not_sample_is_neither_traced_nor_recorded(
    spans: Spans, port: int, runner: Runner
) -> None:
    assert ask(port, "POST", "/events/visit", "ann", traceparent=f"00-{TRACE}-{PARENT}-00") == 201

    assert spans.named() == []
    [entry] = runner.trail()
    assert entry.meta.origin is not None
    assert entry.meta.origin.trace is None


@pytest.mark.parametrize("port", [True], indirect=True, ids=["FastAPI's"])
def test_where_the_request_has_a_span_already_that_is_enough(spans: Spans, port: int, runner: Runner) -> None:
    assert ask(port, "POST", "/events/visit", "ann", traceparent=f"00-{TRACE}-{PARENT}-01") == 201

    [server] = [one for one in spans.named() if one.kind is SpanKind.SERVER]
    assert server.instrumentation_scope.name == "fastapi"
    assert f"{server.parent.span_id:016x}" == PARENT
    dispatch = spans.one("dateline.dispatch")
    assert dispatch.parent == server.context
    [entry] = runner.trail()
    assert entry.meta.origin is not None
    assert entry.meta.origin.trace == traceparent(dispatch)


BOTH = pytest.mark.parametrize("port", [False, True], indirect=True, ids=["ours", "FastAPI's"])


@BOTH
@pytest.mark.parametrize(
    ("method", "path", "who", "status", "name", "shown"),
    [
        ("POST", "/events/visit", "again", 422, "POST /events/{kind}", "/events/visit"),
        ("POST", f"/api/events/{CANARY}", "ann", 404, "POST /api/events/{kind}", "/api/events/{kind}"),
        ("GET", f"/events/{CANARY}", None, 404, "GET /events/{id}", "/events/{id}"),
        (
            "GET",
            f"/subjects/person:{CANARY}%2F1/events",
            None,
            200,
            "GET /subjects/{subject}/events",
            "/subjects/{subject}/events",
        ),
        ("GET", f"/rows/account/{CANARY}", None, 404, "GET /rows/{table}/{key}", "/rows/{table}/{key}"),
        ("GET", f"/of/{CANARY}/kinds/visit", None, 200, "GET /kinds/{kind}", f"/of/{CANARY}/kinds/visit"),
        (
            "GET",
            "/events/0197f0c0-0000-7000-8000-000000000000",
            None,
            404,
            "GET /events/{id}",
            "/events/0197f0c0-0000-7000-8000-000000000000",
        ),
    ],
)
def test_a_request_that_is_refused_is_no_error_and_its_path_names_nobody(
    spans: Spans, port: int, method: str, path: str, who: str | None, status: int, name: str, shown: str
) -> None:
    assert ask(port, method, path, who) == status

    [server] = [one for one in spans.named() if one.kind is SpanKind.SERVER]
    assert server.attributes["url.path"] == shown
    assert server.name == (name if server.instrumentation_scope.name == "dateline" else of_fastapi(path, name))
    assert (server.attributes["http.response.status_code"], server.status.status_code) == (status, StatusCode.UNSET)
    assert CANARY not in spans.text().replace(f"/of/{CANARY}", "")


def of_fastapi(path: str, name: str) -> str:
    """Return the name that FastAPI gives: it knows the parameters of where the routes are mounted."""
    return name.replace(" /kinds", " /of/{tenant}/kinds") if path.startswith("/of/") else name


@pytest.mark.parametrize(
    ("who", "token", "error"), [("broken", "", "500"), ("ann", "broken", "RuntimeError")], ids=["handler", "another"]
)
# What uvicorn says of an error that is nobody's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fault_is_an_error(spans: Spans, port: int, who: str, token: str, error: str) -> None:
    assert ask(port, "POST", "/events/visit", who, authorization=token) == 500

    span = spans.one("POST /events/{kind}")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (500, error)
    assert CANARY not in spans.text()


def test_without_a_collector_a_request_is_served_and_nothing_is_recorded(port: int, runner: Runner) -> None:
    assert ask(port, "POST", "/events/visit", "ann", traceparent=f"00-{TRACE}-{PARENT}-01") == 201

    [entry] = runner.trail()
    assert entry.meta.origin is not None
    assert entry.meta.origin.trace is None
    with tracing() as spans:
        assert ask(port, "GET", "/kinds") == 200
    assert [one.name for one in spans.named()] == ["GET /kinds"]
