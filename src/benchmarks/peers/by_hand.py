"""psycopg and an audit of one's own: first as ordinary code does it, then in as few round trips as can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
from psycopg.rows import dict_row

from benchmarks.contestant import Doer, Threaded
from benchmarks.database import connect
from benchmarks.peers import audit
from benchmarks.work import Unit, Work

__all__ = ["ByHand", "ByHandLocked", "ByHandOneStatement"]

_PATIENT = "SELECT id, name, ward, weight_g, prescribed, last_drug, last_dose_mg FROM patient WHERE id = %s"
_TAKEN = "SELECT id, drug, dose_mg, directions FROM prescription WHERE patient = %s AND active ORDER BY id DESC LIMIT 5"


class ByHand(Threaded):
    """The base of all ratios: each statement a round trip, at the default isolation, nothing proves that what was read still stands.

    psycopg prepares a statement when it comes for the sixth time.
    """

    locks: ClassVar[str] = ""

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, and the audit's."""
        super().prepare(work)
        with connect(self.url) as connection:
            for statement in audit.SCHEMA:
                connection.execute(statement)

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """A connection of its own."""
        with connect(self.url) as plain:
            connection: psycopg.Connection[Any] = plain
            connection.row_factory = dict_row
            yield lambda unit: self._do(connection, unit)

    def _do(self, connection: psycopg.Connection[Any], unit: Unit) -> None:
        with connection.transaction():
            patient = connection.execute(_PATIENT + self.locks, (unit.patient,)).fetchone()
            assert patient is not None
            taken = connection.execute(_TAKEN, (unit.patient,)).fetchall()
            connection.execute(
                "INSERT INTO prescription (id, patient, drug, dose_mg, directions, active) VALUES (%s, %s, %s, %s, %s, %s)",
                (unit.prescription, unit.patient, unit.drug, unit.dose_mg, unit.directions, True),
            )
            connection.execute(
                "UPDATE patient SET prescribed = %s, last_drug = %s, last_dose_mg = %s WHERE id = %s",
                (patient["prescribed"] + 1, unit.drug, unit.dose_mg, unit.patient),
            )
            recorded = connection.execute(
                "INSERT INTO audit (tenant, kind, actor, input, snapshot) VALUES (%s, %s, %s, %s, %s) RETURNING id",
                (audit.TENANT, audit.KIND, audit.ACTOR, audit.input_of(unit), audit.snapshot_of(patient, taken)),
            ).fetchone()
            assert recorded is not None
            for operation in audit.operations_of(unit, patient):
                connection.execute(
                    "INSERT INTO audit_operation (audit, verb, table_name, row_key, before, after) VALUES (%s, %s, %s, %s, %s, %s)",
                    (recorded["id"], *operation),
                )
            for effect in audit.effects_of(unit, patient, taken):
                connection.execute(
                    "INSERT INTO outbox (audit, kind, payload, state) VALUES (%s, %s, %s, 'due')",
                    (recorded["id"], *effect),
                )


class ByHandLocked(ByHand):
    """The same with a lock on the patient's row, so that no update is lost."""

    locks: ClassVar[str] = " FOR UPDATE"


_READ = """
SELECT p.id, p.name, p.ward, p.weight_g, p.prescribed, p.last_drug, p.last_dose_mg,
       (SELECT coalesce(json_agg(t), '[]') FROM (
           SELECT id, drug, dose_mg, directions FROM prescription WHERE patient = $1 AND active ORDER BY id DESC LIMIT 5
       ) AS t) AS taken
FROM patient p WHERE p.id = $1
"""

_WRITE = """
WITH written AS (
    INSERT INTO prescription (id, patient, drug, dose_mg, directions, active) VALUES ($1, $2, $3, $4, $5, true)
), counted AS (
    UPDATE patient SET prescribed = $6, last_drug = $3, last_dose_mg = $4 WHERE id = $2
), recorded AS (
    INSERT INTO audit (tenant, kind, actor, input, snapshot) VALUES ($7, $8, $9, $10, $11) RETURNING id
), operations AS (
    INSERT INTO audit_operation (audit, verb, table_name, row_key, before, after)
    SELECT recorded.id, x.* FROM recorded, (VALUES ($12, $13, $14, $15, $16), ($17, $18, $19, $20, $21)) AS x
)
INSERT INTO outbox (audit, kind, payload, state)
SELECT recorded.id, x.*, 'due' FROM recorded, (VALUES ($22, $23), ($24, $25), ($26, $27)) AS x
"""


class ByHandOneStatement(ByHand):
    """One SELECT, then one statement that writes all; still nothing proves that what was read still stands."""

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """A connection of its own."""
        with connect(self.url, autocommit=True) as plain:
            connection: psycopg.Connection[Any] = plain
            yield lambda unit: self._at_once(connection, unit)

    @staticmethod
    def _at_once(connection: psycopg.Connection[Any], unit: Unit) -> None:
        cursor = psycopg.RawCursor(connection, row_factory=dict_row)
        patient = cursor.execute(_READ, (unit.patient,)).fetchone()
        assert patient is not None
        taken = patient.pop("taken")
        first, second = audit.operations_of(unit, patient)
        effects = audit.effects_of(unit, patient, taken)
        cursor.execute(
            _WRITE,
            (
                unit.prescription,
                unit.patient,
                unit.drug,
                unit.dose_mg,
                unit.directions,
                patient["prescribed"] + 1,
                audit.TENANT,
                audit.KIND,
                audit.ACTOR,
                audit.input_of(unit),
                audit.snapshot_of(patient, taken),
                *first,
                *second,
                *(part for effect in effects for part in effect),
            ),
        )
