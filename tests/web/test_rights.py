"""Each route is tried without each right that it needs, and with another tenant's caller; and shows no canary to whom it may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from dateline.web.api import Api
from tests.web.hospital import NEW, OLD, Client, hospital
from tests.web.test_accesses import WAYS

NEEDS = {
    "backdate": ("dispatch", "POST", "/api/events/admit", {"at": "2020-01-01T00:00:00Z", "reason": "x"}),
    "close": ("dispatch", "POST", "/api/events/close", {}),
    "close, previewed": ("preview", "POST", "/api/events/close/preview", {}),
    "close, looked at": ("state", "GET", "/api/kinds/close/state?patient=ann", None),
    "correct": ("correct", "POST", "/api/events/{id}/correct", {"input": {"dose_mg": 6}}),
    "audit": ("accesses", "GET", "/api/subjects/patient:ann/accesses", None),
    "pin": ("pin", "PUT", "/api/pins/nurse", {"version": OLD}),
}
"""For each right, the route that needs it and a request that does."""


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with hospital(url) as found:
        yield found


def test_every_right_has_a_route_that_is_tried_without_it() -> None:
    assert {name for name, *_ in NEEDS.values()} == {"dispatch", "preview", "state", "correct", "accesses", "pin"}
    assert {name for name, *_ in NEEDS.values()} <= set(Api.ROUTES)


@pytest.mark.parametrize("right", NEEDS)
def test_without_the_right_nothing_happens_and_the_try_is_on_record(client: Client, right: str) -> None:
    client.admit()
    id = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}}).told["event"]
    before = len(client.events(outcome="committed"))
    _, method, path, asked = NEEDS[right]
    body: Any = asked
    if body is not None and path.startswith(("/api/events/admit", "/api/events/close")):
        body = {"input": {"patient": "ann", **({"name": "x"} if "admit" in path else {})}, **body}

    found = client.ask(method, path.replace("{id}", id), body, idempotency_key=uuid4().hex)

    assert (found.status, found.word) == (403, "denied")
    assert right.partition(",")[0] in json.dumps(found.told)
    assert len(client.events(outcome="committed")) == before
    # What would have written is an event; what would have shown, an access.
    tries = [entry for entry in client.runner.trail() if entry.outcome == "denied"]
    looks = [one for one in client.runner.accesses(actor="nurse") if one.outcome in ("denied", "shown")]
    assert tries or looks


def test_with_another_tenants_caller_no_route_shows_or_changes_anything(client: Client) -> None:
    client.admit(me="north@doctor")
    id = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}}, me="north@doctor").told["event"]
    shown = {}
    for name, (method, path, body) in WAYS.items():
        for me in ("south@doctor", "south@auditor", "doctor"):
            found = client.ask(method, path.replace("{id}", id), body, me=me)
            assert "secret" not in json.dumps(found.told), (name, me)
            shown[name] = found.status
    assert shown == {
        "event": 404,
        "timeline": 200,
        "history": 200,
        "row": 404,
        "state": 200,
        "preview": 404,
        "replay": 404,
        "diff": 404,
        "correct": 404,
        "accesses": 403,
    }


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_canary_in_each_personal_field_appears_on_no_route_for_whom_it_is_not(client: Client, version: str) -> None:
    """Planted in input, rows, effects and the reason's side of it; looked for in each answer's every byte, headers too."""
    client.admit("bob", me="north@nurse")
    client.send("word", {"input": {"patient": "ann", "words": "secret words"}})
    client.admit()
    field: Any = {OLD: {"dose": "5 mg", "note": "secret note"}, NEW: {"dose_mg": 5, "remark": "secret note"}}[version]
    body = {"input": {"patient": "ann", **field}}
    made = client.send("prescribe", body, me=f"nurse/{version}")
    assert (made.status, "secret" in json.dumps(made.told)) == (201, False)
    id = made.told["event"]
    requests: dict[str, tuple[str, str, Any]] = {
        **WAYS,
        "preview": ("POST", "/api/events/prescribe/preview", body),
        "versions": ("GET", "/api/versions?impact=100", None),
        "kinds": ("GET", "/api/kinds", None),
        "kind": ("GET", "/api/kinds/word", None),
        "changelog": ("GET", "/api/changelog", None),
        "openapi": ("GET", "/api/openapi.json", None),
        "dispatch": ("POST", "/api/events/prescribe", {**body, "expects": {"patient/ann": {"doses": "x"}}}),
        "pin": ("PUT", "/api/pins/x", {"version": OLD}),
    }
    assert requests.keys() == Api.ROUTES.keys()

    for name, (method, path, sent) in requests.items():
        for me in ("nurse", "auditor", "operator", "chief"):
            found = client.ask(
                method, path.replace("{id}", id), sent, me=f"{me}/{version}", idempotency_key=uuid4().hex
            )
            visible = "secret" in json.dumps([found.told, found.headers])
            assert not visible or me == "chief", (name, me, found.told)


def test_each_path_tells_which_methods_it_knows(client: Client) -> None:
    told = {
        path: client.ask("OPTIONS", f"/api{path}").headers["allow"]
        for path in ("/events/x", "/events/x/preview", "/kinds", "/pins/x")
    }

    assert {path: sorted(allow.split(", ")) for path, allow in told.items()} == {
        "/events/x": ["GET", "HEAD", "POST"],
        "/events/x/preview": ["POST"],
        "/kinds": ["GET", "HEAD"],
        "/pins/x": ["PUT"],
    }


def test_no_guess_of_a_personal_value_is_told_to_be_right_or_wrong(client: Client) -> None:
    client.admit()
    seen = client.ask("GET", "/api/kinds/prescribe/state?patient=ann", me="doctor").told["fingerprints"]
    body = {"input": {"patient": "ann", "dose_mg": 5}}
    guesses = [{"patient/ann": {"name": name}} for name in (seen["patient/ann"]["name"], "0" * 64)]

    found = [
        ask("prescribe", {**body, "expects": guess})
        for guess in guesses
        for ask in (client.send, lambda kind, body: client.ask("POST", f"/api/events/{kind}/preview", body))
    ]

    assert [(one.status, one.word) for one in found] == [(403, "denied")] * 4
    assert [one.told["detail"] for one in found] == [found[0].told["detail"]] * 4
    tries = [(one.view, one.outcome) for one in client.runner.accesses(actor="nurse")]
    assert tries == [("fingerprint", "denied")] * 4
    assert client.send("prescribe", {**body, "expects": seen}, me="doctor").status == 201


def test_what_a_record_alone_calls_personal_is_hidden_in_what_is_decided_anew_too(client: Client) -> None:
    id = client.admit().told["event"]
    asked: list[tuple[str, Any]] = [
        (f"/api/events/{id}/replay", {}),
        (f"/api/events/{id}/diff", {"base": OLD, "version": NEW, "input": {"patient": "bob"}}),
        (f"/api/events/{id}/correct", {"input": {"patient": "bob"}, "preview": True}),
        ("/api/events/admit/preview", {"input": {"patient": "eve", "name": "secret eve"}}),
    ]

    found = [(path, me, client.ask("POST", path, body, me=me)) for path, body in asked for me in ("nurse", "doctor")]

    assert {answer.status for *_, answer in found} == {200}
    hidden = [path for path, me, answer in found if me == "nurse" and "secret" in json.dumps(answer.told)]
    assert hidden == []
    assert "secret" in json.dumps(found[1][2].told)


def test_no_difference_tells_whether_a_guess_of_what_was_asked_is_right(client: Client) -> None:
    id = client.admit().told["event"]

    for name in ("secret ann", "another"):
        for route, more in (("diff", {}), ("correct", {"preview": True}), ("correct", {})):
            found = client.ask("POST", f"/api/events/{id}/{route}", {"input": {"name": name}, **more})
            assert (found.status, found.word) == (403, "denied")
    tries = [(one.view, one.outcome, one.subject) for one in client.runner.accesses(actor="nurse")]
    assert tries == [("diff", "denied", "patient:ann")] * 6
    corrected = client.ask("POST", f"/api/events/{id}/correct", {"input": {"name": "Ann"}, "reason": "x"}, me="auditor")
    assert (corrected.status, corrected.told["number"]) == (200, 1)
    assert client.ask("POST", f"/api/events/{id}/diff", {"input": {"name": "Ann"}}, me="doctor").told["same"] is True


def test_a_page_of_another_site_has_nobodys_browser_correct_anything(client: Client) -> None:
    client.admit()
    id = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}}).told["event"]
    body = {"input": {"dose_mg": 6}}

    def sent(**headers: str) -> tuple[int, str]:
        found = client.ask("POST", f"/api/events/{id}/correct", body, me="auditor", **headers)
        return found.status, "" if found.status == 200 else found.word

    assert sent(origin="https://evil.example", content_type="text/plain") == (403, "denied")
    assert sent(sec_fetch_site="cross-site") == (403, "denied")
    assert client.events(kind="event.correct") == []
    # Asked about before by the browser, or of the same host, or of no browser.
    assert sent(origin="https://app.example", content_type="application/json")[0] == 200
    assert sent(origin=f"http://127.0.0.1:{client.port}", content_type="text/plain")[0] == 200
    assert sent()[0] == 200
