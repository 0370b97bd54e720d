"""A shop: the application on which the contract is tried, under two dates, on every database."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import PositiveInt
from sqlalchemy import DDL, CheckConstraint, ForeignKey, Identity, Numeric, String, event, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, synonym

from dateline import (
    Assigned,
    Concerns,
    Delete,
    Effect,
    Event,
    Insert,
    Instant,
    Personal,
    Plan,
    Record,
    Reject,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    lift,
    lower,
    rows,
    value,
)


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Product(Base):
    """Nothing about it hinders PostgreSQL from writing it in one statement."""

    __tablename__ = "product"
    __table_args__ = (CheckConstraint("stock >= 0", name="stock_not_negative"),)

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    stock: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal("1.00"))
    note: Mapped[str | None] = mapped_column(default=None)


class Purchase(Base):
    """Its key comes from the database."""

    __tablename__ = "purchase"

    number: Mapped[int] = mapped_column(primary_key=True, init=False)
    product: Mapped[str] = mapped_column(ForeignKey("product.id", name="of_a_product"))
    customer: Mapped[str]
    quantity: Mapped[int]


class Customer(Base):
    """It has personal columns."""

    __tablename__ = "customer"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[Personal[str]]
    email: Mapped[Personal[str] | None] = mapped_column("mail", default=None)
    points: Mapped[int] = mapped_column(default=0)


class Shelf(Base):
    """It has a second unique key, so what happens to it depends on an order."""

    __tablename__ = "shelf"

    id: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(unique=True)


class Receipt(Base):
    """The database adds to it what no decision said."""

    __tablename__ = "receipt"

    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    state: Mapped[str] = mapped_column(server_default="new", init=False)
    code: Mapped[str | None] = mapped_column(init=False)


class Visit(Base):
    __tablename__ = "visit"

    customer: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant(), primary_key=True)
    weight: Mapped[float] = mapped_column(default=0.0)


class Line(Base):
    """Part of its key comes from another row."""

    __tablename__ = "line"

    purchase: Mapped[int] = mapped_column(ForeignKey("purchase.number"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    after: Mapped[int | None] = mapped_column(default=None)


class Parcel(Base):
    """It had a weight as a text, a `label` that is now `title`, and a `colour` that nobody needed."""

    __tablename__ = "parcel"

    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]
    unit: Mapped[str]
    title: Mapped[str]
    label: Mapped[str] = synonym("title", init=False)


@lower(Parcel)
def weight(amount: int, unit: str) -> str:
    if unit not in ("g", "kg"):
        raise ValueError(unit)
    return f"{amount} {unit}"


@lift(Parcel)
def weighed(weight: str) -> dict[str, Any]:
    amount, unit = weight.split()
    return {"amount": int(amount), "unit": unit}


@lower(Parcel)
def colour() -> str:
    return "brown"


@lift(Parcel)
def uncoloured(colour: str = "") -> dict[str, Any]:
    return {}


class Voucher(Base):
    """Its numbers are never given twice, and nobody but the database gives them."""

    __tablename__ = "voucher"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy reads it once

    number: Mapped[int] = mapped_column(Identity(always=True), primary_key=True, init=False)
    state: Mapped[str] = mapped_column(server_default="it's new", init=False)
    weight: Mapped[int] = mapped_column(server_default=text("40 + 2"), init=False)


_TRIGGERS = {
    "sqlite": [
        """CREATE TRIGGER receipt_code AFTER INSERT ON receipt
        BEGIN UPDATE receipt SET code = upper(new.id) WHERE id = new.id; END"""
    ],
    "postgresql": [
        """CREATE FUNCTION receipt_code() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.code := upper(NEW.id); RETURN NEW; END $$""",
        "CREATE TRIGGER receipt_code BEFORE INSERT ON receipt FOR EACH ROW EXECUTE FUNCTION receipt_code()",
    ],
}
for _dialect, _statements in _TRIGGERS.items():
    for _statement in _statements:
        _made = DDL(_statement)  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        event.listen(Receipt.__table__, "after_create", _made.execute_if(dialect=_dialect))


class Stock(Record[Product]):
    id: str
    stock: int


class Article(Record[Product]):
    id: str
    stock: int
    price: Decimal
    note: str | None


class Buyer(Record[Customer], subject="customer:{id}"):
    id: str
    name: str
    email: str | None
    points: int


class Placed(Record[Shelf]):
    id: str
    place: int


class Bill(Record[Receipt]):
    id: str
    amount: Decimal


class Offer(Snapshot):
    product: Stock = rows(Product.id == given("product"))


class Buying(Snapshot):
    buyer: Buyer | None = rows(Customer.id == given("customer"))


class Assortment(Snapshot):
    products: tuple[Article, ...] = rows(Product.stock > 0)
    count: int = value(select(func.count()).select_from(Product))


class Ship(Effect, kind="ship"):
    purchase: Assigned[int]
    product: str


class Thank(Effect, kind="thank", key="{customer}", subject="customer:{customer}"):
    customer: str
    text: Personal[str]


class Warn(Effect, kind="warn", key="{product}"):
    product: str
    left: int
    share: float = 0.5


class Sell(Event, kind="sell", subjects=("product:{product}",)):
    """A customer takes products home."""

    product: str
    quantity: PositiveInt = 1
    customer: str = "ann"


class Stocktake(Event, kind="stocktake", subjects=("shop",), requires="count"):
    """Somebody counts everything; what was counted otherwise before is corrected."""

    counted: int


class Move(Event, kind="move"):
    """Two shelves change places."""

    one: str
    other: str


class Enrol(Event, kind="enrol", subjects=("customer:{id}",)):
    """A customer gives a name."""

    id: str
    name: Personal[str]
    email: Personal[str | None] = None


class Peek(Event, kind="peek", subjects=("product:{product}",), record_refusals=False):
    """Somebody looks, and nobody wants to know that nothing was there."""

    product: str


class Idea(Event, kind="idea", subjects=("shop",)):
    """Nothing handles it yet."""

    text: str


@check
def enough(event: Sell, offer: Offer) -> Yields[Reject]:
    """Nobody buys what is not there."""
    if offer.product.stock < event.quantity:
        yield Reject("too-few", f"{offer.product.stock} left", field="quantity")


@check
def not_a_dozen(event: Sell) -> Yields[Reject]:
    if event.quantity >= 12:
        yield Reject("wholesale", "twelve and more are sold elsewhere", field="quantity")


@handler
def take(event: Sell, offer: Offer) -> Yields[Update[Product]]:
    yield Update(offer.product, stock=offer.product.stock - event.quantity)


@handler
def write_down(event: Sell) -> Yields[Insert[Purchase] | Ship]:
    purchase = Insert(Purchase, product=event.product, customer=event.customer, quantity=event.quantity)
    yield purchase
    yield Ship(purchase=purchase[Purchase.number], product=event.product)


@handler
def thank(event: Sell, buying: Buying) -> Yields[Update[Customer] | Thank | Concerns]:
    """From June on: points for those who enrolled."""
    if buying.buyer is not None:
        yield Update(buying.buyer, points=buying.buyer.points + event.quantity)
        yield Thank(customer=event.customer, text=f"Thank you, {buying.buyer.name}")
        yield Concerns(f"customer:{event.customer}")


@handler
def warn_when_low(event: Sell, offer: Offer, plan: Plan) -> Yields[Warn]:
    left = plan.after(offer.product).stock
    if left < 3:
        yield Warn(product=event.product, left=left, share=left / offer.product.stock)


@check
def somebody_counted(event: Stocktake) -> Yields[Reject]:
    if event.counted < 0:
        yield Reject("negative", "nobody counts below nothing", field="counted")


@handler
def correct(event: Stocktake, assortment: Assortment) -> Yields[Update[Product] | Warn]:
    for product in assortment.products:
        if product.stock != event.counted:
            yield Update(product, stock=event.counted, note=f"{assortment.count} products, by {event.meta.actor.id}")
    yield Warn(product="all", left=event.counted)


class Shelves(Snapshot):
    one: Placed = rows(Shelf.id == given("one"))
    other: Placed = rows(Shelf.id == given("other"))


@handler
def swap(event: Move, shelves: Shelves) -> Yields[Delete[Shelf] | Insert[Shelf] | Update[Shelf]]:
    yield Update(shelves.one, place=-1).keyed("aside")
    yield Update(shelves.other, place=shelves.one.place)


@handler
def enrol(event: Enrol) -> Yields[Insert[Customer]]:
    yield Insert(Customer, id=event.id, name=event.name, email=event.email)


@handler
def peek(event: Peek, offer: Offer) -> Yields[Warn]:
    yield Warn(product=event.product, left=offer.product.stock)


LAYERS: dict[str | date, list[Any]] = {
    "2024-01-01": [
        *(Sell, Stocktake, Move, Enrol, Peek),
        *(enough, not_a_dozen, take, write_down, somebody_counted, correct, swap, enrol, peek),
        *(Stock, Article, Buyer, Placed, Bill),
    ],
    "2024-06-01": [thank, warn_when_low],
}
VERSIONS = Versions.of(LAYERS)
