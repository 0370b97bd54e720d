"""A dispatch writes rows, operations, effects, subjects and the event, all at once, as the database has them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from dateline import (
    Actor,
    Delete,
    Event,
    Insert,
    Origin,
    Plan,
    Reason,
    Snapshot,
    Update,
    Versions,
    Yields,
    given,
    handler,
    rows,
)
from dateline.core.canon import canonical, digest
from dateline.core.entry import Entry, Written
from dateline.core.outcome import Performed, Wrote
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import (
    LAYERS,
    VERSIONS,
    Article,
    Bill,
    Customer,
    Idea,
    Move,
    Placed,
    Product,
    Purchase,
    Receipt,
    Sell,
    Shelf,
    Stock,
    Stocktake,
    Visit,
)

COUNTER = Actor("clerk", rights=frozenset({"count"}))
RULES = "tests.contract.shop"


def trigger(shop: Shop, table: str) -> None:
    """Give a table a trigger that does nothing: PostgreSQL then writes it statement by statement."""
    shop.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
    shop.execute(f"CREATE TRIGGER nothing AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION nothing()")


def test_a_dispatch_changes_the_rows(shop: Shop) -> None:
    shop.put(Product("tea", 5), Product("salt", 9))

    shop.dispatch(Sell(product="tea", quantity=2))

    assert [(row["id"], row["stock"]) for row in shop.rows("product")] == [("salt", 9), ("tea", 3)]
    assert [tuple(row.values()) for row in shop.rows("purchase")] == [(1, "tea", "ann", 2)]


def test_the_answer_tells_what_was_done_and_who_decided_it(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    done = shop.dispatch(Sell(product="tea", quantity=2))

    def wrote(ordinal: int, step: str, verb: str, table: str, row: str, rule: str, day: str = "2024-01-01") -> Wrote:
        return Wrote(
            ordinal=ordinal, step=step, verb=verb, table=table, row_key=row, handler=f"{RULES}.{rule}", date=day
        )

    def performed(ordinal: int, step: str, kind: str, payload: Any, rule: str, day: str) -> Performed:
        return Performed(
            id=uuid5(done.event_id, step),
            ordinal=ordinal,
            step=step,
            kind=kind,
            payload=payload,
            handler=f"{RULES}.{rule}",
            date=day,
        )

    assert done.version == date(2024, 6, 1)
    assert done.event == Sell(product="tea", quantity=2)
    assert (done.event.meta.id, done.event.meta.at, done.event.meta.version) == (done.event_id, NOON, done.version)
    assert done.operations == (
        wrote(0, "take/Update:product[tea]", "update", "product", "tea", "take"),
        wrote(1, "write_down/Insert:purchase", "insert", "purchase", "1", "write_down"),
    )
    assert done.effects == (
        performed(2, "write_down/ship", "ship", {"purchase": 1, "product": "tea"}, "write_down", "2024-01-01"),
        performed(
            3,
            "warn_when_low/warn[tea]",
            "warn",
            {"product": "tea", "left": 2, "share": 0.5},
            "warn_when_low",
            "2024-06-01",
        ),
    )
    assert not done.repeated
    assert done.plan is not None
    assert [planned.key for planned in done.plan.planned] == [
        "take/Update:product[tea]",
        "write_down/Insert:purchase",
        "write_down/ship",
        "warn_when_low/warn[tea]",
    ]


def test_the_trail_keeps_the_whole_of_it(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee", points=7))
    cause = shop.dispatch(Idea(text="sell tea"))

    done = shop.dispatch(
        Sell(product="tea", quantity=3),
        Actor("clerk", kind="person", role="cashier", on_behalf_of="owner", authenticated_by="badge"),
        reason=Reason("she wanted it", code="W", purpose="TRADE", legal_basis="contract"),
        origin=Origin("request 7", "till 2", "10.0.0.1"),
        cause=cause.event_id,
    )

    entry = shop.entry(done)
    assert (entry.seq, entry.id, entry.tenant, entry.kind) == (done.seq, done.event_id, "", "sell")
    assert (entry.version, entry.shape) == (date(2024, 6, 1), date(2024, 1, 1))
    assert entry.cascade == VERSIONS.cascade("sell", date(2024, 6, 1)).digest
    assert entry.actor == Actor("clerk", role="cashier", on_behalf_of="owner", authenticated_by="badge")
    assert entry.reason == Reason("she wanted it", code="W", purpose="TRADE", legal_basis="contract")
    assert (entry.occurred_at, entry.outcome, entry.decision) == (NOON, "committed", {"outcome": "committed"})
    assert entry.refusal is None
    assert entry.meta == done.event.meta
    assert entry.meta.origin == Origin("request 7", "till 2", "10.0.0.1")
    assert (entry.meta.cause, entry.meta.root, entry.meta.late) == (cause.event_id, cause.event_id, False)
    assert entry.event == done.event
    assert entry.input == {"product": "tea", "quantity": 3, "customer": "ann"}
    assert {place: (held["given"], held["rows"]) for place, held in entry.snapshot.items()} == {
        "contract.shop.Offer.product": ({"product": "tea"}, [{"id": "tea", "stock": 4}]),
        "contract.shop.Buying.buyer": (
            {"customer": "ann"},
            [{"id": "ann", "name": "Ann Lee", "email": None, "points": 7}],
        ),
    }
    assert entry.subjects == ("customer:ann", "product:tea")
    assert entry.operations == (
        Written(
            ordinal=0,
            step="take/Update:product[tea]",
            verb="update",
            table="product",
            row_key="tea",
            handler=f"{RULES}.take",
            date="2024-01-01",
            declared={"stock": 1},
            before={"id": "tea", "stock": 4, "price": "1.00", "note": None},
            after={"id": "tea", "stock": 1, "price": "1.00", "note": None},
        ),
        Written(
            ordinal=1,
            step="write_down/Insert:purchase",
            verb="insert",
            table="purchase",
            row_key="1",
            handler=f"{RULES}.write_down",
            date="2024-01-01",
            declared={"number": 1, "product": "tea", "customer": "ann", "quantity": 3},
            before=None,
            after={"number": 1, "product": "tea", "customer": "ann", "quantity": 3},
        ),
        Written(
            ordinal=3,
            step="thank/Update:customer[ann]",
            verb="update",
            table="customer",
            row_key="ann",
            handler=f"{RULES}.thank",
            date="2024-06-01",
            declared={"points": 10},
            before={"id": "ann", "name": "Ann Lee", "mail": None, "points": 7},
            after={"id": "ann", "name": "Ann Lee", "mail": None, "points": 10},
        ),
    )
    assert entry.effects == done.effects
    assert [(effect.kind, effect.state) for effect in entry.effects] == [
        ("ship", "due"),
        ("thank", "due"),
        ("warn", "due"),
    ]


def test_an_event_is_recorded_by_the_databases_clock_and_happened_by_the_runners(shop: Shop) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)

    done = shop.dispatch(Idea(text="x"))

    assert before < done.recorded_at < datetime.now(UTC) + timedelta(seconds=1)
    assert shop.entry(done).recorded_at == done.recorded_at
    assert shop.entry(done).occurred_at == NOON
    assert done.event_id.version == 7


def test_the_body_is_canonical_and_its_digest_stands_beside_it(shop: Shop) -> None:
    shop.put(Product("tea", 4), Customer("ann", "Ann Lee"))

    shop.dispatch(Sell(product="tea", quantity=3))

    [[body, sha256]] = shop.execute("SELECT body, sha256 FROM dateline_event")
    assert canonical(json.loads(body)) == body.encode()
    assert sha256 == digest(body.encode())


def test_a_kind_that_nothing_handles_is_recorded(shop: Shop) -> None:
    done = shop.dispatch(Idea(text="sell coffee"))

    entry = shop.entry()
    assert (entry.id, entry.kind, entry.input, entry.subjects) == (
        done.event_id,
        "idea",
        {"text": "sell coffee"},
        ("shop",),
    )
    assert (entry.operations, entry.effects, entry.snapshot) == ((), (), {})
    assert (entry.version, entry.shape) == (date(2024, 6, 1), None)


def test_a_kind_that_a_version_knows_comes_back_typed_though_nothing_handles_it(shop: Shop) -> None:
    known = shop.under(Versions.of({"2024-01-01": [Idea]}))

    known.dispatch(Idea(text="sell coffee"))

    assert known.entry().event == Idea(text="sell coffee")
    assert shop.entry().event is None


def test_causes_are_one_step_back_and_roots_the_first_of_the_line(shop: Shop) -> None:
    first = shop.dispatch(Idea(text="1"))
    second = shop.dispatch(Idea(text="2"), cause=first.event_id)
    third = shop.dispatch(Idea(text="3"), cause=second.event_id)
    stranger = UUID(int=1)
    fourth = shop.dispatch(Idea(text="4"), cause=stranger)

    def line(done: Any) -> tuple[UUID | None, UUID | None]:
        return shop.entry(done).meta.cause, shop.entry(done).meta.root

    assert line(first) == (None, None)
    assert line(second) == (first.event_id, first.event_id)
    assert line(third) == (second.event_id, first.event_id)
    assert line(fourth) == (stranger, stranger)
    assert [entry.id for entry in shop.trail(cause=first.event_id)] == [second.event_id]


# What only the database knows -----------------------------------------------------------------------------------------


class Write(Event, kind="write"):
    """Something happens to a receipt."""

    id: str
    amount: Decimal = Decimal(0)


class Receipts(Snapshot):
    bill: Bill | None = rows(Receipt.id == given("id"))


@handler
def write(event: Write, receipts: Receipts) -> Yields[Insert[Receipt] | Update[Receipt] | Delete[Receipt]]:
    if receipts.bill is None:
        yield Insert(Receipt, id=event.id, amount=event.amount)
    elif event.amount:
        yield Update(receipts.bill, amount=event.amount)
    else:
        yield Delete(receipts.bill)


WRITING = Versions.of({"2024-01-01": [Write, write]})


def test_images_show_the_databases_scale_defaults_and_triggers(shop: Shop) -> None:
    shop = shop.under(WRITING)

    shop.dispatch(Write(id="r1", amount=Decimal("1.0049")))
    shop.dispatch(Write(id="r1", amount=Decimal("2.5")))
    shop.dispatch(Write(id="r1"))

    inserted, updated, deleted = (entry.operations[0] for entry in shop.trail())
    first = {"id": "r1", "amount": "1.00", "state": "new", "code": "R1"}
    second = {"id": "r1", "amount": "2.50", "state": "new", "code": "R1"}
    assert (inserted.declared, inserted.before, inserted.after) == ({"id": "r1", "amount": "1.0049"}, None, first)
    assert (updated.declared, updated.before, updated.after) == ({"amount": "2.5"}, first, second)
    assert (deleted.declared, deleted.before, deleted.after) == ({}, second, None)
    assert shop.rows("receipt") == []


def test_half_a_cent_is_what_the_database_makes_of_it(shop: Shop) -> None:
    shop = shop.under(WRITING)

    shop.dispatch(Write(id="r1", amount=Decimal("1.005")))

    image = shop.entry().operations[0].after
    assert image is not None
    # PostgreSQL rounds what it stores; SQLite stores a float, which is a little less than half a cent.
    assert image["amount"] == ("1.01" if shop.postgres else "1.00")


class Add(Event, kind="add"):
    customer: str
    at: datetime


@handler
def add(event: Add) -> Yields[Insert[Visit]]:
    yield Insert(Visit, customer=event.customer, at=event.at, weight=0.1)


def test_a_key_of_several_columns_is_a_list(shop: Shop) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Add, add]}))

    shop.dispatch(Add(customer="ann", at=NOON))

    operation = shop.entry().operations[0]
    assert operation.row_key == '["ann","2024-07-01T12:00:00Z"]'
    assert operation.after == {"customer": "ann", "at": "2024-07-01T12:00:00Z", "weight": 0.1}


def test_two_handlers_on_one_row_are_one_operation_that_names_both(shop: Shop) -> None:
    @handler
    def note(event: Sell, offer: Offered) -> Yields[Update[Product]]:
        yield Update(offer.product, note="sold")

    shop.put(Product("tea", 4))
    shop = shop.under(Versions.of({**LAYERS, "2024-06-01": [note]}))

    shop.dispatch(Sell(product="tea"))

    [update] = [one for one in shop.entry().operations if one.table == "product"]
    assert (update.step, update.declared) == ("note/Update:product[tea]", {"stock": 3, "note": "sold"})
    [[merged]] = shop.execute("SELECT merged FROM dateline_operation WHERE table_name = 'product'")
    assert [step for step, _, _ in json.loads(merged)] == ["take/Update:product[tea]", "note/Update:product[tea]"]


class Offered(Snapshot):
    product: Stock = rows(Product.id == given("product"))


class Replace(Event, kind="replace"):
    id: str


class Replaced(Snapshot):
    shelf: Placed = rows(Shelf.id == given("id"))


@handler
def remove(event: Replace, found: Replaced) -> Yields[Delete[Shelf]]:
    yield Delete(found.shelf)


@handler
def put_anew(event: Replace, found: Replaced, plan: Plan) -> Yields[Insert[Shelf]]:
    assert plan.steps(Delete[Shelf]) == (Delete(found.shelf),)
    yield Insert(Shelf, id=event.id, place=found.shelf.place + 10)


def test_a_row_that_is_deleted_and_made_anew_is_two_operations(shop: Shop) -> None:
    shop.put(Shelf("a", 1))
    shop = shop.under(Versions.of({"2024-01-01": [Replace, remove, put_anew]}))

    shop.dispatch(Replace(id="a"))

    assert [(one.verb, one.before, one.after) for one in shop.entry().operations] == [
        ("delete", {"id": "a", "place": 1}, None),
        ("insert", None, {"id": "a", "place": 11}),
    ]
    assert shop.rows("shelf") == [{"id": "a", "place": 11}]


class Chain(Event, kind="chain"):
    """A row, a row that refers to it, and more about the first."""


class Nothing(Snapshot):
    products: tuple[Article, ...] = rows()


@handler
def first_and_second(event: Chain) -> Yields[Insert[Product] | Insert[Purchase]]:
    yield Insert(Product, id="new", stock=1)
    yield Insert(Purchase, product="new", customer="ann", quantity=1)


@handler
def more_about_the_first(event: Chain, plan: Plan) -> Yields[Update[Product]]:
    assert len(plan.steps(Insert[Product])) == 1
    yield Update(Stock(id="new", stock=1), stock=5)


def test_a_row_that_others_refer_to_is_inserted_before_them_whatever_is_added_to_it(shop: Shop) -> None:
    shop = shop.under(Versions.of({"2024-01-01": [Chain, first_and_second, more_about_the_first]}))

    shop.dispatch(Chain())

    assert [(row["id"], row["stock"]) for row in shop.rows("product")] == [("new", 5)]
    assert [row["product"] for row in shop.rows("purchase")] == ["new"]


# One statement, or several in order -----------------------------------------------------------------------------------


def told(entry: Entry) -> tuple[Any, ...]:
    """Return what an entry says, without what differs from event to event."""
    effects = [
        (one.ordinal, one.step, one.kind, one.payload, one.handler, one.date, one.state) for one in entry.effects
    ]
    return (
        entry.tenant,
        entry.kind,
        entry.version,
        entry.shape,
        entry.cascade,
        entry.actor,
        entry.reason,
        entry.occurred_at,
        entry.outcome,
        entry.input,
        entry.snapshot,
        entry.operations,
        effects,
        entry.subjects,
        entry.personal,
    )


def test_one_statement_leaves_the_trail_that_statements_in_order_leave(own_shop: Shop) -> None:
    shop = own_shop
    shop.put(Product("tea", 4, note='"quoted" \\ é 😀'), Product("salt", 9, Decimal("0.10")), Product("ham", 7))
    facts: dict[str, Any] = {"reason": "monthly", "tenant": "north", "key": "k1"}
    at_once = shop.dispatch(Stocktake(counted=7), COUNTER, **facts)
    shop.execute("UPDATE product SET stock = 4, note = :note WHERE id = 'tea'", note='"quoted" \\ é 😀')
    shop.execute("UPDATE product SET stock = 9, note = NULL WHERE id = 'salt'")
    if shop.postgres:
        trigger(shop, "product")

    in_order = shop.under(VERSIONS).dispatch(Stocktake(counted=7), COUNTER, **facts | {"key": "k2"})

    entries = [shop.entry(done, tenant="north") for done in (at_once, in_order)]
    assert told(entries[0]) == told(entries[1])
    assert at_once.operations == in_order.operations
    assert [one.row_key for one in at_once.operations] == ["salt", "tea"]
    for table in (
        "claim",
        "delivery",
        "effect",
        "event",
        "operation",
        "subject",
        *(["pending"] if shop.postgres else []),
    ):
        [[count]] = shop.execute(f"SELECT count(*) FROM dateline_{table} WHERE tenant = 'north'")
        assert count == {"operation": 4}.get(table, 2), table


def test_a_unique_value_is_passed_on_in_order(shop: Shop) -> None:
    shop.put(Shelf("a", 1), Shelf("b", 2))

    shop.dispatch(Move(one="a", other="b"))

    assert shop.rows("shelf") == [{"id": "a", "place": -1}, {"id": "b", "place": 1}]
    assert [(one.row_key, one.before, one.after) for one in shop.entry().operations] == [
        ("a", {"id": "a", "place": 1}, {"id": "a", "place": -1}),
        ("b", {"id": "b", "place": 2}, {"id": "b", "place": 1}),
    ]


def test_a_plan_without_operations_is_recorded_with_its_effects(shop: Shop) -> None:
    shop.put(Product("tea", 4))

    done = shop.dispatch(Stocktake(counted=4), COUNTER)

    assert done.operations == ()
    assert [effect.payload for effect in shop.entry(done).effects] == [{"product": "all", "left": 4, "share": 0.5}]


def test_many_rows_in_one_plan_keep_their_order(shop: Shop) -> None:
    shop.put(*(Product(f"p{number:03}", number + 1) for number in range(120)))

    done = shop.dispatch(Stocktake(counted=0), COUNTER)

    assert [one.row_key for one in shop.entry(done).operations] == [f"p{number:03}" for number in range(120)]
    assert {row["stock"] for row in shop.rows("product")} == {0}


def test_effects_of_one_event_have_ids_that_depend_on_event_and_key_alone(shop: Shop) -> None:
    shop.put(Product("tea", 100))

    one, other = shop.dispatch(Sell(product="tea")), shop.dispatch(Sell(product="tea"))

    assert [effect.id for effect in one.effects] == [uuid5(one.event_id, "write_down/ship")]
    assert [effect.id for effect in other.effects] == [uuid5(other.event_id, "write_down/ship")]
