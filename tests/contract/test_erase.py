"""A person's values leave the trail: an event like any other, in one transaction with what it removes, and nothing is left to find."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
from pydantic import BaseModel, Field
from sqlalchemy import make_url, text

from dateline import (
    Actor,
    Delete,
    Denied,
    Effect,
    EraseSubject,
    Event,
    Insert,
    KeyReused,
    Malformed,
    Personal,
    Reject,
    Rejected,
    Snapshot,
    Undeliverable,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
)
from dateline.core.effect import Retry
from dateline.core.mask import masked
from dateline.core.replay import deviation, replayed
from dateline.errors import Erased
from dateline.run.delivery import Delivery, delivers
from dateline.run.relay import AsyncRelay
from tests.contract.conftest import Shop
from tests.contract.shop import Buyer, Customer, Idea
from tests.contract.test_relay import drained, states

OFFICER = Actor("officer", rights=frozenset({"erase", "effects"}))
WHY = "asked for it on 3 May"
ANN, BOB = "customer:ann", "customer:bob"


class Card(Effect, kind="card", key="{to}", subject="customer:{to}", retry=Retry(tries=5, first=timedelta(0))):
    to: str
    text: Personal[str]


class Call(Effect, kind="call", key="{to}", subject="customer:{to}", lane="phone", held=True):
    to: str
    number: Personal[str]


class Ping(Effect, kind="ping", key="{to}", lane="phone"):
    to: str


class Join(Event, kind="join", subjects=("customer:{id}",)):
    id: str
    name: Personal[str]
    email: Personal[str | None] = None
    born: Personal[date | None] = None
    age: Personal[int | None] = None
    code: Personal[Annotated[str, Field(pattern=r"\d+")] | None] = None


class Write(Event, kind="write", subjects=("shop",)):
    """Somebody writes to customers, in the order that is given."""

    to: tuple[str, ...]
    by: str = "card"


class Visit(Event, kind="visit", subjects=("customer:{customer}",)):
    """It has nothing personal of its own; what it sees has."""

    customer: str


class Enter(Event, kind="enter", subjects=("customer:{id}",)):
    """Somebody comes in whose name is not known yet."""

    id: str


class Seen(Snapshot):
    buyer: Buyer = rows(Customer.id == given("customer"))


class Theirs(Snapshot):
    buyers: tuple[Buyer, ...] = rows(Customer.id == given("whose"))


@handler
def join(event: Join) -> Yields[Insert[Customer]]:
    yield Insert(Customer, id=event.id, name=event.name, email=event.email)


@handler
def write(event: Write) -> Yields[Card | Call | Ping]:
    for to in event.to:
        if event.by == "card":
            yield Card(to=to, text=f"Dear {to}")
        else:
            yield Call(to=to, number=f"+44 {to}")
    if event.by == "call":
        yield Ping(to="desk")


@handler
def enter(event: Enter) -> Yields[Insert[Customer]]:
    yield Insert(Customer, id=event.id, name=f"visitor {event.id}")


@handler
def count(event: Visit, seen: Seen) -> Yields[Update[Customer]]:
    yield Update(seen.buyer, points=seen.buyer.points + 1)


LAYERS: dict[str | date, list[Any]] = {"2024-01-01": [Join, Write, Visit, Enter, Buyer, join, write, count, enter]}
VERSIONS = Versions.of(LAYERS)


@pytest.fixture
def plain(shop: Shop) -> Shop:
    """Give a shop that has no rules about erasure."""
    return shop.under(VERSIONS)


def erase(shop: Shop, subject: str = ANN, actor: Any = OFFICER, reason: Any = WHY, **given: Any) -> Any:
    return shop.colour.wait(shop.colour.runner.erase(subject, actor=actor, reason=reason, **given))


def left(shop: Shop) -> dict[str, set[str]]:
    """Return the personal values that are there, by whose they are."""
    found: dict[str, set[str]] = {}
    for subject, value in shop.execute("SELECT subject, value FROM dateline_personal WHERE value IS NOT NULL"):
        found.setdefault(subject, set()).add(json.loads(value))
    return found


def test_what_is_a_persons_leaves_the_trail_and_what_is_anothers_stays(plain: Shop) -> None:
    joined = plain.dispatch(Join(id="ann", name="Ann Lee", email="ann@example.org"))
    plain.dispatch(Join(id="bob", name="Bob Day"))
    plain.dispatch(Write(to=("ann", "bob")))

    done = erase(plain)

    assert left(plain) == {BOB: {"Bob Day", "Dear bob"}}
    assert (done.removal.values, plain.execute("SELECT count(*) FROM dateline_personal WHERE salt IS NULL")) == (
        5,
        [(5,)],
    )
    entry = plain.entry(done)
    assert (entry.kind, entry.subjects, entry.input, entry.outcome) == (
        *("subject.erase", (ANN,), {"subject": ANN}, "committed"),
    )
    assert (entry.actor.id, entry.reason and entry.reason.text) == ("officer", WHY)
    assert plain.entry(joined).input["name"] == "(erased)"
    found = plain.verify()
    assert (found.ok, found.events, found.values, found.erased) == (True, 4, 3, 5)


def test_another_tenants_subject_of_that_name_keeps_what_it_has(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"), tenant="north")
    plain.dispatch(Idea(text="x"))

    assert erase(plain).removal.values == 0
    assert left(plain) == {ANN: {"Ann Lee"}}
    assert erase(plain, tenant="north").removal.values == 2
    assert left(plain) == {}


def test_twice_is_harmless(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))

    first, second = erase(plain), erase(plain)

    assert (first.removal.values, second.removal.values) == (2, 0)
    assert plain.outcomes() == ["committed"] * 3
    assert plain.verify().ok


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_without_a_reason_nothing_happens(plain: Shop, reason: str | None) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))
    before = plain.everything()

    with pytest.raises(Malformed, match="an erasure needs a reason"):
        erase(plain, reason=reason)
    with pytest.raises(Malformed, match="an erasure needs a reason"):
        plain.dispatch(EraseSubject(subject=ANN), OFFICER)

    assert plain.everything() == before


@pytest.mark.parametrize("subject", ["", "x" * 401, 7, None])
def test_what_can_be_nobodys_name_is_told(plain: Shop, subject: Any) -> None:
    with pytest.raises(Malformed, match="not a valid EraseSubject: subject"):
        erase(plain, subject)


def test_without_the_right_it_is_refused_and_the_try_is_recorded(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))

    with pytest.raises(Denied, match="till lacks the right 'erase'"):
        erase(plain, actor="till")

    assert plain.outcomes() == ["committed", "denied"]
    assert left(plain) == {ANN: {"Ann Lee"}}


@check
def nobody_special(event: EraseSubject) -> Yields[Reject]:
    if event.subject == BOB:
        yield Reject("on-hold", "there is a claim against them", field="subject")


class Forgotten(Snapshot):
    buyer: Buyer | None = rows("customer:" + Customer.id == given("subject"))


@handler
def forget(event: EraseSubject, forgotten: Forgotten) -> Yields[Delete[Customer] | Card]:
    if forgotten.buyer is not None:
        yield Delete(forgotten.buyer)
        yield Card(to=forgotten.buyer.id, text=f"Goodbye {forgotten.buyer.name}")


RULES = Versions.of(LAYERS | {"2024-06-01": [nobody_special, forget, Forgotten]})


def test_the_application_decides_about_its_tables_and_what_that_keeps_is_erased_with_it(shop: Shop) -> None:
    shop = shop.under(RULES)
    shop.dispatch(Join(id="ann", name="Ann Lee", email="ann@example.org"))

    done = erase(shop)

    assert shop.rows("customer") == []
    assert [one.verb for one in done.operations] == ["delete"]
    entry = shop.entry(done)
    assert entry.operations[0].before == {"id": "ann", "name": "(erased)", "mail": "(erased)", "points": 0}
    assert entry.effects[0].payload == {"to": "ann", "text": "(erased)"}
    assert entry.effects[0].state == "cancelled"
    # Input, row after; of the erasure: snapshot, row before, effect.
    assert (done.removal.values, done.removal.cancelled) == (2 + 2 + 2 + 2 + 1, (f"{done.seq}.1",))
    assert left(shop) == {}
    assert shop.verify().ok


def test_a_check_may_refuse_an_erasure_and_nothing_is_erased(shop: Shop) -> None:
    shop = shop.under(RULES)
    shop.dispatch(Join(id="bob", name="Bob Day"))

    with pytest.raises(Rejected, match="on-hold"):
        erase(shop, BOB)

    assert left(shop) == {BOB: {"Bob Day"}}
    assert shop.outcomes() == ["committed", "rejected"]


def test_a_dispatch_of_the_event_erases_as_well_also_together_with_others(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))

    with plain.together() as tx:
        tx.dispatch(Join(id="bob", name="Bob Day"), actor="till")
        tx.dispatch(EraseSubject(subject=ANN), actor=OFFICER, reason=WHY)
        tx.dispatch(EraseSubject(subject=BOB), actor=OFFICER, reason=WHY)

    assert left(plain) == {}
    assert plain.verify().ok


def test_a_block_that_fails_erases_nothing(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))

    with pytest.raises(ZeroDivisionError), plain.together() as tx:
        assert tx.dispatch(EraseSubject(subject=ANN), actor=OFFICER, reason=WHY).removal.values / 0

    assert left(plain) == {ANN: {"Ann Lee"}}


@pytest.mark.parametrize("rehearse", [False, True])
def test_a_preview_erases_nothing_and_can_be_committed(shop: Shop, rehearse: bool) -> None:
    shop = shop.under(RULES)
    shop.dispatch(Join(id="ann", name="Ann Lee"))
    before = {name: held for name, held in shop.everything().items() if name != "sequences"}

    preview = shop.preview(EraseSubject(subject=ANN), OFFICER, reason=WHY, rehearse=rehearse)

    assert {name: held for name, held in shop.everything().items() if name != "sequences"} == before
    shop.dispatch(EraseSubject(subject=ANN), OFFICER, reason=WHY, expects=preview)
    assert left(shop) == {}


# What would have been sent ----------------------------------------------------------------------------------------------


class Post:
    """Receives what is sent to whom; fails on demand."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.got: list[str] = []
        self.error = error

    def deliveries(self) -> list[Any]:
        @delivers(Card, Call, Ping)
        def deliver(effect: Card | Call | Ping, delivery: Delivery) -> None:
            if self.error is not None:
                raise self.error
            self.got.append(effect.to)

        return [deliver]


def claimed(shop: Shop, lease: timedelta) -> None:
    """Have a worker take one effect, and not come back."""
    relay = AsyncRelay(shop.colour.runner, *Post().deliveries())
    shop.colour.wait(shop.colour.runner._driven(relay._queue.claim(1, lease, ["card"])))


def test_what_would_still_have_been_sent_is_cancelled_and_a_follower_hears_of_it(plain: Shop) -> None:
    wrote = plain.dispatch(Write(to=("ann", "bob")))
    called = plain.dispatch(Write(to=("ann",), by="call"))

    done = erase(plain)

    assert done.removal.cancelled == (f"{wrote.seq}.0", f"{called.seq}.0")
    assert done.removal.sending == ()
    listed = [(one.key, one.state) for one in plain.colour.wait(plain.colour.runner.effects())]
    assert listed == [
        *((f"{wrote.seq}.0", "cancelled"), (f"{wrote.seq}.1", "due")),
        *((f"{called.seq}.0", "cancelled"), (f"{called.seq}.1", "due")),
    ]
    found = plain.execute("SELECT seq, ordinal, state, tries, detail FROM dateline_change ORDER BY seq, ordinal")
    told = "its personal values were erased"
    assert [tuple(row) for row in found] == [
        (wrote.seq, 0, "cancelled", 0, told),
        (called.seq, 0, "cancelled", 0, told),
    ]
    plain.sequence()
    order = plain.execute("SELECT seq, change > 0 FROM dateline_position ORDER BY position")
    assert [(seq, bool(change)) for seq, change in order] == [
        *((wrote.seq, False), (called.seq, False), (done.seq, False)),
        *((wrote.seq, True), (called.seq, True)),
    ]
    post = Post()
    drained(plain, post.deliveries())
    assert post.got == ["bob", "desk"]


def test_what_waits_in_a_lane_behind_a_cancelled_one_goes_on(plain: Shop) -> None:
    called = plain.dispatch(Write(to=("ann",), by="call"))
    post = Post()
    drained(plain, post.deliveries())
    assert plain.execute("SELECT state FROM dateline_delivery ORDER BY ordinal") == [("held",), ("waiting",)]

    erase(plain)

    assert plain.execute("SELECT state FROM dateline_delivery ORDER BY ordinal") == [("cancelled",), ("due",)]
    drained(plain, post.deliveries())
    assert (post.got, called.effects[1].kind) == (["desk"], "ping")


def test_what_is_dead_unknown_or_of_a_lost_worker_is_cancelled(plain: Shop) -> None:
    dead = plain.dispatch(Write(to=("ann",)))
    drained(plain, Post(Undeliverable("no such place")).deliveries())
    lost = plain.dispatch(Write(to=("ann",)))
    claimed(plain, timedelta(0))
    assert plain.execute("SELECT state FROM dateline_delivery ORDER BY seq") == [("dead",), ("sending",)]

    done = erase(plain)

    assert done.removal.cancelled == (f"{dead.seq}.0", f"{lost.seq}.0")
    assert plain.execute("SELECT state FROM dateline_delivery ORDER BY seq") == [("cancelled",), ("cancelled",)]
    tries = plain.execute("SELECT seq, number, outcome, detail FROM dateline_attempt ORDER BY seq")
    assert [tuple(one) for one in tries] == [
        (dead.seq, 1, "failed", "no such place"),
        (lost.seq, 1, "unknown", "nobody came back from this try"),
    ]


def test_what_is_being_sent_at_that_moment_is_left_and_told_and_not_tried_again(plain: Shop) -> None:
    wrote = plain.dispatch(Write(to=("ann",)))
    claimed(plain, timedelta(seconds=30))

    done = erase(plain)

    assert (done.removal.sending, done.removal.cancelled) == ((f"{wrote.seq}.0",), ())
    assert states(plain) == {"ann": "sending"}
    plain.execute("UPDATE dateline_delivery SET state = 'due', due_at = began_at")
    post = Post()
    drained(plain, post.deliveries())
    assert (post.got, states(plain)) == ([], {"ann": "dead"})
    assert erase(plain).removal.cancelled == (f"{wrote.seq}.0",)


def server(shop: Shop) -> str:
    return make_url(shop.url).set(drivername="postgresql").render_as_string(hide_password=False)


def naively(shop: Shop) -> list[str]:
    """The control: the same statements, where each sees what was committed until it began; return the states as it saw them."""
    with psycopg.connect(server(shop)) as session:
        cursor = psycopg.RawCursor(session)
        seen: list[str] = []
        for name, sql in shop.colour.runner.store.eraser._texts().items():
            cursor.execute(sql.encode(), ("", ANN))
            seen += [state for _, _, state in cursor.fetchall()] if name == "standing" else []
    return seen


def test_a_worker_that_takes_an_effect_meanwhile_is_seen(plain: Shop) -> None:
    if not plain.postgres:
        pytest.skip("SQLite has one writer at a time")

    def raced(erasing: Callable[[], Any]) -> Any:
        with psycopg.connect(server(plain)) as worker, ThreadPoolExecutor(1) as pool:
            worker.execute(
                "UPDATE dateline_delivery SET state = 'sending', due_at = now() + interval '1 minute', tries = 1"
            )
            done = pool.submit(erasing)
            time.sleep(0.3)
            assert not done.done()
            worker.commit()
            return done.result(10)

    wrote = plain.dispatch(Write(to=("ann",)))
    assert raced(lambda: naively(plain)) == ["due"]
    assert plain.execute("SELECT state FROM dateline_change") == [("cancelled",)]
    assert states(plain) == {"ann": "sending"}
    plain.execute("DELETE FROM dateline_change")
    plain.execute("UPDATE dateline_delivery SET state = 'due', due_at = now()")

    done = raced(lambda: erase(plain))

    assert (done.removal.sending, done.removal.cancelled) == ((f"{wrote.seq}.0",), ())
    assert plain.execute("SELECT state FROM dateline_change") == []
    assert states(plain) == {"ann": "sending"}


def test_how_much_was_erased_is_logged_without_any_of_it(plain: Shop, caplog: pytest.LogCaptureFixture) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))
    wrote = plain.dispatch(Write(to=("ann",)))

    with caplog.at_level(logging.INFO, "dateline"):
        erase(plain)

    [line] = [json.loads(record.message) for record in caplog.records]
    told = {name: line[name] for name in ("event", "kind", "values", "cancelled", "sending")}
    assert told == {
        "event": "committed",
        "kind": "subject.erase",
        "values": 3,
        "cancelled": [f"{wrote.seq}.0"],
        "sending": [],
    }


# What is asked again ----------------------------------------------------------------------------------------------------


def test_a_request_key_gets_its_answer_after_the_erasure_and_no_digest_lets_anybody_guess(plain: Shop) -> None:
    asked = Join(id="ann", name="Ann Lee", email="ann@example.org", age=40)
    done = plain.dispatch(asked, key="k1")
    other = plain.dispatch(Join(id="bob", name="Bob Day"), key="k2")

    erase(plain, key="k3")

    salts = plain.execute("SELECT key, salt IS NULL FROM dateline_claim ORDER BY key")
    assert [(key, bool(gone)) for key, gone in salts] == [("k1", True), ("k2", False), ("k3", False)]
    again = plain.dispatch(asked, key="k1")
    assert (again.event_id, again.repeated, again.event) == (done.event_id, True, asked)
    assert plain.dispatch(Join(id="bob", name="Bob Day"), key="k2").event_id == other.event_id
    assert erase(plain, key="k3").repeated
    # What was erased may have been anything; all else is compared as before.
    assert plain.dispatch(asked.model_copy(update={"name": "Ann Day"}), key="k1").event_id == done.event_id
    for reused in (asked.model_copy(update={"id": "bob"}), asked.model_copy(update={"born": date(1990, 1, 1)})):
        assert "came with another request" in plain.refused(KeyReused, reused, key="k1").detail
    plain.refused(KeyReused, Visit(customer="ann"), key="k1")


def test_a_request_key_of_which_nothing_was_erased_is_compared_as_before(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))
    plain.dispatch(Visit(customer="ann"), key="k1")

    erase(plain)

    # What it saw was erased, and nothing that was asked.
    assert [bool(salt) for [salt] in plain.execute("SELECT salt FROM dateline_claim")] == [True]
    plain.refused(KeyReused, Visit(customer="bob"), key="k1")


def test_a_request_key_of_another_instant_is_another_request_after_the_erasure_too(plain: Shop) -> None:
    clerk = Actor("clerk", rights=frozenset({"backdate"}))
    asked, at = Join(id="ann", name="Ann Lee"), plain.now - timedelta(days=1)
    done = plain.dispatch(asked, clerk, key="k1", at=at, reason="forgotten")

    erase(plain)

    assert plain.dispatch(asked, clerk, key="k1", at=at, reason="forgotten").event_id == done.event_id
    plain.refused(KeyReused, asked, actor=clerk, key="k1", at=at - timedelta(hours=1), reason="forgotten")


# What is read afterwards ------------------------------------------------------------------------------------------------


def test_reading_says_what_was_erased_masked_or_not(plain: Shop) -> None:
    done = plain.dispatch(Join(id="ann", name="Ann Lee"))
    erase(plain)

    entry = plain.entry(done)

    assert entry.erased == entry.personal == {"/input/name", "/operations/0/after/name"}
    assert entry.operations[0].declared["name"] == "(erased)"
    assert masked(entry).input["name"] == "(erased)"
    assert masked(entry).operations[0].after == entry.operations[0].after
    assert entry.event == Join(id="ann", name="(erased)")


def test_a_typed_event_that_cannot_hold_the_word_is_none_and_all_else_can_be_read(plain: Shop) -> None:
    made = [
        plain.dispatch(Join(id="a", name="Ann", born=date(1990, 1, 1))),
        plain.dispatch(Join(id="b", name="Ann", age=40)),
        plain.dispatch(Join(id="c", name="Ann", code="123")),
    ]
    for name in "abc":
        erase(plain, f"customer:{name}")

    entries = [plain.entry(done) for done in made]

    assert [entry.event for entry in entries] == [None] * 3
    assert [entry.input[name] for entry, name in zip(entries, ("born", "age", "code"), strict=True)] == ["(erased)"] * 3


def test_a_replay_says_that_it_would_read_what_was_erased(plain: Shop) -> None:
    joined = plain.dispatch(Join(id="ann", name="Ann Lee", age=40))
    other = plain.dispatch(Join(id="bob", name="Bob Day"))
    visited = plain.dispatch(Visit(customer="ann"))
    wrote = plain.dispatch(Write(to=("ann",)))
    entered = plain.dispatch(Enter(id="cy"))
    idea = plain.dispatch(Idea(text="x"))

    erased = erase(plain)
    assert erase(plain, "customer:cy").removal.values == 1

    with pytest.raises(Erased, match=rf"event {joined.seq} \(join\): a personal value of its input was erased"):
        replayed(plain.entry(joined), VERSIONS)
    with pytest.raises(Erased, match=rf"event {visited.seq} \(visit\): a personal value in Seen.buyer was erased"):
        replayed(plain.entry(visited), VERSIONS)
    # What it brought about was erased, and nothing that it reads.
    for done in (other, wrote, entered, idea, erased):
        entry = plain.entry(done)
        assert deviation(entry, replayed(entry, VERSIONS)) is None


def test_a_version_that_does_not_read_what_was_erased_replays(plain: Shop) -> None:
    plain.dispatch(Join(id="ann", name="Ann Lee"))
    visited = plain.dispatch(Visit(customer="ann"))
    erase(plain)

    @handler
    def nothing(event: Visit) -> Yields[Card]:
        yield Card(to="x", text="y")

    blind = Versions.of({"2024-01-01": [Visit, nothing]})

    assert [one.key for one in replayed(plain.entry(visited), blind).steps] == ["nothing/card[x]"]


# What is left to find ---------------------------------------------------------------------------------------------------

PLACES = ("INPUT", "ROW", "SEEN", "SENT", "HELD", "REFUSED", "CHANGED", "NESTED")
CANARIES = tuple(f"canary-{place}-7f3a" for place in PLACES)


class Address(BaseModel):
    street: Personal[str]


class Rename(Event, kind="rename", subjects=("customer:{customer}",)):
    customer: str
    name: Personal[str]
    address: Address
    refuse: bool = False


@check
def not_now(event: Rename, seen: Seen) -> Yields[Reject]:
    if event.refuse:
        yield Reject("not-now", "not today")


@handler
def rename(event: Rename, seen: Seen) -> Yields[Update[Customer] | Card | Call]:
    yield Update(seen.buyer, name=event.name)
    yield Card(to=event.customer, text=event.address.street)
    yield Call(to=event.customer, number=f"{event.name} {event.address.street}")


NESTS = Versions.of(LAYERS | {"2024-06-01": [forget, Rename, not_now, rename]})


def planted(shop: Shop) -> None:
    """Have a canary stand in every place that is meant for what is personal."""
    canary = dict(zip(PLACES, CANARIES, strict=True))
    shop.put(Customer("ann", canary["ROW"], canary["SEEN"]), Customer("bob", "Bob Day"))
    asked = Rename(customer="ann", name=canary["CHANGED"], address=Address(street=canary["NESTED"]))
    shop.dispatch(Visit(customer="ann"), key="visit")
    shop.dispatch(Join(id="cid", name="Cid"))
    shop.dispatch(asked, key="rename")
    again = asked.model_copy(update={"name": canary["INPUT"], "address": Address(street=canary["SENT"])})
    shop.dispatch(again)
    drained(shop, Post().deliveries())
    shop.dispatch(again.model_copy(update={"address": Address(street=canary["HELD"])}))
    shop.refused(Rejected, asked.model_copy(update={"name": canary["REFUSED"], "refuse": True}), key="refused")


def dumped(shop: Shop) -> bytes:
    """Return all that the tables hold, as a backup has it."""
    made = b""
    with psycopg.connect(server(shop)) as session:
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for [table] in tables:
            with session.cursor().copy(f'COPY "{table}" TO STDOUT') as copy:
                made += b"".join(bytes(block) for block in copy)
    return made


def stored(shop: Shop) -> bytes:
    """Return all bytes that the database keeps on the disk, but for PostgreSQL's write-ahead log."""
    if not shop.postgres:
        name = Path(str(make_url(shop.url).database))
        return b"".join(
            Path(f"{name}{end}").read_bytes() for end in ("", "-wal", "-shm") if Path(f"{name}{end}").exists()
        )
    shop.execute("CHECKPOINT")
    [[folder]] = shop.execute("SHOW data_directory")
    [[oid]] = shop.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
    return b"".join(file.read_bytes() for file in (Path(folder) / "base" / str(oid)).iterdir() if file.is_file())


def on_file(shop: Shop, *statements: str) -> None:
    """Execute statements on SQLite's file, as somebody else would."""
    file = sqlite3.connect(str(make_url(shop.url).database))
    for statement in statements:
        assert file.execute(statement).fetchall() in ([], [(0, 0, 0)])
    file.close()


def swept(shop: Shop) -> None:
    """Have the database give up what is not needed any more, as the guide says."""
    if shop.postgres:
        with shop.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            # Statistics hold values too.
            session.execute(text("ANALYZE"))
            session.execute(text("VACUUM FULL"))
    else:
        on_file(shop, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")


def found_in(held: bytes) -> set[str]:
    return {canary for canary in CANARIES if canary.encode() in held}


def test_no_byte_of_it_is_left_in_the_database(own_shop: Shop) -> None:
    shop = own_shop.under(NESTS)
    planted(shop)
    if shop.postgres:
        shop.execute("ANALYZE")
        # The control: a search that would find them.
        assert found_in(dumped(shop)) == {*CANARIES}
    assert found_in(stored(shop)) == {*CANARIES}

    erase(shop)
    if not shop.postgres:
        # What dateline's connections delete is overwritten: once the log is in the file, nothing of it is there.
        on_file(shop, "PRAGMA wal_checkpoint(TRUNCATE)")
        assert found_in(stored(shop)) == set()
    swept(shop)

    assert found_in(stored(shop)) == set()
    if shop.postgres:
        assert found_in(dumped(shop)) == set()
    assert [row["id"] for row in shop.rows("customer")] == ["bob", "cid"]
    found = shop.verify()
    assert (found.ok, found.erased > 20) == (True, True)
