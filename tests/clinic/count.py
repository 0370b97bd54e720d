"""Count, straight from the hospital's log, what the importer must come to: a second opinion that shares no code with the first.

Nothing of clinic, versions or dateline is imported here. From a shell: `python tests/clinic/count.py sepsis.jsonl.gz`.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

LABORATORY = ("Leucocytes", "CRP", "LacticAcid")
ADMISSIONS = ("Admission NC", "Admission IC")
RELEASES = ("Release A", "Release B", "Release C", "Release D", "Release E")
# Of these only an encounter's first changes its row; each of the others does every time.
FIRST_ONLY = ("ER Triage", "ER Sepsis Triage", "IV Liquid", "IV Antibiotics")

Line = dict[str, Any]


@dataclass(frozen=True)
class Count:
    """What the log comes to.

    Args:
        effects: What the rules of 2013-02-01 ask for, by kind.
        operations: What they do to the rows, by table and verb.
        by_rule: Reviews, pages and tasks under each date's rules, whichever was in force.
    """

    events: int
    committed: int
    rejected: int
    effects: dict[str, int]
    operations: dict[str, dict[str, int]]
    by_rule: dict[str, dict[str, int]]


def lines(path: Path) -> list[Line]:
    """Return the log's lines in their order, decimals as they are written."""
    with gzip.open(path, "rt", encoding="utf-8") as log:
        return [json.loads(line, parse_float=Decimal) for line in log]


def count(log: list[Line]) -> Count:
    """Count a whole log."""
    taken = [line for line in log if not lacks_its_value(line)]
    cases: dict[str, list[Line]] = defaultdict(list)
    for line in taken:
        cases[line["case"]].append(line)
    reviews = {
        "2013-02-01": sum(reviewed(case, hours=3) for case in cases.values()),
        "2018-04-19": sum(reviewed(case, hours=1) for case in cases.values()),
        "2021-10-04": sum(reviewed(case, hours=1 if hypotensive(case) else 3) for case in cases.values()),
    }
    pages = sum(line["data"]["LacticAcid"] >= 4 for line in taken if line["activity"] == "LacticAcid")
    tasks = sum(first_lactate(case) > 2 for case in cases.values())
    return Count(
        events=len(log),
        committed=len(taken),
        rejected=len(log) - len(taken),
        effects={"doctor.page": pages, "sepsis.review": reviews["2013-02-01"]},
        operations={
            "encounter": {"insert": len(cases), "update": sum(updates(case) for case in cases.values())},
            "observation": {"insert": sum(line["activity"] in LABORATORY for line in taken)},
        },
        by_rule={
            date: {
                "doctor.page": pages,
                "sepsis.review": reviews[date],
                "remeasure-lactate": tasks if date >= "2018-04-19" else 0,
            }
            for date in reviews
        },
    )


def lacks_its_value(line: Line) -> bool:
    """Tell whether this is a laboratory result without a result."""
    return line["activity"] in LABORATORY and line["activity"] not in line["data"]


def reviewed(case: list[Line], *, hours: int) -> bool:
    """Tell whether the first antibiotics came too late after the first sepsis triage; without a triage before, they did not."""
    antibiotics = next((n for n, line in enumerate(case) if line["activity"] == "IV Antibiotics"), None)
    if antibiotics is None:
        return False
    triage = next((line for line in case[:antibiotics] if line["activity"] == "ER Sepsis Triage"), None)
    if triage is None:
        return False
    return instant(case[antibiotics]) - instant(triage) > timedelta(hours=hours)


def hypotensive(case: list[Line]) -> bool:
    """Tell whether, when the first antibiotics were given, registration had recorded a low blood pressure."""
    before = []
    for line in case:
        if line["activity"] == "IV Antibiotics":
            break
        before.append(line)
    return any(line["activity"] == "ER Registration" and line["data"]["Hypotensie"] for line in before)


def first_lactate(case: list[Line]) -> Decimal:
    """Return the first lactate that was measured, in mmol/L; zero where there is none."""
    found = (line["data"]["LacticAcid"] for line in case if line["activity"] == "LacticAcid")
    return next(found, Decimal(0))


def updates(case: list[Line]) -> int:
    """Return how often the encounter's row changes after the event that opened it."""
    met: Counter[str] = Counter()
    changes = 0
    for n, line in enumerate(case):
        activity = line["activity"]
        met[activity] += 1
        if n == 0 or activity in LABORATORY:
            continue
        if activity not in FIRST_ONLY or met[activity] == 1:
            changes += 1
    return changes


def instant(line: Line) -> datetime:
    return datetime.fromisoformat(line["at"])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(count(lines(Path(sys.argv[1])))), indent=2) + "\n")
