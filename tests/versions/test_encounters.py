"""An encounter is opened by whatever comes first, and registration fills it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from clinic.tables import Encounter
from dateline import Insert, Update
from versions.v2013_02_01 import encounters as rules

AT = datetime(2014, 5, 6, 7, 30, tzinfo=UTC)
EARLIER = AT - timedelta(minutes=20)

FINDINGS: dict[str, Any] = {
    "infection_suspected": True,
    "sirs_two_or_more": True,
    "hypotension": False,
    "hypoxia": False,
    "oliguria": False,
    "organ_dysfunction": False,
}
OTHER_BOXES: dict[str, Any] = {
    name: False
    for name, field in rules.Register.model_fields.items()
    if field.annotation is bool and name not in FINDINGS
}


def register(**told: Any) -> rules.Register:
    made: rules.Register = rules.Register(encounter="XJ", **FINDINGS, **OTHER_BOXES, **told)
    return made.stamped(at=AT, actor="reception")


def test_registration_opens_the_encounter_with_its_findings() -> None:
    event = register(age_years=90, diagnosis="C")

    steps = list(rules.registration_fills_the_encounter_in(event, rules.Registration(encounter=None)))

    assert steps == [
        Insert(Encounter, id="XJ", opened_at=AT, age_years=90, diagnosis="C", registered_at=AT, **FINDINGS)
    ]


def test_registration_fills_in_an_encounter_that_something_else_opened() -> None:
    known = rules.Registered(id="XJ", registered_at=None)

    steps = list(rules.registration_fills_the_encounter_in(register(age_years=90), rules.Registration(encounter=known)))

    assert steps == [Update(known, registered_at=AT, **FINDINGS, age_years=90)]


def test_registration_that_tells_no_age_leaves_the_age_that_another_form_told() -> None:
    known = rules.Registered(id="XJ", registered_at=None)

    [step] = rules.registration_fills_the_encounter_in(register(), rules.Registration(encounter=known))

    assert not {"age_years", "diagnosis"} & step.values.keys()


def test_a_second_registration_corrects_the_findings_and_keeps_the_first_instant() -> None:
    known = rules.Registered(id="XJ", registered_at=EARLIER)

    [step] = rules.registration_fills_the_encounter_in(register(), rules.Registration(encounter=known))

    assert step == Update(known, registered_at=EARLIER, **FINDINGS)


def test_triage_opens_an_encounter_that_nobody_registered() -> None:
    event = rules.Triage(encounter="XJ", age_years=35).stamped(at=AT, actor="nurse")

    steps = list(rules.the_first_triage_counts(event, rules.Urgency(encounter=None)))

    assert steps == [Insert(Encounter, id="XJ", opened_at=AT, age_years=35, diagnosis=None, triaged_at=AT)]


def test_only_the_first_triage_counts() -> None:
    event = rules.Triage(encounter="XJ").stamped(at=AT, actor="nurse")
    waiting = rules.Triaged(id="XJ", triaged_at=None)
    seen = rules.Triaged(id="XJ", triaged_at=EARLIER)

    assert list(rules.the_first_triage_counts(event, rules.Urgency(encounter=waiting))) == [
        Update(waiting, triaged_at=AT)
    ]
    assert list(rules.the_first_triage_counts(event, rules.Urgency(encounter=seen))) == []


def test_only_the_first_sepsis_triage_counts() -> None:
    event = rules.SepsisTriage(encounter="XJ").stamped(at=AT, actor="nurse")
    waiting = rules.SepsisTriaged(id="XJ", sepsis_triaged_at=None)
    seen = rules.SepsisTriaged(id="XJ", sepsis_triaged_at=EARLIER)

    assert list(rules.the_first_sepsis_triage_counts(event, rules.Suspicion(encounter=None))) == [
        Insert(Encounter, id="XJ", opened_at=AT, age_years=None, diagnosis=None, sepsis_triaged_at=AT)
    ]
    assert list(rules.the_first_sepsis_triage_counts(event, rules.Suspicion(encounter=waiting))) == [
        Update(waiting, sepsis_triaged_at=AT)
    ]
    assert list(rules.the_first_sepsis_triage_counts(event, rules.Suspicion(encounter=seen))) == []


def test_admission_release_and_return_are_the_latest() -> None:
    known = rules.Open(id="XJ")
    visit = rules.Visit(encounter=known)
    admit = rules.Admit(encounter="XJ", ward="intensive-care").stamped(at=AT, actor="ward")
    release = rules.Release(encounter="XJ", release="A").stamped(at=AT, actor="ward")
    back = rules.Return(encounter="XJ").stamped(at=AT, actor="reception")

    assert list(rules.the_patient_is_on_the_ward_of_the_latest_admission(admit, visit)) == [
        Update(known, ward="intensive-care", admitted_at=AT)
    ]
    assert list(rules.the_release_is_kept(release, visit)) == [Update(known, release="A", released_at=AT)]
    assert list(rules.the_return_is_kept(back, visit)) == [Update(known, returned_at=AT)]


def test_admission_release_and_return_open_an_encounter_too() -> None:
    nothing = rules.Visit(encounter=None)
    opened: dict[str, Any] = {"id": "XJ", "opened_at": AT, "age_years": None, "diagnosis": None}
    admit = rules.Admit(encounter="XJ", ward="normal-care").stamped(at=AT, actor="ward")
    release = rules.Release(encounter="XJ", release="E").stamped(at=AT, actor="ward")
    back = rules.Return(encounter="XJ").stamped(at=AT, actor="reception")

    assert list(rules.the_patient_is_on_the_ward_of_the_latest_admission(admit, nothing)) == [
        Insert(Encounter, **opened, ward="normal-care", admitted_at=AT)
    ]
    assert list(rules.the_release_is_kept(release, nothing)) == [
        Insert(Encounter, **opened, release="E", released_at=AT)
    ]
    assert list(rules.the_return_is_kept(back, nothing)) == [Insert(Encounter, **opened, returned_at=AT)]
