"""Several accept, the first holds it, the others are told that they were not."""

from __future__ import annotations

from datetime import UTC, datetime

from clinic.effects import NotifyPatient, TooLate
from clinic.tables import Acceptance, Invitation
from dateline import Concerns, Insert, Reject
from versions.v2018_07_30 import invitations as rules

AT = datetime(2018, 8, 2, 9, 0, tzinfo=UTC)
APPOINTMENT = datetime(2018, 8, 2, 16, 0, tzinfo=UTC)

ADA = rules.Reachable(id="ada", name="Ada", phone="1")
BEN = rules.Reachable(id="ben", name="Ben", phone="2")


def send() -> rules.SendInvitation:
    return rules.SendInvitation(invitation="i-1", appointment_at=APPOINTMENT, patients=("ada", "ben")).stamped(
        at=AT, actor="reception"
    )


def accept() -> rules.AcceptInvitation:
    return rules.AcceptInvitation(invitation="i-1", patient="ada").stamped(at=AT, actor="ada")


def race(*, holder: str | None = None, answered: bool = False) -> rules.Race:
    return rules.Race(
        invitation=rules.Invited(id="i-1", appointment_at=APPOINTMENT),
        patient=ADA,
        holder=None if holder is None else rules.Accepted(invitation="i-1", patient=holder),
        answer=rules.Accepted(invitation="i-1", patient="ada") if answered else None,
    )


def test_an_invitation_is_written_and_told_to_everybody_invited() -> None:
    told = list(rules.everybody_invited_is_told(send(), rules.Guests(patients=(ADA, BEN))))

    assert list(rules.the_invitation_is_written(send())) == [
        Insert(Invitation, id="i-1", appointment_at=APPOINTMENT, sent_at=AT)
    ]
    assert told == [
        Concerns("patient:ada"),
        NotifyPatient(patient="ada", phone="1", text="Ada: 02 August, 16:00 has become free. Would you like to come?"),
        Concerns("patient:ben"),
        NotifyPatient(patient="ben", phone="2", text="Ben: 02 August, 16:00 has become free. Would you like to come?"),
    ]


def test_nobody_is_invited_whom_the_clinic_does_not_know() -> None:
    assert list(rules.everybody_invited_is_known(send(), rules.Guests(patients=(ADA,)))) == [
        Reject("unknown-patient", "not in the clinic's care: ben", field="patients")
    ]
    assert list(rules.everybody_invited_is_known(send(), rules.Guests(patients=(ADA, BEN)))) == []


def test_the_first_to_accept_holds_it_and_is_told() -> None:
    assert list(rules.the_first_to_accept_holds_it(accept(), race())) == [
        Insert(Acceptance, invitation="i-1", patient="ada", state="held", accepted_at=AT)
    ]
    assert list(rules.the_holder_is_told(accept(), race())) == [
        NotifyPatient(patient="ada", phone="1", text="Ada: we expect you on 02 August, 16:00.")
    ]
    assert list(rules.those_too_late_are_told(accept(), race())) == []


def test_whoever_accepts_after_that_is_recorded_as_too_late_and_told() -> None:
    assert list(rules.the_first_to_accept_holds_it(accept(), race(holder="ben"))) == [
        Insert(Acceptance, invitation="i-1", patient="ada", state="too-late", accepted_at=AT)
    ]
    assert list(rules.the_holder_is_told(accept(), race(holder="ben"))) == []
    assert list(rules.those_too_late_are_told(accept(), race(holder="ben"))) == [
        TooLate(invitation="i-1", patient="ada", phone="1")
    ]


def test_an_answer_stands() -> None:
    assert list(rules.nobody_accepts_twice(accept(), race(holder="ada", answered=True))) == [
        Reject("accepted-already", "ada has accepted i-1", field="patient")
    ]
    assert list(rules.nobody_accepts_twice(accept(), race(holder="ben"))) == []
