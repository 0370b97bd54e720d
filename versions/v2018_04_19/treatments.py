"""The hour-1 bundle."""

from __future__ import annotations

from datetime import timedelta

from clinic.effects import SepsisReview
from dateline import Yields, handler
from versions.v2013_02_01 import treatments as old


@handler(supersedes=old.late_antibiotics_are_reviewed)
def late_antibiotics_are_reviewed(event: old.GiveTreatment, wait: old.Wait) -> Yields[SepsisReview]:
    """Late is more than one hour."""
    waited = old.first_wait(event, wait)
    if waited is not None and waited > timedelta(hours=1):
        yield SepsisReview(encounter=event.encounter, waited=waited)
