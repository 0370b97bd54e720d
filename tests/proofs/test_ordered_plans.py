"""A plan that one statement cannot carry out is carried out as decided, or refused whole; never in part, and never in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, text

from dateline import Runner
from dateline.errors import ConstraintRefused
from tests.proofs.bank import Bank
from tests.proofs.evidence import Rows, live, operations, rebuilt
from tests.proofs.racing import on_every_path, on_postgresql
from tests.proofs.seats import SEATS, Guest, Seat, Seating


def seat(id: str, place: int, note: str = "") -> dict[tuple[str, str], dict[str, Any]]:
    return {("seat", id): {"id": id, "place": place, "note": note}}


def guest(id: str, of: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {("guest", id): {"id": id, "seat": of, "note": ""}}


BEFORE: Rows = seat("a", 1) | seat("b", 2) | guest("ann", "a") | guest("nailed", "b")

# What must be left, or None where all of it must be refused.
PLANS: dict[str, Rows | None] = {
    "update and delete": seat("b", 2) | guest("nailed", "b"),
    "two updates": BEFORE | seat("a", 8),
    "two updates of two cells": BEFORE | seat("a", 7, "was 7"),
    "swap": None,
    "swap by delete and insert": seat("a", 2) | seat("b", 1),
    "delete and insert": seat("a", 1, "new") | seat("b", 2) | guest("nailed", "b"),
    "delete the other, take its place": None,
    "take the place of who is deleted": seat("a", 2) | guest("ann", "a"),
    "seat and its guest are deleted": None,
    "a guest is told, and the seat deleted": seat("b", 2) | guest("nailed", "b"),
    "a guest is deleted, and the seat": seat("b", 2) | guest("nailed", "b"),
    "swallowed": None,
}


def of(table: str, rows: Rows) -> Rows:
    return {row: values for row, values in rows.items() if row[0] == table}


def filled(bank: Bank) -> Rows:
    with bank.engine.begin() as connection:
        connection.execute(insert(Seat), [{"id": "a", "place": 1, "note": ""}, {"id": "b", "place": 2, "note": ""}])
        guests = [{"id": id, "seat": of, "note": ""} for id, of in (("ann", "a"), ("nailed", "b"))]
        connection.execute(insert(Guest), guests)
    return live(bank.engine, Seat, Guest)


def on(bank: Bank) -> Runner:
    return bank.opened(lambda url, kept: Runner(url, versions=SEATS, settings=kept))


def alone(runner: Runner, event: Seating) -> None:
    runner.dispatch(event, actor="usher")


def joined(runner: Runner, event: Seating) -> None:
    with runner.together() as tx:
        tx.dispatch(event, actor="usher")


@on_every_path
@pytest.mark.parametrize("way", [alone, joined])
@pytest.mark.parametrize("do", PLANS)
def test_a_plan_with_an_order_is_carried_out_in_it_or_refused_whole(
    bank: Bank, path: Callable[[Runner], None], way: Callable[[Runner, Seating], None], do: str
) -> None:
    before, runner, expected = filled(bank), on(bank), PLANS[do]
    path(runner)

    if expected is None:
        with pytest.raises(ConstraintRefused):
            way(runner, Seating(do=do, guest="nailed" if do == "swallowed" else "ann"))
    else:
        way(runner, Seating(do=do))

    assert live(bank.engine, Seat, Guest) == (before if expected is None else expected)
    # A guest that goes with a seat, by the database's own doing, is in no plan and so in no trail.
    rows, impossible = rebuilt(operations(bank.engine), before)
    assert impossible == 0
    assert of("seat", rows) == of("seat", live(bank.engine, Seat))
    assert runner.verify().ok


ONE = "u AS (UPDATE seat SET place = 7 WHERE id = 'a' RETURNING 1)"


@on_postgresql
@pytest.mark.parametrize(
    ("statement", "left"),
    [
        (
            f"WITH {ONE}, d AS (DELETE FROM seat WHERE id = 'a' RETURNING 1) SELECT FROM u, d",
            BEFORE | seat("a", 7),
        ),
        (
            f"WITH {ONE}, v AS (UPDATE seat SET note = 'was 7' WHERE id = 'a' RETURNING 1) SELECT FROM u, v",
            BEFORE | seat("a", 7),
        ),
        (
            "WITH u AS (UPDATE guest SET note = 'changed' WHERE id = 'nailed' RETURNING 1) SELECT count(*) FROM u",
            BEFORE,
        ),
    ],
    ids=["update and delete", "two updates of two cells", "swallowed"],
)
def test_control_one_statement_with_parts_drops_some_of_them_and_says_nothing(
    bank: Bank, statement: str, left: Rows
) -> None:
    filled(bank)

    with bank.engine.begin() as connection:
        connection.execute(text(statement))

    assert live(bank.engine, Seat, Guest) == left
