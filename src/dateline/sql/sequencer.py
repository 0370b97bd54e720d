"""Dense positions for committed events, in the order of their numbers: whoever holds the lock drains what can be seen.

Numbers have holes and become visible out of order; positions do neither, so a position is a cursor that never skips.
"""

from __future__ import annotations

from dateline.core.request import Flow
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result, Statement

__all__ = ["sequence"]

LOCK = 0x64617465706F73
MOST = 10_000
"""Events in one transaction of the sequencer: enough to be fast, few enough to be short."""

# READ COMMITTED: what was committed while this waited for the lock must be seen by the statement after it.
_DRAIN = """
WITH drained AS (
    DELETE FROM dateline_pending WHERE seq IN (SELECT seq FROM dateline_pending ORDER BY seq LIMIT $1) RETURNING seq, tenant
), last AS (SELECT coalesce(max(position), 0) AS position FROM dateline_position)
INSERT INTO dateline_position (position, tenant, seq)
SELECT last.position + row_number() OVER (ORDER BY drained.seq), drained.tenant, drained.seq FROM drained, last
"""


def sequence(dialect: Dialect) -> Flow[int]:
    """Give positions to all that is pending; return how many there were.

    Only one runs at a time; another that comes meanwhile waits, and finds less to do.
    """
    if not dialect.sequenced:
        return 0
    done: int = 0
    while True:
        results: list[Result] = yield Batch(
            (
                Statement("BEGIN ISOLATION LEVEL READ COMMITTED", name="begin"),
                Statement("SELECT pg_advisory_xact_lock($1)", (LOCK,), "sequence"),
                Statement(_DRAIN, (MOST,), "sequence"),
                Statement("COMMIT", name="end"),
            ),
            opens=True,
            ends=True,
        )
        done += results[2].count
        if results[2].count < MOST:
            return done
