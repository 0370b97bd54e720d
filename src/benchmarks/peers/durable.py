"""DBOS: a durable workflow with a transaction of its datasource.

Its workflow keeps the input by itself, and the transaction the outcome; snapshot and operations are rows of the small audit, written in
the transaction. The side effects are steps of the workflow, each of which is checkpointed when it is done, as its documentation has it:
that is more than rows that are due. `DurableOutbox` writes such rows instead, in the transaction, beside what DBOS has for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar

from dbos import DBOS, DBOSConfig, SQLAlchemyDatasource, run_dbos_database_migrations
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.contestant import Doer, Threaded
from benchmarks.database import connect
from benchmarks.peers import audit
from benchmarks.peers.models import patient_facts, recorded, taken_facts
from benchmarks.tables import Patient, Prescription
from benchmarks.work import Unit, Work

__all__ = ["Durable", "DurableOutbox"]


class Durable(Threaded):
    """One DBOS for all threads of a process."""

    outbox: ClassVar[bool] = False

    workflow: Any

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, the audit's, and DBOS's own."""
        super().prepare(work)
        with connect(self.url) as connection:
            for statement in audit.SCHEMA:
                connection.execute(statement)
        run_dbos_database_migrations(self.url)
        SQLAlchemyDatasource.migrate(self.url)

    def open(self) -> None:
        """Register what DBOS runs, and launch it."""
        config: DBOSConfig = {
            "name": "ward",
            "system_database_url": self.url,
            # Each process is an executor of its own, so that none takes another's workflows for its own lost ones.
            "executor_id": f"ward-{os.getpid()}",
            "log_level": "ERROR",
        }
        DBOS(config=config)
        source = SQLAlchemyDatasource.create(self.url)
        outbox = self.outbox

        @source.transaction(isolation_level="READ COMMITTED")
        def write(facts: dict[str, Any]) -> list[list[str]]:
            return _write(source.sql_session(), Unit(**facts), outbox=outbox)

        @DBOS.step()
        def perform(kind: str, payload: str) -> str:
            return f"{kind}: {len(payload)}"

        @DBOS.workflow()
        def prescribe(facts: dict[str, Any]) -> None:
            for kind, payload in write(facts):
                perform(kind, payload)

        self.workflow = prescribe
        DBOS.launch()

    def close(self) -> None:
        """End DBOS's threads and connections."""
        DBOS.destroy()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """The workflow is everybody's."""
        yield lambda unit: self.workflow(asdict(unit))


class DurableOutbox(Durable):
    """The same, whose side effects are rows that are due."""

    outbox: ClassVar[bool] = True


def _write(session: Session, unit: Unit, *, outbox: bool) -> list[list[str]]:
    """Do one unit in the session's transaction, and return what is to be done in steps."""
    patient = session.get_one(Patient, unit.patient)
    query = select(Prescription).where(Prescription.patient == unit.patient, Prescription.active)
    found = session.scalars(query.order_by(Prescription.id.desc()).limit(5)).all()
    made = recorded(unit, patient_facts(patient), [taken_facts(one) for one in found])
    effects = [] if outbox else [[row.kind, row.payload] for row in made.effects]
    if not outbox:
        made.effects.clear()
    session.add(made)
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
    return effects
