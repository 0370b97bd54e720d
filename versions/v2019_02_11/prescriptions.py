"""A dose in milligrams."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import Field

from clinic.tables import Code, Milligrams, Prescription, Words
from dateline import Event, Insert, Personal, Unrepresentable, Yields, downgrade, handler, upgrade
from versions.v2018_07_30 import prescriptions as old
from versions.v2018_07_30.prescriptions import Chart


class SubmitPrescription(Event, kind="prescription.submit", subjects=("patient:{patient}",)):
    """A doctor prescribes one drug for some days, its dose in milligrams."""

    patient: Code
    drug: Code
    dose_mg: Milligrams
    days: Annotated[int, Field(ge=1, le=365)]
    instructions: Personal[Words] | None = None


@upgrade(rewrites=("dose",))
def read(event: old.SubmitPrescription) -> SubmitPrescription:
    """Of "500 mg" and "0.5 g"; of what is neither, nobody knows how much it was."""
    number, _, unit = event.dose.partition(" ")
    try:
        amount = Decimal(number) * {"mg": 1, "g": 1000}[unit]
        known = 0 < amount < 1_000_000 and amount == round(amount, 3)
    except (InvalidOperation, KeyError):
        known = False
    if not known:
        raise Unrepresentable("the dose is no amount in mg or g")
    return SubmitPrescription(
        patient=event.patient,
        drug=event.drug,
        dose_mg=amount,
        days=event.days,
        instructions=event.instructions,
    )


@downgrade
def write(event: SubmitPrescription) -> old.SubmitPrescription:
    """As a doctor would write it."""
    return old.SubmitPrescription(
        patient=event.patient,
        drug=event.drug,
        dose=f"{event.dose_mg:f} mg",
        days=event.days,
        instructions=event.instructions,
    )


@handler(supersedes=old.the_prescription_is_written)
def the_prescription_is_written(event: SubmitPrescription, chart: Chart) -> Yields[Insert[Prescription]]:
    """With the number that was sent."""
    yield Insert(  # type: ignore[call-arg]  # the columns of its day
        Prescription,
        id=event.new_id("prescription"),
        patient=chart.patient.id,
        drug=chart.drug.id,
        dose_mg=event.dose_mg,
        starts_at=event.meta.at,
        ends_at=event.meta.at + timedelta(days=event.days),
        instructions=event.instructions,
    )
