"""An encounter, from whatever comes first to the patient's return."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from clinic.tables import Code, Encounter
from dateline import Event, Insert, Record, Snapshot, Update, Yields, given, handler, rows


class OfEncounter(Event, subjects=("encounter:{encounter}",)):
    """What the kinds of this module have in common.

    Any form may tell the patient's age, in groups of five years, and the diagnosis; the hospital has them on whichever it filled in first.
    """

    encounter: Code
    age_years: Annotated[int, Field(ge=0, le=130)] | None = None
    diagnosis: Code | None = None


class Register(OfEncounter, kind="encounter.register"):
    """The registration form of the emergency room, every check box of it."""

    infection_suspected: bool
    sirs_two_or_more: bool
    sirs_temperature: bool
    sirs_heart_rate: bool
    sirs_tachypnea: bool
    sirs_leucocytes: bool
    hypotension: bool
    hypoxia: bool
    oliguria: bool
    organ_dysfunction: bool
    infusion: bool
    orders_blood: bool
    orders_arterial_gas: bool
    orders_lactate: bool
    orders_chest_xray: bool
    orders_ecg: bool
    orders_ic: bool
    orders_urinary_culture: bool
    orders_urinary_sediment: bool
    orders_sputum: bool
    orders_liquor: bool
    orders_other: bool


class Triage(OfEncounter, kind="encounter.triage"):
    """A nurse decides how urgent it is."""


class SepsisTriage(OfEncounter, kind="sepsis.triage"):
    """A nurse finds that it may be sepsis; from here the clock runs."""


class Admit(OfEncounter, kind="encounter.admit"):
    """The patient gets a bed."""

    ward: Literal["normal-care", "intensive-care"]


class Release(OfEncounter, kind="encounter.release"):
    """The patient leaves, in one of the hospital's five ways."""

    release: Literal["A", "B", "C", "D", "E"]


class Return(OfEncounter, kind="encounter.return"):
    """The patient is back in the emergency room."""


class Open(Record[Encounter]):
    """That there is such an encounter."""

    id: str


class Visit(Snapshot):
    """The encounter, if anything of it came before."""

    encounter: Open | None = rows(Encounter.id == given("encounter"))


class Registered(Record[Encounter]):
    """When it was registered."""

    id: str
    registered_at: datetime | None


class Registration(Snapshot):
    """The encounter as registration finds it."""

    encounter: Registered | None = rows(Encounter.id == given("encounter"))


class Triaged(Record[Encounter]):
    """When it was triaged."""

    id: str
    triaged_at: datetime | None


class Urgency(Snapshot):
    """The encounter as triage finds it."""

    encounter: Triaged | None = rows(Encounter.id == given("encounter"))


class SepsisTriaged(Record[Encounter]):
    """When sepsis was first thought of."""

    id: str
    sepsis_triaged_at: datetime | None


class Suspicion(Snapshot):
    """The encounter as sepsis triage finds it."""

    encounter: SepsisTriaged | None = rows(Encounter.id == given("encounter"))


def opened(event: OfEncounter, **known: Any) -> Insert[Encounter]:
    """Return the row of an encounter that begins with this event."""
    return Insert(
        Encounter,
        id=event.encounter,
        opened_at=event.meta.at,
        age_years=event.age_years,
        diagnosis=event.diagnosis,
        **known,
    )


@handler
def registration_fills_the_encounter_in(
    event: Register, registration: Registration
) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """The findings are the form's; age and diagnosis stay what another form told, where this one does not say."""
    findings = {
        "infection_suspected": event.infection_suspected,
        "sirs_two_or_more": event.sirs_two_or_more,
        "hypotension": event.hypotension,
        "hypoxia": event.hypoxia,
        "oliguria": event.oliguria,
        "organ_dysfunction": event.organ_dysfunction,
    }
    encounter = registration.encounter
    if encounter is None:
        yield opened(event, registered_at=event.meta.at, **findings)
        return
    told = {"age_years": event.age_years, "diagnosis": event.diagnosis}
    known = {name: value for name, value in told.items() if value is not None}
    yield Update(encounter, registered_at=encounter.registered_at or event.meta.at, **findings, **known)


@handler
def the_first_triage_counts(event: Triage, urgency: Urgency) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """A second look is recorded, and moves no instant: how long a patient waited is told from the first."""
    if urgency.encounter is None:
        yield opened(event, triaged_at=event.meta.at)
    elif urgency.encounter.triaged_at is None:
        yield Update(urgency.encounter, triaged_at=event.meta.at)


@handler
def the_first_sepsis_triage_counts(
    event: SepsisTriage, suspicion: Suspicion
) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """The clock for antibiotics runs from the first suspicion, however often it is repeated."""
    if suspicion.encounter is None:
        yield opened(event, sepsis_triaged_at=event.meta.at)
    elif suspicion.encounter.sepsis_triaged_at is None:
        yield Update(suspicion.encounter, sepsis_triaged_at=event.meta.at)


@handler
def the_patient_is_on_the_ward_of_the_latest_admission(
    event: Admit, visit: Visit
) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """Where the patient was before stands in the trail."""
    if visit.encounter is None:
        yield opened(event, ward=event.ward, admitted_at=event.meta.at)
    else:
        yield Update(visit.encounter, ward=event.ward, admitted_at=event.meta.at)


@handler
def the_release_is_kept(event: Release, visit: Visit) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """Which of the five ways it was, since only some of them end the treatment."""
    if visit.encounter is None:
        yield opened(event, release=event.release, released_at=event.meta.at)
    else:
        yield Update(visit.encounter, release=event.release, released_at=event.meta.at)


@handler
def the_return_is_kept(event: Return, visit: Visit) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """A return belongs to the encounter that it follows, not to a new one."""
    if visit.encounter is None:
        yield opened(event, returned_at=event.meta.at)
    else:
        yield Update(visit.encounter, returned_at=event.meta.at)
