"""Figures for whoever collects them with OpenTelemetry; without that package, nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from dateline.sql.lag import Lag

__all__ = ["delivered", "stands"]


@cache
def _instruments() -> Any:
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        return None
    meter = metrics.get_meter("dateline")
    return (
        meter.create_counter(
            "dateline.deliveries",
            unit="{try}",
            description="Tries to deliver an effect, by kind and by what came of them.",
        ),
        meter.create_histogram("dateline.delivery.duration", unit="s", description="What one try took."),
        meter.create_gauge(
            "dateline.queue", unit="{effect}", description="Effects whose delivery is not done, by state."
        ),
        meter.create_gauge(
            "dateline.lag", unit="s", description="Since when the first effect that is due has been so."
        ),
        meter.create_gauge(
            "dateline.transaction.open", unit="s", description="The age of the oldest transaction that writes."
        ),
        meter.create_gauge(
            "dateline.feed.pending",
            unit="{notice}",
            description="What has no position in the feed yet, 10,000 at most.",
        ),
        meter.create_gauge(
            "dateline.feed.lag",
            unit="s",
            description="Since when the first that has no position in the feed is recorded.",
        ),
    )


def delivered(kind: str, state: str, seconds: float) -> None:
    """Count one try.

    Args:
        state: What the delivery is since, as it is told.
        seconds: What the try took.
    """
    found = _instruments()
    if found is not None:
        attributes = {"kind": kind, "state": state}
        found[0].add(1, attributes)
        found[1].record(seconds, attributes)


_STATES = ("held", "due", "waiting", "sending", "retrying", "unknown", "dead", "cancelled", "expired")


def stands(lag: Lag) -> None:
    """Tell how far behind the work is, those states of deliveries too in which nothing is."""
    found = _instruments()
    if found is not None:
        for state in _STATES:
            found[2].set(lag.counts.get(state, 0), {"state": state})
        for gauge, figure in zip(found[3:], (lag.oldest, lag.open, lag.pending, lag.behind), strict=True):
            gauge.set(figure)
