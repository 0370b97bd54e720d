"""The rows of dateline's trail for one unit, made by hand: what those contestants write that are to show what it costs to make them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson
from orjson import Fragment
from uuid_utils.compat import uuid7

from benchmarks.work import Unit

__all__ = ["ACTOR", "CASCADE", "KIND", "SHAPE", "TENANT", "VERSION", "EffectRow", "OperationRow", "Trail", "trail_of"]

ACTOR, KIND, TENANT = "dr-7", "prescription.write", "north"
SHAPE, VERSION = "2024-01-01", "2024-06-01"
CASCADE = "0" * 64
"""A digest's place; what stands there costs nothing and depends on dateline's release."""

_FIRST = "benchmarks.versions.v2024_01_01.prescriptions"
_SECOND = "benchmarks.versions.v2024_06_01.prescriptions"
_CHART = "v2024_01_01.prescriptions.Chart"


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One row of `dateline_operation`, without its images."""

    step: str
    verb: str
    table: str
    key: str
    declared: str
    handler: str
    date: str


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One row of `dateline_effect` and of `dateline_delivery`."""

    id: UUID
    step: str
    kind: str
    payload: str
    handler: str
    date: str


@dataclass(frozen=True, slots=True)
class Trail:
    """All that one unit leaves in the trail."""

    id: UUID
    at: datetime
    body: str
    sha256: str
    subject: str
    salt: str
    note: str
    operations: tuple[OperationRow, ...]
    effects: tuple[EffectRow, ...]


def _sorted(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _instant(at: datetime) -> str:
    text = at.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if at.microsecond else text) + "Z"


def trail_of(
    unit: Unit,
    patient: Mapping[str, Any],
    taken: Sequence[Mapping[str, Any]],
    *,
    texts: tuple[Any, ...] | None = None,
) -> Trail:
    """Return a unit's rows.

    Args:
        patient: As it was read.
        taken: The prescriptions that were read.
        texts: Both as JSON, where the database wrote it; then they need not be written again.
    """
    rows = (Fragment(texts[0]), Fragment(texts[1])) if texts else ([patient], taken)
    id, at = uuid7(), datetime.now(UTC)
    note = _sorted(unit.note)
    salt = os.urandom(16)
    given = {"patient": unit.patient}
    body = _sorted(
        {
            "decision": {"outcome": "committed"},
            "input": {
                "directions": unit.directions,
                "dose_mg": unit.dose_mg,
                "drug": unit.drug,
                "note": {"$personal": hashlib.sha256(salt + note).hexdigest()},
                "patient": unit.patient,
                "prescription": unit.prescription,
            },
            "kind": KIND,
            "meta": {
                "actor": {"id": ACTOR, "kind": "person"},
                "at": _instant(at),
                "id": id,
                "tenant": TENANT,
                "version": VERSION,
            },
            "sealed": 1,
            "shape": SHAPE,
            "snapshot": {
                f"{_CHART}.patient": {"given": given, "query": "e8655233f2b84c81", "rows": rows[0]},
                f"{_CHART}.taken": {"given": given, "query": "2ee409694e40d742", "rows": rows[1]},
            },
        }
    )
    return Trail(
        id=id,
        at=at,
        body=body.decode(),
        sha256=hashlib.sha256(body).hexdigest(),
        subject=f"patient:{unit.patient}",
        salt=salt.hex(),
        note=note.decode(),
        operations=_operations(unit, patient),
        effects=_effects(unit, id, patient, taken),
    )


def _operations(unit: Unit, patient: Mapping[str, Any]) -> tuple[OperationRow, ...]:
    written = {
        "active": True,
        "directions": unit.directions,
        "dose_mg": unit.dose_mg,
        "drug": unit.drug,
        "id": unit.prescription,
        "patient": unit.patient,
    }
    counted = {"last_dose_mg": unit.dose_mg, "last_drug": unit.drug, "prescribed": patient["prescribed"] + 1}
    key = str(unit.prescription)
    step = f"it_is_written/Insert:prescription[{key}]"
    return (
        OperationRow(
            step, "insert", "prescription", key, _sorted(written).decode(), f"{_FIRST}.it_is_written", "2024-01-01"
        ),
        OperationRow(
            f"it_is_counted/Update:patient[{unit.patient}]",
            "update",
            "patient",
            unit.patient,
            _sorted(counted).decode(),
            f"{_FIRST}.it_is_counted",
            "2024-01-01",
        ),
    )


def _effects(
    unit: Unit, id: UUID, patient: Mapping[str, Any], taken: Sequence[Mapping[str, Any]]
) -> tuple[EffectRow, ...]:
    told = {"patient": unit.patient, "text": f"{patient['name']}: {unit.drug}, {unit.dose_mg} mg"}
    order = {"dose_mg": unit.dose_mg, "drug": unit.drug, "prescription": unit.prescription}
    review = {"beside": [one["drug"] for one in taken], "prescription": unit.prescription}
    made = []
    for slot, kind, part, payload, module, date in (
        ("it_is_told", "patient.tell", unit.patient, told, _FIRST, "2024-01-01"),
        ("it_is_told", "pharmacy.tell", unit.prescription, order, _FIRST, "2024-01-01"),
        ("it_is_looked_at_once_more", "review.ask", unit.prescription, review, _SECOND, "2024-06-01"),
    ):
        step = f"{slot}/{kind}[{part}]"
        made.append(EffectRow(uuid5(id, step), step, kind, _sorted(payload).decode(), f"{module}.{slot}", date))
    return tuple(made)
