"""Files, allergies and the formulary have one line each, however often they are told."""

from __future__ import annotations

from datetime import UTC, datetime

from clinic.tables import Allergy, Drug, Patient
from dateline import Insert, Update
from versions.v2018_07_30 import drugs, patients

AT = datetime(2018, 8, 2, 9, 0, tzinfo=UTC)
KNOWN = patients.Registered(id="ada")


def test_who_registers_again_corrects_the_file() -> None:
    event = patients.RegisterPatient(patient="ada", name="Ada", phone="1").stamped(at=AT, actor="reception")

    assert list(patients.the_file_says_what_was_told_last(event, patients.File(patient=None))) == [
        Insert(Patient, id="ada", name="Ada", phone="1")
    ]
    assert list(patients.the_file_says_what_was_told_last(event, patients.File(patient=KNOWN))) == [
        Update(KNOWN, name="Ada", phone="1")
    ]


def test_an_allergy_is_noted_once() -> None:
    event = patients.NoteAllergy(patient="ada", ingredient="penicillin").stamped(at=AT, actor="dr-7")
    noted = patients.Noted(patient="ada", ingredient="penicillin")

    assert list(patients.an_allergy_is_noted_once(event, patients.Allergies(patient=KNOWN, noted=None))) == [
        Insert(Allergy, patient="ada", ingredient="penicillin", noted_at=AT)
    ]
    assert list(patients.an_allergy_is_noted_once(event, patients.Allergies(patient=KNOWN, noted=noted))) == []


def test_the_formulary_has_one_line_a_drug() -> None:
    event = drugs.ListDrug(drug="inh", ingredient="isoniazid", hepatotoxic=True).stamped(at=AT, actor="pharmacy")
    listed = drugs.Listed(id="inh")

    assert list(drugs.the_formulary_has_one_line_a_drug(event, drugs.Formulary(drug=None))) == [
        Insert(Drug, id="inh", ingredient="isoniazid", hepatotoxic=True)
    ]
    assert list(drugs.the_formulary_has_one_line_a_drug(event, drugs.Formulary(drug=listed))) == [
        Update(listed, ingredient="isoniazid", hepatotoxic=True)
    ]
