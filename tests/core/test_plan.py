"""What a plan says of its rows: the record after the steps so far, one change a row, and clashes that nobody else would see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dateline import Concerns, Delete, Insert, Plan, Record, Update
from dateline.core.operation import Operation
from dateline.core.plan import Change, Planned, coalesce, repeated
from dateline.core.step import Step
from dateline.errors import ClashingSteps, DuplicateKey
from tests.core.library import STOCK, Book, Card, Loan, Priced, Reader, Remind, Stock

EMMA = Stock(id="emma", copies=1)


class Shelved(Record[Book]):
    id: str
    copies: int
    shelf: str | None


def planned(*steps: Step, informed: bool = False) -> tuple[Planned, ...]:
    """Return steps as different handlers would have yielded them."""
    return tuple(
        Planned(f"{index}/{step.step_type()}", step, f"{index}", f"handler{index}", "2024-01-01", informed)
        for index, step in enumerate(steps)
    )


def told(changes: Sequence[Change]) -> list[tuple[str, Any, Mapping[str, Any], int]]:
    return [(change.verb, change.key_values, change.values, change.ordinal) for change in changes]


INSERT = Insert(Book, id="moby", copies=3)
UPDATE = Update(STOCK, copies=2)
OTHER_CELL = Update(STOCK, shelf="A1")
DELETE = Delete(STOCK)
INSERTED = {"id": "moby", "copies": 3, "price": Decimal(0)}

CLASH = None
PAIRS: list[tuple[Step, Step, list[tuple[str, dict[str, Any]]] | None, list[tuple[str, dict[str, Any]]] | None]] = [
    # first, second, what remains if the second has not seen the plan, and if it has
    (INSERT, INSERT, CLASH, CLASH),
    (INSERT, UPDATE, CLASH, [("insert", INSERTED | {"copies": 2})]),
    (INSERT, OTHER_CELL, [("insert", INSERTED | {"shelf": "A1"})], [("insert", INSERTED | {"shelf": "A1"})]),
    (INSERT, DELETE, [], []),
    (UPDATE, INSERT, CLASH, CLASH),
    (UPDATE, UPDATE, CLASH, [("update", {"copies": 2})]),
    (UPDATE, Update(STOCK, copies=1), CLASH, [("update", {"copies": 1})]),
    (UPDATE, OTHER_CELL, [("update", {"copies": 2, "shelf": "A1"})], [("update", {"copies": 2, "shelf": "A1"})]),
    (UPDATE, DELETE, [("delete", {})], [("delete", {})]),
    (DELETE, INSERT, CLASH, [("delete", {}), ("insert", INSERTED)]),
    (DELETE, UPDATE, CLASH, CLASH),
    (DELETE, OTHER_CELL, CLASH, CLASH),
    (DELETE, DELETE, [("delete", {})], [("delete", {})]),
]


@pytest.mark.parametrize("informed", [False, True], ids=["unseen", "seen"])
@pytest.mark.parametrize(("first", "second", "unseen", "seen"), PAIRS, ids=lambda value: repr(value)[:40])
def test_two_steps_on_one_row_are_one_change_or_a_clash(
    first: Step,
    second: Step,
    unseen: list[tuple[str, dict[str, Any]]] | None,
    seen: list[tuple[str, dict[str, Any]]] | None,
    informed: bool,
) -> None:
    steps = planned(first, second, informed=informed)
    expected = seen if informed else unseen

    if expected is CLASH:
        with pytest.raises(ClashingSteps, match=r"handler1 .* handler0"):
            coalesce(steps)
    else:
        assert [(change.verb, change.values) for change in coalesce(steps)] == expected


def test_a_clash_names_the_cell_and_the_way_out() -> None:
    with pytest.raises(ClashingSteps) as refused:
        coalesce(planned(UPDATE, Update(STOCK, copies=1, shelf="A1")))

    assert "book[moby].copies" in str(refused.value)
    assert "shelf" not in str(refused.value)
    assert "take `plan: Plan` and start from plan.after(record)" in str(refused.value)


def test_only_the_later_handler_needs_to_have_seen_the_plan() -> None:
    first, second = planned(UPDATE, Update(STOCK, copies=1))
    seen = Planned(second.key, second.step, second.slot, second.handler, second.date, informed=True)
    unseen = Planned(second.key, second.step, second.slot, second.handler, second.date, informed=False)

    assert told(coalesce((first, seen))) == [("update", ("moby",), {"copies": 1}, 1)]
    with pytest.raises(ClashingSteps):
        coalesce((Planned(first.key, first.step, informed=True), unseen))


def test_a_row_that_was_inserted_and_deleted_takes_no_update() -> None:
    with pytest.raises(ClashingSteps):
        coalesce(planned(INSERT, DELETE, UPDATE, informed=True))


def test_a_change_knows_all_steps_that_it_is_made_of() -> None:
    steps = planned(UPDATE, Remind(reader=7), OTHER_CELL)

    [change] = coalesce(steps)

    assert change.steps == (steps[0], steps[2])
    assert (change.last, change.ordinal, change.table) == (steps[2], 2, "book")


def test_different_rows_stay_different_changes_in_their_order() -> None:
    changes = coalesce(planned(Update(EMMA, copies=0), UPDATE, Insert(Loan, book="moby", reader="7")))

    assert told(changes) == [
        ("update", ("emma",), {"copies": 0}, 0),
        ("update", ("moby",), {"copies": 2}, 1),
        ("insert", None, {"book": "moby", "reader": "7"}, 2),
    ]


def test_equal_rows_without_a_key_are_different_rows() -> None:
    changes = coalesce(planned(Insert(Loan, book="moby", reader="7"), Insert(Loan, book="moby", reader="7")))

    assert [change.verb for change in changes] == ["insert", "insert"]


def test_equal_keys_of_different_tables_are_different_rows() -> None:
    card = Card(branch="moby", card=1, name="x")

    assert len(coalesce(planned(UPDATE, Update(card, blocked=True)))) == 2


def apply(rows: dict[str, dict[str, Any]], changes: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Perform operations or changes on a table of two books; a step on a row that is not there fails."""
    rows = {key: dict(row) for key, row in rows.items()}
    for change in changes:
        [key] = change.key_values
        if change.verb == "insert":
            assert key not in rows
            rows[key] = dict(change.values)
        elif change.verb == "update":
            rows[key].update(change.values)
        else:
            del rows[key]
    return rows


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, dict[str, Any]], list[Operation[Any]]]:
    """Draw rows, and steps each of which is possible after those before it."""
    start = {key: {"id": key, "copies": 1, "price": Decimal(0)} for key in draw(st.sets(st.sampled_from("abc")))}
    rows = {key: dict(row) for key, row in start.items()}
    born_and_gone: set[str] = set()
    steps: list[Operation[Any]] = []
    for _ in range(draw(st.integers(0, 8))):
        key = draw(st.sampled_from("abc"))
        copies = draw(st.integers(0, 5))
        if key in born_and_gone:
            continue
        step: Operation[Any]
        if key not in rows:
            step = Insert(Book, id=key, copies=copies)
        else:
            record = Stock(id=key, copies=0)
            step = draw(st.sampled_from([Update(record, copies=copies), Update(record, shelf="A"), Delete(record)]))
            if step.verb == "delete" and key not in start:
                born_and_gone.add(key)
        rows = apply(rows, [step])
        steps.append(step)
    return start, steps


@given(histories())
def test_the_changes_leave_what_the_steps_leave(drawn: tuple[dict[str, dict[str, Any]], list[Operation[Any]]]) -> None:
    rows, steps = drawn

    changes = coalesce(planned(*steps, informed=True))

    assert apply(rows, changes) == apply(rows, steps)
    # One change a row; only a row that is deleted and made anew takes two.
    for key in {change.key_values for change in changes}:
        verbs = [change.verb for change in changes if change.key_values == key]
        assert len(verbs) == 1 or verbs == ["delete", "insert"]


def test_a_record_is_seen_as_the_steps_so_far_leave_it() -> None:
    plan = Plan.of(UPDATE, Update(STOCK, shelf="A1").keyed("shelf"), Update(EMMA, copies=9))

    assert plan.after(STOCK) == Stock(id="moby", copies=2)
    assert plan.after(Shelved(id="moby", copies=3, shelf=None)) == Shelved(id="moby", copies=2, shelf="A1")
    assert plan.after(EMMA) == Stock(id="emma", copies=9)
    assert Stock(id="moby", copies=3) == STOCK


def test_a_record_that_no_step_touches_is_seen_as_it_is() -> None:
    assert Plan().after(STOCK) is STOCK
    assert Plan.of(Remind(reader=7), Update(EMMA, copies=0)).after(STOCK) is STOCK


def test_a_record_that_a_step_deletes_cannot_be_seen() -> None:
    plan = Plan.of(UPDATE, DELETE)

    with pytest.raises(LookupError, match=r"plan.steps\(Delete\[Book\]\)"):
        plan.after(STOCK)
    assert plan.steps(Delete[Book]) == (DELETE,)


def test_a_row_made_anew_is_seen_as_it_was_made() -> None:
    shelved = Shelved(id="moby", copies=3, shelf="A1")
    plan = Plan.of(Update(shelved, shelf="B2"), Delete(shelved), Insert(Book, id="moby", copies=5, shelf="C3"))

    assert plan.after(shelved) == Shelved(id="moby", copies=5, shelf="C3")


def test_a_row_made_anew_keeps_nothing_of_the_old_one() -> None:
    shelved = Shelved(id="moby", copies=3, shelf="A1")
    plan = Plan.of(Delete(shelved), Insert(Book, id="moby", copies=5))

    assert plan.after(shelved) == Shelved(id="moby", copies=5, shelf=None)


def test_steps_are_found_by_their_type_and_table() -> None:
    loan, reader = Insert(Loan, book="moby", reader="7"), Insert(Reader, branch="main", card=7, name="x")
    plan = Plan.of(UPDATE, loan, reader, Remind(reader=7), Concerns("x"))

    assert plan.steps(Insert) == (loan, reader)
    assert plan.steps(Insert[Loan]) == (loan,)
    assert plan.steps(Update[Book]) == (UPDATE,)
    assert plan.steps(Update[Loan]) == ()
    assert plan.steps(Remind) == (Remind(reader=7),)


def test_effects_come_with_their_place_in_the_plan() -> None:
    plan = Plan.of(UPDATE, Remind(reader=7), Concerns("x"), Remind(reader=8))

    assert [(ordinal, step) for ordinal, _, step in plan.outline.effects] == [
        (1, Remind(reader=7)),
        (3, Remind(reader=8)),
    ]
    assert plan.outline.subjects == ("x",)


def test_plans_of_the_same_steps_by_the_same_handlers_are_equal() -> None:
    def plan(*steps: Step) -> Plan:
        return Plan(planned(*steps))

    assert plan(UPDATE, Remind(reader=7)) == plan(Update(STOCK, copies=2), Remind(reader=7))
    assert plan(UPDATE, Remind(reader=7)) != plan(UPDATE, Remind(reader=8))
    assert plan(UPDATE, Remind(reader=7)) != plan(Remind(reader=7), UPDATE)


@pytest.mark.parametrize(
    ("one", "other", "way"),
    [
        (Remind(reader=7), Remind(reader=7, text="again"), 'key="{field}"'),
        (Insert(Loan, book="a", reader="1"), Insert(Loan, book="b", reader="1"), r"step.keyed\("),
        (Update(STOCK, copies=1), Update(STOCK, shelf="A1"), r"step.keyed\("),
    ],
)
def test_two_steps_of_one_key_are_refused_with_the_way_to_tell_them_apart(one: Step, other: Step, way: str) -> None:
    first, second = (Planned(step.step_key("slot"), step, "slot", "handler", "2024-01-01") for step in (one, other))

    assert first.key == second.key
    with pytest.raises(DuplicateKey, match=way):
        repeated(second)


def test_a_plan_for_a_test_refuses_nothing_that_the_handler_did_not_yield() -> None:
    priced = Priced(id="moby", copies=3, price=Decimal(5))

    assert Plan.of().after(priced) == priced
    assert Plan.of().steps(Update) == ()
