"""A table under proof that holds what databases write in more than one way, and an event that looks at it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import CHAR, DateTime, Double, Interval, LargeBinary, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from dateline import Event, Instant, Record, Snapshot, Update, Versions, Yields, given, handler, rows
from tests.proofs.bank import Base

__all__ = ["SHEETS", "Beside", "Look", "Sheet", "Sheeted"]


class Sheet(Base):
    __tablename__ = "sheet"

    id: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str] = mapped_column(String(20), index=True)
    code: Mapped[str] = mapped_column(CHAR(6))
    words: Mapped[str]
    dose: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    weight: Mapped[float] = mapped_column(Double())
    born: Mapped[date]
    at: Mapped[datetime] = mapped_column(Instant())
    naive: Mapped[datetime] = mapped_column(DateTime())
    every: Mapped[timedelta] = mapped_column(Interval())
    scan: Mapped[bytes] = mapped_column(LargeBinary())
    seen: Mapped[int]


class Beside(Base):
    """What no decision here looks at."""

    __tablename__ = "beside"

    id: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[int]


class Sheeted(Record[Sheet]):
    id: str
    ward: str
    code: str
    words: str
    dose: Decimal
    weight: float
    born: date
    at: datetime
    naive: datetime
    every: timedelta
    scan: bytes
    seen: int


class Sheets(Snapshot):
    sheets: tuple[Sheeted, ...] = rows(Sheet.ward == given("ward"))


class Look(Event, kind="look", subjects=("ward:{ward}",), record_refusals=False):
    """Every sheet of a ward was seen once more."""

    ward: str


@handler
def look(event: Look, ward: Sheets) -> Yields[Update[Sheet]]:
    for sheet in ward.sheets:
        yield Update(sheet, seen=sheet.seen + 1)


SHEETS = Versions.of({"2024-01-01": (Sheeted, Look, look)})
