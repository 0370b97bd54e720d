"""A small application whose trail the command line reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from pydantic import PositiveInt
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column

from dateline import (
    Actor,
    Effect,
    Event,
    Insert,
    Personal,
    Plan,
    Record,
    Refused,
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
)


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[Personal[str]]
    cents: Mapped[int] = mapped_column(default=0)


class Tell(Effect, kind="tell", key="{who}"):
    who: str
    text: Personal[str]


class Balance(Record[Account]):
    id: str
    owner: str
    cents: int


class Payer(Snapshot):
    account: Balance = rows(Account.id == given("account"))


class Open(Event, kind="open", subjects=("account:{account}",)):
    """Somebody opens an account."""

    account: str
    owner: Personal[str]


class Pay(Event, kind="pay", subjects=("account:{account}",)):
    """Money leaves an account."""

    account: str
    cents: PositiveInt


class Rename(Event, kind="rename", subjects=("account:{account}",)):
    account: str
    owner: Personal[str]


@handler
def open_account(event: Open) -> Yields[Insert[Account]]:
    yield Insert(Account, id=event.account, owner=event.owner, cents=15_00)


@handler
def rename(event: Rename, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, owner=event.owner)


@check
def covered(event: Pay, payer: Payer) -> Yields[Reject]:
    if payer.account.cents < event.cents:
        yield Reject("too-little", f"{payer.account.cents} left", field="cents")


@handler
def take(event: Pay, payer: Payer) -> Yields[Update[Account]]:
    yield Update(payer.account, cents=payer.account.cents - event.cents)


@handler
def warn_when_low(event: Pay, payer: Payer, plan: Plan) -> Yields[Tell]:
    if plan.after(payer.account).cents < 10_00:
        yield Tell(who=event.account, text="Your balance is low")


VERSIONS = Versions.of(
    {
        "2024-01-01": [Open, Pay, Rename, open_account, rename, covered, take],
        "2024-06-01": [warn_when_low],
    }
)
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
TELLER = Actor("tess", role="teller", on_behalf_of="ann", rights=frozenset({"backdate"}))


def ticking() -> Callable[[], datetime]:
    """Return a clock that goes on by six hours whenever it is read."""
    ticks = count()
    return lambda: NOON + timedelta(hours=6) * next(ticks)


def opened(database: str) -> Runner:
    """Return a runner on a database with all tables and no events."""
    engine = create_engine(database)
    Base.metadata.create_all(engine)
    engine.dispose()
    runner = Runner(database, versions=VERSIONS, clock=ticking())
    runner.migrate()
    return runner


def lived(database: str) -> None:
    """Let the application live a little: four events, of which one is refused."""
    with opened(database) as runner:
        runner.dispatch(Open(account="ann", owner="Ann Lee"), actor=TELLER, reason="a new customer")
        runner.dispatch(Pay(account="ann", cents=9_00), actor="ann")
        try:
            runner.dispatch(Pay(account="ann", cents=9_00), actor="ann")
        except Refused:
            runner.dispatch(Rename(account="ann", owner="Ann Bell"), actor=TELLER)


def balance(database: str) -> int:
    """Return what is left on ann's account."""
    engine = create_engine(database)
    with Session(engine) as session:
        account = session.get_one(Account, "ann")
        left = account.cents
    engine.dispose()
    return left
