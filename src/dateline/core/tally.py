"""What a replay of many events comes to: how many differ, in what, and what would have been done instead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dateline.core.decision import Decided, Decision
from dateline.core.diff import changes_of
from dateline.errors import DatelineError

__all__ = ["EXAMPLES", "Group", "Tally"]

EXAMPLES = 5
"""Events that are named of each group."""

UNREADABLE = "its record cannot be read; `dateline verify` says where"


class Group(NamedTuple):
    """Differences of one sort.

    Args:
        handler: Who decides the step, and of which date: the newer of both sides.
        step: The step's key without its part.
        change: "new", "gone" or "changed".
    """

    handler: str
    date: str
    step: str
    change: str


@dataclass(slots=True)
class Counts:
    """How often something stands in the record, and how often in the replay."""

    recorded: Counter[Any] = field(default_factory=Counter)
    replayed: Counter[Any] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Count what another counted."""
        self.recorded.update(other.recorded)
        self.replayed.update(other.replayed)

    def told(self, of: Any) -> dict[str, int]:
        """Return both numbers."""
        return {"recorded": self.recorded[of], "replayed": self.replayed[of]}

    @property
    def names(self) -> list[Any]:
        """All that was counted, sorted."""
        return sorted((+self.recorded).keys() | (+self.replayed).keys())


@dataclass(slots=True)
class Tally:
    """The sums over many events. Of an event that could not be decided again, neither side's steps are counted.

    Args:
        events: How many were looked at: same, different, unanswerable and failed ones together.
        reconstructed: How many needed what was not recorded, and had it from the trail.
        unanswerable: About how many nothing can be said.
        failed: How many a handler failed over, or that cannot be read.
        groups: How many events differ in what; each with some of their numbers.
        unclear: For each reason that nothing can be said how many events, and some of their numbers.
    """

    events: int = 0
    same: int = 0
    different: int = 0
    reconstructed: int = 0
    unanswerable: int = 0
    failed: int = 0
    effects: Counts = field(default_factory=Counts)
    operations: Counts = field(default_factory=Counts)
    rejections: Counts = field(default_factory=Counts)
    groups: dict[Group, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    unclear: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def took(self, seq: int, recorded: Decision, made: Decision, *, strict: str | None = None) -> bool:
        """Count one event that was decided again; return whether it differs.

        Args:
            strict: The step in which it is not byte for byte what was recorded, where that is what was asked.
        """
        self.events += 1
        self.reconstructed += bool(made.reconstructed)
        self._count(recorded, made)
        if recorded.steps and made.steps:
            shown = [(one.shown, one.change) for one in changes_of(recorded, made)[0]]
        else:
            # All that the one has, the other lacks.
            shown = [*((one, "gone") for one in recorded.steps), *((one, "new") for one in made.steps)]
        if not shown and recorded.outcome == made.outcome and strict is None:
            self.same += 1
            return False
        self.different += 1
        groups = {Group(one.handler, one.date, one.key.partition("[")[0], change): None for one, change in shown}
        if not groups:
            groups[Group("", "", (strict or made.outcome).partition("[")[0], "changed")] = None
        for group in groups:
            self.groups[group] = _one_more(self.groups.get(group), seq)
        return True

    def partly(self, seq: int, recorded: Decision, made: Decision) -> bool:
        """Count one event of which only a part was decided again; what was recorded is counted on both sides already."""
        if recorded.same(made):
            self.events += 1
            self.same += 1
            self.reconstructed += bool(made.reconstructed)
            return False
        for one in recorded.steps:
            counts, of = self._counts(one)
            # Counted once more below; and replayed, it is not.
            counts.recorded[of] -= 1
            counts.replayed[of] -= 1
        return self.took(seq, recorded, made)

    def _counts(self, one: Decided) -> tuple[Counts, Any]:
        if one.sort == "effect":
            return self.effects, one.of
        return (self.rejections, one.of) if one.sort == "rejection" else (self.operations, (one.of, one.sort))

    def same_as(self, recorded: Decision, *, reconstructed: bool = False) -> None:
        """Count one event that came to what was recorded."""
        self.events += 1
        self.same += 1
        self.reconstructed += reconstructed
        for one in recorded.steps:
            counts, of = self._counts(one)
            counts.recorded[of] += 1
            counts.replayed[of] += 1

    def said_nothing(self, seq: int, why: DatelineError) -> None:
        """Count one event about which nothing can be said."""
        self.events += 1
        self.unanswerable += 1
        self._unclear(seq, _reason(why))

    def broke(self, seq: int, why: DatelineError | None = None) -> None:
        """Count one event over which a handler failed, or whose record cannot be read."""
        self.events += 1
        self.failed += 1
        self._unclear(seq, UNREADABLE if why is None else _reason(why))

    def _unclear(self, seq: int, reason: str) -> None:
        self.unclear[reason] = _one_more(self.unclear.get(reason), seq)

    def _count(self, recorded: Decision, made: Decision) -> None:
        for one in recorded.steps:
            counts, of = self._counts(one)
            counts.recorded[of] += 1
        for one in made.steps:
            counts, of = self._counts(one)
            counts.replayed[of] += 1

    def add(self, other: Tally) -> None:
        """Count what another counted, of later events."""
        for name in ("events", "same", "different", "reconstructed", "unanswerable", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.effects.add(other.effects)
        self.operations.add(other.operations)
        self.rejections.add(other.rejections)
        for mine, theirs in ((self.groups, other.groups), (self.unclear, other.unclear)):
            held: Any = mine
            for key, (number, seqs) in theirs.items():
                before, known = held.get(key, (0, ()))
                held[key] = (before + number, (*known, *seqs)[:EXAMPLES])

    def document(self, seconds: float) -> dict[str, Any]:
        """Return the sums as one JSON object, with keys that stay."""
        operations: dict[str, dict[str, dict[str, int]]] = {}
        for table, verb in self.operations.names:
            operations.setdefault(table, {})[verb] = self.operations.told((table, verb))
        return {
            "events": self.events,
            "same": self.same,
            "different": self.different,
            "reconstructed": self.reconstructed,
            "unanswerable": self.unanswerable,
            "failed": self.failed,
            "effects": {kind: self.effects.told(kind) for kind in self.effects.names},
            "operations": operations,
            "rejections": {code: self.rejections.told(code) for code in self.rejections.names},
            "seconds": round(seconds, 3),
        }


def _reason(error: DatelineError) -> str:
    """Return why, without the event's number, so that events of one reason are counted together."""
    told = str(error)
    return told.partition(": ")[2] if told.startswith("event ") else told


def _one_more(held: tuple[int, tuple[int, ...]] | None, seq: int) -> tuple[int, tuple[int, ...]]:
    number, seqs = held or (0, ())
    return number + 1, seqs if len(seqs) >= EXAMPLES else (*seqs, seq)
