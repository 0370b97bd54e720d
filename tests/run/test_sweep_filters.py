"""Which events are listed is one thing, and what they are decided of another: whatever is left out did what it did."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dateline import (
    Actor,
    Event,
    Insert,
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
)
from dateline.run.sweep import Sweep, differing, swept


class Base(DeclarativeBase):
    pass


class Shot(Base):
    __tablename__ = "shot"
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    vaccine: Mapped[str]


class Earlier(Record[Shot]):
    id: str
    patient: str
    vaccine: str


class Recent(Snapshot):
    shots: tuple[Earlier, ...] = rows(Shot.patient == given("patient"))


class Give(Event, kind="give", subjects=("patient:{patient}",)):
    id: str
    patient: str
    vaccine: str


class Amend(Event, kind="amend"):
    id: str
    vaccine: str


class One(Snapshot):
    shot: Earlier = rows(Shot.id == given("id"))


@handler
def give(event: Give) -> Yields[Insert[Shot]]:
    yield Insert(Shot, id=event.id, patient=event.patient, vaccine=event.vaccine)


@handler
def amend(event: Amend, one: One) -> Yields[Update[Shot]]:
    yield Update(one.shot, vaccine=event.vaccine)


@check
def not_twice(event: Give, recent: Recent) -> Yields[Reject]:
    for shot in recent.shots:
        if shot.vaccine == event.vaccine:
            yield Reject("too-soon", shot.id).keyed(shot.id)


VERSIONS = Versions.of({"2024-01-01": [Give, Amend, give, amend], "2025-03-01": [not_twice]})


@pytest.fixture
def trail(database: str) -> str:
    """Give a trail of two actors under the old version, in which what one does depends on what the other did."""
    moment = datetime(2024, 6, 1, tzinfo=UTC)

    def clock() -> datetime:
        nonlocal moment
        moment += timedelta(hours=1)
        return moment

    with Runner(database, versions=VERSIONS, clock=clock) as runner:
        runner.migrate()
        Base.metadata.create_all(runner.engine)
        numbers = iter(range(100))

        def did(actor: str, patient: str, vaccine: str) -> None:
            runner.dispatch(
                Give(id=str(next(numbers)), patient=patient, vaccine=vaccine), actor=Actor(actor), version="2024-01-01"
            )

        for _ in range(3):
            for patient, vaccine in (("p1", "flu"), ("p2", "mmr"), ("p1", "mmr")):
                did("nina", patient, vaccine)
                did("bob", patient, vaccine)
            runner.dispatch(Amend(id="1", vaccine="polio"), actor="bob", version="2024-01-01")
            did("nina", "p1", "polio")
    return database


def found(database: str, **filters: Any) -> set[int]:
    """Return the numbers of the events that are decided otherwise under the new version."""
    sweep = Sweep(database=database, versions=VERSIONS, version=VERSIONS.newest.date, filters=filters)
    with sweep.runner() as runner:
        return {entry.seq for entry, made in differing(sweep, runner) if made.outcome != entry.outcome}


@pytest.mark.parametrize(
    "filters",
    [
        {"actor": "bob"},
        {"actor": "nina"},
        {"kind": "give"},
        {"kind": "amend"},
        {"subject": "patient:p1"},
        {"since": datetime(2024, 6, 1, 12, tzinfo=UTC)},
        {"until": datetime(2024, 6, 1, 12, tzinfo=UTC)},
        {"outcome": "committed"},
        {"version": "2024-01-01", "actor": "bob", "subject": "patient:p2"},
    ],
    ids=str,
)
def test_a_filter_chooses_which_events_are_told_and_changes_no_decision(trail: str, filters: dict[str, Any]) -> None:
    everything = found(trail)
    with Runner(trail, versions=VERSIONS) as runner:
        chosen = {entry.seq for entry in runner.trail(limit=1000, **filters)}

    assert found(trail, **filters) == everything & chosen
    assert everything
    sweep = Sweep(database=trail, versions=VERSIONS, version=VERSIONS.newest.date, filters=filters)
    tally = swept(sweep, processes=1)
    assert (tally.events, tally.different) == (len(chosen), len(everything & chosen))


def test_a_replay_leaves_the_process_looking_for_garbage_as_often_as_before(trail: str) -> None:
    before = gc.get_threshold()

    swept(Sweep(database=trail, versions=VERSIONS), processes=1)

    assert gc.get_threshold() == before
