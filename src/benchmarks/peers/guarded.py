"""psycopg with dateline's own guard, isolation and trail, all by hand: the ceiling of what Python can reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg

from benchmarks.contestant import Doer, Threaded
from benchmarks.database import connect
from benchmarks.peers import trail
from benchmarks.work import Unit, Work
from dateline import Runner, load

__all__ = ["PATIENT", "READ", "TAKEN", "WRITE", "Guarded", "parameters"]

PATIENT = """(SELECT coalesce('[' || string_agg(row_to_json(q)::text, ',') || ']', '[]') FROM (
    SELECT id, last_dose_mg, last_drug, name, prescribed, ward, weight_g FROM patient WHERE id = $1::varchar ORDER BY id LIMIT 2
) AS q)"""
"""The patient as the guard compares it."""

TAKEN = """(SELECT coalesce('[' || string_agg(row_to_json(q)::text, ',') || ']', '[]') FROM (
    SELECT directions, dose_mg, drug, id FROM prescription
    WHERE patient = $1::varchar AND active IS true ORDER BY id DESC LIMIT 5
) AS q)"""
"""The prescriptions as the guard compares them."""

_IMAGE = "(SELECT row_to_json(r) FROM (SELECT {}) AS r)::text AS img"
_WRITTEN = _IMAGE.format("active, directions, dose_mg, drug, id, patient")
_COUNTED = _IMAGE.format("id, last_dose_mg, last_drug, name, prescribed, ward, weight_g")

READ = f"SELECT {PATIENT}, {TAKEN}"
"""What a decision needs, as two JSON texts; its one parameter is the patient."""

WRITE = f"""
WITH guard AS MATERIALIZED (SELECT {PATIENT} = $2::text AND {TAKEN} = $3::text AS ok),
o0 AS (
    INSERT INTO prescription (id, patient, drug, dose_mg, directions, active) VALUES ($4, $1, $5, $6, $7, true)
    RETURNING {_WRITTEN}
),
b1 AS MATERIALIZED (SELECT {_COUNTED} FROM patient WHERE id = $1::varchar),
o1 AS (
    UPDATE patient SET prescribed = $8, last_drug = $5, last_dose_mg = $6 WHERE id = $1::varchar RETURNING {_COUNTED}
),
met AS MATERIALIZED (SELECT (SELECT count(*) FROM o0) + (SELECT count(*) FROM o1) AS n),
event AS (
    INSERT INTO dateline_event (
        tenant, id, kind, version, shape, cascade, actor, occurred_at, outcome, subjects, body, sha256, recorded_at
    )
    SELECT $9, $10, $11, $12::date, $13::date, $14, $15, $16, 'committed', $49, $17, $18, clock_timestamp() FROM met
    RETURNING seq, recorded_at
),
operation AS (
    INSERT INTO dateline_operation (
        tenant, seq, ordinal, step, verb, table_name, row_key, declared, before, after, handler, date
    )
    SELECT $9, event.seq, x.* FROM event, (VALUES
        (0, $19, 'insert', 'prescription', $20, $21, NULL::text, (SELECT img FROM o0), $22, $23),
        (1, $24, 'update', 'patient', $1, $25, (SELECT img FROM b1), (SELECT img FROM o1), $26, $27)
    ) AS x
),
due (ordinal, id, step, kind, payload, handler, date) AS MATERIALIZED (VALUES
    (2, $28::uuid, $29, $30, $31, $32, $33), (3, $34, $35, $36, $37, $38, $39), (4, $40, $41, $42, $43, $44, $45)
),
effect AS (
    INSERT INTO dateline_effect (tenant, seq, ordinal, id, step, kind, payload, handler, date)
    SELECT $9, event.seq, due.* FROM event, due
),
delivery AS (
    INSERT INTO dateline_delivery (tenant, seq, ordinal, kind, state, due_at)
    SELECT $9, event.seq, due.ordinal, due.kind, 'due', event.recorded_at FROM event, due
),
subject AS (INSERT INTO dateline_subject (tenant, subject, seq) SELECT $9, $46, event.seq FROM event),
personal AS (
    INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value)
    SELECT $9, event.seq, '/input/note', $46, $47, $48 FROM event
),
pending AS (INSERT INTO dateline_pending (seq, tenant) SELECT event.seq, $9 FROM event)
SELECT CASE
    WHEN NOT (SELECT ok FROM guard) THEN ('stale ' || met.n)::integer
    WHEN met.n <> 2 THEN ('met ' || met.n)::integer
    ELSE 0
END, event.seq, event.recorded_at FROM met LEFT JOIN event ON true
"""  # noqa: S608 - pieces of this module

_SESSION = "SET default_transaction_isolation = 'serializable'; SET TimeZone = 'UTC'"

_AGAIN = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InvalidTextRepresentation,
)


class Guarded(Threaded):
    """One SELECT and one statement that proves that what was read still stands, and writes row for row what dateline writes."""

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, and the trail's."""
        super().prepare(work)
        with Runner(self.url, versions=load("benchmarks.versions")) as runner:
            runner.migrate()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """A connection of its own."""
        with connect(self.url, autocommit=True) as connection:
            connection.execute(_SESSION)
            yield lambda unit: _do(connection, unit)


def _do(connection: psycopg.Connection[Any], unit: Unit) -> None:
    while True:
        try:
            return _try(connection, unit)
        except _AGAIN:
            continue


def _try(connection: psycopg.Connection[Any], unit: Unit) -> None:
    cursor = psycopg.RawCursor(connection)
    seen = cursor.execute(READ, (unit.patient,)).fetchone()
    assert seen is not None
    patient, taken = orjson.loads(seen[0])[0], orjson.loads(seen[1])
    made = trail.trail_of(unit, patient, taken, texts=seen)
    cursor.execute(WRITE, (unit.patient, *seen, *parameters(unit, patient, made))).fetchone()


def parameters(unit: Unit, patient: Mapping[str, Any], made: trail.Trail) -> list[Any]:
    """Return what `WRITE` takes after the patient and the two texts that were read."""
    written, counted = made.operations
    params = [
        unit.prescription,
        unit.drug,
        unit.dose_mg,
        unit.directions,
        patient["prescribed"] + 1,
        trail.TENANT,
        made.id,
        trail.KIND,
        trail.VERSION,
        trail.SHAPE,
        trail.CASCADE,
        trail.ACTOR,
        made.at,
        made.body,
        made.sha256,
        written.step,
        written.key,
        written.declared,
        written.handler,
        written.date,
        counted.step,
        counted.declared,
        counted.handler,
        counted.date,
    ]
    for one in made.effects:
        params += (one.id, one.step, one.kind, one.payload, one.handler, one.date)
    return [*params, made.subject, made.salt, made.note, f'["{made.subject}"]']
