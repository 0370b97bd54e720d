"""A table under proof of which the database itself makes a part: scale, defaults, a trigger, a generated column."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import DDL, Computed, Numeric, event
from sqlalchemy.orm import Mapped, mapped_column

from dateline import Delete, Event, Insert, Record, Snapshot, Update, Versions, Yields, given, handler, rows
from tests.proofs.bank import Base

__all__ = ["GOODS", "Bring", "Good", "Keep", "Take"]


class Good(Base):
    __tablename__ = "good"

    id: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    label: Mapped[str] = mapped_column(server_default="plain", init=False)
    revision: Mapped[int] = mapped_column(server_default="0", init=False)
    twice: Mapped[Decimal] = mapped_column(Numeric(13, 2), Computed("weight * 2", persisted=True), init=False)


# A revision for each update, which nobody sends.
_REVISED = (
    DDL(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        "CREATE FUNCTION good_revised() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.revision := OLD.revision + 1; RETURN NEW; END'; "
        "CREATE TRIGGER good_revised BEFORE UPDATE ON good FOR EACH ROW EXECUTE FUNCTION good_revised()"
    ).execute_if(dialect="postgresql"),
    DDL(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        "CREATE TRIGGER good_revised AFTER UPDATE OF weight ON good "
        "BEGIN UPDATE good SET revision = revision + 1 WHERE id = NEW.id; END"
    ).execute_if(dialect="sqlite"),
)
for _ddl in _REVISED:
    event.listen(Good.__table__, "after_create", _ddl)


class Kept(Record[Good]):
    id: str
    weight: Decimal
    revision: int


class Here(Snapshot):
    good: Kept | None = rows(Good.id == given("id"))


class Keep(Event, kind="keep", subjects=("good:{id}",)):
    """A good weighs this from now on, whether or not it was there."""

    id: str
    weight: Decimal


@handler
def keep(event: Keep, here: Here) -> Yields[Insert[Good] | Update[Good]]:
    if here.good is None:
        yield Insert(Good, id=event.id, weight=event.weight)
    else:
        yield Update(here.good, weight=event.weight)


class Take(Event, kind="take", subjects=("good:{id}",)):
    """A good is no more, if it was."""

    id: str


@handler
def take(event: Take, here: Here) -> Yields[Delete[Good]]:
    if here.good is not None:
        yield Delete(here.good)


class Bring(Event, kind="bring", subjects=("good:{id}",), record_refusals=False):
    """A new good, without a look whether it is there: only the database knows, and at the last moment."""

    id: str
    weight: Decimal


@handler
def bring(event: Bring) -> Yields[Insert[Good]]:
    yield Insert(Good, id=event.id, weight=event.weight)


GOODS = Versions.of({"2024-01-01": (Kept, Keep, keep, Take, take, Bring, bring)})
