"""Every read of somebody's data is on record before it is shown: who looked, at whom, and what they saw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from dateline import Event, Snapshot, Update, Versions, Yields, given, handler, rows
from dateline.web.api import Api
from tests.web.hospital import OLD, Admit, Client, Patient, Sick, admit, hospital


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with hospital(url) as found:
        yield found


def looked(client: Client, subject: str = "patient:ann", tenant: str = "") -> list[tuple[str, str, str, bool]]:
    found = client.runner.accesses(subject=subject, tenant=tenant)
    return [(one.actor.id, one.view, one.outcome, one.unmasked) for one in found]


WAYS: dict[str, tuple[str, str, Any]] = {
    "event": ("GET", "/api/events/{id}", None),
    "timeline": ("GET", "/api/subjects/patient:ann/events", None),
    "history": ("GET", "/api/rows/patient/ann/history", None),
    "row": ("GET", "/api/rows/patient/ann", None),
    "state": ("GET", "/api/kinds/prescribe/state?patient=ann", None),
    "preview": ("POST", "/api/events/prescribe/preview", {"input": {"patient": "ann", "dose_mg": 5}}),
    "replay": ("POST", "/api/events/{id}/replay", {}),
    "diff": ("POST", "/api/events/{id}/diff", {"version": OLD}),
    "correct": ("POST", "/api/events/{id}/correct", {"version": OLD, "preview": True}),
    "accesses": ("GET", "/api/subjects/patient:ann/accesses", None),
}
"""A way to look at ann through each route that shows anybody's data."""

NOBODYS = {"kinds", "kind", "versions", "changelog", "openapi"}
"""Routes that show nobody's data."""

EVENTS = {"dispatch", "pin"}
"""Routes whose requests are events themselves."""


def test_each_route_is_known_for_whose_data_it_shows() -> None:
    assert set(Api.ROUTES) == {*WAYS, *NOBODYS, *EVENTS}


@pytest.mark.parametrize("name", sorted(WAYS.keys() - {"accesses"}))
@pytest.mark.parametrize("me", ["nurse", "doctor"])
def test_a_look_through_any_route_is_recorded(client: Client, name: str, me: str) -> None:
    id = client.admit().told["event"]
    method, path, body = WAYS[name]

    found = client.ask(method, path.replace("{id}", id), body, me=me)

    assert found.status == 200
    view = {"correct": "correction"}.get(name, name)
    assert looked(client) == [(me, view, "shown", me == "doctor")]


def test_whoever_looked_is_shown_to_those_with_the_right_and_other_tries_are_accesses(client: Client) -> None:
    client.admit()
    client.ask("GET", "/api/subjects/patient:ann/events")

    denied = client.ask("GET", "/api/subjects/patient:ann/accesses", me="doctor")
    shown = client.ask("GET", "/api/subjects/patient:ann/accesses?order=newest", me="auditor")

    assert (denied.status, denied.word) == (403, "denied")
    assert [(one["actor"]["id"], one["view"], one["outcome"]) for one in shown.told["accesses"]] == [
        ("doctor", "accesses", "denied"),
        ("nurse", "timeline", "shown"),
    ]
    assert client.ask("GET", "/api/subjects/patient:ann/accesses", me="north@auditor").told["accesses"] == []
    page = client.ask("GET", "/api/subjects/patient:ann/accesses?limit=1", me="auditor")
    further = client.ask("GET", page.headers["link"].partition(">")[0].removeprefix("<"), me="auditor")
    assert [one["view"] for one in further.told["accesses"]] == ["accesses"]
    # Whoever is shown who looked has looked, too.
    looks = client.runner.accesses(subject="patient:ann", actor="auditor")
    assert [(one.door, one.view, one.outcome) for one in looks] == [("http", "accesses", "shown")] * 3


def test_a_preview_that_is_refused_was_a_look_too(client: Client) -> None:
    client.admit()

    refused = client.ask(
        "POST", "/api/events/prescribe/preview", {"input": {"patient": "ann", "dose": "5 g"}}, me=f"nurse/{OLD}"
    )

    assert refused.status == 422
    assert looked(client) == [("nurse", "preview", "shown", False)]


def test_a_page_is_a_look_at_all_whom_it_shows(client: Client) -> None:
    client.admit("ann")
    client.admit("bob")

    client.ask("GET", "/api/rows/patient/bob/history")

    assert (looked(client, "patient:ann"), looked(client, "patient:bob")) == (
        [],
        [("nurse", "history", "shown", False)],
    )


def test_what_cannot_be_recorded_is_not_shown(client: Client) -> None:
    id = client.admit().told["event"]
    with client.runner.engine.connect() as connection:
        connection.execute(text("ALTER TABLE dateline_access RENAME TO gone"))

    for name in sorted(WAYS.keys() - {"accesses"}):
        method, path, body = WAYS[name]
        found = client.ask(method, path.replace("{id}", id), body, me="doctor")
        assert (name, found.status, "secret" in str(found.told)) == (name, 503, False)


def test_whoever_has_an_event_decided_as_if_it_were_about_somebody_else_looks_at_them_too(client: Client) -> None:
    for patient in ("ann", "bob"):
        client.admit(patient)
    id = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}}).told["event"]

    for route, more in (("diff", {}), ("correct", {"preview": True})):
        asked = {"input": {"patient": "bob"}, **more}
        assert client.ask("POST", f"/api/events/{id}/{route}", asked, me="doctor").status == 200

    for subject in ("patient:ann", "patient:bob"):
        assert looked(client, subject) == [
            ("doctor", "diff", "shown", True),
            ("doctor", "correction", "shown", True),
        ]


class Round(Event, kind="round", subjects=("ward:{ward}",)):
    ward: str
    patient: str


class Bed(Snapshot):
    patient: Sick = rows(Patient.id == given("patient"))


@handler
def seen_on_the_round(event: Round, bed: Bed) -> Yields[Update[Patient]]:
    yield Update(bed.patient, doses=bed.patient.doses + 1)


@pytest.mark.parametrize(
    ("view", "path"),
    [
        ("event", "/api/events/{id}"),
        ("timeline", "/api/subjects/ward:7/events"),
        ("history", "/api/rows/patient/ann/history?order=newest&limit=1"),
        ("row", "/api/rows/patient/ann"),
    ],
)
def test_whose_personal_values_an_event_about_others_holds_was_looked_at_too(url: str, view: str, path: str) -> None:
    with hospital(url, Versions.of({OLD: [Admit, admit, Round, seen_on_the_round]})) as client:
        client.admit()
        id = client.send("round", {"input": {"ward": "7", "patient": "ann"}}).told["event"]

        found = client.ask("GET", path.replace("{id}", id), me="doctor")

        assert (found.status, "secret ann" in str(found.told)) == (200, True)
        assert looked(client) == looked(client, "ward:7") == [("doctor", view, "shown", True)]
