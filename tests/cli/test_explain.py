"""`dateline explain`: what a version does with a kind, without any database."""

from __future__ import annotations

import json
from collections.abc import Callable

from dateline import load
from dateline.core.catalogue import explained
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
