"""One hour where shock is possible, three where it is not."""

from __future__ import annotations

from datetime import timedelta

from clinic.effects import SepsisReview
from clinic.tables import Encounter
from dateline import Record, Snapshot, Yields, given, handler, rows
from versions.v2013_02_01.treatments import GiveTreatment, Wait, first_wait
from versions.v2018_04_19 import treatments as old


class Findings(Record[Encounter]):
    """What registration found; nothing, where there was none yet."""

    id: str
    hypotension: bool | None


class Shock(Snapshot):
    """The encounter as far as shock goes."""

    encounter: Findings | None = rows(Encounter.id == given("encounter"))


@handler(supersedes=old.late_antibiotics_are_reviewed)
def late_antibiotics_are_reviewed(event: GiveTreatment, wait: Wait, shock: Shock) -> Yields[SepsisReview]:
    """Late is more than one hour where registration found hypotension, else more than three."""
    waited = first_wait(event, wait)
    possible = shock.encounter is not None and shock.encounter.hypotension is True
    if waited is not None and waited > timedelta(hours=1 if possible else 3):
        yield SepsisReview(encounter=event.encounter, waited=waited)
