"""A table or a column that is not in the database is told by its name, with whose business it is to make it."""

from __future__ import annotations

import pytest

from dateline import Actor, DatelineError, Event
from dateline.errors import MissingTable, NotMigrated
from tests.contract.conftest import Shop
from tests.contract.shop import Enrol, Idea, Sell, Stocktake

COUNTER = Actor("clerk", rights=frozenset({"count"}))


@pytest.mark.parametrize(
    ("statement", "event", "named"),
    [
        ("DROP TABLE customer", Enrol(id="ann", name="Ann Lee"), "customer"),
        ("ALTER TABLE customer RENAME TO client", Sell(product="tea"), "customer"),
        ("ALTER TABLE customer DROP COLUMN points", Sell(product="tea"), "points"),
        ("ALTER TABLE customer DROP COLUMN mail", Enrol(id="ann", name="Ann Lee", email="a@x"), "mail"),
        ("ALTER TABLE product DROP COLUMN note", Stocktake(counted=1), "note"),
    ],
    ids=["written", "read", "column-read", "column-written", "column-of-many"],
)
def test_what_the_application_has_not_made_is_named_and_so_is_who_makes_it(
    own_shop: Shop, statement: str, event: Event, named: str
) -> None:
    own_shop.execute(statement)
    before = own_shop.everything()

    for call in (own_shop.dispatch, own_shop.tried):
        given = {"rehearse": True} if call == own_shop.tried else {"key": "k"}
        with pytest.raises(MissingTable) as missing:
            call(event, COUNTER, **given)
        assert named in str(missing.value)
        assert "the application makes its own tables" in str(missing.value)
        assert "`dateline migrate` makes only the trail's" in str(missing.value)

    assert own_shop.everything() == before


def test_inside_of_a_block_it_is_told_too(own_shop: Shop) -> None:
    own_shop.execute("DROP TABLE customer")

    with pytest.raises(MissingTable, match="customer"), own_shop.together() as tx:
        tx.dispatch(Enrol(id="ann", name="Ann Lee"), actor="clerk")

    assert own_shop.outcomes() == []


@pytest.mark.parametrize("key", [None, "k"])
def test_a_trail_that_is_missing_is_told_as_what_it_is(own_shop: Shop, key: str | None) -> None:
    for table in ("event", "claim"):
        own_shop.execute(f"DROP TABLE dateline_{table}")

    for event in (Idea(text="x"), Enrol(id="ann", name="Ann Lee")):
        with pytest.raises(NotMigrated, match="the trail's tables are missing or old: run `dateline migrate`") as told:
            own_shop.dispatch(event, key=key)
        assert isinstance(told.value, DatelineError)


def test_a_trail_that_is_old_is_told_as_what_it_is(own_shop: Shop) -> None:
    own_shop.execute("ALTER TABLE dateline_event RENAME COLUMN shape TO form")

    with pytest.raises(NotMigrated, match="missing or old"):
        own_shop.dispatch(Idea(text="x"))
    with pytest.raises(NotMigrated, match="missing or old"):
        own_shop.trail()
