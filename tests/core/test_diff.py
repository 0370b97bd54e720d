"""The laws of a difference: of one decision there is none, and in the other direction it is its inverse."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dateline.core.decision import OPEN, Decided, Decision
from dateline.core.diff import Diff

VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=2)


@st.composite
def steps(draw: Any) -> tuple[Decided, ...]:
    made: dict[str, Decided] = {}
    for ordinal in range(draw(st.integers(0, 5))):
        sort = draw(st.sampled_from(("insert", "update", "delete", "effect", "rejection")))
        slot, part = draw(st.sampled_from(("one", "two"))), draw(st.sampled_from("xy"))
        of = {
            "effect": draw(st.sampled_from(("ping", "pong"))),
            "rejection": draw(st.sampled_from(("no", "never"))),
        }.get(sort, "cell")
        key = f"{slot}/{of}[{part}]"
        row: Any = None if sort in ("effect", "rejection") else part
        if sort == "insert" and draw(st.booleans()):
            row = OPEN
        values = {} if sort == "delete" else draw(VALUES)
        made[key] = Decided(
            key=key, sort=sort, of=of, row=row, values=values, handler=f"h.{slot}", date="2024-01-01", ordinal=ordinal
        )
    return tuple(made.values())


@st.composite
def decisions(draw: Any) -> Decision:
    found = draw(steps())
    outcome = "rejected" if any(one.sort == "rejection" for one in found) else "committed"
    return Decision(version=date(2024, 1, 1), outcome=outcome, steps=found)


def diff(one: Decision, other: Decision) -> Diff:
    return Diff.of(one, other, kind="slip")


@given(decisions())
def test_of_one_decision_there_is_no_difference(one: Decision) -> None:
    found = diff(one, one)

    assert (bool(found), found.items, found.rekeyed) == (False, (), ())


@given(decisions(), decisions())
def test_in_the_other_direction_it_is_the_inverse(one: Decision, other: Decision) -> None:
    there, back = diff(one, other), diff(other, one)

    inverse = {"new": "gone", "gone": "new", "changed": "changed"}
    assert sorted((i.change, _keys(i.before), _keys(i.after)) for i in back.items) == sorted(
        (inverse[i.change], _keys(i.after), _keys(i.before)) for i in there.items
    )
    assert bool(there) == bool(back)


def _keys(found: tuple[Decided, ...]) -> list[str]:
    return [one.key for one in found]


def decided(key: str, sort: str, of: str, row: Any = None, **values: Any) -> Decided:
    return Decided(key=key, sort=sort, of=of, row=row, values=values, handler="h", date="2024-01-01")


def of(*found: Decided) -> Decision:
    return Decision(version=date(2024, 1, 1), outcome="committed", steps=found)


def test_the_same_effect_under_another_key_is_no_difference() -> None:
    before, after = (
        of(decided("old/ping[x]", "effect", "ping", to="x")),
        of(decided("new/ping[x]", "effect", "ping", to="x")),
    )

    found = diff(before, after)

    assert (bool(found), [one.key for one in found.rekeyed]) == (False, ["new/ping[x]"])


def test_an_effect_of_another_type_is_unwanted_and_new() -> None:
    before, after = of(decided("a/b", "effect", "ping", to="x")), of(decided("a/b", "effect", "pong", to="x"))

    assert [(one.change, one.shown.of) for one in diff(before, after).items] == [("gone", "ping"), ("new", "pong")]


def test_a_row_is_compared_by_what_is_left_of_it_whoever_wrote_it() -> None:
    same = diff(
        of(decided("a/Update:cell[x]", "update", "cell", "x", a=1)),
        of(decided("b/Update:cell[x]", "update", "cell", "x", a=1)),
    )
    other = diff(
        of(decided("a/Update:cell[x]", "update", "cell", "x", a=1)),
        of(decided("b/Update:cell[x]", "update", "cell", "x", a=2)),
    )

    assert (bool(same), len(same.rekeyed)) == (False, 1)
    assert [(one.change, [tuple(cell) for cell in one.cells]) for one in other.items] == [("changed", [("a", 1, 2)])]


def test_two_rejections_are_compared_by_their_codes() -> None:
    one = decided("a/no", "rejection", "no", detail="3 left", field="cents")
    another = decided("b/no", "rejection", "no", detail="4 left", field="cents")
    third = decided("a/never", "rejection", "never", detail="no", field=None)

    def refused(found: Decided) -> Decision:
        return Decision(version=date(2024, 1, 1), outcome="rejected", steps=(found,))

    assert not diff(refused(one), refused(another)).items
    assert [item.change for item in diff(refused(one), refused(third)).items] == ["new", "gone"]
