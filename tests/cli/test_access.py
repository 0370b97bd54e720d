"""What the command line shows is a look like any other, and `dateline accesses` lists them all."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from dateline import Actor, Look, Reason, Runner
from tests.cli.bank import VERSIONS, lived
from tests.cli.conftest import Ran

Dateline = Callable[..., Ran]


@pytest.fixture
def me(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(getpass, "getuser", lambda: "sue")
    return "sue"


def looked(database: str) -> list[tuple[str, str, str, str, bool]]:
    with Runner(database, versions=VERSIONS) as runner:
        found = runner.accesses()
        assert all(one.actor.authenticated_by == "operating system" for one in found)
        return [(one.actor.id, one.subject, one.door, one.view, one.unmasked) for one in found]


def test_each_command_that_shows_somebodys_data_is_a_look(database: str, dateline: Dateline, me: str) -> None:
    lived(database)
    assert dateline("trail", "--database", database).status == 0
    assert dateline("trail", "--database", database, "--unmask", "--json", "--limit", "1").status == 0
    assert dateline("trail", "--database", database, "--subject", "account:nobody").status == 0

    assert looked(database) == [(me, "account:ann", "cli", "trail", False), (me, "account:ann", "cli", "trail", True)]


def test_who_looked_at_whom_is_listed_for_people_and_for_programs(database: str, dateline: Dateline, me: str) -> None:
    lived(database)
    with Runner(database, versions=VERSIONS) as runner:
        nurse = Actor("nina", role="nurse")
        taken = Look(actor=nurse, door="http", view="accesses", subjects=("account:ann",), outcome="denied")
        runner.look(
            replace(taken, view="timeline", unmasked=True, outcome="shown", reason=Reason("called in")),
            taken,
            Look(actor=Actor("x\x1b[31m"), door="http", view="row", subjects=("bed:7\nroot",)),
        )

    shown = dateline("accesses", "--database", database)
    found = dateline("accesses", "--database", database, "--subject", "account:ann", "--newest-first", "--json")
    one = dateline("accesses", "--database", database, "--actor", "nina", "--limit", "1")

    lines = [line.partition("  ")[2] for line in shown.out.splitlines()]
    assert lines == [
        "nina (nurse)  account:ann  timeline, by http  unmasked  because called in",
        "nina (nurse)  account:ann  accesses, by http  denied",
        "x\\x1b[31m  bed:7\\nroot  row, by http",
    ]
    assert [(json.loads(line)["view"], json.loads(line)["outcome"]) for line in found.out.splitlines()] == [
        ("accesses", "denied"),
        ("timeline", "shown"),
    ]
    assert "There may be more: --after" in one.out
    assert dateline("accesses", "--database", database, "--tenant", "north").out.startswith("Nobody looked.")
