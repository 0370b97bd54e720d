"""The report: figures from slices, bars from figures, one object for machines, a table for people, a picture."""

from __future__ import annotations

import io
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks.__main__ import CONTESTS, app
from benchmarks.bars import Judged, judge
from benchmarks.chart import chart
from benchmarks.contest import Contest, Outcome, Size
from benchmarks.contestant import Slice
from benchmarks.field import FIELD, entrant
from benchmarks.figures import Figures, Ratio, figures, percentile, ratio
from benchmarks.loading import UNWANTED, Loading, load
from benchmarks.report import Report, document, show

SIZE = Size(patients=8, rounds=3, units=8, hot=8, warm=8)
ONE = Contest("one", "1 client", ("dateline", "psycopg"), 1, 1)


def found(*rates: float, cpu: float = 200e-6) -> Figures:
    return Figures(rates, p50=0.001, p99=0.004, cpu=cpu, stored=6_000, logged=7_000)


def report(outcome: Outcome, **changed: Any) -> Report:
    loading = Loading((0.1, 0.2, 0.15), ("dateline", "orjson"))
    given: dict[str, Any] = {
        "mode": "quick",
        "size": SIZE,
        "outcomes": (outcome,),
        "judged": tuple(judge([outcome], loading)),
        "loading": loading,
        "missing": {"dbos": ("dbos",)},
        "postgresql": 18,
        "load": 0.125,
    }
    return Report(**given | changed)


PLAIN = Outcome(ONE, {"dateline": found(300, 330, 360), "psycopg": found(200, 200, 400)}, "")


def test_figures_are_medians_over_rounds_and_percentiles_over_units() -> None:
    slices = [Slice(0.0, 2.0, 0.25, (0.5, 0.5, 0.5, 0.5)), Slice(10.0, 11.0, 0.125, (0.2, 0.2, 0.3, 0.9))]

    made = figures(slices, stored=10, logged=None)

    assert made == Figures((2.0, 4.0), p50=0.5, p99=0.9, cpu=0.375 / 8, stored=10, logged=None)
    assert made.rate == 3.0


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 5), (0.51, 6), (0.99, 10), (1.0, 10)])
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    assert percentile(range(1, 11), share) == value


def test_a_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    assert ratio((300, 330, 360), (200, 200, 400)) == Ratio(1.65, 0.9, 1.65)


def test_a_bar_is_met_missed_or_not_measured() -> None:
    judged = {one.name: one for one in judge([PLAIN], None)}

    assert judged["dateline / psycopg, one"] == Judged(
        "dateline / psycopg, one", "≥ 1.50", "×", 1.65, (0.9, 1.65), met=True
    )
    assert judged["dateline / dbos, one"] == Judged("dateline / dbos, one", "≥ 11.00", "×", None, None, None)
    assert judged["import dateline"].met is None

    slow = Outcome(ONE, {"dateline": found(149), "psycopg": found(100)}, "")
    assert {one.name: one.met for one in judge([slow], None)}["dateline / psycopg, one"] is False


def test_work_that_dateline_adds_has_a_bar() -> None:
    outcome = Outcome(ONE, {"dateline": found(1, cpu=0.25), "psycopg-guarded": found(1, cpu=0.125)}, "")

    judged = {one.name: one for one in judge([outcome], None)}["work added to psycopg-guarded"]

    assert judged == Judged("work added to psycopg-guarded", "≤ 120 µs", "µs", 125_000, None, met=False)


def test_every_bar_is_about_contestants_and_contests_that_exist() -> None:
    everything = [
        Outcome(contest, {name: found(1, 1) for name in contest.names}, "")
        for contest in CONTESTS
        if {entrant(name) for name in contest.names} <= set(FIELD)
    ]

    unknown = {one.name for one in judge(everything, Loading((0.1, 0.1), ())) if one.met is None}

    peers = ("sqlalchemy-orm", "eventsourcing", "django-pghistory", "continuum", "dbos")
    known = {one.name for one in FIELD}
    assert unknown == {f"dateline / {name}, one" for name in peers if name not in known}


def test_an_import_that_brings_a_face_along_misses_its_bar() -> None:
    slow, faced = Loading((0.2, 0.3, 0.26), ()), Loading((0.1, 0.1, 0.1), ("dateline", "rich"))

    assert [judge([], one)[-1].met for one in (slow, faced)] == [False, False]
    assert faced.unwanted == ("rich",)
    assert "dateline" not in UNWANTED


def test_libraries_are_seen_in_a_fresh_interpreter() -> None:
    loading = load(1)

    assert {"dateline", "orjson", "pydantic"} <= set(loading.libraries)
    assert "pytest" not in loading.libraries
    assert len(loading.seconds) == 1


def test_the_document_is_whole() -> None:
    made = json.loads(json.dumps(document(report(PLAIN))))

    assert list(made) == [
        "dateline",
        "python",
        "postgresql",
        "machine",
        "mode",
        "patients",
        "rounds",
        "contests",
        "bars",
        "import",
        "missing",
        "equal",
        "difference",
    ]
    assert made["contests"] == {
        "one": {
            "about": "1 client",
            "processes": 1,
            "clients": 1,
            "contestants": {
                "dateline": {
                    "units_per_second": 330,
                    "rounds": [300, 330, 360],
                    "to_base": 1.65,
                    "to_base_least": 0.9,
                    "to_base_most": 1.65,
                    "p50_ms": 1.0,
                    "p99_ms": 4.0,
                    "cpu_us": 200.0,
                    "stored_bytes": 6000,
                    "logged_bytes": 7000,
                },
                "psycopg": {
                    "units_per_second": 200,
                    "rounds": [200, 200, 400],
                    "to_base": 1.0,
                    "to_base_least": 1.0,
                    "to_base_most": 1.0,
                    "p50_ms": 1.0,
                    "p99_ms": 4.0,
                    "cpu_us": 200.0,
                    "stored_bytes": 6000,
                    "logged_bytes": 7000,
                },
            },
        }
    }
    assert made["bars"][0] == {
        "name": "dateline / psycopg, one",
        "wanted": "≥ 1.50",
        "unit": "×",
        "value": 1.65,
        "least": 0.9,
        "most": 1.65,
        "met": True,
    }
    assert made["import"] == {"seconds": [0.1, 0.2, 0.15], "libraries": ["dateline", "orjson"], "unwanted": []}
    assert made["machine"]["load"] == 0.12
    assert (made["missing"], made["equal"], made["difference"]) == ({"dbos": ["dbos"]}, True, "")


def test_people_are_told_figures_bars_who_is_missing_and_whose_rows_differ() -> None:
    told = io.StringIO()

    show(
        report(Outcome(ONE, PLAIN.figures, "one: dateline and psycopg differ in 1 and 0 patients")),
        Console(file=told, width=100),
    )

    lines = told.getvalue().splitlines()
    assert any(line.split()[:3] == ["dateline", "330", "1.65"] for line in lines)
    assert any(line.split() == ["dateline", "█" * 40, "330"] for line in lines)
    assert any(line.split()[-1:] == ["met"] and line.startswith("dateline / psycopg, one") for line in lines)
    assert "missing: dbos (needs dbos)" in lines
    assert "✗ rows differ. one: dateline and psycopg differ in 1 and 0 patients" in lines


@pytest.mark.parametrize(("load", "told"), [(0.0, False), (1_000.0, True)])
def test_people_are_told_that_others_used_the_machine(load: float, told: bool) -> None:
    out = io.StringIO()

    show(report(PLAIN, load=load), Console(file=out, width=200))

    assert (f"others used the machine (a load of {load:.1f} on" in out.getvalue()) == told


def test_nothing_is_cut_off_in_a_terminal_of_eighty_columns() -> None:
    out = io.StringIO()
    everything = {one.name: found(1234, 1234, 1234) for one in FIELD}
    contests = [Outcome(one, {name: everything[name] for name in one.names}, "") for one in CONTESTS]
    judged = tuple(judge(contests, Loading((0.1, 0.2, 0.3), ())))

    show(report(PLAIN, outcomes=tuple(contests), judged=judged), Console(file=out, width=80))

    lines = [line.split() for line in out.getvalue().splitlines() if line]
    verdicts = [line[-1] for line in lines if len(line) > 2 and line[1] == "/"]
    assert (len(verdicts), set(verdicts)) == (13, {"met", "missed"})
    assert ["dateline", "1,234", "1.00", "1.00", "4.00", "200", "6,000", "7,000"] in lines


def test_the_chart_is_a_picture_that_needs_nothing_else() -> None:
    drawn = chart(Outcome(ONE, {**PLAIN.figures, "dateline-preview": found(2_000, 2_000, 2_000)}, ""))

    picture = ET.fromstring(drawn)
    texts = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        "Units a second, 1 client",
        "dateline",
        "330  (1.65 × psycopg)",
        "psycopg",
        "200",
    ]
    attributes = {name for one in picture.iter() for name in one.attrib}
    assert not {name for name in attributes if "href" in name or "style" in name}


def test_an_unknown_contestant_is_refused() -> None:
    with pytest.raises(LookupError, match="no contestant 'nobody'; there are dateline, "):
        entrant("nobody")

    assert isinstance(CliRunner().invoke(app, ["--only", "nobody"]).exception, LookupError)
