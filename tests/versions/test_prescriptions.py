"""A prescription is refused where it would harm, else written and told; from August with a liver panel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from clinic.effects import NotifyPatient, TellNurses
from clinic.tables import Prescription, Task
from dateline import Insert, Reject
from versions.v2018_07_30 import prescriptions as rules
from versions.v2018_08_01 import prescriptions as later

AT = datetime(2018, 8, 2, 9, 0, tzinfo=UTC)
ID = UUID("018f0000-0000-7000-8000-000000000001")

ADA = rules.Reachable(id="ada", name="Ada", phone="+31 20 555 0101")
PARACETAMOL = rules.Prescribable(id="paracetamol", ingredient="paracetamol")


def submit(*, days: int = 5, instructions: str | None = None) -> rules.SubmitPrescription:
    return rules.SubmitPrescription(
        patient="ada", drug="paracetamol", dose_mg=Decimal("500.0"), days=days, instructions=instructions
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
            dose_mg=Decimal("500.0"),
            starts_at=AT,
            ends_at=AT + timedelta(days=5),
            instructions="After meals.",
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
