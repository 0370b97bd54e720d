"""What erases a subject: its personal values, what would still be sent of them, and what they could be guessed by.

The statements belong into the transaction that records the erasure, after everything else: what that itself has kept is erased too.
"""

from __future__ import annotations

from collections.abc import Sequence

from dateline.core.draft import Draft
from dateline.core.erase import EraseSubject
from dateline.core.outcome import Removal
from dateline.sql.sequencer import around
from dateline.sql.statement import Result, Statement
from dateline.sql.words import OPEN, Words

__all__ = ["Eraser"]

_GONE = "its personal values were erased"

# Deliveries of effects in whose payload a value of the subject's stands, or stood.
_OF = """(tenant, seq, ordinal) IN (
    SELECT d.tenant, d.seq, d.ordinal FROM dateline_personal AS p JOIN dateline_delivery AS d ON d.tenant = p.tenant AND d.seq = p.seq
    WHERE p.tenant = $1 AND p.subject = $2 AND p.path LIKE '/effects/' || d.ordinal || '/%')"""


class Eraser(Words):
    """Builds the statements that erase, for one database."""

    def statements(self, draft: Draft) -> tuple[Statement, ...]:
        """Return what erases the subject that a draft names, in order; nothing for any other draft."""
        if not isinstance(draft.event, EraseSubject) or draft.outcome != "committed":
            return ()
        of = (draft.meta.tenant, draft.event.subject)
        return tuple(
            statement
            for name, sql in self._texts().items()
            for statement in self._placed(self.statement(sql, *of, name=name))
        )

    def removal(self, statements: Sequence[Statement], results: Sequence[Result]) -> Removal | None:
        """Return what the statements removed."""
        found = {statement.name: result for statement, result in zip(statements, results, strict=True)}
        if not found:
            return None
        keys = [(f"{seq}.{ordinal}", state == "sending") for seq, ordinal, state in found["standing"].rows]
        return Removal(
            values=found["erase"].count,
            cancelled=tuple(key for key, sending in keys if not sending),
            sending=tuple(key for key, sending in keys if sending),
        )

    def _placed(self, statement: Statement) -> tuple[Statement, ...]:
        return around(self.dialect, statement) if statement.name == "change" else (statement,)

    def _texts(self) -> dict[str, str]:
        unfinished = f"state NOT IN ('sending', 'cancelled', 'expired') AND {_OF}"
        return {
            # Who holds a lease that ran out will not come back; who holds another may have sent it by now.
            "reap": f"UPDATE dateline_delivery SET state = 'unknown' WHERE state = 'sending' AND due_at <= {self.now} AND {_OF}",
            "attempt": f"""
INSERT INTO dateline_attempt (tenant, seq, ordinal, number, effect, began_at, ended_at, outcome, detail)
SELECT d.tenant, d.seq, d.ordinal, d.tries, e.id, coalesce(d.began_at, {self.now}), {self.now}, 'unknown', 'nobody came back from this try'
FROM (SELECT * FROM dateline_delivery WHERE state = 'unknown' AND {_OF}) AS d
JOIN dateline_effect AS e ON e.tenant = d.tenant AND e.seq = d.seq AND e.ordinal = d.ordinal WHERE d.tries > 0
ON CONFLICT (tenant, seq, ordinal, number) DO NOTHING""",
            "standing": f"""
SELECT seq, ordinal, state FROM dateline_delivery WHERE state NOT IN ('cancelled', 'expired') AND {_OF} ORDER BY seq, ordinal""",
            "change": self.recording(
                f"""
INSERT INTO dateline_change (tenant, seq, ordinal, state, tries, at, detail)
SELECT tenant, seq, ordinal, 'cancelled', tries, {self.now}, '{_GONE}' FROM dateline_delivery WHERE {unfinished} ORDER BY seq, ordinal"""
            ),
            "state": f"UPDATE dateline_delivery SET state = 'cancelled', due_at = {self.now} WHERE {unfinished}",
            # Whoever waited behind one of them goes on.
            "lane": f"""
UPDATE dateline_delivery SET state = 'due' WHERE state = 'waiting' AND (tenant, lane) IN (
    SELECT tenant, lane FROM dateline_delivery WHERE lane IS NOT NULL AND state = 'cancelled' AND {_OF}
) AND NOT EXISTS (
    SELECT 1 FROM dateline_delivery AS e WHERE e.tenant = dateline_delivery.tenant AND e.lane = dateline_delivery.lane
    AND (e.seq, e.ordinal) < (dateline_delivery.seq, dateline_delivery.ordinal) AND e.state NOT IN {OPEN})""",
            # By the salt of its request key an input could be tried out, as by that of each value.
            "claim": """
UPDATE dateline_claim SET salt = NULL WHERE tenant = $1 AND salt IS NOT NULL AND event IN (
    SELECT e.id FROM dateline_personal AS p JOIN dateline_event AS e ON e.seq = p.seq
    WHERE p.tenant = $1 AND p.subject = $2 AND p.path LIKE '/input/%')""",
            "erase": """
UPDATE dateline_personal SET salt = NULL, value = NULL
WHERE tenant = $1 AND subject = $2 AND (salt IS NOT NULL OR value IS NOT NULL)""",
        }
