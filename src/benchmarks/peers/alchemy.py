"""SQLAlchemy, by its Core and by its ORM; the audit's rows are the application's own to make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, insert, select, update
from sqlalchemy.orm import Session

from benchmarks.contestant import Doer, Threaded
from benchmarks.database import connect
from benchmarks.peers import audit
from benchmarks.peers.models import Audit, AuditOperation, Outbox, patient_facts, recorded, taken_facts
from benchmarks.tables import Base, Patient, Prescription
from benchmarks.work import Unit, Work

__all__ = ["Core", "Orm"]

PATIENT, PRESCRIPTION, AUDIT, OPERATION, OUTBOX = (
    Base.metadata.tables[model.__tablename__] for model in (Patient, Prescription, Audit, AuditOperation, Outbox)
)


class Core(Threaded):
    """Statements by expressions, on a connection of the engine's pool for each unit."""

    engine: Engine

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, and the audit's."""
        super().prepare(work)
        with connect(self.url) as connection:
            for statement in audit.SCHEMA:
                connection.execute(statement)

    def open(self) -> None:
        """Make the engine."""
        self.engine = create_engine(self.url)

    def close(self) -> None:
        """Close the engine's connections."""
        self.engine.dispose()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """The engine is everybody's."""
        yield self._do

    def _do(self, unit: Unit) -> None:
        with self.engine.begin() as connection:
            patient: Any = connection.execute(select(PATIENT).where(PATIENT.c.id == unit.patient)).mappings().one()
            c = PRESCRIPTION.c
            query = select(c.id, c.drug, c.dose_mg, c.directions).where(c.patient == unit.patient, c.active)
            found = connection.execute(query.order_by(c.id.desc()).limit(5)).mappings().all()
            patient, taken = dict(patient), [dict(row) for row in found]
            connection.execute(
                insert(PRESCRIPTION).values(
                    id=unit.prescription,
                    patient=unit.patient,
                    drug=unit.drug,
                    dose_mg=unit.dose_mg,
                    directions=unit.directions,
                    active=True,
                )
            )
            connection.execute(
                update(PATIENT)
                .where(PATIENT.c.id == unit.patient)
                .values(prescribed=patient["prescribed"] + 1, last_drug=unit.drug, last_dose_mg=unit.dose_mg)
            )
            record = insert(AUDIT).values(
                tenant=audit.TENANT,
                kind=audit.KIND,
                actor=audit.ACTOR,
                input=audit.input_of(unit),
                snapshot=audit.snapshot_of(patient, taken),
            )
            number = connection.execute(record.returning(AUDIT.c.id)).scalar_one()
            connection.execute(
                insert(OPERATION),
                [
                    {
                        "audit": number,
                        "verb": row.verb,
                        "table_name": row.table,
                        "row_key": row.key,
                        "before": row.before,
                        "after": row.after,
                    }
                    for row in audit.operations_of(unit, patient)
                ],
            )
            connection.execute(
                insert(OUTBOX),
                [
                    {"audit": number, "kind": row.kind, "payload": row.payload, "state": "due"}
                    for row in audit.effects_of(unit, patient, taken)
                ],
            )


class Orm(Core):
    """Objects in a session for each unit; the audit hangs together by relationships."""

    def _do(self, unit: Unit) -> None:
        with Session(self.engine) as session, session.begin():
            patient = session.get_one(Patient, unit.patient)
            query = select(Prescription).where(Prescription.patient == unit.patient, Prescription.active)
            taken = session.scalars(query.order_by(Prescription.id.desc()).limit(5)).all()
            session.add(recorded(unit, patient_facts(patient), [taken_facts(one) for one in taken]))
            session.add(
                Prescription(
                    id=unit.prescription,
                    patient=unit.patient,
                    drug=unit.drug,
                    dose_mg=unit.dose_mg,
                    directions=unit.directions,
                    active=True,
                )
            )
            patient.prescribed += 1
            patient.last_drug, patient.last_dose_mg = unit.drug, unit.dose_mg
