"""Laboratory results, and the lactate that cannot wait."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clinic.effects import DoctorPage
from clinic.tables import Code, Encounter, Observation
from dateline import Event, Insert, Record, Reject, Snapshot, Yields, check, given, handler, rows

Measured = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class RecordObservation(Event, kind="observation.record", subjects=("encounter:{encounter}",)):
    """The laboratory sends a result, or word that there is none.

    Args:
        result: The laboratory's own number for it.
    """

    encounter: Code
    result: Code
    analyte: Literal["leucocytes", "crp", "lactate"]
    leucocytes_giga_l: Measured | None = None
    crp_mg_l: Measured | None = None
    lactate_mmol_l: Measured | None = None
    age_years: Annotated[int, Field(ge=0, le=130)] | None = None
    diagnosis: Code | None = None

    @property
    def field(self) -> str:
        """The field in which this analyte's value belongs."""
        return {"leucocytes": "leucocytes_giga_l", "crp": "crp_mg_l", "lactate": "lactate_mmol_l"}[self.analyte]

    @model_validator(mode="after")
    def _one_analyte(self) -> Self:
        values = ("leucocytes_giga_l", "crp_mg_l", "lactate_mmol_l")
        if strange := [name for name in values if name != self.field and getattr(self, name) is not None]:
            raise ValueError(f"a result for {self.analyte} brings no {strange[0]}")
        return self


class Open(Record[Encounter]):
    """That there is such an encounter."""

    id: str


class Visit(Snapshot):
    """The encounter, if anything of it came before."""

    encounter: Open | None = rows(Encounter.id == given("encounter"))


@check
def a_result_has_its_value(event: RecordObservation) -> Yields[Reject]:
    """Word that there is no value is recorded as refused: it must not look like a result."""
    if getattr(event, event.field) is None:
        yield Reject("missing-value", f"the laboratory sent {event.analyte} without its value", field=event.field)


@handler
def the_result_is_kept(event: RecordObservation, visit: Visit) -> Yields[Insert[Encounter] | Insert[Observation]]:
    """Blood may be drawn before anybody finds the time to register; then the result opens the encounter."""
    if visit.encounter is None:
        yield Insert(
            Encounter,
            id=event.encounter,
            opened_at=event.meta.at,
            age_years=event.age_years,
            diagnosis=event.diagnosis,
        )
    yield Insert(
        Observation,
        id=event.result,
        encounter=event.encounter,
        analyte=event.analyte,
        measured_at=event.meta.at,
        leucocytes_giga_l=event.leucocytes_giga_l,
        crp_mg_l=event.crp_mg_l,
        lactate_mmol_l=event.lactate_mmol_l,
    )


@handler
def a_very_high_lactate_pages_the_doctor(event: RecordObservation) -> Yields[DoctorPage]:
    """Very high is 4.0 mmol/L or more."""
    if event.lactate_mmol_l is not None and event.lactate_mmol_l >= 4:
        yield DoctorPage(encounter=event.encounter, result=event.result, lactate_mmol_l=event.lactate_mmol_l)
