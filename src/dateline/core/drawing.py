"""A cascade as a picture: a lane for each slot in the order in which they run, and in it who held it, from date to date.

SVG that needs nothing beside it: its colours follow the reader's, light or dark, its titles tell what does not fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import east_asian_width
from xml.sax import saxutils

from dateline.core.catalogue import Explanation, Holder, Standing

__all__ = ["Bar", "Lane", "drawn", "lanes"]

_NAMES, _DAY, _STEPS, _EDGE = 300, 150, 250, 20
"""Widths of the column of slots, of a date's column, of the column of steps, and of the margin; pixels."""

_LANE, _BAR, _HEAD, _GROUP = 52, 24, 84, 34
"""Heights of a lane, of a bar in it, of the head, and of a group's heading; pixels."""

_LETTER = 7.0
"""The width of a letter at 12 pixels, on the wide side: no font is measured here."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One function's time in a slot.

    Args:
        start: Where among the dates it begins; `end` where it ended, None where it holds the slot still.
        retired: It ended without a successor.
    """

    holder: Holder
    start: int
    end: int | None
    retired: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """One slot from its first date on.

    Args:
        amends: The slots of which it drops or replaces a step, each with the step.
    """

    slot: Standing
    bars: tuple[Bar, ...]
    amends: tuple[tuple[str, str], ...]


def lanes(found: Explanation) -> tuple[tuple[str, ...], tuple[Lane, ...]]:
    """Return the dates on which something changed, and the slots' lanes in the order in which they run."""
    days = {found.version}
    for slot in found.slots:
        days |= {slot.opened, slot.since, *(one.since for one in slot.before)}
    dates = tuple(sorted(days))
    # A check and a handler may share a name; who amends does so within its own role.
    named = {
        (slot.role, held.name.rpartition(".")[2]): slot.name
        for slot in found.slots
        for held in (*slot.before, *([slot.holder] if slot.holder is not None else []))
    }
    made = []
    for slot in (one for role in ("check", "handler") for one in found.slots if one.role == role):
        held = [*slot.before, *([slot.holder] if slot.holder is not None else [])]
        ends = [*(one.since for one in held[1:]), None if slot.holder is not None else slot.since]
        bars = tuple(
            Bar(
                one,
                dates.index(one.since),
                None if end is None else dates.index(end),
                end is not None and one is held[-1],
            )
            for one, end in zip(held, ends, strict=True)
        )
        amended = (step.partition("/") for step in slot.amends)
        made.append(Lane(slot, bars, tuple((named.get((slot.role, name), name), what) for name, _, what in amended)))
    return dates, tuple(made)


def drawn(found: Explanation, fired: frozenset[str] | None = None) -> str:
    """Return the cascade of a kind under a version as SVG; the same for the same versions.

    Args:
        fired: Functions, by dotted name, that came to something in one decision: they are marked, and the others step back.
    """
    dates, held = lanes(found)
    groups = [(role, [lane for lane in held if lane.slot.role == role]) for role in ("check", "handler")]
    groups = [(role, some) for role, some in groups if some]
    places: dict[tuple[str, str], int] = {}
    at = _HEAD
    for role, some in groups:
        at += _GROUP
        for lane in some:
            places[role, lane.slot.name] = at
            at += _LANE
    width, height = 2 * _EDGE + _NAMES + _DAY * len(dates) + _STEPS, at + _EDGE
    told = f"The cascade of {found.kind} under {found.version}: {len(held)} slots since {dates[0]}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{escape(told)}</title>",
        f"<desc>{escape(_described(held))}</desc>",
        _STYLE,
        f'<rect class="paper" width="{width}" height="{height}"/>',
        _text(_EDGE, 30, found.kind, "title"),
        _text(_EDGE, 50, f"under {found.version}", "quiet"),
    ]
    for index, day in enumerate(dates):
        x = _x(index)
        lines.append(f'<line class="grid" x1="{x}" y1="{_HEAD - 12}" x2="{x}" y2="{height - _EDGE}"/>')
        lines.append(_text(x + 4, _HEAD - 16, day, "day"))
    for role, some in groups:
        lines.append(_text(_EDGE, places[role, some[0].slot.name] - 10, f"{role}s", "group"))
        for lane in some:
            lines += _lane(lane, places[role, lane.slot.name], len(dates), fired)
    drawn_at: Counter[int] = Counter()
    for lane in held:
        lines += _amendments(lane, places, drawn_at)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _x(index: int) -> int:
    return _EDGE + _NAMES + _DAY * index


def _lane(lane: Lane, y: int, count: int, fired: frozenset[str] | None) -> Iterator[str]:
    slot = lane.slot
    state = "gone" if slot.holder is None else "name"
    yield _text(_EDGE, y + 16, _fitted(slot.name, _NAMES - 12, 7.8), state, slot.name)
    doc = (slot.holder or slot.before[-1]).doc.partition("\n")[0]
    if doc:
        yield _text(_EDGE, y + 33, _fitted(doc, _NAMES - 12, 6.2), "quiet", doc)
    for bar in lane.bars:
        x = _x(bar.start) + 4
        # Who holds it still goes on to the end of the newest date's column.
        until = _x(bar.end) - 4 if bar.end is not None else _x(count) - 10
        short = bar.holder.name.rpartition(".")[2]
        kind = f"bar {slot.role}" + ("" if bar.end is None else " past")
        came = None if fired is None or bar.end is not None else bar.holder.name in fired
        if came is not None:
            kind += " fired" if came else " idle"
        this = {True: "It came to something this time.", False: "Nothing came of it this time.", None: ""}[came]
        told = "\n".join(filter(None, (f"{bar.holder.name}, since {bar.holder.since}", bar.holder.doc, this)))
        yield f"<g><title>{escape(told)}</title>"
        yield f'<rect class="{kind}" x="{x}" y="{y + 2}" width="{until - x}" height="{_BAR}" rx="5"/>'
        yield _text(
            x + 8,
            y + 18,
            _fitted(short, until - x - (32 if bar.retired or came else 14)),
            "on past" if bar.end is not None else "on",
        )
        if bar.retired:
            yield _text(until - 4, y + 19, "✕", "ended")
        if came:
            yield _text(until - 6, y + 19, "✓", "came")
        yield "</g>"
    steps = ", ".join(slot.yields)
    if steps:
        yield _text(_x(count) + 4, y + 18, _fitted(steps, _STEPS - 8), "steps", steps)


def _amendments(lane: Lane, places: dict[tuple[str, str], int], drawn_at: Counter[int]) -> Iterator[str]:
    role = lane.slot.role
    for name, what in lane.amends:
        if (role, name) not in places:
            continue
        day = lane.bars[-1].start
        # Those of one date stand side by side; past a column's width they begin again.
        x = _x(day + 1) - 16 - 12 * (drawn_at[day] % 10)
        drawn_at[day] += 1
        y, to = places[role, lane.slot.name] + 2, places[role, name] + 2 + _BAR
        tip = to if y > to else to - _BAR
        sign = -1 if y > to else 1
        start = y if sign < 0 else y + _BAR
        yield f"<g><title>{escape(f'{lane.slot.name} amends {name}/{what}')}</title>"
        yield f'<path class="amends" d="M{x} {start} V{tip - sign * 5}"/>'
        yield f'<path class="tip" d="M{x - 4} {tip - sign * 7} H{x + 4} L{x} {tip} Z"/></g>'


def _described(held: tuple[Lane, ...]) -> str:
    parts = []
    for lane in held:
        who = [f"{bar.holder.name.rpartition('.')[2]} from {bar.holder.since}" for bar in lane.bars]
        end = f", retired {lane.slot.since}" if lane.slot.holder is None else ""
        parts.append(f"{lane.slot.role} {lane.slot.name}: {', then '.join(who)}{end}")
    return "; ".join(parts)


def _text(x: float, y: float, text: str, kind: str, whole: str | None = None) -> str:
    title = f"<title>{escape(whole)}</title>" if whole is not None and whole != text else ""
    return f'<text class="{kind}" x="{x}" y="{y}">{title}{escape(text)}</text>'


def escape(text: str) -> str:
    """Return a text as XML holds it, without what it cannot hold."""
    return saxutils.escape("".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text))


def _fitted(text: str, width: float, letter: float = _LETTER) -> str:
    room = width / letter
    if sum(map(_share, text)) <= room:
        return text
    kept, room = "", room - 1
    for one in text:
        room -= _share(one)
        if room < 0:
            break
        kept += one
    return f"{kept}…"


def _share(letter: str) -> float:
    """Return how much wider a letter is than most; Chinese and Japanese ones and pictures take two places."""
    if east_asian_width(letter) in "WF":
        return 2
    return 1.7 if letter in "mwMW@%" else 1.3 if letter.isupper() else 1


_STYLE = """<style>
svg { font: 12px ui-sans-serif, system-ui, sans-serif; --paper: #fff; --ink: #1d2430; --quiet: #667085; --grid: #e4e7ec;
  --check: #0f766e; --handler: #3949ab; --past: #d7dce5; --amends: #b45309; --ended: #b42318; --on: #fff }
@media (prefers-color-scheme: dark) { svg { --paper: #14181f; --ink: #e6e9ef; --quiet: #98a2b3; --grid: #2a313c;
  --check: #2a9d8f; --handler: #6d7ce0; --past: #333b49; --amends: #f0a03c; --ended: #f97066; --on: #14181f } }
text { fill: var(--ink) } .paper { fill: var(--paper) } .grid { stroke: var(--grid) }
.title { font-size: 17px; font-weight: 600 } .name { font-weight: 600 } .quiet, .day { fill: var(--quiet); font-size: 11px }
.group { fill: var(--quiet); font-size: 11px; letter-spacing: .08em; text-transform: uppercase }
.gone { fill: var(--quiet); text-decoration: line-through } .steps { font-size: 11px; fill: var(--quiet) }
.bar.check { fill: var(--check) } .bar.handler { fill: var(--handler) } .bar.past { fill: var(--past) }
.on { fill: var(--on); font-size: 11px } .on.past { fill: var(--ink) } .ended { fill: var(--ended); text-anchor: end; font-weight: 700 }
.bar.fired { stroke: var(--ink); stroke-width: 2 } .bar.idle { opacity: .45 }
.came { fill: var(--on); text-anchor: end; font-weight: 700 }
.amends { fill: none; stroke: var(--amends); stroke-width: 1.5; stroke-dasharray: 4 3 } .tip { fill: var(--amends) }
</style>"""
