"""`dateline check`: findings by file and line, and an exit status for CI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

OFFENDING = '''"""Rules."""

import time

from dateline import Effect, Event, Yields, handler


class Say(Effect, kind="say"):
    text: str


class Ask(Event, kind="ask"):
    pass


@handler
def tell(event: Ask) -> Yields[Say]:
    yield Say(text=str(time.time()))
'''


def application(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write an application of one date whose one module this is, stand beside it, and return its name."""
    layer = folder / name / "v2024_01_01"
    layer.mkdir(parents=True)
    for package in (folder / name, layer):
        (package / "__init__.py").write_text('"""2024-01-01: rules."""\n')
    (layer / "rules.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return name


def test_a_clean_application_is_said_to_be_so(dateline: Callable[..., Ran]) -> None:
    assert dateline("check", "--versions", "versions") == Ran(0, "versions: nothing found.\n", "")


def test_findings_are_shown_by_file_with_line_rule_reason_and_mend(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = application("offending_shown", OFFENDING, tmp_path, monkeypatch)

    assert dateline("check", "--versions", name) == Ran(
        1,
        f"""{name}/v2024_01_01/rules.py
   18  clock  tell: asks the clock: time.time()
       use event.meta.at

{name}: 1 error and 0 warnings.
""",
        "",
    )


def test_as_json_they_are_one_object(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = application("offending_told", OFFENDING, tmp_path, monkeypatch)

    ran = dateline("check", "--versions", name, "--json")

    assert (ran.status, json.loads(ran.out)) == (
        1,
        {
            "ok": False,
            "errors": 1,
            "warnings": 0,
            "findings": [
                {
                    "file": str(tmp_path / name / "v2024_01_01" / "rules.py"),
                    "line": 18,
                    "name": "tell",
                    "rule": "clock",
                    "severity": "error",
                    "reason": "asks the clock: time.time()",
                    "mend": "use event.meta.at",
                }
            ],
        },
    )


def test_what_cannot_be_loaded_is_a_finding_and_no_traceback(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = OFFENDING.replace("-> Yields[Say]", "-> str")
    name = application("unloadable_shown", text, tmp_path, monkeypatch)

    ran = dateline("check", "--versions", name)

    assert (ran.status, ran.err) == (1, "")
    assert ran.out.startswith(
        f"{name}/v2024_01_01/rules.py\n   16  bad-signature  tell: its return type does not say what"
    )
