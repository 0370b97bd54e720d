"""How much happened lately, and what became of it: counts of a tenant's newest events, by few steps in indexes on the longest trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

from dateline.core.request import Flow
from dateline.errors import Malformed
from dateline.sql.lag import Lag, Lags
from dateline.sql.statement import Batch, Result
from dateline.sql.types import Instant
from dateline.sql.words import Words

__all__ = ["COUNTED", "Overview", "Overviews", "Step"]

Step: TypeAlias = Literal["hour", "day"]
"""How long a time is of which one count is told."""

COUNTED = 5_000
"""Events that are looked at: each is a row of its own to read, thrice."""

_INSTANT = Instant()

# How many letters of an instant's ISO text name the step that it is in.
_LETTERS: Mapping[str, int] = {"hour": 13, "day": 10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How much of a tenant's happened since an instant, and how far behind the work is; nothing of what it was, or about whom.

    Args:
        since: From when on is counted; where there are more than 5,000 events, from the earliest of the newest 5,000 on.
        cut: There were more.
        events: How many were recorded in each hour or day (UTC), by its beginning and their outcome.
        effects: How many effects were decided in each, by how they stand now: "delivered", or the state of their delivery.
        rejections: How often each code was a reason to refuse.
        versions: How many events each version decided; None is whatever was refused before it was known which.
        standing: How many deliveries are in each state, whenever they were decided; 5,000 in all stand for more too.
        lag: How far behind the work is, of all tenants together.
    """

    since: datetime
    cut: bool
    events: Mapping[tuple[datetime, str], int]
    effects: Mapping[tuple[datetime, str], int]
    rejections: Mapping[str, int]
    versions: Mapping[date | None, int]
    standing: Mapping[str, int]
    lag: Lag


class Overviews(Words):
    """Builds the statements that count, for one database."""

    def counted(self, tenant: str, since: datetime, step: Step) -> Flow[Overview]:
        """Count a tenant's newest events and their effects.

        Raises:
            Malformed: For what is no step, and an instant without a zone.
        """
        if step not in _LETTERS:
            raise Malformed(f"step={step!r} is none; there are {', '.join(_LETTERS)}")
        if not isinstance(since, datetime) or since.tzinfo is None:
            raise Malformed("since= is an instant with a time zone, as in datetime(2024, 7, 1, tzinfo=UTC)")
        begin = _INSTANT.process_bind_param(since, self.dialect.sql)
        texts = (self._events(step), self._effects(step), self._rejections())
        asked = [self.statement(sql, tenant, begin, name="overview") for sql in texts]
        standing = self.statement(_STANDING, tenant, name="overview")
        results: list[Result] = yield Batch.between(self.dialect.begin_reading, *asked, standing)
        lag = yield from Lags(self.dialect).waiting()
        events, effects, rejections, stands = (one.rows for one in results[1:-1])
        cut = sum(int(row[-2]) for row in events) >= COUNTED
        first = min(
            (_INSTANT.process_result_value(row[-1], self.dialect.sql) or since for row in events), default=since
        )
        versions: Counter[date | None] = Counter()
        outcomes: Counter[tuple[datetime, str]] = Counter()
        for moment, outcome, version, count, _ in events:
            outcomes[_begun(moment), str(outcome)] += int(count)
            versions[None if version is None else date.fromisoformat(str(version))] += int(count)
        return Overview(
            since=first if cut else since.astimezone(UTC),
            cut=cut,
            events=dict(outcomes),
            effects={(_begun(moment), str(state)): int(count) for moment, state, count in effects},
            rejections=_counts(rejections),
            versions=dict(versions),
            standing=_counts(stands),
            lag=lag,
        )

    def _newest(self, *columns: str) -> str:
        """Return the newest events of a tenant's that are counted, as a table `n`; of long trails, an index gives no more than these."""
        return (
            f"WITH newest AS {'' if self.near else 'MATERIALIZED '}(SELECT {', '.join(columns)}, recorded_at FROM dateline_event "
            f"WHERE tenant = $1 ORDER BY seq DESC LIMIT {COUNTED}), n AS (SELECT * FROM newest WHERE recorded_at >= $2)"
        )

    def _step(self, step: Step, moment: str) -> str:
        text = moment if self.near else f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')"""
        return f"substr({text}, 1, {_LETTERS[step]})"

    def _events(self, step: Step) -> str:
        return (
            f"{self._newest('outcome', 'version')} SELECT {self._step(step, 'recorded_at')}, outcome, version, count(*), min(recorded_at) "
            "FROM n GROUP BY 1, 2, 3"
        )

    def _effects(self, step: Step) -> str:
        return (
            f"{self._newest('seq')} SELECT {self._step(step, 'n.recorded_at')}, {_TOLD}, count(*) "
            "FROM n JOIN dateline_effect AS e ON e.tenant = $1 AND e.seq = n.seq "
            "LEFT JOIN dateline_delivery AS d ON d.tenant = e.tenant AND d.seq = e.seq AND d.ordinal = e.ordinal GROUP BY 1, 2"
        )

    def _rejections(self) -> str:
        each = (
            "json_each(n.body, '$.decision.refusal.rejections') AS r"
            if self.near
            else "json_array_elements(n.body::json #> '{decision,refusal,rejections}') AS r(value)"
        )
        code = "json_extract(r.value, '$.code')" if self.near else "r.value ->> 'code'"
        # Of others the body, which is long, is not read.
        only = "SELECT v.body FROM n JOIN dateline_event AS v ON v.seq = n.seq WHERE n.outcome = 'rejected'"
        return f"{self._newest('seq', 'outcome')} SELECT {code}, count(*) FROM ({only}) AS n, {each} GROUP BY 1"


_TOLD = "CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE coalesce(d.state, 'delivered') END"

_STANDING = f"""
SELECT {_TOLD}, count(*) FROM (SELECT state, tries FROM dateline_delivery WHERE tenant = $1 LIMIT {COUNTED}) AS d GROUP BY 1"""


def _begun(moment: Any) -> datetime:
    return datetime.fromisoformat(str(moment)).replace(tzinfo=UTC)


def _counts(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    return {str(name): int(count) for name, count in rows}
