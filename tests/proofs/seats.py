"""Plans under proof that one statement cannot carry out: the same row twice, unique values swapped, rows that go with others."""

from __future__ import annotations

from sqlalchemy import DDL, ForeignKey, event
from sqlalchemy.orm import Mapped, mapped_column

from dateline import Delete, Event, Insert, Plan, Record, Snapshot, Update, Versions, Yields, given, handler, rows
from tests.proofs.bank import Base

__all__ = ["SEATS", "Guest", "Seat", "Seating"]


class Seat(Base):
    __tablename__ = "seat"

    id: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(unique=True)
    note: Mapped[str] = mapped_column(default="")


class Guest(Base):
    """Whoever sits there, who goes with the seat."""

    __tablename__ = "guest"

    id: Mapped[str] = mapped_column(primary_key=True)
    seat: Mapped[str] = mapped_column(ForeignKey("seat.id", ondelete="CASCADE"))
    note: Mapped[str] = mapped_column(default="")


# A guest of this name cannot be changed, and nobody is told.
_SWALLOWING = (
    DDL(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        "CREATE FUNCTION guest_swallowed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER guest_swallowed BEFORE UPDATE ON guest FOR EACH ROW WHEN (OLD.id = 'nailed') "
        "EXECUTE FUNCTION guest_swallowed()"
    ).execute_if(dialect="postgresql"),
    DDL(  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        "CREATE TRIGGER guest_swallowed BEFORE UPDATE ON guest WHEN OLD.id = 'nailed' BEGIN SELECT RAISE(IGNORE); END"
    ).execute_if(dialect="sqlite"),
)
for _ddl in _SWALLOWING:
    event.listen(Guest.__table__, "after_create", _ddl)


class Seen(Record[Seat]):
    id: str
    place: int
    note: str


class Sitting(Record[Guest]):
    id: str
    seat: str
    note: str


class Hall(Snapshot):
    one: Seen = rows(Seat.id == given("one"))
    other: Seen = rows(Seat.id == given("other"))
    guest: Sitting | None = rows(Guest.id == given("guest"))


class Seating(Event, kind="seating"):
    """What is to be done to two seats and a guest, by name; what a second handler does after the first depends on it."""

    do: str
    one: str = "a"
    other: str = "b"
    guest: str = "ann"


@handler
def begins(
    event: Seating, hall: Hall
) -> Yields[Insert[Seat] | Update[Seat] | Delete[Seat] | Update[Guest] | Delete[Guest]]:
    one, other, guest = hall.one, hall.other, hall.guest
    match event.do:
        case "update and delete" | "two updates" | "two updates of two cells":
            yield Update(one, place=7)
        case "delete and insert":
            yield Delete(one)
        case "swap":
            yield Update(one, place=other.place)
            yield Update(other, place=one.place)
        case "swap by delete and insert":
            yield Delete(one)
            yield Delete(other)
        case "delete the other, take its place":
            yield Update(one, place=other.place)
            yield Delete(other)
        case "take the place of who is deleted":
            yield Delete(other)
            yield Update(one, place=other.place)
        case "seat and its guest are deleted":
            yield Delete(one)
            if guest is not None:
                yield Delete(guest)
        case "a guest is told, and the seat deleted":
            if guest is not None:
                yield Update(guest, note="told")
            yield Delete(one)
        case "a guest is deleted, and the seat":
            if guest is not None:
                yield Delete(guest)
            yield Delete(one)
        case "swallowed" if guest is not None:
            yield Update(one, note="changed")
            yield Update(guest, note="changed")


@handler
def goes_on(event: Seating, hall: Hall, plan: Plan) -> Yields[Insert[Seat] | Update[Seat] | Delete[Seat]]:
    one, other = hall.one, hall.other
    match event.do:
        case "update and delete":
            yield Delete(one)
        case "two updates":
            yield Update(one, place=plan.after(one).place + 1)
        case "two updates of two cells":
            yield Update(one, note=f"was {plan.after(one).place}")
        case "delete and insert":
            yield Insert(Seat, id=one.id, place=one.place, note="new")
        case "swap by delete and insert":
            yield Insert(Seat, id=one.id, place=other.place)
            yield Insert(Seat, id=other.id, place=one.place)


SEATS = Versions.of({"2024-01-01": (Seen, Sitting, Seating, begins, goes_on)})
