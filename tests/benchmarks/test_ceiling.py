"""The ceilings write what dateline writes: the same rows in the same tables, but for ids, salts, clocks and the cascade's digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from benchmarks.crew import crew
from benchmarks.field import entrant
from benchmarks.peers.dateline import VERSIONS
from benchmarks.work import Work
from dateline import Runner
from dateline.testing.postgres import Postgres

WORK = Work(patients=8)
UNITS = 16

# What differs from one writing to the next, and the columns that depend on it.
CHANCE = {
    "event": {"id", "cascade", "occurred_at", "recorded_at", "sha256"},
    "operation": set(),
    "effect": {"id"},
    "delivery": {"effect", "due_at"},
    "subject": set(),
    "personal": {"salt"},
    "claim": set(),
}


def write(name: str, url: str) -> None:
    made = entrant(name).load()(url)
    made.prepare(WORK)
    held = crew(made, 1)
    held.run([list(WORK.units(0, UNITS))])
    held.close()


def trail(url: str) -> dict[str, list[dict[str, Any]]]:
    engine = create_engine(url)
    tables = CHANCE if url.startswith("sqlite") else {**CHANCE, "pending": set[str]()}
    found: dict[str, list[dict[str, Any]]] = {}
    with engine.connect() as connection:
        for table, chance in tables.items():
            order = {"delivery": "seq, ordinal", "effect": "seq, ordinal", "operation": "seq, ordinal", "claim": "key"}
            query = text(f"SELECT * FROM dateline_{table} ORDER BY {order.get(table, 'seq')}")
            rows = [dict(row) for row in connection.execute(query).mappings()]
            found[table] = [{k: masked(k, v) for k, v in row.items() if k not in chance} for row in rows]
    engine.dispose()
    return found


def masked(column: str, value: Any) -> Any:
    if column != "body":
        return value
    body = json.loads(value)
    assert value == json.dumps(body, sort_keys=True, separators=(",", ":")), "the canonical form"
    assert len(body["input"].pop("note")["$personal"]) == 64
    del body["meta"]["id"], body["meta"]["at"]
    return body


@pytest.mark.parametrize(("backend", "ceiling"), [("postgresql", "psycopg-guarded"), ("sqlite", "sqlite3")])
def test_what_is_written_by_hand_is_what_dateline_writes(
    backend: str, ceiling: str, postgres18: Postgres, tmp_path: Path
) -> None:
    if backend == "sqlite":
        ours, theirs = f"sqlite:///{tmp_path / 'ours.db'}", f"sqlite:///{tmp_path / 'theirs.db'}"
    else:
        ours, theirs = (postgres18.database(f"ceiling_{name}") for name in ("ours", "theirs"))

    write("dateline" if backend == "postgresql" else "dateline-sqlite", ours)
    write(ceiling, theirs)

    with Runner(theirs, versions=VERSIONS) as runner:
        verified = runner.verify()
    assert (verified.events, verified.values, verified.faults) == (UNITS, UNITS, ())
    assert trail(theirs) == trail(ours)
    assert {table: len(rows) for table, rows in trail(ours).items() if table != "pending"} == {
        "event": UNITS,
        "operation": 2 * UNITS,
        "effect": 3 * UNITS,
        "delivery": 3 * UNITS,
        "subject": UNITS,
        "personal": UNITS,
        "claim": 0,
    }


def test_a_body_is_about_as_large_as_is_said(postgres18: Postgres) -> None:
    url = postgres18.database("ceiling_size")

    write("dateline", url)

    bodies = [row["body"] for row in trail(url)["event"]]
    snapshots = [len(json.dumps(body["snapshot"], separators=(",", ":"))) for body in bodies]
    # The note itself is kept beside the body; its digest, of which the test took the place, is 75 bytes in it.
    inputs = [len(json.dumps(body["input"], separators=(",", ":"))) + 75 for body in bodies]
    assert all(900 < size < 1_400 for size in snapshots)
    assert all(250 < size < 400 for size in inputs)
