"""The demo's day, on every database: what it shows is what the trail says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from threading import Barrier

import pytest
from rich.console import Console
from sqlalchemy import create_engine, func, insert, select

from clinic.app import open_clinic
from clinic.deliveries import MAILBOX
from clinic.demo import NAMES, Day, play, timeline
from clinic.tables import Acceptance, Base, Invitation, Patient
from dateline import Entry, Runner, StaleSnapshot


@dataclass(frozen=True)
class Played:
    """A day that was played, and what stood on the terminal."""

    day: Day
    shown: str

    @property
    def runner(self) -> Runner:
        return self.day.runner

    def scene(self, title: str) -> str:
        """Return what one scene showed."""
        found = re.search(rf"^{title} ─+$(.*?)(?=^[A-Z][^─\n]* ─+$|\Z)", self.shown, re.DOTALL | re.MULTILINE)
        assert found, f"no scene called {title}"
        return found[1]

    def entries(self, name: str, kind: str) -> list[Entry]:
        subject = f"patient:{self.day.patient(name)}"
        return [entry for entry in timeline(self.runner, subject) if entry.kind == kind]


def played(runner: Runner, *, width: int = 120) -> Played:
    console = Console(file=StringIO(), record=True, width=width, highlight=False)
    return Played(play(runner, console), console.export_text())


@pytest.fixture
def clinic(database: str) -> Iterator[Runner]:
    with open_clinic(database) as runner:
        yield runner


def test_an_effect_that_failed_first_is_delivered_once_and_the_feed_tells_of_both(clinic: Runner) -> None:
    day = played(clinic)

    told = [line.split() for line in day.scene("The effects are delivered").splitlines() if "patient.notify" in line]
    assert told == [
        ["patient.notify", "retrying", "1"],
        ["patient.notify", "due", "1"],
        ["patient.notify", "delivered", "2"],
    ]
    [notified] = [
        effect
        for entry in day.entries("Dora", "prescription.submit")
        for effect in entry.effects
        if effect.kind == "patient.notify"
    ][-1:]
    assert (notified.state, [id for _, id, _ in MAILBOX.taken].count(str(notified.id))) == ("delivered", 1)


def test_the_day_can_be_played_again_on_the_same_database(clinic: Runner) -> None:
    first = played(clinic)

    second = played(clinic)

    assert first.day.token != second.day.token
    assert [e.kind for e in timeline(clinic, f"patient:{first.day.patient('Ada')}")] == [
        e.kind for e in timeline(clinic, f"patient:{second.day.patient('Ada')}")
    ]


def test_the_preview_shows_what_the_commit_then_does(clinic: Runner) -> None:
    found = played(clinic)

    committed = found.entries("Ada", "prescription.submit")[0]
    preview = found.scene("A preview").partition("in force today")[2]
    decided = [(one.handler, one.date) for one in committed.operations]
    decided += [(one.handler, one.date) for one in committed.effects]
    assert len(decided) == 4
    assert all(handler.rpartition(".")[2] in preview and date in preview for handler, date in decided)


def test_an_older_version_knows_nothing_of_the_liver(clinic: Runner) -> None:
    found = played(clinic)

    then, _, now = found.scene("A preview").partition("in force today")
    assert "the_prescription_is_written" in then
    assert "2018-08-01" not in then
    assert "2018-08-01" in now


def test_a_refusal_is_shown_with_its_code_and_recorded(clinic: Runner) -> None:
    found = played(clinic)

    [refused] = [entry for entry in found.entries("Ada", "prescription.submit") if entry.outcome == "rejected"]
    assert [(one.code, one.field) for one in refused.rejections] == [("allergic", "drug")]
    assert "allergic" in found.scene("A refusal")


def test_a_stale_snapshot_names_the_field_that_changed(clinic: Runner) -> None:
    found = played(clinic)

    stale, again = found.entries("Ben", "prescription.submit")
    assert f"patient/{found.day.patient('Ben')} has changed in phone" in found.scene("A stale snapshot")
    assert isinstance(stale.refusal, StaleSnapshot)
    assert [one.fields for one in stale.refusal.differences] == [("phone",)]
    assert again.effects[0].payload["phone"] == "+31 555 0199"


def test_a_repeated_key_is_answered_again_and_written_once(clinic: Runner) -> None:
    found = played(clinic)

    outcomes = [entry.outcome for entry in found.entries("Cleo", "prescription.submit")]
    assert outcomes == ["committed", "key-reused"]


def test_of_all_who_accept_at_once_the_first_of_the_trail_holds_it(clinic: Runner) -> None:
    found = played(clinic)

    answers = clinic.trail(subject=f"invitation:free-{found.day.token}", kind="invitation.accept").entries
    states = [entry.operations[0].after and entry.operations[0].after["state"] for entry in answers]
    told = [[effect.kind for effect in entry.effects] for entry in answers]
    late = len(NAMES) - 1
    assert states == ["held", *["too-late"] * late]
    assert told == [["patient.notify"], *[["invitation.too-late"]] * late]


def test_control_who_looks_first_and_writes_later_finds_several_holders(database: str) -> None:
    # The same race without dateline: it has to go wrong, or the test above proves nothing.
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    now = datetime(2024, 5, 1, tzinfo=UTC)
    with engine.begin() as connection:
        connection.execute(insert(Invitation).values(id="free", appointment_at=now, sent_at=now))
        connection.execute(insert(Patient), [{"id": name, "name": name, "phone": "0"} for name in NAMES])
    looked = Barrier(len(NAMES))

    def accept(patient: str) -> None:
        with engine.connect() as connection:
            holders = connection.scalar(select(func.count()).where(Acceptance.state == "held"))
            connection.commit()
        looked.wait()
        with engine.begin() as connection:
            state = "too-late" if holders else "held"
            row = {"invitation": "free", "patient": patient, "state": state, "accepted_at": now}
            connection.execute(insert(Acceptance).values(row))

    with ThreadPoolExecutor(len(NAMES)) as threads:
        list(threads.map(accept, NAMES))

    with engine.connect() as connection:
        holders = connection.scalar(select(func.count()).where(Acceptance.state == "held"))
    engine.dispose()
    assert holders == len(NAMES)


def test_every_row_and_every_effect_of_the_timeline_names_its_handler_and_its_date(clinic: Runner) -> None:
    found = played(clinic)

    shown = found.shown.partition("Ada's timeline")[2].splitlines()
    entries = list(timeline(clinic, f"patient:{found.day.patient('Ada')}"))
    decided = [(one.table, one.handler, one.date) for entry in entries for one in entry.operations]
    decided += [(one.kind, one.handler, one.date) for entry in entries for one in entry.effects]
    decided += [(one.code, one.handler, one.date) for entry in entries for one in entry.rejections]
    assert {date for _, _, date in decided} == {"2018-07-30", "2018-08-01", "2021-10-04"}
    for what, handler, date in decided:
        assert any(what in line and handler.rpartition(".")[2] in line and date in line for line in shown), what


def test_the_timeline_does_not_tell_other_patients_telephones(clinic: Runner) -> None:
    found = played(clinic)

    assert "+31 555" not in found.shown.partition("Ada's timeline")[2]


def test_a_narrow_terminal_folds_and_cuts_nothing_off(sqlite_url: str) -> None:
    with open_clinic(sqlite_url) as runner:
        found = played(runner, width=60)

    assert "…" not in found.shown
    assert max(map(len, found.shown.partition("is told by:")[0].splitlines())) <= 60


def test_the_trail_of_the_day_verifies(clinic: Runner) -> None:
    played(clinic)

    assert clinic.verify().faults == ()


def test_the_command_plays_on_a_file_of_its_own_and_again_on_the_same(sqlite_url: str) -> None:
    command = [sys.executable, "-m", "clinic", "demo", "--database", sqlite_url]
    # The packages are where this test found them, whether they are installed or not.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "Ada's timeline" in ran.stdout
