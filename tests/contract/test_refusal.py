"""Every refusal is recorded with its outcome, and none of a kind that opts out."""

# Annotations are evaluated here, since the rules are made in a function: with and without a record of refusals.

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, cast

import pytest

from dateline import (
    Actor,
    Event,
    Insert,
    Refused,
    Reject,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
)
from dateline.errors import (
    ConstraintRefused,
    Denied,
    HandlerFailed,
    KeyReused,
    Malformed,
    NotFound,
    NotStorable,
    PreviewExpired,
    Rejected,
    Rejection,
    ShapeNewerThanVersion,
    StaleSnapshot,
    TooMany,
    UnknownVersion,
    Unrepresentable,
)
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Product, Shelf, Stock


class Rules:
    """A kind that can be refused in every way."""

    def __init__(self, *, record: bool) -> None:
        class Seen(Snapshot):
            product: Stock = rows(Product.id == given("product"))
            dear: tuple[Stock, ...] = rows(Product.price > 100, at_most=1)

        class Try(Event, kind="try", subjects=("product:{product}",), record_refusals=record):
            product: str = "tea"
            stock: int = 1

        class Longer(Try):
            note: str = ""

        @check
        def even(event: Try, seen: Seen) -> Yields[Reject]:
            if event.stock % 2 == 0 and event.stock < 100:
                yield Reject("even", f"{event.stock} is even, as is {seen.product.stock}", field="stock")

        @check
        def small(event: Try) -> Yields[Reject]:
            if 10 < event.stock < 100:
                yield Reject("large", "more than ten")

        @handler
        def put(event: Try, seen: Seen) -> Yields[Update[Product]]:
            if event.stock == 9:
                # As a mapping of old columns does, of what they have no word for today.
                raise Unrepresentable("there is no nine")
            yield Update(seen.product, stock=event.stock)

        self.event, self.longer = Try, Longer
        self.versions = Versions.of({"2024-01-01": [Try, even, small, put], "2024-06-01": [Longer]})


def many(shop: Shop, rules: Any) -> Any:
    shop.execute("UPDATE product SET price = 200")
    shop.execute("INSERT INTO product (id, stock, price) VALUES ('gold', 1, 300)")
    return shop.refused(TooMany, rules.event())


def expired(shop: Shop, rules: Any) -> Any:
    preview = shop.preview(rules.event())
    shop.now += timedelta(hours=1)
    return shop.refused(PreviewExpired, rules.event(), expects=preview)


def reused(shop: Shop, rules: Any) -> Any:
    shop.under(Versions.of({"2024-01-01": []})).dispatch(other(), key="k1")
    return shop.refused(KeyReused, rules.event(), key="k1")


def other() -> Event:
    class Other(Event, kind="other", subjects=("another",)):
        pass

    return Other()


REFUSALS: dict[str, Callable[[Shop, Any], Any]] = {
    "rejected": lambda shop, rules: shop.refused(Rejected, rules.event(stock=12)),
    "not-found": lambda shop, rules: shop.refused(NotFound, rules.event(product="none")),
    "too-many": many,
    "stale": lambda shop, rules: shop.refused(
        StaleSnapshot, rules.event(), expects={"product/tea": {"stock": "another"}}
    ),
    "preview-expired": expired,
    "key-reused": reused,
    "constraint": lambda shop, rules: shop.refused(ConstraintRefused, rules.event(stock=-1)),
    "not-storable": lambda shop, rules: shop.refused(NotStorable, rules.event(stock=2**70)),
    "denied": lambda shop, rules: shop.refused(Denied, rules.event(), at=NOON),
    "unknown-version": lambda shop, rules: shop.refused(UnknownVersion, rules.event(), version="2000-01-01"),
    "unrepresentable": lambda shop, rules: shop.refused(Unrepresentable, rules.event(stock=9)),
    "shape-newer": lambda shop, rules: shop.refused(ShapeNewerThanVersion, rules.longer(), version="2024-01-01"),
}


def test_every_sort_of_refusal_is_tried_here() -> None:
    assert set(REFUSALS) == {kind.outcome for kind in Refused.__subclasses__()}


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_refusal_is_recorded_as_what_it_was(shop: Shop, outcome: str) -> None:
    rules = Rules(record=True)
    shop.put(Product("tea", 5))
    shop = shop.under(rules.versions)

    refusal = REFUSALS[outcome](shop, rules)

    entry = shop.entry(subject=rules.event(product="tea" if outcome != "not-found" else "none").subjects[0])
    assert (entry.outcome, entry.refusal, str(entry.id)) == (outcome, refusal, refusal.event_id)
    assert entry.decision == {"outcome": outcome, "refusal": {"detail": refusal.detail, **refusal.facts}}
    assert (entry.kind, entry.actor, entry.operations, entry.effects) == ("try", Actor("till"), (), ())
    assert set(entry.input) >= {"product", "stock"}
    assert shop.rows("product")[-1]["stock"] == 5
    assert shop.verify().ok


@pytest.mark.parametrize("outcome", REFUSALS)
def test_a_refusal_of_a_kind_that_opts_out_leaves_nothing(shop: Shop, outcome: str) -> None:
    rules = Rules(record=False)
    shop.put(Product("tea", 5))
    shop = shop.under(rules.versions)

    refusal = REFUSALS[outcome](shop, rules)

    assert refusal.event_id is None
    assert [entry.kind for entry in shop.trail()] in ([], ["other"])
    assert shop.execute("SELECT count(*) FROM dateline_subject WHERE subject = 'product:tea'") == [(0,)]
    # What is committed is recorded all the same.
    shop.execute("DELETE FROM product WHERE id = 'gold'")
    shop.dispatch(rules.event(stock=3))
    assert shop.entry().outcome == "committed"


def test_a_rejection_is_kept_with_who_said_so_and_what_was_seen(shop: Shop) -> None:
    rules = Rules(record=True)
    shop.put(Product("tea", 5))
    shop = shop.under(rules.versions)

    refusal = shop.refused(Rejected, rules.event(stock=12))

    where = "tests.contract.test_refusal.Rules.__init__.<locals>"
    assert refusal.rejections == (
        Rejection(
            key="even/even",
            code="even",
            detail="12 is even, as is 5",
            field="stock",
            handler=f"{where}.even",
            date="2024-01-01",
        ),
        Rejection(key="small/large", code="large", detail="more than ten", handler=f"{where}.small", date="2024-01-01"),
    )
    entry = shop.entry()
    assert entry.rejections == refusal.rejections
    assert [held["rows"] for held in entry.snapshot.values()] == [[], [{"id": "tea", "stock": 5}]]
    assert entry.version == date(2024, 6, 1)


def test_what_a_decision_did_not_reach_is_recorded_without_version_or_snapshot(shop: Shop) -> None:
    rules = Rules(record=True)
    shop = shop.under(rules.versions)

    shop.refused(UnknownVersion, rules.event(), version="2000-01-01")

    assert (shop.entry().version, shop.entry().snapshot) == (None, {})


def test_what_is_no_request_is_not_recorded(shop: Shop) -> None:
    rules = Rules(record=True)
    shop.put(Product("tea", 5))
    shop = shop.under(rules.versions)

    with pytest.raises(Malformed):
        shop.dispatch(rules.event(), expects={"product/tea": {"price": "not read"}})
    with pytest.raises(Malformed):
        shop.dispatch(rules.event(), at=NOON.replace(tzinfo=None))
    with pytest.raises(Malformed):
        shop.colour.runner.event("try", b'{"product": 7}')

    assert len(shop.trail()) == 0


class Fail(Event, kind="fail"):
    pass


@handler
def failing(event: Fail) -> Yields[Insert[Product]]:
    yield Insert(Product, id="tea", stock=1)
    raise ZeroDivisionError("Ann Lee")


def test_a_handler_that_fails_writes_nothing(shop: Shop) -> None:
    before = shop.everything()
    failing_shop = shop.under(Versions.of({"2024-01-01": [Fail, failing]}))

    with pytest.raises(HandlerFailed, match=r"failing \(2024-01-01\) raised ZeroDivisionError") as failed:
        failing_shop.dispatch(Fail())

    assert "Ann" not in str(failed.value)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert shop.everything() == before


class Place(Event, kind="place", subjects=("shelf:{id}",)):
    id: str
    place: int


class Placing:
    """Puts up a shelf, and lets something happen meanwhile."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda tries: None) -> None:
        self.tries = 0

        @handler
        def put_up(event: Place) -> Yields[Insert[Shelf]]:
            self.tries += 1
            meanwhile(self.tries)
            yield Insert(Shelf, id=event.id, place=event.place)

        self.versions = Versions.of({"2024-01-01": [Place, put_up]})


@pytest.mark.parametrize(("row", "named"), [(Place(id="b", place=1), "place"), (Place(id="a", place=2), "id")])
def test_a_constraint_is_told_with_its_name_and_step(shop: Shop, row: Place, named: str) -> None:
    shop.put(Shelf("a", 1))
    placing = Placing()

    refused = shop.under(placing.versions).refused(ConstraintRefused, row)

    names = {"place": "shelf_place_key", "id": "shelf_pkey"}
    assert refused.constraint == names[named] if shop.postgres else f"shelf.{named}" in refused.constraint
    assert refused.step == f"put_up/Insert:shelf[{row.id}]"
    assert refused.detail.startswith("put_up/Insert:shelf: ")
    assert refused.constraint in refused.detail
    assert shop.entry().refusal == refused
    # Once may be another writer's doing; twice on the same snapshot is the decision's.
    assert placing.tries == 2


def test_what_the_database_refuses_of_one_statement_is_told_with_its_step_too(shop: Shop) -> None:
    rules = Rules(record=True)
    shop.put(Product("tea", 5))
    shop = shop.under(rules.versions)

    constraint = shop.refused(ConstraintRefused, rules.event(stock=-1))
    too_large = shop.refused(NotStorable, rules.event(stock=2**70))

    assert "stock_not_negative" in constraint.constraint
    assert constraint.step == "put/Update:product[tea]"
    assert "put/Update:product[tea]" in too_large.detail


def test_a_constraint_that_another_writer_broke_is_no_refusal(shop: Shop) -> None:
    shop.put(Shelf("a", 1))

    def meanwhile(tries: int) -> None:
        if tries == 2:
            shop.execute("DELETE FROM shelf")

    placing = Placing(meanwhile)

    shop.under(placing.versions).dispatch(Place(id="b", place=1))

    assert (placing.tries, shop.rows("shelf")) == (2, [{"id": "b", "place": 1}])
    assert shop.outcomes() == ["committed"]


def test_a_message_tells_the_constraint_and_no_value(shop: Shop) -> None:
    shop.put(Shelf("secret", 1))

    refused = shop.under(Placing().versions).refused(ConstraintRefused, Place(id="secret", place=2))

    assert "secret" not in cast(str, refused.detail)
    if shop.postgres:
        told = 'put_up/Insert:shelf: duplicate key value violates unique constraint "shelf_pkey"'
        assert str(refused) == refused.problem()["detail"] == told


class Vanish(Event, kind="vanish"):
    id: str


def test_a_change_that_meets_no_row_is_refused_and_names_its_step(shop: Shop) -> None:
    @handler
    def believe(event: Vanish) -> Yields[Update[Product]]:
        yield Update(Stock(id=event.id, stock=1), stock=2)

    refused = shop.under(Versions.of({"2024-01-01": [Vanish, believe]})).refused(ConstraintRefused, Vanish(id="none"))

    assert (refused.constraint, refused.step) == ("row-count", "believe/Update:product[none]")
    assert refused.detail == (
        "believe/Update:product: the update met 0 rows of product, not one: "
        "there is no such row, or a trigger swallowed it (row-count)"
    )


def test_a_trigger_that_swallows_a_change_is_found_out(own_shop: Shop) -> None:
    rules = Rules(record=True)
    shop = own_shop.under(rules.versions)
    shop.put(Product("tea", 5))
    if shop.postgres:
        shop.execute("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        shop.execute("CREATE TRIGGER swallow BEFORE UPDATE ON product FOR EACH ROW EXECUTE FUNCTION swallow()")
    else:
        shop.execute("CREATE TRIGGER swallow BEFORE UPDATE ON product BEGIN SELECT RAISE(IGNORE); END")

    refused = shop.refused(ConstraintRefused, rules.event(stock=3))

    assert (refused.constraint, refused.step) == ("row-count", "put/Update:product[tea]")
    assert shop.outcomes() == ["constraint"]
