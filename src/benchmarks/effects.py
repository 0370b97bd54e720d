"""What a prescription brings about besides rows."""

from __future__ import annotations

from uuid import UUID

from dateline import Effect

__all__ = ["Review", "TellPatient", "TellPharmacy"]


class TellPatient(Effect, kind="patient.tell", key="{patient}"):
    """Word to the patient."""

    patient: str
    text: str


class TellPharmacy(Effect, kind="pharmacy.tell", key="{prescription}"):
    """An order for the pharmacy."""

    prescription: UUID
    drug: str
    dose_mg: int


class Review(Effect, kind="review.ask", key="{prescription}"):
    """A second look at a prescription, beside those that it joins."""

    prescription: UUID
    beside: tuple[str, ...]
