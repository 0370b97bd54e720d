"""The standard library's sqlite3 with dateline's guard, durability and trail, all by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import orjson

from benchmarks.contestant import Doer, Threaded
from benchmarks.database import connect_sqlite
from benchmarks.peers import trail
from benchmarks.work import Unit, Work
from dateline import Runner, load

__all__ = ["Sqlite"]

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_PATIENT = "SELECT id, name, ward, weight_g, prescribed, last_drug, last_dose_mg FROM patient WHERE id = ?"
_TAKEN = (
    "SELECT id, drug, dose_mg, directions FROM prescription WHERE patient = ? AND active IS 1 ORDER BY id DESC LIMIT 5"
)
_COUNTED = "SELECT id, last_dose_mg, last_drug, name, prescribed, ward, weight_g FROM patient WHERE id = ?"
_WRITTEN = "SELECT active, directions, dose_mg, drug, id, patient FROM prescription WHERE id = ?"
_EVENT = f"""INSERT INTO dateline_event
    (tenant, id, kind, version, shape, "cascade", actor, occurred_at, recorded_at, outcome, subjects, body, sha256)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, {_NOW}, 'committed', ?, ?, ?)"""  # noqa: S608 - a piece of this module
_OPERATION = """INSERT INTO dateline_operation
    (tenant, seq, ordinal, step, verb, table_name, row_key, declared, "before", "after", handler, date)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_EFFECT = "INSERT INTO dateline_effect (tenant, seq, ordinal, id, step, kind, payload, handler, date) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELIVERY = f"""INSERT INTO dateline_delivery (tenant, seq, ordinal, kind, state, due_at)
    VALUES (?, ?, ?, ?, 'due', {_NOW})"""  # noqa: S608 - a piece of this module


class Sqlite(Threaded):
    """WAL, `synchronous=FULL`; Python runs outside of the write, and what was read is read again inside of it and compared."""

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, and the trail's."""
        super().prepare(work)
        with Runner(self.url, versions=load("benchmarks.versions")) as runner:
            runner.migrate()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """A connection of its own."""
        with connect_sqlite(self.url) as connection:
            yield lambda unit: _do(connection, unit)


def _do(connection: sqlite3.Connection, unit: Unit) -> None:
    while not _try(connection, unit):
        continue


def _read(connection: sqlite3.Connection, unit: Unit) -> tuple[Any, list[Any]]:
    patient = connection.execute(_PATIENT, (unit.patient,)).fetchone()
    return patient, connection.execute(_TAKEN, (unit.patient,)).fetchall()


def _try(connection: sqlite3.Connection, unit: Unit) -> bool:
    connection.execute("BEGIN")
    seen = _read(connection, unit)
    connection.execute("COMMIT")
    names = ("id", "name", "ward", "weight_g", "prescribed", "last_drug", "last_dose_mg")
    patient = dict(zip(names, seen[0], strict=True))
    taken = [{"id": str(UUID(row[0])), "drug": row[1], "dose_mg": row[2], "directions": row[3]} for row in seen[1]]
    made = trail.trail_of(unit, patient, taken)
    connection.execute("BEGIN IMMEDIATE")
    if _read(connection, unit) != seen:
        connection.execute("ROLLBACK")
        return False
    key = unit.prescription.hex
    connection.execute(
        "INSERT INTO prescription (id, patient, drug, dose_mg, directions, active) VALUES (?, ?, ?, ?, ?, 1)",
        (key, unit.patient, unit.drug, unit.dose_mg, unit.directions),
    )
    before = connection.execute(_COUNTED, (unit.patient,)).fetchone()
    connection.execute(
        "UPDATE patient SET prescribed = ?, last_drug = ?, last_dose_mg = ? WHERE id = ?",
        (patient["prescribed"] + 1, unit.drug, unit.dose_mg, unit.patient),
    )
    written = connection.execute(_WRITTEN, (key,)).fetchone()
    after = connection.execute(_COUNTED, (unit.patient,)).fetchone()
    images = ((None, _written(written)), (_counted(before), _counted(after)))
    _record(connection, made, images)
    connection.execute("COMMIT")
    return True


def _written(row: Any) -> str:
    names = ("directions", "dose_mg", "drug", "id", "patient")
    return orjson.dumps(
        {"active": bool(row[0]), **dict(zip(names, (*row[1:4], str(UUID(row[4])), row[5]), strict=True))}
    ).decode()


def _counted(row: Any) -> str:
    names = ("id", "last_dose_mg", "last_drug", "name", "prescribed", "ward", "weight_g")
    return orjson.dumps(dict(zip(names, row, strict=True))).decode()


def _record(
    connection: sqlite3.Connection, made: trail.Trail, images: tuple[tuple[str | None, str], tuple[str, str]]
) -> None:
    at = made.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = (trail.TENANT, str(made.id), trail.KIND, trail.VERSION, trail.SHAPE, trail.CASCADE, trail.ACTOR, at)
    seq = connection.execute(_EVENT, (*head, f'["{made.subject}"]', made.body, made.sha256)).lastrowid
    owner = (trail.TENANT, seq)
    for ordinal, (row, (before, after)) in enumerate(zip(made.operations, images, strict=True)):
        named = (row.step, row.verb, row.table, row.key, row.declared)
        connection.execute(_OPERATION, (*owner, ordinal, *named, before, after, row.handler, row.date))
    for ordinal, one in enumerate(made.effects, 2):
        told = (str(one.id), one.step, one.kind, one.payload)
        connection.execute(_EFFECT, (*owner, ordinal, *told, one.handler, one.date))
        connection.execute(_DELIVERY, (*owner, ordinal, one.kind))
    connection.execute(
        "INSERT INTO dateline_subject (tenant, subject, seq) VALUES (?, ?, ?)", (trail.TENANT, made.subject, seq)
    )
    connection.execute(
        "INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) VALUES (?, ?, '/input/note', ?, ?, ?)",
        (*owner, made.subject, made.salt, made.note),
    )
