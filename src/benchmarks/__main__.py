"""The benchmark's command line: `python -m benchmarks`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os import getloadavg
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import loading
from benchmarks.bars import judge
from benchmarks.chart import chart
from benchmarks.contest import Contest, Size, ground
from benchmarks.field import BASE, CEILING, FIELD, Entrant, entrant
from benchmarks.report import Report, document, show
from benchmarks.team import Broken
from dateline import DatelineError

__all__ = ["CONTESTS", "SHORT", "app", "main", "measure"]

FAULTY, IMPOSSIBLE, STOPPED = 1, 2, 130
"""Exit statuses: rows differ or somebody was missing; it could not be done; somebody pressed Ctrl-C."""

FULL = Size(patients=8_000, rounds=9, units=400, hot=320, warm=160)
QUICK = Size(patients=1_000, rounds=3, units=32, hot=32, warm=16)

_AT_EIGHT = tuple(one.name for one in FIELD if one.backend == "postgresql" and one.leaves_rows)

CONTESTS = (
    Contest("one", "1 client", tuple(one.name for one in FIELD if one.name != "psycopg-locked"), 1, 1),
    Contest(
        "eight",
        "8 clients, 2 processes of 4",
        tuple(name for name in _AT_EIGHT if name != "psycopg-locked"),
        2,
        4,
    ),
    Contest("in-flight", "8 at once in 1 process", ("dateline", "dateline-async"), 1, 8),
    Contest("hot", "32 writers of one row", ("dateline", "psycopg-locked"), 2, 16, hot=True),
)

_QUICK_AT_EIGHT = ("dateline", "dateline-async", BASE, "psycopg-cte", CEILING, "pgbench")

SHORT = tuple(
    replace(one, names=_QUICK_AT_EIGHT if one.name == "eight" else tuple(n for n in one.names if n != "dbos-outbox"))
    for one in CONTESTS
)
"""The same, where the slower peers compete once: most of a minute would be spent on starting their processes."""

app = typer.Typer(name="benchmarks", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def benchmark(
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute; who is not installed may be missing.")
    ] = False,
    only: Annotated[str, typer.Option(metavar="NAME,…", help="Only these contestants.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object on standard output, with keys that stay.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE.svg", help="Draw the contest of one client.")
    ] = None,
) -> None:
    """Measure dateline beside its alternatives: each does the same units, in turn, on a PostgreSQL of the benchmark's own.

    Exits with 1 where rows differ that should be equal, or where somebody is missing and neither --quick nor --only was said. A bar
    that is missed is told, and is no error: how fast a machine is, is no fault.
    """
    wanted = tuple(entrant(name.strip()) for name in only.split(",")) if only else FIELD
    told = Console(stderr=True, highlight=False)
    contests, size = (SHORT, QUICK) if quick else (CONTESTS, FULL)
    report = measure(wanted, size, "quick" if quick else "full", told, contests)
    if as_json:
        print(json.dumps(document(report)))
    else:
        show(report, Console(highlight=False))
    if picture is not None and report.outcomes:
        picture.write_text(chart(report.outcomes[0]), encoding="utf-8")
    if report.difference:
        told.print(f"rows differ: {report.difference}", style="bold red", markup=False)
        raise typer.Exit(FAULTY)
    if report.missing and not quick:
        told.print(f"missing: {', '.join(report.missing)}; pip install what .ci/benchmarks.txt lists", markup=False)
        raise typer.Exit(FAULTY)


def measure(
    wanted: Sequence[Entrant], size: Size, mode: str, told: Console, contests: Sequence[Contest] = CONTESTS
) -> Report:
    """Hold all contests with those that are here.

    Raises:
        Broken: A contestant failed.
        NoServer: There is no PostgreSQL.
    """
    load = getloadavg()[0]
    missing = {one.name: needs for one in wanted if (needs := one.missing())}
    here = {one.name: one for one in wanted if one.name not in missing}
    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with ground() as place, Progress(*columns, console=told, transient=True) as progress:
        for contest in contests:
            entrants = [here[name] for name in contest.names if name in here]
            if not entrants:
                continue
            task = progress.add_task(contest.about, total=len(entrants) * size.rounds)
            outcomes.append(place.hold(contest, entrants, size, partial(progress.update, task, advance=1)))
            progress.remove_task(task)
        imported = loading.load(3 if mode == "quick" else 9) if "dateline" in here else None
        judged = judge(outcomes, imported)
        return Report(mode, size, tuple(outcomes), tuple(judged), imported, missing, place.version, load)


def main() -> None:
    """Run the command line; what can be expected to go wrong is told in one line."""
    try:
        app(prog_name="benchmarks")
    except (DatelineError, Broken, LookupError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(IMPOSSIBLE)
    except KeyboardInterrupt:
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
