"""What the patient is given, and how long the first antibiotics took."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from clinic.effects import SepsisReview
from clinic.tables import Code, Encounter
from dateline import Event, Insert, Record, Snapshot, Update, Yields, given, handler, rows


class GiveTreatment(Event, kind="treatment.give", subjects=("encounter:{encounter}",)):
    """A drip is put up."""

    encounter: Code
    treatment: Literal["antibiotics", "liquid"]
    age_years: Annotated[int, Field(ge=0, le=130)] | None = None
    diagnosis: Code | None = None


class Treated(Record[Encounter]):
    """What was given already."""

    id: str
    antibiotics_at: datetime | None
    liquid_at: datetime | None


class Treatment(Snapshot):
    """The encounter as the treatment finds it."""

    encounter: Treated | None = rows(Encounter.id == given("encounter"))


class Waiting(Record[Encounter]):
    """Since when the patient waits for antibiotics, and whether still."""

    id: str
    sepsis_triaged_at: datetime | None
    antibiotics_at: datetime | None


class Wait(Snapshot):
    """The encounter as far as waiting for antibiotics goes."""

    encounter: Waiting | None = rows(Encounter.id == given("encounter"))


@handler
def the_first_of_each_treatment_counts(
    event: GiveTreatment, treatment: Treatment
) -> Yields[Insert[Encounter] | Update[Encounter]]:
    """How long the patient waited is told from the first drip of each sort."""
    if treatment.encounter is None:
        yield Insert(
            Encounter,
            id=event.encounter,
            opened_at=event.meta.at,
            age_years=event.age_years,
            diagnosis=event.diagnosis,
            antibiotics_at=event.meta.at if event.treatment == "antibiotics" else None,
            liquid_at=event.meta.at if event.treatment == "liquid" else None,
        )
    elif event.treatment == "antibiotics" and treatment.encounter.antibiotics_at is None:
        yield Update(treatment.encounter, antibiotics_at=event.meta.at)
    elif event.treatment == "liquid" and treatment.encounter.liquid_at is None:
        yield Update(treatment.encounter, liquid_at=event.meta.at)


def first_wait(event: GiveTreatment, wait: Wait) -> timedelta | None:
    """Return how long the patient waited for the first antibiotics since sepsis triage; None where this is not that moment."""
    encounter = wait.encounter
    if event.treatment != "antibiotics" or encounter is None or encounter.antibiotics_at is not None:
        return None
    return None if encounter.sepsis_triaged_at is None else event.meta.at - encounter.sepsis_triaged_at


@handler
def late_antibiotics_are_reviewed(event: GiveTreatment, wait: Wait) -> Yields[SepsisReview]:
    """Late is more than three hours."""
    waited = first_wait(event, wait)
    if waited is not None and waited > timedelta(hours=3):
        yield SepsisReview(encounter=event.encounter, waited=waited)
