"""Sums by the hour of what was recorded: each place in the feed is counted once, the newest first, when somebody asks for the sums.

Nothing is counted where events are written: whoever wants to know pays for it, once for all who ask later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dateline.core.request import Flow
from dateline.sql.sequencer import sequence
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.types import Instant
from dateline.sql.words import Words

__all__ = ["LOCK", "ROUND", "ROUNDS", "Hourly", "Run", "following"]

LOCK = 0x64617465686F7572
ROUND = 10_000
"""Places in the feed that are counted in one transaction: enough to be fast, few enough to be short."""

ROUNDS = 10
"""Transactions that one look may take; what is left then is counted by the looks after it."""

_INSTANT = Instant()


@dataclass(frozen=True, slots=True)
class Run:
    """Places in the feed, one behind the other, that are counted.

    Args:
        first: The place before the first of them.
        last: The last of them.
        reached: When the newest of its lowest round was recorded: what stands below was recorded before that, but for what took long
            to be committed. None where that is not known.
    """

    first: int
    last: int
    reached: datetime | None = None


def following(runs: Sequence[Run], newest: int, since: datetime) -> tuple[int, int, Run] | None:
    """Return behind which place, and up to which, to count next, and the run that is counted then; None where it goes back far enough.

    From the top down: whoever asks wants to know of the newest first.

    Args:
        runs: What is counted, the newest first; no two of them touch.
        newest: The newest place in the feed.
    """
    seen = bool(runs) and runs[0].last == newest
    top, below = (runs[0], runs[1:]) if seen else (Run(newest, newest), runs)
    if top.first == 0 or (top.reached is not None and top.reached < since):
        return None
    floor = below[0].last if below else 0
    low = max(floor, top.first - ROUND)
    joined = low == floor and bool(below)
    return low, top.first, Run(below[0].first, top.last, below[0].reached) if joined else Run(low, top.last)


class Hourly(Words):
    """Builds the statements that keep the sums, for one database."""

    def count(self, since: datetime) -> Flow[datetime | None]:
        """Count what was recorded since an instant and is not counted yet, as far as one look may.

        Returns:
            From when on all is counted; None where nothing since the instant is left.
        """
        yield from sequence(self.dialect)
        for _ in range(ROUNDS):
            looked: list[Result] = yield Batch.between(self.dialect.begin_reading, _RUNS, _NEWEST)
            if following(*self._read(looked[1:-1]), since) is None:
                return None
            begin = Statement(self.begin, name="begin")
            opened: list[Result] = yield Batch((begin, self._alone(), _RUNS, _NEWEST), opens=True)
            runs, newest = self._read(opened[2:])
            # Somebody else may be counting at this moment; then the sums are read as they are.
            work = following(runs, newest, since) if opened[1].rows[0][0] else None
            round_ = self._round(*work) if work else ()
            yield Batch((*round_, Statement("COMMIT", name="end")), ends=True)
            if work is None:
                break
        now = self.statement(f"SELECT {self.now}", name="overview")
        stood: list[Result] = yield Batch.between(self.dialect.begin_reading, _RUNS, _NEWEST, now)
        runs, newest = self._read(stood[1:])
        if following(runs, newest, since) is None:
            return None
        return (runs[0].reached if runs and runs[0].last == newest else None) or _INSTANT.process_result_value(
            stood[3].rows[0][0], self.dialect.sql
        )

    def _read(self, results: Sequence[Result]) -> tuple[list[Run], int]:
        """Return what is counted, and the newest place."""
        runs = [
            Run(first, last, _INSTANT.process_result_value(reached, self.dialect.sql))
            for first, last, reached in results[0].rows
        ]
        return runs, int(results[1].rows[0][0])

    def _alone(self) -> Statement:
        # On SQLite, whoever began has the lock.
        return Statement("SELECT 1" if self.near else f"SELECT pg_try_advisory_xact_lock({LOCK})", name="overview")

    def _round(self, low: int, high: int, run: Run) -> Sequence[Statement]:
        kept: tuple[str, tuple[Any, ...]] = (_MADE, (run.first, run.last, low, high))
        if run.reached is not None:
            kept = _JOINED, (run.first, run.last, _INSTANT.process_bind_param(run.reached, self.dialect.sql))
        return (
            self.statement(self._counted(), low, high, name="overview"),
            self.statement("DELETE FROM dateline_counted WHERE last >= $1", low, name="overview"),
            self.statement(kept[0], *kept[1], name="overview"),
        )

    def _counted(self) -> str:
        hour = "substr(e.recorded_at, 1, 13)" if self.near else _HOUR
        version = "e.version" if self.near else "e.version::text"
        each = (
            "json_each(e.body, '$.decision.refusal.rejections') AS r"
            if self.near
            else "json_array_elements(e.body::json #> '{decision,refusal,rejections}') AS r(value)"
        )
        code = "json_extract(r.value, '$.code')" if self.near else "r.value ->> 'code'"
        # A NUL, which PostgreSQL has in no text, is shown as the sign for it.
        body = r"replace(e.body, '\u0000', '\u2400')"
        # It stands first in the body, so that no more of that is read.
        end = "instr(e.head, ',')" if self.near else "strpos(e.head, ',')"
        fought = f"CAST(substr(e.head, {len(_FOUGHT) + 1}, {end} - {len(_FOUGHT) + 1}) AS bigint)"
        fact = f"SELECT e.tenant, {hour} AS hour,"
        return f"""
INSERT INTO dateline_hour (tenant, hour, about, name, count)
WITH p AS MATERIALIZED (SELECT seq FROM dateline_position WHERE position > $1 AND position <= $2 AND change = 0),
e AS MATERIALIZED (
    SELECT e.tenant, e.seq, substr(e.body, 1, {len(_FOUGHT) + 12}) AS head,
        e.recorded_at, e.outcome, e.version, CASE WHEN e.outcome = 'rejected' THEN {body} END AS body
    FROM p JOIN dateline_event AS e ON e.seq = p.seq AND e.seq >= (SELECT min(seq) FROM p) AND e.seq <= (SELECT max(seq) FROM p))
SELECT tenant, hour, about, name, sum(number) FROM (
    {fact} 'outcome' AS about, e.outcome AS name, 1 AS number FROM e
    UNION ALL {fact} 'version', coalesce({version}, ''), 1 FROM e
    UNION ALL {fact} 'rejection', substr({code}, 1, 400), 1 FROM e, {each} WHERE e.body IS NOT NULL
    UNION ALL {fact} 'effect', '', 1 FROM e JOIN dateline_effect AS f ON f.tenant = e.tenant AND f.seq = e.seq
    UNION ALL {fact} 'conflict', '', {fought} FROM e WHERE substr(e.head, 1, {len(_FOUGHT)}) = '{_FOUGHT}') AS facts
WHERE true GROUP BY 1, 2, 3, 4
ON CONFLICT (tenant, hour, about, name) DO UPDATE SET count = dateline_hour.count + excluded.count"""


_RUNS = Statement("SELECT first, last, reached FROM dateline_counted ORDER BY last DESC", name="overview")
_NEWEST = Statement("SELECT coalesce(max(position), 0) FROM dateline_position", name="overview")
_FOUGHT = '{"conflicts":'
_HOUR = """to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')"""
_MADE = """
INSERT INTO dateline_counted (first, last, reached)
SELECT $1, $2, max(e.recorded_at) FROM dateline_position AS p JOIN dateline_event AS e ON e.seq = p.seq
WHERE p.position > $3 AND p.position <= $4"""
_JOINED = "INSERT INTO dateline_counted (first, last, reached) VALUES ($1, $2, $3)"
