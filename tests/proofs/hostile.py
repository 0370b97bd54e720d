"""An application that passes on whatever it is sent, to every place that an event reaches, and what is sent to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any, Protocol, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import given as given_by_hypothesis
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sqlalchemy import Engine

from dateline import (
    Actor,
    AsyncRunner,
    Committed,
    Concerns,
    Effect,
    Event,
    Insert,
    Personal,
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
from dateline.core.entry import Entry, Page
from dateline.errors import DatelineError, Refused
from dateline.sql.verify import Verification
from tests.proofs.bank import Account, Balance, Bank, Cell, Kept, Named, Person
from tests.proofs.evidence import asked, checksums, count, tables

T = TypeVar("T")

REFUSED = (DatelineError, ValidationError)
"""What an answer to hostile input may be, if it is no."""

_CHANCE = Random(1)
LONG = "".join(chr(33 + _CHANCE.randrange(90)) for _ in range(100_000))
"""A text that does not compress away."""

STRINGS = {
    "empty": "",
    "space": " \t ",
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "surrogate pair by halves": "\ud83d\ude00",
    "sql": "'; DROP TABLE account; --",
    "sql of the trail": "\"'); DELETE FROM dateline_event; --",
    "parameters": "$1 $$ ?1 :name %s %(name)s {0} {} {about} {about.__class__.__mro__} %n",
    "lines": "a\nb\r\nc\vd\fe",
    "lines of Unicode": "a\u0085b\u2028c\u2029d",
    "terminal": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J",
    "right to left": "\u202eabc\u2066",
    "dunder": "__class__",
    "mark": "$personal",
    "sealed": '{"$personal":"0000"}',
    "pointer": "~0~1/~/a//b",
    "escapes": '\\u0000\\ud800\\n\\"',
    "beyond the first plane": "\U0001f600\U0010ffff\uffff\ufffe",
    "byte order": "\ufeffa",
    "combining": "e\u0301\u00e9",
}


def nested(depth: int, around: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """Return a value inside so many others."""
    made: Any = 0
    for _ in range(depth):
        made = around(made)
    return made


CYCLIC: list[Any] = []
CYCLIC.append(CYCLIC)

DATA: dict[str, Any] = {
    "deep list": nested(10_000),
    "deep dict": nested(10_000, lambda inner: {"a": inner}),
    "deep mixture": nested(10_000, lambda inner: ({"a": [inner]},)),
    "as deep as may be": nested(190),
    "cyclic": CYCLIC,
    "not a number": float("nan"),
    "infinite": [float("inf"), -float("inf")],
    "zero below zero": -0.0,
    "huge": 10**5_000,
    "large": [10**4_000, 2**63, -(2**63) - 1, 2**64],
    "small": 5e-324,
    "object": object(),
    "class": int,
    "bytes": b"\xff\0",
    "one name twice": {1: "a", "1": "b"},
    "names": {text: text for text in STRINGS.values() if "\ud83d" not in text and "\ud800" not in text},
    "names of no text": {"a\ud800": 1},
    "marks": {"$personal": {"$personal": "x"}, "": {"": ""}, "/": {"~": 1}},
    "many": [{}] * 50_000,
}


class Card(BaseModel):
    """Something personal, wherever it stands."""

    name: Personal[str]
    text: str = ""


class Cellular(Snapshot):
    cell: Kept | None = rows(Cell.name == given("about"))
    person: Named | None = rows(Person.id == given("about"))


class Sent(Effect, kind="sent", key="{to}", subject="{to}"):
    to: str
    text: str
    data: Any = None
    secret: Personal[Any] = None


class Letter(Event, kind="letter", subjects=("{about}", "letter:{about}")):
    """One text in every place that an event reaches."""

    about: str
    text: str
    data: Any = None
    secret: Personal[Any] = None
    cards: dict[str, Card] = {}  # noqa: RUF012 - pydantic copies defaults
    refused: bool = False


@check
def wanted(event: Letter) -> Yields[Reject]:
    if event.refused:
        yield Reject("refused", event.text, field=event.about).keyed(event.about)


@handler
def keep(event: Letter, seen: Cellular) -> Yields[Insert[Cell] | Update[Cell] | Insert[Person] | Update[Person]]:
    if seen.cell is None:
        yield Insert(Cell, name=event.about, text=event.text)
    else:
        yield Update(seen.cell, text=event.text, writes=seen.cell.writes + 1)
    if seen.person is None:
        yield Insert(Person, id=event.about, name=event.text)
    else:
        yield Update(seen.person, name=event.text)


@handler
def send(event: Letter) -> Yields[Sent | Concerns]:
    yield Sent(to=event.about, text=event.text, data=event.data, secret=event.secret)
    yield Concerns(event.text)


class Keyed(Event, kind="keyed"):
    """A text that no type has checked becomes a step's key, a subject and a rejection."""

    data: Any
    refused: bool = False


@check
def unchecked(event: Keyed) -> Yields[Reject]:
    if event.refused:
        yield Reject(event.data, event.data, field=event.data)


@handler
def keyed(event: Keyed) -> Yields[Sent | Concerns]:
    yield Sent(to="somebody", text="").keyed(event.data)
    yield Concerns(event.data)


class Settle(Event, kind="settle"):
    """A number of any size."""

    cents: int


@handler
def settle(event: Settle) -> Yields[Insert[Account]]:
    yield Insert(Account, id="settled", cents=event.cents)


class Failing(Event, kind="failing"):
    """A handler that raises with what it was sent."""

    text: str | None


@handler
def fail(event: Failing) -> Yields[Insert[Cell]]:
    if event.text is not None:
        raise RuntimeError(event.text)
    yield Insert(Cell, name="never", text="")


class Doubled(Event, kind="doubled"):
    """A row that is there already, under the very text that was sent."""

    text: str


@handler
def doubled(event: Doubled) -> Yields[Insert[Cell]]:
    yield Insert(Cell, name=event.text, text=event.text)


VERSIONS = Versions.of(
    {
        "2024-01-01": (
            *(Balance, Named, Kept, Letter, wanted, keep, send),
            *(Keyed, unchecked, keyed, Settle, settle, Failing, fail, Doubled, doubled),
        )
    }
)


class Desk(Protocol):
    """What both runners can do, without a word about waiting."""

    @property
    def dispatch(self) -> Callable[..., Committed]: ...
    @property
    def preview(self) -> Callable[..., Any]: ...
    @property
    def trail(self) -> Callable[..., Page]: ...
    @property
    def outcome(self) -> Callable[..., Entry | None]: ...
    @property
    def verify(self) -> Callable[..., Verification]: ...
    @property
    def event(self) -> Callable[..., Event]: ...


class _Awaited:
    """An asynchronous runner, each of whose answers is waited for."""

    def __init__(self, runner: AsyncRunner, loop: asyncio.Runner) -> None:
        self._runner, self._loop = runner, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._runner, name)
        return found if name == "event" else lambda *given, **told: self._loop.run(found(*given, **told))


COLOURS = ("sync", "async")


@contextmanager
def desk(bank: Bank, colour: str, versions: Versions = VERSIONS) -> Iterator[Desk]:
    """Open a runner of either colour."""
    if colour == "sync":
        with Runner(bank.url, versions=versions) as runner:
            yield runner
        return
    with asyncio.Runner() as loop:
        made = AsyncRunner(bank.url, versions=versions)
        try:
            yield _Awaited(made, loop)
        finally:
            loop.run(made.close())


def digests(engine: Engine) -> dict[str, str]:
    """Return a digest of every table's rows, made by the server where it can."""
    if engine.dialect.name != "postgresql":
        return checksums(engine)
    each = (
        f"SELECT '{name}', count(*) || ':' || md5(coalesce(string_agg(t::text, ' ' ORDER BY t::text), '')) FROM \"{name}\" t"
        for name in tables(engine)
    )
    return {name: found for name, found in asked(engine, " UNION ALL ".join(each))}  # noqa: C416 - rows are no pairs to mypy


def recorded_only(before: dict[str, str], after: dict[str, str]) -> bool:
    """Tell whether no table differs but those that hold the record of a refusal."""
    record = {f"dateline_{name}" for name in ("event", "subject", "personal", "pending", "claim")}
    return {name for name in before if before[name] != after[name]} <= record


def tried(bank: Bank, desk: Desk, event: Event, **told: Any) -> Committed | Exception:
    """Dispatch an event; return the answer, having looked that a no left nothing but the record of it."""
    before, events = digests(bank.engine), count(bank.engine, "dateline_event")
    try:
        return desk.dispatch(event, **{"actor": "crowd", **told})
    except REFUSED as error:
        refusal = error
    after = digests(bank.engine)
    recorded = refusal.event_id if isinstance(refusal, Refused) else None
    if recorded is None:
        assert after == before
    else:
        assert recorded_only(before, after)
        assert count(bank.engine, "dateline_event") == events + 1
        entry = desk.outcome(UUID(recorded), tenant=told.get("tenant", ""))
        assert entry is not None
        assert entry.refusal == refusal
    return refusal


@dataclass
class Meter:
    """What no single call may take.

    Args:
        most: Seconds.
        slowest: Seconds that the slowest call took, at its best.
    """

    most: float = 1.0
    slowest: float = 0.0

    def __call__(self, call: Callable[[], T]) -> T:
        """Call, and measure; what was too slow is called again, since others use this machine too."""
        found, best = self._took(call)
        for _ in range(4):
            if best > self.most:
                best = min(best, self._took(call)[1])
        self.slowest = max(self.slowest, best)
        assert best <= self.most, f"{best:.1f} s"
        return found()

    @staticmethod
    def _took(call: Callable[[], T]) -> tuple[Callable[[], T], float]:
        start = time.perf_counter()
        try:
            made = call()
        except Exception as error:  # noqa: BLE001 - raised again, once it is known how long it took
            took, caught = time.perf_counter() - start, error

            def again() -> T:
                raise caught

            return again, took
        took = time.perf_counter() - start
        return lambda: made, took


def looked_at(test: Callable[..., None], examples: int, **strategies: Any) -> None:
    """Have Hypothesis call a function with so many examples, the same in each run."""
    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given_by_hypothesis(**strategies)(test))()


TEXT = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(list(STRINGS.values()))
"""Any text at all, lone surrogates among it."""

ODD = st.sampled_from(
    [5, 1.5, b"x", True, [], {}, object(), ("a",), float("nan"), date(2024, 1, 1), UUID(int=1), Actor, len]
) | st.just(5_000).map(lambda digits: 10**digits)
"""What is of no type that anybody asked for."""
