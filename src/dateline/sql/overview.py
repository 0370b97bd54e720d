"""How much happened lately, and what became of it, as counts: of events from the sums by the hour, of deliveries as they stand now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

from dateline.core.request import Flow
from dateline.errors import Malformed
from dateline.sql.hourly import Hourly
from dateline.sql.lag import Lag, Lags
from dateline.sql.statement import Batch, Result
from dateline.sql.types import Instant
from dateline.sql.words import Words

__all__ = ["COUNTED", "Overview", "Overviews", "Step"]

Step: TypeAlias = Literal["hour", "day"]
"""How long a time is of which one count is told."""

COUNTED = 5_000
"""Deliveries that are looked at: each is a row of its own to read, and its event's too."""

_INSTANT = Instant()

# How many letters of an instant's ISO text name the step that it is in.
_LETTERS: Mapping[str, int] = {"hour": 13, "day": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How much of a tenant's happened since an instant, and how far behind the work is; nothing of what it was, or about whom.

    Args:
        since: From when on is counted, from the beginning of its hour.
        uncounted: What was recorded before this instant is not counted yet, or not wholly, as there is so much of it; each look counts
            more. None where all is.
        events: How many were recorded in each hour or day (UTC), by its beginning and their outcome.
        effects: How many effects were decided in each, by how they stand now: "delivered", or the state of their delivery.
        conflicts: How many decisions came to nothing in each, as another writer was first, and were made anew.
        rejections: How often each code was a reason to refuse.
        versions: How many events each version decided; None is whatever was refused before it was known which.
        standing: How many deliveries are in each state, whenever they were decided: of the newest 5,000. Where there are more, the effects
            of the others count as delivered.
        lag: How far behind the work is, of all tenants together.
    """

    since: datetime
    uncounted: datetime | None
    events: Mapping[tuple[datetime, str], int]
    effects: Mapping[tuple[datetime, str], int]
    conflicts: Mapping[datetime, int]
    rejections: Mapping[str, int]
    versions: Mapping[date | None, int]
    standing: Mapping[str, int]
    lag: Lag


class Overviews(Words):
    """Builds the statements that count, for one database."""

    def counted(self, tenant: str, since: datetime, step: Step) -> Flow[Overview]:
        """Tell how much a tenant's happened, after counting what is not counted yet.

        Raises:
            Malformed: For what is no step, and an instant without a zone.
        """
        if step not in _LETTERS:
            raise Malformed(f"step={step!r} is none; there are {', '.join(_LETTERS)}")
        if not isinstance(since, datetime) or since.tzinfo is None:
            raise Malformed("since= is an instant with a time zone, as in datetime(2024, 7, 1, tzinfo=UTC)")
        begun = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        uncounted = yield from Hourly(self.dialect).count(begun)
        begin = _INSTANT.process_bind_param(begun, self.dialect.sql)
        results: list[Result] = yield Batch.between(
            self.dialect.begin_reading,
            self.statement(_SUMS.format(letters=_LETTERS[step]), tenant, begun.isoformat()[:13], name="overview"),
            self.statement(self._waiting(step), tenant, begin, name="overview"),
            self.statement(_STANDING, tenant, name="overview"),
        )
        lag = yield from Lags(self.dialect).waiting()
        sums, waiting, standing = (one.rows for one in results[1:-1])
        found: defaultdict[str, Counter[tuple[datetime, str]]] = defaultdict(Counter)
        for about, moment, name, count in sums:
            found[about][_begun(moment), name] += int(count)
        effects = Counter({(moment, "delivered"): count for (moment, _), count in found["effect"].items()})
        for moment, state, count in waiting:
            effects[_begun(moment), str(state)] += int(count)
            effects[_begun(moment), "delivered"] -= int(count)
        return Overview(
            since=begun,
            uncounted=uncounted,
            events=dict(found["outcome"]),
            # What was decided since it was counted may be due already.
            effects={one: count for one, count in effects.items() if count > 0},
            conflicts={moment: count for (moment, _), count in found["conflict"].items()},
            rejections=_named(found["rejection"]),
            versions={date.fromisoformat(name) if name else None: n for name, n in _named(found["version"]).items()},
            standing={str(name): int(count) for name, count in standing},
            lag=lag,
        )

    def _waiting(self, step: Step) -> str:
        moment = "moment" if self.near else """to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')"""
        # Each event's as a value, which is looked up: of a join, the server may make a walk through all events there are.
        looked = f"SELECT state, tries, (SELECT recorded_at FROM dateline_event AS e WHERE e.seq = d.seq) AS moment FROM {_NEWEST}"
        return f"SELECT substr({moment}, 1, {_LETTERS[step]}), {_TOLD}, count(*) FROM ({looked}) AS d WHERE moment >= $2 GROUP BY 1, 2"


_SUMS = """
SELECT about, substr(hour, 1, {letters}), name, sum(count) FROM dateline_hour WHERE tenant = $1 AND hour >= $2 GROUP BY 1, 2, 3"""

_TOLD = "CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE d.state END"

_NEWEST = f"(SELECT seq, state, tries FROM dateline_delivery WHERE tenant = $1 ORDER BY seq DESC LIMIT {COUNTED}) AS d"

_STANDING = f"SELECT {_TOLD}, count(*) FROM {_NEWEST} GROUP BY 1"


def _begun(moment: Any) -> datetime:
    return datetime.fromisoformat(str(moment)).replace(tzinfo=UTC)


def _named(counts: Mapping[tuple[datetime, str], int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (_, name), count in counts.items():
        found[name] += count
    return dict(found)
