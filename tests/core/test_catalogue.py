"""What versions say of a kind, told without a database and without running anything."""

from __future__ import annotations

from datetime import date

import pytest

from dateline import UnknownKind, Versions, load, retired
from dateline.core.catalogue import Explanation, Input, Read, explained
from tests.core import test_amendment as giving
from tests.core.test_shape import CHAIN

CLINIC = load("versions")


def told(version: str) -> Explanation:
    return explained(CLINIC, "prescription.submit", version)


def test_the_shape_in_force_is_told_field_by_field() -> None:
    found = told("2021-10-04")

    assert (found.version, found.shape, found.shapes) == (
        "2021-10-04",
        "2021-10-04",
        ("2018-07-30", "2019-02-11", "2021-10-04"),
    )
    assert found.input[2:5] == (
        Input("amount", "Decimal", ("> 0", "at most 9 digits", "at most 3 of them decimals"), True, None, False),
        Input("unit", "'mg' | 'g'", (), False, "'mg'", False),
        Input("every_hours", "int | None", ("≥ 1", "≤ 48"), False, "None", False),
    )
    assert [one.name for one in found.input if one.personal] == ["instructions"]


def test_who_decides_is_told_with_date_place_and_who_did_before() -> None:
    slots = {slot.name: slot for slot in told("2021-10-04").slots}

    written = slots["the_prescription_is_written"]
    assert written.holder is not None
    assert (written.opened, written.since, written.holder.doc) == (
        "2018-07-30",
        "2021-10-04",
        "As it was sent, with its unit and how often.",
    )
    assert written.holder.file.endswith("versions/v2021_10_04/prescriptions.py")
    assert [one.since for one in written.before] == ["2018-07-30", "2019-02-11"]
    assert slots["not_allergic"].yields == ("allergic",)


@pytest.mark.parametrize(
    ("version", "operations", "effects"),
    [
        ("2018-07-30", ("Insert:prescription",), ("patient.notify",)),
        ("2018-08-01", ("Insert:prescription", "Insert:task"), ("nurses.tell", "patient.notify")),
    ],
)
def test_what_can_come_of_it_is_told_by_the_signatures(
    version: str, operations: tuple[str, ...], effects: tuple[str, ...]
) -> None:
    found = told(version)

    assert (found.operations, found.effects) == (operations, effects)
    assert found.rejections == ("not_allergic/allergic", "not_prescribed_already/duplicate")


def test_what_is_read_is_told_with_its_columns_and_the_shape_that_asks() -> None:
    assert told("2018-07-30").reads[0] == Read("Chart", "patient", "one", "patient", ("id", "name", "phone"), None)
    assert told("2021-10-04").reads[2:4] == (
        Read("Chart", "allergic", "at most one", "allergy", ("ingredient", "patient"), "2018-07-30"),
        Read("Chart", "running", "many", "prescription", ("ends_at", "id"), "2018-07-30"),
    )


def test_amendments_and_retirements_are_told() -> None:
    versions = Versions.of(
        {
            "2024-01-01": giving.FIRST,
            "2025-01-01": (giving.quiet, giving.all_is_well),
            "2026-01-01": (retired(giving.log, because="nobody reads it"),),
        }
    )

    slots = {slot.name: slot for slot in explained(versions, "give").slots}

    assert (slots["quiet"].amends, slots["all_is_well"].amends) == (("write/note",), ("not_all/greedy",))
    assert (slots["log"].holder, slots["log"].since, slots["log"].yields) == (None, "2026-01-01", ())


def test_a_version_before_a_shape_does_not_tell_of_it() -> None:
    assert explained(Versions.of(CHAIN), "dose", "2020-01-01").shapes == ("2018-07-30", "2019-02-11")


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownKind, match=r"prescription\.submit begins with version 2018-07-30"):
        explained(CLINIC, "prescription.submit", date(2018, 4, 19))
