"""A filled trail is a trail: it verifies, is read by subject, row and id, and goes on growing."""

from __future__ import annotations

import re

from benchmarks.database import connect
from benchmarks.longtrail import fill, plans, ward_of
from benchmarks.peers.dateline import TENANT
from benchmarks.work import Work


def test_copies_of_an_event_verify_and_are_found_and_the_trail_goes_on() -> None:
    filled: list[int] = []
    with ward_of(Work(patients=80)) as (ward, url):
        units = Work(patients=80).units(0, 10)
        first = next(units)
        with ward.client() as do:
            do(first)

            fill(url, 1, first.patient, 2, 250, filled.append)
            do(next(units))

        verified = ward.runner.verify(tenant=TENANT)
        copies = ward.runner.trail(tenant=TENANT, subject="patient:patient-000042")
        history = ward.runner.trail(tenant=TENANT, table="patient", row="patient-000042")
        newest = ward.runner.trail(tenant=TENANT, limit=1, newest_first=True)[0]
        found = ward.runner.outcome(copies[0].id, tenant=TENANT)
        asked = plans(ward)

    assert filled == [249]
    assert (verified.events, verified.faults) == (251, ())
    assert [entry.input["patient"] for entry in copies] == [entry.input["patient"] for entry in history]
    assert found == copies[0]
    assert newest.seq == 251
    assert sorted(asked) == ["a row's history", "a subject's timeline"]


def test_a_page_of_a_long_timeline_is_found_by_looking_at_no_more_than_the_page() -> None:
    with ward_of(Work(patients=80)) as (ward, url):
        first = next(Work(patients=80).units(0, 1))
        with ward.client() as do:
            do(first)
        # Copies name eight thousand patients, so most of these have two events each; the one looked for has a long timeline.
        fill(url, 1, first.patient, 2, 16_000, lambda _: None)
        with connect(url, autocommit=True) as connection:
            connection.execute(
                "UPDATE dateline_subject SET subject = 'patient:patient-000007' WHERE seq % 16 = 0 AND subject LIKE 'patient:%'"
            )
            connection.execute(
                "UPDATE dateline_operation SET row_key = 'patient-000007' WHERE seq % 16 = 0 AND table_name = 'patient'"
            )
            connection.execute("VACUUM ANALYZE")
        found = plans(ward)

    for name, index in (
        ("a subject's timeline", "dateline_subject_pkey"),
        ("a row's history", "dateline_operation_row"),
    ):
        looked, _, parts = found[name].partition("\nIndex Scan Backward using dateline_event_pkey")
        assert re.findall(r"using (\w+) on \w+ \(actual rows=(\d+)", looked) == [(index, "51")]
        assert index not in parts
