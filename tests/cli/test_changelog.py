"""`dateline changelog` and `dateline catalogue`: what versions say of themselves, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

from dateline import load
from dateline.core.history import catalogue, chapters, markdown
from tests.cli.conftest import Ran

CLINIC = load("versions")


def test_the_history_is_markdown(dateline: Callable[..., Ran]) -> None:
    assert dateline("changelog", "--versions", "versions") == Ran(0, markdown(chapters(CLINIC)), "")


def test_as_json_it_is_one_object_and_may_begin_later(dateline: Callable[..., Ran]) -> None:
    ran = dateline("changelog", "--versions", "versions", "--since", "2019-01-01", "--json")

    found = [one.document() for one in chapters(CLINIC, date(2019, 1, 1))]
    assert json.loads(ran.out) == {"versions": json.loads(json.dumps(found))}
    assert len(ran.out.splitlines()) == 1


def test_everything_is_exported_for_people_in_lines_and_for_machines_in_one(dateline: Callable[..., Ran]) -> None:
    lines, line = (dateline("catalogue", "--versions", "versions", *more) for more in ((), ("--json",)))

    assert json.loads(lines.out) == json.loads(line.out) == json.loads(json.dumps(catalogue(CLINIC)))
    assert (len(line.out.splitlines()), len(lines.out.splitlines()) > 100) == (1, True)
