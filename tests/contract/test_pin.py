"""A caller stays at the version of their first call, until somebody with the right moves them; both are events."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dateline import Actor, Malformed, Pin, Runner, UnknownVersion, Versions
from dateline.core.version import Version
from dateline.errors import Denied
from tests.contract.conftest import Shop

OPERATOR = Actor("olga", rights=frozenset({"pin"}))
APP = Actor("ward-app", kind="system")
JANUARY, JUNE = date(2024, 1, 1), date(2024, 6, 1)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def pinned(shop: Shop, caller: str, **given: Any) -> Pin:
    given.setdefault("actor", APP)
    found: Pin = shop.colour.wait(shop.colour.runner.pinned(caller, **given))
    return found


def pin(shop: Shop, caller: str, version: Any, **given: Any) -> Any:
    given.setdefault("actor", OPERATOR)
    return shop.colour.wait(shop.colour.runner.pin(caller, version, **given))


def pins(shop: Shop, **asked: Any) -> list[tuple[str, date, str]]:
    return [(one.caller, one.version, one.by.id) for one in shop.colour.wait(shop.colour.runner.pins(**asked))]


def test_the_first_call_pins_to_the_newest_version_in_force_and_later_releases_change_nothing(shop: Shop) -> None:
    shop.now = MARCH
    first = pinned(shop, "ward-app")
    shop.now = datetime(2024, 7, 1, tzinfo=UTC)

    assert (first.version, first.by.id) == (JANUARY, "ward-app")
    assert pinned(shop, "ward-app") == first
    assert pinned(shop, "other-app").version == JUNE
    assert shop.outcomes() == ["committed", "committed"]
    entry = shop.entry(kind="caller.pin", subject="caller:ward-app")
    assert (entry.id, entry.actor, entry.input) == (
        first.event,
        APP,
        {"caller": "ward-app", "version": "2024-01-01", "before": None},
    )


def test_whoever_has_the_right_moves_a_caller_and_both_versions_are_on_record(shop: Shop) -> None:
    pinned(shop, "ward-app")

    done = pin(shop, "ward-app", "2024-03-31", reason="not tested under June yet")

    entry = shop.entry(done)
    assert entry.input == {"caller": "ward-app", "version": "2024-01-01", "before": "2024-06-01"}
    assert (entry.actor.id, entry.reason and entry.reason.text) == ("olga", "not tested under June yet")
    assert pinned(shop, "ward-app").version == JANUARY
    assert pins(shop) == [("ward-app", JANUARY, "olga")]


def test_nobody_is_moved_without_the_right_and_the_try_is_recorded(shop: Shop) -> None:
    pinned(shop, "ward-app")

    with pytest.raises(Denied, match="'pin'"):
        pin(shop, "ward-app", "2024-01-01", actor=APP)

    assert shop.outcomes() == ["committed", "denied"]
    assert pinned(shop, "ward-app").version == JUNE


def test_callers_of_one_name_in_two_tenants_are_two(shop: Shop) -> None:
    pinned(shop, "app", tenant="north")
    pin(shop, "app", "2024-01-01", tenant="south")

    assert (pins(shop, tenant="north"), pins(shop, tenant="south"), pins(shop)) == (
        [("app", JUNE, "ward-app")],
        [("app", JANUARY, "olga")],
        [],
    )


@pytest.mark.parametrize("version", ["2023-01-01", "tomorrow", "2024-01-01x"])
def test_nobody_is_pinned_to_what_is_no_version(shop: Shop, version: str) -> None:
    with pytest.raises(UnknownVersion):
        pin(shop, "app", version)
    assert pins(shop) == []


def test_nobody_is_pinned_to_a_version_before_its_time_or_after_it(shop: Shop) -> None:
    ended = Version(JANUARY, datetime(2024, 1, 1, tzinfo=UTC), retired=datetime(2024, 6, 15, tzinfo=UTC))
    ahead = Version(date(2025, 1, 1), datetime(2025, 1, 1, tzinfo=UTC))
    june = Version(JUNE, datetime(2024, 6, 1, tzinfo=UTC))
    other = shop.under(Versions((ended, june, ahead), shop.versions.layers))

    with pytest.raises(UnknownVersion, match=r"2024-01-01 was retired .*pin to 2024-06-01"):
        pin(other, "app", "2024-01-01")
    with pytest.raises(UnknownVersion, match="2025-01-01 is not in force yet"):
        pin(other, "app", "2025-01-01")
    assert pins(other) == []


@pytest.mark.parametrize("caller", ["", "x" * 301])
def test_a_caller_has_a_name(shop: Shop, caller: str) -> None:
    with pytest.raises(Malformed, match="1 to 300"):
        pin(shop, caller, "2024-01-01")


def test_of_first_calls_at_once_one_pins(shop: Shop) -> None:
    """Each on a runner of its own, as in several servers."""
    found: list[Pin] = []

    def call() -> None:
        with Runner(shop.url, versions=shop.versions, clock=lambda: shop.now) as runner:
            found.append(runner.pinned("app", actor=APP))

    async def calls() -> None:
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(6)))

    thread = threading.Thread(target=lambda: asyncio.run(calls()))
    thread.start()
    thread.join()

    assert len({one.event for one in found}) == 1
    assert len(found) == 6
    assert shop.outcomes() == ["committed"]
