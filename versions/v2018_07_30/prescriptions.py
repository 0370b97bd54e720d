"""A prescription: refused where it would harm, written, and told to the patient."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from clinic.effects import NotifyPatient
from clinic.tables import Allergy, Code, Drug, Patient, Prescription, Words
from dateline import Event, Insert, Personal, Record, Reject, Snapshot, Yields, check, given, handler, rows


class SubmitPrescription(Event, kind="prescription.submit", subjects=("patient:{patient}",)):
    """A doctor prescribes one drug for some days."""

    patient: Code
    drug: Code
    dose: Words
    days: Annotated[int, Field(ge=1, le=365)]
    instructions: Personal[Words] | None = None


class Reachable(Record[Patient], subject="patient:{id}"):
    """Whom to tell, by name and telephone."""

    id: str
    name: str
    phone: str


class Prescribable(Record[Drug]):
    """That the drug is on the formulary, and what is in it."""

    id: str
    ingredient: str


class Allergic(Record[Allergy]):
    """That the patient does not bear the drug's ingredient."""

    patient: str
    ingredient: str


class Running(Record[Prescription]):
    """A prescription of the same drug that has not ended."""

    id: UUID
    ends_at: datetime


class Chart(Snapshot):
    """The patient, the drug, and what speaks against bringing them together."""

    patient: Reachable = rows(Patient.id == given("patient"))
    drug: Prescribable = rows(Drug.id == given("drug"))
    allergic: Allergic | None = rows(
        Allergy.patient == given("patient"),
        Allergy.ingredient == select(Drug.ingredient).where(Drug.id == given("drug")).scalar_subquery(),
    )
    running: tuple[Running, ...] = rows(
        Prescription.patient == given("patient"),
        Prescription.drug == given("drug"),
        Prescription.ends_at > given("meta.at"),
        order_by=Prescription.ends_at,
    )


@check
def not_allergic(event: SubmitPrescription, chart: Chart) -> Yields[Reject]:
    """Nobody is prescribed what they are known not to bear."""
    if chart.allergic is not None:
        yield Reject("allergic", f"{event.patient} does not bear {chart.drug.ingredient}", field="drug")


@check
def not_prescribed_already(event: SubmitPrescription, chart: Chart) -> Yields[Reject]:
    """Two prescriptions of one drug at a time are a double dose."""
    if chart.running:
        until = chart.running[-1].ends_at
        yield Reject("duplicate", f"{event.drug} is prescribed until {until:%Y-%m-%d %H:%M} UTC", field="drug")


@handler
def the_prescription_is_written(event: SubmitPrescription, chart: Chart) -> Yields[Insert[Prescription]]:
    """It begins at once and ends by itself."""
    yield Insert(  # type: ignore[call-arg]  # the columns of its day
        Prescription,
        id=event.new_id("prescription"),
        patient=chart.patient.id,
        drug=chart.drug.id,
        dose=event.dose,
        prescriber=event.meta.actor.id,
        starts_at=event.meta.at,
        ends_at=event.meta.at + timedelta(days=event.days),
        instructions=event.instructions,
    )


@handler
def the_patient_is_told(event: SubmitPrescription, chart: Chart) -> Yields[NotifyPatient]:
    """Whoever takes a drug knows which, how much, and for how long."""
    dose = f"{event.drug}, {event.dose}, for {event.days} day{'s' if event.days > 1 else ''}"
    how = f" {event.instructions}" if event.instructions else ""
    yield NotifyPatient(
        patient=chart.patient.id,
        phone=chart.patient.phone,
        text=f"{chart.patient.name}: your doctor prescribed {dose}.{how}",
    )
