"""From slices to figures: medians over rounds, and how far rounds lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contestant import Slice

__all__ = ["Figures", "Ratio", "figures", "percentile", "ratio"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How two figures stand to each other.

    Args:
        value: Of the medians.
        least: The smallest among the rounds.
        most: The largest.
    """

    value: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One contestant in one scenario.

    Args:
        rates: Units a second, a round each.
        p50: Seconds of a unit; half of them took less.
        p99: Seconds; one of a hundred took more.
        cpu: Seconds of the client's own work for a unit.
        stored: Bytes that a unit leaves in the database; None where nothing could be told.
        logged: Bytes that a unit adds to the server's log.
    """

    rates: tuple[float, ...]
    p50: float
    p99: float
    cpu: float
    stored: float | None
    logged: float | None

    @property
    def rate(self) -> float:
        """Units a second, the median of the rounds."""
        return median(self.rates)


def figures(slices: Sequence[Slice], stored: float | None, logged: float | None) -> Figures:
    """Return what the rounds of one contestant come to."""
    latencies = sorted(latency for one in slices for latency in one.latencies)
    return Figures(
        rates=tuple(len(one.latencies) / (one.ended - one.began) for one in slices),
        p50=percentile(latencies, 0.50),
        p99=percentile(latencies, 0.99),
        cpu=sum(one.cpu for one in slices) / len(latencies),
        stored=stored,
        logged=logged,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies, by the nearest rank.

    Args:
        ordered: The values, the smallest first.
    """
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def ratio(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """Return how the rates of two contestants stand to each other; what one round measured is compared with the same round."""
    each = [a / b for a, b in zip(one, other, strict=True)]
    return Ratio(median(one) / median(other), min(each), max(each))
