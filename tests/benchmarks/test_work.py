"""The work is the same for everybody: in every process, for every number of clients."""

from __future__ import annotations

from itertools import chain

import pytest

from benchmarks.work import LANES, Rows, Work


def test_equal_seeds_give_equal_units() -> None:
    assert list(Work(64).units(0, 100)) == list(Work(64).units(0, 50)) + list(Work(64).units(50, 100))
    assert list(Work(64, seed=1).units(0, 100)) != list(Work(64, seed=2).units(0, 100))


@pytest.mark.parametrize("clients", [1, 2, 4, 8])
def test_no_two_clients_have_a_patient_in_common(clients: int) -> None:
    lanes = Work(64).lanes(0, 800, clients)

    patients = [{unit.patient for unit in lane} for lane in lanes]
    assert sum(map(len, patients)) == len(set(chain(*patients)))
    assert sorted(unit.number for lane in lanes for unit in lane) == list(range(800))
    assert {len(lane) for lane in lanes} == {800 // clients}


def test_one_hot_patient_is_everybodys() -> None:
    lanes = Work(64, hot=True).lanes(0, 320, 32)

    assert {unit.patient for lane in lanes for unit in lane} == {"patient-000000"}
    assert {len(lane) for lane in lanes} == {10}


def test_lanes_are_what_they_are_called() -> None:
    for unit in Work(64).units(0, 100):
        assert int(unit.patient.removeprefix("patient-")) % LANES == unit.number % LANES


def test_the_first_difference_is_told() -> None:
    rows = Rows((("a", 1), ("b", 2)), (("x",),))

    assert rows.difference(rows) == ""
    assert rows.difference(Rows((("a", 1), ("b", 3)), (("x",),))) == "patients: ('b', 2) and ('b', 3)"
    assert rows.difference(Rows(rows.patients, ())) == "1 and 0 prescriptions"
