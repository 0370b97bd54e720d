"""The feed: committed events, and what became of their effects, in the order of their positions, a page a trip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, bindparam, func, literal_column, select

from dateline.core.notice import Changed, Notice
from dateline.core.request import Flow
from dateline.core.version import Versions
from dateline.errors import Malformed, OtherIncarnation
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect
from dateline.sql.entry import Entries
from dateline.sql.sequencer import sequence
from dateline.sql.statement import Batch, Result
from dateline.sql.trail import parts_of
from dateline.sql.types import Instant

__all__ = ["Feed", "Following", "Wanted"]

PAGE = 200
"""Notices that are read at once."""

WINDOW = 2_000
"""Positions that one look goes through, however few of them are wanted."""

_CURSOR = re.compile(r"([0-9a-f]{32})\.(\d{1,18})")
_INSTANT = Instant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a follower wants to hear of.

    Args:
        subjects: Events about any of these; all without any.
        kinds: Events of any of these kinds.
        event: This one event, and what becomes of its effects.
    """

    tenant: str = ""
    subjects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    event: UUID | None = None


@dataclass(slots=True)
class Following:
    """How far a follower has come.

    Args:
        after: The position behind which it goes on.
        newest: The newest position that there was.
    """

    incarnation: UUID
    after: int
    newest: int = 0


class Feed:
    """Builds the feed's queries, each shape once, and reads pages of notices by them."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.entries = Entries(dialect)
        self._compiled: dict[Any, Compiled] = {}
        i, p = tables.incarnation.c, tables.position.c
        self._incarnation = compiled(select(i.id).order_by(i.began_at.desc(), i.id.desc()).limit(1), dialect.sql)
        newest = select(func.coalesce(func.max(p.position), 0)).where(p.tenant == bindparam("tenant"))
        self._newest = compiled(newest, dialect.sql)
        c, e, f = tables.change.c, tables.event.c, tables.effect.c
        numbers = bindparam("numbers", type_=BigInteger(), expanding=True)
        changes = select(
            c.number, c.seq, c.ordinal, f.id, f.kind, f.step, e.id, e.kind, c.state, c.tries, c.at, c.detail
        ).where(c.number.in_(numbers), f.tenant == c.tenant, f.seq == c.seq, f.ordinal == c.ordinal, e.seq == c.seq)
        self._changes = compiled(changes, dialect.sql)
        seqs = select(e.seq).where(e.seq.in_(bindparam("seqs", type_=BigInteger(), expanding=True)))
        self._parts = tuple(compiled(one, dialect.sql) for one in parts_of(dialect, seqs))

    def open(self, after: str | None, tenant: str) -> Flow[Following]:
        """Return where a follower begins: behind a cursor, at the beginning without one, or "now".

        Raises:
            Malformed: For what is no cursor.
            OtherIncarnation: For one of another life of the database.
        """
        met = _CURSOR.fullmatch(after) if after not in (None, "now") and isinstance(after, str) else None
        if met is None and after not in (None, "now"):
            raise Malformed(f'{str(after)[:60]!r} is no cursor; pass one that a notice had, "now", or none at all')
        if after == "now":
            yield from sequence(self.dialect)
        results: list[Result] = yield Batch.between(
            self.dialect.begin_reading,
            self._incarnation.statement("incarnation", {}),
            self._newest.statement("newest", {"tenant": tenant}),
        )
        held, newest = UUID(str(results[1].rows[0][0])), results[2].rows[0][0]
        if met is not None and UUID(met[1]) != held:
            raise OtherIncarnation(
                "the cursor is of another life of this database, which was restored from a backup since; follow from the beginning, "
                'or from "now" after reading what is'
            )
        return Following(held, newest if after == "now" else int(met[2]) if met else 0, newest)

    def page(self, at: Following, wanted: Wanted, versions: Versions) -> Flow[list[Notice]]:
        """Read the next notices, after everything that can be seen has its position; move the follower behind what was looked at."""
        yield from sequence(self.dialect)
        far = bool(wanted.subjects) and at.newest - at.after > WINDOW
        shape = (len(wanted.subjects) > 0, bool(wanted.kinds), wanted.event is not None, far)
        if shape not in self._compiled:
            self._compiled[shape] = compiled(self._page(*shape), self.dialect.sql)
        values = {
            "tenant": wanted.tenant,
            "after": at.after,
            "until": at.after + WINDOW,
            "limit": PAGE,
            "subjects": list(wanted.subjects),
            "kinds": list(wanted.kinds),
            "event": wanted.event,
        }
        newest = self._newest.statement("newest", {"tenant": wanted.tenant})
        look = self._compiled[shape].statement("feed", values)
        results: list[Result] = (yield Batch.between(self.dialect.begin_reading, newest, look))[1:-1]
        at.newest, places = results[0].rows[0][0], results[1].rows
        found = (yield from self._told(at, places, versions)) if places else []
        if len(places) == PAGE:
            at.after = places[-1][0]
        elif far or wanted.event is not None:
            # Everything up to the newest was looked at.
            at.after = max(at.newest, at.after)
        else:
            at.after = max(min(at.newest, at.after + WINDOW), at.after)
        return found

    def _told(self, at: Following, places: Sequence[Sequence[Any]], versions: Versions) -> Flow[list[Notice]]:
        """Read what stands in places: by their keys, so that no plan depends on what the server believes of the tables."""
        events = [seq for _, seq, change in places if not change]
        changes = [change for _, _, change in places if change]
        parts = [one.statement("feed", {"seqs": events}) for one in self._parts] if events else []
        more = [self._changes.statement("feed", {"numbers": changes})] if changes else []
        results: list[Result] = (yield Batch.between(self.dialect.begin_reading, *parts, *more))[1:-1]
        rows = self.entries.rows(results[1 : len(parts)]) if events else []
        entries = {one.seq: self.entries.entry(one, versions) for one in rows}
        made = {number: self._changed(row) for number, *row in (results[-1].rows if changes else ())}
        return [
            Notice(
                position=position,
                cursor=f"{at.incarnation.hex}.{position}",
                entry=None if change else entries[seq],
                change=made[change] if change else None,
            )
            for position, seq, change in places
            # What was refused has a place, and is no news.
            if change or entries[seq].outcome == "committed"
        ]

    def _page(self, by_subject: bool, by_kind: bool, by_event: bool, far: bool) -> Select[Any]:
        p, e, s = tables.position.c, tables.event.c, tables.subject.c
        tenant, after = bindparam("tenant", type_=e.tenant.type), bindparam("after", type_=BigInteger())
        conditions = [p.tenant == tenant, p.position > after]
        if not far and not by_event:
            conditions.append(p.position <= bindparam("until", type_=BigInteger()))
        if by_kind:
            wanted = e.kind.in_(bindparam("kinds", type_=e.kind.type, expanding=True))
            # As a value, which is looked up for each position of the window; as a join, it may be made of all events there are.
            conditions.append(
                select(literal_column("1")).where(e.seq == p.seq, wanted).scalar_subquery() == literal_column("1")
            )
        if by_event:
            one = select(e.seq).where(e.tenant == tenant, e.id == bindparam("event", type_=e.id.type)).scalar_subquery()
            conditions.append(p.seq == one)
        if by_subject:
            about = select(s.seq).where(
                s.tenant == tenant, s.subject.in_(bindparam("subjects", type_=s.subject.type, expanding=True))
            )
            conditions.append(p.seq.in_(about))
        page = select(p.position, p.seq, p.change).where(*conditions).order_by(p.position)
        return page.limit(bindparam("limit", type_=BigInteger()))

    def _changed(self, row: Sequence[Any]) -> Changed:
        seq, ordinal, effect, kind, step, event, event_kind, state, tries, at, detail = row
        moment = _INSTANT.process_result_value(at, self.dialect.sql)
        assert moment is not None
        return Changed(
            key=f"{seq}.{ordinal}",
            effect=UUID(str(effect)),
            kind=kind,
            step=step,
            event=UUID(str(event)),
            event_kind=event_kind,
            state=state,
            tries=tries,
            at=moment,
            detail=detail,
        )
