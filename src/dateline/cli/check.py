"""`dateline check`: what is wrong with versions, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from dateline.cli.document import here
from dateline.core.check import Finding

__all__ = ["report"]


def report(console: Console, found: Sequence[Finding], looked: str) -> None:
    """Print findings by file, each with its line, rule, reason and mend; then how many there are."""
    for file, some in groupby(found, key=lambda one: one.file):
        console.print(Text(here(file) if file else "the versions", style="bold"))
        for one in some:
            style = "bold red" if one.severity == "error" else "yellow"
            head = Text.assemble((f"{one.line:>5}  ", "dim"), (one.rule, style), f"  {one.name}: {one.reason}")
            for index, line in enumerate(head.wrap(console, max(console.width - 7, 30))):
                console.print(Text.assemble("" if index == 0 else " " * 7, line), soft_wrap=True)
            if one.mend:
                for line in Text(one.mend, style="italic").wrap(console, max(console.width - 7, 30)):
                    console.print(Text.assemble(" " * 7, line), soft_wrap=True)
        console.print()
    errors = sum(one.severity == "error" for one in found)
    warnings = len(found) - errors
    told = f"{errors} error{'' if errors == 1 else 's'} and {warnings} warning{'' if warnings == 1 else 's'}"
    console.print(Text(f"{looked}: {told if found else 'nothing found'}.", style="red" if errors else "green"))
