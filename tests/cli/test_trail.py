"""`dateline trail`: what a person sees of what happened, and what a program gets."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.bank import Open, Pay, lived, opened
from tests.cli.conftest import ENVIRONMENT, Ran

Dateline = Callable[..., Ran]

TIMELINE = """\
Monday, 1 July 2024, UTC

12:00:00 ● open  committed  event 1, version 2024-06-01
           actor     tess (teller) on behalf of ann
           because   a new customer
           about     account:ann
           asked     account ann · owner •••
           inserted  account ann  cents 1500 · id ann · owner •••
                     by open_account of 2024-01-01, tests.cli.bank

18:00:00 ● pay  committed  event 2, version 2024-06-01
           actor     ann
           about     account:ann
           asked     account ann · cents 900
           updated   account ann  cents 1500 → 600
                     by take of 2024-01-01, tests.cli.bank
           effect    tell, due  text ••• · who ann
                     by warn_when_low of 2024-06-01, tests.cli.bank

Tuesday, 2 July 2024, UTC

00:00:00 × pay  rejected  event 3, version 2024-06-01
           actor     ann
           about     account:ann
           asked     account ann · cents 900
           refused   too-little  600 left  (field cents)
                     by covered of 2024-01-01, tests.cli.bank

06:00:00 ● rename  committed  event 4, version 2024-06-01
           actor     tess (teller) on behalf of ann
           about     account:ann
           asked     account ann · owner •••
           updated   account ann  owner ••• → •••
                     by rename of 2024-01-01, tests.cli.bank

"""


def test_a_timeline_tells_who_asked_what_and_which_handler_of_which_date_changed_what(
    database: str, dateline: Dateline
) -> None:
    lived(database)

    ran = dateline("trail", "--database", database)

    assert ran == Ran(0, TIMELINE, "")


def test_the_database_can_come_from_the_environment(
    sqlite_url: str, dateline: Dateline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(sqlite_url)
    monkeypatch.setenv("DATELINE_DATABASE", sqlite_url)

    assert dateline("trail").out == TIMELINE


def test_personal_values_are_seen_only_by_who_asks_for_them(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)

    for form in ([], ["--json"]):
        masked = dateline("trail", "--database", sqlite_url, *form).out
        open_ = dateline("trail", "--database", sqlite_url, "--unmask", *form).out

        assert not any(value in masked for value in ("Ann Lee", "Ann Bell", "Your balance is low"))
        assert all(value in open_ for value in ("Ann Lee", "Ann Bell", "Your balance is low"))
        assert "•••" not in open_


def test_json_is_one_object_a_line_with_the_same_keys_for_every_event(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)

    lines = dateline("trail", "--database", sqlite_url, "--json").out.splitlines()

    found = [json.loads(line) for line in lines]
    assert [entry["seq"] for entry in found] == [1, 2, 3, 4]
    assert {tuple(entry) for entry in found} == {
        (
            *("actor", "cascade", "cause", "effects", "id", "input", "kind", "late", "masked", "occurred_at"),
            *("operations", "outcome", "position", "reason", "recorded_at", "refusal", "root", "seq", "shape"),
            *("snapshot", "subjects", "tenant", "version"),
        )
    }


def test_json_tells_that_a_masked_value_changed_and_not_what_it_was(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)

    ran = dateline("trail", "--database", sqlite_url, "--json", "--kind", "rename")

    [operation] = json.loads(ran.out)["operations"]
    assert operation == {
        "ordinal": 0,
        "step": "rename/Update:account[ann]",
        "verb": "update",
        "table": "account",
        "row_key": "ann",
        "changed": ["owner"],
        "declared": {"owner": "•••"},
        "before": {"cents": 600, "id": "ann", "owner": "•••"},
        "after": {"cents": 600, "id": "ann", "owner": "•••"},
        "handler": "tests.cli.bank.rename",
        "date": "2024-01-01",
    }


def test_json_carries_a_refusal_as_a_problem(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)

    ran = dateline("trail", "--database", sqlite_url, "--json", "--outcome", "rejected")

    refusal = json.loads(ran.out)["refusal"]
    assert (refusal["type"], refusal["title"], refusal["detail"]) == ("rejected", "Rejected", "too-little: 600 left")
    assert [(one["code"], one["field"]) for one in refusal["rejections"]] == [("too-little", "cents")]


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (["--subject", "account:ann"], [1, 2, 3, 4]),
        (["--subject", "account:bob"], []),
        (["--kind", "pay"], [2, 3]),
        (["--actor", "tess"], [1, 4]),
        (["--version", "2024-06-01"], [1, 2, 3, 4]),
        (["--version", "2024-01-01"], []),
        (["--outcome", "rejected"], [3]),
        (["--table", "account"], [1, 2, 4]),
        (["--table", "account", "--row", "ann"], [1, 2, 4]),
        (["--table", "account", "--row", "bob"], []),
        (["--since", "2024-07-02"], [3, 4]),
        (["--until", "2024-07-01T18:00"], [1]),
        (["--since", "2024-07-01T20:00+02:00", "--until", "2024-07-02T06:00:00Z"], [2, 3]),
        (["--after", "2"], [3, 4]),
        (["--limit", "1"], [1]),
        (["--newest-first"], [4, 3, 2, 1]),
        (["--newest-first", "--after", "3"], [2, 1]),
        (["--tenant", "other"], []),
    ],
)
def test_each_option_restricts_what_is_shown(
    options: list[str], seqs: list[int], sqlite_url: str, dateline: Dateline
) -> None:
    lived(sqlite_url)

    ran = dateline("trail", "--database", sqlite_url, "--json", *options)

    assert ran.status == 0
    assert [json.loads(line)["seq"] for line in ran.out.splitlines()] == seqs


def test_a_page_that_is_not_the_last_tells_how_to_go_on(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)

    assert dateline("trail", "--database", sqlite_url, "--limit", "3").out.endswith("\nThere are more: --after 3\n")
    assert "There are more" not in dateline("trail", "--database", sqlite_url, "--limit", "4").out


def test_nothing_found_is_said_and_is_no_error(sqlite_url: str, dateline: Dateline) -> None:
    opened(sqlite_url).close()

    ran = dateline("trail", "--database", sqlite_url)

    assert ran == Ran(0, "No such events. Where tenants are kept apart, name one: --tenant.\n", "")


def test_what_people_entered_cannot_steer_the_terminal(sqlite_url: str, dateline: Dateline) -> None:
    with opened(sqlite_url) as runner:
        runner.dispatch(Open(account="\x1b[2J\u202ebob\n\x9b1m", owner="[red]Bob[/red]"), actor="\x1b]0;x\x07")

    out = dateline("trail", "--database", sqlite_url, "--unmask").out

    assert r"account \x1b[2J\u202ebob\n\x9b1m · owner [red]Bob[/red]" in out
    assert all(c.isprintable() or c == "\n" for c in out)


def test_a_long_value_is_cut_and_its_length_told(sqlite_url: str, dateline: Dateline) -> None:
    with opened(sqlite_url) as runner:
        runner.dispatch(Open(account="ann", owner="x" * 5000), actor="ann")

    out = dateline("trail", "--database", sqlite_url, "--unmask").out

    assert "… (5000 characters)" in " ".join(out.split())
    assert len(out) < 2000


def test_many_values_stand_one_below_the_other(
    sqlite_url: str, dateline: Dateline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(sqlite_url)
    monkeypatch.setenv("COLUMNS", "52")

    out = dateline("trail", "--database", sqlite_url, "--limit", "1").out

    assert out.endswith(
        textwrap.dedent("""\
                   asked     account ann · owner •••
                   inserted  account ann
                               cents 1500
                               id ann
                               owner •••
                             by open_account of 2024-01-01,
                             tests.cli.bank

        There are more: --after 1
        """)
    )


def test_a_late_event_tells_when_it_was_recorded_and_why(sqlite_url: str, dateline: Dateline) -> None:
    from tests.cli.bank import NOON, TELLER

    with opened(sqlite_url) as runner:
        event = Open(account="ann", owner="Ann Lee")
        runner.dispatch(event, actor=TELLER, at=NOON.replace(year=2023), reason="found on paper", version="2024-01-01")

    out = dateline("trail", "--database", sqlite_url).out

    assert "Saturday, 1 July 2023, UTC\n\n12:00:00 ● open  committed  event 1, version 2024-01-01\n" in out
    assert "\n           because   found on paper\n" in out
    assert "\n           late      recorded 20" in out


SHOP = {
    "__init__.py": "",
    "v2024_01_01/__init__.py": "",
    "v2024_01_01/payments.py": """
        from dateline import Event

        class Pay(Event, kind="pay", subjects=("account:{account}",)):
            '''Money leaves an account.'''
            account: str
            cents: int
    """,
}


def test_with_its_versions_an_event_says_what_it_is_about_and_whether_they_can_read_it(
    sqlite_url: str, dateline: Dateline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived(sqlite_url)
    for name, source in SHOP.items():
        path = tmp_path / "bank_versions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    ran = dateline("trail", "--database", sqlite_url, "--versions", "bank_versions", "--limit", "2")

    assert ran.status == 0
    assert "event 1, version 2024-06-01\n                     No version at hand can read this event.\n" in ran.out
    assert "event 2, version 2024-06-01\n                     Money leaves an account.\n" in ran.out


def test_whoever_reads_only_the_beginning_is_not_shouted_at(sqlite_url: str) -> None:
    with opened(sqlite_url) as runner:
        runner.dispatch(Open(account="ann", owner="Ann Lee"), actor="ann")
        for _ in range(30):
            runner.dispatch(Pay(account="ann", cents=1), actor="ann")
    trail = [sys.executable, "-m", "dateline.cli.main", "trail", "--database", sqlite_url]

    for form in ([], ["--json"]):
        program = subprocess.Popen(
            [*trail, *form], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        assert program.stdout
        assert program.stderr
        program.stdout.close()

        assert (program.wait(timeout=300), program.stderr.read()) == (0, "")
        program.stderr.close()
