"""The hospital's whole log, imported on both kinds of database and counted a second time by code that shares nothing with the first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, create_engine, delete, insert, select, update

from clinic.importer import Import
from clinic.tables import Base
from dateline import Entry
from dateline.core.outcome import Performed, Wrote
from tests.clinic.conftest import Imported
from tests.clinic.count import count, lines

BOTH = ["on_sqlite", "on_postgresql"]


@pytest.fixture(params=BOTH)
def imported(request: pytest.FixtureRequest) -> Imported:
    found: Imported = request.getfixturevalue(request.param)
    return found


def rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the clinic's tables, in the order of their keys."""
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in Base.metadata.sorted_tables
        }


def test_the_importer_agrees_with_the_independent_count(imported: Imported, hospital_log: Path) -> None:
    expected = asdict(count(lines(hospital_log)))

    assert expected.pop("by_rule")["2013-02-01"] == expected["effects"] | {"remeasure-lactate": 0}
    assert imported.summary == expected | {"repeated": 0, "malformed": 0, "seconds": 0}


def test_the_two_databases_have_the_same_trail(on_sqlite: Imported, on_postgresql: Imported) -> None:
    pairs = zip_longest(on_sqlite.trail, on_postgresql.trail)

    different = [one.seq for one, other in pairs if other is None or told(one) != told(other)]

    assert different == []


def told(entry: Entry) -> dict[str, Any]:
    """Return an entry without what is different in each run: ids, and when it was recorded."""
    made = {
        name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name not in ("id", "meta", "recorded_at")
    }
    effects = [
        (one.ordinal, one.step, one.kind, one.payload, one.handler, one.date, one.state) for one in entry.effects
    ]
    return made | {"effects": effects, "meta": entry.meta.facts() | {"id": None}}


def test_the_two_databases_have_the_same_rows(on_sqlite: Imported, on_postgresql: Imported) -> None:
    assert rows(on_sqlite.runner.engine) == rows(on_postgresql.runner.engine)


def test_each_line_is_one_entry_in_the_order_of_the_log(on_postgresql: Imported, hospital_log: Path) -> None:
    with gzip.open(hospital_log, "rt") as log:
        expected = [
            (datetime.fromisoformat(line["at"]), line["group"], f"encounter:{line['case']}")
            for line in map(json.loads, log)
        ]

    found = [(entry.occurred_at, entry.actor.on_behalf_of, *entry.subjects) for entry in on_postgresql.trail]

    assert found == expected


def test_only_results_without_their_value_are_refused(imported: Imported) -> None:
    refused = [entry for entry in imported.trail if entry.outcome != "committed"]

    assert len(refused) == imported.summary["rejected"]
    assert {(entry.outcome, entry.kind, *(one.code for one in entry.rejections)) for entry in refused} == {
        ("rejected", "observation.record", "missing-value")
    }


def test_every_step_names_the_handler_and_the_date_that_decided_it(imported: Imported) -> None:
    steps: list[Wrote | Performed] = []
    for entry in imported.trail:
        steps += (*entry.operations, *entry.effects)

    deciders = {(one.date, one.handler.removeprefix("versions.v2013_02_01.")) for one in steps}

    assert deciders == {
        ("2013-02-01", f"{module}.{name}")
        for module, names in {
            "encounters": (
                "registration_fills_the_encounter_in",
                "the_first_triage_counts",
                "the_first_sepsis_triage_counts",
                "the_patient_is_on_the_ward_of_the_latest_admission",
                "the_release_is_kept",
                "the_return_is_kept",
            ),
            "observations": ("the_result_is_kept", "a_very_high_lactate_pages_the_doctor"),
            "treatments": ("the_first_of_each_treatment_counts", "late_antibiotics_are_reviewed"),
        }.items()
        for name in names
    }
    assert {entry.version for entry in imported.trail} == {date(2013, 2, 1)}


def test_every_digest_of_the_trail_is_right(imported: Imported) -> None:
    found = imported.runner.verify()

    assert (found.events, found.faults) == (imported.summary["events"], ())


def test_the_recorded_operations_in_their_order_rebuild_the_tables(imported: Imported, tmp_path: Path) -> None:
    empty = create_engine(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    Base.metadata.create_all(empty)

    with empty.begin() as connection:
        for entry in imported.trail:
            for one in entry.operations:
                table = Base.metadata.tables[one.table]
                [key] = table.primary_key
                here = key == one.row_key
                held = connection.execute(select(table).where(here)).mappings().one_or_none()
                assert one.before == (None if held is None else image(held))
                if one.verb == "insert":
                    connection.execute(insert(table).values(values(table, one.after)))
                elif one.verb == "update":
                    assert connection.execute(update(table).where(here).values(values(table, one.after))).rowcount == 1
                else:
                    assert connection.execute(delete(table).where(here)).rowcount == 1

    assert rows(empty) == rows(imported.runner.engine)
    empty.dispose()


def image(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as the trail keeps it: decimals and instants as text."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal) else value


def values(table: Table, recorded: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a recorded image as the values that the columns take."""
    assert recorded is not None
    made: dict[str, Any] = {}
    for name, value in recorded.items():
        takes = table.c[name].type.python_type
        if value is not None and takes is datetime:
            made[name] = datetime.fromisoformat(value)
        elif value is not None and takes is Decimal:
            made[name] = Decimal(value)
        else:
            made[name] = value
    return made


def test_importing_the_whole_log_again_adds_nothing(on_sqlite: Imported, hospital_log: Path) -> None:
    with hospital_log.open("rb") as log:
        run = Import(on_sqlite.runner, misfit=lambda misfit: None, kept=lambda text: None)
        run.run(log)

    summary = run.tally.summary(0)
    assert summary == {
        "events": 15_214,
        "committed": 0,
        "rejected": 0,
        "repeated": 15_214,
        "malformed": 0,
        "effects": {},
        "operations": {},
        "seconds": 0,
    }
    assert on_sqlite.runner.verify().events == 15_214


def test_what_later_rules_would_have_asked_for_is_counted_too(hospital_log: Path) -> None:
    assert count(lines(hospital_log)).by_rule == {
        "2013-02-01": {"doctor.page": 101, "sepsis.review": 185, "remeasure-lactate": 0},
        "2018-04-19": {"doctor.page": 101, "sepsis.review": 481, "remeasure-lactate": 302},
        "2021-10-04": {"doctor.page": 101, "sepsis.review": 206, "remeasure-lactate": 302},
    }
