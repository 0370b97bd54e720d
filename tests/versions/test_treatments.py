"""How long the first antibiotics may take, under each date's rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from clinic.effects import SepsisReview
from clinic.tables import Encounter
from dateline import Insert, Update
from versions.v2013_02_01 import treatments as rules
from versions.v2018_04_19 import treatments as hour
from versions.v2021_10_04 import treatments as shock

AT = datetime(2014, 5, 6, 7, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def give(treatment: Literal["antibiotics", "liquid"] = "antibiotics") -> rules.GiveTreatment:
    return rules.GiveTreatment(encounter="XJ", treatment=treatment).stamped(at=AT, actor="nurse")


def waited(wait: timedelta | None, *, antibiotics_at: datetime | None = None) -> rules.Wait:
    return rules.Wait(
        encounter=rules.Waiting(
            id="XJ", sepsis_triaged_at=None if wait is None else AT - wait, antibiotics_at=antibiotics_at
        )
    )


def findings(hypotension: bool | None) -> shock.Shock:
    return shock.Shock(encounter=shock.Findings(id="XJ", hypotension=hypotension))


def reviews(steps: Iterator[SepsisReview]) -> list[timedelta]:
    found = list(steps)
    assert all(review.encounter == "XJ" for review in found)
    return [review.waited for review in found]


def test_a_treatment_opens_an_encounter_that_nobody_registered() -> None:
    event = rules.GiveTreatment(encounter="XJ", treatment="liquid", age_years=60).stamped(at=AT, actor="nurse")

    assert list(rules.the_first_of_each_treatment_counts(event, rules.Treatment(encounter=None))) == [
        Insert(
            Encounter,
            id="XJ",
            opened_at=AT,
            age_years=60,
            diagnosis=None,
            antibiotics_at=None,
            liquid_at=AT,
        )
    ]


def test_only_the_first_of_each_treatment_counts() -> None:
    none = rules.Treated(id="XJ", antibiotics_at=None, liquid_at=None)
    both = rules.Treated(id="XJ", antibiotics_at=AT, liquid_at=AT)

    def steps(treatment: Literal["antibiotics", "liquid"], treated: rules.Treated) -> list[object]:
        return list(rules.the_first_of_each_treatment_counts(give(treatment), rules.Treatment(encounter=treated)))

    assert steps("antibiotics", none) == [Update(none, antibiotics_at=AT)]
    assert steps("liquid", none) == [Update(none, liquid_at=AT)]
    assert steps("antibiotics", both) == []
    assert steps("liquid", both) == []


@pytest.mark.parametrize(
    ("wait", "reviewed"),
    [(timedelta(hours=3), False), (timedelta(hours=3) + SECOND, True), (timedelta(0), False)],
)
def test_from_2013_antibiotics_after_more_than_three_hours_are_reviewed(wait: timedelta, reviewed: bool) -> None:
    assert reviews(rules.late_antibiotics_are_reviewed(give(), waited(wait))) == [wait] * reviewed


@pytest.mark.parametrize(("wait", "reviewed"), [(timedelta(hours=1), False), (timedelta(hours=1) + SECOND, True)])
def test_from_2018_antibiotics_after_more_than_one_hour_are_reviewed(wait: timedelta, reviewed: bool) -> None:
    assert reviews(hour.late_antibiotics_are_reviewed(give(), waited(wait))) == [wait] * reviewed


@pytest.mark.parametrize(
    ("hypotension", "wait", "reviewed"),
    [
        (True, timedelta(hours=1), False),
        (True, timedelta(hours=1) + SECOND, True),
        (False, timedelta(hours=3), False),
        (False, timedelta(hours=3) + SECOND, True),
        (None, timedelta(hours=3), False),
        (None, timedelta(hours=3) + SECOND, True),
    ],
)
def test_from_2021_it_is_one_hour_with_hypotension_and_three_without(
    hypotension: bool | None, wait: timedelta, reviewed: bool
) -> None:
    steps = shock.late_antibiotics_are_reviewed(give(), waited(wait), findings(hypotension))

    assert reviews(steps) == [wait] * reviewed


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("event", "wait"),
    [
        pytest.param(give("liquid"), waited(DAY), id="not antibiotics"),
        pytest.param(give(), waited(None), id="no sepsis triage before"),
        pytest.param(give(), waited(DAY, antibiotics_at=AT - SECOND), id="not the first antibiotics"),
        pytest.param(give(), rules.Wait(encounter=None), id="nothing came before"),
    ],
)
def test_nothing_else_is_reviewed_at_any_date(event: rules.GiveTreatment, wait: rules.Wait) -> None:
    unknown = shock.Shock(encounter=None)

    assert reviews(rules.late_antibiotics_are_reviewed(event, wait)) == []
    assert reviews(hour.late_antibiotics_are_reviewed(event, wait)) == []
    assert reviews(shock.late_antibiotics_are_reviewed(event, wait, unknown)) == []
