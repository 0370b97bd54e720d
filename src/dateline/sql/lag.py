"""How far behind the work is: what waits to be delivered, and what has no position in the feed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dateline.core.request import Flow
from dateline.sql.statement import Batch, Result
from dateline.sql.words import Words

__all__ = ["COUNTED", "Lag", "Lags"]

COUNTED = 10_000
"""As far as is counted of what waits: whoever is that far behind need not know by how much more."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind the work is.

    Args:
        counts: How many deliveries are in each state.
        oldest: Since how many seconds the first of those that are due has been so; 0 where none is.
        open: For how many seconds the oldest transaction that writes has been open: until it ends, its events have no place in the feed,
            and those that come after it go before.
        pending: How many events, and changes of deliveries, have no position in the feed yet; 10,000 stands for more too. They get theirs
            when somebody follows the feed.
        behind: For how many seconds the first of them has been recorded; 0 where there is none.
    """

    counts: Mapping[str, int]
    oldest: float
    open: float = 0.0
    pending: int = 0
    behind: float = 0.0


class Lags(Words):
    """Builds the statements that look how far behind the work is, for one database."""

    def lag(self) -> Flow[Lag]:
        """Look at all of it; the deliveries are counted one by one."""
        counts = "SELECT CASE WHEN state = 'due' AND tries > 0 THEN 'retrying' ELSE state END, count(*) FROM dateline_delivery GROUP BY 1"
        open_ = "SELECT 0" if self.near else _OPEN_FOR
        rows = yield from self._asked(counts, self._oldest(), open_, *self._feed())
        held = {str(state): int(count) for state, count in rows[0]}
        oldest, opened, pending, behind = (_number(one) for one in rows[1:])
        return Lag(held, oldest, opened, int(pending), behind)

    def waiting(self) -> Flow[Lag]:
        """Look at what waits, by a few steps in indexes, however much there is: of the deliveries, only those that are due are counted."""
        due = f"SELECT count(*) FROM (SELECT 1 FROM dateline_delivery WHERE {self._due} LIMIT {COUNTED}) AS found"
        rows = yield from self._asked(due, self._oldest(), *self._feed())
        count, oldest, pending, behind = (_number(one) for one in rows)
        return Lag({"due": int(count)}, oldest, 0.0, int(pending), behind)

    def _asked(self, *texts: str) -> Flow[list[Sequence[Sequence[Any]]]]:
        asked = (self.statement(sql, name="lag") for sql in texts)
        results: list[Result] = yield Batch.between(self.dialect.begin_reading, *asked)
        return [one.rows for one in results[1:-1]]

    @property
    def _due(self) -> str:
        return f"state = 'due' AND due_at <= {self.now}"

    def _since(self, moment: str) -> str:
        if self.near:
            return f"(julianday({self.now}) - julianday({moment})) * 86400.0"
        return f"extract(epoch FROM {self.now} - {moment})"

    def _oldest(self) -> str:
        return f"SELECT {self._since('min(due_at)')} FROM dateline_delivery WHERE {self._due}"

    def _feed(self) -> tuple[str, str]:
        """Return what counts those without a position, and what tells how old the first of them is."""
        if not self.near:
            # An event, or the change of a delivery: both are numbered from one sequence.
            first = (
                "SELECT coalesce((SELECT recorded_at FROM dateline_event WHERE seq = p.seq), "
                "(SELECT at FROM dateline_change WHERE number = p.seq)) AS moment "
                "FROM dateline_pending AS p ORDER BY p.seq LIMIT 1"
            )
            some = f"SELECT 1 FROM dateline_pending LIMIT {COUNTED}"
        else:
            events = f"FROM dateline_event WHERE seq > {_LAST_EVENT}"
            changes = f"FROM dateline_change WHERE number > {_LAST_CHANGE}"
            first = (
                f"SELECT min(moment) AS moment FROM (SELECT * FROM (SELECT recorded_at AS moment {events} ORDER BY seq LIMIT 1) "
                f"UNION ALL SELECT * FROM (SELECT at {changes} ORDER BY number LIMIT 1))"
            )
            some = f"SELECT 1 FROM (SELECT 1 {events} UNION ALL SELECT 1 {changes}) LIMIT {COUNTED}"
        return (
            f"SELECT count(*) FROM ({some}) AS found",
            f"SELECT {self._since('moment')} FROM ({first}) AS earliest",
        )


def _number(rows: Sequence[Sequence[Any]]) -> float:
    """Return the one number of a result; 0 where nothing was found, and for an instant that is still to come."""
    return max(float(rows[0][0] or 0), 0.0) if rows else 0.0


_LAST_EVENT = "(SELECT coalesce(max(seq), 0) FROM dateline_position)"
_LAST_CHANGE = "(SELECT coalesce(max(change), 0) FROM dateline_position WHERE change > 0)"

_OPEN_FOR = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL"""
