"""The hospital's log under other rules: counted against the raw file, corrected to them, corrected on, and corrected back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from clinic.app import open_clinic
from clinic.deliveries import page, write
from clinic.tables import Base
from dateline import Actor, Relay, Runner
from dateline.core.correction import Correction
from dateline.core.tally import Tally
from dateline.run.replay import since_recorded
from dateline.run.sweep import Sweep, differing, swept
from tests.clinic.conftest import Imported
from tests.clinic.count import count, lines

FIRST, HOUR, SHOCK = date(2013, 2, 1), date(2018, 4, 19), date(2021, 10, 4)
AUDITOR = Actor("auditor", rights=frozenset({"correct", "effects"}))


def replayed(runner: Runner, version: date | None) -> Tally:
    url = runner.engine.url.render_as_string(hide_password=False)
    return swept(Sweep(database=url, versions="versions", version=version), processes=1)


def totals(found: Tally) -> dict[str, int]:
    """Return what an independent count of the raw file counts, too."""
    return {
        "doctor.page": found.effects.replayed["doctor.page"],
        "sepsis.review": found.effects.replayed["sepsis.review"],
        "remeasure-lactate": found.operations.replayed["task", "insert"],
    }


@pytest.mark.parametrize("imported", ["on_sqlite", "on_postgresql"])
def test_under_its_own_version_every_line_comes_to_what_was_recorded(
    imported: str, request: pytest.FixtureRequest
) -> None:
    runner = request.getfixturevalue(imported).runner

    found = replayed(runner, None)

    assert (found.events, found.same, found.different, found.unanswerable, found.failed) == (15_214, 15_214, 0, 0, 0)


@pytest.mark.parametrize("version", [FIRST, HOUR, SHOCK])
@pytest.mark.parametrize("imported", ["on_sqlite", "on_postgresql"])
def test_under_another_version_the_counts_are_those_of_the_raw_file(
    imported: str, version: date, request: pytest.FixtureRequest, hospital_log: Path
) -> None:
    runner = request.getfixturevalue(imported).runner

    found = replayed(runner, version)

    assert totals(found) == count(lines(hospital_log)).by_rule[version.isoformat()]
    assert (found.events, found.unanswerable, found.failed) == (15_214, 0, 0)
    assert (found.reconstructed > 0) == (version > FIRST)


@pytest.fixture
def clinic(on_sqlite: Imported, tmp_path: Path) -> Iterator[Runner]:
    """Give the imported log in a database of the test's own."""
    file = tmp_path / "clinic.db"
    with on_sqlite.runner.engine.connect() as connection:
        connection.execute(text("VACUUM INTO :file"), {"file": str(file)})
    with open_clinic(f"sqlite:///{file}") as runner:
        yield runner


def corrected(runner: Runner, version: date) -> list[Correction]:
    """Correct the whole trail."""
    url = runner.engine.url.render_as_string(hide_password=False)
    made = []
    for entry, decision in differing(Sweep(database=url, versions="versions", version=version), runner):
        diff = runner.driven(since_recorded(runner, entry, decision))
        if diff:
            made.append(runner.correct(diff, actor=AUDITOR, reason=f"the rules of {version}"))
    return made


def statuses(found: list[Correction]) -> Counter[tuple[str, str]]:
    return Counter((one.item.shown.of, one.status) for correction in found for one in correction.items)


def rows(runner: Runner) -> dict[str, list[tuple[Any, ...]]]:
    with runner.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def test_correcting_on_after_half_of_the_effects_were_sent_performs_the_difference_alone(
    clinic: Runner, hospital_log: Path
) -> None:
    by_rule = count(lines(hospital_log)).by_rule
    hour, shock = by_rule["2018-04-19"], by_rule["2021-10-04"]
    new = hour["sepsis.review"] - by_rule["2013-02-01"]["sepsis.review"]
    before = rows(clinic)

    first = statuses(corrected(clinic, HOUR))

    assert first == {("task", "clean"): hour["remeasure-lactate"], ("sepsis.review", "held"): new}
    assert len(rows(clinic)["task"]) == hour["remeasure-lactate"]
    assert {name: found for name, found in rows(clinic).items() if name != "task"} == {
        name: found for name, found in before.items() if name != "task"
    }

    held = clinic.effects("held", kind="sepsis.review", limit=1000)
    for effect in held[::2]:
        clinic.approve(effect.key, actor=AUDITOR)
    sent = Relay(clinic, page, write).drain()
    second = statuses(corrected(clinic, SHOCK))
    unwanted = hour["sepsis.review"] - shock["sepsis.review"]

    assert sent == sum(by_rule["2013-02-01"].values()) + len(held[::2])
    assert set(second) == {("sepsis.review", "cancelled"), ("sepsis.review", "sent")}
    assert sum(second.values()) == unwanted
    still = {"held": second["sepsis.review", "sent"], "cancelled": second["sepsis.review", "cancelled"]}
    assert len(clinic.effects("held", limit=1000)) == len(held) - len(held[::2]) - still["cancelled"]
    assert len(clinic.effects("cancelled", limit=1000)) == still["cancelled"]
    assert abs(still["held"] - still["cancelled"]) < 40

    third = statuses(corrected(clinic, SHOCK))

    assert third == {("sepsis.review", "sent"): still["held"]}
    assert clinic.verify().ok


def test_back_again_is_the_original_where_nothing_was_sent_and_hand_edited_cells_stay(clinic: Runner) -> None:
    before = rows(clinic)
    corrected(clinic, HOUR)
    with clinic.engine.begin() as connection:
        edited, deleted = connection.scalars(text("SELECT id FROM task ORDER BY id LIMIT 2"))
        connection.execute(text("UPDATE task SET kind = 'by hand' WHERE id = :id"), {"id": edited})
        connection.execute(text("DELETE FROM task WHERE id = :id"), {"id": deleted})

    back = corrected(clinic, FIRST)

    found = statuses(back)
    assert {status: number for (table, status), number in found.items() if table == "task"} == {
        "clean": 300,
        "conflict": 1,
        "already": 1,
    }
    assert {status for (kind, status), _ in found.items() if kind == "sepsis.review"} == {"cancelled"}
    assert [row[0].hex for row in rows(clinic)["task"]] == [edited]
    assert {name: held for name, held in rows(clinic).items() if name != "task"} == {
        name: held for name, held in before.items() if name != "task"
    }
    assert [one.status for correction in corrected(clinic, FIRST) for one in correction.items] == ["conflict"]
