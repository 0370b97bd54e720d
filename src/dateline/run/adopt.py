"""Adopting rows that are older than the trail: a baseline of one insert a row, recorded and not performed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dateline.core.adopt import RIGHT, AdoptTable
from dateline.core.cascade import Cascade
from dateline.core.draft import drafted
from dateline.core.meta import Actor
from dateline.core.plan import Change, Plan, Planned
from dateline.core.request import Ending, Flow, Pause, Seen
from dateline.core.step import Step
from dateline.errors import Conflict
from dateline.run import log
from dateline.run.moment import target_of
from dateline.run.path import Given, Path
from dateline.sql.drift import Live, LiveRow
from dateline.sql.fold import Fold
from dateline.sql.restore import Target
from dateline.sql.statement import Batch, Statement
from dateline.sql.together import closing, opening

__all__ = ["adopting"]

ROWS = 500
"""Rows of one event."""


def adopting(path: Path, table: Any, given: Given) -> Flow[int]:
    """Record every row of a table that the trail does not know, a few at a time, each time in one transaction.

    Returns:
        How many there were. Broken off, it goes on where it ended; done twice, it finds nothing.
    """
    target = target_of(path, table)
    live, fold = Live(path.store.dialect, target), Fold(path.store.dialect)
    last: LiveRow | None = None
    count = tries = 0
    while True:
        try:
            if RIGHT not in Actor.of(given["actor"]).rights:
                # Refused as every request is, and recorded.
                yield from path.dispatching(AdoptTable(table=target.name, rows=0, first="", last=""), given)
            yield from opening(path.store.dialect, own=True, idle=True)
            # Before the first look. A row that somebody changes between that and our number would be recorded as it was before, behind
            # the event that changed it; and SERIALIZABLE sees nothing wrong with that, since nobody reads what is written here.
            if lock := path.store.dialect.kept_still(target.table):
                yield Batch(lock)
            page = yield from live.page(last, ROWS)
            known = yield from fold.of(target, [one.key for one in page])
            new = [one for one in page if one.key not in known]
            if not new:
                yield Batch((Statement("ROLLBACK", name="undo"),), ends=True)
            else:
                yield from _recorded(path, target, new, given)
                yield from closing(own=True)
                path.bell.ring()
                log.told("adopted", table=target.name, rows=len(new))
        except Conflict:
            tries += 1
            yield Pause(tries)
            continue
        count, tries = count + len(new), 0
        if len(page) < ROWS:
            return count
        last = page[-1]


def _recorded(path: Path, target: Target, rows: Sequence[LiveRow], given: Given) -> Flow[None]:
    event = AdoptTable(table=target.name, rows=len(rows), first=rows[0].key, last=rows[-1].key)
    request = path.request(event, Ending.COMMIT, given, joined=True)
    stamped = event.with_meta(path.stamp(request, root=None))
    draft = drafted(
        request, path.versions, (), stamped, Cascade(event.__kind__, None, AdoptTable), Plan(), Seen((), None)
    )
    changes = []
    for ordinal, one in enumerate(rows):
        step = Planned(f"adopt/Insert:{target.name}[{one.key}]", Step(), "adopt")
        changes.append(Change("insert", target.mapped, target.name, one.place, one.key, {}, (step,), ordinal))
    yield from path.store.add(draft, changes, [(None, one.text) for one in rows])
