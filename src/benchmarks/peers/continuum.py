"""SQLAlchemy's ORM with SQLAlchemy-Continuum, which writes a version of each row that a session changes.

It keeps what rows became. Actor, input, snapshot and side effects are not its matter: they are written beside it, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Engine, String, Text, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, configure_mappers, mapped_column
from sqlalchemy_continuum import make_versioned, versioning_manager

from benchmarks.contestant import Doer, Threaded
from benchmarks.peers import audit
from benchmarks.work import Unit, Work

__all__ = ["Continuum"]

make_versioned(user_cls=None)


class Base(DeclarativeBase):
    """The models that are versioned, and those beside them."""


class Patient(Base):
    """Somebody on the ward."""

    __tablename__ = "patient"
    __versioned__: dict[str, Any] = {}  # noqa: RUF012 - as its documentation has it

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    ward: Mapped[str] = mapped_column(String(20))
    weight_g: Mapped[int]
    prescribed: Mapped[int]
    last_drug: Mapped[str | None] = mapped_column(String(40))
    last_dose_mg: Mapped[int | None]


class Prescription(Base):
    """A drug that a patient takes."""

    __tablename__ = "prescription"
    __versioned__: dict[str, Any] = {}  # noqa: RUF012 - as its documentation has it

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient: Mapped[str] = mapped_column(String(40))
    drug: Mapped[str] = mapped_column(String(40))
    dose_mg: Mapped[int]
    directions: Mapped[str] = mapped_column(String(120))
    active: Mapped[bool]


class Asked(Base):
    """Who asked for a transaction, with which input, and what was seen."""

    __tablename__ = "asked"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    actor: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    input: Mapped[str] = mapped_column(Text)
    snapshot: Mapped[str] = mapped_column(Text)


class Outbox(Base):
    """One side effect that is due."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(12), default="due")


configure_mappers()


class Continuum(Threaded):
    """A session for each unit."""

    engine: Engine

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, their versions' and those beside them."""
        super().prepare(work)
        engine = create_engine(self.url)
        Base.metadata.create_all(engine)
        engine.dispose()

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
        with Session(self.engine) as session, session.begin():
            patient = session.get_one(Patient, unit.patient)
            query = select(Prescription).where(Prescription.patient == unit.patient, Prescription.active)
            found = session.scalars(query.order_by(Prescription.id.desc()).limit(5)).all()
            seen = {name: getattr(patient, name) for name in _PATIENT}
            taken = [{name: getattr(one, name) for name in _TAKEN} for one in found]
            # Made before the flush that would make it, because what stands beside refers to it.
            transaction = versioning_manager.unit_of_work(session).create_transaction(session)
            session.add(
                Asked(
                    id=transaction.id,
                    actor=audit.ACTOR,
                    kind=audit.KIND,
                    input=audit.input_of(unit),
                    snapshot=audit.snapshot_of(seen, taken),
                )
            )
            session.add_all(
                Outbox(transaction=transaction.id, kind=row.kind, payload=row.payload)
                for row in audit.effects_of(unit, seen, taken)
            )
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


_PATIENT = ("id", "name", "ward", "weight_g", "prescribed", "last_drug", "last_dose_mg")
_TAKEN = ("id", "drug", "dose_mg", "directions")
