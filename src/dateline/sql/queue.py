"""The queue of deliveries: what is due is claimed for a time, and what came of each is recorded with its attempt.

Every statement is one text for both databases, but for the few words in which they differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dateline.core.canon import parsed
from dateline.core.personal import ERASED, unsealed
from dateline.core.request import Flow
from dateline.sql.dialect import Dialect
from dateline.sql.sequencer import around
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.types import Id, Instant

__all__ = ["Claimed", "Ended", "Lag", "Queue", "Queued"]

_INSTANT, _ID = Instant(), Id()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """One effect that is this worker's to send, until its lease ends.

    Args:
        id: The effect's; what a receiver recognises a repetition by.
        event: The event that wanted it, `recorded_at` when that was recorded, `actor` by whom it was.
        tries: Which try this is, from 1.
        payload: What it says; `erased` where personal values of it are gone.
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


@dataclass(frozen=True, slots=True)
class Lag:
    """How the queue stands.

    Args:
        counts: How many deliveries are in each state.
        oldest: Since how many seconds the first of those that are due has been so; 0 where none is.
        open: For how many seconds the oldest transaction that writes has been open: until it ends, its events have no place in the feed,
            and those that come after it go before.
    """

    counts: Mapping[str, int]
    oldest: float
    open: float = 0.0


_COLUMNS = {
    "tenant": "text",
    "seq": "bigint",
    "ordinal": "integer",
    "tries": "integer",
    "state": "text",
    "outcome": "text",
    "wait": "double precision",
    "reference": "text",
    "detail": "text",
}

_NUMBERED = re.compile(r"\$(?=\d)")

_OPEN = "('cancelled', 'expired')"
"""States of a lane's earlier effects that keep none waiting."""


class Queue:
    """Builds the queue's statements for one database."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        near = dialect.near
        self._near = near
        self._now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" if near else "clock_timestamp()"
        self._lock = "" if near else "FOR UPDATE SKIP LOCKED"
        self._number = "NULL" if near else "nextval('dateline_event_seq')"
        self._begin = "BEGIN IMMEDIATE" if near else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def _later(self, seconds: str) -> str:
        """Return the instant a number of seconds from now."""
        if self._near:
            return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ({seconds}) || ' seconds')"
        return f"clock_timestamp() + make_interval(secs => {seconds})"

    def _rows(self, mark: str) -> str:
        """Return the rows of a JSON text, as a table `x`."""
        if self._near:
            taken = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _COLUMNS)
            return f"(SELECT {taken} FROM json_each({mark})) AS x"
        typed = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        return f"json_to_recordset({mark}::json) AS x({typed})"

    def _statement(self, sql: str, *params: Any, name: str) -> Statement:
        # Both number their parameters; only the sign is another.
        return Statement(_NUMBERED.sub("?", sql) if self._near else sql, params, name)

    # Claiming -----------------------------------------------------------------------------------------------------------

    def claim(
        self, most: int, lease: timedelta, kinds: Sequence[str], ended: Sequence[Ended] = ()
    ) -> Flow[list[Claimed]]:
        """Take effects that are due, of these kinds, the longest due first; what waits for an earlier one of its lane is put aside.

        Args:
            ended: What came of tries before, recorded in the same transaction: each that is committed waits for the disk.
        """
        seconds = lease.total_seconds()
        asked = json.dumps(sorted(kinds))
        claim = self._statement(self._claiming(), most, seconds, asked, name="claim")
        before = self._ending(json.dumps([asdict(one) for one in ended])) if ended else []
        results: list[Result] = (yield Batch.between(self._begin, *before, claim))[1:-1]
        rows = results[-1].rows
        if not self._near:
            return [self._claimed(row) for row in rows]
        taken = [row for row in rows if row[3] == "sending"]
        if not taken:
            return []
        details = (self._statement(_DETAILS, *row[:3], name="effect") for row in taken)
        found = (yield Batch.between("BEGIN", *details))[1:-1]
        return [self._claimed((*row[:3], row[4], *one.rows[0])) for row, one in zip(taken, found, strict=True)]

    def _claiming(self) -> str:
        kinds = "(SELECT value FROM json_each($3))" if self._near else "(SELECT json_array_elements_text($3::json))"
        blocked = (
            "CASE WHEN d.lane IS NULL THEN 0 WHEN EXISTS (SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = d.tenant "
            f"AND e.lane = d.lane AND (e.seq, e.ordinal) < (d.seq, d.ordinal) AND e.state NOT IN {_OPEN}) THEN 1 ELSE 0 END"
        )
        # MATERIALIZED: in IN (… LIMIT … SKIP LOCKED), PostgreSQL may look again and claim too many.
        claim = f"""
WITH found AS MATERIALIZED (
    SELECT d.tenant AS f_tenant, d.seq AS f_seq, d.ordinal AS f_ordinal, {blocked} AS f_blocked
    FROM dateline_delivery AS d WHERE d.state = 'due' AND d.due_at <= {self._now} AND d.kind IN {kinds}
    ORDER BY d.due_at, d.seq, d.ordinal LIMIT $1 {self._lock}
)"""
        update = f"""UPDATE dateline_delivery SET
        state = CASE f_blocked WHEN 1 THEN 'waiting' ELSE 'sending' END, tries = tries + 1 - f_blocked,
        began_at = CASE f_blocked WHEN 1 THEN began_at ELSE {self._now} END,
        due_at = CASE f_blocked WHEN 1 THEN due_at ELSE {self._later("$2")} END
    FROM found WHERE tenant = f_tenant AND seq = f_seq AND ordinal = f_ordinal
    RETURNING tenant, seq, ordinal, state, tries"""
        if self._near:
            return f"{claim} {update}"
        return f"""{claim}, taken AS ({update})
SELECT t.tenant, t.seq, t.ordinal, t.tries, e.id, e.kind, e.payload, v.id, v.recorded_at, v.actor, (
    SELECT json_object_agg(p.path, p.value) FROM dateline_personal AS p
    WHERE p.tenant = t.tenant AND p.seq = t.seq AND p.path LIKE '/effects/' || t.ordinal || '%'
)::text
FROM taken AS t JOIN dateline_effect AS e ON (e.tenant, e.seq, e.ordinal) = (t.tenant, t.seq, t.ordinal)
JOIN dateline_event AS v ON v.seq = t.seq WHERE t.state = 'sending' ORDER BY t.seq, t.ordinal"""

    def _claimed(self, row: Sequence[Any]) -> Claimed:
        tenant, seq, ordinal, tries, id, kind, payload, event, recorded_at, actor, personal = row
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
        )

    # Ending -------------------------------------------------------------------------------------------------------------

    def end(self, ended: Iterable[Ended]) -> Flow[None]:
        """Record what came of tries, all or nothing; of one whose lease somebody else has taken since, its attempt alone."""
        text = json.dumps([asdict(one) for one in ended])
        yield Batch.between(self._begin, *self._ending(text))

    def _ending(self, text: str) -> list[Statement]:
        x = self._rows("$1")
        # A worker that comes back after its lease finds its try marked as unknown; what it knows is better.
        same = "d.tenant = x.tenant AND d.seq = x.seq AND d.ordinal = x.ordinal AND d.tries = x.tries AND d.state IN ('sending', 'unknown')"
        attempt = f"""
INSERT INTO dateline_attempt (tenant, seq, ordinal, number, effect, began_at, ended_at, outcome, reference, detail)
SELECT e.tenant, e.seq, e.ordinal, x.tries, e.id, coalesce(d.began_at, {self._now}), {self._now}, x.outcome, x.reference, x.detail
FROM {x} JOIN dateline_effect AS e ON e.tenant = x.tenant AND e.seq = x.seq AND e.ordinal = x.ordinal
LEFT JOIN dateline_delivery AS d ON {same} WHERE x.outcome <> 'expired'
ON CONFLICT (tenant, seq, ordinal, number) DO UPDATE SET
ended_at = excluded.ended_at, outcome = excluded.outcome, reference = excluded.reference, detail = excluded.detail"""
        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at, detail)
SELECT d.tenant, d.seq, d.ordinal, CASE x.state WHEN 'due' THEN 'retrying' ELSE x.state END, x.tries, {self._now}, x.detail
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
UPDATE dateline_delivery SET state = x.state, due_at = {self._later("x.wait")}
FROM {x} WHERE dateline_delivery.tenant = x.tenant AND dateline_delivery.seq = x.seq AND dateline_delivery.ordinal = x.ordinal
AND dateline_delivery.tries = x.tries AND dateline_delivery.state IN ('sending', 'unknown') AND x.state <> 'delivered'"""
        recorded = around(self.dialect, self._statement(self._recording(changed), text, name="change"))
        rest = {"lane": lanes, "delivered": gone, "state": kept}
        return [
            self._statement(attempt, text, name="attempt"),
            *recorded,
            *(self._statement(sql, text, name=name) for name, sql in rest.items()),
        ]

    def _recording(self, insert: str) -> str:
        """Return what records changes, and gives them their turn in the feed."""
        if self._near:
            return insert
        return f"""WITH changed AS ({insert} RETURNING number, tenant, seq)
INSERT INTO dateline_pending (seq, tenant, of) SELECT number, tenant, seq FROM changed"""

    def reap(self, most: int, resend: Sequence[str]) -> Flow[int]:
        """Put an end to leases that ran out: of kinds whose receiver recognises a repetition they are due again, of others unknown.

        Returns:
            How many there were.
        """
        kinds = "(SELECT value FROM json_each($2))" if self._near else "(SELECT json_array_elements_text($2::json))"
        look = f"""
SELECT tenant, seq, ordinal, tries, CASE WHEN kind IN {kinds} THEN 1 ELSE 0 END FROM dateline_delivery
WHERE state = 'sending' AND due_at <= {self._now} ORDER BY due_at, seq, ordinal LIMIT $1 {self._lock}"""
        begin = Statement(self._begin, name="begin")
        looked = self._statement(look, most, json.dumps(sorted(resend)), name="reap")
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
    AND (e.seq, e.ordinal) < (dateline_delivery.seq, dateline_delivery.ordinal) AND e.state NOT IN {_OPEN})"""
        results: list[Result] = yield Batch.between(self._begin, self._statement(sweep, name="wake"))
        return results[1].count

    # Looking, and stepping in -----------------------------------------------------------------------------------------

    def listed(self, tenant: str, states: Sequence[str], kind: str | None, limit: int) -> Flow[list[Queued]]:
        """Return deliveries that are not done, the oldest first.

        Args:
            states: As they are told; all without any.
        """
        found = "(SELECT value FROM json_each($2))" if self._near else "(SELECT json_array_elements_text($2::json))"
        told = "CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE d.state END"
        only = f"AND {told} IN {found}" if states else "AND $2 = $2"
        sql = f"""
SELECT d.seq, d.ordinal, e.id, d.kind, {told}, d.tries, d.due_at, d.lane, v.id, v.recorded_at, e.step, (
    SELECT a.detail FROM dateline_attempt AS a WHERE a.tenant = d.tenant AND a.seq = d.seq AND a.ordinal = d.ordinal
    ORDER BY a.number DESC LIMIT 1)
FROM dateline_delivery AS d JOIN dateline_effect AS e ON e.tenant = d.tenant AND e.seq = d.seq AND e.ordinal = d.ordinal
JOIN dateline_event AS v ON v.seq = d.seq
WHERE d.tenant = $1 {only} AND ($3 = '' OR d.kind = $3) ORDER BY d.seq, d.ordinal LIMIT $4"""
        statement = self._statement(sql, tenant, json.dumps([*states]), kind or "", limit, name="effects")
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

    def found(self, tenant: str, seq: int, ordinal: int) -> Flow[tuple[UUID, str, UUID, tuple[str, ...], str] | None]:
        """Return an effect's id and kind, its event's id and subjects, and the state that is told of it; None where there is none."""
        sql = """
SELECT e.id, e.kind, v.id, v.subjects, CASE WHEN d.state = 'due' AND d.tries > 0 THEN 'retrying' ELSE coalesce(d.state, 'delivered') END
FROM dateline_effect AS e JOIN dateline_event AS v ON v.seq = e.seq
LEFT JOIN dateline_delivery AS d ON d.tenant = e.tenant AND d.seq = e.seq AND d.ordinal = e.ordinal
WHERE e.tenant = $1 AND e.seq = $2 AND e.ordinal = $3"""
        results: list[Result] = yield Batch((self._statement(sql, tenant, seq, ordinal, name="effect"),))
        for id, kind, event, subjects, state in results[0].rows:
            return UUID(str(id)), kind, UUID(str(event)), tuple(parsed(subjects)), state
        return None

    def act(self, tenant: str, seq: int, ordinal: int, *, before: Sequence[str], after: str) -> Flow[bool]:
        """Change the state of one delivery inside an open transaction; tell whether it was in one of the states before."""
        states = "(SELECT value FROM json_each($4))" if self._near else "(SELECT json_array_elements_text($4::json))"
        at = f"tenant = $1 AND seq = $2 AND ordinal = $3 AND state IN {states}"
        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at)
SELECT tenant, seq, ordinal, '{after}', tries, {self._now} FROM dateline_delivery WHERE {at}"""
        update = f"UPDATE dateline_delivery SET state = '{after}', due_at = {self._now} WHERE {at}"
        lane = f"""
UPDATE dateline_delivery SET state = 'due' WHERE state = 'waiting' AND $4 = $4 AND (tenant, seq, ordinal) IN (
    SELECT w.tenant, w.seq, w.ordinal FROM dateline_delivery AS d
    JOIN dateline_delivery AS w ON w.tenant = d.tenant AND w.lane = d.lane AND w.state = 'waiting'
    WHERE d.tenant = $1 AND d.seq = $2 AND d.ordinal = $3 AND d.state IN {_OPEN} AND NOT EXISTS (
        SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = w.tenant AND e.lane = w.lane AND e.state NOT IN {_OPEN}
        AND (e.seq, e.ordinal) < (w.seq, w.ordinal)))"""
        params = (tenant, seq, ordinal, json.dumps([*before]))
        recorded = around(self.dialect, self._statement(self._recording(changed), *params, name="change"))
        rest = (self._statement(sql, *params, name=name) for name, sql in {"state": update, "lane": lane}.items())
        results: list[Result] = yield Batch((*recorded, *rest))
        return results[-2].count == 1

    def hold(self) -> Flow[int]:
        """Put everything that would be sent on hold, inside an open transaction; return how many there were."""
        unfinished = "state IN ('due', 'waiting', 'sending')"
        changed = f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at)
SELECT tenant, seq, ordinal, 'held', tries, {self._now} FROM dateline_delivery WHERE {unfinished}"""
        recorded = around(self.dialect, self._statement(self._recording(changed), name="hold"))
        update = self._statement(f"UPDATE dateline_delivery SET state = 'held' WHERE {unfinished}", name="hold")
        results: list[Result] = yield Batch((*recorded, update))
        return results[-1].count

    def begin_anew(self, id: UUID) -> Flow[None]:
        """Record a new incarnation, inside an open transaction: cursors of the one before are no longer taken."""
        told = _ID.process_bind_param(id, self.dialect.sql)
        sql = f"INSERT INTO dateline_incarnation (id, began_at) VALUES ($1, {self._now})"
        yield Batch((self._statement(sql, told, name="incarnation"),))

    def lag(self) -> Flow[Lag]:
        """Look at how the queue stands."""
        age = (
            f"(julianday({self._now}) - julianday(min(due_at))) * 86400.0"
            if self._near
            else "extract(epoch FROM clock_timestamp() - min(due_at))"
        )
        counts = "SELECT CASE WHEN state = 'due' AND tries > 0 THEN 'retrying' ELSE state END, count(*) FROM dateline_delivery GROUP BY 1"
        oldest = f"SELECT {age} FROM dateline_delivery WHERE state = 'due' AND due_at <= {self._now}"
        open_ = "SELECT 0" if self._near else _OPEN_FOR
        asked = (self._statement(sql, name="lag") for sql in (counts, oldest, open_))
        results: list[Result] = (yield Batch.between(self.dialect.begin_reading, *asked))[1:-1]
        held = {str(state): int(count) for state, count in results[0].rows}
        return Lag(held, *(max(float(one.rows[0][0] or 0), 0.0) for one in results[1:]))


_OPEN_FOR = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL"""

_DETAILS = """
SELECT e.id, e.kind, e.payload, v.id, v.recorded_at, v.actor, (
    SELECT json_group_object(p.path, p.value) FROM dateline_personal AS p
    WHERE p.tenant = e.tenant AND p.seq = e.seq AND p.path LIKE '/effects/' || e.ordinal || '%'
) FROM dateline_effect AS e JOIN dateline_event AS v ON v.seq = e.seq WHERE e.tenant = $1 AND e.seq = $2 AND e.ordinal = $3"""
