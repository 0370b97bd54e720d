"""The unit of work, the same for every contestant, and the rows that it must leave.

Units of one lane never touch the patients of another: so any number of clients up to `LANES`, each taking lanes of its own, leaves
the same rows as one client does, and rows can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

__all__ = ["LANES", "Rows", "Unit", "Work"]

LANES = 8
TAKEN = 5
"""Prescriptions that a patient begins with, so that from the first unit on as much is read as from the last."""

_HOW = ("before breakfast, with a glass of water", "in the evening, two hours after the meal", "at noon, not with milk")


@dataclass(frozen=True, slots=True)
class Unit:
    """One prescription to be written.

    Args:
        number: Its place in the sequence, from 0.
        note: What the doctor adds; a personal value.
    """

    number: int
    patient: str
    prescription: UUID
    drug: str
    dose_mg: int
    directions: str
    note: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What both business tables hold, each sorted by key.

    Args:
        patients: id, name, ward, weight_g, prescribed, last_drug, last_dose_mg.
        prescriptions: id, patient, drug, dose_mg, directions, active.
    """

    patients: tuple[tuple[object, ...], ...]
    prescriptions: tuple[tuple[object, ...], ...]

    def difference(self, other: Rows) -> str:
        """Return the first difference as a sentence; empty where there is none."""
        for table in ("patients", "prescriptions"):
            mine, theirs = getattr(self, table), getattr(other, table)
            if len(mine) != len(theirs):
                return f"{len(mine)} and {len(theirs)} {table}"
            for one, another in zip(mine, theirs, strict=True):
                if one != another:
                    return f"{table}: {one} and {another}"
        return ""


@dataclass(frozen=True, slots=True)
class Work:
    """A sequence of units; equal seeds and sizes give equal sequences, in every process.

    Args:
        patients: How many there are; at least one for each lane.
        hot: Whether all units are about one and the same patient.
    """

    patients: int
    seed: int = 20240601
    hot: bool = False

    def patient_rows(self) -> Iterator[tuple[str, str, str, int, int, str | None, int | None]]:
        """Yield the patients as they are at the beginning."""
        for number in range(self.patients):
            weight = 50_000 + 37 * number % 40_000
            yield (_patient(number), f"Patient number {number:06}", f"ward-{number % 20:02}", weight, 0, None, None)

    def prescription_rows(self) -> Iterator[tuple[UUID, str, str, int, str, bool]]:
        """Yield the prescriptions that are there at the beginning."""
        for number in range(self.patients * TAKEN):
            drug = f"drug-{number % 97:03}"
            yield (_id(number), _patient(number // TAKEN), drug, 1 + number % 4, _directions(number), True)

    def units(self, first: int, last: int) -> Iterator[Unit]:
        """Yield the units from the first up to, and without, the last; the unit with number n is of the lane n modulo `LANES`."""
        for number in range(first, last):
            chance = random.Random(self.seed * 1_000_003 + number)
            chosen = 0 if self.hot else number % LANES + LANES * chance.randrange(self.patients // LANES)
            yield Unit(
                number=number,
                patient=_patient(chosen),
                prescription=_id(self.patients * TAKEN + number),
                drug=f"drug-{chance.randrange(97):03}",
                dose_mg=1 + chance.randrange(4),
                directions=_directions(chance.randrange(3)),
                note=f"asked for by telephone at {chance.randrange(24):02}:{chance.randrange(60):02}, called back",
            )

    def lanes(self, first: int, last: int, count: int) -> list[list[Unit]]:
        """Return the units for a number of clients: each has lanes of its own, and all that its patients get comes in order."""
        made: list[list[Unit]] = [[] for _ in range(count)]
        for unit in self.units(first, last):
            made[unit.number % (count if self.hot else min(count, LANES))].append(unit)
        return made


def _patient(number: int) -> str:
    return f"patient-{number:06}"


def _id(number: int) -> UUID:
    """Return an id that grows with its number, as ids made by time do."""
    return UUID(int=0x018F_0000_0000_7000_8000_0000_0000_0000 + (number << 80))


def _directions(number: int) -> str:
    return f"one tablet {_HOW[number % 3]}, until the course is finished"
