"""Rules 1 to 7 and 11: who holds which slot, in which order they run, and what their steps are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from types import FunctionType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dateline import Event, Insert, Plan, Reject, Rejection, Update, Versions, Yields, check, handler, retired
from dateline.core.cascade import Cascade
from dateline.core.layer import Retirement
from dateline.core.plan import Planned
from dateline.core.version import Layer, Version
from dateline.errors import (
    ClashingSteps,
    DatelineError,
    DuplicateKey,
    HandlerFailed,
    NameTaken,
    NoMeta,
    NotInForce,
    SameLayer,
    Unassigned,
    UndeclaredStep,
    Unloadable,
    WrongKind,
    WrongRole,
    WrongValue,
)
from tests.core.library import STOCK, WANTED, Asking, Book, Lend, Loan, Print, Remind, Wanted

EVENT = Lend(book="moby")
BOTH = (EVENT, Lend(book="emma"))
SEEN: dict[Any, Any] = {Wanted: WANTED, Asking: Asking(card=None)}
DAYS = [f"2024-0{month}-01" for month in range(1, 7)]
BY = date.fromisoformat


def copied(function: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    """Return another function of the same code; unmarked, and under its own name if one is given."""
    assert isinstance(function, FunctionType)
    made = FunctionType(function.__code__, function.__globals__, name or function.__name__, None, function.__closure__)
    made.__annotations__, made.__module__ = function.__annotations__, function.__module__
    made.__qualname__ = name or function.__qualname__
    return made


def reminding(name: str, *, text: str = "", key: str | None = None) -> Callable[..., Any]:
    """Return a handler of this name that reminds once and tells the number of steps before it."""

    def remind(event: Lend, plan: Plan) -> Yields[Remind]:
        yield Remind(reader=event.reader, text=text or f"{len(plan.planned)} before").keyed(key or "it")

    return handler(copied(remind, name))


def refusing(name: str, book: str = "moby") -> Callable[..., Any]:
    """Return a check of this name that refuses to lend one book."""

    def refuse(event: Lend) -> Yields[Reject]:
        if event.book == book:
            yield Reject(name, f"{name} says no", field="book")

    return check(copied(refuse, name))


def decided(versions: Versions, day: str, event: Event = EVENT) -> Plan:
    return versions.cascade(event.__kind__, BY(day)).decide(event, SEEN)


def keys(plan: Plan) -> list[str]:
    return [planned.key for planned in plan.planned]


def told(plan: Plan) -> list[tuple[str, Any]]:
    """Return what a plan says, whoever says it."""
    refused = [(rejection.key, rejection.detail) for rejection in plan.rejections]
    return refused + [(planned.key, planned.step) for planned in plan.planned]


# Order (rule 4) -------------------------------------------------------------------------------------------------------


@st.composite
def cascades(draw: st.DrawFn) -> list[Layer]:
    """Draw modules of several dates, each with some handlers and checks; module names do not follow the dates."""
    layers = []
    for index in range(draw(st.integers(1, 5))):
        day = draw(st.sampled_from(DAYS))
        module = f"{draw(st.sampled_from('zmab'))}{index}"
        members = [
            (name, reminding(name) if draw(st.booleans()) else refusing(name, "emma"))
            for name in (f"{module}_{number}" for number in draw(st.permutations(range(3))))
        ]
        layers.append(Layer(BY(day), module, tuple(members)))
    return layers


def versions_of(layers: Sequence[Layer]) -> Versions:
    days = sorted({layer.day for layer in layers} | {BY(day) for day in DAYS})
    return Versions(tuple(Version(d, datetime(d.year, d.month, d.day, tzinfo=UTC)) for d in days), tuple(layers))


def slots(cascade: Cascade) -> list[tuple[str, str, date]]:
    return [(slot.role, slot.name, slot.opened) for slot in cascade.slots]


@given(cascades(), st.randoms(use_true_random=False))
def test_slots_stand_by_date_module_and_definition_whatever_was_imported_first(layers: list[Layer], any: Any) -> None:
    shuffled = list(layers)
    any.shuffle(shuffled)

    found = versions_of(shuffled).cascade("lend", BY(DAYS[-1]))

    expected = [
        (function.__dateline__.name, name, layer.day)
        for layer in sorted(layers, key=lambda layer: (layer.day, layer.module))
        for name, function in layer.members
    ]
    assert slots(found) == expected
    assert found.digest == versions_of(layers).cascade("lend", BY(DAYS[-1])).digest


@given(cascades(), st.sampled_from(DAYS))
def test_dates_after_a_version_are_inert(layers: list[Layer], day: str) -> None:
    until = [layer for layer in layers if layer.day <= BY(day)]
    if not until:
        return

    whole = versions_of(layers).cascade("lend", BY(day))

    assert slots(whole) == slots(versions_of(until).cascade("lend", BY(day)))
    for event in BOTH:
        assert whole.decide(event, SEEN) == versions_of(until).cascade("lend", BY(day)).decide(event, SEEN)


@given(cascades(), st.data())
def test_superseding_by_a_copy_is_the_identity(layers: list[Layer], data: st.DataObject) -> None:
    name, old = data.draw(st.sampled_from([member for layer in layers for member in layer.members]))
    renamed = data.draw(st.sampled_from([name, "copy"]))
    mark = handler if old.__dateline__.name == "handler" else check
    copy = mark(supersedes=old)(copied(old, renamed))
    later = BY("2024-09-01")

    before, after = (
        versions_of([*layers, *more]).cascade("lend", later) for more in ((), (Layer(later, "a", (("copy", copy),)),))
    )

    assert slots(after) == slots(before)
    for event in BOTH:
        assert told(before.decide(event, SEEN)) == told(after.decide(event, SEEN))


def test_a_plan_grows_in_the_order_of_the_slots() -> None:
    first, second, third = reminding("first"), reminding("second"), reminding("third")
    versions = Versions.of({DAYS[0]: [second, first], DAYS[1]: [third]})

    assert [(p.slot, p.step.text) for p in decided(versions, DAYS[1]).planned if isinstance(p.step, Remind)] == [
        ("second", "0 before"),
        ("first", "1 before"),
        ("third", "2 before"),
    ]
    assert keys(decided(versions, DAYS[0])) == ["second/remind[it]", "first/remind[it]"]


# Superseding and retiring (rules 1 to 3) ------------------------------------------------------------------------------


def test_who_supersedes_keeps_the_slots_name_position_and_keys() -> None:
    first, second = reminding("first"), reminding("second")
    new = handler(supersedes=first)(copied(reminding("new", text="new"), "new"))
    versions = Versions.of({DAYS[0]: [first, second], DAYS[1]: [new]})

    [one, other] = decided(versions, DAYS[1]).planned

    assert one == Planned(
        "first/remind[it]", Remind(reader=1, text="new").keyed("it"), "first", f"{__name__}.new", DAYS[1]
    )
    assert (other.key, other.date) == ("second/remind[it]", DAYS[0])
    assert told(decided(versions, DAYS[0])) == [
        ("first/remind[it]", Remind(reader=1, text="0 before").keyed("it")),
        ("second/remind[it]", Remind(reader=1, text="1 before").keyed("it")),
    ]


def test_a_slot_knows_all_who_held_it() -> None:
    first = reminding("first")
    second = handler(supersedes=first)(copied(first, "second"))
    third = handler(supersedes=second)(copied(first, "third"))
    versions = Versions.of({DAYS[0]: [first], DAYS[1]: [second], DAYS[3]: [third]})

    [slot] = versions.cascade("lend", BY(DAYS[5])).slots

    assert ([held.name for held in slot.held], slot.name) == (["first", "second", "third"], "first")
    assert (slot.opened, slot.since) == (BY(DAYS[0]), BY(DAYS[3]))


def test_who_is_retired_runs_until_that_date() -> None:
    first, second = reminding("first"), reminding("second")
    versions = Versions.of({DAYS[0]: [first, second], DAYS[1]: [retired(first, because="nobody reads it")]})

    assert keys(decided(versions, DAYS[0])) == ["first/remind[it]", "second/remind[it]"]
    assert keys(decided(versions, DAYS[1])) == ["second/remind[it]"]


def test_a_retired_check_refuses_no_more() -> None:
    no = refusing("no")
    versions = Versions.of({DAYS[0]: [no], DAYS[1]: [retired(no, because="too strict")]})

    assert [r.code for r in decided(versions, DAYS[0]).rejections] == ["no"]
    assert decided(versions, DAYS[1]) == Plan()


class Return(Event, kind="return"):
    book: str


@handler
def first(event: Lend) -> Yields[Remind]:
    yield Remind(reader=1)


@handler
def another(event: Lend) -> Yields[Remind]:
    yield Remind(reader=2)


@handler
def unknown(event: Lend) -> Yields[Remind]:
    yield Remind(reader=3)


def plain(event: Lend) -> Yields[Remind]:
    yield Remind(reader=4)


def give_back(event: Return) -> Yields[Remind]:
    yield Remind(reader=5)


def refuse(event: Lend) -> Yields[Reject]:
    yield Reject("no", "no")


second = handler(supersedes=first)(copied(first, "second"))

REFUSED: list[tuple[dict[str | date, list[Any]], type[Unloadable], str]] = [
    # layers, error, what its message names
    (
        {DAYS[0]: [first], DAYS[1]: [second], DAYS[2]: [handler(supersedes=first)(copied(first, "third"))]},
        NotInForce,
        "since 2024-02-01 it is .*second: name that",
    ),
    (
        {DAYS[0]: [first], DAYS[1]: [handler(supersedes=unknown)(copied(first, "x"))]},
        NotInForce,
        "unknown holds no slot",
    ),
    ({DAYS[0]: [first], DAYS[1]: [handler(supersedes=plain)(copied(first, "x"))]}, NotInForce, "plain holds no slot"),
    (
        {
            DAYS[0]: [first],
            DAYS[1]: [retired(first, because="x")],
            DAYS[2]: [handler(supersedes=first)(copied(first, "third"))],
        },
        NotInForce,
        "was retired on 2024-02-01",
    ),
    ({DAYS[0]: [first], DAYS[1]: [retired(unknown, because="x")]}, NotInForce, "unknown.*holds no slot"),
    ({DAYS[1]: [first], DAYS[0]: [retired(first, because="x")]}, NotInForce, "holds no slot"),
    ({DAYS[1]: [first], DAYS[0]: [second]}, NotInForce, "first holds no slot"),
    (
        {DAYS[0]: [first], DAYS[1]: [second], DAYS[2]: [retired(first, because="x")]},
        NotInForce,
        "since 2024-02-01 it is .*second",
    ),
    (
        {DAYS[0]: [first], DAYS[1]: [second, handler(supersedes=first)(copied(first, "third"))]},
        NotInForce,
        "it is .*second",
    ),
    ({DAYS[0]: [first], DAYS[1]: [second, retired(first, because="x")]}, NotInForce, "it is .*second"),
    (
        {DAYS[0]: [first], DAYS[1]: [retired(first, because="x"), retired(first, because="y")]},
        NotInForce,
        "was retired",
    ),
    ({DAYS[0]: [first, second]}, SameLayer, "is of 2024-01-01 too"),
    ({DAYS[0]: [first], DAYS[1]: [second, retired(second, because="x")]}, SameLayer, "is of 2024-02-01 too"),
    ({DAYS[0]: [first, retired(first, because="x")]}, SameLayer, "is of 2024-01-01 too"),
    (
        {DAYS[0]: [first], DAYS[1]: [handler(supersedes=first)(copied(give_back))]},
        WrongKind,
        "serves return.*serves lend",
    ),
    ({DAYS[0]: [first], DAYS[1]: [check(supersedes=first)(copied(refuse))]}, WrongRole, "is a handler; only a handler"),
    (
        {DAYS[0]: [check(copied(refuse, "no"))], DAYS[1]: [first], DAYS[2]: [check(copied(refuse, "no"))]},
        NameTaken,
        "the check slot 'no' of lend is of 2024-01-01",
    ),
    ({DAYS[0]: [first], DAYS[1]: [handler(copied(another, "first"))]}, NameTaken, "never used again"),
    (
        {
            DAYS[0]: [first],
            DAYS[1]: [retired(first, because="x")],
            DAYS[2]: [handler(copied(another, "first"))],
        },
        NameTaken,
        "never used again",
    ),
    (
        {DAYS[0]: [first, another], DAYS[1]: [handler(supersedes=first)(copied(first, "another"))]},
        NameTaken,
        "'another'",
    ),
    ({DAYS[0]: [first], DAYS[1]: [first]}, NameTaken, "'first'"),
]


@pytest.mark.parametrize(("layers", "error", "told"), REFUSED)
def test_a_change_that_breaks_a_rule_is_refused_when_versions_are_made(
    layers: dict[str | date, list[Any]], error: type[Unloadable], told: str
) -> None:
    with pytest.raises(Unloadable, match=told) as refused:
        Versions.of(layers)

    assert type(refused.value) is error


def test_a_check_and_a_handler_may_have_one_name() -> None:
    versions = Versions.of({DAYS[0]: [check(copied(refuse, "one")), handler(copied(first, "one"))]})

    assert [(slot.role, slot.name) for slot in versions.cascade("lend", BY(DAYS[0])).slots] == [
        ("check", "one"),
        ("handler", "one"),
    ]


def test_one_name_serves_each_kind_once() -> None:
    versions = Versions.of({DAYS[0]: [first, handler(copied(give_back, "first"))]})

    assert keys(decided(versions, DAYS[0])) == ["first/remind[1]"]
    assert keys(decided(versions, DAYS[0], Return(book="x"))) == ["first/remind[5]"]


def test_a_kind_is_superseded_apart_from_others() -> None:
    back = handler(copied(give_back, "first"))
    versions = Versions.of({DAYS[0]: [first, back], DAYS[1]: [second]})

    assert decided(versions, DAYS[0], Return(book="x")) == decided(versions, DAYS[1], Return(book="x"))


def test_a_retirement_needs_no_reason_to_be_found_but_keeps_it() -> None:
    assert isinstance(retired(first, because="why"), Retirement)
    assert retired(first, because="why").because == "why"


# Checks (rule 5) ------------------------------------------------------------------------------------------------------


def test_all_checks_run_and_all_their_reasons_are_told() -> None:
    versions = Versions.of({DAYS[0]: [refusing("one"), first, refusing("two")], DAYS[1]: [refusing("three")]})

    plan = decided(versions, DAYS[1])

    assert plan == Plan(
        rejections=tuple(
            Rejection(
                key=f"{name}/{name}",
                code=name,
                detail=f"{name} says no",
                field="book",
                handler=f"{__name__}.{name}",
                date=day,
            )
            for name, day in (("one", DAYS[0]), ("two", DAYS[0]), ("three", DAYS[1]))
        )
    )


def test_no_handler_runs_while_a_rejection_stands() -> None:
    ran = []

    @handler
    def act(event: Lend) -> Yields[Remind]:
        ran.append(event)
        yield Remind(reader=1)

    assert decided(Versions.of({DAYS[0]: [act, refusing("no")]}), DAYS[0]).planned == ()
    assert ran == []


def test_a_check_may_refuse_for_several_reasons_of_different_codes_or_parts() -> None:
    @check
    def several(event: Lend) -> Yields[Reject]:
        yield Reject("a", "one")
        yield Reject("b", "two")
        yield Reject("b", "three").keyed("more")

    plan = decided(Versions.of({DAYS[0]: [several]}), DAYS[0])

    assert [rejection.key for rejection in plan.rejections] == ["several/a", "several/b", "several/b[more]"]


# What handlers see and yield (rules 6, 7, 11) -------------------------------------------------------------------------


@handler
def take(event: Lend, wanted: Wanted) -> Yields[Update[Book]]:
    yield Update(wanted.book, copies=wanted.book.copies - event.copies)


def test_a_handler_is_given_what_its_parameters_ask_for_in_their_order() -> None:
    @handler
    def odd(plan: Plan, asking: Asking, event: Lend, wanted: Wanted) -> Yields[Remind]:
        assert (plan.planned, asking, wanted) == ((), Asking(card=None), WANTED)
        yield Remind(reader=event.reader)

    assert keys(decided(Versions.of({DAYS[0]: [odd]}), DAYS[0])) == ["odd/remind[1]"]


def test_a_handler_that_takes_the_plan_starts_where_the_others_left() -> None:
    @handler
    def one_more(event: Lend, wanted: Wanted, plan: Plan) -> Yields[Update[Book]]:
        yield Update(wanted.book, copies=plan.after(wanted.book).copies - 1)

    plan = decided(Versions.of({DAYS[0]: [take], DAYS[1]: [one_more]}), DAYS[1])

    assert [change.values for change in plan.changes()] == [{"copies": 1}]


def test_a_handler_that_writes_a_cell_without_having_seen_the_plan_is_refused() -> None:
    @handler
    def one_more(event: Lend, wanted: Wanted) -> Yields[Update[Book]]:
        yield Update(wanted.book, copies=wanted.book.copies - 1)

    with pytest.raises(ClashingSteps, match=r"one_more \(2024-02-01\) writes book\[moby\]\.copies, which .*take"):
        decided(Versions.of({DAYS[0]: [take], DAYS[1]: [one_more]}), DAYS[1])


def test_what_was_read_stays_as_it_was_read() -> None:
    @handler
    def look(event: Lend, wanted: Wanted, plan: Plan) -> Yields[Remind]:
        yield Remind(reader=1, text=f"{wanted.book.copies} read, {plan.after(wanted.book).copies} left")

    plan = decided(Versions.of({DAYS[0]: [take, look]}), DAYS[0])

    assert plan.steps(Remind) == (Remind(reader=1, text="3 read, 2 left"),)


def returning_none(event: Lend) -> Yields[Remind]:
    return None  # type: ignore[return-value]  # the mistake in question


def yielding_another_table(event: Lend) -> Yields[Update[Book]]:
    yield Insert(Loan, book="moby", reader="7")  # type: ignore[misc]  # the mistake in question


def yielding_a_text(event: Lend) -> Yields[Remind]:
    yield "remind"  # type: ignore[misc]  # the mistake in question


def rejecting(event: Lend) -> Yields[Remind]:
    yield Reject("no", "no")  # type: ignore[misc]  # the mistake in question


def repeating(event: Lend) -> Yields[Remind]:
    yield Remind(reader=1)
    yield Remind(reader=1, text="again")


def failing(event: Lend) -> Yields[Remind]:
    if event.book:
        raise KeyError("Ann Lee")
    yield Remind(reader=1)


def failing_before_it_yields(event: Lend) -> Yields[Remind]:
    raise KeyError("Ann Lee")


def asking_a_bare_event(event: Lend) -> Yields[Remind]:
    yield Remind(reader=1, text=str(event.meta.at))


def giving_a_wrong_value(event: Lend) -> Yields[Update[Book]]:
    yield Update(STOCK, copies="many")


def recursing(event: Lend) -> Yields[Remind]:
    yield from recursing(event)


def naming_no_column(event: Lend) -> Yields[Update[Book]]:
    yield Update(STOCK, pages=1)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (returning_none, UndeclaredStep),
        (yielding_another_table, UndeclaredStep),
        (yielding_a_text, UndeclaredStep),
        (rejecting, UndeclaredStep),
        (repeating, DuplicateKey),
        (failing, HandlerFailed),
        (failing_before_it_yields, HandlerFailed),
        (asking_a_bare_event, NoMeta),
        (giving_a_wrong_value, WrongValue),
        (recursing, HandlerFailed),
        (naming_no_column, HandlerFailed),
    ],
)
def test_a_handler_that_breaks_a_rule_is_named_with_its_date(
    function: Callable[..., Any], error: type[DatelineError]
) -> None:
    versions = Versions.of({DAYS[0]: [take], DAYS[1]: [handler(copied(function))]})

    with pytest.raises(DatelineError) as refused:
        decided(versions, DAYS[1])

    assert type(refused.value) is error
    assert function.__name__ in str(refused.value)
    assert DAYS[1] in str(refused.value)
    assert "Ann Lee" not in str(refused.value)


def test_what_a_handler_raised_is_chained() -> None:
    with pytest.raises(HandlerFailed) as refused:
        decided(Versions.of({DAYS[0]: [handler(copied(failing))]}), DAYS[0])

    assert isinstance(refused.value.__cause__, KeyError)


def test_one_key_in_two_slots_is_two_keys() -> None:
    versions = Versions.of({DAYS[0]: [first, handler(copied(first, "other"))]})

    assert keys(decided(versions, DAYS[0])) == ["first/remind[1]", "other/remind[1]"]


def test_a_handler_may_return_its_steps_as_a_list() -> None:
    @handler
    def listed(event: Lend) -> Yields[Remind]:
        return iter([Remind(reader=1), Remind(reader=2)])

    assert keys(decided(Versions.of({DAYS[0]: [listed]}), DAYS[0])) == ["listed/remind[1]", "listed/remind[2]"]


def test_each_snapshot_is_asked_for_once() -> None:
    @check
    def enough(event: Lend, wanted: Wanted) -> Yields[Reject]:
        yield from ()

    @handler
    def both(event: Lend, asking: Asking, wanted: Wanted) -> Yields[Remind]:
        yield from ()

    cascade = Versions.of({DAYS[0]: [both, take, enough]}).cascade("lend", BY(DAYS[0]))

    assert cascade.snapshots == (Wanted, Asking)
    assert [one.path for one in cascade.fields] == ["Wanted.book", "Asking.card"]


def test_a_retired_slots_snapshot_is_read_no_more() -> None:
    versions = Versions.of({DAYS[0]: [first, take], DAYS[1]: [retired(take, because="x")]})

    assert versions.cascade("lend", BY(DAYS[0])).snapshots == (Wanted,)
    assert versions.cascade("lend", BY(DAYS[1])).snapshots == ()


def test_the_digest_tells_who_decides_and_by_which_code() -> None:
    def digest(layers: dict[str | date, list[Any]], day: str = DAYS[5], **sources: str) -> str:
        made = Versions.of(layers)
        return Versions(made.versions, made.layers, sources).cascade("lend", BY(day)).digest

    base = digest({DAYS[0]: [first]})

    assert base == digest({DAYS[0]: [first]}, DAYS[0])
    assert base == digest({DAYS[0]: [first, handler(copied(give_back))]})
    different = [
        digest({DAYS[0]: [first, another]}),
        digest({DAYS[0]: [another, first]}),
        digest({DAYS[0]: [first], DAYS[1]: [second]}),
        digest({DAYS[0]: [first], DAYS[1]: [retired(first, because="x")]}),
        digest({DAYS[1]: [first]}),
        digest({DAYS[0]: [first]}, **{f"{__name__}.first": "another code"}),
    ]
    assert len({base, *different}) == 7


def alone(function: Any) -> Any:
    cascade = Versions.of({"2024-01-01": [Lend, handler(function)]}).cascade("lend", date(2024, 1, 1))
    return cascade.decide(Lend(book="moby"), {})


def test_a_step_that_is_returned_is_told_to_be_yielded() -> None:
    def operation(event: Lend) -> Yields[Insert[Loan]]:
        return cast(Yields[Insert[Loan]], Insert(Loan, book="moby", reader="ann"))

    def effect(event: Lend) -> Yields[Remind]:
        return cast(Yields[Remind], Remind(reader=1))

    for function in (operation, effect):
        with pytest.raises(UndeclaredStep, match=rf"{function.__name__} \(2024-01-01\) returns a step; yield it"):
            alone(function)


def test_what_a_handler_could_not_make_is_named_by_its_field_and_without_the_value() -> None:
    def remind(event: Lend) -> Yields[Remind]:
        yield Remind(reader=cast(Any, "Ann Lee"))

    with pytest.raises(HandlerFailed, match=r"remind \(2024-01-01\) made no valid Remind: see reader$") as failed:
        alone(remind)

    assert "Ann" not in str(failed.value)


def test_a_value_is_not_waited_for_whose_row_nobody_inserts() -> None:
    def forgetful(event: Lend) -> Yields[Print]:
        loan = Insert(Loan, book="moby", reader="ann")
        yield Print(loan=loan[Loan.number])

    def careful(event: Lend) -> Yields[Print | Insert[Loan]]:
        loan = Insert(Loan, book="moby", reader="ann")
        yield Print(loan=loan[Loan.number])
        yield loan.keyed("one")

    with pytest.raises(
        Unassigned, match=r"forgetful \(2024-01-01\) waits for <loan\.number.*>, whose Insert nobody yields"
    ):
        alone(forgetful)
    assert len(alone(careful).planned) == 2
