"""A preview of whatever event in whatever state changes nothing, and the dispatch that expects it does that very thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from dateline import Committed, ConstraintRefused, Event, Preview, Runner
from dateline.errors import DatelineError, HandlerFault
from tests.proofs.bank import (
    Add,
    Bank,
    Book,
    Claimed,
    Clear,
    Guarded,
    Informed,
    Note,
    Pay,
    Post,
    Put,
    Rename,
    Renew,
    Twice,
    Wake,
)
from tests.proofs.evidence import asked
from tests.proofs.hostile import digests
from tests.proofs.racing import on_newest, on_postgresql

SEED = 20_240_601
DRAWN = "payment_number_seq"
"""The one sequence that a rehearsal may draw from: a key that the database assigns has to come from somewhere."""


def some_event(chance: Random) -> Event:
    """Return an event on few rows, so that most states say yes to it and some say no."""
    account, cell = f"a{chance.randrange(4)}", f"c{chance.randrange(3)}"
    words = chance.choice(["", "x", "it's", "{account}", "\u2028", "é" * 50])
    makers: tuple[Callable[[], Event], ...] = (
        lambda: Add(account=account, cents=chance.randrange(-5, 50)),
        lambda: Pay(account=account, cents=chance.randrange(30), most=chance.choice([2, 1_000]), note=words),
        lambda: Book(account=account, most=chance.randrange(4)),
        lambda: Put(name=cell, text=words),
        lambda: Post(name=cell, note=words),
        lambda: Clear(name=cell),
        lambda: Renew(name=cell, text=words),
        lambda: Claimed(name=cell),
        lambda: Informed(account=account),
        lambda: Twice(account=account),
        lambda: Rename(person=account, name=words),
        lambda: Note(about=words, body={words: [1, None]}, secret=words),
        lambda: Wake(who=words),
        Guarded,
    )
    return chance.choice(makers)()


def sequences(bank: Bank) -> dict[str, Any]:
    """Return where each sequence stands."""
    if not bank.postgresql:
        return {}
    return dict(asked(bank.engine, "SELECT sequencename, last_value FROM pg_sequences"))


class Still:
    """What a database holds, to the byte where it is a file.

    Args:
        drawn: Sequences that may have moved.
    """

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.seen: tuple[Any, dict[str, Any]] = self._look()

    def _look(self) -> tuple[Any, dict[str, Any]]:
        if self.bank.postgresql:
            return digests(self.bank.engine), sequences(self.bank)
        file = Path(self.bank.engine.url.database or "")
        parts = [file, file.with_name(f"{file.name}-wal")]
        return None, {part.name: part.read_bytes() for part in parts if part.exists()}

    def moved(self) -> set[str]:
        """Return the names of what is no longer as it was: tables, sequences, files."""
        (tables, rest), (now, others) = self.seen, self._look()
        found = {name for name in rest.keys() | others.keys() if rest.get(name) != others.get(name)}
        return found | {name for name in tables or () if tables[name] != now[name]}


def told(chance: Random, runner: Runner, event: Event, index: int) -> dict[str, Any]:
    """Return the arguments of a call: sometimes with a key, used or not, and sometimes with what was seen."""
    given: dict[str, Any] = {"actor": "crowd"}
    if chance.random() < 0.3:
        given["key"] = f"k{chance.randrange(20)}"
    if chance.random() < 0.2:
        given["reason"] = "it's"
    if chance.random() < 0.3:
        try:
            seen = runner.preview(event, actor="crowd")
        except HandlerFault:
            return given
        if isinstance(seen, Preview):
            given["expects"] = seen if chance.random() < 0.5 else seen.fingerprints
    return given


def changed(chance: Random, runner: Runner) -> None:
    """Bring about another state."""
    for _ in range(chance.randrange(3)):
        try:
            runner.dispatch(some_event(chance), actor="crowd", key=f"k{chance.randrange(20)}")
        except DatelineError:
            continue


@on_newest
def test_a_preview_changes_nothing_and_the_dispatch_that_expects_it_does_that_very_thing(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    bank.accounts(3, cents=40)
    chance, runner = Random(SEED), bank.runner()
    shown = refused = committed = drew = 0

    # A connection that stays open: the last one to leave would tidy the file up.
    with bank.engine.connect() as open_:
        open_.execute(text("SELECT 1"))
        open_.rollback()
        for index in range(times(300)):
            changed(chance, runner)
            event, rehearse = some_event(chance), chance.random() < 0.5
            given = told(chance, runner, event, index)
            still = Still(bank)

            try:
                preview = runner.preview(event, rehearse=rehearse, **given)
            except HandlerFault:
                preview = None

            moved = still.moved()
            assert moved <= ({DRAWN} if rehearse else set()), event
            drew += bool(moved)
            if not isinstance(preview, Preview):
                refused += 1
                continue
            shown += 1
            try:
                done = runner.dispatch(event, actor="crowd", expects=preview)
            except ConstraintRefused:
                # Constraints speak at the commit only, unless it was rehearsed.
                assert not rehearse
                continue
            committed += 1
            assert (done.event_id, done.version, done.plan) == (preview.event_id, preview.version, preview.plan)
            assert (done.event, done.event.meta.at, done.repeated) == (event, preview.at, False)
    assert runner.verify().ok

    figure(f"{shown} previews shown, {refused} refused, {committed} committed; {drew} rehearsals drew a number")
    assert min(shown, refused, committed) > 0
    assert (drew > 0) == bank.postgresql


@on_newest
def test_control_a_preview_that_commits_is_seen(bank: Bank) -> None:
    bank.accounts(3, cents=40)
    chance, runner = Random(SEED), bank.runner()
    seen = committed = 0

    for _ in range(40):
        event, still = some_event(chance), Still(bank)
        try:
            done = runner.dispatch(event, actor="crowd")
        except DatelineError:
            continue
        committed += isinstance(done, Committed)
        seen += bool(still.moved() - {DRAWN})

    assert seen == committed > 10


@on_postgresql
def test_control_a_sequence_that_moves_is_seen(bank: Bank) -> None:
    still = Still(bank)
    asked(bank.engine, "SELECT nextval('payment_number_seq')")

    assert still.moved() == {DRAWN}


@on_newest
def test_control_a_dispatch_that_expects_nothing_has_another_id(bank: Bank) -> None:
    bank.accounts(1, cents=40)
    runner, event = bank.runner(), Add(account="a0", cents=1)
    preview = runner.preview(event, actor="crowd")
    assert isinstance(preview, Preview)

    done = runner.dispatch(event, actor="crowd")

    assert done.plan == preview.plan
    assert done.event_id != preview.event_id


@on_newest
@pytest.mark.parametrize("rehearse", [False, True])
def test_no_preview_takes_a_number_of_the_trail(bank: Bank, rehearse: bool) -> None:
    bank.accounts(1, cents=40)
    runner = bank.runner()

    for _ in range(3):
        assert isinstance(runner.preview(Pay(account="a0", cents=1), actor="crowd", rehearse=rehearse), Preview)

    # Where a rehearsal drew keys of the application's, the next row's key leaves them out; events leave none out.
    assert runner.dispatch(Pay(account="a0", cents=1), actor="crowd").seq == 1
    [[number]] = asked(bank.engine, "SELECT number FROM payment")
    assert number == (4 if rehearse and bank.postgresql else 1)
