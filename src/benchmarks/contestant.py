"""What every contestant is: it makes its tables, does one unit, and tells which rows it left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.database import Database
from benchmarks.work import Rows, Unit, Work

__all__ = ["AsyncContestant", "Contestant", "Doer", "Program", "Slice", "Threaded"]

Doer: TypeAlias = Callable[[Unit], object]
"""Does one unit, and returns when it is on disk."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What some units took in one process.

    Args:
        began: When the first unit began, by a clock that all processes of this machine share.
        ended: When the last one was done.
        cpu: Seconds of this process's own work.
        latencies: Seconds of each unit.
    """

    began: float
    ended: float
    cpu: float
    latencies: tuple[float, ...]


class Contestant:
    """One way to do the unit, on one database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def prepare(self, work: Work) -> None:
        """Make all tables, in a database that is empty, and the rows that are there before the first unit."""
        Database.at(self.url).seed(work)

    def open(self) -> None:
        """Make ready what all clients of this process share."""
        return

    def close(self) -> None:
        """Give back what `open` took."""
        return

    def rows(self) -> Rows:
        """Return the business rows."""
        return Database.at(self.url).rows()


class Threaded(Contestant, ABC):
    """Its clients are threads."""

    @abstractmethod
    def client(self) -> AbstractContextManager[Doer]:
        """Give one client what does a unit; entered and left in the client's own thread."""


class AsyncContestant(Contestant, ABC):
    """Its clients are tasks of one loop."""

    @abstractmethod
    async def do(self, unit: Unit) -> object:
        """Do one unit."""

    @abstractmethod
    async def finish(self) -> None:
        """Give back what was taken inside the loop."""


class Program(Contestant, ABC):
    """A program of its own does all units of all clients."""

    @abstractmethod
    def perform(self, lanes: Sequence[Sequence[Unit]]) -> Slice:
        """Do each lane's units in order, all lanes at once."""
