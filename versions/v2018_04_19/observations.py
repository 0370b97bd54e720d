"""A high first lactate is measured again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import exists, select

from clinic.tables import Observation, Task
from dateline import Insert, Snapshot, Yields, given, handler, value
from versions.v2013_02_01.observations import RecordObservation


class Lactates(Snapshot):
    """Whether a lactate was measured in this encounter before; a result without a value is not among the observations."""

    measured: bool = value(
        select(exists().where(Observation.encounter == given("encounter"), Observation.analyte == "lactate"))
    )


@handler
def a_high_first_lactate_is_measured_again(event: RecordObservation, lactates: Lactates) -> Yields[Insert[Task]]:
    """High is above 2.0 mmol/L, and again is after two hours."""
    if event.lactate_mmol_l is not None and event.lactate_mmol_l > 2 and not lactates.measured:
        yield Insert(
            Task,
            id=event.new_id("remeasure-lactate"),
            kind="remeasure-lactate",
            encounter=event.encounter,
            ordered_at=event.meta.at,
            due_at=event.meta.at + timedelta(hours=2),
        )
