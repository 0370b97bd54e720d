"""Controllers and other languages dispatch over HTTP: each caller in their version's shapes, with their rights, in their tenant."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import jsonschema_rs
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from dateline import AsyncRunner, DatelineError
from dateline.core.problem import PROBLEMS
from dateline.run.settings import Settings
from dateline.web.api import Api, router
from tests.web.hospital import NEW, OLD, VERSIONS, Client, hospital


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with hospital(url) as found:
        yield found


def test_an_event_is_committed_and_shown(client: Client) -> None:
    client.admit()
    made = client.send(
        "prescribe", {"input": {"patient": "ann", "dose_mg": 5, "remark": "secret"}, "reason": "by telephone"}
    )

    assert (made.status, made.told["kind"], made.told["version"], made.told["repeated"]) == (
        201,
        "prescribe",
        NEW,
        False,
    )
    assert [(one["verb"], one["table"], one["row_key"]) for one in made.told["operations"]] == [
        ("update", "patient", "ann")
    ]
    assert [(one["kind"], one["state"]) for one in made.told["effects"]] == [("tell", "due")]
    shown = client.ask("GET", made.headers["location"], me="doctor")
    assert shown.status == 200
    assert (shown.told["input"], shown.told["actor"]["id"]) == (
        {"patient": "ann", "dose_mg": 5, "remark": "secret"},
        "nurse",
    )
    assert shown.told["reason"] == {"text": "by telephone"}


def test_two_callers_at_two_versions_work_side_by_side_each_in_their_own_shapes(client: Client) -> None:
    client.admit()
    old = client.send("prescribe", {"input": {"patient": "ann", "dose": "5 mg", "note": "x"}}, me=f"doctor/{OLD}")
    new = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 7}}, me=f"doctor/{NEW}")

    assert [(one.status, one.headers["dateline-version"]) for one in (old, new)] == [(201, OLD), (201, NEW)]
    seen = {
        version: [
            one["input"]
            for one in client.ask("GET", "/api/subjects/patient:ann/events", me=f"doctor/{version}").told["events"][1:]
        ]
        for version in (OLD, NEW)
    }
    assert seen == {
        OLD: [
            {"patient": "ann", "dose": "5 mg", "note": "x"},
            {"patient": "ann", "dose": "7 mg", "note": ""},
        ],
        NEW: [{"patient": "ann", "dose_mg": 5, "remark": "x"}, {"patient": "ann", "dose_mg": 7, "remark": ""}],
    }
    refused = client.send("prescribe", {"input": {"patient": "ann", "dose": "5 mg"}}, me=f"doctor/{NEW}")
    assert (refused.status, refused.word) == (400, "malformed")
    named = client.send("prescribe", {"input": {"patient": "ann", "dose": "5 mg"}}, dateline_version=OLD)
    assert named.headers["dateline-version"] == OLD


def test_a_preview_tells_and_writes_nothing_and_its_fingerprints_are_expected_later(client: Client) -> None:
    client.admit()
    body = {"input": {"patient": "ann", "dose_mg": 5}}

    shown = client.ask("POST", "/api/events/prescribe/preview", body)

    assert shown.status == 200
    assert [(one["sort"], one["of"], one["row"], one["values"]) for one in shown.told["steps"]] == [
        ("update", "patient", "ann", {"doses": 1}),
        ("effect", "tell", None, {"patient": "ann", "text": "•••"}),
    ]
    assert len(client.events()) == 1
    assert [
        [*shown.told["fingerprints"]["patient/ann"]]
        for shown in (shown, client.ask("POST", "/api/events/prescribe/preview", body, me="doctor"))
    ] == [["doses", "id"], ["doses", "id", "name"]]
    expects = {"expects": shown.told["fingerprints"]}
    assert client.send("prescribe", {**body, **expects}).status == 201
    stale = client.send("prescribe", {**body, **expects})
    assert (stale.status, stale.word) == (409, "stale")
    assert "patient/ann changed in doses" in stale.told["detail"]


def test_a_key_stands_for_one_request_of_one_caller(client: Client) -> None:
    client.admit()
    body = {"input": {"patient": "ann", "dose_mg": 5}}

    first = client.send("prescribe", body, "k")
    again = client.send("prescribe", body, '"k"')
    other = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 6}}, "k")
    mine = client.send("prescribe", body, "k", me="doctor")
    none = client.ask("POST", "/api/events/prescribe", body)

    assert again.told == {**first.told, "repeated": True}
    assert [(one.status, one.word) for one in (other, none)] == [(422, "key-reused"), (400, "key-missing")]
    assert (mine.status, mine.told["repeated"]) == (201, False)


@pytest.mark.parametrize(
    ("kind", "body", "status", "word"),
    [
        ("prescribe", {"input": {"patient": "ann", "dose": "5 g"}}, 422, "rejected"),
        ("prescribe", {"input": {"patient": "bob", "dose": "5 mg"}}, 404, "not-found"),
        ("prescribe", {"input": {"patient": "ann", "dose": False}}, 400, "malformed"),
        ("prescribe", {"input": {"patient": "ann", "dose": "5 mg", "more": 1}}, 400, "malformed"),
        ("prescribe", {"input": {}, "more": 1}, 400, "malformed"),
        ("prescribe", b"{", 400, "malformed"),
        ("prescribe", b"[" * 100_000, 400, "malformed"),
        ("nothing", {"input": {}}, 404, "unknown-kind"),
        ("close", {"input": {"patient": "ann"}}, 403, "denied"),
        ("prescribe", {"input": {"patient": "ann", "dose": "5 mg"}, "at": "2020-01-01T00:00:00Z"}, 403, "denied"),
        ("admit", {"input": {"patient": "ann", "name": "x"}}, 409, "constraint"),
    ],
)
def test_what_is_refused_is_a_problem_of_a_type_that_stays(
    client: Client, kind: str, body: Any, status: int, word: str
) -> None:
    client.admit()

    found = client.send(kind, body, me=f"nurse/{OLD}")

    assert (found.status, found.word, found.told["status"]) == (status, word, status)
    assert found.headers["content-type"] == "application/problem+json"
    assert "secret" not in json.dumps(found.told)


def test_rejections_name_the_field_and_a_denied_try_is_recorded(client: Client) -> None:
    client.admit()

    rejected = client.send("prescribe", {"input": {"patient": "ann", "dose": "5 g"}}, me=f"nurse/{OLD}")
    denied = client.send("close", {"input": {"patient": "ann"}})

    assert [(one["code"], one["field"]) for one in rejected.told["rejections"]] == [("dose.unit", "dose")]
    tried = client.ask("GET", f"/api/events/{denied.told['event']}")
    assert (tried.told["kind"], tried.told["outcome"], tried.told["actor"]["id"]) == ("close", "denied", "nurse")
    assert client.send("close", {"input": {"patient": "ann"}}, me="chief").status == 201


def test_personal_values_are_shown_to_those_with_the_right_alone_through_every_door(client: Client) -> None:
    done = client.admit()
    made = client.send("prescribe", {"input": {"patient": "ann", "dose": "5 mg", "note": "secret"}}, me=f"nurse/{OLD}")

    for version in (OLD, NEW):
        for path in (
            done.headers["location"],
            made.headers["location"],
            "/api/subjects/patient:ann/events",
            "/api/rows/patient/ann/history",
            "/api/rows/patient/ann",
        ):
            hidden = client.ask("GET", path, me=f"nurse/{version}")
            open_ = client.ask("GET", path, me=f"doctor/{version}")
            assert (hidden.status, open_.status) == (200, 200)
            assert "secret" not in json.dumps(hidden.told), path
            assert "secret" in json.dumps(open_.told), path


def test_a_personal_value_stays_one_in_a_shape_that_does_not_call_it_so(client: Client) -> None:
    done = client.send("word", {"input": {"patient": "ann", "words": "secret"}})

    shown = [client.ask("GET", done.headers["location"], me=f"{who}/{OLD}").told for who in ("nurse", "doctor")]

    assert [one["input"] for one in shown] == [{"patient": "ann", "text": "•••"}, {"patient": "ann", "text": "secret"}]
    assert [(one["shape"], one["shown"]) for one in shown] == [(NEW, OLD)] * 2


@pytest.mark.parametrize("name", Api.ROUTES)
def test_no_route_answers_whom_nobody_knows(client: Client, name: str) -> None:
    method, path, _ = Api.ROUTES[name]

    found = client.ask(method, "/api" + path.replace("{", "").replace("}", "").replace(":anything", ""), me=None)

    assert (found.status, found.word, found.headers["www-authenticate"]) == (401, "unauthenticated", "Bearer")


def test_nobody_sees_another_tenants_data(client: Client) -> None:
    done = client.admit(me="north@doctor")

    for me, seen in (("north@doctor", 1), ("south@doctor", 0), ("doctor", 0)):
        assert client.ask("GET", done.headers["location"], me=me).status == (200 if seen else 404)
        for path in ("/api/subjects/patient:ann/events", "/api/rows/patient/ann/history"):
            assert len(client.ask("GET", path, me=me).told["events"]) == seen


def test_a_page_leads_to_the_next(client: Client) -> None:
    client.admit()
    for dose in (1, 2, 3):
        client.send("prescribe", {"input": {"patient": "ann", "dose_mg": dose}})
    seen, path = [], "/api/subjects/patient:ann/events?limit=3&order=newest"

    while path:
        page = client.ask("GET", path)
        seen.append([one["input"].get("dose_mg") for one in page.told["events"]])
        path = page.headers.get("link", "").partition(">")[0].removeprefix("<")

    assert seen == [[3, 2, 1], [None]]
    for query in ("limit=many", "limit=0", "limit=101", "limit=1&limit=2", "order=best", "after=-1"):
        assert client.ask("GET", f"/api/subjects/patient:ann/events?{query}").word == "malformed"


def test_a_page_leads_to_the_next_whatever_its_subject_is_called(client: Client) -> None:
    name = "a b?c#d%/é&x+%41"
    client.admit(name)
    client.send("prescribe", {"input": {"patient": name, "dose_mg": 1}})

    first = client.ask("GET", f"/api/subjects/{quote(f'patient:{name}')}/events?limit=1")
    link = first.headers["link"].partition(">")[0].removeprefix("<")
    second = client.ask("GET", link)

    assert re.fullmatch(r"/[\w/.~%-]+\?limit=1&after=\d+", link, re.ASCII)
    assert [page.told["events"][0]["kind"] for page in (first, second)] == ["admit", "prescribe"]


def test_a_row_is_shown_as_it_is_and_as_it_was(client: Client) -> None:
    first = client.admit()
    time.sleep(0.01)
    then = datetime.now(UTC)
    time.sleep(0.01)
    second = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}})

    now = client.ask("GET", "/api/rows/patient/ann", me="doctor")
    was = client.ask("GET", f"/api/rows/patient/ann?at={then:%Y-%m-%dT%H:%M:%S.%fZ}")

    assert (now.told["event"], now.told["values"]) == (
        second.told["event"],
        {"id": "ann", "name": "secret ann", "doses": 1, "tenant": ""},
    )
    assert (was.told["event"], was.told["values"]) == (
        first.told["event"],
        {"id": "ann", "name": "•••", "doses": 0, "tenant": ""},
    )
    for path in ("patient/bob", "patient/ann?at=2020-01-01T00:00:00Z", "nothing/ann"):
        assert client.ask("GET", f"/api/rows/{path}").word == "no-such-row"
    assert client.ask("GET", "/api/rows/patient/ann", me="south@doctor").word == "no-such-row"
    for at in ("2020-01-01", "yesterday", "2020-01-01T00:00:00"):
        assert client.ask("GET", f"/api/rows/patient/ann?at={at}").word == "malformed"


def test_what_is_no_way_to_ask_says_so(client: Client) -> None:
    client.admit("a/b\nc")
    body = {"input": {"patient": "ann", "name": "x"}}

    read = client.ask("GET", "/api/events/admit")
    sent = client.send(str(uuid4()), body)
    odd = client.send("admit", body, "two words")

    assert [(one.status, one.word, one.headers["allow"]) for one in (read, sent)] == [
        (405, "not-allowed", "POST"),
        (405, "not-allowed", "GET"),
    ]
    assert (odd.status, odd.word) == (400, "malformed")
    assert client.ask("POST", "/api/events/admit/preview?rehearse=perhaps", body).word == "malformed"
    found = client.ask("GET", "/api/subjects/patient:a%2Fb%0Ac/events")
    assert [one["subjects"] for one in found.told["events"]] == [["patient:a/b\nc"]]


def test_what_was_decided_is_decided_again_compared_and_corrected(client: Client) -> None:
    client.admit()
    made = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5, "remark": "secret"}})
    at = made.headers["location"]

    again = client.ask("POST", f"{at}/replay")
    ways: tuple[dict[str, object], ...] = ({"base": OLD, "version": NEW}, {"input": {}})
    for unread in ways:
        assert client.ask("POST", f"{at}/replay", unread).word == "malformed"
    differs = client.ask("POST", f"{at}/diff", {"input": {"dose_mg": 6}})
    shown = client.ask("POST", f"{at}/correct", {"input": {"dose_mg": 6}, "preview": True})
    denied = client.ask("POST", f"{at}/correct", {"input": {"dose_mg": 6}})
    done = client.ask(
        "POST", f"{at}/correct", {"input": {"dose_mg": 6}, "number": shown.told["number"], "reason": "x"}, me="auditor"
    )
    late = client.ask("POST", f"{at}/correct", {"input": {"dose_mg": 7}, "number": 1}, me="auditor")

    assert (again.status, again.told["outcome"], len(again.told["steps"])) == (200, "committed", 2)
    assert [(one["key"], one["change"]) for one in differs.told["items"]] == [("prescribe/tell[ann]", "changed")]
    assert [(one["key"], one["status"]) for one in shown.told["items"]] == [("prescribe/tell[ann]", "held")]
    assert (denied.status, denied.word) == (403, "denied")
    assert (done.status, done.told["number"], done.told["event"] is not None) == (200, 1, True)
    assert (late.status, late.word) == (409, "corrected-since")
    for one in (again, differs, shown, done):
        assert "secret" not in json.dumps(one.told)
    assert "secret" in json.dumps(client.ask("POST", f"{at}/replay", me="doctor").told)
    assert client.ask("POST", f"{at}/diff", {"base": NEW}).word == "malformed"
    assert client.ask("POST", f"/api/events/{uuid4()}/diff", {"version": NEW}).word == "no-such-event"
    for route in ("replay", "diff", "correct"):
        assert client.ask("POST", f"{at}/{route}", {}, me="south@auditor").word == "no-such-event"


def test_kinds_and_versions_are_told_as_the_version_knows_them(client: Client) -> None:
    kinds = client.ask("GET", "/api/kinds", dateline_version=OLD)
    kind = client.ask("GET", "/api/kinds/prescribe", dateline_version=NEW)
    versions = client.ask("GET", "/api/versions")

    assert [(one["kind"], one["requires"]) for one in kinds.told["kinds"]] == [
        ("admit", None),
        ("close", "close"),
        ("prescribe", None),
        ("word", None),
    ]
    assert [one["name"] for one in kind.told["input"]] == ["patient", "dose_mg", "remark"]
    assert [one["version"] for one in versions.told["versions"]] == [OLD, NEW]
    for asked in ("2017-01-01", "yesterday"):
        found = client.ask("GET", "/api/kinds", dateline_version=asked)
        assert (found.status, found.word) == (400, "unknown-version")


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_description_is_a_versions_own_and_leads_nowhere_that_is_not_there(client: Client, version: str) -> None:
    found = client.ask("GET", f"/api/openapi.json?version={version}").told

    whole = json.dumps(found)
    for place in set(re.findall(r'"#/components/schemas/([^"]+)"', whole)):
        assert place in found["components"]["schemas"]
    assert (found["openapi"], found["info"]["version"], found["servers"]) == ("3.1.0", version, [{"url": "/api"}])
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in found["paths"].items()
        for method in methods
    }
    known = {(method, re.sub(r"\{[\w:]+\}", "{}", path)) for method, path, _ in Api.ROUTES.values()}
    by_kind = {("POST", "/events/{}"), ("POST", "/events/{}/preview"), ("GET", "/kinds/{}/state")}
    kinds = ("admit", "close", "prescribe", "word")
    assert described == (known - by_kind - {("GET", "/openapi.json")}) | {
        (method, path.replace("{}", kind)) for kind in kinds for method, path in by_kind
    }
    asked = found["paths"]["/events/prescribe"]["post"]
    shape = asked["requestBody"]["content"]["application/json"]["schema"]["properties"]["input"]["$ref"]
    properties = found["components"]["schemas"][shape.rpartition("/")[2]]["properties"]
    fields = {OLD: ["patient", "dose", "note"], NEW: ["patient", "dose_mg", "remark"]}[version]
    assert (sorted(properties), properties[fields[2]]["x-personal"]) == (sorted(fields), True)
    assert asked["x-rejections"] == ["dose.unit"]
    example = asked["requestBody"]["content"]["application/json"]["example"]
    made = client.ask("POST", "/api/events/prescribe/preview", example, dateline_version=version)
    assert made.word in ("not-found", "rejected")


def test_who_waits_for_an_event_sees_it_as_soon_as_it_is_there(client: Client) -> None:
    nobody = client.ask("GET", f"/api/events/{uuid4()}?wait=0")
    assert (nobody.status, nobody.word) == (404, "no-such-event")
    assert client.ask("GET", "/api/events/x").status == 404


def test_a_body_that_is_too_large_is_not_read_to_its_end(url: str) -> None:
    with hospital(url, settings=Settings(largest=2048)) as client:
        found = client.send("admit", {"input": {"patient": "x" * 3_000, "name": ""}})
        huge = client.send("admit", b" " * 200_000)

    assert (found.status, found.word) == (400, "malformed")
    assert (huge.status, huge.word) == (413, "too-large")


def test_the_guide_tells_every_type_of_problem_and_its_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "http.md").read_text()

    told = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", page, re.MULTILINE)

    assert {word: int(status) for word, status in told} == {
        word: status.value for word, (status, _) in PROBLEMS.items()
    }


def test_without_somebody_who_tells_who_calls_there_are_no_routes(sqlite_url: str) -> None:
    with pytest.raises(DatelineError, match="pass authenticate="):
        router(AsyncRunner(sqlite_url, versions=VERSIONS))


def test_a_preview_is_committed_as_that_very_plan_by_what_it_gave(client: Client) -> None:
    client.admit()
    body = {"input": {"patient": "ann", "dose_mg": 5}, "reason": "by telephone"}
    shown = client.ask("POST", "/api/events/prescribe/preview", body).told

    other = client.send("prescribe", {**body, "input": {"patient": "ann", "dose_mg": 6}, "preview": shown["preview"]})
    why = client.send("prescribe", {**body, "reason": "another", "preview": shown["preview"]})
    thief = client.send("prescribe", {**body, "preview": shown["preview"]}, me="doctor")
    forged = client.send("prescribe", {**body, "preview": shown["preview"][:-3] + "AAA"})
    both = client.send("prescribe", {**body, "preview": shown["preview"], "expects": shown["fingerprints"]})
    done = client.send("prescribe", {**body, "preview": shown["preview"]})
    again = client.send("prescribe", {**body, "preview": shown["preview"]})

    assert [one.word for one in (other, why, thief, forged, both)] == ["malformed"] * 5
    assert (done.status, done.told["event"], done.told["version"]) == (201, shown["event"], shown["version"])
    assert (again.status, again.told) == (201, {**done.told, "repeated": True})
    assert [entry.kind for entry in client.events(outcome="committed")] == ["admit", "prescribe"]


def test_a_preview_that_is_stale_names_what_changed_and_gives_what_it_is_now(client: Client) -> None:
    client.admit()
    body = {"input": {"patient": "ann", "dose_mg": 5}}
    shown = client.ask("POST", "/api/events/prescribe/preview", body).told
    client.send("prescribe", body)

    stale = client.send("prescribe", {**body, "preview": shown["preview"]})
    again = client.send("prescribe", {**body, "expects": stale.told["fingerprints"]})

    assert (stale.status, stale.word) == (409, "stale")
    assert stale.told["differences"] == [{"row": "patient/ann", "change": "changed", "fields": ["doses"]}]
    # Not of the name, whose digest whoever guesses it can make.
    assert sorted(stale.told["fingerprints"]["patient/ann"]) == ["doses", "id"]
    assert again.status == 201


def test_a_preview_that_another_server_made_is_committed_where_both_have_one_secret(url: str) -> None:
    shared = Settings(secret=SecretStr("of both, and long enough"))
    body = {"input": {"patient": "ann", "dose_mg": 5}}
    with hospital(url, settings=shared) as one, hospital(url, settings=shared) as two, hospital(url) as other:
        one.admit()
        shown = one.ask("POST", "/api/events/prescribe/preview", body).told

        refused = other.send("prescribe", {**body, "preview": shown["preview"]})
        done = two.send("prescribe", {**body, "preview": shown["preview"]})

    assert (refused.word, done.told["event"]) == ("malformed", shown["event"])


def test_a_form_is_shown_what_the_decision_will_see_before_it_is_filled_in(client: Client) -> None:
    client.admit()

    masked = client.ask("GET", "/api/kinds/prescribe/state?patient=ann")
    open_ = client.ask("GET", "/api/kinds/prescribe/state?patient=ann", me=f"doctor/{OLD}")

    assert (masked.status, masked.told["seen"]) == (
        200,
        [
            {
                "field": "Sight.patient",
                "table": "patient",
                "rows": [{"row": "patient/ann", "values": {"id": "ann", "name": "•••", "doses": 0}}],
            }
        ],
    )
    assert open_.told["seen"][0]["rows"][0]["values"]["name"] == "secret ann"
    assert [sorted(one.told["fingerprints"]["patient/ann"]) for one in (masked, open_)] == [
        ["doses", "id"],
        ["doses", "id", "name"],
    ]
    body = {"input": {"patient": "ann", "dose_mg": 5}, "expects": masked.told["fingerprints"]}
    assert [client.send("prescribe", body).status for _ in range(2)] == [201, 409]
    for query, word in (
        ("", "malformed"),
        ("?patient=ann&colour=red", "malformed"),
        ("?patient=ann&patient=bob", "malformed"),
        ("?patient=ann&dose_mg=many", "malformed"),
    ):
        assert client.ask("GET", f"/api/kinds/prescribe/state{query}").word == word
    assert client.ask("GET", "/api/kinds/nothing/state").word == "unknown-kind"


def test_a_body_that_can_be_read_in_two_ways_is_refused(client: Client) -> None:
    twice = b'{"input": {"patient": "ann", "name": "x", "name": "y"}}'
    envelope = b'{"input": {"patient": "ann", "name": "x"}, "input": {"patient": "bob", "name": "y"}}'

    found = [client.send("admit", body) for body in (twice, envelope)]

    assert [(one.status, one.word, one.told["problems"][0]["pointer"]) for one in found] == [
        (400, "malformed", "name"),
        (400, "malformed", "input"),
    ]
    assert client.events() == []


def test_a_body_that_needs_reading_twice_is_refused_as_well_where_it_could_be_read_in_two_ways(client: Client) -> None:
    client.admit()
    twice = b'{"input": {"patient": "ann", "dose_mg": 5.0, "dose_mg": 6}}'
    envelope = b'{"input": {"patient": "ann", "dose_mg": 5.0}, "at": null, "at": null}'

    found = [client.send("prescribe", body) for body in (twice, envelope)]

    assert [(one.status, one.word, one.told["problems"][0]["pointer"]) for one in found] == [
        (400, "malformed", "dose_mg"),
        (400, "malformed", "at"),
    ]
    assert [one.kind for one in client.events()] == ["admit"]


@pytest.mark.parametrize("at", ["0", "20240701", "0.5"])
def test_nothing_happened_at_a_number_of_seconds(client: Client, at: str) -> None:
    found = client.send("admit", {"input": {"patient": "ann", "name": "x"}, "at": at, "reason": "late"}, me="chief")

    assert (found.status, found.word, found.told["problems"][0]["pointer"]) == (400, "malformed", "at")


def test_those_who_wait_leave_the_connections_to_those_for_whom_they_wait(url: str) -> None:
    with hospital(url, settings=Settings(pool=1, overflow=1)) as client, ThreadPoolExecutor(3) as waiting:
        client.admit()
        waits = [waiting.submit(client.ask, "GET", f"/api/events/{uuid4()}?wait=5") for _ in range(3)]
        time.sleep(1)
        began = time.monotonic()

        row = client.ask("GET", "/api/rows/patient/ann")
        took = time.monotonic() - began

        assert (row.status, took < 2) == (200, True)
        assert [one.result().word for one in waits] == ["no-such-event"] * 3


def test_a_preview_is_not_committed_at_another_instant_than_was_shown(client: Client) -> None:
    client.admit(me="chief")
    body = {"input": {"patient": "ann", "dose_mg": 5}, "reason": "by telephone"}
    late = {**body, "at": "2024-07-01T09:30:00Z"}
    now, then = (client.ask("POST", "/api/events/prescribe/preview", one, me="chief").told for one in (body, late))

    for one in (
        {**late, "preview": now["preview"]},
        {**late, "at": "2024-07-02T00:00:00Z", "preview": then["preview"]},
    ):
        found = client.send("prescribe", one, me="chief")
        assert (found.status, found.word) == (400, "malformed")
    assert client.send("prescribe", {**late, "preview": then["preview"]}, me="chief").told["event"] == then["event"]


def test_who_leaves_in_the_middle_of_a_body_is_no_fault_of_the_servers(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as leaving:
        head = "POST /api/events/admit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer nurse\r\nidempotency-key: k\r\n"
        leaving.sendall(f"{head}content-length: 100\r\n\r\n{{".encode())
        time.sleep(0.5)
    time.sleep(0.5)

    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []
    assert client.admit().status == 201


def test_where_the_application_mounts_it_may_hold_what_no_header_can(url: str) -> None:
    with hospital(url, prefix="/{house}/api") as client:
        for number, house in enumerate(("日本", "a b", "x\r\nset-cookie: a=b")):
            body = {"input": {"patient": f"p{number}", "name": "x"}}
            made = client.ask("POST", f"/{quote(house)}/api/events/admit", body, idempotency_key=f"{number}")

            assert (made.status, "set-cookie" in made.headers) == (201, False)
            assert client.ask("GET", made.headers["location"]).told["id"] == made.told["event"]


def test_whatever_is_the_servers_fault_is_in_its_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    made = client.admit()
    with client.runner.engine.connect() as connection:
        connection.execute(text("UPDATE dateline_event SET body = '{}' WHERE kind = 'admit'"))

    found = client.ask("GET", made.headers["location"])

    assert (found.status, found.word) == (500, "fault")
    assert ["TrailFault" in one.getMessage() or "TrailFault" in str(one.__dict__) for one in caplog.records] == [True]


def test_a_whole_number_may_be_written_with_a_point_and_is_recorded_as_one(client: Client) -> None:
    client.admit()

    made = client.send("prescribe", b'{"input": {"patient": "ann", "dose_mg": 5.0, "remark": "1.0 \\" 2.0"}}', "once")
    again = client.send("prescribe", b'{"input": {"patient": "ann", "dose_mg": 5, "remark": "1.0 \\" 2.0"}}', "once")

    assert (made.status, again.status, again.told["repeated"]) == (201, 201, True)
    shown = client.ask("GET", made.headers["location"], me="doctor").told["input"]
    assert json.dumps(shown["dose_mg"]) == "5"
    assert shown["remark"] == '1.0 " 2.0'


@pytest.mark.parametrize("dose", ["1.5", '"1"', "true", "1.0.0", "01.0", "1e400", "9007199254740993.0", "-", "1.0e"])
def test_what_is_no_whole_number_is_refused_where_one_is_due(client: Client, dose: str) -> None:
    client.admit()

    found = client.send("prescribe", b'{"input": {"patient": "ann", "dose_mg": %s}}' % dose.encode())

    assert (found.status, found.word) == (400, "malformed")


@pytest.mark.parametrize(
    ("patient", "told"),
    [
        ("an\0n", "patient.id takes no NUL character; no database text can hold it on every database"),
        ("a" * 201, "patient.id takes 200 characters at most, not 201"),
    ],
)
def test_a_text_that_no_column_holds_is_no_fault_of_the_servers(client: Client, patient: str, told: str) -> None:
    body = {"input": {"patient": patient, "name": "x"}}

    for found in (client.send("admit", body), client.ask("POST", "/api/events/admit/preview", body)):
        assert (found.status, found.word, found.told["detail"]) == (400, "not-storable", told)
    assert client.events() == []


@pytest.mark.parametrize(
    ("body", "right"),
    [
        ({"expects": {}, "preview": None}, True),
        ({"expects": {}, "preview": "x"}, False),
        ({"at": "2024-07-01T09:30:00Z", "reason": "on paper"}, True),
        ({"at": "2024-07-01T09:30:00Z", "reason": None}, False),
        ({"at": "2024-07-01T09:30:00Z"}, False),
    ],
    ids=str,
)
def test_the_description_tells_what_goes_together(client: Client, body: dict[str, Any], right: bool) -> None:
    client.admit()
    document = client.ask("GET", "/api/openapi.json").told
    asked = document["paths"]["/events/close"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body = {"input": {"patient": "ann"}, **body}

    found = client.ask("POST", "/api/events/close/preview", body, me="chief")

    schema = {**asked, "components": document["components"]}
    assert jsonschema_rs.is_valid(schema, body) == right == (found.status == 200)


def test_the_description_leads_from_a_preview_to_its_event(client: Client) -> None:
    client.admit()
    paths = client.ask("GET", "/api/openapi.json").told["paths"]
    commit = paths["/events/prescribe/preview"]["post"]["responses"]["200"]["links"]["commit"]
    sent = {"input": {"patient": "ann", "dose_mg": 5}}

    shown = client.ask("POST", "/api/events/prescribe/preview", sent)
    done = client.send("prescribe", {"input": sent["input"], "preview": shown.told["preview"]})

    assert commit["operationId"] == paths["/events/prescribe"]["post"]["operationId"]
    assert commit["requestBody"] == {"input": "$request.body#/input", "preview": "$response.body#/preview"}
    assert (done.status, done.told["event"]) == (201, shown.told["event"])
    links = paths["/events/prescribe"]["post"]["responses"]["201"]["links"]
    known = {one["operationId"] for methods in paths.values() for one in methods.values()}
    assert {one["operationId"] for one in links.values()} == {"event", "replay", "diff", "correct"} <= known


def test_the_description_tells_by_which_fields_a_state_is_found(client: Client) -> None:
    client.admit()
    told = client.ask("GET", "/api/openapi.json").told["paths"]["/kinds/prescribe/state"]["get"]["parameters"]

    needed = {one["name"] for one in told if one["in"] == "query" and one["required"]}

    assert needed == {"patient"}
    assert client.ask("GET", "/api/kinds/prescribe/state?patient=ann").status == 200
    assert client.ask("GET", "/api/kinds/prescribe/state?dose_mg=5&remark=x").word == "malformed"
