"""How much happened lately is counted: a tenant's own, by hour or day; each event once, however long the trail is and whoever asks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dateline import Event, Malformed, Reject, Rejected, Versions, Yields, check, handler
from dateline.sql import hourly
from dateline.sql.hourly import Run, following
from dateline.sql.overview import Overview
from tests.contract.conftest import Shop
from tests.contract.test_relay import Approve, Mailbox, Send, drained


class Go(Event, kind="go", subjects=("shop",)):
    send: tuple[str, ...] = ()
    approve: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


class Close(Event, kind="close", requires="keys"):
    pass


@check
def refused(event: Go) -> Yields[Reject]:
    for code in event.codes:
        yield Reject(code, "no")


@handler
def go(event: Go) -> Yields[Send | Approve]:
    for to in event.send:
        yield Send(to=to)
    for what in event.approve:
        yield Approve(what=what)


VERSIONS = Versions.of({"2024-01-01": [Go, Close, refused, go]})


@pytest.fixture
def going(shop: Shop) -> Shop:
    return shop.under(VERSIONS)


def counted(shop: Shop, since: datetime | None = None, **asked: Any) -> Overview:
    found: Overview = shop.colour.wait(shop.colour.runner.overview(since or datetime(2000, 1, 1, tzinfo=UTC), **asked))
    return found


def outcomes(found: Overview) -> Counter[str]:
    return Counter({outcome: 0 for _, outcome in found.events}) + Counter(
        outcome for (_, outcome), count in found.events.items() for _ in range(count)
    )


def test_events_and_effects_are_counted_by_what_became_of_them(going: Shop) -> None:
    going.dispatch(Go(send=("ann",)))
    drained(going, Mailbox().deliveries())
    going.dispatch(Go(send=("bob",), approve=("x",)))
    for codes in (("full", "late"), ("full",)):
        with pytest.raises(Rejected):
            going.dispatch(Go(codes=codes))
    going.dispatch(Go(), tenant="north")

    found = counted(going)

    assert outcomes(found) == {"committed": 2, "rejected": 2}
    assert found.rejections == {"full": 2, "late": 1}
    assert found.versions == {date(2024, 1, 1): 4}
    assert Counter({state: count for (_, state), count in found.effects.items()}) == {
        "delivered": 1,
        "due": 1,
        "held": 1,
    }
    assert (found.standing, found.uncounted) == ({"due": 1, "held": 1}, None)
    assert found.lag.counts == {"due": 1}
    assert outcomes(counted(going, tenant="north")) == {"committed": 1}
    assert outcomes(counted(going, tenant="south")) == {}


def test_each_hour_and_each_day_has_its_own_count(going: Shop) -> None:
    for _ in range(3):
        going.dispatch(Go())
    moments = ["2024-03-01T10:59:59.999999Z", "2024-03-01T11:00:00.000000Z", "2024-03-02T00:00:00.000000Z"]
    for seq, moment in zip((entry.seq for entry in going.trail()), moments, strict=True):
        going.execute(f"UPDATE dateline_event SET recorded_at = '{moment}' WHERE seq = {seq}")

    hours, days = counted(going, step="hour"), counted(going, step="day")
    late = counted(going, datetime(2024, 3, 1, 11, tzinfo=UTC), step="hour")

    def at(day: int, hour: int = 0) -> tuple[datetime, str]:
        return datetime(2024, 3, day, hour, tzinfo=UTC), "committed"

    assert hours.events == {at(1, 10): 1, at(1, 11): 1, at(2): 1}
    assert days.events == {at(1): 2, at(2): 1}
    assert late.events == {at(1, 11): 1, at(2): 1}


def test_each_event_is_counted_once_whatever_is_asked_between(going: Shop) -> None:
    for number in range(1, 4):
        going.dispatch(Go(send=("ann",)))

        for _ in range(2):
            found = counted(going)

            assert (outcomes(found), found.versions) == ({"committed": number}, {date(2024, 1, 1): number})
            assert Counter({state: n for (_, state), n in found.effects.items()}) == {"due": number}


def test_what_is_not_counted_in_one_look_is_counted_by_the_next_the_newest_first(
    going: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hourly, "ROUND", 2)
    monkeypatch.setattr(hourly, "ROUNDS", 2)
    moments = [datetime(2024, 3, day, 10, tzinfo=UTC) for day in range(1, 10)]
    for _ in moments:
        going.dispatch(Go())
    for entry, moment in zip(going.trail(), moments, strict=True):
        stored = f"{moment:%Y-%m-%dT%H:%M:%S.000000Z}"
        going.execute(f"UPDATE dateline_event SET recorded_at = '{stored}' WHERE seq = {entry.seq}")

    def days(found: Overview) -> list[int]:
        return [at.day for at, _ in found.events]

    lately = counted(going, moments[7])
    first, second, third = (counted(going) for _ in range(3))

    assert (days(lately), lately.uncounted) == ([8, 9], None)
    # A look takes two rounds of two; the first had gone down to where all was earlier than what it asked for.
    assert (days(first), first.uncounted) == ([2, 3, 4, 5, 6, 7, 8, 9], moments[2])
    assert (days(second), second.uncounted) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], None)
    assert third == second


def test_what_came_while_nobody_looked_is_counted_from_the_newest_down_to_what_was_counted(
    going: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hourly, "ROUND", 2)
    monkeypatch.setattr(hourly, "ROUNDS", 1)
    for _ in range(3):
        going.dispatch(Go())
    assert outcomes(counted(going)) == {"committed": 2}
    for _ in range(5):
        going.dispatch(Go())

    found = [counted(going) for _ in range(4)]

    assert [outcomes(one)["committed"] for one in found] == [4, 6, 7, 8]
    assert [one.uncounted is None for one in found] == [False, False, False, True]


def test_changes_of_deliveries_have_places_in_the_feed_and_are_no_events(
    going: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hourly, "ROUND", 1)
    going.dispatch(Go(send=("ann", "bob")))
    drained(going, Mailbox().deliveries())

    found = counted(going)

    assert (outcomes(found), sum(found.effects.values()), found.uncounted) == ({"committed": 1}, 2, None)


def test_who_looks_while_another_counts_sees_what_is_counted_and_that_it_is_not_all(going: Shop) -> None:
    if not going.postgres:
        pytest.skip("one writer at a time: who counts is waited for")
    going.dispatch(Go())

    with going.engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": hourly.LOCK})
        meanwhile = counted(going)

    assert (outcomes(meanwhile), meanwhile.uncounted is None) == ({}, False)
    assert outcomes(counted(going)) == {"committed": 1}


def test_a_code_that_holds_whatever_a_text_may_hold_is_counted(going: Shop) -> None:
    hostile = ("'; DROP TABLE dateline_hour; --", "x" * 1_000, '"\\u202e', "\U0001f600", "nul\0nul")
    with pytest.raises(Rejected):
        going.dispatch(Go(codes=hostile))

    assert counted(going).rejections == {code[:400].replace("\0", "\u2400"): 1 for code in hostile}


@given(st.data())
def test_rounds_count_each_place_once_and_end(data: st.DataObject) -> None:
    """Whatever comes between looks, however far back they ask: no place is counted twice, and the newest go first."""
    since = datetime(2024, 1, 1, tzinfo=UTC)
    places: Counter[int] = Counter()
    runs: list[Run] = []
    newest = 0
    for _ in range(data.draw(st.integers(1, 6))):
        newest += data.draw(st.integers(0, 3 * hourly.ROUND))
        for _ in range(data.draw(st.integers(0, 5))):
            work = following(runs, newest, since)
            if work is None:
                break
            low, high, run = work
            places.update(range(low + 1, high + 1))
            reached = run.reached or data.draw(st.sampled_from([None, since, since - timedelta(days=1)]))
            runs = [Run(run.first, run.last, reached), *(one for one in runs if one.last < low)]
            assert run.last == newest
    assert set(places.values()) <= {1}
    assert set(places) == {place for run in runs for place in range(run.first + 1, run.last + 1)}
    assert [run.first > after.last for run, after in pairwise(runs)] == [True] * (len(runs) - 1 if runs else 0)


def test_what_cannot_be_counted_is_refused(going: Shop) -> None:
    with pytest.raises(Malformed, match="there are hour, day"):
        counted(going, step="week")
    with pytest.raises(Malformed, match="time zone"):
        counted(going, datetime(2024, 1, 1))
    assert counted(going, datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=9)).events == {}
