"""The library eventsourcing with its PostgreSQL persistence, as its documentation has it: one aggregate a patient, one event a unit.

There are no business rows: an aggregate's events are the truth, and its state is made of them each time, so `rows` asks the aggregates.
The library's notification log is its outbox, from which another process would make the side effects; so the event carries what is to be
done, as it carries input and snapshot, and no further rows are written. Snapshots of aggregates are off, which is the default.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from sqlalchemy.engine import make_url

from benchmarks.contestant import Doer, Threaded
from benchmarks.peers import audit
from benchmarks.work import Rows, Unit, Work

__all__ = ["Eventsourced"]

BATCH = 500
"""Aggregates that are registered in one transaction, before anything is measured."""


class Ill(Aggregate):
    """A patient with all that was ever prescribed."""

    @event("Registered")
    def __init__(self, code: str, name: str, ward: str, weight_g: int, taken: list[dict[str, Any]]) -> None:
        self.code = code
        self.name = name
        self.ward = ward
        self.weight_g = weight_g
        self.prescribed = 0
        self.last_drug: str | None = None
        self.last_dose_mg: int | None = None
        self.taken = list(taken)

    @staticmethod
    def create_id(code: str) -> UUID:
        """Return the aggregate's id, which is known without looking it up."""
        return uuid5(NAMESPACE_URL, f"/patients/{code}")

    @event("Prescribed")
    def prescribe(
        self,
        prescription: UUID,
        drug: str,
        dose_mg: int,
        directions: str,
        note: str,
        actor: str,
        snapshot: str,
        effects: list[list[str]],
    ) -> None:
        """Take one more drug."""
        self.taken.append({"id": prescription, "drug": drug, "dose_mg": dose_mg, "directions": directions})
        self.prescribed += 1
        self.last_drug, self.last_dose_mg = drug, dose_mg


class Ward(Application[UUID]):
    """All patients."""

    def prescribe(self, unit: Unit) -> None:
        """Do one unit."""
        ill: Ill = self.repository.get(Ill.create_id(unit.patient))
        patient = {
            "id": ill.code,
            "name": ill.name,
            "ward": ill.ward,
            "weight_g": ill.weight_g,
            "prescribed": ill.prescribed,
            "last_drug": ill.last_drug,
            "last_dose_mg": ill.last_dose_mg,
        }
        taken = ill.taken[:-6:-1]
        ill.prescribe(
            prescription=unit.prescription,
            drug=unit.drug,
            dose_mg=unit.dose_mg,
            directions=unit.directions,
            note=unit.note,
            actor=audit.ACTOR,
            snapshot=audit.snapshot_of(patient, taken),
            effects=[[row.kind, row.payload] for row in audit.effects_of(unit, patient, taken)],
        )
        self.save(ill)


class Eventsourced(Threaded):
    """One application for all threads of a process."""

    application: Ward

    def prepare(self, work: Work) -> None:
        """Register the patients, with what they take at the beginning."""
        takens: dict[str, list[dict[str, Any]]] = {}
        for id, patient, drug, dose_mg, directions, _ in work.prescription_rows():
            row = {"id": id, "drug": drug, "dose_mg": dose_mg, "directions": directions}
            takens.setdefault(patient, []).append(row)
        self.open()
        for batch in batched(work.patient_rows(), BATCH):
            self.application.save(*(Ill(*patient[:4], taken=takens[patient[0]]) for patient in batch))
        self.close()

    def open(self) -> None:
        """Make the application."""
        url = make_url(self.url)
        self.application = Ward(
            {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": url.database or "",
                "POSTGRES_HOST": url.host or "",
                "POSTGRES_PORT": str(url.port),
                "POSTGRES_USER": url.username or "",
                "POSTGRES_PASSWORD": url.password or "",
            }
        )

    def close(self) -> None:
        """Close the application's connections."""
        self.application.close()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """The application is everybody's."""
        yield self.application.prescribe

    def rows(self) -> Rows:
        """Return what the aggregates hold, as rows."""
        ids: dict[UUID, None] = {}
        start = 1
        while page := self.application.recorder.select_notifications(start, limit=1_000):
            ids.update((one.originator_id, None) for one in page if isinstance(one.originator_id, UUID))
            start = page[-1].id + 1
        everybody: list[Ill] = [self.application.repository.get(id) for id in ids]
        patients = [
            (one.code, one.name, one.ward, one.weight_g, one.prescribed, one.last_drug, one.last_dose_mg)
            for one in everybody
        ]
        prescriptions = [
            (row["id"], one.code, row["drug"], row["dose_mg"], row["directions"], True)
            for one in everybody
            for row in one.taken
        ]
        return Rows(tuple(sorted(patients)), tuple(sorted(prescriptions)))


def batched(patients: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Yield the patients in lists of that size; Python 3.11 has no such function."""
    batch: list[Any] = []
    for patient in patients:
        batch.append(patient)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
