"""Hostile input gets a clear error or is stored faithfully: never a crash, never half an event, and never a body in a log."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from io import BytesIO, TextIOWrapper
from itertools import chain
from typing import Any
from uuid import UUID

import aiosqlite
import pytest
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dateline import Actor, Committed, Event, Reason
from dateline.cli.main import main
from dateline.core.canon import canonical, digest
from dateline.core.entry import Entry
from dateline.core.meta import Meta, Origin
from dateline.errors import (
    ConstraintRefused,
    DatelineError,
    HandlerFailed,
    Malformed,
    NotCanonical,
    NotStorable,
    Rejected,
    TrailFault,
    UnknownVersion,
)
from dateline.sql.tables import TRAIL
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked, count
from tests.proofs.hostile import (
    COLOURS,
    DATA,
    LONG,
    ODD,
    REFUSED,
    STRINGS,
    TEXT,
    VERSIONS,
    Card,
    Desk,
    Doubled,
    Failing,
    Keyed,
    Letter,
    Meter,
    Settle,
    desk,
    digests,
    looked_at,
    tried,
)
from tests.proofs.racing import on_newest, on_sqlite

Asked = tuple[Event, dict[str, Any]]

in_both_colours = pytest.mark.parametrize("colour", COLOURS)

PLACES: dict[str, Callable[[str, str], Asked]] = {
    "everywhere": lambda text, name: (
        Letter(about=text, text=text, data={text: [text]}, secret={text: text}, cards={text: Card(name=text)}),
        {
            "actor": Actor(text, text, text, text, text),
            "reason": Reason(text, text, text, text),
            "origin": Origin(text, text, text),
            "tenant": text,
            "key": text,
        },
    ),
    "rejection": lambda text, name: (Letter(about=text, text=text, refused=True), {"key": f"rejected {name}"}),
    "key of a step": lambda text, name: (Keyed(data=text), {}),
    "key of a rejection": lambda text, name: (Keyed(data=text, refused=True), {}),
    "name of a personal value": lambda text, name: (Letter(about=name, text="", cards={text: Card(name="x")}), {}),
    "name in data": lambda text, name: (Letter(about=name, text="", data={text: {text: 1}}), {}),
    "data": lambda text, name: (Letter(about=name, text="", data=text), {}),
    "secret": lambda text, name: (Letter(about=name, text="", secret=text), {}),
    "actor": lambda text, name: (Letter(about=name, text=""), {"actor": text}),
    "reason": lambda text, name: (Letter(about=name, text=""), {"reason": text}),
    "tenant": lambda text, name: (Letter(about=name, text=""), {"tenant": text}),
    "key": lambda text, name: (Letter(about=name, text=""), {"key": text}),
    "version": lambda text, name: (Letter(about=name, text=""), {"version": text}),
    "row that is expected": lambda text, name: (Letter(about=name, text=""), {"expects": {text: {text: text}}}),
    "handler that fails": lambda text, name: (Failing(text=text), {}),
}


WITHIN = frozenset({"name of a personal value", "name in data", "data", "secret", "actor", "reason", "tenant", "key"})
"""What is sent everywhere is sent there too; by itself it shows which place it was that said no."""


def recorded(desk: Desk, done: Committed, told: dict[str, Any]) -> Entry:
    entry = desk.outcome(done.event_id, tenant=told.get("tenant", ""))
    assert entry is not None
    return entry


def faithful(desk: Desk, done: Committed, event: Event, told: dict[str, Any]) -> None:
    """Look that an event came back as it was sent, and is found by everything that was sent."""
    entry, tenant = recorded(desk, done, told), told.get("tenant", "")
    assert entry.event == event
    assert (entry.tenant, entry.actor) == (tenant, Actor.of(told.get("actor", "crowd")))
    assert (entry.reason, entry.meta.origin) == (Reason.of(told.get("reason")), told.get("origin"))
    ways: list[dict[str, Any]] = [{"actor": entry.actor.id}, *({"subject": found} for found in entry.subjects)]
    if isinstance(event, Letter):
        assert set(entry.subjects) == {event.about, f"letter:{event.about}", event.text}
        assert [(one.table, one.row_key) for one in entry.operations] == [
            ("cell", event.about),
            ("person", event.about),
        ]
        assert entry.operations[0].after == {"name": event.about, "text": event.text, "writes": 1}
        assert entry.operations[1].after == {"id": event.about, "name": event.text}
        payload = {"to": event.about, "text": event.text, "data": event.data, "secret": event.secret}
        assert [one.payload for one in entry.effects] == [payload]
        ways.append({"table": "cell", "row": event.about})
    for way in ways:
        [found] = desk.trail(tenant=tenant, newest_first=True, limit=1, **way)
        assert found == entry


@on_newest
@in_both_colours
def test_a_text_in_any_place_is_refused_or_comes_back(bank: Bank, colour: str, figure: Callable[[str], None]) -> None:
    outcomes: dict[str, int] = {}
    committed: set[tuple[str, str]] = set()

    with desk(bank, colour) as runner:
        for name, told in STRINGS.items():
            for place, asking in PLACES.items():
                if colour == "async" and place not in ("everywhere", "rejection", "key of a step"):
                    continue
                if place in WITHIN and (name, "everywhere") in committed:
                    continue
                try:
                    event, given = asking(told, f"{place} {name}")
                except REFUSED:
                    continue
                done = tried(bank, runner, event, **given)
                outcomes[type(done).__name__] = outcomes.get(type(done).__name__, 0) + 1
                if isinstance(done, Committed):
                    committed.add((name, place))
                    faithful(runner, done, event, given)
        found = runner.verify()

    figure(f"{outcomes}")
    assert found.ok
    assert found.events == count(bank.engine, "dateline_event") > 40
    assert {"Committed", "Rejected", "NotCanonical"} <= outcomes.keys()


@on_newest
def test_control_a_text_that_comes_back_otherwise_is_seen(bank: Bank) -> None:
    event = Letter(about="a", text="b")

    with desk(bank, "sync") as runner:
        done = runner.dispatch(event, actor="crowd")
        faithful(runner, done, event, {})

        for other, told in ((Letter(about="a", text="B"), {}), (event, {"actor": "crowd "}), (event, {"reason": ""})):
            with pytest.raises(AssertionError):
                faithful(runner, done, other, told)


@on_newest
@in_both_colours
@pytest.mark.parametrize("field", ["data", "secret"])
def test_a_value_of_any_shape_is_refused_or_comes_back(bank: Bank, colour: str, field: str) -> None:
    refused = {}

    with desk(bank, colour) as runner:
        for name, value in DATA.items():
            event = Letter(about=name, text="", **{field: value})
            done = tried(bank, runner, event, key=name)
            if isinstance(done, Committed):
                # In the canonical form a tuple is a list, and bytes are text.
                assert recorded(runner, done, {}).input[field] == json.loads(canonical(value))
            else:
                refused[name] = type(done)
                # A preview says the same no; it must not promise what cannot be recorded.
                with pytest.raises(NotCanonical):
                    runner.preview(event, actor="crowd")
        assert runner.verify().ok

    assert refused == dict.fromkeys(
        (
            *("deep list", "deep dict", "deep mixture", "cyclic", "not a number", "infinite", "huge", "object"),
            *("class", "one name twice", "names of no text"),
        ),
        NotCanonical,
    )


@on_newest
@in_both_colours
def test_a_number_of_any_size_is_refused_or_stored(bank: Bank, colour: str) -> None:
    with desk(bank, colour) as runner:
        sizes = (10**5_000, 10**4_000, 2**200, 2**64, 2**63, -(2**63) - 1)
        refused = [type(tried(bank, runner, Settle(cents=size))) for size in sizes]
        done = tried(bank, runner, Settle(cents=2**31 - 1))

        assert refused == [NotCanonical, *[NotStorable] * 5]
        assert isinstance(done, Committed)
        assert runner.verify().ok


@on_newest
@pytest.mark.parametrize("place", ["about", "text", "data", "secret", "reason", "actor", "tenant", "key"])
def test_a_long_text_is_refused_or_comes_back(bank: Bank, place: str) -> None:
    with desk(bank, "sync") as runner:
        for told in (LONG, LONG * 100 if place not in ("about", "actor", "tenant", "key") else LONG * 10):
            fields: dict[str, Any] = {"about": f"a{len(told)}", "text": ""}
            given: dict[str, Any] = {}
            (fields if place in Letter.model_fields else given)[place] = told
            if place in Letter.model_fields:
                event = runner.event("letter", json.dumps(fields))
                assert event == Letter(**fields)
            else:
                event = Letter(**fields)
            done = tried(bank, runner, event, **given)
            if isinstance(done, Committed):
                entry = recorded(runner, done, given)
                assert (entry.event, entry.actor.id) == (event, given.get("actor", "crowd"))
            else:
                # A key has one length, whichever the database; of all else the database says what it holds.
                assert isinstance(done, Malformed if place == "key" else NotStorable)
                assert len(str(done)) < 500
        assert runner.verify().ok


TYPES: tuple[Any, ...] = (
    None,
    5,
    1.5,
    b"x",
    True,
    [],
    {},
    object(),
    ("a",),
    10**5_000,
    date(2024, 1, 1),
    Actor,
    Letter,
)


@on_sqlite
def test_a_field_of_another_type_is_refused_without_its_value(bank: Bank) -> None:
    with desk(bank, "sync") as runner:
        for shape in (Letter, Settle, Failing):
            for field, of in shape.model_fields.items():
                for wrong in ("SECRET", *TYPES):
                    if of.annotation in (Any, str) and isinstance(wrong, str):
                        continue
                    with pytest.raises(REFUSED) as no:
                        shape(**{"about": "a", "text": "b", "cents": 1, field: wrong, "unknown": "SECRET"})
                    assert "SECRET" not in str(no.value)
                    body = {"about": "a", field: wrong, "SECRET" if wrong is None else "unknown": "SECRET"}
                    with pytest.raises(Malformed) as told:
                        runner.event(shape.__kind__, body)
                    assert "SECRET" not in str(told.value).replace("SECRET: Extra", "")
    assert count(bank.engine, "dateline_event") == 0


ARGUMENTS = ("actor", "reason", "tenant", "key", "cause", "at", "version", "origin", "expects")


@on_newest
@in_both_colours
def test_an_argument_of_another_type_is_refused_before_anything_is_read(bank: Bank, colour: str) -> None:
    fine = {"actor": Actor, "cause": UUID, "version": date}

    with desk(bank, colour) as runner:
        before = digests(bank.engine)
        for argument in ARGUMENTS:
            for wrong in TYPES:
                optional = wrong is None and argument not in ("actor", "tenant")
                if optional or isinstance(wrong, fine.get(argument, ())) or (argument == "expects" and wrong == {}):
                    continue
                with pytest.raises((Malformed, UnknownVersion)) as no:
                    runner.dispatch(Letter(about="a", text="b"), **{"actor": "crowd", argument: wrong})
                assert type(no.value) is (UnknownVersion if argument == "version" else Malformed)
                if argument == "version":
                    # The only one of them that is a refusal of a request, and is kept.
                    before = digests(bank.engine)
                assert digests(bank.engine) == before
        for wrong in TYPES:
            with pytest.raises(TypeError, match="takes an event of some kind"):
                runner.dispatch(wrong, actor="crowd")
        with pytest.raises(TypeError, match="needs actor="):
            runner.dispatch(Letter(about="a", text="b"))
        with pytest.raises(TypeError, match="takes no resaon="):
            runner.dispatch(Letter(about="a", text="b"), actor="crowd", resaon="x")
        assert runner.verify().ok


@pytest.mark.parametrize(("made", "first"), [(Actor, "id"), (Reason, "text"), (Origin, "request")])
def test_who_and_why_are_texts(made: Any, first: str) -> None:
    for field in made.__dataclass_fields__:
        for wrong in TYPES[1:]:
            with pytest.raises(Malformed, match=rf"{made.__name__.lower()}\.{field} is a"):
                made(**{first: "a", field: wrong})


INSTANTS = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=23, minutes=59, seconds=59, microseconds=1))),
        datetime(2024, 6, 1),
    ]
)


def mostly(fine: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda chance: fine if chance else ODD)


SEEN = st.dictionaries(TEXT | st.just("cell/a"), st.dictionaries(TEXT | st.just("text"), TEXT, max_size=2), max_size=2)
ARGUED = st.fixed_dictionaries(
    {
        "actor": mostly(
            TEXT | st.builds(Actor, TEXT.filter(bool), TEXT, TEXT, TEXT, TEXT, st.just(frozenset({"backdate"})))
        )
    },
    optional={
        "reason": mostly(TEXT | st.builds(Reason, TEXT, TEXT, TEXT, TEXT)),
        "tenant": mostly(TEXT),
        "key": mostly(TEXT),
        "cause": mostly(st.uuids()),
        "at": mostly(INSTANTS),
        "version": mostly(TEXT | st.dates() | st.sampled_from(["as-of-occurred", "2024-01-01", "9999-12-31"])),
        "origin": mostly(st.builds(Origin, TEXT, TEXT, TEXT)),
        "expects": mostly(
            SEEN | st.dictionaries(ODD.filter(lambda odd: type(odd).__hash__ is not None), ODD, max_size=2)
        ),
    },
)


@on_newest
@in_both_colours
def test_arguments_of_any_sort_are_refused_or_come_back(
    bank: Bank, colour: str, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    outcomes: dict[str, int] = {}
    meter = Meter()

    with desk(bank, colour) as runner:

        def look(told: dict[str, Any]) -> None:
            event = Letter(about="a", text="b")
            done = tried(bank, runner, event, **told)
            outcomes[type(done).__name__] = outcomes.get(type(done).__name__, 0) + 1
            # A key that came before has its answer already, whoever sends it now.
            if isinstance(done, Committed) and not done.repeated:
                entry = meter(lambda: recorded(runner, done, told))
                at = told.get("at")
                assert (entry.event, entry.actor, entry.reason) == (
                    event,
                    Actor.of(told["actor"]),
                    Reason.of(told.get("reason")),
                )
                assert (entry.meta.cause, entry.meta.origin) == (told.get("cause"), told.get("origin"))
                assert entry.occurred_at == at or (
                    at is None and entry.meta.late == ("version" in told and entry.meta.late)
                )

        looked_at(look, times(60 if colour == "sync" else 40), told=ARGUED)
        assert runner.verify().ok

    figure(f"{outcomes}")
    assert {"Committed", "Malformed"} < outcomes.keys()


def test_control_the_meter_sees_a_call_that_is_slow_each_time_and_forgives_one() -> None:
    naps = [0.06, 0.0]
    meter = Meter(most=0.05)

    meter(lambda: time.sleep(naps.pop(0)))

    with pytest.raises(AssertionError, match=r"0\.1 s"):
        meter(lambda: time.sleep(0.1))
    with pytest.raises(AssertionError):
        meter(lambda: refuse_after(0.1))


def refuse_after(nap: float) -> None:
    time.sleep(nap)
    raise Malformed("no")


def data(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=15,
    )


# RFC 8785 writes a larger whole number without a point, and Python reads that as an integer of other digits.
JSON = data(st.floats(-(2**53), 2**53))
ANY_JSON = data(st.floats(allow_nan=False, allow_infinity=False))
BODY = json.dumps(
    {
        "about": "a",
        "text": "SECRET",
        "data": {"a": [1, None, 1.5, "\u2028"]},
        "secret": ["x"],
        "cards": {"~/": {"name": "n"}},
    }
).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A body that was valid once."""
    made = bytearray(BODY)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(made) - 1, 0)))
        what = draw(st.sampled_from(["cut", "put", "swap", "again"]))
        if what == "cut":
            del made[at : at + draw(st.integers(1, 8))]
        elif what == "swap" and made:
            made[at] = draw(st.integers(0, 255))
        elif what == "again":
            made[at:at] = made[at : at + draw(st.integers(1, 60))]
        else:
            made[at:at] = draw(
                st.binary(max_size=6)
                | st.sampled_from([b"NaN", b"1e999", b"\\ud800", b"\\u0000", b"[" * 300, b'{"":' * 300, b"9" * 5_000])
            )
    return bytes(made)


@on_sqlite
def test_no_body_is_more_than_refused(bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]) -> None:
    meter = Meter()
    made: list[Event] = []
    refused: list[Malformed] = []

    with desk(bank, "sync") as runner:

        def look(body: bytes | str) -> None:
            for kind in ("letter", "settle"):
                try:
                    made.append(meter(lambda kind=kind: runner.event(kind, body)))  # type: ignore[misc]  # mypy knows no lambda's defaults
                except Malformed as no:
                    refused.append(no)
            try:
                Letter.from_json(body)
            except Malformed as no:
                refused.append(no)

        looked_at(look, times(400), body=st.binary(max_size=200) | mutated() | TEXT)
        looked_at(look, times(100), body=JSON.map(lambda data: json.dumps({"about": "a", "text": "b", "data": data})))
        for depth in (199, 200, 201, 10_000, 1_000_000):
            look('{"about":"a","text":"b","data":' + "[" * depth + "]" * depth + "}")
            look('{"data":' + '{"":' * depth)
        look(json.dumps({"about": "a", "text": "[{" * 5_000_000}))
        look('{"about":"a","text":"' + "x" * 10_000_000 + '","data":"')
        # What was made can be dispatched, and comes back.
        for event in made[:: max(1, len(made) // 50)]:
            done = tried(bank, runner, event)
            if isinstance(done, Committed):
                assert recorded(runner, done, {}).event == event
        assert runner.verify().ok

    assert max(len(str(no)) for no in refused) < 2_000
    assert max(len(message) for no in refused for _, message in no.problems) <= 300
    figure(f"{len(made)} events made of bodies, the slowest call {meter.slowest:.2f} s")
    assert len(made) > 20


def test_the_canonical_form_of_data_is_its_own(times: Callable[[int], int]) -> None:
    meter = Meter()

    def look(value: Any) -> None:
        once = meter(lambda: canonical(value))
        assert json.loads(once) == value
        assert canonical(json.loads(once)) == once

    def stable(value: Any) -> None:
        once = canonical(value)
        assert canonical(json.loads(once)) == once

    def odd(value: Any) -> None:
        try:
            meter(lambda: canonical(value))
        except NotCanonical:
            return
        json.loads(canonical(value))

    looked_at(look, times(150), value=JSON)
    looked_at(stable, times(150), value=ANY_JSON)
    looked_at(
        odd,
        times(100),
        value=st.recursive(
            TEXT | ODD,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
            max_leaves=8,
        ),
    )


def test_no_text_is_more_than_no_version(times: Callable[[int], int]) -> None:
    meter, now = Meter(), datetime(2024, 6, 1, tzinfo=UTC)
    chosen: set[date] = set()
    refused: list[UnknownVersion] = []

    def look(wanted: Any) -> None:
        try:
            chosen.add(meter(lambda: VERSIONS.choose(wanted, now)).date)
        except UnknownVersion as no:
            refused.append(no)

    looked_at(look, times(300), wanted=TEXT | ODD | st.dates() | st.datetimes() | st.dates().map(str) | st.none())

    assert chosen == {date(2024, 1, 1)}
    assert all("\n" not in str(no) for no in refused)
    # What is refused is recorded, so it has a canonical form.
    assert canonical([no.facts for no in refused])


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("tenant", "subject", "table", "row", "kind", "actor", "outcome"), TEXT | ODD | st.none()),
        "version": st.dates() | ODD,
        "cause": st.uuids() | ODD,
        "since": INSTANTS | ODD,
        "until": INSTANTS | ODD,
        "after": st.integers(-(2**70), 2**70) | ODD,
        "limit": st.integers(-5, 20_000) | ODD,
        "newest_first": st.booleans(),
    },
)


@on_newest
@in_both_colours
def test_filters_and_cursors_of_any_sort_find_nothing_or_are_refused(
    bank: Bank, colour: str, times: Callable[[int], int]
) -> None:
    meter = Meter()
    pages: list[int] = []
    refused: list[type] = []

    with desk(bank, colour) as runner:
        runner.dispatch(Letter(about="a", text="b"), actor="crowd")
        before = digests(bank.engine)

        def look(wanted: dict[str, Any]) -> None:
            try:
                pages.append(len(meter(lambda: runner.trail(**wanted))))
            except DatelineError as no:
                refused.append(type(no))

        looked_at(look, times(80 if colour == "sync" else 30), wanted=FILTERS)
        for cursor in (0, 1, -1, 2**63 - 1, -(2**63), 2**63, 10**30, 10**5_000):
            look({"after": cursor})

        assert digests(bank.engine) == before
    assert {0, 1} <= set(pages)
    assert {no.__name__ for no in refused} == {"Malformed", "NotStorable"}


SPOILT = st.sampled_from(
    [
        *(
            None,
            0,
            5,
            -1,
            2**40,
            1.5,
            "",
            "x",
            "[]",
            "{}",
            "null",
            "5",
            '"x"',
            "NaN",
            '{"a":',
            "\U0001f600",
            b"\xff\0",
            b"",
        ),
        *("[" * 100_000, '{"a":' * 100_000, "9" * 5_000, '[["a"]]', "2024-13-01", "9999-12-31T23:59:59.999999-12:00"),
        *(
            "0001-01-01T00:00:00+14:00",
            "rejected",
            "stale",
            "constraint",
            "not-found",
            "00000000-0000-0000-0000-000000000009",
        ),
    ]
)
"""What dateline never wrote there."""

PARTS: tuple[tuple[str, ...], ...] = (
    *((part,) for part in ("meta", "input", "snapshot", "decision", "kind", "sealed", "shape")),
    *(
        ("meta", part)
        for part in ("id", "at", "actor", "reason", "version", "tenant", "cause", "root", "late", "origin")
    ),
    ("meta", "actor", "id"),
    ("decision", "outcome"),
    ("decision", "refusal"),
    ("decision", "refusal", "rejections"),
    ("snapshot", "Cellular.cell"),
)


def spoilt(bank: Bank, seq: int, table: str, column: str, value: Any) -> bool:
    """Write past dateline; tell whether the database took it."""
    try:
        with bank.engine.begin() as connection:
            connection.execute(text(f'UPDATE "{table}" SET "{column}" = :value WHERE seq = {seq}'), {"value": value})
    except (DBAPIError, OverflowError):
        return False
    return True


@contextmanager
def restored(bank: Bank, seq: int, table: str) -> Iterator[None]:
    """Put an event's rows back as they were."""
    with bank.engine.connect() as connection:
        kept = [dict(row._mapping) for row in connection.execute(text(f'SELECT * FROM "{table}" WHERE seq = {seq}'))]
    yield
    with bank.engine.begin() as connection:
        connection.execute(text(f'DELETE FROM "{table}" WHERE seq = {seq}'))
        for row in kept:
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({values})'), row)


def changed_in(body: str, where: tuple[str, ...], value: Any) -> str:
    """Return a body with another value in one of its parts."""
    held = json.loads(body)
    part = held
    for step in where[:-1]:
        part = part.setdefault(step, {})
    part[where[-1]] = "x" if isinstance(value, bytes) else value
    return json.dumps(held)


@on_newest
def test_a_record_that_was_changed_is_a_fault_of_the_trail_and_verify_names_the_event(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    columns = [
        (table.name, column.name)
        for table in TRAIL.tables.values()
        for column in table.c
        if "seq" in table.c and column.name != "seq"
    ]
    meter, faults, spoiled = Meter(), [], []

    with desk(bank, "sync") as runner:
        event = Letter(about="a", text="b", data=[1], secret="s", cards={"c": Card(name="n")})
        runner.dispatch(event, actor="crowd")
        first = runner.dispatch(event, actor="crowd", reason="r", origin=Origin("x")).seq
        assert isinstance(tried(bank, runner, Letter(about="a", text="b", refused=True)), Rejected)

        def look(value: Any, where: tuple[str, ...], seq: int) -> None:
            table, column = where if where in columns else ("dateline_event", "body")
            with restored(bank, seq, table):
                if where not in columns:
                    [[body]] = asked(bank.engine, f"SELECT body FROM dateline_event WHERE seq = {seq}")
                    value = changed_in(body, where, value)
                    # Whoever changes a body that well changes its digest too.
                    assert spoilt(bank, seq, table, "sha256", digest(value.encode()))
                if not spoilt(bank, seq, table, column, value):
                    return
                spoiled.append(where)
                named = {found for found, _ in meter(runner.verify).faults}
                assert named <= {seq}
                try:
                    page = meter(runner.trail)
                    # Some parts are read only when they are asked for: showing an entry asks for all.
                    assert all(meter(partial(repr, entry)) for entry in page)
                except TrailFault as error:
                    fault = str(error)
                else:
                    assert all((entry.outcome == "committed") == (entry.refusal is None) for entry in page)
                    return
                faults.append(where)
                assert f"event {seq} " in fault
                assert named == {seq}

        where = st.sampled_from([*columns, *PARTS])
        looked_at(look, times(120), value=SPOILT, where=where, seq=st.sampled_from([first, first + 1]))
        assert runner.verify().ok
        assert len(runner.trail()) == 3

    figure(f"{len(spoiled)} records spoilt, {len(faults)} beyond reading, the slowest call {meter.slowest:.2f} s")
    assert len(faults) > 10


@on_sqlite
def test_control_a_reader_that_trusts_the_record_falls_over_it(bank: Bank) -> None:
    with desk(bank, "sync") as runner:
        runner.dispatch(Letter(about="a", text="b"), actor="crowd")

    for spoil in ("[" * 100_000, "{}", "null", '{"meta":{"id":"x"}}'):
        with pytest.raises((RecursionError, KeyError, TypeError, ValueError)):
            Meta.from_facts(json.loads(spoil)["meta"])


def command(*arguments: str) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit status, what it wrote, and what it complained of."""
    out = TextIOWrapper(BytesIO(), "utf-8")
    err = TextIOWrapper(BytesIO(), "utf-8", errors="backslashreplace")
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    told = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        told.append(stream.read())
    assert isinstance(ended.value.code, int)
    return ended.value.code, told[0], told[1]


OPTIONS = (
    "subject",
    "kind",
    "actor",
    "version",
    "outcome",
    "table",
    "row",
    "since",
    "until",
    "tenant",
    "after",
    "limit",
)
WORDS = (
    TEXT
    | st.sampled_from(["0", "-1", "9" * 5_000, "1e9", "2024-01-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
    | st.dates().map(str)
    | st.integers(-(2**70), 2**70).map(str)
)


@on_newest
def test_the_command_line_answers_anything_with_a_status_and_one_line(
    bank: Bank, times: Callable[[int], int], monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    meter, ended = Meter(), []
    with desk(bank, "sync") as runner:
        for told in STRINGS.values():
            tried(bank, runner, Keyed(data=told, refused=True), actor=told)
            tried(bank, runner, Keyed(data=[told, 5, None]), reason=told)
        tried(bank, runner, Keyed(data=5, refused=True))
    before = digests(bank.engine)

    def look(arguments: list[str]) -> None:
        status, out, err = meter(lambda: command(*arguments))
        ended.append(status)
        assert status in (0, 1, 2)
        assert "Traceback" not in out + err
        if status == 2:
            assert err.count("\n") == 1
            assert len(err.splitlines()) == 1
            assert err.rstrip("\n").isprintable()
        else:
            assert err == ""
            assert all(line.isprintable() for line in out.split("\n"))

    database = ["--database", bank.engine.url.render_as_string(hide_password=False)]
    option = st.tuples(st.sampled_from(OPTIONS), WORDS).map(lambda found: [f"--{found[0]}={found[1]}"])
    flags = st.sampled_from([["--json"], ["--unmask"], ["--newest-first"]])
    shown = st.lists(option | flags, max_size=3).map(lambda found: ["trail", *database, *chain(*found)])
    verified = (st.tuples(st.just("--tenant"), WORDS) | st.just(("--json",))).map(
        lambda found: ["verify", *database, *found]
    )
    elsewhere = st.tuples(st.sampled_from(["trail", "verify"]), TEXT).map(
        lambda found: [found[0], f"--database={found[1]}"]
    )
    versions = TEXT.map(lambda found: ["trail", *database, f"--versions={found}"])
    for arguments in (["trail", *database], ["trail", *database, "--json"], ["verify", *database]):
        look(arguments)
    looked_at(
        look, times(60), arguments=shown | verified | elsewhere | versions | st.lists(WORDS, min_size=1, max_size=3)
    )

    figure(f"{len(ended)} commands, {ended.count(2)} of them refused, the slowest in {meter.slowest:.2f} s")
    assert {0, 2} <= set(ended)
    assert digests(bank.engine) == before


SECRET = "hunter2"
BODY_OF_SECRETS = f"{SECRET}\n\x1b[31m{SECRET}\u2028{SECRET}\r\x85{SECRET}"


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect, as text, every record that anybody logs at any level."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{record.name}: {self.format(record)}")

    heard: list[str] = []
    ear, root = Ear(level=logging.NOTSET), logging.getLogger()
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in ("", *LOUD)}
    root.addHandler(ear)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(ear)
        for logger, level in levels.items():
            logger.setLevel(level)


LOUD = (
    "dateline",
    "psycopg",
    "psycopg.pool",
    "sqlalchemy",
    "sqlalchemy.engine",
    "sqlalchemy.pool",
    "aiosqlite",
    "asyncio",
)


def quiet(heard: list[str]) -> None:
    """Look that no record holds a body, and that each is one line."""
    for record in heard:
        assert SECRET not in record
        assert len(record.splitlines()) == 1
        assert record.isprintable()


@on_newest
@in_both_colours
def test_no_log_holds_what_was_sent_and_each_record_is_one_line(bank: Bank, colour: str) -> None:
    told = BODY_OF_SECRETS
    given: dict[str, Any] = {"actor": told, "reason": told, "origin": Origin(told, told, told)}
    large = Letter(about="large", text=told, data=told, secret=told, cards={told: Card(name=told)})
    refused = Letter(about=told, text=told, refused=True)
    unchecked = (f"{told}\0", told * 1_000, f"{told}\ud800", {told: float("nan")})
    events = (large, large, refused, Doubled(text=told), Doubled(text=told), Failing(text=told))
    kinds: set[type] = set()

    with listening() as heard, desk(bank, colour) as runner:

        def ask(event: Event, **more: Any) -> None:
            # Not by `tried`: its look from outside writes what it sees to the log.
            try:
                kinds.add(type(runner.dispatch(event, **given, **more)))
            except DatelineError as no:
                kinds.add(type(no))

        for index, event in enumerate((*events, *(Keyed(data=data) for data in unchecked))):
            ask(event, key=f"{told} {index}")
        ask(large, tenant=told * 100)
        ask(large, expects={told: {told: told}})
        with pytest.raises(Malformed):
            runner.event("letter", json.dumps({"about": 1, "text": told, "data": told}))
        runner.preview(large, **given)
        runner.trail(actor=told)
        runner.verify()

    quiet(heard)
    assert {Committed, Rejected, ConstraintRefused, HandlerFailed, NotCanonical} <= kinds
    if bank.postgresql:
        assert NotStorable in kinds
    assert sum("committed" in record for record in heard) >= 2
    assert sum("refused" in record for record in heard) >= 2
    if (colour, bank.postgresql) == ("async", False):
        assert any(record.startswith("aiosqlite") for record in heard)


def test_control_a_log_line_that_tells_what_was_sent_is_caught() -> None:
    for line in (f"refused {BODY_OF_SECRETS}", SECRET, "two\nlines", "\x1b[2J", "a\u2028b"):
        with listening() as heard:
            logging.getLogger("naive").warning("%s", line)

        assert len(heard) == 1
        with pytest.raises(AssertionError):
            quiet(heard)


@on_sqlite
def test_control_what_aiosqlite_writes_of_plain_parameters_is_caught(bank: Bank) -> None:
    async def ask() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.execute("SELECT ?", [SECRET])

    with listening() as heard:
        asyncio.run(ask())

    with pytest.raises(AssertionError):
        quiet(heard)


@on_newest
def test_a_refusal_that_cannot_be_recorded_is_told_all_the_same(bank: Bank) -> None:
    wall = (
        "ALTER TABLE dateline_event ADD CONSTRAINT nobody CHECK (actor <> 'crowd')"
        if bank.postgresql
        else "CREATE TRIGGER nobody BEFORE INSERT ON dateline_event WHEN new.actor = 'crowd' BEGIN SELECT RAISE(ABORT, 'nobody'); END"
    )
    with bank.engine.begin() as connection:
        connection.execute(text(wall))
    before = digests(bank.engine)

    with desk(bank, "sync") as runner:
        for event in (Letter(about="a", text="b"), Letter(about="a", text="b", refused=True)):
            with pytest.raises((ConstraintRefused, Rejected)) as no:
                runner.dispatch(event, actor="crowd")
            assert no.value.event_id is None

    assert digests(bank.engine) == before
