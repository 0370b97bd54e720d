# pyright: strict
"""The sample of the design: what an application writes, and no more than that."""

from __future__ import annotations

from datetime import date

from pydantic import PositiveInt
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dateline import (
    Effect,
    Event,
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
    rows,
)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[str] = mapped_column(primary_key=True)
    cents: Mapped[int]


class Tell(Effect, kind="tell", key="{who}"):
    who: str
    text: str


class Balance(Record[Account]):
    id: str
    cents: int


class Payer(Snapshot):
    account: Balance = rows(Account.id == given("account"))


class Pay(Event, kind="pay", subjects=("account:{account}",)):
    """Money leaves an account."""

    account: str
    cents: PositiveInt


@check
def covered(event: Pay, payer: Payer) -> Yields[Reject]:
    """Nobody pays more than they have."""
    if payer.account.cents < event.cents:
        yield Reject("too-little", f"{payer.account.cents} left", field="cents")


@handler
def take(event: Pay, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=payer.account.cents - event.cents)


@handler
def warn_when_low(event: Pay, payer: Payer, plan: Plan) -> Yields[Tell]:
    if plan.after(payer.account).cents < 10_00:
        yield Tell(who=event.account, text="Your balance is low")


def main() -> None:
    runner = Runner("sqlite:///shop.db", versions="shop.versions")
    payer = Payer(account=Balance(id="ann", cents=15_00))
    assert list(take(Pay(account="ann", cents=5_00), payer)) == [Update(payer.account, cents=10_00)]
    preview = runner.preview(Pay(account="ann", cents=9_00), actor="ann")
    done = runner.dispatch(Pay(account="ann", cents=9_00), actor="ann", expects=preview)
    assert done.version >= date(2024, 1, 1)
