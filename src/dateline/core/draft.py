"""Everything that one commit writes, made of the request, what was seen, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from dateline.core.canon import Verbatim, canonical, digest, plain
from dateline.core.cascade import Cascade
from dateline.core.event import Event
from dateline.core.internal import internal
from dateline.core.meta import Meta
from dateline.core.outcome import request_digest
from dateline.core.personal import Sealer
from dateline.core.plan import Plan
from dateline.core.snapshot import Field
from dateline.core.version import Versions
from dateline.errors import NotFound, Refused, Rejected, TooMany

if TYPE_CHECKING:
    from dateline.core.request import Request, Seen

__all__ = ["Draft", "drafted"]


@internal(kw_only=True)
class Draft:
    """Everything that one commit writes.

    Args:
        body: The canonical bytes of decision, input, meta, snapshot.
        sealer: Holds the personal values that left the body, and takes those of operations and effects.
        claim: Scope, key, salt and digest of the request key.
        held: All of its effects wait for somebody's approval.
    """

    event: Event
    meta: Meta
    outcome: str
    shape: date | None
    cascade: str
    body: bytes
    plan: Plan
    subjects: tuple[str, ...]
    sealer: Sealer
    claim: tuple[str, str, bytes, str] | None = None
    held: bool = False

    @property
    def sha256(self) -> str:
        """The digest of the body."""
        return digest(self.body)


def drafted(
    request: Request,
    versions: Versions,
    asked: Sequence[Mapping[str, Any]],
    event: Event,
    cascade: Cascade,
    plan: Plan,
    seen: Seen,
    refusal: Refused | None = None,
    *,
    conflicts: int = 0,
) -> Draft:
    """Return what the commit of a decision writes, or the record of its refusal.

    Args:
        asked: For each field of the cascade which query read it, and with what; empty where nothing was read.
        conflicts: How many decisions came to nothing before this one, as another writer was first.

    Raises:
        NotCanonical: For what no record can hold.
    """
    meta, subjects, found = event.meta, event.subjects, plan.outline.subjects
    if len(subjects) + len(found) > 1:
        subjects = tuple(dict.fromkeys((*subjects, *found)))
    sealer = Sealer(request.seed, subjects[0] if subjects else "")
    snapshot = {
        one.place: {**asked[index], "rows": Verbatim(_rows(sealer, one, seen, index))}
        for index, one in enumerate(cascade.fields if seen.values else ())
    }
    outcome = "committed" if refusal is None else refusal.outcome
    decision: dict[str, Any] = {"outcome": outcome}
    if refusal is not None:
        decision["refusal"] = plain({"detail": refusal.detail, **refusal.facts})
    if plan.amended:
        decision["amended"] = [one._asdict() for one in plan.amended]
    shape = versions.shape_date(type(event))
    asked_for = Verbatim(sealer.text(event, "/input"))
    body = canonical(
        {
            **({"conflicts": conflicts} if conflicts else {}),
            "decision": decision,
            "input": asked_for,
            "kind": event.__kind__,
            "meta": meta.facts(),
            "sealed": len(sealer.sealed),
            "shape": shape and shape.isoformat(),
            "snapshot": snapshot,
        },
        # Names of modules and classes may be of any script.
        known=all(map(str.isascii, snapshot)),
    )
    claim = None
    # A rehearsal tries the operations alone: against a key that is used it would lose for as long as its time lasts.
    key = request.key if request.ending.stays else None
    if key is not None and (refusal is None or isinstance(refusal, Rejected | NotFound | TooMany)):
        salt = request.seed[:16]
        claim = (request.scope, key, salt, request_digest(event, salt, request.at))
    return Draft(
        event=event,
        meta=meta,
        outcome=outcome,
        shape=shape,
        cascade=cascade.digest,
        body=body,
        plan=plan,
        subjects=subjects,
        sealer=sealer,
        claim=claim,
    )


def _rows(sealer: Sealer, one: Field, seen: Seen, index: int) -> bytes | str:
    """Return the canonical JSON of a field's rows without their personal parts."""
    text, values = seen.texts[index], seen.values[index]
    if text is not None:
        return text
    path = f"/snapshot/{one.place}/rows"
    if one.record is not None:
        return b"[" + b",".join(sealer.text(record, f"{path}/{place}") for place, record in enumerate(values)) + b"]"
    if one.personal:
        return canonical([v if v is None else sealer.seal(v, f"{path}/{place}") for place, v in enumerate(values)])
    return canonical(sealer.plain(list(values), path))
