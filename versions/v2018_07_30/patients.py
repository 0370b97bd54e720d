"""Who is in the clinic's care, and what they must not be given."""

from __future__ import annotations

from clinic.tables import Allergy, Code, Patient, Words
from dateline import Event, Insert, Personal, Record, Snapshot, Update, Yields, given, handler, rows


class RegisterPatient(Event, kind="patient.register", subjects=("patient:{patient}",)):
    """A patient comes into care, or name or telephone have changed."""

    patient: Code
    name: Personal[Words]
    phone: Personal[Words]


class NoteAllergy(Event, kind="allergy.note", subjects=("patient:{patient}",)):
    """A patient turns out not to bear an ingredient."""

    patient: Code
    ingredient: Code


class Registered(Record[Patient], subject="patient:{id}"):
    """That somebody is known."""

    id: str


class File(Snapshot):
    """The patient's file, if there is one."""

    patient: Registered | None = rows(Patient.id == given("patient"))


class Noted(Record[Allergy]):
    """An allergy that is known."""

    patient: str
    ingredient: str


class Allergies(Snapshot):
    """The patient, who must be known, and this very allergy, if it is."""

    patient: Registered = rows(Patient.id == given("patient"))
    noted: Noted | None = rows(Allergy.patient == given("patient"), Allergy.ingredient == given("ingredient"))


@handler
def the_file_says_what_was_told_last(event: RegisterPatient, file: File) -> Yields[Insert[Patient] | Update[Patient]]:
    """One file a patient: who registers twice corrects it."""
    if file.patient is None:
        yield Insert(Patient, id=event.patient, name=event.name, phone=event.phone)
    else:
        yield Update(file.patient, name=event.name, phone=event.phone)


@handler
def an_allergy_is_noted_once(event: NoteAllergy, allergies: Allergies) -> Yields[Insert[Allergy]]:
    """Telling it again is recorded, and changes nothing."""
    if allergies.noted is None:
        yield Insert(Allergy, patient=allergies.patient.id, ingredient=event.ingredient, noted_at=event.meta.at)
