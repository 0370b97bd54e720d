"""A preview that is held elsewhere: what a client keeps of it, signed, so that whichever server is asked commits that very plan."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from dateline.core.canon import Verbatim, canonical, parsed
from dateline.core.decision import OPEN, Decision
from dateline.core.event import Event
from dateline.core.meta import Meta
from dateline.core.outcome import OTHERWISE, Preview, Shown, Values
from dateline.core.plan import Plan
from dateline.core.signed import encoded, opened, signed
from dateline.core.snapshot import Field, Record, fingerprint, row_of
from dateline.errors import Difference, Malformed

__all__ = ["Promise"]

_PREVIEW = b"preview"
"""What such a text is for."""

_MARKS = 8
"""Bytes of a mark: whoever holds the promise cannot make one, and the server compares no more than some hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise(Shown):
    """What is left of a preview in a text that tells nothing: marks by a key that only the servers have.

    Args:
        event_id: The id that the event gets; `version` and `at` those of the preview.
        asked: The mark of the event, who acts, and why.
        seen: By row and field, or by the snapshot's field for a value, the mark of what was seen.
        plan: The mark of what was decided.
        key: What the marks are made with.
    """

    event_id: UUID
    version: date
    at: datetime
    late: bool
    expires_at: datetime
    asked: str
    seen: Mapping[str, Mapping[str, str]]
    plan: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, preview: Preview, key: bytes) -> Promise:
        """Return what a client is to keep of a preview."""
        meta = preview.event.meta
        return cls(
            event_id=preview.event_id,
            version=preview.version,
            at=preview.at,
            late=meta.late,
            expires_at=preview.expires_at,
            asked=_asked(preview.event, meta, key),
            seen=_marks(preview.fields, preview.seen, key),
            plan=_decided(preview.plan, preview.version, key),
            key=key,
        )

    def text(self) -> str:
        """Return the promise as a text for a URL, a form or JSON."""
        facts = [
            self.event_id,
            self.version,
            self.at,
            self.late,
            self.expires_at,
            self.asked,
            list(self.seen.items()),
            self.plan,
        ]
        return signed(zlib.compress(canonical(facts)), self.key, of=_PREVIEW)

    @classmethod
    def read(cls, text: str, key: bytes) -> Promise:
        """Return the promise that a text holds.

        Raises:
            Malformed: For what no server with this key has given.
        """
        held = opened(text, key, of=_PREVIEW)
        if held is None:
            raise Malformed("that is no preview of this server's, or it was changed; preview again")
        id, version, at, late, expires, asked, seen, plan = parsed(zlib.decompress(held))
        return cls(
            event_id=UUID(id),
            version=date.fromisoformat(version),
            at=_moment(at),
            late=late,
            expires_at=_moment(expires),
            asked=asked,
            seen=dict(seen),
            plan=plan,
            key=key,
        )

    def backdated(self) -> bool:
        """As `Shown.backdated`."""
        return self.late

    def adopted(self, event: Event, meta: Meta) -> Meta:
        """As `Shown.adopted`; the reason is part of what was shown."""
        if self.asked != _asked(event, meta, self.key):
            raise Malformed(OTHERWISE)
        return replace(meta, id=self.event_id, at=self.at, version=self.version)

    def decides(self, plan: Plan) -> bool:
        """As `Shown.decides`."""
        return self.plan == _decided(plan, self.version, self.key)

    def differences(self, fields: tuple[Field, ...], seen: tuple[Values, ...]) -> tuple[Difference, ...]:
        """As `Shown.differences`."""
        now, found = _marks(fields, seen, self.key), []
        rows = dict.fromkeys((*self.seen, *now))
        # Rows first: a value that was counted of them says less.
        for row in sorted(rows, key=lambda row: "" in now.get(row, ())):
            if row not in now or row not in self.seen:
                found.append(Difference(row=row, change="gone" if row in self.seen else "new"))
            elif now[row] != self.seen[row]:
                cells = now[row].keys() | self.seen[row].keys()
                changed = sorted(name for name in cells if name and now[row].get(name) != self.seen[row].get(name))
                found.append(Difference(row=row, change="changed", fields=tuple(changed)))
        return tuple(found)


def _moment(told: str) -> datetime:
    return datetime.fromisoformat(told).astimezone(UTC)


def _mark(value: Any, key: bytes) -> str:
    made = hmac.digest(key, canonical(value), hashlib.sha256)[:_MARKS]
    return encoded(made)


def _asked(event: Event, meta: Meta, key: bytes) -> str:
    reason = None if meta.reason is None else meta.reason.facts()
    facts = [event.__kind__, Verbatim(canonical(event)), meta.actor.facts(), meta.tenant, reason, meta.cause]
    return _mark(facts, key)


def _marks(fields: tuple[Field, ...], seen: tuple[Values, ...], key: bytes) -> dict[str, dict[str, str]]:
    """Return the marks of what was seen; of a value under no name, since it has no fields."""
    found: dict[str, dict[str, str]] = {}
    for one, values in zip(fields, seen, strict=True):
        if one.record is None:
            found[one.path] = {"": _mark(list(values), key)}
            continue
        for record in values:
            assert isinstance(record, Record)
            cells = {name: _mark(fingerprint(record, (name,)), key) for name in type(record).model_fields}
            found.setdefault(row_of(record), {}).update(cells)
    return found


def _decided(plan: Plan, version: date, key: bytes) -> str:
    steps = [
        [
            one.key,
            one.sort,
            one.of,
            None if one.row is OPEN else one.row,
            {name: None if value is OPEN else value for name, value in one.values.items()},
        ]
        for one in Decision.made(plan, version).steps
    ]
    return _mark(steps, key)
