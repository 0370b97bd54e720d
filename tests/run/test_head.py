"""Columns are renamed, split and dropped under a trail: what was recorded before decides to the same plan, under its own version."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from dateline import Runner, load
from dateline.core.replay import deviation, replayed
from tests.run.test_release import forget, write

NAME = "post_office"

BEFORE = """
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcel"

    id: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[str]
    label: Mapped[str]
    colour: Mapped[str]
"""

AFTER = """
from dateline import lift, lower
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, synonym


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Parcel(Base):
    __tablename__ = "parcel"

    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]
    unit: Mapped[str]
    title: Mapped[str]
    label: Mapped[str] = synonym("title", init=False)


@lower(Parcel)
def weight(amount: int, unit: str) -> str:
    return f"{amount} {unit}"


@lift(Parcel)
def weighed(weight: str) -> dict[str, object]:
    amount, unit = weight.split()
    return {"amount": int(amount), "unit": unit}


@lower(Parcel)
def colour() -> str:
    return "brown"


@lift(Parcel)
def uncoloured(colour: str = "") -> dict[str, object]:
    return {}
"""

RULES = """
from post_office.tables import Parcel

from dateline import Delete, Effect, Event, Insert, Plan, Record, Reject, Snapshot, Update, Yields, check, given, handler, rows


class Known(Record[Parcel]):
    id: str
    weight: str
    label: str
    colour: str


class Before(Snapshot):
    parcel: Known | None = rows(Parcel.id == given("id"))


class Post(Event, kind="post", subjects=("parcel:{id}",)):
    id: str
    weight: str = "3 kg"


class Tell(Effect, kind="tell"):
    text: str


@check
def not_red(event: Post, before: Before) -> Yields[Reject]:
    if before.parcel is not None and before.parcel.colour == "blue":
        yield Reject("blue", f"{before.parcel.label} is blue")


@handler
def write(event: Post, before: Before) -> Yields[Insert[Parcel] | Update[Parcel] | Delete[Parcel]]:
    if event.weight == "0 kg" and before.parcel is not None:
        yield Delete(before.parcel)
    elif before.parcel is None:
        yield Insert(Parcel, id=event.id, weight=event.weight, label="new", colour="red")
    else:
        yield Update(before.parcel, weight=event.weight, label=f"was {before.parcel.weight}, {before.parcel.colour}")


@handler
def tell(event: Post, before: Before, plan: Plan) -> Yields[Tell]:
    if before.parcel is not None and event.weight != "0 kg":
        after = plan.after(before.parcel)
        yield Tell(text=f"{after.weight}, {after.label}, {after.colour}")
"""

CHANGES = (
    "ALTER TABLE parcel ADD COLUMN amount INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE parcel ADD COLUMN unit VARCHAR NOT NULL DEFAULT 'kg'",
    "ALTER TABLE parcel RENAME COLUMN label TO title",
    "UPDATE parcel SET amount = CAST(substr(weight, 1, 1) AS INTEGER), unit = substr(weight, 3)",
    "ALTER TABLE parcel DROP COLUMN weight",
    "ALTER TABLE parcel DROP COLUMN colour",
)


def test_what_was_recorded_before_decides_to_the_same_plan(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / NAME / "__init__.py", "")
    write(tmp_path / NAME / "tables.py", BEFORE)
    write(tmp_path / NAME / "versions" / "__init__.py", "")
    write(tmp_path / NAME / "versions" / "v2018_01_01" / "__init__.py", "")
    write(tmp_path / NAME / "versions" / "v2018_01_01" / "rules.py", RULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    engine = create_engine(database)

    def posted(runner: Runner, *parcels: tuple[str, str]) -> None:
        for id, weight in parcels:
            event = runner.event("post", {"id": id, "weight": weight})
            done = runner.preview(event, actor="ann")
            if not hasattr(done, "rejections"):
                runner.dispatch(event, actor="ann")

    def clock() -> datetime:
        return datetime(2024, 7, 1, tzinfo=UTC)

    try:
        with Runner(database, versions=f"{NAME}.versions", clock=clock) as runner:
            runner.migrate()
            sys.modules[f"{NAME}.tables"].Base.metadata.create_all(engine)
            posted(runner, ("a", "3 kg"), ("a", "5 kg"), ("b", "2 g"), ("b", "0 kg"), ("b", "7 g"), ("a", "1 kg"))
        forget(NAME)
        write(tmp_path / NAME / "tables.py", AFTER)
        with engine.begin() as connection:
            for change in CHANGES:
                connection.execute(text(change))

        versions = load(f"{NAME}.versions")
        with Runner(database, versions=versions, clock=clock) as runner:
            posted(runner, ("a", "9 g"), ("c", "4 kg"), ("b", "0 kg"))
            found = list(runner.scan())

        assert [sorted(one.declared) for entry in found for one in entry.operations] == [
            ["colour", "id", "label", "weight"],
            ["label", "weight"],
            ["colour", "id", "label", "weight"],
            [],
            ["colour", "id", "label", "weight"],
            ["label", "weight"],
            ["amount", "title", "unit"],
            ["amount", "id", "title", "unit"],
            [],
        ]
        assert [deviation(entry, replayed(entry, versions)) for entry in found] == [None] * 9
        # Seen to tell: what was recorded of another event is another plan.
        assert deviation(found[1], replayed(found[5], versions)) == "write/Update:parcel[a]"
        assert deviation(found[6], replayed(found[1], versions)) == "write/Update:parcel[a]"
    finally:
        engine.dispose()
        forget(NAME)
