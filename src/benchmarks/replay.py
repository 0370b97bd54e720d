"""How fast a trail is decided again: `python -m benchmarks.replay`, on a PostgreSQL that it starts itself.

Prescriptions: one is dispatched and the rest are its copies, as in `benchmarks.longtrail`. The hospital's log, where there is one: name
the folder of sepsis.jsonl.gz in DATELINE_DATA.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.contest import ground
from benchmarks.field import entrant
from benchmarks.longtrail import fill, ward_of
from benchmarks.peers.dateline import ACTOR, TENANT, event_of
from benchmarks.work import Work
from clinic.app import open_clinic
from clinic.importer import Import
from dateline.run.sweep import Sweep, swept

__all__ = ["Speed", "app", "measured"]

JANUARY, JUNE = date(2024, 1, 1), date(2024, 6, 1)


@dataclass(frozen=True, slots=True)
class Speed:
    """One measurement.

    Args:
        rate: Events a second, by the clock.
        processor: Microseconds of this process's time an event; of one process alone.
        peak: The most memory that this process had, in MiB.
    """

    what: str
    processes: int
    events: int
    different: int
    reconstructed: int
    rate: float
    processor: float
    peak: float


def measured(what: str, sweep: Sweep, processes: int, times: int = 1) -> Speed:
    """Decide a trail again, and tell how fast."""
    taken, used = [], []
    for _ in range(times):
        began, before = time.perf_counter(), time.process_time()
        found = swept(sweep, processes=processes)
        taken.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
    assert not found.failed, found.unclear
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate, processor = found.events / median(taken), 1e6 * median(used) / max(1, found.events)
    return Speed(what, processes, found.events, found.different, found.reconstructed, rate, processor, peak)


@contextmanager
def prescriptions(recorded: date, events: int) -> Iterator[str]:
    """Give a trail of prescriptions that were decided under a date."""
    work = Work(patients=8_000)
    with ward_of(work) as (ward, url):
        unit = next(work.units(0, 1))
        ward.runner.dispatch(event_of(unit), actor=ACTOR, tenant=TENANT, version=recorded)
        fill(url, 1, unit.patient, 2, events, lambda _: None)
        yield url


def prescribed(events: int, processes: int) -> Iterator[Speed]:
    """Measure prescriptions under a date whose cascade is theirs, under one with a handler less, and under one with a handler more."""
    cases = (
        (JUNE, JUNE, "prescriptions, the cascade as it was"),
        (JUNE, JANUARY, "prescriptions, a handler less"),
        (JANUARY, JUNE, "prescriptions, a handler more, which is run"),
        (JUNE, None, "prescriptions, all handlers run, byte for byte"),
    )
    for recorded in (JUNE, JANUARY):
        with prescriptions(recorded, events) as url:
            for then, version, what in cases:
                if then == recorded:
                    sweep = Sweep(database=url, versions="benchmarks.versions", version=version)
                    for count in dict.fromkeys((1, processes)):
                        yield measured(what, sweep, count)


def hospital(log: Path, processes: int) -> Iterator[Speed]:
    """Measure the hospital's log: as recorded, and under later dates, for which state is taken from the trail."""
    with ground() as place, place.database(entrant("dateline")) as url:
        with open_clinic(url) as runner, log.open("rb") as lines:
            Import(runner, misfit=lambda misfit: None, kept=lambda text: None).run(lines)
        for version, what in (
            (date(2013, 2, 1), "sepsis, recorded snapshots"),
            (date(2018, 4, 19), "sepsis under 2018-04-19, with reconstruction"),
            (date(2021, 10, 4), "sepsis under 2021-10-04, with reconstruction"),
            (None, "sepsis, all handlers run, byte for byte"),
        ):
            for count in dict.fromkeys((1, processes)):
                yield measured(what, Sweep(database=url, versions="versions", version=version), count, 3)


app = typer.Typer(name="replay", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def replay(
    events: Annotated[int, typer.Option(min=1_000, help="How many prescriptions.")] = 200_000,
    processes: Annotated[int, typer.Option(min=1, help="The larger number of processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on standard output.")] = False,
) -> None:
    """Measure how many events a second are decided again, in one process and in several, and the memory that it takes."""
    found = [*prescribed(10_000, 1), *prescribed(events, processes)]
    log = Path(os.environ.get("DATELINE_DATA", "")) / "sepsis.jsonl.gz"
    if log.is_file():
        found += hospital(log, processes)
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    console = Console(highlight=False)
    for one in found:
        console.print(
            f"{one.rate:>10,.0f}/s  {one.processes} process{'es' if one.processes > 1 else '  '}  {one.events:>9,} events  "
            f"{one.processor:>6.1f} µs  {one.peak:>5.0f} MiB  {one.what}",
            soft_wrap=True,
        )
    if not log.is_file():
        console.print("The hospital's log is not here: name the folder of sepsis.jsonl.gz in DATELINE_DATA.")


if __name__ == "__main__":
    app(prog_name="benchmarks.replay")
