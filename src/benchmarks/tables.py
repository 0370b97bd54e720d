"""The ward's two tables, equal for every contestant: models for those that want models, and the statements that make them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

__all__ = ["SCHEMA", "Base", "Patient", "Prescription"]

SCHEMA = (
    """
    CREATE TABLE patient (
        id varchar(40) PRIMARY KEY,
        name varchar(80) NOT NULL,
        ward varchar(20) NOT NULL,
        weight_g integer NOT NULL,
        prescribed integer NOT NULL,
        last_drug varchar(40),
        last_dose_mg integer
    )
    """,
    """
    CREATE TABLE prescription (
        id uuid PRIMARY KEY,
        patient varchar(40) NOT NULL,
        drug varchar(40) NOT NULL,
        dose_mg integer NOT NULL,
        directions varchar(120) NOT NULL,
        active boolean NOT NULL
    )
    """,
    "CREATE INDEX prescription_patient ON prescription (patient, active, id)",
)
"""Makes both tables on PostgreSQL; SQLite takes the same text, its ids being what SQLAlchemy makes of them there."""


class Base(MappedAsDataclass, DeclarativeBase):
    """The ward's models."""


class Patient(Base):
    """Somebody on the ward."""

    __tablename__ = "patient"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    ward: Mapped[str]
    weight_g: Mapped[int]
    prescribed: Mapped[int]
    last_drug: Mapped[str | None]
    last_dose_mg: Mapped[int | None]


class Prescription(Base):
    """A drug that a patient takes."""

    __tablename__ = "prescription"
    __table_args__ = (Index("prescription_patient", "patient", "active", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient: Mapped[str]
    drug: Mapped[str]
    dose_mg: Mapped[int]
    directions: Mapped[str]
    active: Mapped[bool]
