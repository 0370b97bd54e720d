"""`dateline pins` and `dateline pin`: who is at which version, what the newest would change for them, and moving them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dateline import Actor, Runner
from dateline.cli import pin
from tests.cli.bank import VERSIONS, lived
from tests.cli.conftest import Ran

Dateline = Callable[..., Ran]


def test_callers_are_listed_with_what_the_newest_would_change_and_are_moved(
    database: str, dateline: Dateline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(database)
    monkeypatch.setattr(pin, "loaded", lambda name: VERSIONS)
    named = ("--database", database, "--versions", "bank.versions")
    with Runner(database, versions=VERSIONS) as runner:
        operator = Actor("olga", rights=frozenset({"pin"}))
        runner.pin("ann", "2024-01-01", actor=operator)
        runner.pinned("tess", actor="tess")

    before = dateline("pins", *named, "--impact", "100")
    moved = dateline("pin", "ann", "2024-06-01", *named, "--actor", "olga", "--reason", "tested")
    after = dateline("pins", *named, "--json")
    wrong = dateline("pin", "ann", "2020-01-01", *named, "--actor", "olga")
    elsewhere = dateline("pins", *named, "--tenant", "north")

    assert [line.partition("  since ")[0] for line in before.out.splitlines()] == [
        "ann   2024-01-01",
        "tess  2024-06-01",
    ]
    assert [line.partition(" by ")[2] for line in before.out.splitlines()] == [
        "olga  of 2 events, 2024-06-01 would decide 0 otherwise",
        "tess  of 2 events, 2024-06-01 would decide 0 otherwise",
    ]
    assert moved.out.startswith("ann is at 2024-06-01; recorded as event ")
    assert [(json.loads(line)["caller"], json.loads(line)["version"]) for line in after.out.splitlines()] == [
        ("ann", "2024-06-01"),
        ("tess", "2024-06-01"),
    ]
    assert (wrong.status, "before the first version" in wrong.err) == (2, True)
    assert elsewhere.out.startswith("Nobody is pinned.")
