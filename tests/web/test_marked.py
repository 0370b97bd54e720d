"""A column that a record alone calls personal is one wherever the trail tells what stood in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.hospital import Client, Patient, hospital


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with hospital(url) as found:
        yield found


def test_what_is_as_the_trail_left_it_has_not_drifted(client: Client) -> None:
    client.admit()

    assert client.runner.drift() == ()


def test_a_row_as_of_then_has_its_value_and_no_digest(client: Client) -> None:
    client.admit()
    made = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}})

    row = client.runner.as_of(made.told["seq"] - 1).row(Patient, "ann")

    assert row == {"id": "ann", "name": "secret ann", "doses": 0, "tenant": ""}


def test_what_another_input_would_have_seen_is_taken_from_the_trail(client: Client) -> None:
    for patient in ("ann", "bob"):
        client.admit(patient)
    id = client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 5}}).told["event"]

    found = client.ask("POST", f"/api/events/{id}/diff", {"input": {"patient": "bob"}}, me="doctor")

    assert (found.status, [one["row"] for one in found.told["items"] if one["sort"] == "update"]) == (
        200,
        ["ann", "bob"],
    )
