"""A difference as a person reads it: each step, the fields side by side, and who decided either, in that handler's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from dateline.cli.document import printable, shown

__all__ = ["MARKS", "show"]

MARKS = {"new": ("+", "green"), "gone": ("-", "red"), "changed": ("~", "yellow"), "rekeyed": ("=", "dim")}
"""Of each sort of difference its sign, and how that is drawn."""

LONGEST = 120
"""Characters of one value that are shown."""


def show(console: Console, told: Mapping[str, Any]) -> None:
    """Print a difference, as `Diff.document` tells it."""
    before, after = told["before"], told["after"]
    number = "" if told["seq"] is None else f"  event {told['seq']}"
    console.print(Text.assemble((printable(told["kind"]), "bold"), (number, "dim")))
    for sign, style, side in (("-", "red", before), ("+", "green", after)):
        version = side["version"] or "as it was recorded"
        state = f", with {', '.join(side['reconstructed'])} from the trail" if side["reconstructed"] else ""
        line = Text.assemble((f"{sign} {version}", style), f"  {side['outcome']}", (printable(state), "dim"))
        console.print(line, soft_wrap=True)
    if told["asked"]:
        asked = " · ".join(f"{name} {_value(value)}" for name, value in told["asked"].items())
        console.print(Text(f"+ with {asked}", style="green"), soft_wrap=True)
    console.print()
    for item in told["items"]:
        _item(console, item)
    for item in told["rekeyed"]:
        console.print(Text(f"= {printable(item['key'])}  the same under another key", style="dim"), soft_wrap=True)
    if told["same"]:
        console.print(Text("No difference.", style="bold green"))


def _item(console: Console, item: Mapping[str, Any]) -> None:
    mark, style = MARKS[item["change"]]
    row = f" {printable(str(item['row']))}" if item["row"] is not None else ""
    what = f"{item['sort']} {printable(item['of'])}{row}"
    heading = Text.assemble((f"{mark} ", style), (what, "bold"), (f"  {printable(item['key'])}", "dim"))
    console.print(heading, soft_wrap=True)
    width = max((len(cell["name"]) for cell in item["cells"]), default=0)
    for cell in item["cells"]:
        line = Text.assemble(f"    {printable(cell['name']):<{width}}  ")
        if item["change"] == "changed":
            line.append(_value(cell["before"]), style="red").append(" → ", style="dim")
            line.append(_value(cell["after"]), style="green")
        else:
            line.append(_value(cell["after"] if item["change"] == "new" else cell["before"]), style=style)
        console.print(line, soft_wrap=True)
    for sign, side in (("-", item["before"]), ("+", item["after"])):
        for who in side:
            module, _, name = who["handler"].rpartition(".")
            console.print(Text(f"    {sign} by {name} of {who['date']}, {module}", style="dim"), soft_wrap=True)
            if who["doc"]:
                console.print(
                    Text(f"      {printable(' '.join(who['doc'].split()))}", style="dim italic"), soft_wrap=True
                )


def _value(value: Any) -> str:
    told = shown(value)
    return f"{told[:LONGEST]}…" if len(told) > LONGEST else told or '""'
