"""Positions are dense and in order, and whoever waits for an event gets it."""

# ruff: noqa: PT012 - what is raised ends a block, which leaves a hole in the numbers

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from dateline import Actor, Malformed, Runner, Undeliverable, Versions
from dateline.core.notice import Notice
from dateline.errors import NotFound, OtherIncarnation
from tests.contract.conftest import SETTINGS, Shop
from tests.contract.shop import LAYERS, VERSIONS, Enrol, Idea, Product, Sell
from tests.contract.test_relay import Go, Mailbox, Note, drained, go

RELAYED = Versions.of({"2024-01-01": [*LAYERS["2024-01-01"], Go, Note, go]})


def positions(shop: Shop) -> list[int | None]:
    return [entry.position for entry in shop.trail()]


def test_positions_are_dense_and_in_the_order_of_writing(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    for number in range(3):
        shop.dispatch(Idea(text=str(number)))
        with pytest.raises(NotFound):
            shop.dispatch(Sell(product="none"))
        with pytest.raises(ZeroDivisionError), shop.together() as tx:
            tx.dispatch(Sell(product="tea"), actor="till")
            raise ZeroDivisionError

    given = shop.sequence()

    assert given == 6
    assert positions(shop) == [1, 2, 3, 4, 5, 6]
    assert [entry.seq for entry in shop.trail()] == sorted(entry.seq for entry in shop.trail())
    assert shop.sequence() == 0


def test_an_event_has_no_position_before_the_sequencer_has_passed(shop: Shop) -> None:
    shop.dispatch(Idea(text="1"))

    assert positions(shop) == [None]
    shop.sequence()
    shop.dispatch(Idea(text="2"))
    assert positions(shop) == [1, None]
    shop.sequence()
    assert positions(shop) == [1, 2]


def test_positions_run_through_all_tenants(shop: Shop) -> None:
    for tenant in ("", "north", ""):
        shop.dispatch(Idea(text="x"), tenant=tenant)
    shop.sequence()

    assert positions(shop) == [1, 3]
    assert [entry.position for entry in shop.trail(tenant="north")] == [2]


def test_several_sequencers_give_each_position_once(shop: Shop) -> None:
    for number in range(20):
        shop.dispatch(Idea(text=str(number)))

    def sequence(_: int) -> int:
        with Runner(shop.url, versions=VERSIONS, settings=SETTINGS) as runner:
            return runner.sequence()

    with ThreadPoolExecutor(4) as pool:
        given = sum(pool.map(sequence, range(4)))

    assert given == 20
    assert positions(shop) == list(range(1, 21))


def test_an_outcome_is_found_by_id_and_by_key(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="x"), key="k1")

    for of in (done.event_id, "k1"):
        found = shop.outcome(of, patience=timedelta(milliseconds=1))
        assert found is not None
        assert (found.id, found.outcome) == (done.event_id, "committed")


def test_a_refusal_is_an_outcome_too(shop: Shop) -> None:
    with pytest.raises(NotFound) as refused:
        shop.dispatch(Sell(product="none"), key="k1")

    found = shop.outcome("k1", patience=timedelta(milliseconds=1))

    assert found is not None
    assert found.refusal == refused.value


def test_an_outcome_is_waited_for(shop: Shop) -> None:
    def later() -> None:
        time.sleep(0.2)
        with Runner(shop.url, versions=VERSIONS, settings=SETTINGS) as runner:
            runner.dispatch(Idea(text="x"), actor="till", key="k1")

    with ThreadPoolExecutor(1) as pool:
        dispatched = pool.submit(later)
        found = shop.outcome("k1", patience=timedelta(seconds=5))
        dispatched.result()

    assert found is not None
    assert found.input == {"text": "x"}


@pytest.mark.parametrize("of", [UUID(int=1), "no such key", ""], ids=str)
def test_patience_ends_without_an_outcome(shop: Shop, of: UUID | str) -> None:
    began = time.monotonic()

    # The runner's clock stands still here; patience is measured by another.
    assert shop.outcome(of, patience=timedelta(seconds=0.15)) is None

    assert 0.1 < time.monotonic() - began < 3


def test_without_patience_there_is_one_look(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="x"))
    began = time.monotonic()

    assert shop.outcome(done.event_id, patience=timedelta(0)) is not None
    assert shop.outcome("no such key", patience=timedelta(0)) is None

    assert time.monotonic() - began < 3


# The feed ---------------------------------------------------------------------------------------------------------------


def followed(shop: Shop, **given: Any) -> list[Notice]:
    """Return what the feed has now."""
    found = shop.colour.runner.feed(follow=False, **given)
    if isinstance(found, AsyncIterator):

        async def gathered(found: AsyncIterator[Notice]) -> list[Notice]:
            return [notice async for notice in found]

        return cast("list[Notice]", shop.colour.wait(gathered(found)))
    return list(found)


def said(notices: Iterable[Notice]) -> list[Any]:
    """Return what notices are about: an event's input, or an effect's part and state."""
    return [
        tuple(notice.entry.input.values())
        if notice.entry is not None
        else (notice.change.step.rpartition("[")[2].rstrip("]"), notice.change.state)
        if notice.change is not None
        else None
        for notice in notices
    ]


def test_events_and_what_becomes_of_their_effects_come_in_the_order_in_which_they_became_visible(shop: Shop) -> None:
    going = shop.under(RELAYED)
    going.dispatch(Note(text="first"))
    done = going.dispatch(Go(send=("ann", "bob")))
    mail = Mailbox(lambda effect, tries: Undeliverable("no number") if effect.to == "bob" else None)
    drained(going, mail.deliveries(), partial=True)
    going.dispatch(Note(text="last"))

    notices = followed(going)

    assert [notice.position for notice in notices] == [1, 2, 3, 4, 5]
    first, event, *changes, last = notices
    assert said([first, last]) == [("first",), ("last",)]
    assert event.entry is not None
    assert (event.entry.id, [effect.step for effect in event.entry.effects]) == (
        done.event_id,
        ["go/send[ann]", "go/send[bob]"],
    )
    assert sorted(said(changes)) == [("ann", "delivered"), ("bob", "dead")]
    [dead] = [one.change for one in changes if one.change is not None and one.change.state == "dead"]
    assert (dead.key, dead.effect, dead.kind, dead.event, dead.event_kind, dead.tries, dead.detail) == (
        *(f"{done.seq}.1", done.effects[1].id, "send", done.event_id, "go", 1),
        "no number",
    )
    assert followed(going) == notices
    assert [entry.position for entry in going.trail()] == [1, 2, 5]


def test_it_goes_on_behind_any_cursor(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dateline.sql.feed.PAGE", 3)
    for number in range(8):
        shop.dispatch(Idea(text=str(number)))
        with pytest.raises(NotFound):
            shop.dispatch(Sell(product="none"))

    notices = followed(shop)

    # What was refused has a place, and is not told.
    assert said(notices) == [(str(number),) for number in range(8)]
    assert [notice.position for notice in notices] == list(range(1, 16, 2))
    for place, notice in enumerate(notices):
        assert said(followed(shop, after=notice.cursor)) == [(str(number),) for number in range(place + 1, 8)]
    assert followed(shop, after="now") == []


def test_it_tells_of_what_is_asked_for_alone_and_of_no_other_tenants(shop: Shop) -> None:
    going = shop.under(RELAYED)
    going.dispatch(Go(send=("ann",)))
    going.dispatch(Go(send=("bob",)), tenant="north")
    seen = going.dispatch(Note(text="a"))
    going.dispatch(Enrol(id="cy", name="Cy"))
    drained(going, Mailbox().deliveries(), partial=True)

    assert said(followed(going, kinds=["note"])) == [("a",)]
    assert said(followed(going, kinds=["go"]))[1:] == [("ann", "delivered")]
    assert [notice.entry.kind for notice in followed(going, subjects=["customer:cy"]) if notice.entry] == ["enrol"]
    assert len(followed(going, subjects=["shop", "customer:cy"])) == 4
    assert said(followed(going, event=seen.event_id)) == [("a",)]
    assert said(followed(going, tenant="north"))[1:] == [("bob", "delivered")]
    assert followed(going, tenant="south") == []
    assert followed(going, subjects=["shop"], kinds=["enrol"]) == []


def test_far_behind_it_finds_what_is_wanted_without_looking_at_the_rest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dateline.sql.feed.WINDOW", 4)
    monkeypatch.setattr("dateline.sql.feed.PAGE", 2)
    for number in range(30):
        if number % 10 == 3:
            shop.dispatch(Enrol(id=str(number), name="x"))
        shop.dispatch(Idea(text=str(number)))

    assert [notice.position for notice in followed(shop, subjects=["customer:3", "customer:23"])] == [4, 26]
    assert [notice.position for notice in followed(shop, kinds=["enrol"])] == [4, 15, 26]
    assert len(followed(shop, subjects=["shop"])) == 30


def test_a_cursor_of_before_a_restore_is_refused_and_so_is_what_is_none(shop: Shop) -> None:
    shop.dispatch(Idea(text="x"))
    [notice] = followed(shop)

    shop.colour.wait(shop.colour.runner.resume(actor=Actor("chief", rights=frozenset({"effects"}))))

    with pytest.raises(OtherIncarnation, match="the cursor is of another life of this database"):
        followed(shop, after=notice.cursor)
    with pytest.raises(Malformed, match="'12' is no cursor"):
        followed(shop, after="12")
    with pytest.raises(TypeError, match=r"feed\(\) takes no subject=; did you mean subjects=\?"):
        followed(shop, subject="shop")
    with pytest.raises(Malformed, match="kinds= is a list of texts"):
        followed(shop, kinds="idea")
    assert said(followed(shop))[0] == ("x",)


def test_who_follows_is_woken_by_a_commit_of_this_process_and_of_others(shop: Shop) -> None:
    heard: list[tuple[str, float]] = []
    ready = threading.Event()

    def follow() -> None:
        with Runner(shop.url, versions=VERSIONS, settings=SETTINGS) as runner:
            for notice in runner.feed(after="now", poll=timedelta(seconds=0.2 if not shop.postgres else 30)):
                assert notice.entry is not None
                heard.append((notice.entry.input["text"], time.monotonic()))
                if notice.entry.input["text"] == "end":
                    return
                ready.set()

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        while not ready.is_set():
            shop.dispatch(Idea(text="begin"))
            time.sleep(0.05)
        began = time.monotonic()
        shop.dispatch(Idea(text="here"))
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE.format(url=shop.url)],
            check=True,
            timeout=30,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        following.result(20)

    at = dict(heard)
    assert at["here"] - began < 2
    assert list(at)[-2:] == ["here", "end"]


ELSEWHERE = """
import time
from dateline import Runner
from tests.contract.shop import VERSIONS, Idea

with Runner("{url}", versions=VERSIONS) as runner:
    runner.dispatch(Idea(text="end"), actor="till")
    time.sleep(0.5)
"""
