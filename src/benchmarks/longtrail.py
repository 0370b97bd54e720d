"""A trail of millions: `python -m benchmarks.longtrail` fills one, and measures what its length changes.

One event is dispatched, and the rest are its copies, made by the server: each with an id, a patient and a digest of its own, so that the
whole trail verifies, and replays.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import cycle, repeat
from statistics import median
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.contest import ground
from benchmarks.database import Database, connect
from benchmarks.field import entrant
from benchmarks.peers.dateline import ACTOR, TENANT, Dateline
from benchmarks.work import Unit, Work
from dateline import Page
from dateline.core.later import whole
from dateline.run.clock import Budget
from dateline.run.connection import Connection, drive
from dateline.run.path import Asked
from dateline.sql.feed import Wanted
from dateline.sql.statement import Batch, Statement

__all__ = ["PATIENTS", "Look", "app", "copy_id", "fill", "look", "progress", "ward_of"]

PATIENTS = 8_000
SHORT = 10_000
PAGE = 100_000
"""Events in one transaction of the filling."""

# The copies of one event: seq, id and patient are put in the places of the first one's, in the body too. Ids grow with the number.
_NEW = """
WITH first AS MATERIALIZED (SELECT * FROM dateline_event WHERE seq = %(first)s),
made AS MATERIALIZED (
    SELECT n AS seq, ('01900000-' || lpad(to_hex(n >> 32), 4, '0') || '-7000-8000-' || lpad(to_hex(n & 4294967295), 12, '0'))::uuid AS id,
        'patient-' || lpad((n %% %(patients)s)::text, 6, '0') AS patient
    FROM generate_series(%(from)s::bigint, %(to)s::bigint) AS n
)"""

_COPIES = (
    """
INSERT INTO dateline_event
SELECT made.seq, tenant, made.id, kind, version, shape, cascade, actor, reason, occurred_at, recorded_at, outcome,
    cause, root, replace(subjects, %(patient)s, made.patient), b.body, encode(sha256(convert_to(b.body, 'UTF8')), 'hex')
FROM first, made, LATERAL (SELECT replace(replace(body, first.id::text, made.id::text), %(patient)s, made.patient) AS body) AS b""",
    """
INSERT INTO dateline_operation SELECT tenant, made.seq, ordinal, replace(step, %(patient)s, made.patient), verb, table_name,
    replace(row_key, %(patient)s, made.patient), replace(declared, %(patient)s, made.patient), replace(before, %(patient)s, made.patient),
    replace(after, %(patient)s, made.patient), handler, date, merged
FROM dateline_operation AS o, made WHERE o.seq = %(first)s""",
    """
INSERT INTO dateline_effect SELECT tenant, made.seq, ordinal, md5(made.id::text || ordinal)::uuid, replace(step, %(patient)s, made.patient),
    e.kind, replace(payload, %(patient)s, made.patient), handler, date
FROM dateline_effect AS e, made WHERE e.seq = %(first)s""",
    """
INSERT INTO dateline_subject SELECT tenant, replace(subject, %(patient)s, made.patient), made.seq
FROM dateline_subject AS s, made WHERE s.seq = %(first)s""",
    """
INSERT INTO dateline_personal SELECT tenant, made.seq, path, replace(subject, %(patient)s, made.patient), salt, value
FROM dateline_personal AS p, made WHERE p.seq = %(first)s""",
    "INSERT INTO dateline_position SELECT made.seq, first.tenant, made.seq FROM first, made",
)


@dataclass(frozen=True, slots=True)
class Pages:
    """What the newest fifty entries of something take, as medians in milliseconds.

    Args:
        first: Of something that nobody has looked at yet: nearly every row is in a block of its own that the server has to fetch.
        again: The same once more, when the server has them in its memory.
        whole: That, with every part of each entry asked for.
    """

    first: float
    again: float
    whole: float

    def __str__(self) -> str:
        return f"{self.first:.2f} ms, again {self.again:.2f}, read to the end {self.whole:.2f}"


@dataclass(frozen=True, slots=True)
class Followed:
    """What one look of a follower takes that has far to go, as medians in milliseconds.

    Args:
        everything: The next two hundred notices from any place.
        subject: The same of one subject, from the beginning.
        nothing: Of a kind that never occurs, from any place: two thousand positions are gone through.
    """

    everything: float
    subject: float
    nothing: float

    def __str__(self) -> str:
        return f"{self.everything:.2f} ms, of a subject {self.subject:.2f}, of what never occurs {self.nothing:.2f}"


@dataclass(frozen=True, slots=True)
class Look:
    """What was measured at one length, as medians in milliseconds.

    Args:
        dispatch: One event.
        timeline: A subject's.
        history: A row's.
        by_id: One event by its id.
        feed: A look of a follower that catches up.
    """

    events: int
    dispatch: float
    timeline: Pages
    history: Pages
    by_id: float
    feed: Followed


def fill(url: str, first: int, patient: str, since: int, until: int, done: Callable[[int], object]) -> None:
    """Fill a trail with copies of its first event, up to a number of events."""
    with connect(url, autocommit=True) as connection:
        for start in range(since, until + 1, PAGE):
            end = min(start + PAGE - 1, until)
            given = {"first": first, "patient": patient, "patients": PATIENTS, "from": start, "to": end}
            with connection.transaction():
                for copy in _COPIES:
                    connection.execute(f"{_NEW} {copy}".encode(), given)
            done(end - start + 1)
        connection.execute("SELECT setval('dateline_event_seq', %s)", (until,))
        connection.execute("VACUUM ANALYZE")


def look(ward: Dateline, units: Iterator[Unit], events: int, times: int) -> Look:
    """Measure at the length that the trail has now."""
    with ward.client() as do:
        for unit in (next(units) for _ in range(60)):
            do(unit)
        dispatch = _median(lambda: do(next(units)), times)
    # None comes twice, so that each is new once.
    names = (f"patient-{7919 * number % PATIENTS:06}" for number in range(7, 7 + 2 * times))
    timeline = _pages(ward, [{"subject": f"patient:{next(names)}"} for _ in range(times)])
    history = _pages(ward, [{"table": "patient", "row": next(names)} for _ in range(times)])
    # Copies only: what was dispatched in between has ids of its own.
    low = 2 if events == SHORT else 2 * SHORT
    ids = iter([copy_id(low + 7919 * number % (events - low)) for number in range(times)])
    by_id = _median(lambda: ward.runner.outcome(next(ids), tenant=TENANT), times)
    return Look(events, dispatch, timeline, history, by_id, _followed(ward, events, times))


def _followed(ward: Dateline, events: int, times: int) -> Followed:
    """Measure single looks of followers, each from another place of the feed."""
    runner = ward.runner
    connection = Connection(runner.engine)

    def looking(wanted: Wanted, afters: Iterator[int]) -> float:
        at = drive(runner.following(None, wanted), connection, Budget(timedelta(minutes=1)), _never)
        taken = []
        for _ in range(times):
            at.after = next(afters)
            taken.append(
                _taken(lambda: drive(runner.noticing(at, wanted), connection, Budget(timedelta(minutes=1)), _never))
            )
        return median(taken)

    try:
        anywhere = cycle([7919 * number % max(1, events - 2_000) for number in range(times)])
        everything = looking(Wanted(tenant=TENANT), anywhere)
        subjects = [Wanted(tenant=TENANT, subjects=(f"patient:patient-{7919 * n % PATIENTS:06}",)) for n in range(8)]
        subject = median([looking(one, repeat(0)) for one in subjects])
        nothing = looking(Wanted(tenant=TENANT, kinds=("no.such",)), anywhere)
    finally:
        connection.close()
    return Followed(everything, subject, nothing)


def _never(apart: object) -> None:
    raise AssertionError(apart)


def _pages(ward: Dateline, asked: Sequence[Asked]) -> Pages:
    page, *_ = pages = [partial(ward.runner.trail, **(_NEWEST | one)) for one in asked]
    for _ in range(10):
        # Until the statements are prepared and the server has settled on its plans.
        page()
    first, again, read = [], [], []
    for page in pages:
        first.append(_taken(page))
        again.append(_taken(page))
        read.append(_taken(partial(_read, page)))
    return Pages(median(first), median(again), median(read))


_NEWEST: Asked = {"tenant": TENANT, "limit": 50, "newest_first": True}


def _read(page: Callable[[], Page]) -> None:
    for entry in page():
        whole(entry)


def copy_id(number: int) -> UUID:
    """Return the id of the copy that has this number."""
    return UUID(f"01900000-{number >> 32:04x}-7000-8000-{number & 0xFFFFFFFF:012x}")


def _median(call: Callable[[], object], times: int) -> float:
    return median(_taken(call) for _ in range(times))


def _taken(call: Callable[[], object]) -> float:
    """Return how many milliseconds a call takes."""
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def plans(ward: Dateline) -> dict[str, str]:
    """Return the server's plans for a page, of what finds its events and of what reads each of their parts, for each way to ask."""
    asked: dict[str, Asked] = {
        "a subject's timeline": {"subject": "patient:patient-000007"},
        "a row's history": {"table": "patient", "row": "patient-000007"},
    }
    found = {}
    for name, filters in asked.items():
        flow = ward.runner.paging(_NEWEST | filters)
        batch: Batch = next(flow)
        begin, *looks, end = batch.statements
        explained = (
            Statement(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF, TIMING OFF, BUFFERS) {look.sql}", look.params)
            for look in looks
        )
        connection = Connection(ward.runner.engine)
        results = connection.execute(Batch((begin, *explained, end), opens=True, ends=True))
        connection.close()
        found[name] = "\n".join(str(row[0]) for result in results for row in result.rows)
    return found


@contextmanager
def ward_of(work: Work) -> Iterator[tuple[Dateline, str]]:
    """Give the ward on a PostgreSQL of its own."""
    with ground() as place, place.database(entrant("dateline")) as url:
        ward = Dateline(url)
        ward.prepare(work)
        Database.at(url).settle()
        ward.open()
        try:
            yield ward, url
        finally:
            ward.close()


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], object]]:
    """Show how far something is; give what tells that it is further."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as shown:
        yield partial(shown.advance, shown.add_task(what, total=total))


app = typer.Typer(name="longtrail", add_completion=False, pretty_exceptions_enable=False)


@app.command()
def longtrail(
    events: Annotated[int, typer.Option(min=SHORT, help="How long the trail gets.")] = 10_000_000,
    times: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on standard output.")] = False,
) -> None:
    """Measure a dispatch, a timeline, a row's history and an event by its id at ten thousand events and at millions."""
    work = Work(patients=PATIENTS)
    with ward_of(work) as (ward, url):
        units = work.units(0, 10**9)
        unit = next(units)
        with ward.client() as do:
            do(unit)
        # Each copy's position is its number, so the first has to have its own before.
        ward.runner.sequence()
        looks = []
        since = 2
        for until in (SHORT, events):
            with progress(f"to {until:,} events", until - since + 1) as advance:
                fill(url, 1, unit.patient, since, until, advance)
            looks.append(look(ward, units, until, times))
            with connect(url) as connection:
                row = connection.execute("SELECT max(seq) FROM dateline_event").fetchone()
            assert row is not None
            since = int(str(row[0])) + 1
        shown = plans(ward)
        size = Database.at(url).size()
    long, short = looks[-1], looks[0]
    if as_json:
        print(json.dumps({"looks": [asdict(one) for one in looks], "bytes": size, "actor": ACTOR, "plans": shown}))
        return
    console = Console(highlight=False)
    for one in looks:
        console.print(
            f"{one.events:>12,} events  dispatch {one.dispatch:.2f} ms  timeline {one.timeline}  "
            f"row's history {one.history}  by id {one.by_id:.2f} ms  feed {one.feed}"
        )
    console.print(
        f"dispatch at {long.events:,} / at {short.events:,}: {long.dispatch / short.dispatch:.2f} (wanted ≤ 1.15)"
    )
    console.print(f"{size / 2**30:.1f} GiB, {size / long.events:,.0f} bytes an event")
    for name, plan in shown.items():
        console.print(f"\n{name}\n{plan}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    app(prog_name="benchmarks.longtrail")
