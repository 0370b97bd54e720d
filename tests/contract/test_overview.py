"""How much happened lately is counted: a tenant's own, by hour or day, and never more than a bounded part of a long trail."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from dateline import Event, Malformed, Reject, Rejected, Versions, Yields, check, handler
from dateline.sql import overview
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
    assert (found.standing, found.cut) == ({"due": 1, "held": 1}, False)
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


def test_no_more_than_the_newest_are_counted_and_it_says_since_when(
    going: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "COUNTED", 2)
    for _ in range(3):
        going.dispatch(Go())

    found = counted(going)

    assert (outcomes(found), found.cut) == ({"committed": 2}, True)
    assert found.since == going.trail()[1].recorded_at


def test_what_cannot_be_counted_is_refused(going: Shop) -> None:
    with pytest.raises(Malformed, match="there are hour, day"):
        counted(going, step="week")
    with pytest.raises(Malformed, match="time zone"):
        counted(going, datetime(2024, 1, 1))
    assert counted(going, datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=9)).events == {}
