"""Bring a log of the hospital into the clinic: each line under the rules that were in force when it happened, and once."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from clinic.log import Damaged, Line, Misfit, Piece, parse, pieces
from dateline import Actor, Committed, Conflict, KeyReused, Rejected, Runner

__all__ = ["Import", "Tally"]

IMPORTER = "hospital-log"
REASON = "imported from the hospital's log"

TOGETHER = 50
"""Lines in one transaction. Each is a savepoint, and beyond 64 of them PostgreSQL's snapshots overflow, which slows every reader down."""

TRIES = 5
"""Transactions of one batch that may be lost to other writers; after that each line fights for itself."""


@dataclass
class Tally:
    """What an import came to.

    Args:
        events: Lines that were the log's; those that were not are `malformed`.
        repeated: Lines that an earlier run had committed or seen rejected.
        effects: By kind, what this run asked for.
        operations: By table and verb, what this run wrote.
    """

    events: int = 0
    committed: int = 0
    rejected: int = 0
    repeated: int = 0
    malformed: int = 0
    effects: Counter[str] = field(default_factory=Counter)
    operations: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def took(self, done: Committed) -> None:
        """Count what became of one line."""
        self.events += 1
        if done.repeated:
            self.repeated += 1
            return
        self.committed += 1
        self.effects.update(effect.kind for effect in done.effects)
        for operation in done.operations:
            self.operations[operation.table][operation.verb] += 1

    def refused(self, *, repeated: bool) -> None:
        """Count a line that the checks refuse."""
        self.events += 1
        self.repeated += repeated
        self.rejected += not repeated

    def add(self, other: Tally) -> None:
        """Count what another tally counted."""
        for name in ("events", "committed", "rejected", "repeated", "malformed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.effects.update(other.effects)
        for table, verbs in other.operations.items():
            self.operations[table].update(verbs)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return the tally as one JSON object, its keys in a fixed order."""
        return {
            "events": self.events,
            "committed": self.committed,
            "rejected": self.rejected,
            "repeated": self.repeated,
            "malformed": self.malformed,
            "effects": dict(sorted(self.effects.items())),
            "operations": {table: dict(sorted(verbs.items())) for table, verbs in sorted(self.operations.items())},
            "seconds": round(seconds, 3),
        }


class Import:
    """One run over one log.

    Args:
        misfit: Is told of each line that is none of the log's.
        kept: Takes the bytes of those lines.
        moved: Is told after each transaction how far the run is.
        together: Lines in one transaction; 1 commits each by itself.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        misfit: Callable[[Misfit], None],
        kept: Callable[[bytes], None],
        moved: Callable[[Tally], None] = lambda tally: None,
        together: int = TOGETHER,
    ) -> None:
        self.tally = Tally()
        self._runner = runner
        self._misfit = misfit
        self._kept = kept
        self._moved = moved
        self._together = together
        self._refused: set[str] = set()
        self._seen: dict[str, tuple[int, int]] = {}

    def run(self, log: BinaryIO) -> None:
        """Import a log to its end.

        Raises:
            Damaged: When it is broken; what came before that is imported.
        """
        batch: list[_Read] = []
        damage: Damaged | None = None
        try:
            for piece in pieces(log):
                line = self._known(parse(piece))
                if isinstance(line, Misfit):
                    self._aside(line, piece)
                    continue
                batch.append(_Read(line, piece))
                if len(batch) == self._together:
                    self._commit(batch)
                    batch = []
        except Damaged as found:
            damage = found
        if batch:
            self._commit(batch)
        if damage is not None:
            raise damage

    def _known(self, line: Line | Misfit) -> Line | Misfit:
        """Refuse, before anything is recorded of it, a line that no rules cover or that another contradicts."""
        if isinstance(line, Misfit):
            return line
        first = self._runner.versions.versions[0]
        if line.at < first.instant:
            return Misfit(line.number, f"at: before {first.date}, when the first rules began")
        said = hash((line.at, line.group, line.event))
        number, before = self._seen.setdefault(line.key, (line.number, said))
        return line if said == before else Misfit(line.number, f"case and n are those of line {number}, which differs")

    def _aside(self, misfit: Misfit, piece: Piece) -> None:
        """Tell of a misfit once, and keep each of its pieces."""
        if piece.first:
            self.tally.malformed += 1
            self._misfit(misfit)
        self._kept(piece.text + b"\n" if piece.last and not piece.text.endswith(b"\n") else piece.text)

    def _commit(self, batch: list[_Read]) -> None:
        tally, misfits = self._in_one(batch) or self._one_by_one(batch)
        self.tally.add(tally)
        for read in misfits:
            self._aside(
                Misfit(read.line.number, "case and n are those of a line imported before, which differs"), read.piece
            )
        self._moved(self.tally)

    def _in_one(self, batch: list[_Read]) -> tuple[Tally, list[_Read]] | None:
        """Commit all lines in one transaction; None when it was lost to other writers again and again."""
        if self._together == 1:
            return None
        for lost in range(TRIES):
            try:
                with self._runner.together() as transaction:
                    return self._dispatched(transaction.dispatch, batch)
            except Conflict:
                time.sleep(0.02 * 2**lost)
        return None

    def _one_by_one(self, batch: list[_Read]) -> tuple[Tally, list[_Read]]:
        return self._dispatched(self._runner.dispatch, batch)

    def _dispatched(self, dispatch: Callable[..., Committed], batch: list[_Read]) -> tuple[Tally, list[_Read]]:
        """Return what became of the lines, and those whose case and n an earlier run imported with another content."""
        tally = Tally()
        misfits = []
        for read in batch:
            line = read.line
            try:
                done = dispatch(
                    line.event,
                    actor=Actor(IMPORTER, kind="system", on_behalf_of=line.group, rights=frozenset({"backdate"})),
                    reason=REASON,
                    key=line.key,
                    at=line.at,
                    version="as-of-occurred",
                )
            except Rejected as refusal:
                if not refusal.repeated:
                    self._refused.add(line.key)
                # A refusal outlives its transaction, so a batch that is tried again meets those of its first try.
                tally.refused(repeated=refusal.repeated and line.key not in self._refused)
            except KeyReused:
                misfits.append(read)
            else:
                tally.took(done)
        return tally, misfits


@dataclass(frozen=True, slots=True)
class _Read:
    """A line, and the bytes that it was read from."""

    line: Line
    piece: Piece
