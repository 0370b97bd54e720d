"""`dateline explain`: what a version does with a kind, without any database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from dateline import load
from dateline.core.catalogue import explained
from dateline.core.drawing import drawn
from tests.cli.conftest import Ran


def test_it_is_shown_in_sections(dateline: Callable[..., Ran]) -> None:
    ran = dateline("explain", "prescription.submit", "--versions", "versions", "--version", "2018-08-01")

    assert (ran.status, ran.err) == (0, "")
    sections = [line for line in ran.out.splitlines() if line and not line.startswith(" ")]
    assert sections == [
        "prescription.submit  under 2018-08-01",
        "A doctor prescribes one drug for some days.",
        *("input", "checks", "handlers", "reads", "can do", "can send", "can refuse"),
    ]
    assert "  not_allergic  2018-07-30  versions/v2018_07_30/prescriptions.py:" in ran.out
    assert "  instructions  str | None = None  at least 1 long, at most 500 long" in ran.out
    assert all(len(line) <= 90 for line in ran.out.splitlines())


def test_as_json_it_is_one_object_with_keys_that_stay(dateline: Callable[..., Ran]) -> None:
    ran = dateline("explain", "prescription.submit", "--versions", "versions", "--json")

    found = explained(load("versions"), "prescription.submit").document()
    assert json.loads(ran.out) == json.loads(json.dumps(found))
    assert list(found) == [
        *("kind", "version", "shape", "shapes", "requires", "subjects", "doc", "input", "slots", "reads"),
        *("operations", "effects", "rejections", "digest"),
    ]


def test_what_there_is_not_is_told_in_a_line(dateline: Callable[..., Ran]) -> None:
    ran = dateline("explain", "prescription.submt", "--versions", "versions")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("dateline: no version knows events of kind 'prescription.submt'; there are ")


def test_it_is_drawn_in_the_terminal(dateline: Callable[..., Ran]) -> None:
    ran = dateline("explain", "treatment.give", "--versions", "versions", "--diagram")

    assert ran == Ran(0, DRAWN, "")


DRAWN = """\
treatment.give  under 2021-10-04

handlers                          2013-02-01   2018-04-19   2021-10-04
  the_first_of_each_treatment_c…  ●━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━▶
  late_antibiotics_are_reviewed   ●────────────◆────────────◆━━━━━━━━━━━▶
"""


def test_it_is_drawn_as_svg(dateline: Callable[..., Ran], tmp_path: Path) -> None:
    picture = drawn(explained(load("versions"), "treatment.give"))
    path = tmp_path / "cascade.svg"

    to_file = dateline("explain", "treatment.give", "--versions", "versions", "--svg", str(path))
    to_output = dateline("explain", "treatment.give", "--versions", "versions", "--svg", "-")
    nowhere = dateline("explain", "treatment.give", "--versions", "versions", "--svg", str(tmp_path / "no" / "a.svg"))

    assert path.read_text() == picture == to_output.out
    assert to_file == Ran(0, f"The cascade of treatment.give under 2021-10-04 is drawn in {path}.\n", "")
    assert (nowhere.status, nowhere.out) == (2, "")
    assert nowhere.err.endswith("a.svg cannot be written: No such file or directory\n")


def test_it_is_drawn_or_told_as_json_and_not_both(dateline: Callable[..., Ran]) -> None:
    asked = ("explain", "treatment.give", "--versions", "versions", "--json")

    told = "dateline: --json tells what --diagram and --svg draw; leave one of them out\n"
    assert dateline(*asked, "--diagram") == dateline(*asked, "--svg", "-") == Ran(2, "", told)


def test_the_picture_in_the_docs_is_todays() -> None:
    kept = Path(__file__).parents[2] / "docs" / "prescription.svg"

    assert kept.read_text() == drawn(explained(load("versions"), "prescription.submit"))
