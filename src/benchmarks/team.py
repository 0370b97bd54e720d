"""A contestant's processes, started once, and set to work slice by slice."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Any, Self

from benchmarks.contestant import Slice
from benchmarks.crew import Crew, crew
from benchmarks.field import Entrant
from benchmarks.work import Rows, Work

__all__ = ["Broken", "Team"]


class Broken(Exception):
    """A contestant failed in a process of its own."""


class _Asked(Enum):
    PREPARE = auto()
    OPEN = auto()
    RUN = auto()
    ROWS = auto()
    CLOSE = auto()


@dataclass(frozen=True, slots=True)
class _Failure:
    told: str


class Team:
    """All processes of one contestant; a peer's library is imported only there.

    Args:
        processes: How many.
        clients: How many clients each has.
    """

    def __init__(self, entrant: Entrant, url: str, work: Work, processes: int, clients: int) -> None:
        self.entrant = entrant
        self.work = work
        if entrant.processes is not None and entrant.processes < processes:
            processes, clients = entrant.processes, processes * clients // entrant.processes
        self.total, self.clients = processes * clients, clients
        # Spawned, not forked: a fork would take half of this process's threads and connections along.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection[Any, Any]] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, entrant, url, work, clients), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def prepare(self) -> None:
        """Make all tables, and what is there before the first unit."""
        self._ask(self._pipes[:1], _Asked.PREPARE)

    def open(self) -> None:
        """Open all clients."""
        self._ask(self._pipes, _Asked.OPEN)

    def run(self, first: int, last: int) -> Slice:
        """Do the units from the first up to, and without, the last; all processes begin at once.

        Returns:
            One slice for all: from the first beginning to the last end, the work of all processes added up.
        """
        lanes = self.work.lanes(first, last, self.total)
        for index, pipe in enumerate(self._pipes):
            pipe.send((_Asked.RUN, lanes[index * self.clients : (index + 1) * self.clients]))
        self._answers(self._pipes)
        for pipe in self._pipes:
            pipe.send(None)
        slices: list[Slice] = self._answers(self._pipes)
        return Slice(
            began=min(one.began for one in slices),
            ended=max(one.ended for one in slices),
            cpu=sum(one.cpu for one in slices),
            latencies=tuple(latency for one in slices for latency in one.latencies),
        )

    def rows(self) -> Rows:
        """Return the rows that it left."""
        found: list[Rows] = self._ask(self._pipes[:1], _Asked.ROWS)
        return found[0]

    def dismiss(self) -> None:
        """Tell the processes to end, and do not wait for it."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send((_Asked.CLOSE, None))

    def close(self) -> None:
        """End the processes."""
        self.dismiss()
        for process in self._processes:
            process.join(20)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes:
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, pipes: Sequence[Connection[Any, Any]], asked: _Asked) -> list[Any]:
        for pipe in pipes:
            # One that has ended is told by its answer, which does not come.
            with suppress(OSError):
                pipe.send((asked, None))
        return self._answers(pipes)

    def _answers(self, pipes: Sequence[Connection[Any, Any]]) -> list[Any]:
        made = []
        for pipe in pipes:
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                raise Broken(f"{self.entrant.name}: its process ended") from None
            if isinstance(answer, _Failure):
                raise Broken(f"{self.entrant.name}:\n{answer.told}")
            made.append(answer)
        return made


def _serve(pipe: Connection[Any, Any], entrant: Entrant, url: str, work: Work, clients: int) -> None:
    try:
        contestant = entrant.load()(url)
        held: Crew | None = None
        while True:
            asked, lanes = pipe.recv()
            if asked is _Asked.CLOSE:
                break
            if asked is _Asked.PREPARE:
                contestant.prepare(work)
                pipe.send(None)
            elif asked is _Asked.OPEN:
                held = crew(contestant, clients)
                pipe.send(None)
            elif asked is _Asked.ROWS:
                pipe.send(contestant.rows())
            else:
                assert held is not None
                pipe.send(None)
                pipe.recv()
                pipe.send(held.run(lanes))
        if held is not None:
            held.close()
    except EOFError:
        return
    except Exception:  # noqa: BLE001 - whatever it is, it is told where somebody reads it
        pipe.send(_Failure(traceback.format_exc()))
