"""`dateline serve`, as somebody types it: an API, a live feed and a relay in one process, which loses nothing when it is told to end."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dateline import Runner
from tests.cli.conftest import ENVIRONMENT, Ran

INN = """
import asyncio
import os

from dateline import Actor, AsyncDelivery, AsyncRunner, Effect, Event, Runner, Versions, Yields, delivers, handler
from dateline.web.caller import Caller

URL = os.environ.get("DATELINE_DATABASE", "sqlite:///inn.db")


class Wake(Effect, kind="wake", key="{room}"):
    room: str


class Arrive(Event, kind="arrive", subjects=("room:{room}",)):
    room: str


class Close(Event, kind="close", requires="keys"):
    room: str


@handler
def arrive(event: Arrive) -> Yields[Wake]:
    yield Wake(room=event.room)


VERSIONS = Versions.of({"2024-01-01": [Arrive, Close, arrive]})


@delivers(Wake)
async def wake(effect: Wake, delivery: AsyncDelivery) -> None:
    with open("begun.txt", "a") as begun:
        begun.write(f"{effect.room} ")
    await asyncio.sleep(3 if effect.room == "slow" else 0)
    with open("woken.txt", "a") as woken:
        woken.write(f"{effect.room} ")


def runner():
    return AsyncRunner(URL, versions=VERSIONS)


def plain():
    return Runner(URL, versions=VERSIONS)


def needy(url):
    return plain()


async def awaited():
    return runner()


def in_memory():
    return Runner("sqlite://", versions=VERSIONS)


async def authenticate(connection):
    who = connection.headers.get("x-who")
    if who == "slow":
        with open("asked.txt", "a") as asked:
            asked.write("slow ")
        await asyncio.sleep(1)
    return None if who is None else Caller(Actor(who), tenant=connection.headers.get("x-house", ""))


def authorise(caller, wanted):
    return wanted.subjects == ("room:1",)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def inn(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of a database with a trail, in whose application's folder one stands."""
    url = "sqlite:///inn.db" if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATELINE_DATABASE", url)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("inn.py").write_text(INN)
    sys.modules.pop("inn", None)
    import inn  # type: ignore[import-not-found]  # written a moment ago

    with Runner(url, versions=inn.VERSIONS) as runner:
        runner.migrate()
    return url


ON_SQLITE = pytest.mark.parametrize("inn", ["sqlite"], indirect=True)


@dataclass
class Server:
    """A process that serves, and what it told of itself."""

    process: subprocess.Popen[str]
    told: Any

    def ask(self, path: str, body: Any = None, token: str | None = "", **headers: str) -> tuple[int, Any]:
        """Send a request, with the server's own token unless another is told, and return the answer's status and what it holds."""
        given = self.told["token"] if token == "" else token
        known = {"Authorization": f"Bearer {given}"} if given is not None else {}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.told['address']}{path}", data, known)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                # A stream has no end.
                streams = answer.headers["content-type"].startswith("text/event-stream")
                return answer.status, None if streams else json.load(answer)
        except urllib.error.HTTPError as refused:
            text = refused.read()
            return refused.code, json.loads(text) if text.startswith(b"{") else text.decode()

    def arrive(self, room: str, **headers: str) -> tuple[int, Any]:
        return self.ask("/events/arrive", {"input": {"room": room}}, **{"idempotency_key": f"k-{room}", **headers})

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to end; return its exit status and what it complained of."""
        self.process.send_signal(sign)
        _, complaints = self.process.communicate(timeout=40)
        return self.process.returncode, complaints


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dateline.cli.main", "serve", "--port", "0", *arguments]
    environment = {**os.environ, **ENVIRONMENT, "DATELINE_DATABASE": os.environ["DATELINE_DATABASE"]}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    process = started("--json", *arguments)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=20)
        yield Server(process, json.loads(line))
    finally:
        process.kill()
        process.communicate()


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def written(name: str) -> str:
    return Path(name).read_text() if Path(name).exists() else ""


def test_one_process_dispatches_tells_and_delivers(inn: str) -> None:
    with serving("--app", "inn:runner", "--deliveries", "inn") as server:

        async def heard() -> Any:
            url = f"ws://127.0.0.1:{server.told['port']}/live"
            known = {"Authorization": f"bearer {server.told['token']}"}
            async with connect(url, additional_headers=known) as socket_:
                await socket_.send(json.dumps({"type": "subscribe", "id": "1", "subjects": ["room:7"]}))
                assert json.loads(await socket_.recv())["type"] == "subscribed"
                assert (await asyncio.to_thread(server.arrive, "7"))[0] == 201
                told = [json.loads(await socket_.recv()) for _ in range(2)]
                return [told[0]["event"]["kind"], told[1]["change"]["state"]]

        assert asyncio.run(asyncio.wait_for(heard(), 20)) == ["arrive", "delivered"]
        assert written("woken.txt") == "7 "
        # All rights there are: the framework's and the application's.
        assert server.ask("/events/close", {"input": {"room": "7"}}, idempotency_key="k")[0] == 201
        late = {"input": {"room": "8"}, "at": "2024-07-01T09:30:00Z", "reason": "forgotten"}
        assert server.ask("/events/arrive", late, idempotency_key="l")[0] == 201
        until(lambda: server.ask("/readyz")[1]["checks"]["feed"]["pending"] == 0)
        assert server.ask("/readyz", token=None)[1]["status"] == "ready"
        assert server.ask("/healthz", token=None) == (200, {"status": "ok"})
        told = server.told
        assert told["address"] == f"http://127.0.0.1:{told['port']}"
        assert {**told, "address": "", "port": 0, "token": ""} == {
            "address": "",
            "host": "127.0.0.1",
            "port": 0,
            "token": "",
            "delivers": ["wake"],
            "routes": {
                "api": "/events",
                "console": "/console/",
                "description": "/openapi.json",
                "events": "/live/events",
                "health": "/healthz",
                "live": "/live",
                "ready": "/readyz",
            },
        }
        assert server.stop() == (0, "")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_when_it_is_told_to_end_is_finished_and_nothing_is_lost(
    inn: str, sign: signal.Signals
) -> None:
    with (
        ThreadPoolExecutor(2) as pool,
        serving("--app", "inn:runner", "--deliveries", "inn:wake", "--authenticate", "inn:authenticate") as server,
    ):
        assert server.arrive("slow", x_who="desk")[0] == 201
        until(lambda: written("begun.txt") == "slow ")
        request = pool.submit(server.arrive, "9", x_who="slow")
        until(lambda: written("asked.txt") == "slow ")
        stream = urllib.request.urlopen(
            urllib.request.Request(f"{server.told['address']}/live/events", headers={"x-who": "desk"}), timeout=20
        )
        assert stream.readline() == b": here\n"

        async def ended() -> tuple[float, int]:
            url = f"ws://127.0.0.1:{server.told['port']}/live"
            async with connect(url, additional_headers={"x-who": "desk"}) as socket_:
                await socket_.send(json.dumps({"type": "subscribe", "id": "1"}))
                await socket_.recv()
                server.process.send_signal(sign)
                began = time.monotonic()
                with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - signs of life may come before
                    while True:
                        await socket_.recv()
                assert closed.value.rcvd is not None
                return time.monotonic() - began, closed.value.rcvd.code

        took, code = asyncio.run(asyncio.wait_for(ended(), 20))
        assert (took < 1, code) == (True, 1012)
        assert not any(line.startswith(b"data") for line in stream)
        assert (written("woken.txt"), request.done()) == ("", False)
        stream.close()

        status, done = request.result(20)
        assert (status, done["kind"], written("woken.txt")) == (201, "arrive", "")
        assert server.process.wait(20) == 0
        assert written("woken.txt") == "slow "
        with pytest.raises(urllib.error.URLError):
            server.ask("/healthz")

    import inn as application

    with Runner(inn, versions=application.VERSIONS) as runner:
        kept = {entry.input["room"]: [one.state for one in entry.effects] for entry in runner.trail(kind="arrive")}
    # Delivered by whoever serves next.
    assert kept == {"slow": ["delivered"], "9": ["due"]}


@ON_SQLITE
def test_without_authenticate_nobody_is_served_but_who_has_the_token_on_this_machine(inn: str) -> None:
    with serving("--app", "inn:plain", "--prefix", "api/") as server:
        assert server.ask("/api/kinds")[0] == 200
        for wrong in (None, "", "x", server.told["token"][:-1], f"{server.told['token']}x", "\xff"):
            status, problem = server.ask("/api/kinds", token=wrong or None)
            assert (status, problem["type"]) == (401, "urn:problem-type:dateline:unauthenticated"), wrong
        assert server.ask("/api/kinds", token=None, authorization=f"Basic {server.told['token']}")[0] == 401
        assert server.ask("/api/live/events", token=None) == (401, "who are you?\n")

        for host in ("localhost", "localhost:80", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"):
            assert server.ask("/api/kinds", host=host)[0] == 200, host
        for host in (
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8000",
            "10.0.0.1",
            "[fe80::1]:1",
        ):
            assert server.ask("/api/kinds", host=host) == (
                421,
                "this is served to this machine alone, as localhost\n",
            ), host
        assert server.ask("/healthz", host="evil.example")[0] == 421

        async def knocked() -> None:
            url = f"ws://127.0.0.1:{server.told['port']}/api/live"
            known = {"Authorization": f"Bearer {server.told['token']}", "Host": "evil.example"}
            async with connect(url, additional_headers=known):
                pass

        with pytest.raises(InvalidStatus, match="421"):
            asyncio.run(knocked())


@ON_SQLITE
def test_an_application_that_knows_its_callers_is_asked_who_they_are_and_what_they_may_hear(inn: str) -> None:
    asked = ("--authenticate", "inn:authenticate", "--authorise", "inn:authorise")
    with serving("--app", "inn:runner", *asked) as server:
        assert server.told["token"] is None
        assert server.ask("/kinds")[0] == 401
        assert server.arrive("1", x_who="ann", x_house="north")[0] == 201
        assert server.ask("/subjects/room:1/events", x_who="bob", x_house="south")[1]["events"] == []
        [one] = server.ask("/subjects/room:1/events", x_who="bob", x_house="north")[1]["events"]
        assert one["actor"]["id"] == "ann"
        assert server.ask("/events/close", {"input": {"room": "1"}}, x_who="ann", idempotency_key="k")[0] == 403
        assert server.ask("/live/events", x_who="ann") == (403, "not for you\n")
        with urllib.request.urlopen(
            urllib.request.Request(f"{server.told['address']}/live/events?subject=room:1", headers={"x-who": "ann"})
        ) as stream:
            assert stream.readline() == b": here\n"
        # Other names are the business of whoever stands before it.
        assert server.ask("/healthz", host="inn.example") == (200, {"status": "ok"})


@ON_SQLITE
def test_a_person_is_told_where_it_is_and_gets_a_line_to_paste(inn: str) -> None:
    process = started("--app", "inn:runner")
    try:
        assert process.stdout is not None
        lines = []
        while "Ctrl-C ends it.\n" not in lines:
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate(timeout=20)
        [where] = [line.rpartition(" ")[2].strip() for line in lines if "is served at" in line]
        [curl] = [line for line in lines if line.startswith("  curl ")]
        _, flag, header, url = shlex.split(curl)
        assert (flag, url) == ("-H", f"{where}/kinds")
        request = urllib.request.Request(url, headers=dict([header.split(": ")]))
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200
        assert (
            "  relay   none: nobody delivers effects here; --deliveries MODULE has one run\n" in lines,
            [line.partition("enter")[0].strip() for line in lines if header.rpartition(" ")[2] in line],
        ) == (True, [curl.strip(), f"{where}/console/"])
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), process.stderr and process.stderr.read()) == (0, "")
    finally:
        process.kill()
        process.communicate()


def browsed(server: Server, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Return what a browser gets that follows nothing by itself."""
    connection = http.client.HTTPConnection("127.0.0.1", server.told["port"], timeout=20)
    try:
        method = headers.pop("method", "GET")
        body = headers.pop("body", None)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        found = connection.getresponse()
        return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read().decode()
    finally:
        connection.close()


@ON_SQLITE
def test_a_browser_comes_in_by_the_address_that_was_shown_and_keeps_a_cookie_that_no_other_site_can_use(
    inn: str,
) -> None:
    with serving("--app", "inn:runner") as server:
        token, port = server.told["token"], server.told["port"]
        status, headers, text = browsed(server, f"/console/enter?token={token}")
        cookie, _, told = headers["set-cookie"].partition("; ")

        assert (status, headers["location"], text) == (303, "/console/", "")
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert sorted(told.split("; ")) == ["HttpOnly", "Path=/console", "SameSite=strict"]
        # What listens at another port of this machine is sent the cookie too.
        assert cookie.startswith(f"dateline-{port}=")
        assert token not in cookie
        assert browsed(server, "/console/", cookie=cookie, sec_fetch_site="none")[0] == 200
        assert browsed(server, "/console/kinds", cookie=cookie, sec_fetch_site="same-origin")[0] == 200
        assert browsed(server, "/console/kinds", authorization=f"Bearer {token}")[0] == 200

        for wrong in ("", "?token=", f"?token={token}x", "?token=%C3%BF"):
            status, headers, _ = browsed(server, f"/console/enter{wrong}")
            assert (status, headers.get("set-cookie")) == (401, None), wrong
        assert browsed(server, "/console/")[0] == 401
        assert browsed(server, "/console/", cookie=f"dateline-{port}={token}")[0] == 401
        assert browsed(server, f"/console/enter?token={token}", host="evil.example")[0] == 421
        send = {"method": "POST", "body": '{"input": {"room": "1"}}', "idempotency_key": "k"}
        elsewhere: list[dict[str, str]] = [
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"origin": "http://localhost:1"},
            {"origin": "null"},
        ]
        for other in elsewhere:
            assert browsed(server, "/console/", cookie=cookie, **other)[0] == 401, other
            assert browsed(server, "/events/arrive", cookie=cookie, **send, **other)[0] == 401, other
        ours = {"cookie": cookie, "origin": f"http://127.0.0.1:{port}", "sec_fetch_site": "same-origin"}
        assert browsed(server, "/events/arrive", **send, **ours)[0] == 201


@ON_SQLITE
def test_pages_are_for_whom_the_application_knows(inn: str) -> None:
    with serving("--app", "inn:runner", "--authenticate", "inn:authenticate", "--prefix", "/api") as server:
        assert browsed(server, "/console/")[0] == 401
        assert browsed(server, "/console/enter?token=None")[0] == 404
        status, _, text = browsed(server, "/console/kinds", x_who="ann")
        assert (status, 'href="/console/console.css"' in text) == (200, True)


@ON_SQLITE
def test_the_log_has_a_line_for_each_request_where_that_is_asked_for(inn: str) -> None:
    with serving("--app", "inn:runner", "--log", "info") as server:
        assert server.arrive("3")[0] == 201
        status, complaints = server.stop()
    [line] = [json.loads(line) for line in complaints.splitlines() if "arrive" in line]
    # The first is where the caller was pinned.
    assert (status, line["event"], line["kind"], line["seq"]) == (0, "committed", "arrive", 2)


def test_a_relay_that_cannot_go_on_takes_the_process_with_it(inn: str) -> None:
    with serving("--app", "inn:runner", "--deliveries", "inn") as server:
        if inn.startswith("sqlite"):
            import sqlite3

            with sqlite3.connect("inn.db", timeout=20) as file:
                file.execute("DROP TABLE dateline_delivery")
        else:
            with psycopg.connect(inn.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("DROP TABLE dateline_delivery")
        _, complaints = server.process.communicate(timeout=30)
    assert (server.process.returncode, complaints.startswith("dateline: the trail's tables are missing or old")) == (
        *(2, True),
    )


@ON_SQLITE
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["motel:runner"], "'motel:runner' is not there: No module named 'motel'; write --app module:name"),
        (["inn:nobody"], "'inn:nobody' is not there: module 'inn' has no attribute 'nobody'; write --app module:name"),
        (
            ["broken:runner"],
            "'broken:runner' is not there: invalid syntax (broken.py, line 1); write --app module:name",
        ),
        (
            ["inn:VERSIONS"],
            "inn:VERSIONS is no AsyncRunner or Runner, nor a function without arguments that makes one, but",
        ),
        (
            ["inn:needy"],
            "inn:needy is no AsyncRunner or Runner, nor a function without arguments that makes one, but f",
        ),
        (
            ["inn:awaited"],
            "inn:awaited is no AsyncRunner or Runner, nor a function without arguments that makes one, but",
        ),
        (["inn"], "inn is no AsyncRunner or Runner, nor a function without arguments that makes one, but module"),
        (
            ["inn:in_memory"],
            "inn:in_memory keeps its trail in memory, where nobody else sees it; name a file: sqlite:///",
        ),
        (
            ["inn:runner", "--host", "0.0.0.0"],
            "0.0.0.0 can be reached from elsewhere, and nobody tells who calls: pass --authenticate module:name, or stay",
        ),
        (
            ["inn:runner", "--host", "192.0.2.1"],
            "192.0.2.1 can be reached from elsewhere, and nobody tells who calls: ",
        ),
        (
            ["inn:runner", "--host", "192.0.2.1", "--authenticate", "inn:authenticate"],
            "nobody can listen at port 0 of 192.0.2.1 here: ",
        ),
        (
            ["inn:runner", "--authenticate", "inn:who"],
            "'inn:who' is not there: module 'inn' has no attribute 'who'; write",
        ),
        (
            ["inn:runner", "--authenticate", "inn:URL"],
            "inn:URL is no function that tells of a request who sends it, but s",
        ),
        (
            ["inn:runner", "--authorise", "inn:URL"],
            "inn:URL is no function that tells of a caller and of what they want w",
        ),
        (
            ["inn:runner", "--deliveries", "post"],
            "'post' is not there: No module named 'post'; write --deliveries module:",
        ),
        (["inn:runner", "--deliveries", "inn:plain"], "<function plain at "),
        (
            ["inn:runner", "--deliveries", "json"],
            "nobody delivers wake (Wake); write @delivers(Wake) above a function of ",
        ),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(
    inn: str, dateline: Callable[..., Ran], arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATELINE_DATABASE", inn)
    Path("broken.py").write_text("def")

    ran = dateline("serve", "--port", "0", "--app", *arguments)

    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"dateline: {told}"), ran.err


@ON_SQLITE
def test_a_port_that_is_taken_and_a_database_without_a_trail_are_told_in_a_line(
    inn: str, dateline: Callable[..., Ran]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = dateline("serve", "--app", "inn:runner", "--port", str(port))
    way_out = f"end who listens there, or choose another: --port {port + 1}, or 0 for any"
    assert ran == Ran(2, "", f"dateline: port {port} of 127.0.0.1 is taken; {way_out}\n")

    Path("inn.db").rename("other.db")
    ran = dateline("serve", "--app", "inn:runner", "--port", "0")
    assert ran == Ran(2, "", "dateline: there is no file inn.db; run `dateline migrate --database sqlite:///inn.db`\n")
    assert not Path("inn.db").exists()

    Path("inn.db").touch()
    ran = dateline("serve", "--app", "inn:runner", "--port", "0")
    assert ran.err.startswith(
        "dateline: the trail's tables are missing or old: run `dateline migrate`, or call runner.mi"
    )
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_what_serving_needs_and_is_not_here_is_told(tmp_path: Path) -> None:
    # As in an installation without the extra.
    program = (
        "import sys; sys.modules['uvicorn'] = None; from dateline.cli.main import main; main(['serve', '--app', 'a:b'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (
        2,
        "dateline: serving needs packages that are not here (uvicorn): pip install 'dateline[web]'\n",
    )
