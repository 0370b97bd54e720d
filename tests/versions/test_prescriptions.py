"""A prescription is refused where it would harm, else written and told; from August with a liver panel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st

from clinic.effects import NotifyPatient, TellNurses
from clinic.tables import Prescription, Task
from dateline import Event, Insert, Reject, Unrepresentable, decide, load
from versions.v2018_07_30 import prescriptions as rules
from versions.v2018_08_01 import prescriptions as later
from versions.v2019_02_11 import prescriptions as numbers
from versions.v2021_10_04 import prescriptions as units

CLINIC = load("versions")

AT = datetime(2018, 8, 2, 9, 0, tzinfo=UTC)
ID = UUID("018f0000-0000-7000-8000-000000000001")

ADA = rules.Reachable(id="ada", name="Ada", phone="+31 20 555 0101")
PARACETAMOL = rules.Prescribable(id="paracetamol", ingredient="paracetamol")


def submit(*, days: int = 5, instructions: str | None = None) -> rules.SubmitPrescription:
    return rules.SubmitPrescription(
        patient="ada", drug="paracetamol", dose="500.0 mg", days=days, instructions=instructions
    ).stamped(at=AT, actor="dr-7")


def chart(*, allergic: rules.Allergic | None = None, running: tuple[rules.Running, ...] = ()) -> rules.Chart:
    return rules.Chart(patient=ADA, drug=PARACETAMOL, allergic=allergic, running=running)


def test_nobody_is_prescribed_what_they_do_not_bear() -> None:
    allergic = rules.Allergic(patient="ada", ingredient="paracetamol")

    assert list(rules.not_allergic(submit(), chart(allergic=allergic))) == [
        Reject("allergic", "ada does not bear paracetamol", field="drug")
    ]
    assert list(rules.not_allergic(submit(), chart())) == []


def test_a_drug_is_not_prescribed_twice_at_a_time() -> None:
    running = (
        rules.Running(id=ID, ends_at=AT + timedelta(hours=1)),
        rules.Running(id=UUID(int=2), ends_at=AT + timedelta(hours=6)),
    )

    assert list(rules.not_prescribed_already(submit(), chart(running=running))) == [
        Reject("duplicate", "paracetamol is prescribed until 2018-08-02 15:00 UTC", field="drug")
    ]
    assert list(rules.not_prescribed_already(submit(), chart())) == []


def test_a_prescription_begins_at_once_and_ends_by_itself() -> None:
    event = submit(instructions="After meals.")

    assert list(rules.the_prescription_is_written(event, chart())) == [
        Insert(
            Prescription,
            id=event.new_id("prescription"),
            patient="ada",
            drug="paracetamol",
            amount=Decimal("500.0"),
            unit="mg",
            starts_at=AT,
            ends_at=AT + timedelta(days=5),
            directions="After meals.",
        )
    ]


@pytest.mark.parametrize(
    ("days", "instructions", "text"),
    [
        (5, None, "Ada: your doctor prescribed paracetamol, 500.0 mg, for 5 days."),
        (1, "After meals.", "Ada: your doctor prescribed paracetamol, 500.0 mg, for 1 day. After meals."),
    ],
)
def test_the_patient_is_told_what_was_prescribed(days: int, instructions: str | None, text: str) -> None:
    steps = rules.the_patient_is_told(submit(days=days, instructions=instructions), chart())

    assert list(steps) == [NotifyPatient(patient="ada", phone="+31 20 555 0101", text=text)]


def liver(*, hepatotoxic: bool, recent: bool = False) -> later.Liver:
    return later.Liver(
        drug=later.Toxicity(id="paracetamol", hepatotoxic=hepatotoxic), recent=later.Panel(id=ID) if recent else None
    )


def test_a_hepatotoxic_drug_comes_with_a_liver_panel_that_the_nurses_hear_of() -> None:
    event = submit()

    steps = list(later.a_hepatotoxic_drug_comes_with_a_liver_panel(event, chart(), liver(hepatotoxic=True)))

    assert steps == [
        Insert(
            Task,
            id=event.new_id("liver-panel"),
            kind="liver-panel",
            patient="ada",
            ordered_at=AT,
            due_at=AT + timedelta(days=1),
        ),
        TellNurses(
            channel="laboratory",
            patient="ada",
            text="Ada starts paracetamol: liver panel until 03 August, 09:00 UTC.",
        ),
    ]


def test_there_is_no_liver_panel_for_other_drugs_nor_where_one_is_recent() -> None:
    for known in (liver(hepatotoxic=False), liver(hepatotoxic=True, recent=True)):
        assert list(later.a_hepatotoxic_drug_comes_with_a_liver_panel(submit(), chart(), known)) == []


# One dose in three shapes -----------------------------------------------------------------------------------------------

AS_TEXT = submit(instructions="After meals.")
IN_MG = numbers.SubmitPrescription(
    patient="ada", drug="paracetamol", dose_mg=Decimal("500.0"), days=5, instructions="After meals."
).stamped(at=AT, actor="dr-7")
WITH_UNIT = units.SubmitPrescription(
    patient="ada", drug="paracetamol", amount=Decimal("500.0"), days=5, instructions="After meals."
).stamped(at=AT, actor="dr-7")


def written(event: Event, version: str) -> dict[str, Any]:
    """Return the row that a version writes, without the id that hangs on the event."""
    plan = decide(
        event, chart(), *([liver(hepatotoxic=False)] if version > "2018-08" else ()), version=version, versions=CLINIC
    )
    [insert] = plan.steps(Insert)
    return {name: value for name, value in insert.values.items() if value is not None and name != "id"}


@pytest.mark.parametrize(
    ("event", "version"),
    [
        (AS_TEXT, "2018-07-30"),
        (AS_TEXT, "2018-08-01"),
        *((event, "2019-02-11") for event in (AS_TEXT, IN_MG)),
        *((event, "2021-10-04") for event in (AS_TEXT, IN_MG, WITH_UNIT)),
    ],
)
def test_every_shape_is_the_same_row_under_every_version_that_knows_it(event: Event, version: str) -> None:
    assert written(event, version) == {
        "patient": "ada",
        "drug": "paracetamol",
        "amount": Decimal("500.0"),
        "unit": "mg",
        "starts_at": AT,
        "ends_at": AT + timedelta(days=5),
        "directions": "After meals.",
    }


def test_what_only_the_newest_shape_says_is_written_and_told() -> None:
    event = units.SubmitPrescription(
        patient="ada", drug="paracetamol", amount=Decimal(1), unit="g", every_hours=8, days=2
    )
    event = event.stamped(at=AT, actor="dr-7")

    plan = decide(event, chart(), liver(hepatotoxic=True), version="2021-10-04", versions=CLINIC)

    [written] = [one for one in plan.steps(Insert) if one.mapped is Prescription]
    assert {name: written.values[name] for name in ("amount", "unit", "every_hours")} == {
        "amount": 1,
        "unit": "g",
        "every_hours": 8,
    }
    [told] = plan.steps(NotifyPatient)
    assert told.text == "Ada: your doctor prescribed paracetamol, 1 g every 8 hours, for 2 days."


@pytest.mark.parametrize("dose", ["a little", "5", "5 drops", "nan mg", "-1 mg", "1000000 mg", "0.0001 mg"])
def test_a_dose_that_was_no_amount_is_refused_from_2019_on(dose: str) -> None:
    event = rules.SubmitPrescription(patient="ada", drug="paracetamol", dose=dose, days=1).stamped(at=AT, actor="dr-7")

    with pytest.raises(Unrepresentable, match="the dose is no amount in mg or g"):
        decide(event, chart(), liver(hepatotoxic=False), version="2019-02-11", versions=CLINIC)


grams = st.builds(
    units.SubmitPrescription,
    patient=st.just("ada"),
    drug=st.just("paracetamol"),
    amount=st.decimals("0.001", "999.999", places=3),
    unit=st.sampled_from(["mg", "g"]),
    every_hours=st.none() | st.integers(1, 48),
    days=st.integers(1, 365),
)


@given_(grams)
def test_down_and_up_again_loses_what_it_says_and_nothing_more(new: units.SubmitPrescription) -> None:
    old = units.in_mg(new)

    again = units.with_unit(old)

    kept = set(type(new).model_fields) - {"amount", "unit", "every_hours"}
    assert all(getattr(again, name) == getattr(new, name) for name in kept)
    assert units.in_mg(again) == old
    assert numbers.read(numbers.write(old)) == old
