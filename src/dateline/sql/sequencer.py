"""Dense positions for committed events, in the order of their numbers: whoever holds the lock drains what can be seen.

Numbers have holes and become visible out of order; positions do neither, so a position is a cursor that never skips.
"""

from __future__ import annotations

from dateline.core.request import Flow
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result, Statement

__all__ = ["around", "sequence"]

LOCK = 0x64617465706F73
MOST = 10_000
"""Events in one transaction of the sequencer: enough to be fast, few enough to be short."""

# READ COMMITTED: what was committed while this waited for the lock must be seen by the statement after it.
_DRAIN = """
WITH drained AS (
    DELETE FROM dateline_pending WHERE seq IN (SELECT seq FROM dateline_pending ORDER BY seq LIMIT $1) RETURNING seq, tenant, of
), last AS (SELECT coalesce(max(position), 0) AS position FROM dateline_position)
INSERT INTO dateline_position (position, tenant, seq, change)
SELECT last.position + row_number() OVER (ORDER BY drained.seq), drained.tenant, coalesce(drained.of, drained.seq),
    CASE WHEN drained.of IS NULL THEN 0 ELSE drained.seq END
FROM drained, last
"""

_PENDING = "SELECT EXISTS (SELECT 1 FROM dateline_pending)"

# One writer at a time: whatever is there can be seen, and numbers are in the order of writing. Changes have numbers of their own, and come
# behind all events: each is of one that was there before it.
_BEHIND = """
SELECT EXISTS (SELECT 1 FROM dateline_event WHERE seq > (SELECT coalesce(max(seq), 0) FROM dateline_position))
    OR EXISTS (SELECT 1 FROM dateline_change WHERE number > (SELECT coalesce(max(change), 0) FROM dateline_position WHERE change > 0))
"""
_EVENTS = """
INSERT INTO dateline_position (position, tenant, seq, change)
SELECT last + row_number() OVER (ORDER BY seq), tenant, seq, 0
FROM (SELECT coalesce(max(position), 0) AS last FROM dateline_position), (
    SELECT tenant, seq FROM dateline_event
    WHERE seq > (SELECT coalesce(max(seq), 0) FROM dateline_position) ORDER BY seq LIMIT ?1)
"""
_CHANGES = """
INSERT INTO dateline_position (position, tenant, seq, change)
SELECT last + row_number() OVER (ORDER BY number), tenant, seq, number
FROM (SELECT coalesce(max(position), 0) AS last FROM dateline_position), (
    SELECT tenant, seq, number FROM dateline_change
    WHERE number > (SELECT coalesce(max(change), 0) FROM dateline_position WHERE change > 0)
    AND NOT EXISTS (SELECT 1 FROM dateline_event WHERE seq > (SELECT coalesce(max(seq), 0) FROM dateline_position))
    ORDER BY number LIMIT ?1)
"""


def sequence(dialect: Dialect) -> Flow[int]:
    """Give positions to all that is pending; return how many there were.

    Only one runs at a time; another that comes meanwhile waits, and finds less to do.
    """
    done: int = 0
    while True:
        # Most who look find nothing, and need no lock. A serializable look would make writers lose their tries, and lose itself.
        look = Statement(_PENDING if dialect.sequenced else _BEHIND, name="pending")
        looked: list[Result] = yield Batch.between(dialect.begin_reading, look)
        if not looked[1].rows[0][0]:
            return done
        if dialect.sequenced:
            begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
            work = (
                Statement("SELECT pg_advisory_xact_lock($1)", (LOCK,), "sequence"),
                Statement(_DRAIN, (MOST,), "sequence"),
            )
        else:
            begin = "BEGIN IMMEDIATE"
            work = (Statement(_EVENTS, (MOST,), "sequence"), Statement(_CHANGES, (MOST,), "sequence"))
        results: list[Result] = (yield Batch.between(begin, *work))[1:-1]
        counts = [one.count for one in results if one.count > 0 and not one.rows]
        done += sum(counts)
        if max(counts, default=0) < MOST:
            return done


def around(dialect: Dialect, change: Statement) -> tuple[Statement, ...]:
    """Return a statement that records changes inside of a transaction, between those that give everything before it its place, and it.

    Where numbers are drawn from one sequence for both, the order is that of the numbers, and nothing more is needed.
    """
    if dialect.sequenced:
        return (change,)
    return (Statement(_EVENTS, (MOST,), "sequence"), change, Statement(_CHANGES, (MOST,), "sequence"))
