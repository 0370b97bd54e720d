"""Browsers hear of what happens at once: what they may, in order, from any cursor on; and no longer than they may."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dateline import Actor, AsyncRunner, DatelineError
from dateline.web.live import Live
from tests.web.conftest import VERSIONS, Clean, Move, Ward

T = TypeVar("T")
CHIEF = Actor("chief", rights=frozenset({"effects"}))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 30))


def opened(ward: Ward, me: str = "nurse", **options: Any) -> Any:
    return connect(f"ws://{ward.address}/live?me={me}", **options)


async def subscribed(socket: ClientConnection, **asked: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "subscribe", "id": "1", **asked}))
    return await received(socket)


async def received(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message that is no sign of life."""
    while True:
        told: dict[str, Any] = json.loads(await socket.recv())
        if told["type"] != "heartbeat":
            return told


async def move(ward: Ward, patient: str, **given: Any) -> Any:
    return await asyncio.to_thread(ward.runner.dispatch, Move(patient=patient, ward="3"), actor="desk", **given)


def test_what_happens_is_heard_at_once_by_those_who_want_it(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward) as socket, opened(ward) as other:
            told = await subscribed(socket, subjects=["patient:ann"])
            assert (told["type"], told["id"]) == ("subscribed", "1")
            await subscribed(other, kinds=["clean"])
            began = time.monotonic()
            await move(ward, "bob")
            done = await move(ward, "ann")
            heard = await received(socket)
            assert time.monotonic() - began < 3
            assert (heard["type"], heard["id"], heard["event"]["id"]) == ("event", "1", str(done.event_id))
            assert heard["event"]["input"] == {"patient": "ann", "ward": "3", "note": "•••", "text": ""}
            await asyncio.to_thread(ward.runner.dispatch, Clean(ward="3"), actor="desk")
            assert (await received(other))["event"]["kind"] == "clean"

    run(go())


def test_what_becomes_of_effects_is_heard_too(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward) as socket:
            await subscribed(socket, subjects=["patient:ann"])
            done = await move(ward, "ann")
            await received(socket)
            await asyncio.to_thread(ward.runner.cancel, f"{done.seq}.0", actor=CHIEF)
            both = [await received(socket), await received(socket)]
            change = next(told["change"] for told in both if told["type"] == "change")
            assert (change["key"], change["state"], change["event"]) == (
                f"{done.seq}.0",
                "cancelled",
                str(done.event_id),
            )
            assert [told["event"]["kind"] for told in both if told["type"] == "event"] == ["effect.cancel"]

    run(go())


def test_personal_values_are_shown_to_those_with_the_right_alone(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward, "doctor") as doctor, opened(ward, "nurse") as nurse:
            await subscribed(doctor)
            await subscribed(nurse)
            await move(ward, "ann")
            assert (await received(doctor))["event"]["input"]["note"] == "secret"
            assert "secret" not in json.dumps(await received(nurse))

    run(go())


def test_who_hears_of_whom_is_on_record_before_they_do_and_once_a_connection(ward: Ward) -> None:
    def heard(subject: str) -> list[tuple[str, str, str, bool, str]]:
        found = ward.runner.accesses(subject=subject)
        return [(one.actor.id, one.door, one.view, one.unmasked, one.outcome) for one in found]

    async def go() -> None:
        await move(ward, "old")
        async with opened(ward) as socket, opened(ward, "doctor") as doctor:
            await subscribed(socket, subjects=["patient:ann", "patient:old"], after=None)
            assert (await received(socket))["event"]["input"]["patient"] == "old"
            await subscribed(doctor)
            for patient in ("ann", "ann", "bob"):
                await move(ward, patient)
            for _ in range(2):
                await received(socket)
            for _ in range(3):
                await received(doctor)
        nurse, other = ("nurse", "live", "feed", False, "shown"), ("doctor", "live", "feed", True, "shown")
        assert sorted(heard("patient:ann")) == [other, nurse]
        assert (heard("patient:bob"), heard("patient:old")) == ([other], [nurse])

    run(go())


def test_no_other_tenants_events_are_heard(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward, "north/nurse") as north, opened(ward) as own:
            await subscribed(north, after=None)
            await subscribed(own, after=None)
            await move(ward, "ann")
            await move(ward, "bob", tenant="north")
            assert (await received(north))["event"]["input"]["patient"] == "bob"
            assert (await received(own))["event"]["input"]["patient"] == "ann"

    run(go())


def test_behind_a_cursor_nothing_is_missed_and_nothing_comes_twice_also_over_a_restart(ward: Ward) -> None:
    async def go() -> None:
        heard: list[str] = []
        cursor: str | None = None
        for turn in range(4):
            async with opened(ward) as socket:
                await subscribed(socket, after=cursor)
                for number in range(3):
                    await move(ward, f"{turn}-{number}")
                # Of the last one it does not hear before it goes.
                for _ in range(2 if turn == 0 else 3):
                    told = await received(socket)
                    heard.append(told["event"]["input"]["patient"])
                    cursor = told["cursor"]
            await move(ward, f"{turn}-away") if turn == 0 else None
            if turn == 1:
                await asyncio.to_thread(ward.stop)
                await asyncio.to_thread(ward.start)
        async with opened(ward) as socket:
            await subscribed(socket, after=cursor)
            while len(heard) < 13:
                heard.append((await received(socket))["event"]["input"]["patient"])
        everything = [entry.input["patient"] for entry in ward.runner.trail()]
        assert heard == everything

    run(go())


def test_a_cursor_of_before_a_restore_is_told(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward) as socket:
            told = await subscribed(socket)
            await asyncio.to_thread(ward.runner.resume, actor=CHIEF)
            await socket.send(json.dumps({"type": "subscribe", "id": "2", "after": told["cursor"]}))
            # The first subscription is told too, where it had not begun to read yet.
            while (said := await received(socket))["id"] == "1":
                assert said["type"] in ("event", "other-incarnation")
            assert (said["type"], said["id"]) == ("other-incarnation", "2")

    run(go())


def test_nobody_connects_unknown_or_from_another_page(ward: Ward) -> None:
    async def go() -> None:
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(f"ws://{ward.address}/live"):
                pass
        with pytest.raises(InvalidStatus, match="403"):
            async with opened(ward, origin="https://evil.example.org"):
                pass
        async with opened(ward, origin=f"http://{ward.address}") as socket:
            assert (await subscribed(socket))["type"] == "subscribed"

    run(go())


def test_a_subscription_that_is_not_allowed_is_denied_and_so_is_what_is_none(ward: Ward) -> None:
    ward.allowed = {"patient:ann"}

    async def go() -> None:
        async with opened(ward) as socket:
            assert await subscribed(socket, subjects=["patient:bob"]) == {"type": "denied", "id": "1"}
            [tried] = ward.runner.accesses(subject="patient:bob")
            assert (tried.door, tried.outcome) == ("live", "denied")
            assert (await subscribed(socket, subjects=["patient:ann"]))["type"] == "subscribed"
            for text in ("nonsense", "[]", '{"type":"subscribe","id":7}', '{"type":"hello","id":"x"}'):
                await socket.send(text)
                assert (await received(socket))["type"] == "malformed", text
            await socket.send('{"type":"subscribe","id":"y","subjects":"patient:ann"}')
            assert (await received(socket))["detail"] == "subjects is a list of texts"
            await socket.send('{"type":"subscribe","id":"y","after":"12"}')
            assert "'12' is no cursor" in (await received(socket))["detail"]

    run(go())


@pytest.mark.parametrize("ward", [{"recheck": timedelta(milliseconds=300)}], indirect=True)
def test_who_may_no_longer_is_told_so_when_it_is_asked_again(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward) as socket:
            await subscribed(socket)
            ward.allowed = {"patient:nobody"}
            await asyncio.to_thread(ward.runner.dispatch, Clean(ward="1"), actor="desk")
            ward.allowed = set()
            await asyncio.sleep(0.1)
            ward.authorise = lambda caller, wanted: False  # type: ignore[method-assign]  # the hospital changed its mind
            assert ward.live is not None
            ward.live._authorise = ward.authorise
            while (told := await received(socket))["type"] == "event":
                pass
            assert told == {"type": "denied", "id": "1"}

    run(go())


def test_who_is_revoked_is_gone_within_a_second(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward, "leaving") as socket, opened(ward, "staying") as other:
            await subscribed(socket)
            await subscribed(other)
            assert ward.live is not None
            began = time.monotonic()
            assert await asyncio.to_thread(_revoked, ward, "leaving") == 1
            assert (await received(socket))["type"] == "revoked"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert time.monotonic() - began < 1
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4003
            await move(ward, "ann")
            assert (await received(other))["type"] == "event"

    run(go())


def _revoked(ward: Ward, actor: str) -> int:
    assert ward.live is not None
    loop = next(iter(ward.live._open))._loop  # type: ignore[attr-defined]  # the server's, in which it is to be said
    made: asyncio.Future[int] = asyncio.run_coroutine_threadsafe(_say(ward.live, actor), loop)  # type: ignore[assignment]
    return made.result(5)  # type: ignore[call-arg]  # of concurrent.futures


async def _say(live: Live, actor: str) -> int:
    return live.revoke(actor)


def test_a_client_that_takes_nothing_is_let_go_and_nobody_else_waits_for_it(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dateline.web.hub.BUFFER", 5)
    ward.stop()
    ward.start()

    async def go() -> None:
        async with (
            opened(ward, max_queue=1, max_size=None, compression=None) as slow,
            opened(ward, max_size=None) as quick,
        ):
            await subscribed(slow)
            await subscribed(quick)
            slow.transport.pause_reading()
            long = "x" * 500_000
            for number in range(60):
                await asyncio.to_thread(
                    ward.runner.dispatch, Move(patient=str(number), ward="3", text=long), actor="desk"
                )
                assert (await received(quick))["event"]["input"]["patient"] == str(number)
            assert ward.live is not None
            ends = time.monotonic() + 10
            while len(ward.live._open) > 1:
                assert time.monotonic() < ends
                await asyncio.sleep(0.05)
            slow.transport.abort()

    run(go())


def test_server_sent_events_tell_the_same_and_go_on_behind_the_last(ward: Ward) -> None:
    async def go() -> None:
        await move(ward, "ann")
        await move(ward, "bob")

    run(go())

    def read(events: int, after: str = "", header: str | None = None) -> list[dict[str, Any]]:
        request = urllib.request.Request(f"http://{ward.address}/live/events?me=nurse&kind=move&after={after}")
        if header is not None:
            request.add_header("Last-Event-ID", header)
        found: list[dict[str, Any]] = []
        id = ""
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer:
                text = line.decode().rstrip("\n")
                id = text.removeprefix("id: ") if text.startswith("id: ") else id
                if text.startswith("data: "):
                    found.append({**json.loads(text.removeprefix("data: ")), "last": id})
                    if len(found) == events:
                        return found
        return found

    first, second = read(2)
    assert [one["event"]["input"]["patient"] for one in (first, second)] == ["ann", "bob"]
    assert first["cursor"] == first["last"]
    assert read(1, header=first["last"]) == [second]
    for query, status in (("", 401), ("?me=nurse&after=12", 400)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{ward.address}/live/events{query}", timeout=10)
        assert refused.value.code == status
        refused.value.close()
    ward.allowed = set()
    with pytest.raises(urllib.error.HTTPError) as denied:
        urllib.request.urlopen(f"http://{ward.address}/live/events?me=nurse&subject=patient:ann", timeout=10)
    assert denied.value.code == 403
    denied.value.close()


def test_a_name_of_another_door_is_refused_and_does_not_have_everything_told(ward: Ward) -> None:
    for query, mend in (("subjects=patient:ann", "subject="), ("kinds=move", "kind="), ("cursor=now", "after=")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{ward.address}/live/events?me=nurse&{query}", timeout=5)
        assert (refused.value.code, mend in refused.value.read().decode()) == (400, True)
        refused.value.close()


def test_without_somebody_who_authorises_it_does_not_begin(sqlite_url: str) -> None:
    async def go() -> None:
        async with AsyncRunner(sqlite_url, versions=VERSIONS) as runner:
            with pytest.raises(DatelineError, match="pass authenticate=, which tells who that is, and authorise="):
                Live(runner, authenticate=lambda connection: None)

    run(go())


def test_a_process_that_ends_lets_everybody_go_so_that_they_connect_again(ward: Ward) -> None:
    async def go() -> None:
        assert ward.live is not None
        async with opened(ward) as socket:
            await subscribed(socket)
            stream = await asyncio.to_thread(urllib.request.urlopen, f"http://{ward.address}/live/events?me=nurse")
            assert await asyncio.to_thread(stream.readline) == b": here\n"

            ward.live.end()

            assert [
                line for line in await asyncio.to_thread(stream.readlines) if not line.startswith((b":", b"\n"))
            ] == []
            stream.close()
            assert (await received(socket))["type"] == "ending"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        async with opened(ward) as late:
            assert (await received(late))["type"] == "ending"

    run(go())


def test_what_is_no_message_is_said_to_be_none_and_the_connection_goes_on(ward: Ward) -> None:
    async def go() -> None:
        async with opened(ward) as socket:
            for message in (b"\x00", "[" * 60_000, '{"type":"subscribe","id":"1","subjects":["\\ud800"]}'):
                await socket.send(message)
                assert (await received(socket))["type"] == "malformed"
            assert (await subscribed(socket))["type"] == "subscribed"

    run(go())


def test_a_page_of_an_origin_that_is_none_is_refused(ward: Ward) -> None:
    async def go() -> None:
        with pytest.raises(InvalidStatus) as refused:
            await opened(ward, origin="http://[")
        assert refused.value.response.status_code == 403

    run(go())
    request = urllib.request.Request(f"http://{ward.address}/live/events?me=nurse", headers={"origin": "http://["})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    refused.value.close()


def test_a_subscription_that_fails_ends_its_connection_so_that_the_client_connects_again(ward: Ward) -> None:
    async def go() -> None:
        await move(ward, "ann")
        with ward.runner.engine.connect() as connection:
            connection.execute(text("ALTER TABLE dateline_access RENAME TO gone"))

        async with opened(ward) as socket:
            assert (await subscribed(socket, after=None))["type"] == "subscribed"
            assert (await received(socket))["type"] == "ending"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        stream = await asyncio.to_thread(urllib.request.urlopen, f"http://{ward.address}/live/events?me=nurse&after=")
        assert not any(line.startswith(b"data") for line in await asyncio.to_thread(stream.readlines))
        stream.close()

    run(go())
