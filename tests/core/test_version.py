"""Rules 15, 18, 21 and 22: which versions there are, and which one decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from dateline import Event, Record, Versions, Yields, handler
from dateline.core.version import Layer, Version
from dateline.errors import (
    BadSignature,
    BadVersion,
    NotAdditive,
    ShapeNewerThanVersion,
    UnknownKind,
    UnknownVersion,
)
from dateline.run.clock import now
from tests.core import library
from tests.core.library import Book, Lend, Remind

JANUARY, JUNE = date(2024, 1, 1), date(2024, 6, 1)
AUCKLAND = ZoneInfo("Pacific/Auckland")
# Zones whose clocks skipped a midnight, repeated one, or left out a whole day.
ODD = ["Pacific/Apia", "America/Sao_Paulo", "Europe/Berlin", "Pacific/Kwajalein", "Africa/Cairo", "Asia/Kathmandu"]


@handler
def lend(event: Lend) -> Yields[Remind]:
    yield Remind(reader=1)


@handler
def also(event: Lend) -> Yields[Remind]:
    yield Remind(reader=2)


VERSIONS = Versions.of({JUNE: [also], JANUARY: [Lend, lend]})


def test_versions_stand_in_the_order_of_their_dates() -> None:
    assert VERSIONS.versions == (
        Version(JANUARY, datetime(2024, 1, 1, tzinfo=UTC)),
        Version(JUNE, datetime(2024, 6, 1, tzinfo=UTC)),
    )
    assert VERSIONS.newest.date == JUNE


def test_there_is_at_least_one_version() -> None:
    with pytest.raises(BadVersion, match="no versions"):
        Versions.of({})


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2024, 1, 1, tzinfo=UTC), JANUARY),
        (datetime(2024, 5, 31, 23, 59, 59, 999_999, tzinfo=UTC), JANUARY),
        (datetime(2024, 6, 1, tzinfo=UTC), JUNE),
        (datetime(2024, 6, 1, 11, 59, tzinfo=AUCKLAND), JANUARY),
        (datetime(2024, 6, 1, 12, tzinfo=AUCKLAND), JUNE),
        (datetime(2099, 1, 1, tzinfo=UTC), JUNE),
    ],
    ids=str,
)
def test_without_a_wish_the_newest_version_in_force_decides(moment: datetime, expected: date) -> None:
    assert VERSIONS.choose(None, moment).date == expected


def test_a_version_begins_at_midnight_in_the_projects_zone() -> None:
    there = Versions.of({JANUARY: [Lend, lend], JUNE: [also]}, zone=AUCKLAND)

    assert there.versions[1].instant == datetime(2024, 5, 31, 12, tzinfo=UTC)
    assert there.choose(None, datetime(2024, 5, 31, 11, 59, 59, tzinfo=UTC)).date == JANUARY
    assert there.choose(None, datetime(2024, 5, 31, 12, tzinfo=UTC)).date == JUNE


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [("2024-05-31T23:59:59.999999Z", JANUARY), ("2024-06-01T00:00:00Z", JUNE), ("2024-06-01T01:59:59+02:00", JANUARY)],
)
def test_the_runners_clock_turns_at_midnight(frozen: str, expected: date) -> None:
    with freeze_time(frozen):
        assert VERSIONS.choose(None, now()).date == expected


@given(
    st.lists(st.dates(date(1990, 1, 1), date(2030, 12, 31)), min_size=1, max_size=6, unique=True),
    st.sampled_from(ODD),
    st.datetimes(datetime(1990, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_versions_never_flip_back_whatever_the_clocks_do(
    days: list[date], zone: str, moment: datetime, later: timedelta
) -> None:
    made = Versions.of({date(1980, 1, 1): [lend], **dict.fromkeys(days, ())}, zone=ZoneInfo(zone))

    assert made.choose(None, moment).date <= made.choose(None, moment + later).date
    for version in made.versions[1:]:
        assert made.choose(None, version.instant).date >= version.date
        assert made.choose(None, version.instant - timedelta(microseconds=1)).date < version.date


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("2024-01-01", JANUARY),
        (JANUARY, JANUARY),
        ("2024-05-31", JANUARY),
        ("2024-06-01", JUNE),
        (date(2030, 1, 1), JUNE),
    ],
    ids=str,
)
def test_a_wish_is_met_by_the_newest_version_that_is_not_after_it(asked: date | str, expected: date) -> None:
    for moment in (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)):
        assert VERSIONS.choose(asked, moment).date == expected


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("2023-12-31", "before the first version, 2024-01-01"),
        (date(1999, 1, 1), "before the first version"),
        ("2024-13-01", "is no version; send a date such as 2018-08-01"),
        ("yesterday", "is no version"),
        ("", "is no version"),
        ("2024-06-01T00:00:00Z", "is no version"),
        (datetime(2024, 6, 1, tzinfo=UTC), "not an instant"),
        (20240601, "is no version"),
        (("2024-06-01",), "is no version"),
        ("9" * 500, "is no version"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_version_is_refused(asked: Any, told: str) -> None:
    with pytest.raises(UnknownVersion, match=told) as refused:
        VERSIONS.choose(asked, datetime(2024, 7, 1, tzinfo=UTC))

    assert len(str(refused.value)) < 200


def test_before_the_first_version_nothing_is_in_force() -> None:
    with pytest.raises(UnknownVersion, match=r"the first, 2024-01-01, begins 2024-01-01T00:00:00\+00:00"):
        VERSIONS.choose(None, datetime(2023, 12, 31, 23, 59, tzinfo=UTC))


def test_as_of_occurred_is_the_version_that_was_in_force_when_it_happened() -> None:
    today = datetime(2024, 7, 1, tzinfo=UTC)

    assert VERSIONS.choose("as-of-occurred", today, occurred=datetime(2024, 5, 31, tzinfo=UTC)).date == JANUARY
    assert VERSIONS.choose("as-of-occurred", today, occurred=datetime(2024, 6, 1, tzinfo=UTC)).date == JUNE
    assert VERSIONS.choose("as-of-occurred", today).date == JUNE
    with pytest.raises(UnknownVersion):
        VERSIONS.choose("as-of-occurred", today, occurred=datetime(2020, 1, 1, tzinfo=UTC))


def test_happening_earlier_does_not_choose_an_earlier_version() -> None:
    today = datetime(2024, 7, 1, tzinfo=UTC)

    assert VERSIONS.choose(None, today, occurred=datetime(2024, 1, 5, tzinfo=UTC)).date == JUNE


# Kinds ----------------------------------------------------------------------------------------------------------------


class Return(Event, kind="return"):
    book: str


class Lost(Event, kind="lost"):
    book: str


@handler
def give_back(event: Return) -> Yields[Remind]:
    yield Remind(reader=1)


def test_a_kind_is_known_from_its_first_date_on() -> None:
    made = Versions.of({JANUARY: [Lend, lend], JUNE: [Return, give_back]})

    assert made.kinds == ("lend", "return")
    assert made.cascade("return", JUNE).event is Return
    with pytest.raises(UnknownKind, match="return begins with version 2024-06-01; 2024-05-31 does not know it yet"):
        made.cascade("return", date(2024, 5, 31))
    with pytest.raises(UnknownKind, match="no version knows events of kind 'lost'; there are lend, return"):
        made.cascade("lost", JUNE)


def test_a_kind_without_handlers_is_decided_by_nobody() -> None:
    cascade = VERSIONS.for_event(Lost(book="moby"), JUNE)

    assert (cascade.kind, cascade.slots, cascade.fields) == ("lost", (), ())
    assert cascade.decide(Lost(book="moby"), {}).planned == ()
    assert (VERSIONS.shape_date(Lost), VERSIONS.shape("lost", JUNE)) == (None, None)


def test_an_unknown_kind_is_cut_short_in_the_message() -> None:
    with pytest.raises(UnknownKind) as refused:
        VERSIONS.cascade("x" * 10_000, JUNE)

    assert len(str(refused.value)) < 300


# Shapes (rules 15 and 18) ---------------------------------------------------------------------------------------------


class LendTo(Lend):
    """From June on: for how long."""

    weeks: int = 4


@handler
def lend_long(event: LendTo) -> Yields[Remind]:
    yield Remind(reader=event.weeks)


def test_a_later_shape_adds_fields_and_serves_from_its_date() -> None:
    made = Versions.of({JANUARY: [Lend, lend], JUNE: [LendTo, lend_long]})

    assert made.cascade("lend", JANUARY).event is Lend
    assert made.cascade("lend", JUNE).event is LendTo
    assert (made.shape_date(Lend), made.shape_date(LendTo)) == (JANUARY, JUNE)
    assert (made.shape("lend", JANUARY), made.shape("lend", JUNE), made.shape("lend", None)) == (Lend, LendTo, None)


def test_a_shape_that_the_version_does_not_know_is_refused() -> None:
    made = Versions.of({JANUARY: [Lend, lend], JUNE: [LendTo, lend_long]})

    with pytest.raises(ShapeNewerThanVersion, match="LendTo is the shape of 2024-06-01") as refused:
        made.for_event(LendTo(book="moby"), date(2024, 5, 31))

    assert refused.value.facts == {"kind": "lend", "shape": "2024-06-01", "version": "2024-05-31"}
    assert made.for_event(LendTo(book="moby"), JUNE).event is LendTo
    assert made.for_event(Lend(book="moby"), JANUARY).event is Lend


def test_what_is_advised_for_a_newer_shape_can_be_done() -> None:
    made = Versions.of({JANUARY: [Lend, lend], JUNE: [LendTo, lend_long, Return, give_back]})

    with pytest.raises(ShapeNewerThanVersion, match=r"runner\.event\('lend', …, version='2024-01-01'\)"):
        made.for_event(LendTo(book="moby"), JANUARY)
    assert made.cascade("lend", made.asked("2024-01-01").date).event is Lend

    # Of a kind that the version does not know, no older shape can be made.
    with pytest.raises(ShapeNewerThanVersion) as refused:
        made.for_event(Return(book="moby"), JANUARY)
    assert str(refused.value) == (
        "Return is of a kind that begins with version 2024-06-01, and 2024-01-01 does not know 'return' yet; "
        "decide it under version='2024-06-01' or a later one"
    )
    assert made.for_event(Return(book="moby"), made.asked("2024-06-01").date).event is Return


def narrowed() -> type[Event]:
    class Narrowed(Lend):
        reader: bool = True

    return Narrowed


def required() -> type[Event]:
    class Required(Lend):
        weeks: int

    return Required


def made_up() -> type[Event]:
    class MadeUp(Lend):
        weeks: list[int] = Field(default_factory=list)

    return MadeUp


def other_default() -> type[Event]:
    class OtherDefault(Lend):
        reader: int = 2

    return OtherDefault


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (narrowed, "changes the field of Lend"),
        (required, "has no constant default"),
        (made_up, "has no constant default"),
        (other_default, "changes the field of Lend"),
    ],
)
def test_a_shape_that_does_more_than_add_is_refused(make: Any, told: str) -> None:
    with pytest.raises(NotAdditive, match=told):
        Versions.of({JANUARY: [Lend, lend], JUNE: [make()]})


def test_records_and_effects_of_all_versions_are_known() -> None:
    class Stock(Record[Book]):
        id: str

    made = Versions.of({JANUARY: [Lend, lend], JUNE: [Stock, also]})

    assert made.records == [Stock]
    assert made.effects == {"remind": Remind}


def test_a_layer_holds_what_its_module_defines_and_not_what_it_imports() -> None:
    layer = Layer.of(JANUARY, library)

    names = [name for name, _ in layer.members]
    assert "Lend" in names
    assert not {"Record", "Event", "given", "rows", "Decimal", "String"} & set(names)


def test_a_method_is_no_handler_and_is_not_left_out_without_a_word() -> None:
    class Rules:
        @handler
        def remind(self, event: Lend) -> Yields[Remind]:
            yield Remind(reader=1)

    with pytest.raises(BadSignature, match=r"remind: is a method of .*Rules; a check or a handler is a function"):
        Versions.of({JANUARY: [Lend, Rules]})
