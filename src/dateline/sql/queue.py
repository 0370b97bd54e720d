"""The queue of deliveries: what is due is claimed for a time, and what came of each is recorded with its attempt.

Every statement is one text for both databases, but for the few words in which they differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dateline.core.canon import parsed
from dateline.core.personal import ERASED, unsealed
from dateline.core.request import Flow
from dateline.sql.sequencer import around
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.types import Instant
from dateline.sql.words import OPEN, Words

__all__ = ["Claimed", "Ended", "Queue"]

_INSTANT = Instant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One effect that is this worker's to send, until its lease ends.

    Args:
        id: The effect's; what a receiver recognises a repetition by.
        event: The event that wanted it, `recorded_at` when that was recorded, `actor` by whom it was.
        tries: Which try this is, from 1.
        payload: What it says; `erased` where personal values of it are gone.
        trace: The trace that the event belongs to, where that was asked for and is recorded.
    """

    tenant: str
    seq: int
    ordinal: int
    id: UUID
    kind: str
    tries: int
    event: UUID
    recorded_at: datetime
    actor: str
    payload: Mapping[str, Any]
    erased: bool = False
    trace: str | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it stands in the trail."""
        return (self.tenant, self.seq, self.ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of one try.

    Args:
        state: The delivery's from now on: "delivered", "due" for another try after `wait` seconds, "unknown", "dead", "expired".
        outcome: The attempt's: "delivered", "failed", "unknown", "expired".
        reference: What the receiver calls it; `detail` why it failed, without what it said.
    """

    tenant: str
    seq: int
    ordinal: int
    tries: int
    state: str
    outcome: str
    wait: float = 0.0
    reference: str | None = None
    detail: str | None = None

    @property
    def told(self) -> str:
        """The state as it is told: what is due again is retrying."""
        return "retrying" if self.state == "due" else self.state


class Queue(Words):
    """Builds the queue's statements for one database."""

    # Claiming -----------------------------------------------------------------------------------------------------------

    def claim(
        self,
        most: int,
        lease: timedelta,
        kinds: Sequence[str],
        ended: Sequence[Ended] = (),
        *,
        traced: bool = False,
    ) -> Flow[list[Claimed]]:
        """Take effects that are due, of these kinds, the longest due first; what waits for an earlier one of its lane is put aside.

        Args:
            ended: What came of tries before, recorded in the same transaction: each that is committed waits for the disk.
            traced: Read their events' traces too, which are in the wide bodies: whoever needs none does not pay for that.
        """
        seconds = lease.total_seconds()
        asked = json.dumps(sorted(kinds))
        claim = self.statement(self._claiming(traced), most, seconds, asked, name="claim")
        before = self._ending(json.dumps([asdict(one) for one in ended])) if ended else []
        results: list[Result] = (yield Batch.between(self.begin, *before, claim))[1:-1]
        rows = results[-1].rows
        if not self.near:
            return [self._claimed(row) for row in rows]
        taken = [row for row in rows if row[3] == "sending"]
        if not taken:
            return []
        detail = _DETAILS.format(trace=self._trace(traced))
        details = (self.statement(detail, *row[:3], name="effect") for row in taken)
        found = (yield Batch.between("BEGIN", *details))[1:-1]
        return [self._claimed((*row[:3], row[4], *one.rows[0])) for row, one in zip(taken, found, strict=True)]

    def _trace(self, traced: bool) -> str:
        """Return what takes an event's trace out of its body."""
        if not traced:
            return "NULL"
        if self.near:
            return """CASE WHEN instr(v.body, '"trace":"') THEN json_extract(v.body, '$.meta.origin.trace') END"""
        # PostgreSQL's JSON has no word for the character 0, wherever in the body it stands, and would fail the whole claim.
        return r"""CASE WHEN strpos(v.body, '"trace":"') > 0 AND strpos(v.body, '\u0000') = 0
    THEN v.body::json #>> '{meta,origin,trace}' END"""

    def _claiming(self, traced: bool) -> str:
        kinds = "(SELECT value FROM json_each($3))" if self.near else "(SELECT json_array_elements_text($3::json))"
        blocked = (
            "CASE WHEN d.lane IS NULL THEN 0 WHEN EXISTS (SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = d.tenant "
            f"AND e.lane = d.lane AND (e.seq, e.ordinal) < (d.seq, d.ordinal) AND e.state NOT IN {OPEN}) THEN 1 ELSE 0 END"
        )
        # MATERIALIZED: in IN (… LIMIT … SKIP LOCKED), PostgreSQL may look again and claim too many.
        claim = f"""
WITH found AS MATERIALIZED (
    SELECT d.tenant AS f_tenant, d.seq AS f_seq, d.ordinal AS f_ordinal, {blocked} AS f_blocked
    FROM dateline_delivery AS d WHERE d.state = 'due' AND d.due_at <= {self.now} AND d.kind IN {kinds}
    ORDER BY d.due_at, d.seq, d.ordinal LIMIT $1 {self.lock}
)"""
        update = f"""UPDATE dateline_delivery SET
        state = CASE f_blocked WHEN 1 THEN 'waiting' ELSE 'sending' END, tries = tries + 1 - f_blocked,
        began_at = CASE f_blocked WHEN 1 THEN began_at ELSE {self.now} END,
        due_at = CASE f_blocked WHEN 1 THEN due_at ELSE {self.later("$2")} END
    FROM found WHERE tenant = f_tenant AND seq = f_seq AND ordinal = f_ordinal
    RETURNING tenant, seq, ordinal, state, tries"""
        if self.near:
            return f"{claim} {update}"
        return f"""{claim}, taken AS ({update})
SELECT t.tenant, t.seq, t.ordinal, t.tries, e.id, e.kind, e.payload, v.id, v.recorded_at, v.actor, (
    SELECT json_object_agg(p.path, p.value) FROM dateline_personal AS p
    WHERE p.tenant = t.tenant AND p.seq = t.seq AND p.path LIKE '/effects/' || t.ordinal || '%'
)::text, {self._trace(traced)}
FROM taken AS t JOIN dateline_effect AS e ON (e.tenant, e.seq, e.ordinal) = (t.tenant, t.seq, t.ordinal)
JOIN dateline_event AS v ON v.seq = t.seq WHERE t.state = 'sending' ORDER BY t.seq, t.ordinal"""

    def _claimed(self, row: Sequence[Any]) -> Claimed:
        tenant, seq, ordinal, tries, id, kind, payload, event, recorded_at, actor, personal, trace = row
        held = json.loads(personal) if personal else {}
        values = {path: ERASED if value is None else parsed(value) for path, value in held.items()}
        made = unsealed(parsed(payload), f"/effects/{ordinal}", values)
        sql = self.dialect.sql
        moment = _INSTANT.process_result_value(recorded_at, sql)
        assert moment is not None
        return Claimed(
            tenant=tenant,
            seq=seq,
            ordinal=ordinal,
            id=UUID(str(id)),
            kind=kind,
            tries=tries,
            event=UUID(str(event)),
            recorded_at=moment,
            actor=actor,
            payload=made,
            erased=any(value is ERASED for path, value in values.items() if path.startswith(f"/effects/{ordinal}/")),
            trace=trace,
        )

    # Ending -------------------------------------------------------------------------------------------------------------

    def end(self, ended: Iterable[Ended]) -> Flow[None]:
        """Record what came of tries, all or nothing; of one whose lease somebody else has taken since, its attempt alone."""
        text = json.dumps([asdict(one) for one in ended])
        yield Batch.between(self.begin, *self._ending(text))

    def _ending(self, text: str) -> list[Statement]:
        x = self.rows("$1")
        # A worker that comes back after its lease finds its try marked as unknown; what it knows is better.
        same = "d.tenant = x.tenant AND d.seq = x.seq AND d.ordinal = x.ordinal AND d.tries = x.tries AND d.state IN ('sending', 'unknown')"
        attempt = f"""
INSERT INTO dateline_attempt (tenant, seq, ordinal, number, effect, began_at, ended_at, outcome, reference, detail)
SELECT e.tenant, e.seq, e.ordinal, x.tries, e.id, coalesce(d.began_at, {self.now}), {self.now}, x.outcome, x.reference, x.detail
FROM {x} JOIN dateline_effect AS e ON e.tenant = x.tenant AND e.seq = x.seq AND e.ordinal = x.ordinal
LEFT JOIN dateline_delivery AS d ON {same} WHERE x.outcome <> 'expired'
ON CONFLICT (tenant, seq, ordinal, number) DO UPDATE SET
ended_at = excluded.ended_at, outcome = excluded.outcome, reference = excluded.reference, detail = excluded.detail"""
        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at, detail)
SELECT d.tenant, d.seq, d.ordinal, CASE x.state WHEN 'due' THEN 'retrying' ELSE x.state END, x.tries, {self.now}, x.detail
FROM {x} JOIN dateline_delivery AS d ON {same}"""
        # The next of the lane alone: woken together, all but one would be put aside again.
        lanes = f"""
UPDATE dateline_delivery SET state = 'due' WHERE state = 'waiting' AND (tenant, seq, ordinal) IN (
    SELECT w.tenant, w.seq, w.ordinal FROM {x} JOIN dateline_delivery AS d ON {same}
    JOIN dateline_delivery AS w ON w.tenant = d.tenant AND w.lane = d.lane AND w.state = 'waiting'
    WHERE x.state IN ('delivered', 'expired') AND NOT EXISTS (
        SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = w.tenant AND e.lane = w.lane AND e.state = 'waiting'
        AND (e.seq, e.ordinal) < (w.seq, w.ordinal)))"""
        gone = f"""
DELETE FROM dateline_delivery WHERE (tenant, seq, ordinal) IN (
    SELECT d.tenant, d.seq, d.ordinal FROM {x} JOIN dateline_delivery AS d ON {same} WHERE x.state = 'delivered')"""
        kept = f"""
UPDATE dateline_delivery SET state = x.state, due_at = {self.later("x.wait")}
FROM {x} WHERE dateline_delivery.tenant = x.tenant AND dateline_delivery.seq = x.seq AND dateline_delivery.ordinal = x.ordinal
AND dateline_delivery.tries = x.tries AND dateline_delivery.state IN ('sending', 'unknown') AND x.state <> 'delivered'"""
        recorded = around(self.dialect, self.statement(self.recording(changed), text, name="change"))
        rest = {"lane": lanes, "delivered": gone, "state": kept}
        return [
            self.statement(attempt, text, name="attempt"),
            *recorded,
            *(self.statement(sql, text, name=name) for name, sql in rest.items()),
        ]

    def reap(self, most: int, resend: Sequence[str]) -> Flow[int]:
        """Put an end to leases that ran out: of kinds whose receiver recognises a repetition they are due again, of others unknown.

        Returns:
            How many there were.
        """
        kinds = "(SELECT value FROM json_each($2))" if self.near else "(SELECT json_array_elements_text($2::json))"
        look = f"""
SELECT tenant, seq, ordinal, tries, CASE WHEN kind IN {kinds} THEN 1 ELSE 0 END FROM dateline_delivery
WHERE state = 'sending' AND due_at <= {self.now} ORDER BY due_at, seq, ordinal LIMIT $1 {self.lock}"""
        begin = Statement(self.begin, name="begin")
        looked = self.statement(look, most, json.dumps(sorted(resend)), name="reap")
        results: list[Result] = yield Batch((begin, looked), opens=True)
        ended = [
            Ended(
                tenant=tenant,
                seq=seq,
                ordinal=ordinal,
                tries=tries,
                state="due" if again else "unknown",
                outcome="unknown",
                detail="nobody came back from this try",
            )
            for tenant, seq, ordinal, tries, again in results[1].rows
        ]
        statements = self._ending(json.dumps([asdict(one) for one in ended])) if ended else []
        yield Batch((*statements, Statement("COMMIT", name="end")), ends=True)
        return len(ended)

    def wake(self) -> Flow[int]:
        """Let what waited go on where nothing before it is left: what was put aside while the one before it ended, nobody else wakes."""
        sweep = f"""
UPDATE dateline_delivery SET state = 'due' WHERE state = 'waiting' AND NOT EXISTS (
    SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = dateline_delivery.tenant AND e.lane = dateline_delivery.lane
    AND (e.seq, e.ordinal) < (dateline_delivery.seq, dateline_delivery.ordinal) AND e.state NOT IN {OPEN})"""
        results: list[Result] = yield Batch.between(self.begin, self.statement(sweep, name="wake"))
        return results[1].count


_DETAILS = """
SELECT e.id, e.kind, e.payload, v.id, v.recorded_at, v.actor, (
    SELECT json_group_object(p.path, p.value) FROM dateline_personal AS p
    WHERE p.tenant = e.tenant AND p.seq = e.seq AND p.path LIKE '/effects/' || e.ordinal || '%'
), {trace} FROM dateline_effect AS e JOIN dateline_event AS v ON v.seq = e.seq WHERE e.tenant = $1 AND e.seq = $2 AND e.ordinal = $3"""
