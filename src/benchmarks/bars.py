"""The bars: what dateline must reach beside its alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.contest import Outcome
from benchmarks.field import BASE, CEILING
from benchmarks.figures import Ratio, ratio
from benchmarks.loading import Loading

__all__ = ["RATIOS", "Bar", "Judged", "judge"]


@dataclass(frozen=True, slots=True)
class Bar:
    """How fast one contestant must be, measured by another, at least.

    Args:
        contest: In which of them.
    """

    contest: str
    one: str
    other: str
    least: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A bar, and what came of it.

    Args:
        name: What is compared with what.
        wanted: The bar itself, as people write it.
        value: What was measured; None where something for it was missing.
        met: None where nothing was measured.
    """

    name: str
    wanted: str
    unit: str
    value: float | None
    spread: tuple[float, float] | None
    met: bool | None


RATIOS = (
    Bar("one", "dateline", BASE, 1.5),
    Bar("eight", "dateline", BASE, 1.2),
    Bar("one", "dateline", CEILING, 0.85),
    Bar("eight", "dateline", CEILING, 0.80),
    Bar("one", "dateline", "sqlalchemy-orm", 2.8),
    Bar("one", "dateline", "eventsourcing", 1.3),
    Bar("one", "dateline", "django-pghistory", 3.5),
    Bar("one", "dateline", "continuum", 6.0),
    Bar("one", "dateline", "dbos", 11.0),
    Bar("one", "dateline-sqlite", "sqlite3", 0.70),
    Bar("hot", "dateline", "psycopg-locked", 0.8),
    Bar("in-flight", "dateline-async", "dateline", 0.9),
    Bar("one", "dateline-preview", "dateline", 2.5),
)

CPU = 120e-6
"""Seconds of work that dateline may add to a unit, beside the same statements by hand."""

IMPORT = 0.250
"""Seconds that `import dateline` may take."""


def judge(outcomes: Sequence[Outcome], loading: Loading | None) -> list[Judged]:
    """Return all bars, each with what was measured."""
    found = {one.contest.name: one.figures for one in outcomes}
    made = []
    for bar in RATIOS:
        held: Mapping[str, object] = found.get(bar.contest, {})
        where = f"{bar.one} / {bar.other}, {bar.contest}"
        if bar.one in held and bar.other in held:
            measured: Ratio = ratio(found[bar.contest][bar.one].rates, found[bar.contest][bar.other].rates)
            spread = (measured.least, measured.most)
            made.append(
                Judged(where, f"≥ {bar.least:.2f}", "×", measured.value, spread, met=measured.value >= bar.least)
            )
        else:
            made.append(Judged(where, f"≥ {bar.least:.2f}", "×", None, None, None))
    one = found.get("one", {})
    added = one["dateline"].cpu - one[CEILING].cpu if "dateline" in one and CEILING in one else None
    made.append(
        Judged(
            f"work added to {CEILING}",
            f"≤ {CPU * 1e6:.0f} µs",
            "µs",
            None if added is None else added * 1e6,
            None,
            None if added is None else added <= CPU,
        )
    )
    if loading is None:
        made.append(Judged("import dateline", f"≤ {IMPORT * 1e3:.0f} ms", "ms", None, None, None))
    else:
        least, *_, most = sorted(loading.seconds)
        made.append(
            Judged(
                "import dateline",
                f"≤ {IMPORT * 1e3:.0f} ms",
                "ms",
                loading.median * 1e3,
                (least * 1e3, most * 1e3),
                met=loading.median <= IMPORT and not loading.unwanted,
            )
        )
    return made
