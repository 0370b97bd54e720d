"""The report: one object for machines, tables and bars for people."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.bars import Judged
from benchmarks.contest import Outcome, Size
from benchmarks.field import BASE, FIELD
from benchmarks.figures import Figures, ratio
from benchmarks.loading import Loading

__all__ = ["Report", "document", "show"]

WIDTH = 40
"""Characters of the longest bar."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured.

    Args:
        missing: What each contestant that could not take part would have needed.
        postgresql: Its major version.
        load: How many processes wanted the machine's processors before it began.
    """

    mode: str
    size: Size
    outcomes: tuple[Outcome, ...]
    judged: tuple[Judged, ...]
    loading: Loading | None
    missing: Mapping[str, tuple[str, ...]]
    postgresql: int
    load: float

    @property
    def difference(self) -> str:
        """The first difference between rows that should be equal; empty where there is none."""
        return next((one.difference for one in self.outcomes if one.difference), "")


def document(report: Report) -> dict[str, Any]:
    """Return the report as one object; its keys stay."""
    size = report.size
    return {
        "dateline": version("dateline"),
        "python": platform.python_version(),
        "postgresql": report.postgresql,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
            "load": round(report.load, 2),
        },
        "mode": report.mode,
        "patients": size.patients,
        "rounds": size.rounds,
        "contests": {
            one.contest.name: {
                "about": one.contest.about,
                "processes": one.contest.processes,
                "clients": one.contest.processes * one.contest.clients,
                "contestants": {name: _figures(found, one.figures.get(BASE)) for name, found in one.figures.items()},
            }
            for one in report.outcomes
        },
        "bars": [
            {
                "name": one.name,
                "wanted": one.wanted,
                "unit": one.unit,
                "value": _rounded(one.value),
                "least": _rounded(one.spread[0]) if one.spread else None,
                "most": _rounded(one.spread[1]) if one.spread else None,
                "met": one.met,
            }
            for one in report.judged
        ],
        "import": None
        if report.loading is None
        else {
            "seconds": [round(one, 4) for one in report.loading.seconds],
            "libraries": list(report.loading.libraries),
            "unwanted": list(report.loading.unwanted),
        },
        "missing": {name: list(needs) for name, needs in report.missing.items()},
        "equal": not report.difference,
        "difference": report.difference,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _figures(found: Figures, base: Figures | None) -> dict[str, Any]:
    to_base = None if base is None else ratio(found.rates, base.rates)
    return {
        "units_per_second": round(found.rate, 1),
        "rounds": [round(rate, 1) for rate in found.rates],
        "to_base": None if to_base is None else round(to_base.value, 3),
        "to_base_least": None if to_base is None else round(to_base.least, 3),
        "to_base_most": None if to_base is None else round(to_base.most, 3),
        "p50_ms": round(found.p50 * 1e3, 3),
        "p99_ms": round(found.p99 * 1e3, 3),
        "cpu_us": round(found.cpu * 1e6, 1),
        "stored_bytes": None if found.stored is None else round(found.stored),
        "logged_bytes": None if found.logged is None else round(found.logged),
    }


def show(report: Report, console: Console) -> None:
    """Print the report."""
    taking_part = {name for outcome in report.outcomes for name in outcome.figures}
    for one in FIELD:
        if one.name in taking_part:
            console.print(Text.assemble((f"{one.name:>18}", _style(one.name)), f"  {one.about}"))
    for outcome in report.outcomes:
        _show_outcome(outcome, console)
    console.print()
    told = f"/base: units a second beside {BASE}'s; work: of the client; stored and logged: bytes of a unit"
    console.print(Text(told, style="dim"))
    _show_bars(report.judged, console)
    if report.loading is not None:
        console.print(Text(f"import dateline brings along: {', '.join(report.loading.libraries)}", style="dim"))
        if report.loading.unwanted:
            console.print(Text(f"and should not: {', '.join(report.loading.unwanted)}", style="red"))
    for name, needs in report.missing.items():
        console.print(Text(f"missing: {name} (needs {', '.join(needs)})", style="yellow"))
    cpus = os.cpu_count() or 1
    if report.load > cpus / 4:
        busy = f"others used the machine (a load of {report.load:.1f} on {cpus} processors): these figures say little"
        console.print(Text(busy, style="bold yellow"))
    if report.difference:
        console.print(Text(f"✗ rows differ. {report.difference}", style="bold red"))
    else:
        console.print(Text("✓ all contestants left the same rows", style="green"))


def _show_outcome(outcome: Outcome, console: Console) -> None:
    contest = outcome.contest
    console.print()
    console.rule(Text(f"{contest.name}: {contest.about}", style="bold"), align="left", style="cyan")
    base = outcome.figures.get(BASE)
    fastest = max((found.rate for found in outcome.figures.values()), default=1.0)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("contestant", no_wrap=True)
    for name in ("units/s", "/base", "p50 ms", "p99 ms", "work µs", "stored", "logged"):
        table.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(outcome.figures.items(), key=lambda pair: -pair[1].rate)
    for name, found in ordered:
        table.add_row(
            Text(name, style=_style(name)),
            f"{found.rate:,.0f}",
            "" if base is None else f"{ratio(found.rates, base.rates).value:.2f}",
            f"{found.p50 * 1e3:.2f}",
            f"{found.p99 * 1e3:.2f}",
            f"{found.cpu * 1e6:,.0f}",
            "" if found.stored is None else f"{found.stored:,.0f}",
            "" if found.logged is None else f"{found.logged:,.0f}",
        )
    console.print(table)
    console.print()
    for name, found in ordered:
        bar = "█" * max(1, round(WIDTH * found.rate / fastest))
        console.print(Text.assemble(f"{name:>18} ", (bar, _style(name)), f" {found.rate:,.0f}"))


def _style(name: str) -> str:
    return "bold green" if name.startswith("dateline") else "bold" if name == BASE else "blue"


def _show_bars(judged: Sequence[Judged], console: Console) -> None:
    console.print()
    console.rule(Text("bars", style="bold"), align="left", style="cyan")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("what", no_wrap=True)
    for name in ("wanted", "measured", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=6)
    for one in judged:
        places = 2 if one.unit == "×" else 0
        met = {True: Text("met", "green"), False: Text("missed", "bold red"), None: Text("–", "dim")}
        table.add_row(
            one.name,
            one.wanted,
            "" if one.value is None else f"{one.value:.{places}f}",
            "" if one.spread is None else f"{one.spread[0]:.{places}f}–{one.spread[1]:.{places}f}",
            met[one.met],
        )
    console.print(table)
