"""Charts: numbers in, SVG out, which takes its colours from the page's style and needs no script.

Series differ by more than hue, so that whoever does not tell red from green tells them apart: by lightness, by the order in which they are
stacked, which the legend has too, and by the title of each bar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from itertools import count as counting

from dateline.core.drawing import escape

__all__ = ["SHADES", "columns", "ranks", "ticks"]

_WIDTH, _HEIGHT = 400, 200
"""Pixels: between a phone's page and a desk's, so that letters are neither tiny on the one nor huge on the other."""

_RIGHT, _TOP, _BOTTOM = 8, 12, 26
_LETTER = 7.6
"""The width of a letter at 13 pixels; no font is measured here."""

SHADES = 6
"""Series that have a colour of their own; what comes behind shares the last."""

_ROW, _BAR = 40, 12


def ticks(most: int) -> tuple[int, ...]:
    """Return the numbers at an axis from 0 up to at least `most`: round ones, five at the most."""
    most = max(most, 1)
    step = next(
        found for found in (digit * 10**power for power in counting() for digit in (1, 2, 5)) if found * 4 >= most
    )
    return tuple(range(0, most + step, step))[: -(-most // step) + 1]


def columns(title: str, times: Sequence[str], series: Mapping[str, Sequence[int]]) -> str:
    """Return a column for each time, its parts stacked, with an axis, a legend, and in words what it shows.

    Args:
        times: What each column is called; as many of them as fit are written below.
        series: Each part's numbers, one for each time, the lowest part first.
    """
    totals = [sum(one) for one in zip(*series.values(), strict=True)] or [0] * len(times)
    marks = ticks(max(totals, default=0))
    left = max(len(f"{mark:,}") for mark in marks) * _LETTER + 10
    legend = _legend(list(series), left)
    top = _TOP + (legend[-1][2] + 10 if legend else 0)
    height, width = _HEIGHT - _TOP - _BOTTOM, _WIDTH - left - _RIGHT
    floor, step = top + height, width / max(len(times), 1)
    lines = [*_opened(title, _said(times, series, totals), floor + _BOTTOM)]
    lines += (
        f'<g class="shade{_shade(n)}"><rect x="{x}" y="{y - 10}" width="11" height="11"/></g>{_text(x + 16, y, name)}'
        for n, (name, x, y) in enumerate(legend)
    )
    for mark in marks:
        y = floor - height * mark / marks[-1]
        lines.append(f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        lines.append(_text(left - 6, y + 4, f"{mark:,}", "end"))
    for index, time in enumerate(times):
        x, wide = left + step * index + step * 0.1, step * 0.8
        parts = [numbers[index] for numbers in series.values()]
        told = ", ".join(f"{part:,} {name}" for name, part in zip(series, parts, strict=True) if part) or "none"
        lines.append(f"<g><title>{escape(f'{time}: {told}')}</title>")
        for n, (part, until) in enumerate(zip(parts, accumulate(parts), strict=True)):
            if part:
                # A part that is there can be seen, however small it is.
                tall = max(height * part / marks[-1], 1.5)
                y = floor - height * (until - part) / marks[-1] - tall
                lines.append(
                    f'<rect class="shade{_shade(n)}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
                )
        lines.append("</g>")
    lines += _names(times, left, step, floor + 18)
    return "\n".join([*lines, "</svg>"])


def ranks(title: str, counts: Mapping[str, int]) -> str:
    """Return a bar for each name, the longest first, with its number behind it."""
    rows = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    most = max((count for _, count in rows), default=0) or 1
    lines = [*_opened(title, ", ".join(f"{name}: {count:,}" for name, count in rows) or "none", len(rows) * _ROW + 6)]
    room = _WIDTH - 2 - max((len(f"{count:,}") for _, count in rows), default=1) * _LETTER - 10
    for index, (name, count) in enumerate(rows):
        y, long = index * _ROW, max(room * count / most, 1.5)
        fitted = name if len(name) * _LETTER < _WIDTH else f"{name[: int(_WIDTH / _LETTER) - 1]}…"
        lines.append(f"<g><title>{escape(f'{name}: {count:,}')}</title>{_text(2, y + 15, fitted)}")
        lines.append(f'<rect class="shade0" x="2" y="{y + 21}" width="{long:.1f}" height="{_BAR}"/>')
        lines.append(f"{_text(long + 8, y + 32, f'{count:,}')}</g>")
    return "\n".join([*lines, "</svg>"])


def _opened(title: str, said: str, height: float) -> tuple[str, ...]:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(said)}</desc>",
    )


def _said(times: Sequence[str], series: Mapping[str, Sequence[int]], totals: Sequence[int]) -> str:
    if not any(totals):
        return "There is none."
    parts = ", ".join(f"{sum(numbers):,} {name}" for name, numbers in series.items())
    most = max(range(len(totals)), key=totals.__getitem__)
    return f"From {times[0]} to {times[-1]}: {parts}. The most are {totals[most]:,}, at {times[most]}."


def _shade(n: int) -> int:
    return min(n, SHADES - 1)


def _legend(names: Sequence[str], left: float) -> list[tuple[str, float, float]]:
    """Return where each name stands; those that do not fit into a line begin another."""
    made: list[tuple[str, float, float]] = []
    x, y = left, 12.0
    for name in names:
        wide = 16 + len(name) * _LETTER + 14
        if made and x + wide > _WIDTH:
            x, y = left, y + 20
        made.append((name, x, y))
        x += wide
    return made


def _names(times: Sequence[str], left: float, step: float, y: float) -> list[str]:
    """Return as many names of columns as stand beside each other without touching."""
    if not times:
        return []
    wide = max(map(len, times)) * _LETTER + 12
    every = max(1, -(-int(wide) // max(int(step), 1)))
    half = step / 2
    found = []
    for index in range(0, len(times), every):
        x = left + step * index + half
        # The last one must not hang over the edge.
        if x + wide / 2 - 6 <= _WIDTH:
            found.append(_text(x, y, times[index], "middle"))
    return found


def _text(x: float, y: float, text: str, where: str = "start") -> str:
    return f'<text class="{where}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
