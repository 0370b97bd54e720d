"""`dateline explain --diagram`: a cascade drawn in a terminal, a lane for each slot and its holders from date to date."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dateline.core.catalogue import Explanation
from dateline.core.drawing import Lane, lanes

__all__ = ["diagram"]

_NARROW = 6
"""The least letters from one date to the next, in a terminal with little room: then dates lose their years."""


def diagram(console: Console, found: Explanation) -> None:
    """Print who holds which slot since when: ● opens it, ◆ takes it over, ✕ ends it; heavy lines are in force."""
    dates, held = lanes(found)
    console.print(Text.assemble((found.kind, "bold"), f"  under {found.version}"), soft_wrap=True)
    names = min(max((len(lane.slot.name) for lane in held), default=0), max(console.width // 3, 12))
    room = console.width - names - 5
    step = max(min(room // max(len(dates), 1), 13), _NARROW)
    shown = [day if step > len(day) + 1 else day[2:] if step > len(day) - 1 else day[5:] for day in dates]
    for role in ("check", "handler"):
        some = [lane for lane in held if lane.slot.role == role]
        if not some:
            continue
        console.print()
        heads = "".join(f"{day:<{step}}" for day in shown)
        console.print(Text.assemble((f"{role + 's':<{names + 4}}", "cyan"), (heads.rstrip(), "dim")), soft_wrap=True)
        for lane in some:
            console.print(_row(lane, names, step, len(dates)), soft_wrap=True)
            for name, what in lane.amends:
                told = f"╰╌ amends {name}/{what}"
                # Under its bar where there is room, else further left.
                indent = max(min(names + 4 + lane.bars[-1].start * step, console.width - cell_len(told)), 4)
                console.print(Text.assemble(" " * indent, (told, "yellow")), soft_wrap=True)


def _row(lane: Lane, names: int, step: int, count: int) -> Text:
    """Return one slot's line."""
    name = lane.slot.name if len(lane.slot.name) <= names else f"{lane.slot.name[: names - 1]}…"
    gone = lane.slot.holder is None
    made = Text.assemble("  ", (f"{name:<{names}}", "dim strike" if gone else "bold"), "  ")
    made.append(" " * (lane.bars[0].start * step))
    colour = "green" if lane.slot.role == "check" else "blue"
    for place, bar in enumerate(lane.bars):
        length = ((count if bar.end is None else bar.end) - bar.start) * step
        mark = "●" if place == 0 else "◆"
        if bar.end is None:
            made.append(f"{mark}{'━' * max(length - 2, 0)}▶", f"bold {colour}")
        else:
            made.append(f"{mark}{'─' * (length - 1)}", "dim")
            if bar.retired:
                made.append("✕", "red")
    return made
