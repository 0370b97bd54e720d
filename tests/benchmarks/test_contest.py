"""Contests: all that can take part leave the same rows, and who does not is found out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from benchmarks.contest import Contest, Ground, Size
from benchmarks.crew import crew
from benchmarks.field import FIELD, Entrant, entrant
from benchmarks.team import Broken, Team
from benchmarks.work import Work

SIZE = Size(patients=16, rounds=2, units=8, hot=16, warm=8)
FORGETFUL = Entrant("forgetful", "tests.benchmarks.faulty:Forgetful", "leaves one unit undone")
FAILING = Entrant("failing", "tests.benchmarks.faulty:Failing", "fails at one unit")


def contest(entrants: Sequence[Entrant], processes: int = 1, clients: int = 1, *, hot: bool = False) -> Contest:
    return Contest("tiny", "tiny", tuple(one.name for one in entrants), processes, clients, hot)


def test_every_contestant_that_needs_no_peer_leaves_the_same_rows(ground: Ground) -> None:
    work = Work(SIZE.patients)
    left = {}

    for one in FIELD:
        if not one.needs and one.leaves_rows:
            with ground.database(one) as url:
                contestant = one.load()(url)
                contestant.prepare(work)
                held = crew(contestant, 1)
                held.run([list(work.units(0, 24))])
                held.close()
                left[one.name] = contestant.rows()

    assert {name: rows.difference(left["psycopg"]) for name, rows in left.items()} == dict.fromkeys(left, "")
    assert len(left["psycopg"].prescriptions) == SIZE.patients * 5 + 24


def test_every_peer_that_is_installed_leaves_the_same_rows(ground: Ground) -> None:
    # In processes of their own: some of them change what they find, such as all of SQLAlchemy's sessions.
    here = [entrant("psycopg"), *(one for one in FIELD if one.needs and not one.missing())]

    outcome = ground.hold(contest(here), here, SIZE)

    assert outcome.difference == ""
    assert {name: len(found.rates) for name, found in outcome.figures.items()} == dict.fromkeys(
        [one.name for one in here], SIZE.rounds
    )


def test_two_processes_of_four_clients_leave_the_rows_that_one_client_leaves(ground: Ground) -> None:
    # This one guards nothing: its rows are right because no two clients have a patient in common.
    plain = [entrant("psycopg")]
    work = Work(SIZE.patients)

    with ground.database(plain[0]) as url, Team(plain[0], url, work, 2, 4) as team:
        team.prepare()
        team.open()
        done = team.run(0, 64)
        left = team.rows()

    with ground.database(plain[0]) as url:
        alone = plain[0].load()(url)
        alone.prepare(work)
        held = crew(alone, 1)
        held.run([list(work.units(0, 64))])
        held.close()
        assert left == alone.rows()
    assert len(done.latencies) == 64


def test_writers_of_one_row_lose_no_update(ground: Ground) -> None:
    pair = [entrant("dateline"), entrant("psycopg-locked")]

    outcome = ground.hold(contest(pair, clients=8, hot=True), pair, SIZE)

    assert outcome.difference == ""


def test_an_unguarded_writer_of_one_row_is_found_out(ground: Ground) -> None:
    pair = [entrant("psycopg-locked"), entrant("psycopg")]

    outcome = ground.hold(contest(pair, clients=8, hot=True), pair, Size(16, 2, units=8, hot=64, warm=8))

    assert re.match(r"tiny: psycopg-locked and psycopg differ in patients: ", outcome.difference)


def test_a_contestant_that_leaves_a_unit_undone_is_found_out(ground: Ground) -> None:
    pair = [entrant("psycopg"), FORGETFUL]

    outcome = ground.hold(contest(pair), pair, SIZE)

    assert outcome.difference.startswith("tiny: psycopg and forgetful differ in patients: ('patient-")


def test_a_contestant_that_fails_ends_the_contest_and_says_why(ground: Ground) -> None:
    with pytest.raises(Broken, match=r"(?s)failing:.*RuntimeError: the thirteenth"):
        ground.hold(contest([FAILING]), [FAILING], SIZE)
