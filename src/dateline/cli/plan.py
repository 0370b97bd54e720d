"""A plan as a person reads it: what would be done, and which function of which date decided it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from dateline.cli.document import printable, text

__all__ = ["show"]


def show(console: Console, told: Mapping[str, Any]) -> None:
    """Print a plan, as `standalone.planned` tells it."""
    refused = told["outcome"] == "rejected"
    mark = ("× ", "bold red") if refused else ("● ", "green")
    console.print(
        Text.assemble(
            mark, (printable(told["kind"]), "bold"), f"  {told['outcome']}", (f"  under {told['version']}", "dim")
        )
    )
    for label, style, line, who in _lines(told):
        for index, part in enumerate(line.wrap(console, max(console.width - 12, 30))):
            console.print(Text.assemble((f"  {label if not index else '':<10}", style), part), soft_wrap=True)
        console.print(Text(f"            by {who}", style="dim"), soft_wrap=True)


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str, Text, str]]:
    for one in told["rejections"]:
        field = f"  (field {one['field']})" if one["field"] else ""
        yield (
            "refuses",
            "red",
            Text(f"{one['code']}  {printable(one['detail'])}{field}"),
            f"{one['handler']} of {one['date']}",
        )
    for one in told["steps"]:
        yield *_step(one), f"{one['handler']} of {one['date']}"
    for one in told["amended"]:
        moot = ", of which there was none this time" if one["moot"] else ""
        yield (
            "amended",
            "yellow",
            Text(f"{one['verb']} {one['step']}{moot}: {one['because']}"),
            f"{one['handler']} of {one['date']}",
        )


def _step(one: Mapping[str, Any]) -> tuple[str, str, Text]:
    if "operation" in one:
        operation = one["operation"]
        row = f" {printable(operation['row'])}" if operation["row"] else ""
        return operation["verb"], "cyan", Text(f"{operation['table']}{row}  {_values(operation['values'])}")
    if "effect" in one:
        return "effect", "cyan", Text(f"{one['effect']['kind']}  {_values(one['effect']['payload'])}")
    return "concerns", "cyan", Text(printable(one["concerns"]))


def _values(values: Mapping[str, Any]) -> str:
    return " · ".join(
        f"{name} {printable(value) if isinstance(value, str) else text(value)}" for name, value in values.items()
    )
