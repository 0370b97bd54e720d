"""PostgreSQL's own pgbench with the statements of `guarded`: the ceiling in C.

What Python would make of each unit lies in a table before anything is measured, in the order of the lanes; the statement that reads
what the decision needs also reads its parameters from there, by one more look into an index. Everything else is text for text the same.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from benchmarks.contestant import Program, Slice
from benchmarks.database import connect
from benchmarks.field import program
from benchmarks.peers import guarded, trail
from benchmarks.peers.guarded import Guarded
from benchmarks.work import Unit, Work

__all__ = ["Pgbench"]

_FIRST, _LAST = 4, 49
"""Which parameters of the statement are a unit's own; the first three are the patient and the two texts that were read."""

_PARAMETERS = [f"p{number}" for number in range(_FIRST, _LAST + 1)]


def _script() -> str:
    """Return pgbench's script: two statements, each on one line, since a line's end would end them."""
    seen = ", ".join(
        re.sub(r"\$1\b", "unit.patient", text) + name
        for text, name in ((guarded.PATIENT, " AS p2"), (guarded.TAKEN, " AS p3"))
    )
    read = (
        f"SELECT unit.patient AS p1, {seen}, {', '.join(_PARAMETERS)} "  # noqa: S608 - names of this module
        "FROM unit WHERE lane = :client_id AND place = :place"
    )
    write = re.sub(r"\$(\d+)", r":p\1", guarded.WRITE)
    lines = [" ".join(statement.split()) for statement in (read, write)]
    # Last: a try that another transaction made fail begins anew with the first line, and with the variables as they are.
    return f"{lines[0]} \\gset\n{lines[1]};\n\\set place :place + 1\n"


class Pgbench(Program):
    """Clients of one pgbench; it has no Python, and decides nothing."""

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, the trail's, and the one of units that are ready."""
        Guarded(self.url).prepare(work)
        with connect(self.url) as connection:
            columns = ", ".join(f"{name} text" for name in _PARAMETERS)
            made = f"CREATE UNLOGGED TABLE unit (lane integer, place integer, patient varchar(40), {columns}, PRIMARY KEY (lane, place))"
            connection.execute(made.encode())

    def perform(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        """Fill the table, then let pgbench go."""
        self._fill(lanes)
        url = make_url(self.url)
        environment = {
            **os.environ,
            "PGPASSWORD": url.password or "",
            "PGOPTIONS": "-c default_transaction_isolation=serializable -c TimeZone=UTC",
        }
        found = program("pgbench")
        assert found is not None
        with TemporaryDirectory() as folder:
            script, log = Path(folder, "unit.sql"), Path(folder, "log")
            script.write_text(_script())
            arguments = [
                *("--no-vacuum", "--protocol=prepared", "--max-tries=1000", "--define=place=0", "--log"),
                *(f"--log-prefix={log}", f"--file={script}", f"--transactions={len(lanes[0])}"),
                *(f"--client={len(lanes)}", f"--jobs={min(len(lanes), 2)}"),
                *(f"--host={url.host}", f"--port={url.port}", f"--username={url.username}", url.database or ""),
            ]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([found, *arguments], env=environment, capture_output=True, text=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            lines = [line.split() for path in Path(folder).glob("log.*") for line in path.read_text().splitlines()]
        # What lies ready is no part of what a unit leaves behind.
        with connect(self.url) as connection:
            connection.execute("TRUNCATE unit")
        if done.returncode != 0 or len(lines) != sum(map(len, lanes)):
            raise RuntimeError(f"pgbench did {len(lines)} units of {sum(map(len, lanes))}: {done.stderr}")
        # Source: PostgreSQL's manual, pgbench, "Per-Transaction Logging": client, number, microseconds, script, and when it ended.
        ends = [int(line[4]) + int(line[5]) / 1e6 for line in lines]
        latencies = tuple(int(line[2]) / 1e6 for line in lines)
        return Slice(
            began=min(end - latency for end, latency in zip(ends, latencies, strict=True)),
            ended=max(ends),
            cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            latencies=latencies,
        )

    def _fill(self, lanes: Sequence[Sequence[Unit]]) -> None:
        with connect(self.url) as connection:
            rows = [
                (lane, place, *row)
                for lane, units in enumerate(lanes)
                for place, row in enumerate(self._rows(connection, units))
            ]
            with connection.cursor().copy("COPY unit FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        with connect(self.url, autocommit=True) as connection:
            connection.execute("ANALYZE unit")

    @staticmethod
    def _rows(connection: Any, units: Sequence[Unit]) -> list[tuple[Any, ...]]:
        """Return a patient and the parameters of each unit, as they will be right when its turn comes."""
        cursor = connection.cursor(row_factory=dict_row)
        patients: dict[str, Any] = {}
        takens: dict[str, list[Any]] = {}
        made = []
        for unit in units:
            if unit.patient not in patients:
                patients[unit.patient] = cursor.execute(
                    "SELECT * FROM patient WHERE id = %s", (unit.patient,)
                ).fetchone()
                takens[unit.patient] = cursor.execute(
                    "SELECT id, drug, dose_mg, directions FROM prescription WHERE patient = %s AND active ORDER BY id DESC LIMIT 5",
                    (unit.patient,),
                ).fetchall()
            patient, taken = patients[unit.patient], takens[unit.patient]
            params = guarded.parameters(unit, patient, trail.trail_of(unit, patient, taken))
            made.append((unit.patient, *params))
            counted = {"prescribed": patient["prescribed"] + 1, "last_drug": unit.drug, "last_dose_mg": unit.dose_mg}
            patients[unit.patient] = {**patient, **counted}
            newest = {
                "id": unit.prescription,
                "drug": unit.drug,
                "dose_mg": unit.dose_mg,
                "directions": unit.directions,
            }
            takens[unit.patient] = [newest, *taken[:4]]
        return made
