"""Spans cost nobody anything who does not trace; and tell of waits, of outages, and of nothing that is not known."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from dateline import Event, Runner, Versions
from dateline.core.request import Pause
from dateline.errors import Conflict, Contention, Unreachable
from dateline.run.connection import drive
from dateline.run.trace import traced
from dateline.sql.statement import Batch, Result, Statement
from tests.run.test_import import answered
from tests.spans import Spans


class Ring(Event, kind="ring"):
    pass


VERSIONS = Versions.of({"2024-01-01": [Ring]})

PROGRAM = """
import os, sys
from datetime import UTC, datetime
from dateline import Delivery, Effect, Event, Relay, Runner, Versions, Yields, delivers, handler

class Beep(Effect, kind="beep", key="{to}"):
    to: str

class Call(Event, kind="call"):
    to: str

@handler
def call(event: Call) -> Yields[Beep]:
    yield Beep(to=event.to)

@delivers(Beep)
def beep(effect: Beep, delivery: Delivery) -> None:
    pass

os.chdir(sys.argv[1] if len(sys.argv) > 1 else os.environ["FOLDER"])
with Runner("sqlite:///a.db", versions=Versions.of({"2024-01-01": [Call, call]})) as runner:
    runner.migrate()
    runner.dispatch(Call(to="ann"), actor="desk")
    assert Relay(runner, beep).drain() == 1
    [entry] = runner.trail()
"""


def test_importing_loads_no_opentelemetry() -> None:
    program = "import dateline\nfrom dateline import AsyncRunner, Relay\nimport dateline.run.trace\n"

    assert answered(f"{program}told = [name for name in sys.modules if name.startswith('opentelemetry')]") == []


def test_without_the_package_all_is_as_it_was(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))
    hidden = "sys.modules['opentelemetry'] = None\n"

    found = answered(f"{hidden}{PROGRAM}told = [entry.meta.origin, entry.effects[0].state, len(sys.modules) > 1]")

    assert found == [None, "delivered", True]


def test_without_a_provider_nothing_is_recorded_and_no_sdk_loaded(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDER", str(tmp_path))

    found = answered(
        f"{PROGRAM}from dateline.run.trace import carried, heard\n"
        "told = [entry.meta.origin, entry.effects[0].state, carried(), heard(), 'opentelemetry.sdk' in sys.modules]"
    )

    assert found == [None, "delivered", {}, False, False]


class Twice:
    """A driver that loses the first try."""

    tries = 0

    def execute(self, batch: Batch) -> list[Result]:
        self.tries += 1
        if self.tries == 1:
            raise Conflict("another writer was faster")
        return [Result()]

    def rest(self) -> None:
        pass


class Patient:
    """A budget that waits no time, some times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def pause(self, tries: int, *, brief: bool = False) -> float:
        self.times -= 1
        if self.times < 0:
            raise Contention("lost")
        return 0.0


def lost_once() -> Generator[Any, Any, str]:
    try:
        yield Batch((Statement("ONE", name="read"), Statement("TWO", name="read")))
    except Conflict:
        yield Pause(1)
    yield Batch((Statement("ONE", name="commit"),))
    return "done"


def test_tries_are_counted_and_a_trip_that_is_lost_says_why(spans: Spans) -> None:
    made = traced("dateline.dispatch", Ring(), "", lambda _: lost_once())

    patient: Any = Patient(1)
    assert drive(made, Twice(), patient) == "done"

    assert [dict(one.attributes) for one in spans.named()] == [
        {"dateline.statements": ("read",), "error.type": "Conflict"},
        {"dateline.statements": ("commit",)},
        {"dateline.kind": "ring", "dateline.tries": 2},
    ]
    assert {one.status.status_code for one in spans.named()} == {StatusCode.UNSET}


def test_a_budget_that_is_spent_is_an_error(spans: Spans) -> None:
    patient: Any = Patient(0)
    with pytest.raises(Contention):
        drive(traced("dateline.dispatch", Ring(), "", lambda _: lost_once()), Twice(), patient)

    span = spans.one("dateline.dispatch")
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes) == {"dateline.kind": "ring", "dateline.tries": 1, "error.type": "Contention"}


def test_a_flow_that_is_given_up_ends_its_spans(spans: Spans) -> None:
    left: list[str] = []

    def waiting() -> Generator[Any, Any, None]:
        try:
            yield Batch((Statement("ONE", name="read"),))
        finally:
            left.append("left")

    made = traced("dateline.dispatch", Ring(), "", lambda _: waiting())
    next(made)
    made.close()

    assert left == ["left"]
    assert [one.name for one in spans.named()] == ["dateline.trip", "dateline.dispatch"]
    assert spans.one("dateline.dispatch").status.status_code is StatusCode.UNSET


def test_a_database_that_is_not_there_is_an_error(spans: Spans) -> None:
    with Runner("postgresql://nobody@127.0.0.1:1/none", versions=VERSIONS) as runner, pytest.raises(Unreachable):
        runner.dispatch(Ring(), actor="desk")

    span = spans.one("dateline.dispatch")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "Unreachable")


def test_what_is_no_event_is_told_as_it_is_without_tracing(spans: Spans) -> None:
    nothing: Any = object()
    with Runner("sqlite://", versions=VERSIONS) as runner, pytest.raises(TypeError, match="takes an event"):
        runner.dispatch(nothing, actor="desk", tenant=3)  # type: ignore[arg-type]  # what is claimed

    assert dict(spans.one("dateline.dispatch").attributes) == {"dateline.tries": 1, "error.type": "TypeError"}
