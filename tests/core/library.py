"""A lending library: the application that the core's tests decide for, without a database."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import PositiveInt
from sqlalchemy import DateTime, Numeric, String
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import Assigned, Effect, Event, Personal, Record, Snapshot, given, rows


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "book"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    copies: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal(0))
    shelf: Mapped[str | None] = mapped_column(String(5), default=None)


class Loan(Base):
    __tablename__ = "loan"

    number: Mapped[int] = mapped_column(primary_key=True, init=False)
    book: Mapped[str]
    reader: Mapped[str]
    due: Mapped[date | None] = mapped_column(default=None)
    at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)


class Reader(Base):
    __tablename__ = "reader"

    branch: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Personal[str]]
    blocked: Mapped[bool] = mapped_column(default=False)


class Ticket(Base):
    __tablename__ = "ticket"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reader: Mapped[int]


class Stock(Record[Book]):
    id: str
    copies: int


class Priced(Record[Book]):
    id: str
    copies: int
    price: Decimal


class Card(Record[Reader], subject="reader:{card}"):
    branch: str
    card: int
    name: str


class Wanted(Snapshot):
    book: Stock = rows(Book.id == given("book"))


class Asking(Snapshot):
    card: Card | None = rows(Reader.branch == "main", Reader.card == given("reader"))


class Lend(Event, kind="lend", subjects=("book:{book}", "reader:{reader}")):
    """A reader takes copies home."""

    book: str
    reader: int = 1
    copies: PositiveInt = 1


class Remind(Effect, kind="remind", key="{reader}"):
    reader: int
    text: str = ""


class Print(Effect, kind="print"):
    loan: Assigned[int]


STOCK = Stock(id="moby", copies=3)
WANTED = Wanted(book=STOCK)
