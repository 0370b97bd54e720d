"""Rules 8 to 10: a layer drops a step of an earlier one, or puts another in its place; whoever takes the amender's place restores it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import pytest

from dateline import Drop, Effect, Event, Insert, Plan, Reject, Replace, Versions, Yields, check, handler, retired
from dateline.core.amendment import Amended
from dateline.errors import (
    BadSignature,
    ClashingSteps,
    DatelineError,
    DuplicateKey,
    NoSuchStep,
    NotEarlier,
    SameLayer,
    UndeclaredStep,
    Unloadable,
    WrongRole,
    WrongValue,
)
from tests.core.library import Loan


class Give(Event, kind="give"):
    book: str = "moby"
    readers: tuple[int, ...] = (7,)


class Take(Event, kind="take"):
    book: str = "moby"


class Note(Effect, kind="note", key="{reader}"):
    reader: int
    text: str = "bring it back"


class Log(Effect, kind="log"):
    text: str


HERE = __name__


@handler
def write(event: Give) -> Yields[Insert[Loan] | Note]:
    """Everybody gets it, and is told."""
    for reader in event.readers:
        yield Note(reader=reader)


@handler
def log(event: Give) -> Yields[Log]:
    yield Log(text="given")


@check
def not_all(event: Give) -> Yields[Reject]:
    if event.book == "all":
        yield Reject("greedy", "one book at a time", field="book")


@handler
def quiet(event: Give) -> Yields[Drop]:
    """Nobody is told of one book."""
    if event.book == "moby":
        yield Drop(write, Note, because="it is short")


@handler
def politely(event: Give) -> Yields[Replace]:
    yield Replace(write, Note, Note(reader=event.readers[0], text="please"), because="manners")


@check
def all_is_well(event: Give) -> Yields[Drop]:
    yield Drop(not_all, "greedy", because="there are enough")


@check
def kindly(event: Give) -> Yields[Replace]:
    yield Replace(not_all, "greedy", Reject("greedy", "not all of them, please"), because="manners")


@handler
def counted(event: Give, plan: Plan) -> Yields[Log]:
    yield Log(text=f"{len(plan.steps(Note))} notes, {len(plan.amended)} amended")


@handler(supersedes=quiet)
def loud(event: Give) -> Yields[Log]:
    yield Log(text="loud")


FIRST = (Give, not_all, write, log)


def plan_of(layers: Mapping[str | date, tuple[Any, ...]], event: Event, day: str = "2026-01-01") -> Plan:
    versions = Versions.of(layers)
    return versions.for_event(event, versions.asked(day).date).decide(event, {})


def steps(plan: Plan) -> list[tuple[str, Any]]:
    return [(planned.key, planned.step) for planned in plan.planned]


def test_a_step_is_dropped_and_the_plan_says_so() -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (quiet,)}, Give())

    assert steps(plan) == [("log/log", Log(text="given"))]
    assert plan.amended == (
        Amended("write/note[7]", "drop", False, "it is short", "quiet", f"{HERE}.quiet", "2025-01-01"),
    )


def test_before_its_date_and_without_its_reason_nothing_is_amended() -> None:
    layers: dict[str | date, Any] = {"2024-01-01": FIRST, "2025-01-01": (quiet,)}
    both = [("write/note[7]", Note(reader=7)), ("log/log", Log(text="given"))]

    earlier, other = plan_of(layers, Give(), "2024-06-01"), plan_of(layers, Give(book="emma"))

    assert [(steps(plan), plan.amended) for plan in (earlier, other)] == [(both, ()), (both, ())]


def test_a_step_that_was_not_yielded_this_time_is_moot() -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (quiet,)}, Give(readers=()))

    assert steps(plan) == [("log/log", Log(text="given"))]
    assert plan.amended == (Amended("write/note", "drop", True, "it is short", "quiet", f"{HERE}.quiet", "2025-01-01"),)


def test_a_step_is_replaced_in_its_place_and_of_its_slot_by_whoever_says_so() -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (politely,)}, Give())

    assert steps(plan) == [("write/note[7]", Note(reader=7, text="please")), ("log/log", Log(text="given"))]
    assert (plan.planned[0].slot, plan.planned[0].handler, plan.planned[0].date) == (
        "write",
        f"{HERE}.politely",
        "2025-01-01",
    )


def test_a_rejection_that_is_dropped_stands_no_more() -> None:
    layers: dict[str | date, Any] = {"2024-01-01": FIRST, "2025-01-01": (all_is_well,)}

    before, after = (plan_of(layers, Give(book="all"), day) for day in ("2024-06-01", "2025-06-01"))

    assert [rejection.key for rejection in before.rejections] == ["not_all/greedy"]
    assert (after.rejections, [key for key, _ in steps(after)]) == ((), ["write/note[7]", "log/log"])
    assert [one.step for one in after.amended] == ["not_all/greedy"]


def test_a_rejection_may_be_said_in_other_words() -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (kindly,)}, Give(book="all"))

    assert [(one.key, one.detail, one.handler) for one in plan.rejections] == [
        ("not_all/greedy", "not all of them, please", f"{HERE}.kindly")
    ]


@pytest.mark.parametrize("ending", [(loud,), (retired(quiet, because="never mind"),)], ids=["superseded", "retired"])
def test_whoever_ends_an_amender_restores_what_it_dropped(ending: tuple[Any, ...]) -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (quiet,), "2025-06-01": ending}, Give())

    assert [key for key, _ in steps(plan)][:2] == ["write/note[7]", "log/log"]
    assert plan.amended == ()


@pytest.mark.parametrize(("day", "text"), [("2025-01-01", "1 notes, 0 amended"), ("2025-06-01", "0 notes, 1 amended")])
def test_amendments_come_after_all_yields_of_their_layer_and_before_the_next(day: str, text: str) -> None:
    layers: dict[str | date, tuple[Any, ...]] = {"2024-01-01": FIRST, "2025-01-01": (quiet,)}
    layers[day] = (*layers.get(day, ()), counted)

    assert steps(plan_of(layers, Give()))[-1] == ("counted/log", Log(text=text))


def test_later_layers_amend_what_earlier_ones_made() -> None:
    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (politely,), "2025-02-01": (quiet,)}, Give())

    assert [key for key, _ in steps(plan)] == ["log/log"]
    assert [(one.step, one.verb, one.moot) for one in plan.amended] == [
        ("write/note[7]", "replace", False),
        ("write/note[7]", "drop", False),
    ]


def test_who_holds_the_slot_later_is_amended_too() -> None:
    @handler(supersedes=write)
    def write_twice(event: Give) -> Yields[Note]:
        yield Note(reader=1)

    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (quiet,), "2025-06-01": (write_twice,)}, Give())

    assert steps(plan) == [("log/log", Log(text="given"))]


def test_of_several_steps_the_part_says_which() -> None:
    @handler
    def spare(event: Give) -> Yields[Drop]:
        yield Drop(write, Note, because="on holiday", part="8")

    plan = plan_of({"2024-01-01": FIRST, "2025-01-01": (spare,)}, Give(readers=(7, 8, 9)))

    assert [key for key, _ in steps(plan)] == ["write/note[7]", "write/note[9]", "log/log"]


def test_several_steps_without_a_part_are_refused() -> None:
    with pytest.raises(ClashingSteps, match=r"means 2 steps, write/note\[7\], write/note\[8\]; say part="):
        plan_of({"2024-01-01": FIRST, "2025-01-01": (quiet,)}, Give(readers=(7, 8)))


def by_part(name: str) -> Callable[..., Any]:
    """Return a handler of this name that drops one note, by its part."""

    def drop(event: Give) -> Yields[Drop]:
        yield Drop(write, Note, because="twice", part="7")

    drop.__name__ = name
    return handler(drop)


def test_two_slots_of_one_date_do_not_amend_one_step() -> None:
    @handler
    def also(event: Give) -> Yields[Drop]:
        yield Drop(write, Note, because="too")

    with pytest.raises(
        SameLayer,
        match=r"amends write/note, and so does .* quiet, whose slot is of 2025-01-01 too; let one of them do it",
    ):
        Versions.of({"2024-01-01": FIRST, "2025-01-01": (quiet, also)})
    with pytest.raises(ClashingSteps, match=r"is of write/note\[7\], which .* of that date amends too"):
        plan_of({"2024-01-01": FIRST, "2025-01-01": (politely, by_part("one"))}, Give())


def test_a_replacement_does_not_take_anothers_key() -> None:
    @handler
    def other(event: Give) -> Yields[Replace]:
        yield Replace(write, Note, Note(reader=8), because="swapped", part="7")

    with pytest.raises(DuplicateKey, match=r"yields write/note\[8\] twice"):
        plan_of({"2024-01-01": FIRST, "2025-01-01": (other,)}, Give(readers=(7, 8)))


def test_what_is_amended_stands_in_the_amenders_own_code() -> None:
    @handler
    def from_elsewhere(event: Give) -> Yields[Drop]:
        if event.book == "never":
            yield Drop(log, Log, because="said here")
        yield from quiet(event)

    with pytest.raises(UndeclaredStep, match=r"yields Drop\(write/note\), which its own code does not name"):
        plan_of({"2024-01-01": FIRST, "2025-01-01": (from_elsewhere,)}, Give())


# Refused when versions are made -----------------------------------------------------------------------------------------


@handler
def take_note(event: Take) -> Yields[Note]:
    yield Note(reader=1)


@handler
def wrong_kind(event: Give) -> Yields[Drop]:
    yield Drop(take_note, Note, because="of another kind")


@handler
def wrong_type(event: Give) -> Yields[Drop]:
    yield Drop(write, Log, because="never yielded")


@handler
def wrong_role(event: Give) -> Yields[Drop]:
    yield Drop(not_all, "greedy", because="a handler may not")


@handler(supersedes=write)
def write_silently(event: Give) -> Yields[Log]:
    yield Log(text="silent")


@handler
def by_a_variable(event: Give) -> Yields[Drop]:
    meant = write
    yield Drop(meant, Note, because="whom?")


@handler
def by_a_call(event: Give) -> Yields[Drop]:
    yield Drop(handler(write), Note, because="whom?")


@handler
def nothing(event: Give) -> Yields[Drop]:
    yield from ()


@pytest.mark.parametrize(
    ("layers", "error", "says"),
    [
        (
            {"2024-01-01": (*FIRST, quiet)},
            NotEarlier,
            "amends write, which is of 2024-01-01 and not earlier than quiet, of 2024-01-01",
        ),
        ({"2024-01-01": (*FIRST, Take, take_note), "2025-01-01": (wrong_kind,)}, NoSuchStep, "holds no slot of give"),
        (
            {"2024-01-01": FIRST, "2025-01-01": (wrong_type,)},
            NoSuchStep,
            "amends write/log, which .* does not announce",
        ),
        ({"2024-01-01": FIRST, "2025-01-01": (wrong_role,)}, WrongRole, "is a handler and amends a check"),
        (
            {"2024-01-01": FIRST, "2025-01-01": (quiet,), "2026-01-01": (retired(write, because="no more"),)},
            NoSuchStep,
            "that slot was retired on 2026-01-01; supersede or retire quiet too",
        ),
        (
            {"2024-01-01": FIRST, "2025-01-01": (quiet,), "2026-01-01": (write_silently,)},
            NoSuchStep,
            "write_silently of 2026-01-01 does not announce; .* or supersede quiet too",
        ),
        (
            {"2024-01-01": FIRST, "2024-06-01": (write_silently,), "2025-01-01": (quiet,)},
            NoSuchStep,
            "write_silently of 2024-06-01 does not announce",
        ),
        ({"2024-01-01": FIRST, "2025-01-01": (by_a_variable,)}, BadSignature, "by what only running it could tell"),
        ({"2024-01-01": FIRST, "2025-01-01": (by_a_call,)}, BadSignature, "by what only running it could tell"),
        ({"2024-01-01": FIRST, "2025-01-01": (nothing,)}, BadSignature, "amends nothing in its own code"),
    ],
)
def test_what_cannot_be_amended_is_refused_with_place_and_mend(
    layers: Mapping[str | date, tuple[Any, ...]], error: type[Unloadable], says: str
) -> None:
    with pytest.raises(error, match=rf"test_amendment.py:\d+ \w+: .*{says}"):
        Versions.of(layers)


def test_retiring_what_is_amended_is_allowed_where_the_amender_goes_with_it() -> None:
    Versions.of(
        {
            "2024-01-01": FIRST,
            "2025-01-01": (quiet,),
            "2026-01-01": (retired(write, because="no more"), retired(quiet, because="nothing left")),
        }
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Drop(Note, Note, because="x"), "Drop takes the function whose step is meant"),
        (lambda: Drop(write, Effect, because="x"), "Drop takes the type of the step that is meant"),
        (lambda: Drop(write, Note, because=""), "Drop takes the reason"),
        (lambda: Replace(write, Note, Log(text="x"), because="x"), r"Replace\(note\) takes another note, not log"),
        (lambda: Replace(not_all, "greedy", Reject("other", "x"), because="x"), r"takes another greedy, not other"),
    ],
)
def test_an_amendment_says_what_is_wrong_with_it(make: Callable[[], object], says: str) -> None:
    with pytest.raises(WrongValue, match=says) as told:
        make()

    assert isinstance(told.value, DatelineError)
