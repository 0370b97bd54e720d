# pyright: strict
"""What must not pass: each line that is marked is an error, or its mark is one."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

import dateline
from dateline import (
    Assigned,
    AsyncRunner,
    Committed,
    Effect,
    Event,
    Insert,
    Plan,
    Record,
    Reject,
    Runner,
    Snapshot,
    Update,
    Yields,
    check,
    given,
    handler,
    retired,
    rows,
)


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]
    note: Mapped[str] = mapped_column(default="")


class Payment(Base):
    __tablename__ = "payment"

    number: Mapped[int] = mapped_column(primary_key=True, init=False)
    account: Mapped[str]


class Tell(Effect, kind="tell"):
    who: str
    number: int = 0


class Wait(Effect, kind="wait"):
    number: Assigned[int]


class Balance(Record[Account]):
    id: str
    cents: int


class Paid(Record[Payment]):
    number: int


class Payer(Snapshot):
    account: Balance = rows(Account.id == given("account"))


class Pay(Event, kind="pay"):
    account: str
    cents: int


# A handler that yields what its signature does not announce.


@handler
def another_effect(event: Pay, payer: Payer) -> Yields[Update[Account]]:
    yield Tell(who="x")  # type: ignore[misc]


@handler
def another_verb(event: Pay, payer: Payer) -> Yields[Update[Account]]:
    yield Insert(Account, id="x", cents=1)  # type: ignore[misc]


@handler
def another_table(event: Pay, paid: Paid) -> Yields[Update[Account]]:
    yield Update(paid, account="x")  # type: ignore[arg-type]


@handler
def rejecting(event: Pay) -> Yields[Tell]:
    yield Reject("no", "no")  # type: ignore[misc]


@check
def acting(event: Pay, payer: Payer) -> Yields[Reject]:
    yield Update(payer.account, cents=1)  # type: ignore[misc]


def yielding_no_step(event: Pay) -> Yields[int]:  # type: ignore[type-var]
    yield 7


# A value made without its fields, with others, or of other types.

Payer()  # type: ignore[call-arg]
Pay(account="x")  # type: ignore[call-arg]
Pay(account="x", cents="1")  # type: ignore[arg-type]
Pay(account="x", cents=1, euros=1)  # type: ignore[call-arg]
Tell("x")  # type: ignore[call-arg]
Balance(id="x", cents=None)  # type: ignore[arg-type]


def assigning(event: Pay, payer: Payer, tell: Tell) -> None:
    event.cents = 2  # type: ignore[misc]
    payer.account = Balance(id="x", cents=1)  # type: ignore[misc]
    payer.account.cents = 2  # type: ignore[misc]
    tell.who = "y"  # type: ignore[misc]


# Columns that are not there, missing, or of another type.


def inserting() -> None:
    Insert(Account, id="x", cents=1, euros=1)  # type: ignore[call-arg]
    Insert(Account, id="x")  # type: ignore[call-arg]
    Insert(Account, id="x", cents="1")  # type: ignore[arg-type]
    Insert(Payment, number=1, account="x")  # type: ignore[call-arg]


def waiting() -> None:
    payment = Insert(Payment, account="x")
    Tell(who="x", number=payment[Payment.number])  # type: ignore[arg-type]
    Wait(number=payment[Payment.account])  # type: ignore[index]
    Wait(number="1")  # type: ignore[arg-type]


# A handler stays the function that it is.


def calling(event: Pay, payer: Payer, plan: Plan) -> None:
    acting(event)  # type: ignore[call-arg]
    acting(payer, event)  # type: ignore[arg-type]
    _ = plan.after(payer.account).euros  # type: ignore[attr-defined]
    _ = plan.steps(Tell)[0].euros  # type: ignore[attr-defined]
    retired(acting)  # type: ignore[call-arg]


# A runner is told who acts, and its answers are looked at before they are used.


def running(runner: Runner, event: Pay) -> None:
    runner.dispatch(event)  # type: ignore[call-arg]
    runner.dispatch(event, actor="x", tennant="x")  # type: ignore[call-arg]
    runner.dispatch(event, actor=7)  # type: ignore[arg-type]
    _ = runner.preview(event, actor="x").plan  # type: ignore[union-attr]
    runner.trail(subjekt="x")  # type: ignore[call-arg]


async def awaiting(runner: AsyncRunner, event: Pay) -> Committed:
    return runner.dispatch(event, actor="x")  # type: ignore[return-value]


# What is loaded later is typed all the same, and nothing else is there.


def later(event: Pay) -> None:
    dateline.Runner("sqlite:///bank.db")  # type: ignore[call-arg]
    dateline.Runer("sqlite:///bank.db", versions="bank")  # type: ignore[attr-defined]
    given(7)  # type: ignore[arg-type]
