"""The importer: every line once, under the rules of its own time, whatever else the log holds and whoever else writes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy.orm import Session, scoped_session

from clinic.app import VERSIONS, open_clinic
from clinic.importer import IMPORTER, REASON, Import
from clinic.log import Damaged, Misfit
from dateline import Actor, Conflict, Reason, Runner
from dateline.run.together import Together
from tests.clinic.conftest import entries
from tests.clinic.lines import VISIT, line, log, visit


@pytest.fixture
def clinic(database: str) -> Iterator[Runner]:
    with open_clinic(database) as runner:
        yield runner


class Told:
    """What an import was heard to say."""

    def __init__(self) -> None:
        self.misfits: list[Misfit] = []
        self.kept = b""
        self.moved: list[int] = []

    def keep(self, text: bytes) -> None:
        self.kept += text


def imported(runner: Runner, lines: Iterable[bytes], *, together: int = 200) -> tuple[dict[str, Any], Told]:
    told = Told()
    run = Import(
        runner,
        misfit=told.misfits.append,
        kept=told.keep,
        moved=lambda tally: told.moved.append(tally.events),
        together=together,
    )
    run.run(log(lines))
    summary = run.tally.summary(0)
    del summary["seconds"]
    return summary, told


def decisions(runner: Runner) -> list[Any]:
    """Return the trail without what is different each time: ids, and when it was recorded."""
    return [
        (
            entry.kind,
            entry.version,
            entry.actor,
            entry.reason,
            entry.occurred_at,
            entry.outcome,
            entry.rejections,
            entry.event,
            entry.snapshot,
            entry.operations,
            [(effect.step, effect.kind, effect.payload, effect.handler, effect.date) for effect in entry.effects],
            entry.subjects,
        )
        for entry in entries(runner)
    ]


@pytest.mark.parametrize("together", [1, 4, 200])
def test_a_visit_is_imported_in_the_order_of_its_lines(clinic: Runner, together: int) -> None:
    summary, told = imported(clinic, visit("XJ"), together=together)

    assert summary == VISIT
    assert (told.misfits, told.kept) == ([], b"")
    assert [(entry.kind, entry.outcome) for entry in entries(clinic)] == [
        ("observation.record", "committed"),
        ("encounter.register", "committed"),
        ("encounter.triage", "committed"),
        ("sepsis.triage", "committed"),
        ("observation.record", "rejected"),
        ("observation.record", "committed"),
        ("treatment.give", "committed"),
        ("treatment.give", "committed"),
        ("encounter.admit", "committed"),
        ("encounter.release", "committed"),
    ]


def test_each_event_happened_when_the_log_says_and_is_recorded_as_late(clinic: Runner) -> None:
    imported(clinic, visit("XJ"))

    first = next(entries(clinic))

    assert first.occurred_at == datetime(2014, 3, 1, tzinfo=UTC)
    assert first.version == date(2013, 2, 1)
    assert first.actor == Actor(IMPORTER, kind="system", on_behalf_of="B")
    assert first.reason == Reason(REASON)
    assert first.meta.late
    assert first.recorded_at.year > 2014


def test_many_in_one_transaction_leave_the_trail_of_one_by_one(database: str, tmp_path: Any) -> None:
    lines = [*visit("XJ"), *visit("YC"), *visit("XJ")[:3]]

    with open_clinic(database) as clinic, open_clinic(f"sqlite:///{tmp_path / 'other.db'}") as other:
        many, _ = imported(clinic, lines, together=7)
        single, _ = imported(other, lines, together=1)

        assert many == single
        assert decisions(clinic) == decisions(other)


def test_importing_again_adds_nothing(clinic: Runner) -> None:
    imported(clinic, visit("XJ"))
    before = list(entries(clinic))

    summary, _ = imported(clinic, visit("XJ"))

    assert summary == VISIT | {"committed": 0, "rejected": 0, "repeated": 10, "effects": {}, "operations": {}}
    assert list(entries(clinic)) == before


def test_an_import_that_was_stopped_goes_on_where_it_was(clinic: Runner) -> None:
    imported(clinic, visit("XJ")[:6])

    summary, _ = imported(clinic, visit("XJ"))

    assert (summary["committed"], summary["rejected"], summary["repeated"]) == (4, 0, 6)
    assert len(list(entries(clinic))) == 10


def test_each_time_has_its_own_rules(clinic: Runner) -> None:
    def at(day: str) -> list[bytes]:
        case = f"C{day}"
        return [
            line(case, 0, "ER Sepsis Triage", at=f"{day}T08:00:00Z"),
            line(case, 1, "IV Antibiotics", at=f"{day}T10:00:00Z"),
            line(case, 2, "LacticAcid", {"LacticAcid": 2.1}, at=f"{day}T10:30:00Z"),
        ]

    summary, _ = imported(clinic, [*at("2018-04-18"), *at("2018-04-19"), *at("2021-10-04")])

    reviews = [entry.occurred_at.date().isoformat() for entry in entries(clinic) if entry.effects]
    tasks = [
        (entry.occurred_at.date().isoformat(), one.date)
        for entry in entries(clinic)
        for one in entry.operations
        if one.table == "task"
    ]
    assert reviews == ["2018-04-19"]
    assert tasks == [("2018-04-19", "2018-04-19"), ("2021-10-04", "2018-04-19")]
    assert summary["effects"] == {"sepsis.review": 1}


def test_what_is_no_line_of_the_log_is_kept_aside_byte_for_byte_and_the_rest_goes_on(clinic: Runner) -> None:
    early = line("XJ", 90, "Return ER", at="2013-01-31T23:59:59Z")
    odd = [b"hello\n", b"\xff\xfe\n", b"y" * 200_000 + b"\n", early, b'{"case": 7}']
    good = visit("XJ")

    summary, told = imported(clinic, [good[0], odd[0], *good[1:8], odd[1], odd[2], *good[8:], odd[3], odd[4]])

    assert summary == VISIT | {"malformed": 5}
    assert told.misfits == [
        Misfit(2, "not JSON: Expecting value at character 1"),
        Misfit(10, "not UTF-8 at byte 1"),
        Misfit(11, "longer than 65536 bytes"),
        Misfit(14, "at: before 2013-02-01, when the first rules began"),
        Misfit(15, "the line lacks n, activity, at, group, data"),
    ]
    assert told.kept == b"".join(odd) + b"\n"


def test_a_line_that_contradicts_another_is_kept_aside(clinic: Runner) -> None:
    first, second = line("XJ", 0, "CRP", {"CRP": 16.0}), line("XJ", 0, "CRP", {"CRP": 17.0})

    summary, told = imported(clinic, [first, second, first])

    assert (summary["committed"], summary["repeated"], summary["malformed"]) == (1, 1, 1)
    assert told.misfits == [Misfit(2, "case and n are those of line 1, which differs")]
    assert told.kept == second


@pytest.mark.parametrize("together", [1, 200])
@pytest.mark.parametrize(
    "changed",
    [line("XJ", 0, "CRP", {"CRP": 17.0}), line("XJ", 0, "CRP", {"CRP": 16.0}, at="2014-03-01T00:05:00Z")],
    ids=["another value", "another time"],
)
def test_a_line_that_contradicts_an_earlier_import_is_kept_aside_and_the_rest_goes_on(
    clinic: Runner, changed: bytes, together: int
) -> None:
    imported(clinic, [line("XJ", 0, "CRP", {"CRP": 16.0})])

    summary, told = imported(clinic, [changed, line("XJ", 1, "ER Triage")], together=together)

    assert (summary["events"], summary["committed"], summary["malformed"]) == (1, 1, 1)
    assert told.misfits == [Misfit(1, "case and n are those of a line imported before, which differs")]
    assert told.kept == changed


def test_of_a_damaged_log_everything_before_the_damage_is_imported(clinic: Runner) -> None:
    told = Told()
    run = Import(clinic, misfit=told.misfits.append, kept=told.keep)

    with pytest.raises(Damaged):
        run.run(_breaking(visit("XJ")))

    assert run.tally.committed == 9


def _breaking(lines: list[bytes]) -> BytesIO:
    # Two members, the second of which is cut off: what the first holds is whole.
    return BytesIO(gzip.compress(b"".join(lines)) + gzip.compress(b"x" * 100)[:-9])


class Losing(Runner):
    """A runner whose transactions are lost to another writer at their end, the first so many times."""

    losses = 0

    def together(self, session: Session | scoped_session[Session] | None = None) -> AbstractContextManager[Together]:
        return self._losing(session)

    @contextmanager
    def _losing(self, session: Session | scoped_session[Session] | None) -> Iterator[Together]:
        with super().together(session) as transaction:
            yield transaction
            if self.losses:
                self.losses -= 1
                raise Conflict("another writer came first")


@pytest.mark.parametrize("losses", [1, 3, 100])
def test_a_batch_that_was_lost_to_another_writer_is_counted_once(database: str, losses: int) -> None:
    open_clinic(database).close()
    with Losing(database, versions=VERSIONS) as clinic:
        clinic.losses = losses

        summary, _ = imported(clinic, visit("XJ"))

        assert summary == VISIT
        assert sorted(entry.outcome for entry in entries(clinic)) == ["committed"] * 9 + ["rejected"]


def test_two_imports_at_once_add_every_line_once(database: str, at_once: Callable[..., list[Any]]) -> None:
    lines = [one for case in ("XJ", "YC", "KA") for one in visit(case)]

    def run() -> dict[str, Any]:
        with open_clinic(database) as clinic:
            return imported(clinic, lines, together=5)[0]

    summaries = at_once([run] * 3)

    with open_clinic(database) as clinic:
        found = list(entries(clinic))
    assert len(found) == 30
    assert sum(summary["committed"] for summary in summaries) == 27
    assert sum(summary["rejected"] for summary in summaries) == 3
    assert sum(summary["repeated"] for summary in summaries) == 60
