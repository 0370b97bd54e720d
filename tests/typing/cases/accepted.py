# pyright: strict
"""More of what an application writes, with the types that come of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import assert_type
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import (
    Actor,
    Assigned,
    AsyncRunner,
    Committed,
    Concerns,
    Delete,
    Effect,
    Entry,
    Event,
    Insert,
    Personal,
    Plan,
    Preview,
    Record,
    Refused,
    Reject,
    Runner,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    decide,
    given,
    handler,
    retired,
    rows,
    value,
)
from dateline.core.operation import Placeholder


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"

    number: Mapped[int] = mapped_column(primary_key=True, init=False)
    customer: Mapped[Personal[str]]
    amount: Mapped[Decimal]
    note: Mapped[str | None] = mapped_column(default=None)


class Send(Effect, kind="send", key="{to}"):
    to: str
    number: Assigned[int]


class Bill(Record[Invoice], subject="customer:{customer}"):
    number: int
    customer: str
    amount: Decimal


class Bills(Snapshot):
    newest: Bill | None = rows(Invoice.customer == given("customer"), order_by=Invoice.number.desc(), first=1)
    unpaid: tuple[Bill, ...] = rows(Invoice.amount > 0, at_most=500)
    count: int = value(select(func.count()).select_from(Invoice))


class Charge(Event, kind="charge", subjects=("customer:{customer}",), requires="charge", record_refusals=False):
    customer: Personal[str]
    amount: Decimal


@check
def sensible(event: Charge, bills: Bills) -> Yields[Reject]:
    if bills.count > 10 or event.meta.at < datetime.now(UTC) - timedelta(days=1):
        yield Reject("too-many", "ten at most", field="amount").keyed("ten")


@handler
def charge(event: Charge, bills: Bills, plan: Plan) -> Yields[Insert[Invoice] | Delete[Invoice] | Send | Concerns]:
    invoice = Insert(Invoice, customer=event.customer, amount=event.amount)
    assert_type(invoice, Insert[Invoice])
    number = invoice[Invoice.number]
    assert_type(number, Placeholder[int])
    yield invoice.keyed("first")
    yield Send(to=event.customer, number=number)
    yield Send(to=event.customer, number=7)
    if bills.newest is not None:
        assert_type(plan.after(bills.newest), Bill)
        yield Delete(bills.newest)
    for bill in bills.unpaid:
        yield Concerns(f"invoice:{bill.number}")
    assert_type(plan.steps(Send), tuple[Send, ...])
    assert_type(event.new_id("invoice").hex, str)


@handler(supersedes=charge)
def charge_more(event: Charge) -> Yields[Insert[Invoice]]:
    yield Insert(Invoice, customer=event.customer, amount=event.amount * 2, note="twice")


gone = retired(sensible, because="nobody is sensible")


def synchronous(runner: Runner, event: Charge) -> Entry | None:
    shown = runner.preview(event, actor=Actor("ann", rights=frozenset({"charge"})), rehearse=True)
    assert_type(shown, Preview | Refused)
    if isinstance(shown, Refused):
        raise shown
    assert_type(shown.fingerprints, dict[str, dict[str, str]])
    done = runner.dispatch(
        event, actor="ann", expects=shown.fingerprints, key="k", tenant="north", version="2024-01-01"
    )
    assert_type(done, Committed)
    assert_type(done.event_id, UUID)
    assert_type(done.version, date)
    with runner.together() as tx:
        assert_type(tx.dispatch(event, actor="ann", reason="because"), Committed)
    for entry in runner.trail(subject="customer:ann", since=datetime.now(UTC), newest_first=True):
        assert_type(entry, Entry)
    return runner.outcome(done.event_id)


async def asynchronous(runner: AsyncRunner, event: Charge) -> Committed:
    async with runner.together() as tx:
        await tx.dispatch(event, actor="ann")
    assert_type(await runner.preview(event, actor="ann"), Preview | Refused)
    return await runner.dispatch(event, actor="ann")


def tested(bills: Bills) -> Plan:
    bare = Charge(customer="ann", amount=Decimal(1))
    event = bare.stamped(at=datetime.now(UTC), actor="ann")
    assert_type(event, Charge)
    update = Update(bills.unpaid[0], amount=Decimal(0))
    assert_type(update, Update[Invoice])
    assert list(charge(event, bills, Plan.of(update)))
    return decide(event, bills, version="2024-01-01", versions=Versions.of({"2024-01-01": [charge, sensible]}))
