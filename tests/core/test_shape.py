"""Rules 14 to 19: one kind in several shapes, each layer seeing the one for which it was written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy.orm import Mapped, mapped_column

from dateline import Effect, Event, Record, Snapshot, Versions, Yields, downgrade, given, handler, rows, upgrade
from dateline.core.cascade import Cascade
from dateline.errors import (
    BadSignature,
    HandlerFailed,
    Impure,
    Malformed,
    ShapeNewerThanVersion,
    Unconvertible,
    Unloadable,
    Unrepresentable,
)
from dateline.sql.dialect import question
from tests.core.library import Base


class Dose(Event, kind="dose", subjects=("patient:{patient}",)):
    """A dose as a text: "500 mg"."""

    patient: str
    dose: str


class DoseInMg(Event, kind="dose", subjects=("patient:{patient}",)):
    """A dose in milligrams."""

    patient: str
    dose_mg: int


class DoseByUnit(Event, kind="dose", subjects=("patient:{who}",)):
    """An amount with its unit, and how often."""

    who: str
    amount: int
    unit: str
    hours: int | None = None


class Seen(Effect, kind="seen"):
    by: str
    what: str


@upgrade(rewrites=("dose",))
def read(old: Dose) -> DoseInMg:
    number, _, unit = old.dose.partition(" ")
    if unit != "mg":
        raise Unrepresentable(f"no dose in mg: {unit}")
    return DoseInMg(patient=old.patient, dose_mg=int(number))


@downgrade
def write(new: DoseInMg) -> Dose:
    return Dose(patient=new.patient, dose=f"{new.dose_mg} mg")


@upgrade
def with_unit(old: DoseInMg) -> DoseByUnit:
    return DoseByUnit(who=old.patient, amount=old.dose_mg, unit="mg")


@downgrade(loses=("hours", "unit"))
def in_mg(new: DoseByUnit) -> DoseInMg:
    return DoseInMg(patient=new.who, dose_mg=new.amount * (1000 if new.unit == "g" else 1))


@downgrade(loses=("hours",))
def perhaps_in_mg(new: DoseByUnit) -> DoseInMg:
    if new.unit != "mg":
        raise Unrepresentable(f"no dose in mg: {new.unit}")
    return DoseInMg(patient=new.who, dose_mg=new.amount)


def seeing(shape: type[Event], name: str) -> Callable[..., Any]:
    """Return a handler of this name that tells which event it was given."""

    def see(event: Event) -> Yields[Seen]:
        yield Seen(by=name, what=repr(event))

    see.__name__ = name
    see.__annotations__ = {"event": shape, "return": Yields[Seen]}
    return handler(see)


FIRST, SECOND, THIRD = seeing(Dose, "first"), seeing(DoseInMg, "second"), seeing(DoseByUnit, "third")
CHAIN: dict[str | date, list[Any]] = {
    "2018-07-30": [Dose, FIRST],
    "2019-02-11": [DoseInMg, read, write, SECOND],
    "2021-10-04": [DoseByUnit, with_unit, in_mg, THIRD],
}
CHAINED = Versions.of(CHAIN)


def seen(event: Event, day: str, versions: Versions = CHAINED) -> dict[str, str]:
    """Return what each handler was given."""
    plan = versions.for_event(event, date.fromisoformat(day)).decide(event, {})
    return {one.slot: one.step.what for one in plan.planned if isinstance(one.step, Seen)}


AS_TEXT, AS_MG = Dose(patient="ann", dose="500 mg"), DoseInMg(patient="ann", dose_mg=500)
AS_AMOUNT = DoseByUnit(who="ann", amount=500, unit="mg")


@pytest.mark.parametrize("event", [AS_TEXT, AS_MG, AS_AMOUNT])
def test_each_layer_sees_the_shape_for_which_it_was_written(event: Event) -> None:
    assert seen(event, "2021-10-04") == {"first": repr(AS_TEXT), "second": repr(AS_MG), "third": repr(AS_AMOUNT)}


def test_before_a_shape_there_is_nobody_who_needs_it() -> None:
    assert seen(AS_TEXT, "2018-07-30") == {"first": repr(AS_TEXT)}
    with pytest.raises(ShapeNewerThanVersion):
        CHAINED.for_event(AS_MG, date(2018, 12, 31))


def test_a_conversion_begins_at_what_was_recorded_and_not_at_what_another_layer_saw() -> None:
    found = seen(DoseByUnit(who="ann", amount=2, unit="g", hours=8), "2021-10-04")

    assert found["second"] == repr(DoseInMg(patient="ann", dose_mg=2000))
    assert found["third"] == repr(DoseByUnit(who="ann", amount=2, unit="g", hours=8))


def test_meta_goes_along() -> None:
    event = AS_AMOUNT.stamped(at=datetime(2022, 1, 1, tzinfo=UTC), actor="dr-1")

    assert CHAINED.cascade("dose", date(2022, 1, 1)).shapes is not None
    shapes = CHAINED.cascade("dose", date(2022, 1, 1)).shapes
    assert shapes is not None
    assert shapes.convert(event, Dose).meta is event.meta


class Sized(DoseByUnit):
    tablets: int = 1


def test_a_subclass_is_had_by_its_defaults_and_its_base_without_them() -> None:
    fourth = seeing(Sized, "fourth")
    versions = Versions.of({**CHAIN, "2022-01-01": [Sized, fourth]})

    up, down = seen(AS_TEXT, "2022-01-01", versions), Sized(who="ann", amount=500, unit="mg", tablets=3)

    assert up["fourth"] == repr(Sized(who="ann", amount=500, unit="mg", tablets=1))
    assert seen(down, "2022-01-01", versions) == {
        "first": repr(AS_TEXT),
        "second": repr(AS_MG),
        "third": repr(AS_AMOUNT),
        "fourth": repr(down),
    }


def test_what_cannot_be_represented_refuses_the_event() -> None:
    with pytest.raises(Unrepresentable, match="no dose in mg: drops") as told:
        seen(Dose(patient="ann", dose="5 drops"), "2019-02-11")

    assert told.value.outcome == "unrepresentable"


@pytest.mark.parametrize(
    ("dose", "says"),
    [
        ("many mg", r"test_shape.py:\d+ read \(2019-02-11\) raised ValueError"),
        ("1 mg", "returns DoseByUnit, not DoseInMg"),
    ],
)
def test_a_conversion_that_fails_is_named_and_its_words_are_not_told(dose: str, says: str) -> None:
    @upgrade
    def otherwise(old: Dose) -> DoseInMg:
        return AS_AMOUNT  # type: ignore[return-value]  # what a type checker would refuse

    layer = [DoseInMg, read if dose == "many mg" else otherwise, write, SECOND]

    with pytest.raises(HandlerFailed, match=says):
        seen(
            Dose(patient="ann", dose=dose),
            "2019-02-11",
            Versions.of({"2018-07-30": [Dose, FIRST], "2019-02-11": layer}),
        )


def test_a_conversion_that_reaches_outside_is_stopped() -> None:
    @upgrade
    def looking(old: Dose) -> DoseInMg:
        return DoseInMg(patient=Path(__file__).read_text(), dose_mg=1)

    layers: dict[str | date, list[Any]] = {
        "2018-07-30": [Dose, FIRST],
        "2019-02-11": [DoseInMg, looking, write, SECOND],
    }

    with pytest.raises(
        Impure, match=r"test_shape.py:\d+ looking \(2019-02-11\) reaches outside of the decision \(open\)"
    ):
        seen(AS_TEXT, "2019-02-11", Versions.of(layers))


def test_an_event_of_a_class_that_no_version_knows_is_refused() -> None:
    class Stray(Event, kind="dose"):
        dose: str

    with pytest.raises(Malformed, match=r"Stray is no shape of dose that a version knows, and .* first .*make a Dose"):
        CHAINED.for_event(Stray(dose="1 mg"), date(2022, 1, 1))


# Refused when versions are made -----------------------------------------------------------------------------------------


@upgrade
def too_far(old: Dose) -> DoseByUnit:
    return DoseByUnit(who=old.patient, amount=1, unit="mg")


@upgrade
def twice(old: Dose) -> DoseInMg:
    return DoseInMg(patient=old.patient, dose_mg=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"2019-02-11": [DoseInMg, write, SECOND]},
            "write beside it @upgrade def ….event: test_shape.Dose. -> .*DoseInMg",
        ),
        ({"2019-02-11": [DoseInMg, read, SECOND]}, "write beside it @downgrade def ….event: test_shape.DoseInMg. ->"),
        (
            {"2021-10-04": [DoseByUnit, with_unit, in_mg, too_far]},
            "Dose and DoseByUnit are not one shape of dose and the next",
        ),
        ({"2019-02-11": [DoseInMg, read, twice, write]}, r"twice: .*test_shape.py:\d+ read does that already"),
        (
            {"2021-10-04": [DoseByUnit, with_unit, perhaps_in_mg, THIRD]},
            r"perhaps_in_mg: may raise Unrepresentable, and .* first of 2018-07-30 is written for .*Dose; supersede that",
        ),
    ],
)
def test_a_shape_that_cannot_be_had_is_refused_with_place_and_mend(
    change: dict[str | date, list[Any]], says: str
) -> None:
    with pytest.raises(Unconvertible, match=says):
        Versions.of({**CHAIN, **change})


def test_a_downgrade_may_raise_where_nobody_needs_the_older_shape_any_more() -> None:
    @handler(supersedes=FIRST)
    def first_by_unit(event: DoseByUnit) -> Yields[Seen]:
        yield Seen(by="first", what=event.unit)

    @handler(supersedes=SECOND)
    def second_by_unit(event: DoseByUnit) -> Yields[Seen]:
        yield Seen(by="second", what=event.unit)

    layer = [DoseByUnit, with_unit, perhaps_in_mg, first_by_unit, second_by_unit, THIRD]
    versions = Versions.of({**CHAIN, "2021-10-04": layer})

    assert seen(DoseByUnit(who="ann", amount=1, unit="ml"), "2021-10-04", versions)["first"] == "ml"


def no_event(old: str) -> DoseInMg:
    return AS_MG


def two(old: Dose, other: Dose) -> DoseInMg:
    return AS_MG


def itself(old: Dose) -> Dose:
    return old


@upgrade(rewrites=("doses",))
def misnaming(old: Dose) -> DoseInMg:
    return AS_MG


class Elsewhere(Event, kind="elsewhere"):
    pass


def other_kind(old: Dose) -> Elsewhere:
    return Elsewhere()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (upgrade(no_event), "takes one event and returns another of its kind"),
        (upgrade(cast(Any, two)), "takes one event and returns another of its kind"),
        (upgrade(itself), "takes dose and returns dose, two shapes of one kind are meant"),
        (downgrade(other_kind), "takes dose and returns elsewhere, two shapes of one kind are meant"),
        (misnaming, "has no field 'doses'"),
    ],
)
def test_a_conversion_whose_signature_does_not_say_between_what_is_refused(function: Any, says: str) -> None:
    with pytest.raises(BadSignature, match=rf"test_shape.py:\d+ \w+: .*{says}"):
        Versions.of({"2018-07-30": [Dose, FIRST], "2019-02-11": [DoseInMg, function, write]})
    assert issubclass(BadSignature, Unloadable)


# Snapshots (rule 19) ----------------------------------------------------------------------------------------------------


class Patient(Base):
    __tablename__ = "dosed_patient"

    id: Mapped[str] = mapped_column(primary_key=True)


class Known(Record[Patient]):
    id: str


class Chart(Snapshot):
    patient: Known = rows(Patient.id == given("patient"))


@handler
def charted(event: Dose, chart: Chart) -> Yields[Seen]:
    yield Seen(by="chart", what=chart.patient.id)


def asked(cascade: Cascade, event: Event) -> list[Any]:
    """Return what the queries of a cascade are asked with."""
    return [get(event) for one in cascade.fields for _, get in question(one).normal.given]


def test_a_snapshot_is_asked_with_the_event_in_the_shape_of_its_date() -> None:
    versions = Versions.of({**CHAIN, "2018-07-30": [Dose, Chart, charted]})
    cascade = versions.cascade("dose", date(2021, 10, 4))

    assert [one.shape and one.shape[0] for one in cascade.fields] == [Dose]
    assert asked(cascade, DoseByUnit(who="ann", amount=1, unit="mg")) == ["ann"]
    assert asked(versions.cascade("dose", date(2018, 7, 30)), AS_TEXT) == ["ann"]
