"""Rule 16: conversions there and back keep what they do not say that they change; each way of breaking it is told with the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field

from dateline import Event, Unrepresentable, Versions, downgrade, load, upgrade
from dateline.core.check import checked
from dateline.core.law import breaches

HERE = __file__


class Dose(Event, kind="dose"):
    drug: str
    dose: Annotated[str, Field(examples=["007 mg"])] = "1 mg"


class DoseInMg(Event, kind="dose"):
    drug: str
    mg: Annotated[int, Field(ge=0, le=1_000_000)]


class DoseByUnit(Event, kind="dose"):
    drug: str
    amount: Annotated[int, Field(ge=0, le=1_000_000)]
    hours: int | None = None


def amount_of(old: Dose) -> int:
    number, _, unit = old.dose.partition(" ")
    if unit != "mg" or not (number.isascii() and number.isdigit()) or len(number) > 6:
        raise Unrepresentable("no amount in mg")
    return int(number)


@upgrade(rewrites=("dose",))
def read(old: Dose) -> DoseInMg:
    return DoseInMg(drug=old.drug, mg=amount_of(old))


@downgrade
def write(new: DoseInMg) -> Dose:
    return Dose(drug=new.drug, dose=f"{new.mg} mg")


@upgrade
def with_hours(old: DoseInMg) -> DoseByUnit:
    return DoseByUnit(drug=old.drug, amount=old.mg)


@downgrade(loses=("hours",))
def in_mg(new: DoseByUnit) -> DoseInMg:
    return DoseInMg(drug=new.drug, mg=new.amount)


LAWFUL = (read, write, with_hours, in_mg)


def chain(*conversions: Callable[..., Any]) -> Versions:
    """Return three shapes with these conversions, and lawful ones in the place of those that are not given."""
    given = {one.__name__.removeprefix("bad_"): one for one in conversions}
    made = [given.get(one.__name__, one) for one in LAWFUL]
    return Versions.of(
        {"2018-01-01": [Dose], "2019-01-01": [DoseInMg, *made[:2]], "2021-01-01": [DoseByUnit, *made[2:]]}
    )


def told(versions: Versions) -> list[tuple[str, str, str, str]]:
    [shapes] = versions.shapes
    return [(one.conversion.call.__name__, one.severity, one.reason, one.mend) for one in breaches(shapes)]


def test_lawful_conversions_are_left_alone() -> None:
    assert told(chain()) == []


def test_the_clinics_doses_keep_the_law_over_their_whole_chain() -> None:
    versions = load("versions")

    assert [len(shapes.chain) for shapes in versions.shapes if len(shapes.chain) > 1] == [3]
    assert [one for shapes in versions.shapes for one in breaches(shapes)] == []


def test_what_an_upgrade_rewrites_without_saying_so_is_told_with_the_value() -> None:
    @upgrade
    def bad_read(old: Dose) -> DoseInMg:
        return DoseInMg(drug=old.drug, mg=amount_of(old))

    [found, *_] = told(chain(bad_read))

    assert found == (
        "bad_read",
        "error",
        '{"dose":"007 mg","drug":"a"} and back is {"dose":"7 mg","drug":"a"} by way of {"drug":"a","mg":7}: another dose',
        "mend one of the two, or say that it is meant: @upgrade(rewrites=('dose',))",
    )


def test_what_a_downgrade_loses_without_saying_so_is_told_with_the_value() -> None:
    @downgrade
    def bad_in_mg(new: DoseByUnit) -> DoseInMg:
        return DoseInMg(drug=new.drug, mg=new.amount)

    [found] = told(chain(bad_in_mg))

    assert found[0] == "bad_in_mg"
    assert found[2] == (
        '{"amount":0,"drug":"a","hours":1} and back is {"amount":0,"drug":"a","hours":null} by way of {"drug":"a","mg":0}: another hours'
    )
    assert found[3].endswith("@downgrade(loses=('hours',))")


def test_what_is_lost_beside_what_is_said_to_be_lost_is_told() -> None:
    @downgrade(loses=("hours",))
    def bad_in_mg(new: DoseByUnit) -> DoseInMg:
        return DoseInMg(drug=new.drug.strip(), mg=new.amount // 10 * 10)

    found = told(chain(bad_in_mg))

    assert [(one[0], one[2].rpartition(": ")[2]) for one in found][:2] == [
        ("with_hours", "another drug"),
        ("bad_in_mg", "another drug"),
    ]
    assert found[1][3].endswith("@downgrade(loses=('hours', 'drug'))")


def test_a_conversion_that_fails_for_a_value_of_its_shape_is_told_with_it() -> None:
    @upgrade(rewrites=("dose",))
    def bad_read(old: Dose) -> DoseInMg:
        return DoseInMg(drug=old.drug, mg=int(old.dose.split(" ")[0]))

    [found] = told(chain(bad_read))

    assert found[:2] == ("bad_read", "error")
    assert found[2].startswith('fails for {"dose":"a","drug":"a"}: ValueError: invalid literal for int()')
    assert found[3] == "convert it, or raise Unrepresentable where the other shape has no word for it"


def test_what_is_rewritten_anew_each_time_is_told() -> None:
    @downgrade
    def bad_write(new: DoseInMg) -> Dose:
        return Dose(drug=new.drug, dose=f"{new.mg // 2} mg")

    found = told(chain(bad_write))

    assert ("bad_write", "mend one of the two, or say that it is meant: @downgrade(loses=('mg',))") in {
        (one[0], one[3]) for one in found
    }
    assert "let the second time change nothing" in {one[3] for one in found}


class Coded(Event, kind="coded"):
    code: Annotated[str, Field(pattern=r"^Q\d{7}-[XYZ]$")]


class Recoded(Event, kind="coded"):
    number: int


@upgrade
def number(old: Coded) -> Recoded:
    return Recoded(number=int(old.code[1:8]))


@downgrade
def code(new: Recoded) -> Coded:
    return Coded(code=f"Q{new.number:07d}-X")


def test_where_no_value_can_be_made_up_it_says_how_to_give_some() -> None:
    found = checked(Versions.of({"2018-01-01": [Coded], "2019-01-01": [Recoded, number, code]}))

    assert [(one.name, one.rule, one.severity) for one in found if one.rule == "untried"] == [
        ("number", "untried", "warning")
    ]
    [untried] = [one for one in found if one.rule == "untried"]
    assert (untried.file, untried.reason, untried.mend) == (
        HERE,
        "no Coded could be made up to try it on: no value for code",
        "give the field some: Field(examples=[…])",
    )


def test_the_examples_of_a_field_are_tried() -> None:
    class Known(Event, kind="known"):
        code: Annotated[str, Field(pattern=r"^Q\d{7}-[XYZ]$", examples=["Q0000001-X", "Q0000002-Y"])]

    class Renumbered(Event, kind="known"):
        number: Annotated[int, Field(ge=0, lt=10_000_000)]

    @upgrade
    def renumbered(old: Known) -> Renumbered:
        return Renumbered(number=int(old.code[1:8]))

    @downgrade
    def coded(new: Renumbered) -> Known:
        return Known(code=f"Q{new.number:07d}-X")

    for function, source, target in ((renumbered, Known, Renumbered), (coded, Renumbered, Known)):
        function.__annotations__.update({next(iter(function.__annotations__)): source, "return": target})
    versions = Versions.of({"2018-01-01": [Known], "2019-01-01": [Renumbered, renumbered, coded]})

    [found] = told(versions)

    assert found[2] == ('{"code":"Q0000002-Y"} and back is {"code":"Q0000002-X"} by way of {"number":2}: another code')


@pytest.mark.parametrize("bad", [True, False])
def test_over_the_whole_chain_nothing_is_lost_that_no_step_says(bad: bool) -> None:
    class First(Event, kind="walk"):
        n: int

    class Second(Event, kind="walk"):
        m: int

    class Third(Event, kind="walk"):
        k: int

    def through(source: type[Event], target: type[Event], name: str, how: Callable[[int], int], mark: Any) -> Any:
        def convert(event: Any) -> Any:
            return target(**{next(iter(target.model_fields)): how(next(iter(event.__dict__.values())))})

        convert.__annotations__.update({"event": source, "return": target})
        convert.__name__ = name
        return mark(convert)

    # Neighbours agree where they can represent it; the far ends meet values that neighbours never make.
    def halved(value: int) -> int:
        if bad and value == 12:
            return 12_000
        return value

    members = [
        through(First, Second, "up1", lambda value: value, upgrade),
        through(Second, First, "down1", lambda value: value, downgrade),
        through(Second, Third, "up2", halved, upgrade),
        through(Third, Second, "down2", lambda value: value, downgrade),
    ]
    versions = Versions.of(
        {"2018-01-01": [First], "2019-01-01": [Second, *members[:2]], "2020-01-01": [Third, *members[2:]]}
    )

    found = told(versions)

    assert bool(found) == bad
    assert bad <= any("over all shapes and back" in one[2] for one in found)
