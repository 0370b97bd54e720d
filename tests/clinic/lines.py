"""Lines such as the hospital's log has, made up for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from clinic.log import CHECK_BOXES

BOXES = dict.fromkeys(CHECK_BOXES, False)


def line(
    case: str,
    n: int,
    activity: str,
    data: dict[str, Any] | None = None,
    *,
    at: str | None = None,
    group: str = "B",
) -> bytes:
    """Return a line of the log, ten minutes after the one before."""
    moment = at or f"2014-03-{1 + n // 144:02}T{n // 6 % 24:02}:{n % 6}0:00Z"
    told = {"case": case, "n": n, "activity": activity, "at": moment, "group": group, "data": data or {}}
    return json.dumps(told).encode() + b"\n"


def visit(case: str) -> list[bytes]:
    """Return a whole visit of ten lines: a result without its value, a page, and antibiotics after three hours and ten minutes."""
    return [
        line(case, 0, "CRP", {"CRP": 16.0, "Age": 60, "Diagnose": "C"}),
        line(case, 1, "ER Registration", BOXES | {"Hypotensie": True}, group="A"),
        line(case, 2, "ER Triage", group="C"),
        line(case, 3, "ER Sepsis Triage", group="A"),
        line(case, 4, "LacticAcid"),
        line(case, 5, "LacticAcid", {"LacticAcid": 4.0}),
        line(case, 22, "IV Liquid"),
        line(case, 23, "IV Antibiotics"),
        line(case, 24, "Admission NC", group="F"),
        line(case, 25, "Release A", group="E"),
    ]


VISIT = {
    "events": 10,
    "committed": 9,
    "rejected": 1,
    "repeated": 0,
    "malformed": 0,
    "effects": {"doctor.page": 1, "sepsis.review": 1},
    "operations": {"encounter": {"insert": 1, "update": 7}, "observation": {"insert": 2}},
}
"""What such a visit comes to, but for the time it takes."""


def log(lines: Iterable[bytes]) -> BytesIO:
    return BytesIO(b"".join(lines))
