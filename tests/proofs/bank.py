"""The application under proof: a bank with few rows, where everybody wants the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import (
    AsyncRunner,
    Concerns,
    Delete,
    Effect,
    Event,
    Insert,
    Personal,
    Plan,
    Record,
    Reject,
    Runner,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    given,
    handler,
    rows,
    value,
)
from dateline.run.settings import Settings

R = TypeVar("R", bound=Runner)


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class Person(Base):
    __tablename__ = "person"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[Personal[str]]


class Payment(Base):
    __tablename__ = "payment"

    number: Mapped[int] = mapped_column(primary_key=True, init=False)
    account: Mapped[str]
    cents: Mapped[int]


class Cell(Base):
    __tablename__ = "cell"

    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    writes: Mapped[int] = mapped_column(default=1)


class Balance(Record[Account]):
    id: str
    cents: int


class Named(Record[Person], subject="person:{id}"):
    id: str
    name: str


class Paid(Record[Payment]):
    number: int
    account: str
    cents: int


class Kept(Record[Cell]):
    name: str
    text: str
    writes: int


class Tell(Effect, kind="tell", key="{who}"):
    who: str
    text: str


class Payer(Snapshot):
    account: Balance = rows(Account.id == given("account"))


class Paying(Snapshot):
    account: Balance = rows(Account.id == given("account"))
    payments: tuple[Paid, ...] = rows(Payment.account == given("account"))


class Counted(Snapshot):
    payments: int = value(select(func.count()).select_from(Payment).where(Payment.account == given("account")))


class Place(Snapshot):
    cell: Kept | None = rows(Cell.name == given("name"))


class Known(Snapshot):
    person: Named | None = rows(Person.id == given("person"))


class Add(Event, kind="add", subjects=("account:{account}",)):
    """Money comes in."""

    account: str
    cents: int


@handler
def add(event: Add, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=payer.account.cents + event.cents)


class Pay(Event, kind="pay", subjects=("account:{account}",)):
    """Money leaves an account, a payment is written down, and somebody is told: rows of every sort in one event."""

    account: str
    cents: int
    most: int = 1_000_000
    note: Personal[str] = ""


@check
def covered(event: Pay, paying: Paying) -> Yields[Reject]:
    if paying.account.cents < event.cents:
        yield Reject("too-little", "the account does not hold that much", field="cents")


@check
def few_enough(event: Pay, paying: Paying) -> Yields[Reject]:
    if len(paying.payments) >= event.most:
        yield Reject("too-many", "there are as many payments as may be")


@handler
def pay(event: Pay, paying: Paying) -> Yields[Update[Account] | Insert[Payment] | Tell]:
    left = paying.account.cents - event.cents
    yield Update(paying.account, cents=left)
    yield Insert(Payment, account=event.account, cents=event.cents)
    yield Tell(who=event.account, text=f"{left} left")


class Book(Event, kind="book", subjects=("account:{account}",)):
    """A payment for as long as there are fewer than so many, which only a count can tell."""

    account: str
    most: int


@check
def room(event: Book, counted: Counted) -> Yields[Reject]:
    if counted.payments >= event.most:
        yield Reject("full", "no more payments fit")


@handler
def book(event: Book, counted: Counted) -> Yields[Insert[Payment]]:
    yield Insert(Payment, account=event.account, cents=counted.payments)


class Put(Event, kind="put", subjects=("cell:{name}",)):
    """A cell holds this from now on, whether or not it was there."""

    name: str
    text: str


@handler
def put(event: Put, place: Place) -> Yields[Insert[Cell] | Update[Cell]]:
    if place.cell is None:
        yield Insert(Cell, name=event.name, text=event.text)
    else:
        yield Update(place.cell, text=event.text, writes=place.cell.writes + 1)


class Post(Event, kind="post", subjects=("cell:{name}",)):
    """A cell, an effect, a subject and a personal value: all that a commit can write without asking the database first."""

    name: str
    note: Personal[str] = ""


@handler
def post(event: Post, place: Place) -> Yields[Insert[Cell] | Update[Cell] | Tell | Concerns]:
    if place.cell is None:
        yield Insert(Cell, name=event.name, text="posted")
    else:
        yield Update(place.cell, writes=place.cell.writes + 1)
    yield Tell(who=event.name, text="posted")
    yield Concerns("everybody")


class Clear(Event, kind="clear", subjects=("cell:{name}",)):
    """A cell is no more, if it was."""

    name: str


@handler
def clear(event: Clear, place: Place) -> Yields[Delete[Cell]]:
    if place.cell is not None:
        yield Delete(place.cell)


class Renew(Event, kind="renew", subjects=("cell:{name}",)):
    """A cell is taken away and put back within one event."""

    name: str
    text: str


@handler
def take_away(event: Renew, place: Place) -> Yields[Delete[Cell]]:
    if place.cell is not None:
        yield Delete(place.cell)


@handler
def put_back(event: Renew, place: Place, plan: Plan) -> Yields[Insert[Cell]]:
    yield Insert(Cell, name=event.name, text=event.text)


class Claimed(Event, kind="claimed", subjects=("cell:{name}",)):
    """A new cell, without a look whether there is one: only the database can refuse."""

    name: str


@handler
def claim(event: Claimed) -> Yields[Insert[Cell]]:
    yield Insert(Cell, name=event.name, text="claimed")


class Twice(Event, kind="twice"):
    """Two layers write one cell, and neither looks at the other."""

    account: str


@handler
def first_writer(event: Twice, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=1)


@handler
def second_writer(event: Twice, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=2)


class Informed(Event, kind="informed"):
    """Two layers write one cell, and the later starts from what the earlier left."""

    account: str


@handler
def informer(event: Informed, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=payer.account.cents + 1)


@handler
def informed(event: Informed, payer: Payer, plan: Plan) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=plan.after(payer.account).cents + 1)


class Rename(Event, kind="rename", subjects=("person:{person}",)):
    """A person has this name from now on, which is nobody else's business."""

    person: str
    name: Personal[str]


@handler
def rename(event: Rename, known: Known) -> Yields[Insert[Person] | Update[Person]]:
    if known.person is None:
        yield Insert(Person, id=event.person, name=event.name)
    else:
        yield Update(known.person, name=event.name)


class Note(Event, kind="note", subjects=("note:{about}",)):
    """Anything at all, which no handler reads."""

    about: str = ""
    body: Any = None
    secret: Personal[str] = ""


class Wake(Event, kind="wake"):
    """An effect and a subject that only a handler tells, without any row."""

    who: str


@handler
def wake(event: Wake) -> Yields[Tell | Concerns]:
    yield Concerns(f"sleeper:{event.who}")
    yield Tell(who=event.who, text="wake up")


class Guarded(Event, kind="guarded", requires="open-vault"):
    """Only for those who have the right."""


VERSIONS = Versions.of(
    {
        "2024-01-01": (
            *(Balance, Named, Paid, Kept, Note, Guarded),
            *(Add, add, Pay, covered, few_enough, pay, Book, room, book, Wake, wake, Rename, rename),
            *(Put, put, Post, post, Clear, clear, Renew, take_away, put_back, Claimed, claim),
            *(Twice, first_writer, Informed, informer),
        ),
        "2024-06-01": (second_writer, informed),
    }
)


@dataclass
class Bank:
    """One database with the bank's tables, and whoever works on it.

    Args:
        engine: For a look from outside, past dateline.
    """

    url: str
    engine: Engine
    _open: list[Runner] = field(default_factory=list)

    @classmethod
    def at(cls, url: str) -> Bank:
        """Open the bank of a database that has its tables."""
        return cls(url, create_engine(url))

    @property
    def postgresql(self) -> bool:
        """Whether the server is PostgreSQL."""
        return self.engine.dialect.name == "postgresql"

    def runner(self, **settings: Any) -> Runner:
        """Open a runner that is closed with the bank."""
        return self.opened(lambda url, kept: Runner(url, versions=VERSIONS, settings=kept), **settings)

    def opened(self, made: Callable[[str, Settings], R], **settings: Any) -> R:
        """Open a runner of another sort."""
        found = made(self.url, Settings(**settings))
        self._open.append(found)
        return found

    def asynchronous(self, **settings: Any) -> AsyncRunner:
        """Open an asynchronous runner, which whoever uses it closes."""
        return AsyncRunner(self.url, versions=VERSIONS, settings=Settings(**settings))

    def accounts(self, many: int, cents: int = 0) -> list[str]:
        """Open accounts, and return their ids."""
        ids = [f"a{index}" for index in range(many)]
        with self.engine.begin() as connection:
            connection.execute(insert(Account), [{"id": id, "cents": cents} for id in ids])
        return ids

    def cents(self) -> dict[str, int]:
        """Return what is on each account."""
        with self.engine.connect() as connection:
            return {row.id: row.cents for row in connection.execute(select(Account.id, Account.cents))}

    def payments(self) -> int:
        """Return how many payments there are."""
        with self.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(Payment)) or 0

    def close(self) -> None:
        """Close every runner."""
        for runner in self._open:
            runner.close()
        self.engine.dispose()


def make_tables(url: str) -> None:
    """Make the bank's tables and the trail's in an empty database."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
    with Runner(url, versions=VERSIONS) as runner:
        runner.migrate()


def seconds(many: float) -> timedelta:
    """Return a duration."""
    return timedelta(seconds=many)
