"""How deliveries stand, for people; and stepping in, inside of a transaction in which that is recorded as an event."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dateline.core.canon import parsed
from dateline.core.request import Flow
from dateline.errors import Malformed
from dateline.sql.sequencer import around
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.types import Id, Instant
from dateline.sql.words import OPEN, Words

__all__ = ["Queued", "Standing", "Tried", "place_of"]

_INSTANT, _ID = Instant(), Id()


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One effect whose delivery is not done.

    Args:
        key: Its place in the trail, `seq.ordinal`, by which it is retried, cancelled or approved.
        state: "held", "due", "waiting" for an earlier one of its lane, "sending", "retrying", "unknown", "dead", "cancelled" or "expired".
        due_at: When it is tried next; while it is being sent, when that counts as lost.
        detail: Why the last try failed.
    """

    key: str
    id: UUID
    kind: str
    state: str
    tries: int
    due_at: datetime
    lane: str | None
    event: UUID
    recorded_at: datetime
    step: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One try to deliver an effect.

    Args:
        seq: The number of the effect's event.
        ordinal: The effect's place in its event's plan; `number` which try, from 1.
        outcome: "delivered", "failed" or "unknown".
        reference: What the receiver calls it; `detail` why it failed.
    """

    seq: int
    ordinal: int
    number: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str
    reference: str | None
    detail: str | None


_KEY = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})")


def place_of(effect: str) -> tuple[int, int]:
    """Return the number of an effect's event, and its place in that event's plan, of its key.

    Raises:
        Malformed: For what is no key.
    """
    met = _KEY.fullmatch(effect) if isinstance(effect, str) else None
    if met is None:
        raise Malformed(
            f"{str(effect)[:60]!r} is no effect's key; it is seq.ordinal, as `dateline effects` lists it: 1234.0"
        )
    return int(met[1]), int(met[2])


class Standing(Words):
    """Builds the statements that look at deliveries, and change one, for one database."""

    def listed(
        self, tenant: str, states: Sequence[str], kind: str | None, limit: int, after: str | None = None
    ) -> Flow[list[Queued]]:
        """Return deliveries that are not done, the oldest first.

        Args:
            states: As they are told; all without any.
            after: The key of the last that was seen.

        Raises:
            Malformed: For what is no key.
        """
        seq, ordinal = (-1, -1) if after is None else place_of(after)
        found = "(SELECT value FROM json_each($2))" if self.near else "(SELECT json_array_elements_text($2::json))"
        told = "CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE d.state END"
        only = f"AND {told} IN {found}" if states else "AND $2 = $2"
        sql = f"""
SELECT d.seq, d.ordinal, e.id, d.kind, {told}, d.tries, d.due_at, d.lane, v.id, v.recorded_at, e.step, (
    SELECT a.detail FROM dateline_attempt AS a WHERE a.tenant = d.tenant AND a.seq = d.seq AND a.ordinal = d.ordinal
    ORDER BY a.number DESC LIMIT 1)
FROM dateline_delivery AS d JOIN dateline_effect AS e ON e.tenant = d.tenant AND e.seq = d.seq AND e.ordinal = d.ordinal
JOIN dateline_event AS v ON v.seq = d.seq
WHERE d.tenant = $1 {only} AND ($3 = '' OR d.kind = $3) AND (d.seq, d.ordinal) > ($5, $6)
ORDER BY d.seq, d.ordinal LIMIT $4"""
        statement = self.statement(sql, tenant, json.dumps([*states]), kind or "", limit, seq, ordinal, name="effects")
        results: list[Result] = yield Batch.between(self.dialect.begin_reading, statement)
        return [self._queued(row) for row in results[1].rows]

    def _queued(self, row: Sequence[Any]) -> Queued:
        seq, ordinal, id, kind, state, tries, due_at, lane, event, recorded_at, step, detail = row
        sql = self.dialect.sql
        due, recorded = (_INSTANT.process_result_value(one, sql) for one in (due_at, recorded_at))
        assert due is not None
        assert recorded is not None
        return Queued(
            key=f"{seq}.{ordinal}",
            id=UUID(str(id)),
            kind=kind,
            state=state,
            tries=tries,
            due_at=due,
            lane=lane,
            event=UUID(str(event)),
            recorded_at=recorded,
            step=step,
            detail=detail,
        )

    def tried(self, tenant: str, seqs: Sequence[int]) -> Flow[tuple[Tried, ...]]:
        """Return the tries to deliver some events' effects, in their order."""
        all = (
            "(SELECT value FROM json_each($2))" if self.near else "(SELECT json_array_elements_text($2::json)::bigint)"
        )
        sql = f"""
SELECT seq, ordinal, number, began_at, ended_at, outcome, reference, detail FROM dateline_attempt
WHERE tenant = $1 AND seq IN {all} ORDER BY seq, ordinal, number"""
        statement = self.statement(sql, tenant, json.dumps(list(seqs)), name="attempts")
        results: list[Result] = yield Batch.between(self.dialect.begin_reading, statement)
        made = []
        for seq, ordinal, number, began, ended, outcome, reference, detail in results[1].rows:
            begun = _INSTANT.process_result_value(began, self.dialect.sql)
            assert begun is not None
            made.append(
                Tried(
                    seq=seq,
                    ordinal=ordinal,
                    number=number,
                    began_at=begun,
                    ended_at=_INSTANT.process_result_value(ended, self.dialect.sql),
                    outcome=outcome,
                    reference=reference,
                    detail=detail,
                )
            )
        return tuple(made)

    def found(self, tenant: str, seq: int, ordinal: int) -> Flow[tuple[UUID, str, UUID, tuple[str, ...], str] | None]:
        """Return an effect's id and kind, its event's id and subjects, and the state that is told of it; None where there is none."""
        sql = """
SELECT e.id, e.kind, v.id, v.subjects, CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE coalesce(d.state, 'delivered') END
FROM dateline_effect AS e JOIN dateline_event AS v ON v.seq = e.seq
LEFT JOIN dateline_delivery AS d ON d.tenant = e.tenant AND d.seq = e.seq AND d.ordinal = e.ordinal
WHERE e.tenant = $1 AND e.seq = $2 AND e.ordinal = $3"""
        results: list[Result] = yield Batch((self.statement(sql, tenant, seq, ordinal, name="effect"),))
        for id, kind, event, subjects, state in results[0].rows:
            return UUID(str(id)), kind, UUID(str(event)), tuple(parsed(subjects)), state
        return None

    def act(self, tenant: str, seq: int, ordinal: int, *, before: Sequence[str], after: str) -> Flow[bool]:
        """Change the state of one delivery inside an open transaction; tell whether it was in one of the states before."""
        results: list[Result] = yield Batch(self.acting(tenant, [(seq, ordinal)], before=before, after=after))
        # The state comes before the lane, which is the last.
        return results[-2].count == 1

    def acting(
        self, tenant: str, places: Sequence[tuple[int, int]], *, before: Sequence[str], after: str
    ) -> tuple[Statement, ...]:
        """Return what changes the state of deliveries that are in one of the states before, then lets the next of their lanes go.

        Args:
            places: Number and ordinal of each.
        """
        states = "(SELECT value FROM json_each($2))" if self.near else "(SELECT json_array_elements_text($2::json))"

        def at(alias: str = "") -> str:
            # Each by itself: so PostgreSQL looks each up in the key, however few it thinks there are.
            each = (f"{alias}seq = ${3 + 2 * n} AND {alias}ordinal = ${4 + 2 * n}" for n in range(len(places)))
            return f"{alias}tenant = $1 AND ({' OR '.join(each)})"

        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at)
SELECT tenant, seq, ordinal, '{after}', tries, {self.now} FROM dateline_delivery WHERE {at()} AND state IN {states} ORDER BY seq, ordinal"""
        update = (
            f"UPDATE dateline_delivery SET state = '{after}', due_at = {self.now} WHERE {at()} AND state IN {states}"
        )
        lane = f"""
UPDATE dateline_delivery SET state = 'due' WHERE state = 'waiting' AND $2 = $2 AND (tenant, seq, ordinal) IN (
    SELECT w.tenant, w.seq, w.ordinal FROM dateline_delivery AS d
    JOIN dateline_delivery AS w ON w.tenant = d.tenant AND w.lane = d.lane AND w.state = 'waiting'
    WHERE {at("d.")} AND d.state IN {OPEN} AND NOT EXISTS (
        SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = w.tenant AND e.lane = w.lane AND e.state NOT IN {OPEN}
        AND (e.seq, e.ordinal) < (w.seq, w.ordinal)))"""
        params = (tenant, json.dumps([*before]), *(one for place in places for one in place))
        recorded = around(self.dialect, self.statement(self.recording(changed), *params, name="change"))
        rest = (self.statement(sql, *params, name=name) for name, sql in {"state": update, "lane": lane}.items())
        return (*recorded, *rest)

    def hold(self) -> Flow[int]:
        """Put everything that would be sent on hold, inside an open transaction; return how many there were."""
        unfinished = "state IN ('due', 'waiting', 'sending')"
        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at)
SELECT tenant, seq, ordinal, 'held', tries, {self.now} FROM dateline_delivery WHERE {unfinished}"""
        recorded = around(self.dialect, self.statement(self.recording(changed), name="hold"))
        update = self.statement(f"UPDATE dateline_delivery SET state = 'held' WHERE {unfinished}", name="hold")
        results: list[Result] = yield Batch((*recorded, update))
        return results[-1].count

    def begin_anew(self, id: UUID) -> Flow[None]:
        """Record a new incarnation, inside an open transaction: cursors of the one before are no longer taken."""
        told = _ID.process_bind_param(id, self.dialect.sql)
        sql = f"INSERT INTO dateline_incarnation (id, began_at) VALUES ($1, {self.now})"
        yield Batch((self.statement(sql, told, name="incarnation"),))
