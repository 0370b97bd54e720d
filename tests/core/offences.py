"""Checks and handlers that break what a decision promises: each offending line ends in its rule's name, beside innocent ones."""

from __future__ import annotations

import os
import random
import time
import uuid
from datetime import UTC, date, datetime
from datetime import datetime as moment
from pathlib import Path
from time import time as seconds
from typing import Any
from urllib.request import urlopen

from dateline import Effect, Event, Insert, Reject, Update, Yields, check, downgrade, handler, upgrade
from tests.core.library import Book, Card, Loan, Remind, Stock, Ticket, Wanted

COUNTED: list[int] = []
KNOWN = {"a", "b"}
FIXED = ("a", "b")
TOTAL = 0


class Ask(Event, kind="ask"):
    book: str = "moby"
    reader: int = 1


class Send(Effect, kind="send"):
    text: str


@handler
def clocks(event: Ask) -> Yields[Send]:
    yield Send(text=str(datetime.now(UTC)))  # clock
    yield Send(text=str(moment.now(UTC))).keyed("2")  # clock
    yield Send(text=str(date.today())).keyed("3")  # noqa: DTZ011  # clock
    yield Send(text=str(time.time())).keyed("4")  # clock
    yield Send(text=str(seconds())).keyed("5")  # clock
    yield Send(text=str(event.meta.at)).keyed("6")
    yield Send(text=str(datetime(2024, 1, 1, tzinfo=UTC))).keyed("7")
    yield Send(text=datetime.fromisoformat("2024-01-01").isoformat()).keyed("8")


@handler
def chances(event: Ask) -> Yields[Send]:
    yield Send(text=str(random.random()))  # chance
    yield Send(text=str(random.choice(FIXED))).keyed("2")  # chance
    yield Send(text=str(uuid.uuid4())).keyed("3")  # chance
    yield Send(text=os.urandom(2).hex()).keyed("4")  # chance
    yield Send(text=str(uuid.UUID(int=1))).keyed("5")
    yield Send(text=str(event.new_id("it"))).keyed("6")


@handler
def reaches_out(event: Ask) -> Yields[Send]:
    with open("notes.txt") as found:  # noqa: PTH123  # outside
        yield Send(text=found.read())
    print("sent")  # noqa: T201  # outside
    Path("notes.txt").read_text()  # outside
    urlopen("http://example.org")  # outside
    os.remove("notes.txt")  # noqa: PTH107  # outside


@handler
def environments(event: Ask) -> Yields[Send]:
    yield Send(text=os.environ["HOME"])  # environment
    yield Send(text=os.getenv("HOME") or "").keyed("2")  # environment


@handler
def states(event: Ask) -> Yields[Send]:
    global TOTAL  # noqa: PLW0603  # state
    TOTAL = 1
    COUNTED.append(1)  # state
    COUNTED[0] = 2  # state
    own: list[int] = []
    own.append(1)
    yield Send(text=str(len(own)))


@handler
def orders(event: Ask) -> Yields[Send]:
    for one in {"x", "y"}:  # noqa: PLC0208  # order
        yield Send(text=one).keyed(one)
    for one in KNOWN:  # order
        yield Send(text=one).keyed(one)
    for one in set(FIXED):  # order
        yield Send(text=one).keyed(one)
    told = [one for one in KNOWN | {"c"}]  # noqa: C416  # order
    for one in sorted(KNOWN):
        yield Send(text=one + told[0]).keyed(one)
    for one in FIXED:
        yield Send(text=one).keyed(one)
    if "a" in KNOWN:
        yield Send(text="a").keyed("a")


@handler
def versions(event: Ask) -> Yields[Send]:
    if event.meta.version == date(2024, 1, 1):  # version
        yield Send(text="old")


def _helper(text: str) -> str:
    return f"{text} {time.time()}"  # clock


def _further(text: str) -> str:
    return _helper(text)


@handler
def by_a_helper(event: Ask) -> Yields[Send]:
    yield Send(text=_further("now"))


@handler
def undeclared(event: Ask, wanted: Wanted) -> Yields[Send | Insert[Loan]]:
    yield Remind(reader=1)  # type: ignore[misc]  # undeclared
    yield Insert(Ticket, id=uuid.UUID(int=1), reader=1)  # type: ignore[arg-type]  # undeclared
    yield Update(wanted.book, copies=1)  # type: ignore[misc]  # undeclared
    yield Insert(Loan, book="moby", reader="1")
    yield Send(text="it")


@handler
def keyless(event: Ask) -> Yields[Send | Remind]:
    for number in range(3):
        yield Send(text=str(number))  # keyless
        yield Send(text=str(number)).keyed(str(number))
        yield Remind(reader=number)
    yield Send(text="once")


@check
def keyless_codes(event: Ask) -> Yields[Reject]:
    for name in FIXED:
        if name == event.book:
            yield Reject("known", f"{name} is known")  # keyless


class AskTwice(Event, kind="ask"):
    books: tuple[str, ...]


@upgrade  # round-trip
def twice(old: Ask) -> AskTwice:
    return AskTwice(books=(old.book, str(time.time())))  # clock


@downgrade  # round-trip
def once(new: AskTwice) -> Ask:
    return Ask(book=new.books[0])


def not_a_handler() -> Any:
    """Nobody decides by this."""
    return time.time(), Book, Card, Stock
