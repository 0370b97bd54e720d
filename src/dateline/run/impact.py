"""What another version would have made of what callers sent lately: the newest events of a tenant's, decided again, caller by caller."""

from __future__ import annotations

from datetime import date

from dateline.core.decision import Decision
from dateline.core.replay import DECIDED
from dateline.core.request import Flow
from dateline.core.tally import Tally
from dateline.errors import HandlerFault, Malformed, Refused, TrailFault, Unanswerable
from dateline.run.path import Path
from dateline.run.replay import decided
from dateline.sql.restore import tables_of
from dateline.sql.trail import MOST, Filters
from dateline.sql.world import World

__all__ = ["impacting"]


def impacting(
    path: Path, version: date | str | None, tenant: str, events: int, base: date | str | None = None
) -> Flow[dict[str, Tally]]:
    """Decide a tenant's newest events under another version, and count how many differ from what was recorded, by caller.

    Args:
        version: Which one; the newest in force without it.
        base: Count how many differ from what this version makes of them, rather.
        events: How many are looked at, of all callers together.
    """
    if not 1 <= events <= MOST:
        raise Malformed(f"events= is a number from 1 to {MOST}")
    chosen = path.versions.choose(version, path.clock())
    unreadable: list[int] = []
    asked = Filters(tenant=tenant, limit=events, newest_first=True)
    page = yield from path.store.trail.page(asked, path.versions, unreadable=unreadable)
    found: dict[str, Tally] = {}
    world = World(path.store.dialect, tables_of(path.versions))
    try:
        for entry in reversed(page.entries):
            if entry.outcome not in DECIDED or entry.kind not in path.versions.kinds:
                continue
            origin = entry.meta.origin
            caller = entry.actor.id if origin is None or origin.client is None else origin.client
            tally = found.setdefault(caller, Tally())
            try:
                before = Decision.recorded(entry, shown=False)
                if base is not None:
                    before = yield from decided(path, entry, base, world=world)
                made = yield from decided(path, entry, chosen.date, world=world)
            except (Unanswerable, Refused, Malformed) as why:
                tally.said_nothing(entry.seq, why)
            except (HandlerFault, TrailFault) as why:
                tally.broke(entry.seq, why)
            else:
                tally.took(entry.seq, before, made)
    finally:
        yield from world.falls()
    return found
