"""What comes from outside, and deciding without any database."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from dateline import Event, Plan, Reject, Update, Versions, Yields, check, decide, handler
from dateline.core.canon import DEEPEST
from dateline.core.parse import parse
from dateline.core.plan import Planned
from dateline.errors import Malformed, NoMeta, UnknownVersion
from tests.core.library import STOCK, WANTED, Asking, Book, Lend, Remind, Wanted

LARGEST = 100_000


class Deep(Event, kind="deep"):
    anything: Any
    at: AwareDatetime | None = None


def read(body: Any, shape: type[Event] = Lend, largest: int = LARGEST) -> Event:
    return parse(shape, body, largest)


@pytest.mark.parametrize(
    "body",
    [
        b'{"book":"moby","reader":7}',
        '{"book":"moby","reader":7}',
        {"book": "moby", "reader": 7},
        b' {"reader" : 7,\n"book":"mob\\u0079"}\n',
    ],
)
def test_a_body_is_an_event_however_it_came(body: Any) -> None:
    assert read(body) == Lend(book="moby", reader=7, copies=1)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {"book"}),
        ({"book": 7}, {"book"}),
        ({"book": "moby", "reader": False}, {"reader"}),
        ({"book": "moby", "reader": "7"}, {"reader"}),
        ({"book": "moby", "reader": 7.0}, {"reader"}),
        ({"book": "moby", "copies": 0}, {"copies"}),
        ({"book": "moby", "secret": 1, "another": 2}, {"secret", "another"}),
        ({"book": None, "reader": None, "copies": -1}, {"book", "reader", "copies"}),
        ({"book": "moby", "reader": 10**30, "copies": 1.5}, {"copies"}),
        ([], {""}),
        ("null", {""}),
        ("", {""}),
        (b"{", {""}),
        (b'{"book":"moby"} x', {""}),
        (b"\xff\xfe", {""}),
        (b'{"book":NaN}', {"book"}),
        (b'{"book":"\xff"}', {""}),
        ('{"book":"\\ud800"}', {""}),
        ('{"book":"\ud800"}', {""}),
        ({"book": "\ud800"}, {""}),
    ],
    ids=lambda one: "+".join(sorted(one)) if isinstance(one, set) else str(one),
)
def test_what_is_no_event_is_malformed_naming_each_fault_by_path(body: Any, problems: set[str]) -> None:
    if isinstance(body, list):
        body = json.dumps(body)

    with pytest.raises(Malformed) as refused:
        read(body)

    assert {path for path, _ in refused.value.problems} in (problems, set())
    for path in problems:
        assert path in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [None, 7, ["book"], Lend(book="moby"), {"book": object()}, {"book": float("nan")}],
    ids=["nothing", "a number", "a list", "an event", "an object within", "not a number within"],
)
def test_only_json_and_mappings_of_its_types_are_bodies(body: Any) -> None:
    with pytest.raises(Malformed):
        read(body)


def test_what_was_sent_does_not_stand_in_the_message() -> None:
    with pytest.raises(Malformed) as refused:
        read({"book": ["Ann Lee, born 1970"], "reader": "Ann Lee", "copies": -40})

    told = f"{refused.value} {refused.value.problems}"
    assert "Ann" not in told
    assert "40" not in told


class Dose(BaseModel):
    mg: Decimal


class Give(Event, kind="give"):
    doses: tuple[Dose, ...]
    ratio: float = 0.0
    free: Any = None


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        ('{"book": "moby", "reader": 7, "reader": 8}', "reader"),
        ('{"book": "moby", "reader": 7, "re\\u0061der": 7}', "reader"),
    ],
)
def test_a_name_that_is_there_twice_is_refused(body: str, twice: str) -> None:
    for told in (body, body.encode()):
        with pytest.raises(Malformed, match=f"{twice!r} is there twice") as refused:
            read(told)
        assert refused.value.problems == ((twice, "is there twice"),)


def test_names_are_looked_at_on_every_level_and_within_lists() -> None:
    with pytest.raises(Malformed, match="'a' is there twice"):
        read('{"anything": [1, {"b": {"a": 1, "a": 1}}]}', Deep)
    assert read('{"anything": [{"a": 1}, {"a": 1}]}', Deep) == Deep(anything=[{"a": 1}, {"a": 1}])


@pytest.mark.parametrize(
    "mg", ["123456789012345678.123456789", "0.12345678901234567891", "1.000000000000000001", "1e-400"]
)
def test_a_decimal_number_of_which_digits_would_be_lost_is_refused_and_as_a_text_is_not(mg: str) -> None:
    with pytest.raises(Malformed, match="send it as a text"):
        read(f'{{"doses": [{{"mg": {mg}}}]}}', Give)

    found = read(f'{{"doses": [{{"mg": "{mg}"}}]}}', Give)
    assert isinstance(found, Give)
    assert found.doses[0].mg == Decimal(mg)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**11), max_value=10**11))
def test_a_decimal_number_of_up_to_fourteen_digits_is_read_as_it_was_sent(mg: Decimal) -> None:
    found = read(f'{{"doses": [{{"mg": {mg}}}]}}', Give)
    assert isinstance(found, Give)
    assert found.doses[0].mg == mg


def test_where_no_number_is_exact_digits_beyond_a_floats_do_no_harm() -> None:
    class Measure(Event, kind="measure"):
        ratio: float

    assert read('{"ratio": 0.1000000000000000055511}', Measure) == Measure(ratio=0.1)


class Booked(Event, kind="booked"):
    day: date
    at: AwareDatetime | None = None
    weeks: dict[str, list[date]] = Field(default_factory=dict)


@pytest.mark.parametrize("number", ["0", "7", "-1", "+3", "0.5", "20240701", "1719826200"])
@pytest.mark.parametrize(
    ("where", "path", "told"),
    [
        ({"day": ...}, "day", "Input should be a valid date, such as 2024-07-01"),
        ({"at": ...}, "at", "Input should be a valid datetime, such as 2024-07-01T09:30:00Z"),
        (
            {"weeks": {"first": ["2024-07-01", ...]}},
            "weeks.first.1",
            "Input should be a valid date, such as 2024-07-01",
        ),
    ],
    ids=["date", "instant", "within"],
)
def test_a_number_written_as_a_text_is_no_date_and_no_instant(number: str, where: Any, path: str, told: str) -> None:
    body = json.dumps({"day": "2024-07-01", **where}, default=lambda _: number).replace("Ellipsis", number)

    with pytest.raises(Malformed) as refused:
        read(body, Booked)

    assert refused.value.problems == ((path, told),)


@pytest.mark.parametrize(
    "body",
    [
        {"day": "2024-07-01T00:00:00Z"},
        {"day": "2024-7-1"},
        {"day": "2024-07-01", "at": "2024-07-01"},
        {"day": "2024-07-01", "at": "2024-07-01T09:30:00"},
        {"day": 0},
        {"day": "2024-07-01", "at": 1719826200},
    ],
    ids=str,
)
def test_a_date_is_no_instant_and_an_instant_is_no_date(body: Any) -> None:
    with pytest.raises(Malformed, match=r"should (be a valid|have timezone)"):
        read(body, Booked)


@given(day=st.dates(), at=st.none() | st.datetimes(timezones=st.timezones()))
def test_dates_and_instants_are_read_as_they_are_written(day: date, at: datetime | None) -> None:
    with suppress(OverflowError):
        at = at and at.astimezone(UTC)
    assume(at is None or at.tzinfo is UTC)

    assert read({"day": str(day), "at": at and at.isoformat()}, Booked) == Booked(day=day, at=at)


def test_dates_are_described_as_before() -> None:
    class Plain(BaseModel):
        day: date
        at: AwareDatetime | None = None
        weeks: dict[str, list[date]] = Field(default_factory=dict)

    assert Booked.model_json_schema()["properties"] == Plain.model_json_schema()["properties"]


def test_a_thousand_faults_are_told_in_fifty() -> None:
    with pytest.raises(Malformed) as refused:
        read({f"field{number}": 1 for number in range(1_000)})

    assert len(refused.value.problems) == 50
    assert "(and 996 more)" in str(refused.value)
    assert len(str(refused.value)) < 3_000


def test_a_paths_length_is_bounded_too() -> None:
    with pytest.raises(Malformed) as refused:
        read({"x" * 50_000: 1})

    assert len(str(refused.value)) < 1_000


def test_a_body_that_is_too_large_is_not_read() -> None:
    body = json.dumps({"book": "m" * 200}).encode()

    assert read(body, largest=len(body)) == Lend(book="m" * 200)
    with pytest.raises(Malformed, match=f"{len(body)} bytes, and {len(body) - 1} are read at most"):
        read(body, largest=len(body) - 1)


def test_the_size_is_counted_in_bytes() -> None:
    body = json.dumps({"book": "ü" * 100}, ensure_ascii=False)

    with pytest.raises(Malformed, match="bytes"):
        read(body, largest=len(body))


@pytest.mark.parametrize("opening", ["[", '{"a":', "[[", '[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_body_that_nests_too_deep_is_refused_before_anything_recurses(opening: str, closed: bool) -> None:
    levels = 20_000
    closing = opening[::-1].replace("[", "]").replace("{", "}").replace(':"a"', "")
    body = '{"anything":' + opening * levels + ("0" + closing * levels + "}" if closed else "")

    with pytest.raises(Malformed, match=f"nested deeper than {DEEPEST} levels"):
        read(body, Deep, largest=10**7)


def test_brackets_in_texts_are_no_nesting() -> None:
    text = '[{"\\' * 10_000

    assert read(json.dumps({"anything": text}), Deep) == Deep(anything=text)
    assert read(json.dumps({"anything": ["[" * 300, {"}": "]"}]}), Deep) == Deep(anything=["[" * 300, {"}": "]"}])


def test_a_deep_mapping_is_refused_like_a_deep_text() -> None:
    made: Any = 0
    for _ in range(5_000):
        made = [made]

    with pytest.raises(Malformed):
        read({"anything": made}, Deep)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON | st.fixed_dictionaries({}, optional={"book": JSON, "reader": JSON, "copies": JSON}))
def test_json_is_an_event_or_malformed_and_nothing_else(value: Any) -> None:
    try:
        event = read(json.dumps(value))
    except Malformed:
        return
    assert isinstance(event, Lend)


@given(st.binary() | st.text())
@example(b"\xef\xbb\xbf{}")
@example("\ud800")
@example("[" * 201 + '"\ud800')
def test_bytes_are_an_event_or_malformed_and_nothing_else(body: bytes | str) -> None:
    with pytest.raises(Malformed):
        read(body)


def test_an_instant_that_has_no_utc_is_malformed() -> None:
    with pytest.raises(Malformed):
        read(b'{"anything":1,"at":"0001-01-01T00:00:00+01:00"}', Deep)


# decide ---------------------------------------------------------------------------------------------------------------


@check
def enough(event: Lend, wanted: Wanted) -> Yields[Reject]:
    if wanted.book.copies < event.copies:
        yield Reject("too-few", f"{wanted.book.copies} left", field="copies")


@handler
def take(event: Lend, wanted: Wanted) -> Yields[Update[Book]]:
    yield Update(wanted.book, copies=wanted.book.copies - event.copies)


@handler
def stamp(event: Lend, asking: Asking) -> Yields[Remind]:
    yield Remind(reader=event.reader, text=event.meta.at.isoformat())


VERSIONS = Versions.of({"2024-01-01": [Lend, enough, take], "2024-06-01": [stamp]})


def test_a_decision_needs_no_database() -> None:
    plan = decide(Lend(book="moby", copies=2), WANTED, version="2024-01-01", versions=VERSIONS)

    assert plan == Plan(
        (Planned("take/Update:book[moby]", Update(STOCK, copies=1), "take", f"{__name__}.take", "2024-01-01"),)
    )
    assert plan == decide(Lend(book="moby", copies=2), WANTED, version=date(2024, 5, 31), versions=VERSIONS)


def test_a_refusal_is_a_plan_with_rejections() -> None:
    plan = decide(Lend(book="moby", copies=9), WANTED, version="2024-01-01", versions=VERSIONS)

    assert ([rejection.code for rejection in plan.rejections], plan.planned) == (["too-few"], ())


def test_a_missing_snapshot_is_named() -> None:
    with pytest.raises(Malformed, match="lend under 2024-06-01 also needs Asking"):
        decide(Lend(book="moby"), WANTED, version="2024-06-01", versions=VERSIONS)


def test_a_handler_that_asks_for_the_meta_needs_a_stamped_event() -> None:
    asking = Asking(card=None)

    with pytest.raises(NoMeta):
        decide(Lend(book="moby"), WANTED, asking, version="2024-06-01", versions=VERSIONS)

    event = Lend(book="moby").stamped(at=datetime(2024, 7, 1, tzinfo=UTC), actor="ann")
    plan = decide(event, WANTED, asking, version="2024-06-01", versions=VERSIONS)
    assert plan.steps(Remind) == (Remind(reader=1, text="2024-07-01T00:00:00+00:00"),)


@pytest.mark.parametrize("version", ["2023-12-31", "tomorrow", date(2000, 1, 1), datetime(2024, 6, 1, tzinfo=UTC), 5])
def test_a_decision_under_no_version_is_refused(version: Any) -> None:
    with pytest.raises(UnknownVersion):
        decide(Lend(book="moby"), WANTED, version=version, versions=VERSIONS)


def test_a_snapshot_that_nobody_asks_for_does_no_harm() -> None:
    asking = Asking(card=None)

    assert decide(Lend(book="moby"), WANTED, asking, version="2024-01-01", versions=VERSIONS) == decide(
        Lend(book="moby"), WANTED, version="2024-01-01", versions=VERSIONS
    )


def test_a_decision_is_taken_under_versions_that_are_loaded() -> None:
    name: Any = "library.versions"

    with pytest.raises(TypeError, match=r'decide\(\) takes versions=load\("shop\.versions"\), not str'):
        decide(Lend(book="moby"), version="2024-01-01", versions=name)
