"""A prescription: written, counted, and told."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from benchmarks import tables
from benchmarks.effects import TellPatient, TellPharmacy
from dateline import Event, Insert, Personal, Record, Reject, Snapshot, Update, Yields, check, given, handler, rows


class Prescribe(Event, kind="prescription.write", subjects=("patient:{patient}",)):
    """A doctor prescribes one drug."""

    patient: str
    prescription: UUID
    drug: str
    dose_mg: Annotated[int, Field(ge=1, le=10_000)]
    directions: Annotated[str, Field(max_length=120)]
    note: Personal[str]


class Patient(Record[tables.Patient]):
    """All that is known of the patient."""

    id: str
    name: str
    ward: str
    weight_g: int
    prescribed: int
    last_drug: str | None
    last_dose_mg: int | None


class Taken(Record[tables.Prescription]):
    """A prescription that the patient has already."""

    id: UUID
    drug: str
    dose_mg: int
    directions: str


class Chart(Snapshot):
    """The patient, and the five newest of the active prescriptions."""

    patient: Patient = rows(tables.Patient.id == given("patient"))
    taken: tuple[Taken, ...] = rows(
        tables.Prescription.patient == given("patient"),
        tables.Prescription.active.is_(True),
        order_by=tables.Prescription.id.desc(),
        first=5,
    )


@check
def not_too_much(event: Prescribe, chart: Chart) -> Yields[Reject]:
    """Nobody takes a tenth of a gram for each kilogram."""
    if event.dose_mg * 10_000 > chart.patient.weight_g:
        yield Reject("too-much", f"{event.dose_mg} mg for {chart.patient.weight_g} g", field="dose_mg")


@handler
def it_is_written(event: Prescribe, chart: Chart) -> Yields[Insert[tables.Prescription]]:
    """The row."""
    yield Insert(
        tables.Prescription,
        id=event.prescription,
        patient=chart.patient.id,
        drug=event.drug,
        dose_mg=event.dose_mg,
        directions=event.directions,
        active=True,
    )


@handler
def it_is_counted(event: Prescribe, chart: Chart) -> Yields[Update[tables.Patient]]:
    """How many there were, and what the last one was."""
    yield Update(
        chart.patient, prescribed=chart.patient.prescribed + 1, last_drug=event.drug, last_dose_mg=event.dose_mg
    )


@handler
def it_is_told(event: Prescribe, chart: Chart) -> Yields[TellPatient | TellPharmacy]:
    """To whoever takes it, and to whoever hands it out."""
    yield TellPatient(patient=chart.patient.id, text=f"{chart.patient.name}: {event.drug}, {event.dose_mg} mg")
    yield TellPharmacy(prescription=event.prescription, drug=event.drug, dose_mg=event.dose_mg)
