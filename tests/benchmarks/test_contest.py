"""Contests: all that can take part leave the same rows, and who does not is found out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.contest import Contest, Ground, Size
from benchmarks.crew import crew
from benchmarks.field import FIELD, Entrant, entrant
from benchmarks.team import Broken, Team
from benchmarks.work import Rows, Work

SIZE = Size(patients=16, rounds=2, units=8, hot=16, warm=8)
FORGETFUL = Entrant("forgetful", "tests.benchmarks.faulty:Forgetful", "leaves one unit undone")
FAILING = Entrant("failing", "tests.benchmarks.faulty:Failing", "fails at one unit")


def contest(entrants: Sequence[Entrant], processes: int = 1, clients: int = 1, *, hot: bool = False) -> Contest:
    return Contest("tiny", "tiny", tuple(one.name for one in entrants), processes, clients, hot)


def left(ground: Ground, one: Entrant, units: int, clients: int = 1, *, hot: bool = False) -> Rows:
    """Return what a contestant leaves that is run in this process."""
    work = Work(SIZE.patients, hot=hot)
    with ground.database(one) as url:
        contestant = one.load()(url)
        contestant.prepare(work)
        held = crew(contestant, clients)
        held.run(work.lanes(0, units, clients))
        held.close()
        return contestant.rows()


def test_every_contestant_that_needs_no_peer_leaves_the_same_rows(ground: Ground) -> None:
    here = [one for one in FIELD if not one.needs and one.leaves_rows]

    rows = {one.name: left(ground, one, 24) for one in here}

    assert {name: found.difference(rows["psycopg"]) for name, found in rows.items()} == dict.fromkeys(rows, "")
    assert len(rows["psycopg"].prescriptions) == SIZE.patients * 5 + 24


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
    plain = entrant("psycopg")

    with ground.database(plain) as url, Team(plain, url, Work(SIZE.patients), 2, 4) as team:
        team.prepare()
        team.open()
        done = team.run(0, 64)
        rows = team.rows()

    assert rows == left(ground, plain, 64)
    assert len(done.latencies) == 64


@pytest.mark.parametrize(
    ("name", "lost"), [("dateline", False), ("psycopg-locked", False), ("psycopg-guarded", False), ("psycopg", True)]
)
def test_writers_of_one_row_lose_no_update_unless_nothing_guards_it(ground: Ground, name: str, lost: bool) -> None:
    rows = left(ground, entrant(name), 64, clients=8, hot=True)

    counted = {patient[0]: patient[4] for patient in rows.patients}
    assert len(rows.prescriptions) == SIZE.patients * 5 + 64
    assert (counted["patient-000000"] != 64) == lost
    assert set(counted.values()) == {0, counted["patient-000000"]}


def test_who_was_the_last_at_the_hot_row_makes_no_difference(ground: Ground) -> None:
    pair = [entrant("psycopg-locked"), entrant("psycopg-guarded")]

    outcome = ground.hold(contest(pair, clients=8, hot=True), pair, SIZE)

    assert outcome.difference == ""


def test_a_contestant_that_leaves_a_unit_undone_is_found_out(ground: Ground) -> None:
    pair = [entrant("psycopg"), FORGETFUL]

    outcome = ground.hold(contest(pair), pair, SIZE)

    assert outcome.difference.startswith("tiny: psycopg and forgetful differ in patients: ('patient-")


def test_a_contestant_that_fails_ends_the_contest_and_says_why(ground: Ground) -> None:
    with pytest.raises(Broken, match=r"(?s)failing:.*RuntimeError: the thirteenth"):
        ground.hold(contest([FAILING]), [FAILING], SIZE)
