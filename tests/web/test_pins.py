"""A caller stays at the version of their first call, is told when it ends, and is moved by an event; nobody falls forward in silence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dateline import Versions, Yields, handler
from tests.web.hospital import LAYERS, NEW, OLD, VERSIONS, Client, Prescribe, Tell, hospital

DEPRECATED, SUNSET = datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 7, 1, tzinfo=UTC)
ENDING = Versions(
    (replace(VERSIONS.versions[0], deprecated=DEPRECATED, sunset=SUNSET), VERSIONS.versions[1]), VERSIONS.layers
)


class Clock:
    """The hospital's, which is set."""

    def __init__(self) -> None:
        self.now = datetime(2020, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(url: str, clock: Clock) -> Iterator[Client]:
    with hospital(url, ENDING, clock=clock) as found:
        yield found


def prescribe(client: Client, dose: Any, me: str, **given: Any) -> Any:
    field = {"dose": dose} if isinstance(dose, str) else {"dose_mg": dose}
    return client.send("prescribe", {"input": {"patient": "ann", **field}}, me=me, **given)


def pins(client: Client, me: str = "operator") -> list[tuple[str, str, str, int]]:
    told = client.ask("GET", "/api/versions", me=me).told["pins"]
    return [(one["caller"], one["version"], one["by"], one["behind"]) for one in told]


def test_an_old_client_and_a_new_one_work_side_by_side_and_the_old_one_is_warned_and_moved(
    client: Client, clock: Clock
) -> None:
    # In 2020 there is the first version alone, to which whoever calls is pinned.
    client.admit(me="nurse+ward-app")
    clock.now = datetime(2021, 12, 1, tzinfo=UTC)
    client.ask("GET", "/api/kinds", me="nurse+phone")

    old, new = prescribe(client, "5 mg", "doctor+ward-app"), prescribe(client, 7, "doctor+phone")
    assert [(one.status, one.headers["dateline-version"]) for one in (old, new)] == [(201, OLD), (201, NEW)]
    seen = {
        app: [one["input"] for one in client.ask("GET", "/api/subjects/patient:ann/events", me=app).told["events"][1:]]
        for app in ("doctor+ward-app", "doctor+phone")
    }
    assert seen == {
        "doctor+ward-app": [
            {"patient": "ann", "dose": "5 mg", "note": ""},
            {"patient": "ann", "dose": "7 mg", "note": ""},
        ],
        "doctor+phone": [
            {"patient": "ann", "dose_mg": 5, "remark": ""},
            {"patient": "ann", "dose_mg": 7, "remark": ""},
        ],
    }
    assert "deprecation" not in old.headers

    clock.now = datetime(2022, 2, 1, tzinfo=UTC)
    warned = prescribe(client, "6 mg", "doctor+ward-app")
    assert (warned.status, warned.headers["deprecation"], warned.headers["sunset"]) == (
        201,
        f"@{int(DEPRECATED.timestamp())}",
        "Fri, 01 Jul 2022 00:00:00 GMT",
    )
    assert warned.headers["link"] == (
        f'</api/changelog?since={OLD}>; rel="deprecation", </api/changelog?since={OLD}>; rel="sunset", '
        f'</api/openapi.json?version={NEW}>; rel="successor-version"'
    )
    assert "deprecation" not in prescribe(client, 6, "doctor+phone").headers

    moved = client.ask("PUT", "/api/pins/ward-app", {"version": NEW, "reason": "tested"}, me="operator")
    assert (moved.status, moved.told["caller"], moved.told["version"]) == (200, "ward-app", NEW)
    after = prescribe(client, 8, "doctor+ward-app")
    assert (after.status, after.headers["dateline-version"]) == (201, NEW)
    event = client.ask("GET", f"/api/events/{moved.told['event']}").told
    assert (event["kind"], event["actor"]["id"], event["reason"], event["input"]) == (
        "caller.pin",
        "operator",
        {"text": "tested"},
        {"caller": "ward-app", "version": NEW, "before": OLD},
    )


def test_after_its_end_a_version_answers_nothing_but_the_way_out(client: Client, clock: Clock) -> None:
    client.admit(me="nurse+ward-app")
    clock.now = SUNSET

    found = [
        prescribe(client, "5 mg", "doctor+ward-app"),
        client.ask("GET", "/api/subjects/patient:ann/events", me="doctor+ward-app"),
        client.ask("GET", "/api/rows/patient/ann", me="doctor+phone", dateline_version=OLD),
    ]

    assert [(one.status, one.word, one.told["newest"], one.told["changelog"]) for one in found] == [
        (410, "version-gone", NEW, f"/api/changelog?since={OLD}")
    ] * 3
    assert [entry.kind for entry in client.events()] == ["admit"]
    way = client.ask("GET", found[0].told["changelog"], me="doctor+ward-app")
    assert (way.status, [one["version"] for one in way.told["versions"]]) == (200, [OLD, NEW])
    for path in ("kinds", "kinds/prescribe?version=" + NEW, "versions", "openapi.json?version=" + NEW):
        assert client.ask("GET", f"/api/{path}", me="doctor+ward-app").status == 200
    assert prescribe(client, 5, "doctor+ward-app", dateline_version=NEW).status == 201


def test_who_is_pinned_where_is_told_to_those_who_may_move_them_and_to_others_of_themselves(
    client: Client, clock: Clock
) -> None:
    client.ask("GET", "/api/kinds", me="nurse+ward-app")
    clock.now = datetime(2021, 12, 1, tzinfo=UTC)
    client.ask("GET", "/api/kinds", me="doctor")

    assert pins(client) == [
        ("doctor", NEW, "doctor", 0),
        ("operator", NEW, "operator", 0),
        ("ward-app", OLD, "nurse", 1),
    ]
    assert pins(client, "nurse+ward-app") == [("ward-app", OLD, "nurse", 1)]
    assert pins(client, "north@operator") == [("operator", NEW, "operator", 0)]
    denied = client.ask("PUT", "/api/pins/ward-app", {"version": NEW}, me="doctor")
    assert (denied.status, denied.word) == (403, "denied")
    assert [entry.outcome for entry in client.runner.trail(outcome="denied")] == ["denied"]


def test_a_caller_whose_version_the_application_keeps_is_not_pinned(client: Client) -> None:
    client.admit(me=f"nurse+ward-app/{OLD}")

    assert pins(client) == [("operator", OLD, "operator", 0)]


@handler
def page_the_ward(event: Prescribe) -> Yields[Tell]:
    """From 2023 on the ward is told too."""
    yield Tell(patient="ward", text=event.dose)


def test_what_the_newest_would_change_for_a_caller_is_told_of_what_they_sent(url: str, clock: Clock) -> None:
    with hospital(url, Versions.of({**LAYERS, "2023-01-01": [page_the_ward]}), clock=clock) as client:
        client.admit(me="nurse+ward-app")
        prescribe(client, "5 g", "doctor+ward-app")
        for dose in ("5 mg", "6 mg"):
            prescribe(client, dose, "doctor+ward-app")
        clock.now = datetime(2023, 12, 1, tzinfo=UTC)
        client.admit("bob", me="nurse+phone")

        found = client.ask("GET", "/api/versions?impact=100", me="operator").told
        few = client.ask("GET", "/api/versions?impact=3", me="operator").told
        wrong = client.ask("GET", "/api/versions?impact=1001", me="operator")

    told = {one["caller"]: one["impact"] for one in found["pins"]}
    none = {"events": 0, "same": 0, "different": 0, "unanswerable": 0, "failed": 0, "changes": []}
    [change] = told["ward-app"].pop("changes")
    assert (found["newest"], told) == (
        "2023-01-01",
        {
            "ward-app": {"events": 4, "same": 2, "different": 2, "unanswerable": 0, "failed": 0},
            "phone": {**none, "events": 1, "same": 1},
            "operator": none,
        },
    )
    assert (change["step"], change["change"], change["date"], change["events"], len(change["examples"])) == (
        *("page_the_ward/tell", "new", "2023-01-01"),
        *(2, 2),
    )
    assert [one["impact"]["events"] for one in few["pins"] if one["caller"] == "ward-app"] == [0]
    assert wrong.word == "malformed"


@pytest.mark.parametrize("version", ["2017-01-01", "2021-10-04T00:00:00Z", 7, None, "2099-13-01"])
def test_nobody_is_moved_to_what_is_no_version(client: Client, version: Any) -> None:
    found = client.ask("PUT", "/api/pins/ward-app", {"version": version}, me="operator")

    assert (found.status, found.word) in ((400, "malformed"), (400, "unknown-version"))


def test_a_version_is_named_by_a_date_and_by_no_word_that_falls_forward(client: Client, clock: Clock) -> None:
    client.admit(me="nurse+ward-app")
    clock.now = SUNSET

    found = prescribe(client, 5, "doctor+ward-app", dateline_version="as-of-occurred")

    assert (found.status, found.word) == (400, "unknown-version")


@pytest.mark.parametrize("day", ["9999-12-31", "2021-12-03"])
def test_a_date_that_is_yet_to_come_is_refused_since_what_it_means_would_change_in_silence(
    client: Client, clock: Clock, day: str
) -> None:
    clock.now = datetime(2021, 12, 1, tzinfo=UTC)

    found = client.ask("GET", "/api/kinds", dateline_version=day)

    assert (found.status, found.word) == (400, "unknown-version")
    assert f"{day} is yet to come; send {NEW}" in found.told["detail"]
    assert client.ask("GET", "/api/kinds", dateline_version="2021-11-30").headers["dateline-version"] == NEW


def test_a_server_that_is_behind_a_release_serves_nobody_who_is_at_it_already(url: str, clock: Clock) -> None:
    clock.now = datetime(2023, 12, 1, tzinfo=UTC)
    released = Versions.of({**LAYERS, "2023-01-01": [page_the_ward]})
    with hospital(url, released, clock=clock) as new, hospital(url, clock=clock) as old:
        assert new.ask("GET", "/api/kinds", me="nurse+app").headers["dateline-version"] == "2023-01-01"

        found = old.ask("GET", "/api/kinds", me="nurse+app")

    assert (found.status, found.word, found.headers["retry-after"]) == (503, "unavailable", "5")
