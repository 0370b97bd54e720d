"""The small audit as SQLAlchemy models, on the tables that `audit.SCHEMA` makes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from benchmarks.peers import audit
from benchmarks.tables import Base, Patient, Prescription
from benchmarks.work import Unit

__all__ = ["Audit", "AuditOperation", "Outbox", "patient_facts", "recorded", "taken_facts"]


class AuditOperation(Base, kw_only=True):
    """One row change."""

    __tablename__ = "audit_operation"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    audit: Mapped[int] = mapped_column(ForeignKey("audit.id"), init=False)
    verb: Mapped[str]
    table_name: Mapped[str]
    row_key: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]


class Outbox(Base, kw_only=True):
    """One side effect that is due."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    audit: Mapped[int] = mapped_column(ForeignKey("audit.id"), init=False)
    kind: Mapped[str]
    payload: Mapped[str]
    state: Mapped[str] = mapped_column(default="due")


class Audit(Base, kw_only=True):
    """One request."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tenant: Mapped[str]
    kind: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"), init=False)
    input: Mapped[str]
    snapshot: Mapped[str]
    operations: Mapped[list[AuditOperation]] = relationship()
    effects: Mapped[list[Outbox]] = relationship()


def patient_facts(patient: Patient) -> dict[str, Any]:
    """Return a patient's columns."""
    return {
        "id": patient.id,
        "name": patient.name,
        "ward": patient.ward,
        "weight_g": patient.weight_g,
        "prescribed": patient.prescribed,
        "last_drug": patient.last_drug,
        "last_dose_mg": patient.last_dose_mg,
    }


def taken_facts(taken: Prescription) -> dict[str, Any]:
    """Return the columns of a prescription that are part of what was seen."""
    return {"id": taken.id, "drug": taken.drug, "dose_mg": taken.dose_mg, "directions": taken.directions}


def recorded(unit: Unit, patient: dict[str, Any], taken: list[dict[str, Any]]) -> Audit:
    """Return the audit of a unit, with all that hangs on it."""
    return Audit(
        tenant=audit.TENANT,
        kind=audit.KIND,
        actor=audit.ACTOR,
        input=audit.input_of(unit),
        snapshot=audit.snapshot_of(patient, taken),
        operations=[
            AuditOperation(verb=row.verb, table_name=row.table, row_key=row.key, before=row.before, after=row.after)
            for row in audit.operations_of(unit, patient)
        ],
        effects=[Outbox(kind=row.kind, payload=row.payload) for row in audit.effects_of(unit, patient, taken)],
    )
