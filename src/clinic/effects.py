"""What the clinic does besides writing rows; each happens once its event is committed, and never before."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from dateline import Effect, Personal

__all__ = ["DoctorPage", "NotifyPatient", "SepsisReview", "TellNurses", "TooLate"]


class NotifyPatient(Effect, kind="patient.notify", key="{patient}", subject="patient:{patient}"):
    """A text message to a patient's telephone."""

    patient: str
    phone: Personal[str]
    text: Personal[str]


class TooLate(Effect, kind="invitation.too-late", key="{patient}", subject="patient:{patient}"):
    """Word to somebody who accepted an appointment that another has."""

    invitation: str
    patient: str
    phone: Personal[str]


class TellNurses(Effect, kind="nurses.tell", key="{channel}", subject="patient:{patient}"):
    """A line in one of the nurses' channels."""

    channel: str
    patient: str
    text: Personal[str]


class SepsisReview(Effect, kind="sepsis.review", key="{encounter}"):
    """A colleague looks into why the antibiotics took so long.

    It does not say how long is too long: by whichever date's rule it is wanted, it is the same review.
    """

    encounter: str
    waited: timedelta


class DoctorPage(Effect, kind="doctor.page", key="{result}"):
    """The doctor on duty is paged about a lactate."""

    encounter: str
    result: str
    lactate_mmol_l: Decimal
