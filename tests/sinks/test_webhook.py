"""Webhooks are signed as the specification says, say what became of them, and reach no inner address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from opentelemetry import baggage, context
from standardwebhooks import Webhook

from dateline.errors import DatelineError
from dateline.sinks.webhook import Webhooks, signature
from tests.sinks.conftest import Office
from tests.spans import Spans, traceparent

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def test_the_specifications_vector() -> None:
    made = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    # And what the specification's own library says.
    at = datetime.fromtimestamp(1614265330, UTC)
    assert made == Webhook(SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["whsec_nonsense!", "whsec_a"])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(DatelineError) as caught:
        Webhooks("https://example.org", secret)

    assert secret not in str(caught.value)


@asynccontextmanager
async def receiver(answer: Callable[[int], Any]) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Give the address of a server on loopback, and what it receives."""
    got: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.StreamResponse:
        got.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        made = answer(len(got))
        if asyncio.iscoroutine(made):
            made = await made
        assert isinstance(made, web.StreamResponse)
        return made

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [(host, port)] = [address[:2] for address in runner.addresses]
    try:
        yield f"http://{host}:{port}/hook", got
    finally:
        await runner.cleanup()


def test_a_receiver_verifies_what_it_gets_with_either_secret(office: Office) -> None:
    [done] = office.write("ann")

    async def go() -> list[tuple[dict[str, str], bytes]]:
        async with receiver(lambda _: web.Response(status=204)) as (url, got):
            await office.deliver(Webhooks(url, (SECRET, OTHER), private=True))
            return got

    [(headers, body)] = asyncio.run(go())

    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(body, headers) == json.loads(body)
    assert json.loads(body) == {
        "type": "letter.send",
        "timestamp": done.recorded_at.isoformat().replace("000+00:00", "").replace("+00:00", "").rstrip("0").rstrip(".")
        + "Z",
        "data": {"to": "ann", "text": "héllo"},
    }
    assert headers["webhook-id"] == str(done.effects[0].id)
    assert "traceparent" not in headers
    assert (office.states(), office.references()) == ([], ["204"])


def test_a_receiver_is_told_the_trace_where_there_is_one(office: Office, spans: Spans) -> None:
    office.write("ann")

    async def go() -> list[tuple[dict[str, str], bytes]]:
        async with receiver(lambda _: web.Response(status=204)) as (url, got):
            await office.deliver(Webhooks(lambda _: handing_on(url), SECRET, private=True))
            return got

    [(headers, body)] = asyncio.run(go())

    assert headers["traceparent"] == traceparent(spans.one("dateline.deliver"))
    assert "baggage" not in headers
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)


def handing_on(url: str) -> str:
    """Have the application hand something on, which is for its own programs only."""
    context.attach(baggage.set_baggage("user", "ann"))
    return url


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda n: web.Response(status=500 if n < 3 else 200), None),
        (lambda n: web.Response(status=410), ("dead", 1, "127.0.0.1 answers 410: it is gone")),
        (
            lambda n: web.Response(status=302, headers={"location": "/else"}),
            ("dead", 4, "DatelineError: 127.0.0.1 answers 302"),
        ),
        (lambda n: web.Response(status=404), ("dead", 4, "DatelineError: 127.0.0.1 answers 404")),
    ],
    ids=["500 and then 200", "gone", "redirected", "not found"],
)
def test_what_the_receiver_answers_is_what_becomes_of_it(
    office: Office, answer: Callable[[int], Any], state: Any
) -> None:
    office.write("ann")

    async def go() -> list[tuple[dict[str, str], bytes]]:
        async with receiver(answer) as (url, got):
            await office.deliver(Webhooks(url, SECRET, private=True))
            return got

    got = asyncio.run(go())

    assert office.states() == ([] if state is None else [state])
    assert len({headers["webhook-id"] for headers, _ in got}) == 1


def test_where_no_answer_comes_it_is_sent_again_under_the_same_id(office: Office) -> None:
    office.write("ann")

    async def slow(n: int) -> web.Response:
        await asyncio.sleep(0.5 if n == 1 else 0)
        return web.Response(status=200)

    async def go() -> list[tuple[dict[str, str], bytes]]:
        async with receiver(slow) as (url, got):
            await office.deliver(Webhooks(url, SECRET, private=True, timeout=timedelta(milliseconds=100)))
            return got

    got = asyncio.run(go())

    assert len(got) == 2
    assert got[0][0]["webhook-id"] == got[1][0]["webhook-id"]
    assert got[0][1] == got[1][1]
    assert office.states() == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9/", "127.0.0.1 is no public address"),
        ("http://10.0.0.8/", "10.0.0.8 is no public address"),
        ("http://169.254.169.254/latest", "169.254.169.254 is no public address"),
        ("http://[::1]/", "::1 is no public address"),
        ("http://[::ffff:10.0.0.8]/", "::ffff:a00:8 is no public address"),
        ("http://0.0.0.0/", "0.0.0.0 is no public address"),
        ("http://localhost:9/", "localhost is at"),
        ("ftp://example.org/", "that is no address of a webhook"),
    ],
)
def test_no_inner_address_is_called_by_number_or_by_name(office: Office, url: str, told: str) -> None:
    office.write("ann")

    asyncio.run(office.deliver(Webhooks(url, SECRET)))

    [(state, tries, detail)] = office.states()
    assert (state, tries) == ("dead", 1)
    assert detail is not None
    assert detail.startswith(told)


def test_an_address_may_depend_on_the_effect_and_who_wants_none_gets_none(office: Office) -> None:
    office.write("ann", "bob")

    async def go() -> list[str]:
        async with receiver(lambda _: web.Response(status=200)) as (url, got):
            sink = Webhooks(lambda one: url if one.payload["to"] == "ann" else None, SECRET, private=True)
            await office.deliver(sink)
            return [json.loads(body)["data"]["to"] for _, body in got]

    assert asyncio.run(go()) == ["ann"]
    assert (office.states(), office.references()) == ([], ["200", None])


def test_a_receiver_that_is_not_there_is_tried_again(office: Office) -> None:
    office.write("ann")

    asyncio.run(office.deliver(Webhooks("http://127.0.0.1:9/", SECRET, private=True)))

    assert office.states() == [("dead", 4, "DatelineError: no connection to 127.0.0.1")]
