"""Prescriptions and invitations from end to end, on every database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from clinic.app import open_clinic
from clinic.tables import Acceptance, Encounter, Observation, Patient, Prescription, Task
from dateline import Actor, Event, Preview, Rejected, Runner, StaleSnapshot
from tests.clinic.conftest import entries
from versions.v2013_02_01.observations import RecordObservation
from versions.v2018_07_30.drugs import ListDrug
from versions.v2018_07_30.invitations import AcceptInvitation, SendInvitation
from versions.v2018_07_30.patients import NoteAllergy, RegisterPatient
from versions.v2021_10_04.prescriptions import SubmitPrescription

NAME, PHONE, WORDS = "Ada Sesame", "+31 20 555 0101", "Never with grapefruit juice."
AT = datetime(2019, 5, 6, 9, 0, tzinfo=UTC)
CLERK = Actor("clerk", rights=frozenset({"backdate"}))


@pytest.fixture
def clinic(database: str) -> Iterator[Runner]:
    with open_clinic(database) as runner:
        runner.dispatch(RegisterPatient(patient="ada", name=NAME, phone=PHONE), actor="reception")
        runner.dispatch(ListDrug(drug="isoniazid", ingredient="isoniazid", hepatotoxic=True), actor="pharmacy")
        runner.dispatch(ListDrug(drug="amoxicillin", ingredient="penicillin"), actor="pharmacy")
        yield runner


def submit(drug: str = "isoniazid", *, days: int = 1, words: str | None = None) -> SubmitPrescription:
    return SubmitPrescription(patient="ada", drug=drug, amount=Decimal("300.0"), days=days, instructions=words)


def entered(clinic: Runner, event: Event, at: datetime, version: str | None = None) -> Any:
    return clinic.dispatch(event, actor=CLERK, at=at, reason="entered from paper", version=version)


def count(clinic: Runner, table: Any) -> int:
    with clinic.engine.connect() as connection:
        found: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return found


def codes(refused: Rejected) -> list[str]:
    return [one.code for one in refused.rejections]


def test_a_prescription_is_written_and_told_with_the_dose_as_it_was_given(clinic: Runner) -> None:
    done = clinic.dispatch(submit("amoxicillin", words=WORDS), actor="dr-7")

    with clinic.engine.connect() as connection:
        written = connection.execute(select(Prescription.amount, Prescription.directions)).one()
    assert (str(written.amount), written.directions) == ("300.0", WORDS)
    assert [(one.kind, one.payload["phone"]) for one in done.effects] == [("patient.notify", PHONE)]


def test_an_allergy_refuses_every_drug_with_that_ingredient_and_no_other(clinic: Runner) -> None:
    clinic.dispatch(NoteAllergy(patient="ada", ingredient="penicillin"), actor="dr-7")

    with pytest.raises(Rejected) as refused:
        clinic.dispatch(submit("amoxicillin"), actor="dr-7")
    clinic.dispatch(submit("isoniazid"), actor="dr-7")

    assert codes(refused.value) == ["allergic"]
    assert count(clinic, Prescription) == 1


def test_a_drug_can_be_prescribed_again_once_the_prescription_has_ended(clinic: Runner) -> None:
    entered(clinic, submit(days=2), AT)

    with pytest.raises(Rejected) as refused:
        entered(clinic, submit(), AT + timedelta(days=2, microseconds=-1))
    entered(clinic, submit(), AT + timedelta(days=2))

    assert codes(refused.value) == ["duplicate"]
    assert count(clinic, Prescription) == 2


@pytest.mark.parametrize(
    ("later", "panels"), [(timedelta(days=28), 1), (timedelta(days=28, microseconds=1), 2), (timedelta(days=40), 2)]
)
def test_a_liver_panel_is_recent_for_28_days(clinic: Runner, later: timedelta, panels: int) -> None:
    entered(clinic, submit(), AT)
    done = entered(clinic, submit(), AT + later)

    assert count(clinic, Task) == panels
    assert [one.kind for one in done.effects].count("nurses.tell") == panels - 1


def test_two_days_before_there_was_no_liver_panel(clinic: Runner) -> None:
    # In those days a dose was a text.
    body = {"patient": "ada", "drug": "isoniazid", "dose": "300 mg", "days": 1}
    event = clinic.event("prescription.submit", body, version="2018-07-31")
    entered(clinic, event, AT, version="2018-07-31")
    entered(clinic, event, AT + timedelta(days=2), version="2018-08-01")

    found = [entry for entry in entries(clinic) if entry.kind == "prescription.submit"]

    assert [[one.date for one in entry.operations] for entry in found] == [
        ["2018-07-30"],
        ["2018-07-30", "2018-08-01"],
    ]
    assert count(clinic, Task) == 1


def test_a_preview_that_somebody_overtook_says_which_field_changed(clinic: Runner) -> None:
    preview = clinic.preview(submit(), actor="dr-7")
    assert isinstance(preview, Preview)
    clinic.dispatch(RegisterPatient(patient="ada", name=NAME, phone="+31 20 555 0199"), actor="reception")

    with pytest.raises(StaleSnapshot) as stale:
        clinic.dispatch(submit(), actor="dr-7", expects=preview)

    assert [str(one) for one in stale.value.differences] == ["patient/ada changed in phone"]
    assert count(clinic, Prescription) == 0


def test_what_is_personal_stands_beside_the_trail_and_not_in_it(clinic: Runner) -> None:
    clinic.dispatch(submit(words=WORDS), actor="dr-7")
    with pytest.raises(Rejected):
        clinic.dispatch(submit(words=WORDS), actor="dr-7")

    with clinic.engine.connect() as connection:
        kept = " ".join(
            str(tuple(row))
            for table in ("event", "operation", "effect", "delivery", "subject", "claim")
            for row in connection.execute(text(f"SELECT * FROM dateline_{table}"))
        )
        beside = connection.execute(text("SELECT subject, value FROM dateline_personal")).all()

    for secret in (NAME, PHONE, WORDS, "Ada"):
        assert secret not in kept
        assert any(secret in row.value for row in beside)
    assert {row.subject for row in beside} == {"patient:ada"}


PEOPLE = [f"p{number}" for number in range(6)]


def invited(clinic: Runner) -> None:
    for person in PEOPLE:
        clinic.dispatch(RegisterPatient(patient=person, name=person, phone="1"), actor="reception")
    invitation = SendInvitation(invitation="i-1", appointment_at=AT, patients=tuple(PEOPLE))
    clinic.dispatch(invitation, actor="reception")


def test_of_all_who_accept_at_once_one_holds_it_and_the_others_are_told(
    clinic: Runner, at_once: Callable[..., list[Any]]
) -> None:
    invited(clinic)

    def accept(person: str) -> Callable[[], Any]:
        return lambda: clinic.dispatch(AcceptInvitation(invitation="i-1", patient=person), actor=person)

    at_once([accept(person) for person in PEOPLE])

    trail = [entry for entry in entries(clinic) if entry.kind == "invitation.accept"]
    assert [entry.outcome for entry in trail] == ["committed"] * len(PEOPLE)
    states = [one.after["state"] for entry in trail for one in entry.operations if one.after]
    assert states == ["held"] + ["too-late"] * (len(PEOPLE) - 1)
    assert [one.kind for entry in trail for one in entry.effects] == ["patient.notify"] + ["invitation.too-late"] * 5


def test_without_the_guard_several_would_hold_it(clinic: Runner, at_once: Callable[..., list[Any]]) -> None:
    invited(clinic)
    looked = Barrier(len(PEOPLE))

    def accept(person: str) -> Callable[[], None]:
        def naive() -> None:
            with clinic.engine.connect() as connection:
                held = connection.execute(select(Acceptance).where(Acceptance.state == "held")).first()
            looked.wait(60)
            state = "too-late" if held else "held"
            row = {"invitation": "i-1", "patient": person, "state": state, "accepted_at": AT}
            with clinic.engine.connect() as connection:
                connection.execute(insert(Acceptance).values(row))
                connection.commit()

        return naive

    at_once([accept(person) for person in PEOPLE])

    with clinic.engine.connect() as connection:
        states = connection.execute(select(Acceptance.state)).scalars().all()
    assert states.count("held") > 1


def test_an_invitation_stands_in_the_timeline_of_everybody_invited(clinic: Runner) -> None:
    invited(clinic)

    for person in PEOPLE:
        assert [entry.kind for entry in clinic.trail(subject=f"patient:{person}")] == [
            "patient.register",
            "invitation.send",
        ]


@pytest.mark.parametrize(
    ("written", "kept"), [("4.0", "4.0"), ("0.10", "0.10"), ("1E+2", "100"), ("-0.0", "0.0"), ("123456.789012",) * 2]
)
def test_a_measured_value_is_the_same_digits_in_every_database(clinic: Runner, written: str, kept: str) -> None:
    event = RecordObservation(encounter="XJ", result="XJ/1", analyte="crp", crp_mg_l=Decimal(written))

    clinic.dispatch(event, actor="laboratory")

    with clinic.engine.connect() as connection:
        assert str(connection.execute(select(Observation.crp_mg_l)).scalar_one()) == kept
    [entry] = clinic.trail(subject="encounter:XJ")
    assert [one.after["crp_mg_l"] for one in entry.operations if one.after and one.table == "observation"] == [kept]


@pytest.mark.parametrize("measured", [["1.9", "9.0"], [None, "2.1", "9.0"], ["2.0", "9.0"]])
def test_only_the_first_lactate_that_was_measured_asks_for_another(clinic: Runner, measured: list[str | None]) -> None:
    for number, value in enumerate(measured):
        event = RecordObservation(
            encounter="XJ",
            result=f"XJ/{number}",
            analyte="lactate",
            lactate_mmol_l=None if value is None else Decimal(value),
        )
        with suppress(Rejected):
            clinic.dispatch(event, actor="laboratory")

    outcomes = [entry.outcome for entry in clinic.trail(subject="encounter:XJ")]
    assert outcomes == ["committed" if value else "rejected" for value in measured]
    assert count(clinic, Task) == (1 if "2.1" in measured else 0)
    assert count(clinic, Encounter) == 1
    assert count(clinic, Patient) == 1
