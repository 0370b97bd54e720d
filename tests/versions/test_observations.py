"""Laboratory results: kept, refused without their value, and the lactates that cannot wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from clinic.effects import DoctorPage
from clinic.tables import Encounter, Observation, Task
from dateline import Insert, Reject
from versions.v2013_02_01 import observations as rules
from versions.v2018_04_19 import observations as later

AT = datetime(2018, 5, 6, 7, 30, tzinfo=UTC)


def result(**told: Any) -> rules.RecordObservation:
    made: rules.RecordObservation = rules.RecordObservation(encounter="XJ", result="XJ/3", **told)
    return made.stamped(at=AT, actor="laboratory")


def lactate(mmol_l: str | None) -> rules.RecordObservation:
    return result(analyte="lactate", lactate_mmol_l=None if mmol_l is None else Decimal(mmol_l))


@pytest.mark.parametrize(
    ("analyte", "field"), [("leucocytes", "leucocytes_giga_l"), ("crp", "crp_mg_l"), ("lactate", "lactate_mmol_l")]
)
def test_a_result_without_its_value_is_refused(analyte: str, field: str) -> None:
    assert list(rules.a_result_has_its_value(result(analyte=analyte))) == [
        Reject("missing-value", f"the laboratory sent {analyte} without its value", field=field)
    ]
    assert list(rules.a_result_has_its_value(result(analyte=analyte, **{field: Decimal("0.0")}))) == []


def test_a_result_brings_no_value_of_another_analyte() -> None:
    with pytest.raises(ValidationError, match="a result for crp brings no lactate_mmol_l"):
        result(analyte="crp", lactate_mmol_l=Decimal("1.4"))


def test_a_result_is_kept_digit_for_digit() -> None:
    event = result(analyte="crp", crp_mg_l=Decimal("16.0"))

    [step] = rules.the_result_is_kept(event, rules.Visit(encounter=rules.Open(id="XJ")))

    assert step == Insert(
        Observation,
        id="XJ/3",
        encounter="XJ",
        analyte="crp",
        measured_at=AT,
        leucocytes_giga_l=None,
        crp_mg_l=Decimal("16.0"),
        lactate_mmol_l=None,
    )
    assert str(step.values["crp_mg_l"]) == "16.0"


def test_a_result_opens_an_encounter_that_nobody_registered() -> None:
    steps = list(
        rules.the_result_is_kept(result(analyte="crp", crp_mg_l=Decimal(9), age_years=35), rules.Visit(encounter=None))
    )

    assert steps[0] == Insert(Encounter, id="XJ", opened_at=AT, age_years=35, diagnosis=None)
    assert [step.mapped for step in steps] == [Encounter, Observation]


@pytest.mark.parametrize(("mmol_l", "pages"), [("3.9", 0), ("4.0", 1), ("4", 1), ("14.9", 1)])
def test_every_lactate_of_four_or_more_pages_the_doctor(mmol_l: str, pages: int) -> None:
    page = DoctorPage(encounter="XJ", result="XJ/3", lactate_mmol_l=Decimal(mmol_l))

    assert list(rules.a_very_high_lactate_pages_the_doctor(lactate(mmol_l))) == [page] * pages


def test_other_results_page_nobody() -> None:
    event = result(analyte="crp", crp_mg_l=Decimal("369.0"))

    assert list(rules.a_very_high_lactate_pages_the_doctor(event)) == []


@pytest.mark.parametrize(("mmol_l", "tasks"), [("2.0", 0), ("2.1", 1), ("9.0", 1)])
def test_a_first_lactate_above_two_is_measured_again_two_hours_later(mmol_l: str, tasks: int) -> None:
    event = lactate(mmol_l)
    task = Insert(
        Task,
        id=event.new_id("remeasure-lactate"),
        kind="remeasure-lactate",
        encounter="XJ",
        ordered_at=AT,
        due_at=AT + timedelta(hours=2),
    )

    assert list(later.a_high_first_lactate_is_measured_again(event, later.Lactates(measured=False))) == [task] * tasks


def test_a_later_lactate_is_not_measured_again() -> None:
    steps = later.a_high_first_lactate_is_measured_again(lactate("9.0"), later.Lactates(measured=True))

    assert list(steps) == []


def test_other_results_are_not_measured_again() -> None:
    event = result(analyte="crp", crp_mg_l=Decimal("369.0"))

    assert list(later.a_high_first_lactate_is_measured_again(event, later.Lactates(measured=False))) == []
