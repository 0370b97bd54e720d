"""The clinic's tables, as SQLAlchemy models; who, why and under which rules a row changed is the trail's to tell."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import Dialect, ForeignKey, Index, Numeric, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, synonym
from sqlalchemy.types import TypeEngine

from dateline import Instant, Personal, Unrepresentable, lift, lower

__all__ = [
    "Acceptance",
    "Allergy",
    "Base",
    "Code",
    "Drug",
    "Encounter",
    "Invitation",
    "Milligrams",
    "Observation",
    "Patient",
    "Prescription",
    "Quantity",
    "Task",
    "Words",
]

Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
"""What names a patient, an encounter, a drug: short, printable, without spaces."""

# \x00 cannot be stored by PostgreSQL, and the other control characters can bend a terminal.
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
"""What a person wrote, on one line."""

Milligrams = Annotated[Decimal, Field(gt=0, max_digits=9, decimal_places=3)]
"""A dose."""


class Quantity(TypeDecorator[Decimal]):
    """A measured value, kept digit for digit: 4.0 stays 4.0. SQLite's own numbers are binary, so there it is text."""

    impl = Numeric
    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        """Say which values the column takes."""
        return Decimal

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose text where the database has no decimals of its own."""
        return dialect.type_descriptor(String(64) if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write every digit out, as PostgreSQL does, which knows neither exponents nor a zero below zero."""
        if value is None or dialect.name != "sqlite":
            return value
        return format(value or value.copy_abs(), "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Read back what was written."""
        return None if value is None else Decimal(value)


class Base(MappedAsDataclass, DeclarativeBase):
    """The clinic's models; dataclasses, so that a type checker sees the columns of `Insert(Patient, …)`."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Instant, Decimal: Quantity}


class Patient(Base):
    """Somebody in the clinic's care."""

    __tablename__ = "patient"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[Personal[str]] = mapped_column(String(500))
    phone: Mapped[Personal[str]] = mapped_column(String(500))


class Allergy(Base):
    """What a patient must not be given."""

    __tablename__ = "allergy"

    patient: Mapped[str] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    ingredient: Mapped[str] = mapped_column(String(64), primary_key=True)
    noted_at: Mapped[datetime]


class Drug(Base):
    """A line of the formulary."""

    __tablename__ = "drug"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    ingredient: Mapped[str] = mapped_column(String(64))
    hepatotoxic: Mapped[bool]


class Prescription(Base):
    """One drug for one patient, for some days.

    Until 2019 it had a `dose` as a text, until 2021 a `dose_mg`; its `directions` were called `instructions`; and it had a `prescriber`,
    until nobody asked the table any more for what the trail knows. Dated layers go on naming what they knew.
    """

    __tablename__ = "prescription"
    __table_args__ = (Index("prescription_of_patient", "patient", "drug"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient: Mapped[str] = mapped_column(ForeignKey("patient.id"))
    drug: Mapped[str] = mapped_column(ForeignKey("drug.id"))
    amount: Mapped[Decimal]
    unit: Mapped[str] = mapped_column(String(8))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    every_hours: Mapped[int | None] = mapped_column(default=None)
    directions: Mapped[Personal[str] | None] = mapped_column(String(500), default=None)
    instructions: Mapped[Personal[str] | None] = synonym("directions", init=False)


@lower(Prescription)
def dose(amount: Decimal, unit: str) -> str:
    """As doctors wrote it in 2018."""
    return f"{amount:f} {unit}"


@lift(Prescription)
def dose_as_text(dose: str) -> dict[str, Any]:
    """Split it; the table of today has no place for what is no amount with a unit."""
    amount, _, unit = dose.partition(" ")
    try:
        return {"amount": Decimal(amount), "unit": {"mg": "mg", "g": "g"}[unit]}
    except (InvalidOperation, KeyError):
        raise Unrepresentable("the dose is no amount in mg or g") from None


@lower(Prescription)
def dose_mg(amount: Decimal, unit: str) -> Decimal:
    """As it was kept in 2019."""
    return amount * 1000 if unit == "g" else amount


@lift(Prescription)
def dose_in_mg(dose_mg: Decimal) -> dict[str, Any]:
    """Milligrams say their unit now."""
    return {"amount": dose_mg, "unit": "mg"}


@lift(Prescription)
def whoever_prescribed(prescriber: str) -> dict[str, Any]:
    """The trail knows who; the table has no column for it any more."""
    return {}


class Invitation(Base):
    """A free appointment, offered to several patients; whoever accepts first has it."""

    __tablename__ = "invitation"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    appointment_at: Mapped[datetime]
    sent_at: Mapped[datetime]


class Acceptance(Base):
    """One patient's yes: `held` or `too-late`."""

    __tablename__ = "acceptance"

    invitation: Mapped[str] = mapped_column(ForeignKey("invitation.id"), primary_key=True)
    patient: Mapped[str] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    accepted_at: Mapped[datetime]


class Encounter(Base):
    """One visit to the emergency room and what came of it.

    Of the registration form, the row keeps the findings, which the ward looks at; the orders that were ticked stand in the event.
    Ward, release and return are the latest; registration, triage and the treatments are the first.
    """

    __tablename__ = "encounter"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    opened_at: Mapped[datetime]
    age_years: Mapped[int | None] = mapped_column(default=None)
    diagnosis: Mapped[str | None] = mapped_column(String(64), default=None)
    registered_at: Mapped[datetime | None] = mapped_column(default=None)
    infection_suspected: Mapped[bool | None] = mapped_column(default=None)
    sirs_two_or_more: Mapped[bool | None] = mapped_column(default=None)
    hypotension: Mapped[bool | None] = mapped_column(default=None)
    hypoxia: Mapped[bool | None] = mapped_column(default=None)
    oliguria: Mapped[bool | None] = mapped_column(default=None)
    organ_dysfunction: Mapped[bool | None] = mapped_column(default=None)
    triaged_at: Mapped[datetime | None] = mapped_column(default=None)
    sepsis_triaged_at: Mapped[datetime | None] = mapped_column(default=None)
    liquid_at: Mapped[datetime | None] = mapped_column(default=None)
    antibiotics_at: Mapped[datetime | None] = mapped_column(default=None)
    admitted_at: Mapped[datetime | None] = mapped_column(default=None)
    ward: Mapped[str | None] = mapped_column(String(16), default=None)
    released_at: Mapped[datetime | None] = mapped_column(default=None)
    release: Mapped[str | None] = mapped_column(String(1), default=None)
    returned_at: Mapped[datetime | None] = mapped_column(default=None)


class Observation(Base):
    """One laboratory result; of the three values it has the one that was measured."""

    __tablename__ = "observation"
    __table_args__ = (Index("observation_of_encounter", "encounter", "analyte"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    encounter: Mapped[str] = mapped_column(ForeignKey("encounter.id"))
    analyte: Mapped[str] = mapped_column(String(16))
    measured_at: Mapped[datetime]
    leucocytes_giga_l: Mapped[Decimal | None] = mapped_column(default=None)
    crp_mg_l: Mapped[Decimal | None] = mapped_column(default=None)
    lactate_mmol_l: Mapped[Decimal | None] = mapped_column(default=None)


class Task(Base):
    """Something that somebody has to do: for a patient, or within an encounter."""

    __tablename__ = "task"
    __table_args__ = (Index("task_of_patient", "patient", "kind", "ordered_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    ordered_at: Mapped[datetime]
    due_at: Mapped[datetime]
    patient: Mapped[str | None] = mapped_column(ForeignKey("patient.id"), default=None)
    encounter: Mapped[str | None] = mapped_column(ForeignKey("encounter.id"), default=None)
