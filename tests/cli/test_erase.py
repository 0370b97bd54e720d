"""`dateline erase`, as whoever answers for it types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dateline import Runner
from tests.cli.conftest import Ran

CLUB = '''"""2024-01-01: members."""

from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from dateline import Delete, Effect, EraseSubject, Event, Insert, Personal, Record, Snapshot, Yields, given, handler, rows


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "member"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[Personal[str]]


class Known(Record[Member], subject="{id}"):
    id: str
    name: str


class Letter(Effect, kind="letter", subject="{to}"):
    to: str
    text: Personal[str]


class Join(Event, kind="join", subjects=("{id}",)):
    id: str
    name: Personal[str]


class Theirs(Snapshot):
    member: Known | None = rows(Member.id == given("subject"))


@handler
def join(event: Join) -> Yields[Insert[Member] | Letter]:
    yield Insert(Member, id=event.id, name=event.name)
    yield Letter(to=event.id, text=f"Welcome, {event.name}")


@handler
def leave(event: EraseSubject, theirs: Theirs) -> Yields[Delete[Member]]:
    if theirs.member is not None:
        yield Delete(theirs.member)
'''


@pytest.fixture
def club(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of a club's database, in whose folder one stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = Path("club", "v2024_01_01")
    folder.mkdir(parents=True)
    Path("club", "__init__.py").touch()
    (folder / "__init__.py").write_text(CLUB)
    for name in [name for name in sys.modules if name.partition(".")[0] == "club"]:
        monkeypatch.delitem(sys.modules, name)
    import club.v2024_01_01 as rules  # type: ignore[import-not-found]  # written a moment ago

    with Runner("sqlite:///club.db", versions="club", clock=lambda: datetime(2024, 7, 1, tzinfo=UTC)) as runner:
        runner.migrate()
        rules.Base.metadata.create_all(runner.engine)
        runner.dispatch(rules.Join(id="ann", name="Ann Lee"), actor="desk")
        runner.dispatch(rules.Join(id="bob", name="Bob Day"), actor="desk")
    return "sqlite:///club.db"


def by(club: str, *more: str) -> tuple[str, ...]:
    return ("--database", club, "--versions", "club", "--actor", "officer", *more)


def test_a_subject_is_erased_and_it_is_told_what_went(club: str, dateline: Callable[..., Ran]) -> None:
    done = dateline("erase", "ann", *by(club, "--reason", "asked for it"))
    again = dateline("erase", "ann", *by(club, "--reason", "asked for it"))

    # Input, row, letter; of the erasure itself the row as it was seen, and as it was before.
    told = (
        "5 personal values of ann are erased; recorded as event 3.\nCancelled, since they would have sent one: 1.1.\n"
    )
    assert done == Ran(0, told, "")
    assert again == Ran(0, "0 personal values of ann are erased; recorded as event 4.\n", "")
    verified = dateline("verify", "--database", club).out
    assert verified == "4 events, 3 personal values and 5 erased: every digest is right.\n"
    shown = dateline("trail", "--database", club, "--versions", "club", "--unmask").out
    assert ("Ann Lee" in shown, "(erased)" in shown, "Bob Day" in shown) == (False, True, True)


def test_what_is_being_sent_is_told(club: str, dateline: Callable[..., Ran]) -> None:
    with Runner(club, versions="club") as runner, runner.engine.connect() as connection:
        connection.exec_driver_sql(
            "UPDATE dateline_delivery SET state = 'sending', due_at = '2999-01-01T00:00:00.000000Z'"
        )

    done = dateline("erase", "ann", *by(club, "--reason", "asked for it"))

    assert done.out.splitlines()[1:] == ["Being sent at this moment, so that it may arrive: 1.1."]


def test_there_is_no_erasure_without_a_reason(club: str, dateline: Callable[..., Ran]) -> None:
    missing = dateline("erase", "ann", *by(club))
    blank = dateline("erase", "ann", *by(club, "--reason", " "))

    assert (missing.status, "--reason" in missing.err) == (2, True)
    assert blank == Ran(
        2, "", 'dateline: an erasure needs a reason, which stays on record: reason="asked for it on 3 May"\n'
    )
    assert dateline("verify", "--database", club).out.startswith("2 events, 6 personal values and 0 erased")


def test_erasures_are_listed_by_kind_so_that_a_restored_backup_can_be_told_them(
    club: str, dateline: Callable[..., Ran]
) -> None:
    before = Path("club.db").read_bytes()
    dateline("erase", "ann", *by(club, "--reason", "asked for it"))

    listed = dateline("trail", "--database", club, "--kind", "subject.erase", "--outcome", "committed", "--json")

    [one] = map(json.loads, listed.out.splitlines())
    assert (one["input"], one["reason"]["text"]) == ({"subject": "ann"}, "asked for it")
    Path("club.db").write_bytes(before)
    assert dateline("verify", "--database", club).out.startswith("2 events, 6 personal values and 0 erased")
    again = dateline("erase", one["input"]["subject"], *by(club, "--reason", "erased before the restore"))
    assert again.out.startswith("5 personal values of ann are erased")
