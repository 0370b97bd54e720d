"""A free appointment is offered to several patients; all may accept, and the first has it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from clinic.effects import NotifyPatient, TooLate
from clinic.tables import Acceptance, Code, Invitation, Patient
from dateline import Concerns, Event, Insert, Record, Reject, Snapshot, Yields, check, given, handler, rows


class SendInvitation(Event, kind="invitation.send", subjects=("invitation:{invitation}",)):
    """Reception offers an appointment that has become free."""

    invitation: Code
    appointment_at: AwareDatetime
    patients: Annotated[tuple[Code, ...], Field(min_length=1, max_length=100)]


class AcceptInvitation(Event, kind="invitation.accept", subjects=("invitation:{invitation}", "patient:{patient}")):
    """A patient says yes, perhaps at the same moment as another."""

    invitation: Code
    patient: Code


class Reachable(Record[Patient], subject="patient:{id}"):
    """Whom to tell, by name and telephone."""

    id: str
    name: str
    phone: str


class Invited(Record[Invitation]):
    """The appointment."""

    id: str
    appointment_at: datetime


class Accepted(Record[Acceptance]):
    """Somebody's yes."""

    invitation: str
    patient: str


class Guests(Snapshot):
    """Who is invited, as far as they are known."""

    patients: tuple[Reachable, ...] = rows(Patient.id.in_(given("patients")))


class Race(Snapshot):
    """The invitation, who accepts, who holds it, and whether this patient answered before."""

    invitation: Invited = rows(Invitation.id == given("invitation"))
    patient: Reachable = rows(Patient.id == given("patient"))
    holder: Accepted | None = rows(Acceptance.invitation == given("invitation"), Acceptance.state == "held")
    answer: Accepted | None = rows(Acceptance.invitation == given("invitation"), Acceptance.patient == given("patient"))


@check
def everybody_invited_is_known(event: SendInvitation, guests: Guests) -> Yields[Reject]:
    """Nobody is invited whom nobody can tell."""
    known = {patient.id for patient in guests.patients}
    if strangers := [patient for patient in event.patients if patient not in known]:
        yield Reject("unknown-patient", f"not in the clinic's care: {', '.join(strangers)}", field="patients")


@check
def nobody_accepts_twice(event: AcceptInvitation, race: Race) -> Yields[Reject]:
    """An answer stands, also one that came too late."""
    if race.answer is not None:
        yield Reject("accepted-already", f"{event.patient} has accepted {event.invitation}", field="patient")


@handler
def the_invitation_is_written(event: SendInvitation) -> Yields[Insert[Invitation]]:
    """Only what is written can be accepted."""
    yield Insert(Invitation, id=event.invitation, appointment_at=event.appointment_at, sent_at=event.meta.at)


@handler
def everybody_invited_is_told(event: SendInvitation, guests: Guests) -> Yields[Concerns | NotifyPatient]:
    """All at once, so that it is fair; and the invitation stands in each one's timeline."""
    for patient in guests.patients:
        yield Concerns(f"patient:{patient.id}")
        yield NotifyPatient(
            patient=patient.id,
            phone=patient.phone,
            text=f"{patient.name}: {event.appointment_at:%d %B, %H:%M} has become free. Would you like to come?",
        )


@handler
def the_first_to_accept_holds_it(event: AcceptInvitation, race: Race) -> Yields[Insert[Acceptance]]:
    """Everybody's yes is a row; the guard sees to it that no two of them read an invitation without a holder."""
    yield Insert(
        Acceptance,
        invitation=race.invitation.id,
        patient=race.patient.id,
        state="held" if race.holder is None else "too-late",
        accepted_at=event.meta.at,
    )


@handler
def the_holder_is_told(event: AcceptInvitation, race: Race) -> Yields[NotifyPatient]:
    """A yes needs an answer."""
    if race.holder is None:
        yield NotifyPatient(
            patient=race.patient.id,
            phone=race.patient.phone,
            text=f"{race.patient.name}: we expect you on {race.invitation.appointment_at:%d %B, %H:%M}.",
        )


@handler
def those_too_late_are_told(event: AcceptInvitation, race: Race) -> Yields[TooLate]:
    """Nobody comes in vain."""
    if race.holder is not None:
        yield TooLate(invitation=race.invitation.id, patient=race.patient.id, phone=race.patient.phone)
