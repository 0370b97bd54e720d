"""Recording who looks at whom, before it is shown, and listing it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from dateline.core.access import Access, Look
from dateline.core.canon import parsed
from dateline.core.meta import Actor, Reason
from dateline.core.request import Flow
from dateline.errors import Malformed
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result, Statement
from dateline.sql.types import Id, Instant
from dateline.sql.words import Words

__all__ = ["Accesses"]

_INSTANT, _ID = Instant(), Id()

MOST = 10_000
"""Accesses that are listed at once."""


class Accesses(Words):
    """Builds the statements that record and list accesses, for one database."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        told = (
            "SELECT value AS subject FROM json_each($10)"
            if self.near
            else "SELECT json_array_elements_text($10::json) AS subject"
        )
        id, flag = ("$6", "$7") if self.near else ("$6::uuid", "$7::boolean")
        # A subject that is told, one of the event's, and whose personal values it holds, is one.
        self._insert = f"""
INSERT INTO dateline_access (at, tenant, actor, who, door, view, event, unmasked, outcome, reason, subject)
SELECT {self.now}, $1, $2, $3, $4, $5, {id}, {flag}, $8, $9, x.subject FROM (
    {told} UNION
    SELECT s.subject FROM dateline_event AS e JOIN dateline_subject AS s ON s.tenant = e.tenant AND s.seq = e.seq
    WHERE e.tenant = $1 AND e.id = {id} UNION
    SELECT p.subject FROM dateline_event AS e JOIN dateline_personal AS p ON p.tenant = e.tenant AND p.seq = e.seq
    WHERE e.tenant = $1 AND e.id = {id} AND p.subject <> '') AS x"""

    def recorded(self, looks: Sequence[Look]) -> Flow[int]:
        """Record looks, all in one trip; return how many rows that is. What is about nobody leaves none."""
        statements = [self._recording(look) for look in looks if look.subjects or look.event is not None]
        if not statements:
            return 0
        results: list[Result] = yield Batch.between(self.begin, *statements)
        return sum(one.count for one in results[1:-1])

    def _recording(self, look: Look) -> Statement:
        id = _ID.process_bind_param(look.event, self.dialect.sql)
        reason = None if look.reason is None else json.dumps(look.reason.facts())
        who = json.dumps(look.actor.facts())
        facts = (
            look.tenant,
            look.actor.id,
            who,
            look.door[:20],
            look.view[:40],
            id,
            look.unmasked,
            look.outcome,
            reason,
        )
        # Whoever asks for what can be nobody's name has looked even so.
        subjects = dict.fromkeys(one[:400].replace("\0", "\N{REPLACEMENT CHARACTER}") for one in look.subjects)
        return self.statement(self._insert, *facts, json.dumps(list(subjects)), name="access")

    def listed(
        self,
        *,
        tenant: str = "",
        subject: str | None = None,
        actor: str | None = None,
        after: int | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Flow[tuple[Access, ...]]:
        """Return accesses of a tenant's, oldest first: to a subject, by an actor, or both.

        Raises:
            Malformed: For a limit that is none.
        """
        if not 1 <= limit <= MOST:
            raise Malformed(f"limit= is a number from 1 to {MOST}")
        by = {"subject": subject, "actor": actor}
        conditions, params = ["tenant = $1"], [tenant, limit]
        for name, told in by.items():
            if told is not None:
                params.append(told)
                conditions.append(f"{name} = ${len(params)}")
        if after is not None:
            params.append(after)
            conditions.append(f"number {'<' if newest_first else '>'} ${len(params)}")
        sql = f"""
SELECT number, at, tenant, subject, who, door, view, event, unmasked, outcome, reason FROM dateline_access
WHERE {" AND ".join(conditions)} ORDER BY number {"DESC" if newest_first else "ASC"} LIMIT $2"""
        statement = self.statement(sql, *params, name="accesses")
        results: list[Result] = yield Batch.between(self.dialect.begin_reading, statement)
        return tuple(self._access(row) for row in results[1].rows)

    def _access(self, row: Sequence[Any]) -> Access:
        number, at, tenant, subject, who, door, view, event, unmasked, outcome, reason = row
        moment = _INSTANT.process_result_value(at, self.dialect.sql)
        assert moment is not None
        return Access(
            number=number,
            at=moment,
            tenant=tenant,
            subject=subject,
            actor=Actor(**parsed(who)),
            door=door,
            view=view,
            event=None if event is None else UUID(str(event)),
            unmasked=bool(unmasked),
            outcome=outcome,
            reason=None if reason is None else Reason(**parsed(reason)),
        )
