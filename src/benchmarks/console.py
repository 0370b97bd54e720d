"""What the console's pages take on a long trail: `python -m benchmarks.console` on a PostgreSQL that it starts itself."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from typing import Annotated, Any

import typer
from rich.console import Console as Terminal
from rich.table import Table

from benchmarks.database import connect
from benchmarks.http import served
from benchmarks.longtrail import PATIENTS, copy_id, fill, progress, ward_of
from benchmarks.peers.dateline import ACTOR, TENANT, VERSIONS
from benchmarks.work import Work
from dateline import Actor, AsyncRunner, Runner
from dateline.core.access import AUDIT
from dateline.run import act
from dateline.web.caller import UNMASK, Caller

__all__ = ["PAGES", "Seen", "app"]

SLOWEST, HEAVIEST = 100, 150_000
"""What a page may take at the median, in milliseconds, and weigh at its first load, in bytes."""

DAYS = 60
"""Over how many days the events are spread."""

_NEWEST = VERSIONS.newest.date
_KIND = "prescription.write"

PAGES: Mapping[str, Callable[[int], str]] = {
    "start": lambda _: "/?span=30d",
    "subject": lambda number: f"/subjects/{_patient(number, 'patient:')}",
    "accesses": lambda number: f"/subjects/{_patient(number, 'patient:')}/accesses",
    "event": lambda number: f"/events/{copy_id(number)}",
    "compare": lambda number: f"/events/{copy_id(number)}/compare?version={_NEWEST}",
    "mend": lambda number: f"/events/{copy_id(number)}/mend",
    "correct": lambda number: f"/events/{copy_id(number)}/correct?version={_NEWEST}",
    "row": lambda number: f"/rows/patient/{_patient(number)}",
    "catalogue": lambda _: "/kinds",
    "kind": lambda _: f"/kinds/{_KIND}",
    "changes": lambda _: "/changelog",
    "between": lambda _: f"/between?version={_NEWEST}",
    "effects": lambda _: "/effects",
    "try": lambda _: f"/kinds/{_KIND}/try",
}
"""The path of each page, of the number of an event."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one page takes, each time of somebody or something that nobody has looked at.

    Args:
        p50: The median, in milliseconds; `p95` what one of twenty exceeds.
        first: Bytes of its first load, with its style, script and pictures; `again` without what a browser keeps.
    """

    page: str
    p50: float
    p95: float
    first: int
    again: int

    @property
    def met(self) -> bool:
        """Whether it is as fast and as light as it should be."""
        return self.p50 <= SLOWEST and self.first <= HEAVIEST


def _patient(number: int, before: str = "") -> str:
    return f"{before}patient-{number % PATIENTS:06}"


def _site(url: str) -> Any:
    from fastapi import FastAPI  # noqa: PLC0415 - an extra

    from dateline.console.site import console  # noqa: PLC0415

    caller = Caller(Actor(ACTOR, rights=frozenset({UNMASK, AUDIT, act.RIGHT})), tenant=TENANT)
    made = FastAPI(openapi_url=None)
    made.include_router(console(AsyncRunner(url, versions=VERSIONS), authenticate=lambda _: caller), prefix="/console")
    return made


_KEPT = re.compile(r'<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"')


def _looks(port: int, numbers: Iterator[int], times: int) -> Iterator[Seen]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def asked(path: str) -> tuple[float, str]:
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        took = 1000 * (time.perf_counter() - began)
        if answer.status != 200:
            raise AssertionError(f"{path}: {answer.status} {body[:300]}")
        return took, body

    for page, path in PAGES.items():
        for _ in range(5):
            asked(f"/console{path(next(numbers))}")
        took = []
        weight = 0
        for _ in range(times):
            each, body = asked(f"/console{path(next(numbers))}")
            took.append(each)
            weight = max(weight, len(body.encode()))
        kept = sum(len(asked(one.replace("&amp;", "&"))[1].encode()) for one in set(_KEPT.findall(body)))
        yield Seen(page, median(took), quantiles(took, n=20)[-1], weight + kept, weight)


def _count(runner: Runner, since: datetime) -> list[float]:
    """Return what each look takes, in milliseconds, by which all since an instant comes to be counted: nobody has looked before."""
    took = []
    uncounted: datetime | None = since
    while uncounted is not None:
        began = time.perf_counter()
        uncounted = runner.overview(since, tenant=TENANT).uncounted
        took.append(1000 * (time.perf_counter() - began))
    return took


def _spread(url: str, now: datetime) -> None:
    """Spread the events over the last days; their bodies say otherwise, which no page compares."""
    with connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE dateline_event SET recorded_at = moment, occurred_at = moment FROM (SELECT seq AS number, "
            "%s::timestamptz - (max(seq) OVER () - seq) * %s::interval / (max(seq) OVER ()) AS moment FROM dateline_event) AS each "
            "WHERE seq = number",
            (now, timedelta(days=DAYS)),
        )
        connection.execute("VACUUM FULL ANALYZE dateline_event")


app = typer.Typer(name="console", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def console(
    events: Annotated[int, typer.Option(min=1_000, help="How long the trail is.")] = 1_000_000,
    times: Annotated[int, typer.Option(min=20, help="How often each page is asked for.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Measure each page of the console: what it takes, and what it weighs."""
    work = Work(patients=PATIENTS)
    with ward_of(work) as (ward, url):
        unit = next(work.units(0, 10**9))
        with ward.client() as do:
            do(unit)
        ward.runner.sequence()
        with progress(f"to {events:,} events", events - 1) as advance:
            fill(url, 1, unit.patient, 2, events, advance)
        now = datetime.now(UTC)
        _spread(url, now)
        counts = _count(ward.runner, now - timedelta(days=30))
        numbers = (2 + 7_919 * number % (events - 2) for number in range(10**9))
        with served(_site, url) as port:
            found = list(_looks(port, numbers, times))
    if as_json:
        print(json.dumps({"events": events, "counts": counts, "pages": [asdict(one) for one in found]}))
    else:
        table = Table("page", "p50, ms", "p95, ms", "first load, bytes", "again, bytes", "")
        for one in found:
            told = "met" if one.met else "missed"
            table.add_row(one.page, f"{one.p50:.1f}", f"{one.p95:.1f}", f"{one.first:,}", f"{one.again:,}", told)
        terminal = Terminal(highlight=False)
        terminal.print(table)
        counted = ", ".join(f"{one:.0f}" for one in counts)
        terminal.print(f"the first looks, which count thirty days of events: {counted} ms")
        terminal.print(f"{events:,} events; wanted ≤ {SLOWEST} ms at the median and ≤ {HEAVIEST:,} bytes at first")
    raise SystemExit(0 if all(one.met for one in found) else 1)


if __name__ == "__main__":
    app()
