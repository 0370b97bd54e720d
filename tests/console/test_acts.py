"""What is done through the console: only by a form that this server gave to that very person, once, and with the right for it."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from dateline import Actor, Relay, Runner, Settings, delivers
from dateline.console.site import Console
from dateline.errors import Undeliverable
from dateline.sql.standing import Queued
from tests.console.test_pages import HOSTILE, Page, Ward, prescribed, watched
from tests.web.hospital import RIGHTS, Tell

SECRET = "a secret of all servers"


@dataclass
class Desk:
    """Somebody at a browser, who keeps its rules: a form goes where it says, with its fields and its buttons."""

    ward: Ward
    headers: dict[str, str] = field(default_factory=lambda: {"sec-fetch-site": "same-origin"})

    def see(self, path: str, me: str = "chief") -> Page:
        return self.ward.page(path, me)

    def send(self, path: str, fields: Any, me: str = "chief", **headers: str) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.ward.client.port, timeout=20)
        host = f"127.0.0.1:{self.ward.client.port}"
        told = {
            "authorization": f"Bearer {me}",
            "content-type": "application/x-www-form-urlencoded",
            "origin": f"http://{host}",
            **self.headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).encode()
        try:
            connection.request("POST", f"/console{path}", body, {name: value for name, value in told.items() if value})
            found = connection.getresponse()
            return Page(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read().decode())
        finally:
            connection.close()

    def follow(self, found: Page, me: str = "chief") -> Page:
        assert found.status == 303, found.text
        return self.see(found.headers["location"].removeprefix("/console"), me)

    def permit(self, *of: str, me: str = "chief", at: datetime | None = None, secret: str = SECRET) -> str:
        """Return what a form would carry, as a server with the secret makes it."""
        tenant, _, name = me.rpartition("@")
        with Runner(
            self.ward.url,
            versions=self.ward.client.runner.versions,
            settings=Settings(secret=secret),  # type: ignore[arg-type]  # as the environment gives it
            clock=None if at is None else lambda: at,
        ) as runner:
            return runner.permit(*of, actor=Actor(name), tenant=tenant)


def form(found: Page, action: str) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    [text] = re.findall(rf'<form[^>]*action="/console{re.escape(action)}"[^>]*>(.*?)</form>', found.text, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))


@pytest.fixture
def desk(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setitem(RIGHTS, "chief", RIGHTS["chief"] | {"effects", "correct"})
    monkeypatch.setenv("DATELINE_SECRET", SECRET)
    with watched(sqlite_url) as ward:
        yield Desk(ward)


def dead(desk: Desk, patient: str = "ann", remark: str = "secret") -> Queued:
    """Return an effect that could not be delivered."""
    prescribed(desk.ward, remark, patient)

    @delivers(Tell)
    def tell(effect: Tell, delivery: Any) -> None:
        raise Undeliverable(HOSTILE)

    Relay(desk.ward.client.runner, tell).drain()
    [*_, queued] = desk.ward.client.runner.effects("dead")
    return queued


def acts(desk: Desk) -> dict[str, tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Return of each act a path, what its form is for, and what it holds."""
    key = dead(desk).key
    return {
        "effect": (f"/effects/{key}", ("effect", key), {"act": "retry", "reason": "it is mended"}),
    }


def recorded(desk: Desk) -> list[Any]:
    return [one.id for tenant in ("", "north") for one in desk.ward.client.runner.trail(tenant=tenant, limit=1000)]


@pytest.mark.parametrize("name", sorted(Console.ACTS))
def test_nothing_is_done_but_by_a_form_that_this_server_gave_to_that_very_person_for_that(
    desk: Desk, name: str
) -> None:
    found = acts(desk)
    assert set(found) == set(Console.ACTS)
    path, of, fields = found[name]
    before = recorded(desk)
    good = desk.permit(*of)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    kept = fields.get("again", False)

    forms = {
        "without one": "",
        "forged": good[:-3] + "AAA",
        "another's": desk.permit(*of, me="nurse"),
        "another tenant's": desk.permit(*of, me="north@chief"),
        "for something else": desk.permit("other", *of[1:]),
        "of something else": desk.permit(of[0], "elsewhere"),
        "of another server": desk.permit(*of, secret="another secret, as long"),
    }
    answers = {why: desk.send(path, {**fields, "permit": told}) for why, told in forms.items()}
    answers["twice"] = desk.send(path, {**fields, "permit": [good, good]})
    answers["no form"] = desk.send(path, b'{"permit": "x"}', content_type="application/json")
    answers["too large"] = desk.send(path, b"x=" + b"1" * 70_000) if not kept else answers["forged"]
    answers["too many"] = desk.send(path, "&".join(f"a{n}=" for n in range(1001)).encode())
    answers["no text"] = desk.send(path, b"permit=%ff")
    answers["late"] = desk.send(path, {**fields, "permit": desk.permit(*of, at=long_ago)})
    places = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example", "idempotency_key": "k"},
    ]
    answers |= {str(where): desk.send(path, {**fields, "permit": good}, **where) for where in places}

    assert {why: one.status for why, one in answers.items()} == {
        why: 400 if why in ("no form", "too many", "no text") else 413 if why == "too large" and not kept else 403
        for why in answers
    }
    assert all(one.headers["content-type"].startswith("text/html") for one in answers.values())
    assert "load it again" in answers["without one"].told
    assert recorded(desk) == before


@pytest.mark.parametrize("name", sorted(Console.ACTS))
def test_whoever_lacks_the_right_is_refused_and_so_is_another_tenant(desk: Desk, name: str) -> None:
    path, of, fields = acts(desk)[name]
    before = [one.id for one in desk.ward.client.runner.trail(outcome="committed", limit=1000)]

    lacks = desk.send(path, {**fields, "permit": desk.permit(*of, me="nurse")}, "nurse")
    elsewhere = desk.send(path, {**fields, "permit": desk.permit(*of, me="north@chief")}, "north@chief")

    assert lacks.status == 403
    assert "lacks the right" in lacks.told
    assert elsewhere.status in (404, 409)
    assert [one.id for one in desk.ward.client.runner.trail(outcome="committed", limit=1000)] == before


def test_the_effects_page_tells_what_is_not_done_and_why(desk: Desk) -> None:
    key = dead(desk).key

    told, nurse = desk.see("/effects").told, desk.see("/effects", "nurse").told

    for word in (
        f"tell dead {key}",
        "Tries 1",
        "onerror=alert(1)",
        "secret ann: 5 mg",
        "Retry: send it now",
        "patient:ann",
    ):
        assert word in told
    assert "Approve" not in told
    for word in ("secret ann", "Retry: send"):
        assert word not in nurse
    assert "need the right effects" in nurse
    assert desk.see("/effects?state=held").told.count("There are no such effects") == 1
    assert desk.see("/effects?kind=tell").told.count("tell dead") == 1
    assert desk.see("/effects?state=asleep").status == 400
    assert desk.see("/effects?after=x").status == 400


def test_what_is_dead_is_retried_with_a_reason_and_the_page_says_so(desk: Desk) -> None:
    key = dead(desk).key
    page = desk.see("/effects?state=dead")

    sent = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "retry", "reason": HOSTILE})
    then = desk.follow(sent)

    assert sent.headers["location"].startswith("/console/effects?state=dead&done=")
    assert f"Effect {key}, tell, is due again; recorded as event" in then.told
    [act] = desk.ward.client.runner.trail(kind="effect.retry")
    assert (act.actor.id, act.reason.text if act.reason else "", act.subjects) == ("chief", HOSTILE, ("patient:ann",))
    assert [one.state for one in desk.ward.client.runner.effects()] == ["retrying"]


def test_a_form_that_is_sent_twice_does_it_once(desk: Desk) -> None:
    key = dead(desk).key
    fields = {**form(desk.see("/effects"), f"/effects/{key}"), "act": "cancel"}

    first, second = (desk.send(f"/effects/{key}", fields) for _ in range(2))

    assert (first.status, second.headers["location"]) == (303, first.headers["location"])
    assert len(desk.ward.client.runner.trail(kind="effect.cancel")) == 1


def test_what_is_in_no_state_for_it_is_refused_in_words(desk: Desk) -> None:
    key = dead(desk).key
    page = desk.see("/effects")
    desk.ward.client.runner.cancel(key, actor=Actor("olga", rights=frozenset({"effects"})))

    late = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "retry"})
    other = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "burn"})

    assert (late.status, other.status) == (409, 400)
    assert f"effect {key} (tell) is cancelled; retried can be what is dead" in late.told


def test_effects_are_shown_page_by_page(desk: Desk) -> None:
    for number in range(22):
        prescribed(desk.ward, patient=f"p{number}")

    first = desk.see("/effects")
    [further] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    then = desk.see(further.removeprefix("/console").replace("&amp;", "&"))

    assert [page.text.count("<article") for page in (first, then)] == [20, 2]
    looked = desk.ward.client.runner.accesses(subject="patient:p21")
    assert [(one.view, one.door) for one in looked] == [("effects", "console")]
