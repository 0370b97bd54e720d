"""What of a recorded decision has to be decided again under another version, and what stands as it was recorded.

Handlers are pure: one that is in force under both versions, and is given the same, decides the same. So only those that came, went or were
superseded are run again, of no more than what they see. Where that cannot be told by the cascades alone, all of it is decided again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from dateline.core.cascade import Cascade, Slot
from dateline.core.event import Event
from dateline.core.operation import Operation
from dateline.core.replay import DECIDED, PERFORMED
from dateline.core.snapshot import Field, Snapshot
from dateline.core.version import Versions
from dateline.errors import DatelineError

__all__ = ["Lane", "lane_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """How the events of one kind, version and cascade are decided again.

    Args:
        skipped: They were not decided by handlers.
        whole: All of it is decided again.
        shape: The class that they are read as.
        cascade: What decides under the other version.
        slots: Those whose holders are run.
        gone: The names of slots whose recorded steps do not stand: those that are run, and those that ended.
        seen: The snapshots that are needed, with their fields.
        writes: Whether some of what is run writes rows.
    """

    skipped: bool = False
    whole: bool = False
    shape: type[Event] | None = None
    cascade: Cascade | None = None
    slots: tuple[Slot, ...] = ()
    gone: frozenset[str] = frozenset()
    seen: tuple[tuple[type[Snapshot], tuple[Field, ...]], ...] = ()
    writes: bool = False

    @property
    def same(self) -> bool:
        """Whether nothing has to be run, and all that was recorded stands."""
        return not (self.whole or self.gone)


WHOLE = Lane(whole=True)


def lane_of(
    versions: Versions, kind: str, version: date | None, shape: date | None, outcome: str, digest: str, day: date
) -> Lane:
    """Return how events are decided again.

    Args:
        version: The date that decided them, `shape` that of their class, `digest` that of what decided them then.
        day: The date under which they are decided again.
    """
    if outcome not in DECIDED or kind in PERFORMED or version is None:
        return Lane(skipped=True)
    try:
        new = versions.cascade(kind, day)
        old = versions.cascade(kind, versions.asked(version).date)
    except DatelineError:
        return WHOLE
    if new.digest == digest:
        return Lane()
    event = versions.shape(kind, shape)
    several = new.shapes is not None and len(new.shapes.chain) > 1
    if old.digest != digest or outcome != "committed" or event is None or event is not new.event or several:
        # Other code stands there now, or checks may decide otherwise, or handlers see another shape.
        return WHOLE
    before = {(slot.role, slot.name): slot.holder for slot in (*old.checks, *old.handlers)}
    if any(before.get((slot.role, slot.name)) is not slot.holder for slot in new.checks):
        return WHOLE
    run: list[Slot] = []
    for slot in new.handlers:
        assert slot.holder is not None
        same = before.get((slot.role, slot.name)) is slot.holder
        if same and not (slot.holder.takes_plan and run):
            continue
        if slot.holder.takes_plan:
            return WHOLE
        run.append(slot)
    after = {slot.name for slot in new.handlers}
    ended = [slot for slot in old.handlers if slot.name not in after]
    changed = [slot.holder for slot in (*run, *ended)] + [before.get((slot.role, slot.name)) for slot in run]
    planned = [slot for slot in new.handlers if slot.holder is not None and slot.holder.takes_plan]
    if any(function is not None and function.amends for function in changed) or (ended and planned):
        return WHOLE
    wanted = {snapshot for slot in run if slot.holder is not None for snapshot in slot.holder.snapshots}
    return Lane(
        shape=event,
        cascade=new,
        slots=tuple(run),
        gone=frozenset(slot.name for slot in (*run, *ended)),
        seen=tuple((snapshot, fields) for snapshot, fields in new.seen if snapshot in wanted),
        writes=any(_writes(what) for function in changed if function is not None for what in function.yields),
    )


def _writes(what: Any) -> bool:
    return isinstance(what, tuple) and isinstance(what[0], type) and issubclass(what[0], Operation)
