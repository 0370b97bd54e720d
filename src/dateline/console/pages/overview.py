"""Where one begins: whom to look for, and how much happened lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dateline.console.pages.told import part
from dateline.errors import Malformed
from dateline.sql.overview import Step
from dateline.web.call import Answer, Call

__all__ = ["SPANS", "called", "start"]

SPANS: Mapping[str, tuple[Step, int]] = {"24h": ("hour", 24), "7d": ("day", 7), "30d": ("day", 30)}
"""How far back one may look: in which steps, and how many of them."""


async def start(call: Call) -> Answer:
    """Show where one begins: whom to look for, and in counts what happened lately, which are about nobody."""
    query = call.request.query_params.get("subject", "").strip()
    if query:
        return Answer({}, status=303, headers={"location": f"{call.base}/subjects/{part(query)}"})
    span = call.request.query_params.get("span") or "7d"
    if span not in SPANS:
        raise Malformed(f"span={span[:20]!r} is none; there are {', '.join(SPANS)}", (("span", "is none of those"),))
    step, count = SPANS[span]
    times = _times(call.runner.clock().astimezone(UTC), step, count)
    found = await call.runner.overview(times[0], step=step, tenant=call.caller.tenant)
    lag = found.lag
    told = {
        "span": span,
        "spans": list(SPANS),
        "step": step,
        "since": found.since,
        "uncounted": found.uncounted,
        "times": times,
        "events": _series(times, found.events, "committed"),
        "effects": _series(times, found.effects, "delivered"),
        "conflicts": {"conflicts": [found.conflicts.get(time, 0) for time in times]} if found.conflicts else {},
        "rejections": _ranked(found.rejections),
        "versions": _ranked({"none yet" if day is None else str(day): n for day, n in found.versions.items()}),
        "standing": _ranked(found.standing),
        "lag": {
            "pending": lag.pending,
            "behind": round(lag.behind, 1),
            "due": lag.counts["due"],
            "oldest": round(lag.oldest, 1),
        },
    }
    return Answer(told)


def _times(now: datetime, step: Step, count: int) -> list[datetime]:
    """Return the beginnings of the last hours or days, the one that is not over yet among them."""
    begun = now.replace(minute=0, second=0, microsecond=0)
    each = timedelta(hours=1)
    if step == "day":
        begun, each = begun.replace(hour=0), timedelta(days=1)
    return [begun - each * n for n in range(count)][::-1]


def _series(times: Sequence[datetime], counts: Mapping[tuple[datetime, str], int], first: str) -> dict[str, list[int]]:
    """Return each name's numbers, one for each time; what is as it should be comes first, then what there is most of."""
    sums: Counter[str] = Counter()
    for (_, name), count in counts.items():
        sums[name] += count
    if sums:
        # Also where there is none, so that its colour is nothing else's.
        sums[first] += 0
    names = sorted(sums, key=lambda name: (name != first, -sums[name], name))
    return {name: [counts.get((time, name), 0) for time in times] for name in names}


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def called(told: Mapping[str, Any]) -> list[str]:
    """Return what the times of a chart are called."""
    return [f"{time:%H:%M}" if told["step"] == "hour" else f"{time:%-d %b}" for time in told["times"]]
