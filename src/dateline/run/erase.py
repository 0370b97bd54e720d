"""Erasing a subject's personal values: an event, after which nothing of the trail tells them, and every digest is still right."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from dateline.core.event import Event
from dateline.core.meta import Actor
from dateline.core.request import Flow, Pause
from dateline.errors import Conflict, Malformed
from dateline.run import log
from dateline.run.path import Given, Path
from dateline.sql.standing import Standing
from dateline.sql.statement import Batch, Result
from dateline.sql.together import closing, opening

__all__ = ["RIGHT", "EraseSubject", "Erasure", "erasing"]

RIGHT = "erase"
"""The right to erase."""


class EraseSubject(Event, kind="subject.erase", requires=RIGHT, subjects=("{subject}",)):
    """Somebody's personal values leave the trail for good.

    What becomes of the application's own tables, its handlers for this kind decide.

    Args:
        subject: Whose, such as `patient:42`.
    """

    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure did.

    Args:
        event_id: The event that records it; `seq` its number.
        values: How many values left the trail.
        cancelled: Effects that were not sent yet and cannot be any more, by `seq.ordinal`.
        sending: Those that were being sent at that moment.
    """

    event_id: UUID
    seq: int
    values: int
    cancelled: tuple[str, ...] = ()
    sending: tuple[str, ...] = ()


def erasing(path: Path, subject: str, given: Given) -> Flow[Erasure]:
    """Record the erasure, have the application's handlers decide about its tables, and take the values out of the trail, all at once.

    Raises:
        Malformed: Without a reason.
        Denied: Without the right; recorded.
    """
    if not (isinstance(subject, str) and subject):
        raise Malformed("a subject is a text such as 'patient:42'")
    if not given.get("reason"):
        raise Malformed(
            "an erasure has a reason, since it cannot be taken back: reason='asked for on 12 May, art. 17 GDPR'"
        )
    dialect, tries = path.store.dialect, 0
    event, tenant = EraseSubject(subject=subject), given.get("tenant", "")
    while True:
        try:
            if RIGHT not in Actor.of(given["actor"]).rights:
                # Refused as every request is, and recorded.
                yield from path.dispatching(event, given)
            yield from opening(dialect, own=True, idle=True)
            done = yield from path.dispatching(event, given, joined=True)
            cancelled, sending = yield from _cancelled(Standing(dialect), tenant, subject)
            # What the event itself has just recorded too: it saw what is erased.
            values = yield from _taken(Standing(dialect), tenant, subject)
            yield from closing(own=True)
        except Conflict:
            tries += 1
            yield Pause(tries)
        else:
            path.bell.ring()
            log.told("erased", id=done.event_id, seq=done.seq, values=values)
            return Erasure(event_id=done.event_id, seq=done.seq, values=values, cancelled=cancelled, sending=sending)


def _cancelled(queue: Standing, tenant: str, subject: str) -> Flow[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Cancel the effects that would tell what is erased."""
    about = """
SELECT d.seq, d.ordinal, d.state FROM dateline_delivery AS d
WHERE d.tenant = $1 AND d.state NOT IN ('cancelled', 'expired') AND EXISTS (
    SELECT 1 FROM dateline_personal AS p WHERE p.tenant = d.tenant AND p.subject = $2 AND p.seq = d.seq
    AND p.path LIKE '/effects/' || d.ordinal || '/%') ORDER BY d.seq, d.ordinal"""
    results: list[Result] = yield Batch((queue.statement(about, tenant, subject, name="erase"),))
    done: list[str] = []
    sending: list[str] = []
    for seq, ordinal, _ in results[0].rows:
        before = ("held", "due", "waiting", "unknown", "dead")
        fits = yield from queue.act(tenant, seq, ordinal, before=before, after="cancelled")
        (done if fits else sending).append(f"{seq}.{ordinal}")
    return tuple(done), tuple(sending)


def _taken(queue: Standing, tenant: str, subject: str) -> Flow[int]:
    """Take the values and their salts; and the salts of request keys, without which their digests tell nothing either."""
    claims = """
UPDATE dateline_claim SET salt = NULL WHERE tenant = $1 AND event IN (
    SELECT e.id FROM dateline_event AS e JOIN dateline_personal AS p ON p.tenant = e.tenant AND p.seq = e.seq
    WHERE p.tenant = $1 AND p.subject = $2)"""
    values = "UPDATE dateline_personal SET salt = NULL, value = NULL WHERE tenant = $1 AND subject = $2 AND value IS NOT NULL"
    results: list[Result] = yield Batch(
        tuple(queue.statement(sql, tenant, subject, name="erase") for sql in (claims, values))
    )
    return int(results[1].count)
