"""A dose is an amount with its unit, and comes at intervals."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clinic.effects import NotifyPatient
from clinic.tables import Code, Prescription, Words
from dateline import Event, Insert, Personal, Yields, downgrade, handler, upgrade
from versions.v2018_07_30.prescriptions import Chart, the_patient_is_told
from versions.v2019_02_11 import prescriptions as old


class SubmitPrescription(Event, kind="prescription.submit", subjects=("patient:{patient}",)):
    """A doctor prescribes one drug for some days: how much, of which unit, how often."""

    patient: Code
    drug: Code
    amount: Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=3)]
    unit: Literal["mg", "g"] = "mg"
    every_hours: Annotated[int, Field(ge=1, le=48)] | None = None
    days: Annotated[int, Field(ge=1, le=365)]
    instructions: Personal[Words] | None = None

    @model_validator(mode="after")
    def nobody_takes_a_kilogram(self) -> Self:
        """In milligrams, too, it stays a number of nine digits."""
        if self.unit == "g" and self.amount >= 1000:
            raise ValueError("less than a kilogram")
        return self


@upgrade
def with_unit(event: old.SubmitPrescription) -> SubmitPrescription:
    """Milligrams, as often as it says in the instructions."""
    return SubmitPrescription(
        patient=event.patient,
        drug=event.drug,
        amount=event.dose_mg,
        unit="mg",
        days=event.days,
        instructions=event.instructions,
    )


@downgrade(loses=("amount", "unit", "every_hours"))
def in_mg(event: SubmitPrescription) -> old.SubmitPrescription:
    """The same amount in milligrams."""
    return old.SubmitPrescription(
        patient=event.patient,
        drug=event.drug,
        dose_mg=event.amount * 1000 if event.unit == "g" else event.amount,
        days=event.days,
        instructions=event.instructions,
    )


@handler(supersedes=old.the_prescription_is_written)
def the_prescription_is_written(event: SubmitPrescription, chart: Chart) -> Yields[Insert[Prescription]]:
    """As it was sent, with its unit and how often."""
    yield Insert(
        Prescription,
        id=event.new_id("prescription"),
        patient=chart.patient.id,
        drug=chart.drug.id,
        amount=event.amount,
        unit=event.unit,
        starts_at=event.meta.at,
        ends_at=event.meta.at + timedelta(days=event.days),
        every_hours=event.every_hours,
        directions=event.instructions,
    )


@handler(supersedes=the_patient_is_told)
def the_patient_is_told_how_often(event: SubmitPrescription, chart: Chart) -> Yields[NotifyPatient]:
    """Whoever takes a drug knows which, how much, how often, and for how long."""
    often = f" every {event.every_hours} hours" if event.every_hours else ""
    dose = f"{event.drug}, {event.amount:f} {event.unit}{often}, for {event.days} day{'s' if event.days > 1 else ''}"
    how = f" {event.instructions}" if event.instructions else ""
    yield NotifyPatient(
        patient=chart.patient.id,
        phone=chart.patient.phone,
        text=f"{chart.patient.name}: your doctor prescribed {dose}.{how}",
    )
