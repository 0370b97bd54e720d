"""What was decided is done: once as far as the receiver can tell, in order where that is asked for, and what became of it is on record."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from logging import WARNING
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from dateline import Actor, Effect, Event, Personal, Versions, Yields, handler
from dateline.core.effect import Retry
from dateline.errors import AnswerLost, NoDelivery, Rejected, Rejection, Undeliverable
from dateline.run.attempt import ended
from dateline.run.delivery import AsyncDelivery, Delivery, delivers
from dateline.run.relay import AsyncRelay, Relay
from dateline.run.runner import Runner
from dateline.sql.lag import Lag
from tests.contract.conftest import Shop

FAST = Retry(tries=3, first=timedelta(milliseconds=1), timeout=timedelta(seconds=5))


class Send(Effect, kind="send", key="{to}", retry=FAST):
    to: str
    text: Personal[str] = "hello"


class Page(Effect, kind="page", key="{to}", lane="lane:{lane}", retry=FAST):
    to: str
    lane: str


class Approve(Effect, kind="approve", key="{what}", held=True):
    what: str


class Soon(Effect, kind="soon", key="{to}", expires=timedelta(hours=1), retry=FAST):
    to: str


class Slow(
    Effect, kind="slow", key="{to}", retry=Retry(tries=2, first=timedelta(0), timeout=timedelta(milliseconds=150))
):
    to: str


class Go(Event, kind="go", subjects=("shop",)):
    send: tuple[str, ...] = ()
    page: tuple[str, ...] = ()
    approve: tuple[str, ...] = ()
    soon: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    lane: str = "a"


class Note(Event, kind="note", subjects=("shop",)):
    text: str


@handler
def go(event: Go) -> Yields[Send | Page | Approve | Soon | Slow]:
    for to in event.send:
        yield Send(to=to, text=f"hello {to}")
    for to in event.page:
        yield Page(to=to, lane=event.lane)
    for what in event.approve:
        yield Approve(what=what)
    for to in event.soon:
        yield Soon(to=to)
    for to in event.slow:
        yield Slow(to=to)


VERSIONS = Versions.of({"2024-01-01": [Go, Note, go]})


class Mailbox:
    """Receives what is sent, by the effects' ids; fails on demand."""

    def __init__(self, failing: Callable[[Any, int], BaseException | None] = lambda effect, tries: None) -> None:
        self.failing = failing
        self.got: list[tuple[str, str, int]] = []
        self.ids: list[UUID] = []

    def take(self, effect: Any, delivery: Any) -> str:
        error = self.failing(effect, delivery.tries)
        if error is not None:
            raise error
        self.got.append((delivery.kind, getattr(effect, "to", getattr(effect, "what", "")), delivery.tries))
        self.ids.append(delivery.id)
        return f"ref-{len(self.got)}"

    def deliveries(self, *, resend: bool = False, waiting: bool = False) -> list[Any]:
        """Return functions for all kinds, plain ones or coroutine functions."""
        if waiting:

            @delivers(Send, Page, Approve, Soon, Slow, resend=resend)
            async def later(effect: Any, delivery: AsyncDelivery) -> str:
                await asyncio.sleep(0)
                return self.take(effect, delivery)

            return [later]

        @delivers(Send, Page, Approve, Soon, Slow, resend=resend)
        def at_once(effect: Any, delivery: Delivery) -> str:
            return self.take(effect, delivery)

        return [at_once]


def drained(shop: Shop, deliveries: Iterable[Any], **options: Any) -> int:
    """Have all that is due delivered by the shop's runner, whichever that is."""
    runner = shop.colour.runner
    if isinstance(runner, Runner):
        return Relay(runner, *deliveries, **options).drain()
    return int(shop.colour.wait(AsyncRelay(runner, *deliveries, **options).drain()))


def states(shop: Shop) -> dict[str, str]:
    """Return the state of each effect's delivery, by the effect's part of its step's key."""
    return {
        effect.step.rpartition("[")[2].rstrip("]"): effect.state for entry in shop.trail() for effect in entry.effects
    }


def attempts(shop: Shop) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in shop.execute(
            "SELECT seq, ordinal, number, outcome, reference, detail FROM dateline_attempt ORDER BY 1, 2, 3"
        )
    ]


def changes(shop: Shop) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in shop.execute("SELECT ordinal, state, tries FROM dateline_change ORDER BY number")]


@pytest.fixture
def going(shop: Shop) -> Shop:
    return shop.under(VERSIONS)


@pytest.mark.parametrize("waiting", [False, True], ids=["function", "coroutine"])
def test_what_is_due_is_delivered_and_the_record_says_so(going: Shop, waiting: bool) -> None:
    done = going.dispatch(Go(send=("ann", "bob")))
    mail = Mailbox()

    assert drained(going, mail.deliveries(waiting=waiting)) == 2

    assert sorted(mail.got) == [("send", "ann", 1), ("send", "bob", 1)]
    assert sorted(map(str, mail.ids)) == sorted(str(effect.id) for effect in done.effects)
    assert states(going) == {"ann": "delivered", "bob": "delivered"}
    assert going.execute("SELECT * FROM dateline_delivery") == []
    assert [row[2:4] for row in attempts(going)] == [(1, "delivered"), (1, "delivered")]
    assert sorted(row[4] for row in attempts(going)) == ["ref-1", "ref-2"]
    assert sorted(changes(going)) == [(0, "delivered", 1), (1, "delivered", 1)]
    assert drained(going, mail.deliveries()) == 0
    assert going.verify().ok


def test_a_delivery_is_handed_the_effect_with_its_personal_values_and_where_it_comes_from(going: Shop) -> None:
    done = going.dispatch(Go(send=("ann",)), Actor("clerk", role="nurse"), tenant="north")
    seen: list[Any] = []

    @delivers(Send)
    def look(effect: Send, delivery: Delivery) -> None:
        seen.append((effect, delivery))

    drained(going, [look], partial=True)

    [(effect, delivery)] = seen
    assert effect == Send(to="ann", text="hello ann")
    facts = (
        delivery.id,
        delivery.kind,
        delivery.payload,
        delivery.tries,
        delivery.tenant,
        delivery.event,
        delivery.actor,
    )
    assert facts == (done.effects[0].id, "send", {"to": "ann", "text": "hello ann"}, 1, "north", done.event_id, "clerk")
    assert delivery.recorded_at == done.recorded_at
    assert delivery.key == f"{done.seq}.0"


def test_what_fails_is_tried_again_later_and_dead_after_its_last_try(going: Shop) -> None:
    going.dispatch(Go(send=("ann", "bob", "cy")))
    mail = Mailbox(
        lambda effect, tries: OSError("secret") if effect.to == "bob" or (effect.to == "ann" and tries < 3) else None
    )

    drained(going, mail.deliveries(), poll=timedelta(milliseconds=5))
    until(lambda: drained(going, mail.deliveries()) == 0 and set(states(going).values()) == {"delivered", "dead"})

    assert states(going) == {"ann": "delivered", "bob": "dead", "cy": "delivered"}
    told = [(row[1], row[2], row[3], row[5]) for row in attempts(going)]
    assert told == [
        (0, 1, "failed", "OSError"),
        (0, 2, "failed", "OSError"),
        (0, 3, "delivered", None),
        (1, 1, "failed", "OSError"),
        (1, 2, "failed", "OSError"),
        (1, 3, "failed", "OSError"),
        (2, 1, "delivered", None),
    ]
    assert [change for change in changes(going) if change[0] == 1] == [
        (1, "retrying", 1),
        (1, "retrying", 2),
        (1, "dead", 3),
    ]


def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "it has not happened"
        time.sleep(0.01)


@pytest.mark.parametrize("waiting", [False, True], ids=["function", "coroutine"])
@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (SystemExit("secret"), "failed", "SystemExit"),
        (Rejected((Rejection(key="a/b", code="b", detail="secret"),)), "failed", "Rejected"),
        (TimeoutError("secret"), "unknown", "no answer within 0:00:05"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
def test_whatever_a_delivery_raises_the_relay_goes_on_and_keeps_no_text_of_it(
    going: Shop, waiting: bool, error: Any, outcome: str, detail: str
) -> None:
    going.dispatch(Go(send=("ann", "bob")))
    mail = Mailbox(lambda effect, tries: error if effect.to == "ann" and tries == 1 else None)

    drained(going, mail.deliveries(waiting=waiting))

    assert [got[1] for got in mail.got][:1] == ["bob"]
    assert attempts(going)[0][2:] == (1, outcome, None, detail)


def test_what_can_never_be_delivered_is_dead_at_once(going: Shop) -> None:
    going.dispatch(Go(send=("ann",)))

    drained(going, Mailbox(lambda effect, tries: Undeliverable("no such number")).deliveries())

    assert states(going) == {"ann": "dead"}
    assert [row[2:] for row in attempts(going)] == [(1, "failed", None, "no such number")]


def test_where_the_answer_is_lost_nobody_sends_it_again_unless_the_receiver_knows_repetitions(going: Shop) -> None:
    going.dispatch(Go(send=("ann",)))
    mail = Mailbox(lambda effect, tries: AnswerLost("the line broke") if tries == 1 else None)

    drained(going, mail.deliveries())
    assert states(going) == {"ann": "unknown"}
    assert drained(going, mail.deliveries()) == 0

    going.dispatch(Go(send=("bob",)))
    until(lambda: drained(going, mail.deliveries(resend=True)) == 0 and states(going)["bob"] == "delivered")
    assert mail.got == [("send", "bob", 2)]


@pytest.mark.parametrize("waiting", [False, True], ids=["function", "coroutine"])
def test_a_try_that_takes_too_long_is_cut_off_and_unknown_and_keeps_nobody_waiting(going: Shop, waiting: bool) -> None:
    going.dispatch(Go(slow=("ann",), send=("bob",)))
    got: list[str] = []

    @delivers(Slow)
    async def hangs(effect: Slow, delivery: AsyncDelivery) -> None:
        await asyncio.sleep(30)

    @delivers(Slow)
    def blocks(effect: Slow, delivery: Delivery) -> None:
        time.sleep(1)

    @delivers(Send)
    def send(effect: Send, delivery: Delivery) -> None:
        got.append(effect.to)

    began = time.monotonic()
    drained(going, [hangs if waiting else blocks, send], partial=True)

    assert time.monotonic() - began < 5
    assert got == ["bob"]
    assert states(going) == {"ann": "unknown", "bob": "delivered"}
    assert attempts(going)[-1][3:] in {("unknown", None, "no answer within 0:00:00.150000"), ("delivered", None, None)}


def test_what_is_held_waits_and_what_has_expired_is_never_sent(going: Shop) -> None:
    going.dispatch(Go(approve=("x",), soon=("ann", "bob")))
    going.execute("UPDATE dateline_event SET recorded_at = '2001-01-01T00:00:00.000Z'")
    mail = Mailbox()

    drained(going, mail.deliveries())

    assert (mail.got, states(going)) == ([], {"x": "held", "ann": "expired", "bob": "expired"})
    assert attempts(going) == []
    assert sorted(changes(going)) == [(1, "expired", 1), (2, "expired", 1)]


def test_of_one_lane_each_waits_until_all_before_it_are_done(going: Shop) -> None:
    for lane in "ab":
        going.dispatch(Go(page=(f"{lane}1", f"{lane}2", f"{lane}3"), lane=lane))
    mail = Mailbox(lambda effect, tries: Undeliverable("no") if effect.to == "a2" else None)

    until(lambda: drained(going, mail.deliveries()) == 0 and "b3" in [got[1] for got in mail.got])

    assert [got[1] for got in mail.got if got[1][0] == "b"] == ["b1", "b2", "b3"]
    assert [got[1] for got in mail.got if got[1][0] == "a"] == ["a1"]
    assert states(going) == {
        "a1": "delivered",
        "a2": "dead",
        "a3": "waiting",
        "b1": "delivered",
        "b2": "delivered",
        "b3": "delivered",
    }


def test_a_lease_that_runs_out_is_unknown_or_due_again_and_who_comes_back_late_is_believed(going: Shop) -> None:
    going.dispatch(Go(send=("ann", "bob")))
    relay = AsyncRelay(going.colour.runner, *Mailbox().deliveries())
    queue = relay._queue

    def driven(flow: Any) -> Any:
        return going.colour.wait(going.colour.runner._driven(flow))

    one, other = driven(queue.claim(10, timedelta(seconds=30), ["send"]))
    assert driven(queue.claim(10, timedelta(seconds=30), ["send"])) == []
    assert states(going) == {"ann": "sending", "bob": "sending"}
    assert driven(queue.reap(10, [])) == 0
    going.execute("UPDATE dateline_delivery SET due_at = '2001-01-01T00:00:00.000Z'")

    assert driven(queue.reap(1, [])) == 1
    assert driven(queue.reap(10, ["send"])) == 1
    assert sorted(states(going).values()) == ["retrying", "unknown"]
    assert [row[3:] for row in attempts(going)] == [("unknown", None, "nobody came back from this try")] * 2

    again = driven(queue.claim(10, timedelta(seconds=30), ["send"]))
    assert [found.tries for found in again] == [2]
    late = [ended(found, "delivered", "delivered", reference="late") for found in (one, other)]
    driven(queue.end(late))
    # Of the one that somebody else has by now, its attempt alone; the other is done.
    assert sorted(states(going).values()) == ["delivered", "sending"]
    assert [row[3:5] for row in attempts(going)] == [("delivered", "late")] * 2


def test_a_follow_up_is_caused_by_the_effects_event_and_happens_once(going: Shop) -> None:
    done = going.dispatch(Go(send=("ann",)), Actor("clerk"), tenant="north")
    made: list[Any] = []

    @delivers(Send, resend=True)
    def plain(effect: Send, delivery: Delivery) -> None:
        made.append(delivery.dispatch(Note(text="sent")))
        if delivery.tries == 1:
            raise AnswerLost

    until(lambda: drained(going, [plain], partial=True) == 0 and states_of(going, "north") == ["delivered"])

    [note] = going.trail(tenant="north", kind="note")
    assert [(one.event_id, one.repeated) for one in made] == [(note.id, False), (note.id, True)]
    assert (note.meta.cause, note.actor) == (
        done.event_id,
        Actor("dateline.relay", kind="system", on_behalf_of="clerk"),
    )


def states_of(shop: Shop, tenant: str) -> list[str]:
    return [effect.state for entry in shop.trail(tenant=tenant) for effect in entry.effects]


def test_a_coroutine_function_dispatches_too(going: Shop) -> None:
    going.dispatch(Go(send=("ann",)))

    @delivers(Send)
    async def waits(effect: Send, delivery: AsyncDelivery) -> None:
        await delivery.dispatch(Note(text="one"), part="1")
        await delivery.dispatch(Note(text="two"), part="2", actor="somebody")

    drained(going, [waits], partial=True)

    assert [(note.input["text"], note.actor.id) for note in going.trail(kind="note")] == [
        ("one", "dateline.relay"),
        ("two", "somebody"),
    ]


def test_a_payload_that_its_class_no_longer_takes_is_dead_and_says_so(going: Shop) -> None:
    going.dispatch(Go(soon=("ann",)))
    going.execute("UPDATE dateline_effect SET payload = :payload", payload='{"to":7}')

    drained(going, Mailbox().deliveries())

    assert states(going) == {"ann": "dead"}
    assert [row[5] for row in attempts(going)] == ["the payload is no Soon as it is today"]


def test_a_preview_a_rehearsal_and_a_refusal_are_never_delivered(going: Shop) -> None:
    mail = Mailbox()
    going.preview(Go(send=("ann",)))
    going.preview(Go(send=("ann",)), rehearse=True)
    with pytest.raises(ZeroDivisionError), going.together() as tx:  # noqa: PT012 - what is raised ends the block
        tx.dispatch(Go(send=("ann",)), actor="till")
        raise ZeroDivisionError

    assert drained(going, mail.deliveries()) == 0
    assert mail.got == []


def test_how_the_queue_stands_is_told(going: Shop) -> None:
    going.dispatch(Go(send=("ann", "bob"), approve=("x",)))
    relay = AsyncRelay(going.colour.runner, *Mailbox().deliveries())
    lag = asyncio.run(relay.lag()) if isinstance(going.colour.runner, Runner) else going.colour.wait(relay.lag())

    assert lag == Lag({"due": 2, "held": 1}, lag.oldest, lag.open, lag.pending, lag.behind)
    assert 0 <= lag.oldest < 60
    assert (lag.pending, 0 <= lag.behind < 60) == (1, True)
    # Not nothing: the server's own ANALYZE of a table is a transaction that writes as well.
    assert 0 <= lag.open < 60


def test_a_transaction_that_is_held_open_is_reported(
    going: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not going.postgres:
        pytest.skip("SQLite has one writer at a time: nobody can write beside it")
    monkeypatch.setattr("dateline.run.relay.HELD_OPEN", 0.2)
    relay = AsyncRelay(going.colour.runner, *Mailbox().deliveries())
    with going.engine.connect() as connection:
        connection.execute(text("INSERT INTO product (id, stock, price) VALUES ('held', 1, 1)"))
        time.sleep(0.3)
        going.dispatch(Go(send=("ann",)))
        asyncio.run(relay._look()) if isinstance(going.colour.runner, Runner) else going.colour.wait(relay._look())
        lag = asyncio.run(relay.lag()) if isinstance(going.colour.runner, Runner) else going.colour.wait(relay.lag())
        connection.rollback()

    assert 0.2 < lag.open < 60
    assert [json.loads(one.message)["event"] for one in caplog.records if one.levelno == WARNING] == [
        "transaction.held-open"
    ]


def test_a_kind_that_nobody_delivers_or_two_do_is_told_at_once(going: Shop) -> None:
    @delivers(Send)
    def send(effect: Send, delivery: Delivery) -> None: ...

    with pytest.raises(
        NoDelivery,
        match=r"nobody delivers approve \(Approve\), page \(Page\), slow \(Slow\), soon \(Soon\); write @delivers",
    ):
        AsyncRelay(going.colour.runner, send)
    with pytest.raises(NoDelivery, match="both deliver send; keep one of them"):
        AsyncRelay(going.colour.runner, send, *Mailbox().deliveries())
    with pytest.raises(NoDelivery, match="delivers nothing; mark it with @delivers"):
        AsyncRelay(going.colour.runner, len, partial=True)
    with pytest.raises(NoDelivery, match="takes classes of effects, such as NotifyPatient, not 'send'"):
        delivers("send")  # type: ignore[arg-type]  # what is told at run time too
    with pytest.raises(ValueError, match="lease=0:00:01 ends before a try may, after 0:00:05"):
        AsyncRelay(going.colour.runner, send, partial=True, lease=timedelta(seconds=1))
