"""Drugs that harm the liver."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from clinic.effects import TellNurses
from clinic.tables import Drug, Task
from dateline import Insert, Record, Snapshot, Yields, given, handler, rows
from versions.v2018_07_30.prescriptions import Chart, SubmitPrescription


class Toxicity(Record[Drug]):
    """Whether the drug harms the liver."""

    id: str
    hepatotoxic: bool


class Panel(Record[Task]):
    """A liver panel that was ordered."""

    id: UUID


class Liver(Snapshot):
    """What decides whether the patient's liver is looked at."""

    drug: Toxicity = rows(Drug.id == given("drug"))
    recent: Panel | None = rows(
        Task.patient == given("patient"),
        Task.kind == "liver-panel",
        Task.ordered_at >= given("meta.at", plus=timedelta(days=-28)),
        order_by=Task.ordered_at.desc(),
        first=1,
    )


@handler
def a_hepatotoxic_drug_comes_with_a_liver_panel(
    event: SubmitPrescription, chart: Chart, liver: Liver
) -> Yields[Insert[Task] | TellNurses]:
    """Within a day, and told to the nurses, who draw the blood; unless one was ordered within 28 days."""
    if not liver.drug.hepatotoxic or liver.recent is not None:
        return
    due_at = event.meta.at + timedelta(days=1)
    yield Insert(
        Task,
        id=event.new_id("liver-panel"),
        kind="liver-panel",
        patient=chart.patient.id,
        ordered_at=event.meta.at,
        due_at=due_at,
    )
    yield TellNurses(
        channel="laboratory",
        patient=chart.patient.id,
        text=f"{chart.patient.name} starts {event.drug}: liver panel until {due_at:%d %B, %H:%M} UTC.",
    )
