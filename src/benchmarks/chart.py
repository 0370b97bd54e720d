"""A chart of one contest as a picture that needs nothing else: SVG, one bar for each contestant."""

from __future__ import annotations

from html import escape

from benchmarks.contest import Outcome
from benchmarks.field import BASE, FIELD
from benchmarks.figures import ratio

__all__ = ["chart"]

ROW, LEFT, LONGEST, RIGHT, TOP = 26, 170, 420, 190, 56

SILENT = frozenset(one.name for one in FIELD if not one.leaves_rows)
"""Who writes nothing: beside those that do, a bar of theirs would say something untrue."""


def chart(outcome: Outcome) -> str:
    """Return the picture: how many units a second, the fastest first, and how that stands to the base."""
    writers = [(name, figures) for name, figures in outcome.figures.items() if name not in SILENT]
    found = sorted(writers, key=lambda pair: -pair[1].rate)
    fastest = found[0][1].rate
    base = outcome.figures.get(BASE)
    width, height = LEFT + LONGEST + RIGHT, TOP + ROW * len(found) + 12
    title = f"Units a second, {outcome.contest.about}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">'
    )
    lines = [
        head,
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="bold" fill="#1a1a1a">{escape(title)}</text>',
    ]
    for index, (name, figures) in enumerate(found):
        middle = TOP + ROW * index
        length = max(1.0, LONGEST * figures.rate / fastest)
        colour = "#0a7d4f" if name.startswith("dateline") else "#555555" if name == BASE else "#7a9cc6"
        told = f"{figures.rate:,.0f}"
        if base is not None and name != BASE:
            told += f"  ({ratio(figures.rates, base.rates).value:.2f} × {BASE})"
        low, high = (LEFT + LONGEST * rate / fastest for rate in (min(figures.rates), max(figures.rates)))
        lines += [
            f'<text x="{LEFT - 10}" y="{middle + 13}" text-anchor="end" fill="#1a1a1a">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{middle}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            # Where the slowest and the fastest round were.
            f'<path d="M{low:.1f} {middle + 9}H{high:.1f}" stroke="#1a1a1a" stroke-width="1.5"/>',
            f'<text x="{max(length + LEFT, high) + 8:.1f}" y="{middle + 13}" fill="#1a1a1a">{escape(told)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
