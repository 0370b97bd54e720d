"""What became of a request: committed, previewed; refusals are in `errors`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeAlias
from uuid import UUID

from dateline import errors
from dateline.core.canon import Verbatim, canonical, digest
from dateline.core.event import Event
from dateline.core.meta import Meta
from dateline.core.plan import Plan
from dateline.core.snapshot import Field, Record, fingerprint, row_of
from dateline.errors import Difference, Malformed, Refused, Rejected, Rejection, StaleSnapshot

__all__ = ["Committed", "Expects", "Performed", "Preview", "Removal", "Shown", "State", "Told", "Wrote"]

Values: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """One operation that was performed, and which handler of which date caused it."""

    ordinal: int
    step: str
    verb: str
    table: str
    row_key: str
    handler: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """One effect that was recorded, and which handler of which date caused it.

    Args:
        id: What a receiver recognises a repetition by; depends on the event and the step's key only.
        state: "due", or a later state of its delivery.
    """

    id: UUID
    ordinal: int
    step: str
    kind: str
    payload: Mapping[str, Any]
    handler: str
    date: str
    state: str = "due"


Told: TypeAlias = Callable[[], tuple[tuple[Wrote, ...], tuple[Performed, ...]]]
"""Tells which operations and effects were recorded; they are made for whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What an erasure removed from the trail.

    Args:
        values: How many personal values.
        cancelled: The keys of the effects that would have sent one, and now are never sent.
        sending: The keys of those that were being sent at that moment, so that it may arrive; they are not tried again.
    """

    values: int
    cancelled: tuple[str, ...] = ()
    sending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The event stands in the trail, with everything that follows from it.

    Args:
        seq: The place in the order of writing.
        plan: The decision; None where the request key had been committed before.
        repeated: This request was committed earlier, and this is that answer.
        removal: What was erased, where the event is an `EraseSubject`; of a repeated one, None.
    """

    event_id: UUID
    seq: int
    version: date
    recorded_at: datetime
    event: Event
    told: Told = field(compare=False, repr=False)
    plan: Plan | None = field(default=None, compare=False)
    repeated: bool = field(default=False, compare=False)
    removal: Removal | None = field(default=None, compare=False)

    @property
    def operations(self) -> tuple[Wrote, ...]:
        """The operations that were performed."""
        return self.told()[0]

    @property
    def effects(self) -> tuple[Performed, ...]:
        """The effects that were recorded."""
        return self.told()[1]


class Shown(ABC):
    """A plan that was shown to somebody, and can be committed as that very plan by `dispatch(event, expects=…)`.

    Args:
        event_id: The id that the event gets then; `version` and `at` those of its meta.
        expires_at: Until when.
    """

    __slots__ = ()

    event_id: UUID
    version: date
    at: datetime
    expires_at: datetime

    @abstractmethod
    def backdated(self) -> bool:
        """Tell whether it is recorded later than it happened."""

    @abstractmethod
    def adopted(self, event: Event, meta: Meta) -> Meta:
        """Return the meta under which an event is committed as it was shown.

        Args:
            meta: What the request would give it.

        Raises:
            Malformed: Where something else was shown, or to somebody else.
        """

    @abstractmethod
    def differences(self, fields: tuple[Field, ...], seen: tuple[Values, ...]) -> tuple[Difference, ...]:
        """Return what is no longer as it was seen."""

    @abstractmethod
    def decides(self, plan: Plan) -> bool:
        """Tell whether a plan is the one that was shown."""


OTHERWISE = "the preview is of another event, actor or tenant; dispatch what was previewed, or preview this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Shown):
    """What a dispatch would do now; nothing is written.

    Args:
        event_id: The id that the event gets when this preview is committed.
        expires_at: Until when it can be committed, by `dispatch(event, expects=preview)`.
        seen: The rows or the value that each field of the snapshots held.
        rehearsed: The database has tried the operations and would take them.
    """

    event_id: UUID
    version: date
    at: datetime
    event: Event
    plan: Plan
    expires_at: datetime
    fields: tuple[Field, ...] = field(repr=False)
    seen: tuple[Values, ...] = field(repr=False)
    rehearsed: bool = False

    @property
    def fingerprints(self) -> dict[str, dict[str, str]]:
        """A digest for each field of each row that the decision saw; send back those that must still be so."""
        return fingerprints(self.seen)

    def backdated(self) -> bool:
        """As `Shown.backdated`."""
        return self.event.meta.late

    def adopted(self, event: Event, meta: Meta) -> Meta:
        """As `Shown.adopted`."""
        then = self.event.meta
        if self.event != event or (then.actor, then.tenant) != (meta.actor, meta.tenant):
            raise Malformed(OTHERWISE)
        return then

    def differences(self, fields: tuple[Field, ...], seen: tuple[Values, ...]) -> tuple[Difference, ...]:
        """As `Shown.differences`."""
        return _since(self, fields, seen)

    def decides(self, plan: Plan) -> bool:
        """As `Shown.decides`."""
        return self.plan == plan


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a decision would see now.

    Args:
        event: The event as far as it is known: fields that no query asks for may be missing.
        fields: Those of the snapshots; `seen` the rows or the value that each holds.
    """

    version: date
    event: Event
    fields: tuple[Field, ...] = field(repr=False)
    seen: tuple[Values, ...] = field(repr=False)

    @property
    def fingerprints(self) -> dict[str, dict[str, str]]:
        """As those of a preview."""
        return fingerprints(self.seen)


def fingerprints(seen: tuple[Values, ...]) -> dict[str, dict[str, str]]:
    """Return a digest for each field of each row."""
    found: dict[str, dict[str, str]] = {}
    for values in seen:
        for record in values:
            if isinstance(record, Record):
                cells = {name: fingerprint(record, (name,)) for name in type(record).model_fields}
                found.setdefault(row_of(record), {}).update(cells)
    return found


Expects: TypeAlias = Shown | Refused | Mapping[str, Mapping[str, str]]
"""What the caller saw: a preview, the promise of one, or fingerprints by row (`table/key`) and field."""


def compare(expects: Expects, fields: tuple[Field, ...], seen: tuple[Values, ...]) -> None:
    """Refuse a request whose caller saw something else.

    Raises:
        StaleSnapshot: Naming rows and fields.
    """
    if isinstance(expects, Shown):
        differences = expects.differences(fields, seen)
    elif isinstance(expects, Refused):
        raise expects
    elif _fingerprints(expects):
        differences = tuple(_cells(expects, seen))
    else:
        raise Malformed("expects is a preview, or fingerprints by row and field: {'account/ann': {'cents': '…'}}")
    if differences:
        raise StaleSnapshot(differences)


def _fingerprints(expects: Any) -> bool:
    return isinstance(expects, Mapping) and all(
        isinstance(row, str)
        and isinstance(cells, Mapping)
        and all(isinstance(part, str) for cell in cells.items() for part in cell)
        for row, cells in expects.items()
    )


def _cells(expects: Mapping[str, Mapping[str, str]], seen: tuple[Values, ...]) -> list[Difference]:
    rows: dict[str, list[Record[Any]]] = {}
    for values in seen:
        for record in values:
            if isinstance(record, Record):
                rows.setdefault(row_of(record), []).append(record)
    found = []
    for row, cells in expects.items():
        if row not in rows:
            found.append(Difference(row=row, change="gone"))
            continue
        changed = []
        for name, digest_ in cells.items():
            holder = next((record for record in rows[row] if name in type(record).model_fields), None)
            if holder is None:
                raise Malformed(f"expects names {row}.{name}, which this decision does not read")
            if fingerprint(holder, (name,)) != digest_:
                changed.append(name)
        if changed:
            found.append(Difference(row=row, change="changed", fields=tuple(sorted(changed))))
    return found


def _since(preview: Preview, fields: tuple[Field, ...], seen: tuple[Values, ...]) -> tuple[Difference, ...]:
    if [f.path for f in preview.fields] != [f.path for f in fields]:
        return (Difference(row="snapshot", change="changed", fields=tuple(sorted(f.path for f in fields))),)
    found: dict[Difference, None] = {}
    for one, before, after in zip(fields, preview.seen, seen, strict=True):
        if one.record is None:
            if before != after:
                found[Difference(row=one.path, change="changed")] = None
            continue
        old, new = {row_of(record): record for record in before}, {row_of(record): record for record in after}
        for row in sorted(old.keys() | new.keys()):
            if row not in new or row not in old:
                found[Difference(row=row, change="gone" if row in old else "new")] = None
            elif old[row] != new[row]:
                cells = tuple(
                    n for n in sorted(one.record.model_fields) if getattr(old[row], n) != getattr(new[row], n)
                )
                found[Difference(row=row, change="changed", fields=cells)] = None
    return tuple(found)


def request_digest(event: Event, salt: bytes, at: datetime | None = None) -> str:
    """Return what tells whether a request key comes with the same request; salted, since input may be personal.

    Args:
        at: When it happened, where the caller said so. The version is left out: the answer that was given stands.
    """
    return digest(salt + canonical([event.__kind__, Verbatim(canonical(event)), at], known=True))


def refusal_of(outcome: str, facts: Mapping[str, Any]) -> Refused:
    """Return the refusal that a recorded body holds."""
    facts = dict(facts)
    detail = facts.pop("detail", outcome)
    if outcome == Rejected.outcome:
        return Rejected(tuple(Rejection(**rejection) for rejection in facts["rejections"]))
    if outcome == StaleSnapshot.outcome:
        found = tuple(
            Difference(row=d["row"], change=d["change"], fields=tuple(d["fields"])) for d in facts["differences"]
        )
        return StaleSnapshot(found, detail)
    if outcome == errors.ConstraintRefused.outcome:
        return errors.ConstraintRefused(facts["constraint"], facts["step"], detail)
    known = {found.outcome: found for found in Refused.__subclasses__()}
    return known.get(outcome, Refused)(detail, **facts)
