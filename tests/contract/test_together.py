"""Several events in one transaction, dateline's or the caller's: all of them, or none."""

# ruff: noqa: PT012 - what is raised ends a block, which is what is tested

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from dateline import Conflict, DatelineError, Insert, Preview, Rejected, Runner, Settings, Versions, Yields, handler
from dateline.errors import ConstraintRefused, NotCanonical, NotFound, NotSerializable
from tests.contract.conftest import Shop
from tests.contract.everything import Everything
from tests.contract.shop import Customer, Enrol, Idea, Product, Sell


def stock(shop: Shop, id: str = "tea") -> int:
    [[found]] = shop.execute("SELECT stock FROM product WHERE id = :id", id=id)
    return int(found)


def test_two_events_are_committed_together_and_the_second_sees_the_first(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.together() as tx:
        first = tx.dispatch(Sell(product="tea", quantity=3), actor="till")
        second = tx.dispatch(Sell(product="tea", quantity=2), actor="till")
        with shop.engine.connect() as outside:
            assert outside.execute(text("SELECT stock FROM product")).scalar() == 5

    assert stock(shop) == 0
    assert [entry.id for entry in shop.trail()] == [first.event_id, second.event_id]
    assert [held["rows"] for held in shop.entry(second).snapshot.values()] == [[], [{"id": "tea", "stock": 2}]]
    assert second.seq == first.seq + 1
    assert shop.verify().ok


def test_an_exception_in_the_block_takes_everything_back(shop: Shop) -> None:
    shop.put(Product("tea", 5))
    before = shop.everything()

    with pytest.raises(ZeroDivisionError), shop.together() as tx:
        tx.dispatch(Sell(product="tea"), actor="till", key="k1")
        raise ZeroDivisionError

    after = dict(shop.everything())
    if shop.postgres:
        after["sequences"] = before["sequences"]
    assert after == before
    assert not shop.dispatch(Sell(product="tea"), key="k1").repeated


@pytest.mark.parametrize("end", ["commits", "rolls back"])
def test_refusals_stay_recorded_whatever_becomes_of_the_block(shop: Shop, end: str) -> None:
    shop.put(Product("tea", 5))

    def block() -> None:
        with shop.together() as tx:
            tx.dispatch(Sell(product="tea"), actor="till")
            with pytest.raises(Rejected):
                tx.dispatch(Sell(product="tea", quantity=5), actor="till", key="k1")
            with pytest.raises(NotFound):
                tx.dispatch(Sell(product="none"), actor="till")
            if end == "rolls back":
                raise ZeroDivisionError

    if end == "commits":
        block()
    else:
        with pytest.raises(ZeroDivisionError):
            block()

    assert sorted(shop.outcomes()) == sorted(["rejected", "not-found"] + ["committed"] * (end == "commits"))
    assert stock(shop) == (4 if end == "commits" else 5)
    assert shop.verify().ok


def test_a_refusal_that_leaves_the_block_takes_the_rest_with_it_and_stays_recorded(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with pytest.raises(Rejected) as refused, shop.together() as tx:
        tx.dispatch(Sell(product="tea"), actor="till")
        tx.dispatch(Sell(product="tea", quantity=99), actor="till")

    assert (shop.outcomes(), stock(shop)) == (["rejected"], 5)
    assert shop.entry().refusal == refused.value
    assert str(shop.entry().id) == refused.value.event_id


def test_a_constraint_leaves_the_transaction_as_it_was(shop: Shop) -> None:
    shop.put(Product("tea", 5), Customer("ann", "Ann"))

    with shop.together() as tx:
        tx.dispatch(Sell(product="tea"), actor="till")
        with pytest.raises(ConstraintRefused) as refused:
            tx.dispatch(Enrol(id="ann", name="Another"), actor="till")
        tx.dispatch(Sell(product="tea"), actor="till")

    assert refused.value.step == "enrol/Insert:customer[ann]"
    assert sorted(shop.outcomes()) == ["committed", "committed", "constraint"]
    assert stock(shop) == 3
    assert [row["name"] for row in shop.rows("customer")] == ["Ann"]


def test_what_has_no_canonical_form_leaves_the_transaction_as_it_was(shop: Shop) -> None:
    @handler
    def enrol(event: Enrol) -> Yields[Insert[Everything]]:
        yield Insert(Everything, id=event.id, float=inf if event.name == "Inf" else 1.0)

    made = shop.under(Versions.of({"2024-01-01": [enrol]}))

    with made.together() as tx:
        tx.dispatch(Enrol(id="ann", name="Ann"), actor="till")
        with pytest.raises(NotCanonical):
            tx.dispatch(Enrol(id="inf", name="Inf"), actor="till")
        tx.dispatch(Enrol(id="bob", name="Bob"), actor="till")

    assert [row["id"] for row in shop.rows("everything")] == ["ann", "bob"]
    assert [operation.row_key for entry in made.trail() for operation in entry.operations] == ["ann", "bob"]


def test_a_preview_inside_sees_what_the_block_has_done_and_writes_nothing(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.together() as tx:
        tx.dispatch(Sell(product="tea", quantity=4), actor="till")
        shown = [tx.preview(Sell(product="tea"), actor="till", rehearse=rehearse) for rehearse in (False, True)]
        refused = tx.preview(Sell(product="tea", quantity=2), actor="till")

    assert all(isinstance(preview, Preview) for preview in shown)
    assert isinstance(refused, Rejected)
    assert (shop.outcomes(), stock(shop)) == (["committed"], 1)


def test_a_key_inside_gets_its_first_answer(shop: Shop) -> None:
    shop.put(Product("tea", 5))
    earlier = shop.dispatch(Sell(product="tea"), key="k1")

    with shop.together() as tx:
        assert tx.dispatch(Sell(product="tea"), actor="till", key="k1") == earlier
        first = tx.dispatch(Sell(product="tea", quantity=2), actor="till", key="k2")
        again = tx.dispatch(Sell(product="tea", quantity=2), actor="till", key="k2")

    assert (again, again.repeated) == (first, True)
    assert stock(shop) == 2


def test_a_conflict_is_raised_and_not_tried_again(shop: Shop) -> None:
    shop.put(Product("tea", 5), Product("salt", 5))
    impatient = shop.under(shop.versions, settings=Settings(busy=timedelta(seconds=0.1), budget=timedelta(seconds=5)))

    with pytest.raises(Conflict):
        if shop.postgres:
            with impatient.together() as tx:
                tx.dispatch(Sell(product="salt"), actor="till")
                shop.execute("UPDATE product SET stock = 4 WHERE id = 'tea'")
                tx.dispatch(Sell(product="tea"), actor="till")
        else:
            with shop.engine.begin() as other:
                other.execute(text("UPDATE product SET stock = 4 WHERE id = 'tea'"))
                with impatient.together() as tx:
                    tx.dispatch(Sell(product="tea"), actor="till")

    assert stock(shop, "salt") == 5
    assert shop.outcomes() == []


def test_what_was_read_before_another_wrote_is_not_committed(shop: Shop) -> None:
    # Two blocks that read what the other writes: were both committed, both would rest on what is no more.
    if not shop.postgres:
        pytest.skip("SQLite has one writer at a time: the second block could not even begin")
    shop.put(Product("tea", 5), Product("salt", 5))

    with pytest.raises(Conflict), shop.together() as one, shop.under(shop.versions).together() as other:
        one.preview(Sell(product="tea"), actor="till")
        other.preview(Sell(product="salt"), actor="till")
        one.dispatch(Sell(product="salt"), actor="till")
        other.dispatch(Sell(product="tea"), actor="till")


def test_a_session_of_the_callers_is_joined(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        session.execute(text("INSERT INTO customer (id, name, points) VALUES ('ann', 'Ann', 1)"))
        with shop.together(session) as tx:
            tx.dispatch(Sell(product="tea", quantity=2), actor="till")
        assert session.execute(text("SELECT stock FROM product")).scalar() == 3
        assert stock(shop) == 5
        session.commit()

    assert stock(shop) == 3
    assert [(row["id"], row["points"]) for row in shop.rows("customer")] == [("ann", 3)]
    assert shop.outcomes() == ["committed"]


@pytest.mark.parametrize("wrote", [False, True], ids=["idle", "after a write"])
def test_what_joined_a_session_goes_down_with_its_rollback(shop: Shop, wrote: bool) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        if wrote:
            session.execute(text("INSERT INTO customer (id, name, points) VALUES ('ann', 'Ann', 1)"))
        with shop.together(session) as tx:
            tx.dispatch(Sell(product="tea", quantity=2), actor="till")
            with pytest.raises(NotFound):
                tx.dispatch(Sell(product="none"), actor="till")
        session.rollback()

    assert (stock(shop), shop.rows("customer"), shop.rows("purchase")) == (5, [], [])
    assert shop.outcomes() == ["not-found"]


@pytest.mark.parametrize("end", ["close", "rollback", "commit"])
def test_a_refusal_stays_recorded_however_the_sessions_transaction_ends(shop: Shop, end: str) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        with pytest.raises(Rejected), shop.together(session) as tx:
            tx.dispatch(Sell(product="tea", quantity=9), actor="till")
        getattr(session, end)()

    assert (stock(shop), shop.outcomes()) == (5, ["rejected"])


def test_a_refusal_stays_recorded_where_a_savepoint_is_rolled_back(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        session.execute(text("UPDATE product SET stock = 6"))
        point = shop.colour.wait(session.begin_nested())
        with pytest.raises(Rejected), shop.together(session) as tx:
            tx.dispatch(Sell(product="tea", quantity=9), actor="till")
        shop.colour.wait(point.rollback())
        session.commit()

    assert (stock(shop), shop.outcomes()) == (6, ["rejected"])


def test_what_joins_a_long_session_again_and_again_is_heard_each_time_and_leaves_nothing_on_it(shop: Shop) -> None:
    runner = shop.colour.runner
    if not isinstance(runner, Runner):
        pytest.skip("what listens is on the session within, which is the same")
    shop.put(Product("tea", 5))

    with shop.session() as session:
        heard = []
        for _ in range(3):
            with pytest.raises(Rejected), shop.together(session) as tx:
                tx.dispatch(Sell(product="tea", quantity=9), actor="till")
            with shop.together(session) as tx:
                tx.dispatch(Sell(product="tea", quantity=1), actor="till")
            session.rollback()
            session.connection(execution_options={"isolation_level": "SERIALIZABLE"} if shop.postgres else {})
            heard.append(
                [len(list(getattr(session.dispatch, one))) for one in ("after_commit", "after_transaction_end")]
            )

    assert heard == [[1, 1]] * 3
    assert (stock(shop), shop.outcomes()) == (5, ["rejected"] * 3)


def test_of_a_registry_the_threads_own_session_is_joined(shop: Shop) -> None:
    runner = shop.colour.runner
    if not isinstance(runner, Runner):
        pytest.skip("a registry for tasks needs one loop for all of them")
    shop.put(Product("tea", 5))
    registry = scoped_session(sessionmaker(shop.engine.execution_options(isolation_level="SERIALIZABLE")))

    with pytest.raises(Rejected), runner.together(registry) as tx:
        tx.dispatch(Sell(product="tea", quantity=9), actor="till")
    with registry.session_factory() as other:
        # Another thread's, which ends meanwhile.
        other.execute(text("SELECT 1"))
        other.rollback()
    registry.remove()

    assert shop.outcomes() == ["rejected"]


def test_a_session_stays_usable_after_a_refusal(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        with shop.together(session) as tx, pytest.raises(Rejected):
            tx.dispatch(Sell(product="tea", quantity=9), actor="till")
        session.execute(text("UPDATE product SET stock = 7"))
        session.commit()

    assert (stock(shop), shop.outcomes()) == (7, ["rejected"])


def test_an_exception_in_a_joined_block_leaves_the_ending_to_the_caller(shop: Shop) -> None:
    shop.put(Product("tea", 5))

    with shop.session() as session:
        with pytest.raises(ZeroDivisionError), shop.together(session) as tx:
            tx.dispatch(Sell(product="tea", quantity=2), actor="till")
            raise ZeroDivisionError
        session.commit()

    assert (stock(shop), shop.outcomes()) == (3, ["committed"])


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_session_that_could_lose_updates_is_refused(shop: Shop, level: str) -> None:
    if not shop.postgres:
        pytest.skip("SQLite knows one level, and it is enough")
    shop.put(Product("tea", 5))

    with shop.session(level) as session:
        with pytest.raises(NotSerializable, match=level), shop.together(session) as tx:
            tx.dispatch(Sell(product="tea"), actor="till")
        session.rollback()

    assert (stock(shop), shop.outcomes()) == (5, [])


def test_a_joined_session_is_pinned_only_until_its_transaction_ends(shop: Shop) -> None:
    if not shop.postgres:
        pytest.skip("SQLite has no such settings")
    shop.put(Product("tea", 5))

    with shop.session() as session:
        session.execute(text("SET TimeZone = 'Asia/Tokyo'"))
        session.commit()
    with shop.session() as session:
        session.execute(text("SET LOCAL TimeZone = 'Asia/Tokyo'"))
        with shop.together(session) as tx:
            tx.dispatch(Sell(product="tea"), actor="till")
        session.commit()
        assert session.execute(text("SHOW TimeZone")).scalar() != "Asia/Tokyo"

    assert shop.entry().operations[0].after == {"id": "tea", "stock": 4, "price": "1.00", "note": None}


def test_many_events_in_one_block_follow_each_other(shop: Shop) -> None:
    shop.put(Product("tea", 30))

    with shop.together() as tx:
        for _ in range(30):
            tx.dispatch(Sell(product="tea"), actor="till")

    assert stock(shop) == 0
    assert [entry.operations[1].row_key for entry in shop.trail()] == [str(number) for number in range(1, 31)]


def test_an_empty_block_does_nothing(shop: Shop) -> None:
    before = shop.everything()

    with shop.together():
        pass

    assert shop.everything() == before


def test_a_runner_goes_on_after_a_block(shop: Shop) -> None:
    for _ in range(40):
        # More blocks than the pool has connections: none is kept.
        with pytest.raises(ZeroDivisionError), shop.together() as tx:
            tx.dispatch(Idea(text="x"), actor="till")
            raise ZeroDivisionError

    assert shop.dispatch(Idea(text="y")).event == Idea(text="y")


@pytest.mark.parametrize("joined", [False, True])
def test_a_block_that_has_ended_takes_no_event(shop: Shop, joined: bool) -> None:
    if joined:
        with shop.session() as session, shop.together(session) as tx:
            tx.dispatch(Idea(text="in"), actor="till")
            session.commit()
    else:
        with shop.together() as tx:
            tx.dispatch(Idea(text="in"), actor="till")

    for call in (tx.dispatch, tx.preview):
        with pytest.raises(DatelineError, match=r"the block of together\(\) has ended.*; dispatch inside of the block"):
            call(Idea(text="out"), actor="till")

    assert [entry.input["text"] for entry in shop.trail()] == ["in"]


def test_only_a_session_of_the_runners_colour_can_be_joined(shop: Shop) -> None:
    runner: Any = shop.colour.runner
    other: Any = AsyncSession() if isinstance(runner, Runner) else Session()
    mine = "Session" if isinstance(runner, Runner) else "AsyncSession"

    for wrong in (other, shop.engine, shop.url):
        manager = runner.together(wrong)
        enter = manager.__enter__ if isinstance(runner, Runner) else manager.__aenter__
        with pytest.raises(
            TypeError, match=rf"together\(\) joins a {mine} of SQLAlchemy's, not {type(wrong).__name__}"
        ):
            shop.colour.wait(enter())
