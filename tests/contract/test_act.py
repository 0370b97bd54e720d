"""Somebody steps in: an effect is retried, cancelled or approved, and each time it is an event, in one transaction with what it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dateline import Actor, AnswerLost, Denied, Malformed, Undeliverable
from dateline.errors import KeyReused, NotInState
from dateline.run.relay import AsyncRelay
from tests.contract.conftest import Shop
from tests.contract.test_relay import VERSIONS, Go, Mailbox, changes, drained, states

CHIEF = Actor("chief", rights=frozenset({"effects"}))


@pytest.fixture
def going(shop: Shop) -> Shop:
    return shop.under(VERSIONS)


def step(shop: Shop, how: str, effect: str, actor: Actor = CHIEF, **given: Any) -> Any:
    return shop.colour.wait(getattr(shop.colour.runner, how)(effect, actor=actor, **given))


def listed(shop: Shop, *asked: str, **given: Any) -> list[tuple[Any, ...]]:
    found = shop.colour.wait(shop.colour.runner.effects(*asked, **given))
    return [(one.key, one.kind, one.state, one.tries, one.lane, one.detail) for one in found]


def test_what_is_not_done_is_listed_with_why(going: Shop) -> None:
    first = going.dispatch(Go(send=("ann", "bob"), approve=("x",)))
    second = going.dispatch(Go(page=("p1", "p2")))
    mail = Mailbox(
        lambda effect, tries: {
            "ann": Undeliverable("no number"),
            "bob": AnswerLost("cut off"),
            "p1": Undeliverable("no"),
        }.get(getattr(effect, "to", ""))
    )
    drained(going, mail.deliveries())

    everything = [
        (f"{first.seq}.0", "send", "dead", 1, None, "no number"),
        (f"{first.seq}.1", "send", "unknown", 1, None, "cut off"),
        (f"{first.seq}.2", "approve", "held", 0, None, None),
        (f"{second.seq}.0", "page", "dead", 1, "lane:a", "no"),
        (f"{second.seq}.1", "page", "waiting", 0, "lane:a", None),
    ]
    assert listed(going) == everything
    assert listed(going, "dead", "held") == [everything[0], everything[2], everything[3]]
    assert listed(going, kind="page", limit=1) == everything[3:4]
    assert listed(going, tenant="north") == []


def test_what_is_held_is_sent_once_somebody_approves_it_and_the_approval_is_an_event(going: Shop) -> None:
    done = going.dispatch(Go(approve=("x", "y")))
    mail = Mailbox()

    approved = step(going, "approve", f"{done.seq}.0", reason="seen by me")
    drained(going, mail.deliveries())

    assert (mail.got, states(going)) == ([("approve", "x", 1)], {"x": "delivered", "y": "held"})
    entry = going.entry(approved)
    assert (entry.kind, entry.actor.id, entry.meta.cause, entry.subjects) == (
        *("effect.approve", "chief", done.event_id),
        ("shop",),
    )
    assert entry.input == {
        "effect": f"{done.seq}.0",
        "id": str(done.effects[0].id),
        "of": "approve",
        "state": "held",
        "about": ["shop"],
    }
    assert changes(going) == [(0, "due", 0), (0, "delivered", 1)]
    assert going.verify().ok


def test_what_is_dead_or_unknown_is_tried_again_at_once(going: Shop) -> None:
    done = going.dispatch(Go(send=("ann", "bob")))
    mail = Mailbox(lambda effect, tries: None if tries > 1 else Undeliverable() if effect.to == "ann" else AnswerLost())
    drained(going, mail.deliveries())
    assert states(going) == {"ann": "dead", "bob": "unknown"}

    for place in (0, 1):
        step(going, "retry", f"{done.seq}.{place}")
    assert states(going) == {"ann": "retrying", "bob": "retrying"}
    drained(going, mail.deliveries())

    assert states(going) == {"ann": "delivered", "bob": "delivered"}


def test_an_act_that_comes_twice_with_its_key_happens_once_and_gets_its_answer_twice(going: Shop) -> None:
    going.dispatch(Go(approve=("x", "y"), send=("ann",)))
    mail = Mailbox(lambda effect, tries: Undeliverable() if tries == 1 and getattr(effect, "to", "") == "ann" else None)
    drained(going, mail.deliveries())
    held, dead = (next(key for key, _, state, *_ in listed(going) if state == word) for word in ("held", "dead"))

    for how, key in (("approve", held), ("retry", dead)):
        first, again = (step(going, how, key, key=f"k-{how}") for _ in range(2))
        assert (first.event_id, first.repeated, again.event_id, again.repeated) == (
            first.event_id,
            False,
            first.event_id,
            True,
        )
        drained(going, mail.deliveries())
        assert step(going, how, key, key=f"k-{how}").repeated

    with pytest.raises(NotInState, match="is delivered"):
        step(going, "approve", held, key="another")
    other = next(key for key, _, state, *_ in listed(going) if state == "held")
    with pytest.raises(KeyReused):
        step(going, "approve", other, key="k-approve")
    assert len(going.trail(kind="effect.approve", outcome="committed")) == 1


def test_what_is_cancelled_is_never_sent_and_its_lane_goes_on(going: Shop) -> None:
    done = going.dispatch(Go(page=("p1", "p2"), approve=("x",)))
    mail = Mailbox(lambda effect, tries: Undeliverable() if getattr(effect, "to", "") == "p1" else None)
    drained(going, mail.deliveries())
    assert states(going) == {"p1": "dead", "p2": "waiting", "x": "held"}

    step(going, "cancel", f"{done.seq}.0")
    step(going, "cancel", f"{done.seq}.2")
    drained(going, mail.deliveries())

    assert states(going) == {"p1": "cancelled", "p2": "delivered", "x": "cancelled"}
    assert [got[1] for got in mail.got] == ["p2"]


def test_what_is_in_no_state_for_it_is_refused_and_nothing_is_written(going: Shop) -> None:
    done = going.dispatch(Go(send=("ann",), approve=("x",)))
    key = f"{done.seq}.0"
    relay = AsyncRelay(going.colour.runner, *Mailbox().deliveries())
    going.colour.wait(going.colour.runner._driven(relay._queue.claim(1, timedelta(seconds=30), ["send"])))
    before = going.everything()

    for how, effect, error, told in (
        ("approve", key, NotInState, rf"effect {key} \(send\) is sending; approved can be what is held"),
        ("cancel", key, NotInState, "is sending; cancelled can be what is held, due, waiting, unknown, dead"),
        ("retry", f"{done.seq}.1", NotInState, "is held; retried can be what is dead, unknown, retrying, expired"),
        ("retry", "99999.0", NotInState, r"there is no effect 99999\.0"),
        ("retry", "nonsense", Malformed, r"'nonsense' is no effect's key; it is seq.ordinal"),
    ):
        with pytest.raises(error, match=told):
            step(going, how, effect)
    with pytest.raises(NotInState, match="there is no effect"):
        step(going, "cancel", key, tenant="north")
    after = dict(going.everything())
    assert after.pop("sequences", None) is not None or not going.postgres
    assert after == {name: rows for name, rows in before.items() if name != "sequences"}


def test_without_the_right_it_is_refused_and_the_try_is_recorded(going: Shop) -> None:
    done = going.dispatch(Go(approve=("x",)))

    with pytest.raises(Denied, match="till lacks the right"):
        step(going, "approve", f"{done.seq}.0", Actor("till"))

    assert states(going) == {"x": "held"}
    assert going.outcomes() == ["committed", "denied"]


def test_after_a_restore_all_that_is_not_sent_is_held_and_a_new_incarnation_begins(going: Shop) -> None:
    going.dispatch(Go(send=("ann",), approve=("x",), page=("p1",)))
    going.dispatch(Go(send=("bob",)), tenant="north")
    drained(going, Mailbox(lambda effect, tries: Undeliverable()).deliveries(), partial=True)
    going.dispatch(Go(send=("cy",)))
    before = going.execute("SELECT id FROM dateline_incarnation")

    done = going.colour.wait(going.colour.runner.resume(actor=CHIEF, reason="restored"))

    assert states(going) == {"ann": "dead", "x": "held", "p1": "dead", "cy": "held"}
    assert going.entry(done).input == {"held": 1}
    assert len(going.execute("SELECT id FROM dateline_incarnation")) == len(before) + 1
    assert drained(going, Mailbox().deliveries()) == 0
