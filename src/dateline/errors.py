"""Everything that can go wrong, as one tree.

    DatelineError
    ├── Refused                what a caller is told about one request; a preview returns it, a dispatch raises and records it
    │   ├── Rejected           checks said no; `.rejections` says which, by code and field
    │   ├── NotFound           a row that the decision needs is not there
    │   ├── TooMany            more rows than the snapshot takes
    │   ├── StaleSnapshot      what the caller saw has changed; `.differences` says where
    │   ├── PreviewExpired     a preview is committed too late
    │   ├── KeyReused          a request key came again with another request
    │   ├── ConstraintRefused  the database says no; `.constraint` and `.step` say which
    │   ├── NotStorable        a value that the database cannot hold or compare
    │   ├── Denied             the actor lacks a right
    │   ├── UnknownVersion     no such version, or not yet
    │   ├── Unrepresentable    the shape that a handler is written for has no word for what was sent
    │   └── ShapeNewerThanVersion  the event is of a later date than the version asked for
    ├── Malformed              input that is no event of its kind; nothing to record
    │   └── UnknownKind
    ├── Contention             others won every try within the time budget
    │   └── Conflict           one try was lost to another writer; surfaces only inside `together`
    ├── Unloadable             versions that break a rule; found when they are loaded
    │   ├── BadSignature, NotInForce, WrongKind, WrongRole, SameLayer, NameTaken, NotAdditive, NotQueried, WrongColumn, BadVersion,
    │       NoSuchStep, NotEarlier, Unconvertible, DateBeforeNewest
    ├── HandlerFault           a handler that breaks a rule while it runs
    │   ├── UndeclaredStep, DuplicateKey, ClashingSteps, Unassigned, NoMeta, Impure, HandlerFailed
    │   └── WrongValue         a value that its column cannot hold
    │       └── WrongText      a text that no column of its sort can hold, or that is too long for it
    ├── NotCanonical           a value that has no canonical form
    ├── Unreachable            no connection to the database can be had
    │   └── Lost               the connection went away in the middle
    ├── Unable                 the database cannot do this now: full, read-only, no right
    ├── NotMigrated            the trail's tables are missing or old
    ├── MissingTable           a table or a column of the application's is not in the database
    ├── NotSerializable        a joined connection that could lose updates
    ├── Unanswerable           a replay about which nothing can be said
    │   └── Erased             what the decision would read was erased
    ├── NoSuchEvent            there is no event of that id
    ├── NonDeterministic       the same code decides otherwise than it did
    ├── ReleaseEdited          other code stands under a released date than decided
    ├── NotCorrectable         what cannot be corrected: a correction, or what no handler decided
    ├── StaleDiff              a difference made before another correction of the event
    ├── BooksClosed            an event from before the date on which the books were closed
    ├── DependedOn             a row that would go, and later events wrote it
    ├── NoDelivery             a kind of effect that nobody would deliver; told when a relay is made
    ├── OtherIncarnation       a cursor of the feed from before the database was restored
    ├── NotInState             an effect whose delivery is not in a state in which that can be done
    ├── Undeliverable          raised by a delivery: this effect can never be delivered, so no try follows
    ├── AnswerLost             raised by a delivery: it was sent, and whether it arrived is not known
    └── TrailFault             the trail disagrees with itself

A refusal is a value as much as an exception: it compares by its content and turns into a problem (RFC 9457) with `problem()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AnswerLost",
    "BadSignature",
    "BadVersion",
    "BooksClosed",
    "ClashingSteps",
    "Conflict",
    "ConstraintRefused",
    "Contention",
    "DateBeforeNewest",
    "DatelineError",
    "Denied",
    "DependedOn",
    "Difference",
    "DuplicateKey",
    "Erased",
    "HandlerFailed",
    "HandlerFault",
    "Impure",
    "KeyReused",
    "Lost",
    "Malformed",
    "MissingTable",
    "NameTaken",
    "NoDelivery",
    "NoMeta",
    "NoSuchEvent",
    "NoSuchStep",
    "NonDeterministic",
    "NotAdditive",
    "NotCanonical",
    "NotCorrectable",
    "NotEarlier",
    "NotFound",
    "NotInForce",
    "NotInState",
    "NotMigrated",
    "NotQueried",
    "NotSerializable",
    "NotStorable",
    "OtherIncarnation",
    "PreviewExpired",
    "Refused",
    "Rejected",
    "Rejection",
    "ReleaseEdited",
    "SameLayer",
    "ShapeNewerThanVersion",
    "StaleDiff",
    "StaleSnapshot",
    "TooMany",
    "TrailFault",
    "Unable",
    "Unanswerable",
    "Unassigned",
    "Unconvertible",
    "UndeclaredStep",
    "Undeliverable",
    "UnknownKind",
    "UnknownVersion",
    "Unloadable",
    "Unreachable",
    "Unrepresentable",
    "WrongColumn",
    "WrongKind",
    "WrongRole",
    "WrongText",
    "WrongValue",
]


class DatelineError(Exception):
    """The root of what dateline raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One refusal by one check.

    Args:
        key: `slot/code`, the name under which it is found again in a replay.
        code: A stable word for machines.
        detail: A sentence for people.
        field: The event's field that is at fault, where there is one.
        handler: Dotted name of the check that said so.
        date: The check's date, ISO.
    """

    key: str
    code: str
    detail: str
    field: str | None = None
    handler: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the caller saw it.

    Args:
        row: `table/row key`, or the snapshot's field where a whole set of rows is meant.
        change: "changed", "gone" or "new".
        fields: The columns that differ, sorted; empty unless the change is "changed".
    """

    row: str
    change: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.row} {self.change}" + (f" in {', '.join(self.fields)}" if self.fields else "")


class Refused(DatelineError):
    """One request was refused; the database is as it was, but for the record of the try.

    `event_id` is the id of that record, where there is one; `repeated` tells that the request key had got this answer before.
    """

    outcome: ClassVar[str] = "refused"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts: Mapping[str, Any] = facts
        self.event_id: str | None = None
        self.repeated = False

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Refused)
            and (self.detail, self.facts) == (other.detail, other.facts)
        )

    def __hash__(self) -> int:
        return hash((type(self), self.detail))

    def problem(self) -> dict[str, Any]:
        """Return the refusal as a problem document.

        Returns:
            `type` (the outcome's word), `title`, `detail`, and what is known beyond that.

        Source: RFC 9457.
        """
        return {"type": self.outcome, "title": type(self).__name__, "detail": self.detail, **self.facts}


class Rejected(Refused):
    """Checks refused the event; all of them ran, so all of their reasons are here."""

    outcome = "rejected"

    def __init__(self, rejections: tuple[Rejection, ...]) -> None:
        super().__init__("; ".join(f"{r.code}: {r.detail}" for r in rejections))
        self.rejections = rejections
        self.facts = {
            "rejections": [
                {
                    "key": r.key,
                    "code": r.code,
                    "detail": r.detail,
                    "field": r.field,
                    "handler": r.handler,
                    "date": r.date,
                }
                for r in rejections
            ]
        }


class NotFound(Refused):
    """A snapshot needs exactly one row, and there is none."""

    outcome = "not-found"


class TooMany(Refused):
    """A snapshot found more rows than it takes."""

    outcome = "too-many"


class StaleSnapshot(Refused):
    """What the caller saw is no longer so; `.differences` names rows and fields."""

    outcome = "stale"

    def __init__(self, differences: tuple[Difference, ...], detail: str | None = None) -> None:
        super().__init__(detail or "; ".join(map(str, differences)))
        self.differences = differences
        self.facts = {
            "differences": [{"row": d.row, "change": d.change, "fields": list(d.fields)} for d in differences]
        }


class PreviewExpired(Refused):
    """The preview's time to commit it is over; preview again."""

    outcome = "preview-expired"


class KeyReused(Refused):
    """The request key belongs to another request; a new request needs a new key."""

    outcome = "key-reused"


class ConstraintRefused(Refused):
    """The database refused the operations, twice on the same snapshot."""

    outcome = "constraint"

    def __init__(self, constraint: str, step: str | None, detail: str) -> None:
        super().__init__(detail, constraint=constraint, step=step)
        self.constraint = constraint
        self.step = step


class NotStorable(Refused):
    """A value that this database cannot hold, or cannot compare with its columns."""

    outcome = "not-storable"


class Denied(Refused):
    """The actor lacks the right that this needs."""

    outcome = "denied"


class UnknownVersion(Refused):
    """No such version, or not released yet."""

    outcome = "unknown-version"


class Unrepresentable(Refused):
    """A conversion says that the other shape has no word for this event; raised by the application's own `@upgrade` or `@downgrade`."""

    outcome = "unrepresentable"


class ShapeNewerThanVersion(Refused):
    """The event is of a shape that the version asked for does not know."""

    outcome = "shape-newer"


class Malformed(DatelineError):
    """Input that is no event of its kind.

    Args:
        detail: What is wrong, without the values that were sent.
        problems: One `(path, message)` for each fault, at most fifty.
    """

    def __init__(self, detail: str, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class UnknownKind(Malformed):
    """No version that is in force knows this kind of event."""


class Contention(DatelineError):
    """Other writers won every try until the time budget was spent; nothing was written, so the request can be sent again."""


class Conflict(Contention):
    """One try lost against another writer: read and decide again. Inside `together` that is the caller's to do."""


class Unloadable(DatelineError):
    """A version breaks a rule. The message names file, function and mend."""


class BadSignature(Unloadable):
    """A handler's signature does not say what it needs or what it yields."""


class NotInForce(Unloadable):
    """The function that is superseded or retired does not hold its slot."""


class WrongKind(Unloadable):
    """A function of one event kind supersedes a function of another."""


class WrongRole(Unloadable):
    """A check supersedes a handler, or a handler a check."""


class SameLayer(Unloadable):
    """A change of a slot must have a later date than what it changes, and no two of one date change one thing."""


class NoSuchStep(Unloadable):
    """An amendment is of a step that nobody in force can yield."""


class NotEarlier(Unloadable):
    """An amendment is of a step of its own date or of a later one."""


class NameTaken(Unloadable):
    """A slot's name is never used again."""


class NotAdditive(Unloadable):
    """A shape that does more than add fields with defaults."""


class Unconvertible(Unloadable):
    """A shape cannot be had as another that a version needs."""


class NotQueried(Unloadable):
    """A snapshot's field does not say how it is read."""


class WrongColumn(Unloadable):
    """A record or a step names a column that its table does not have."""


class BadVersion(Unloadable):
    """A package that holds no versions, or a folder whose name is no date."""


class DateBeforeNewest(Unloadable):
    """A version is released under a date that is not after the newest."""


class HandlerFault(DatelineError):
    """A handler broke a rule while it ran; nothing was written."""


class UndeclaredStep(HandlerFault):
    """A handler yielded something that its signature does not announce."""


class DuplicateKey(HandlerFault):
    """Two steps of one event have one key."""


class ClashingSteps(HandlerFault):
    """Two handlers write one cell, and the later did not look at the plan."""


class WrongValue(HandlerFault):
    """A value that its column cannot hold."""


class WrongText(WrongValue):
    """A text, or bytes, that its column cannot hold: too long for it, or with what is no text.

    It is mostly what somebody typed, and told to them as `NotStorable` is; an event that bounds its field refuses it with the field's name.
    """


class Unassigned(HandlerFault):
    """A placeholder was used as if the database had already assigned its value."""


class NoMeta(HandlerFault):
    """A bare event was asked for its meta."""


class Impure(HandlerFault):
    """A handler opened, connected or started something; a decision is made of its event and its snapshots."""


class HandlerFailed(HandlerFault):
    """A handler raised; the cause is chained."""


class NotCanonical(DatelineError):
    """A value without a canonical form: not a number, infinite, cyclic, or of an unknown type."""


class NotMigrated(DatelineError):
    """The trail's tables are missing or old: run `dateline migrate`, or `runner.migrate()`."""


class MissingTable(DatelineError):
    """A table or a column that the application's models name is not in the database: making it is the application's business."""


class Unreachable(DatelineError):
    """No connection to the database can be had."""


class Lost(Unreachable):
    """The connection went away in the middle.

    Whether a write happened is unknown until somebody looks. A dispatch looks by itself; at the end of `together`, the caller must.
    """


class Unable(DatelineError):
    """The database cannot do this now: its disk is full, it is read-only, a right is missing. Nothing was written."""


class NotSerializable(DatelineError):
    """A joined connection must be SERIALIZABLE; below that, updates can be lost."""


class Unanswerable(DatelineError):
    """A recorded event cannot be decided again: what it would need was not recorded, or the shape has no word for it."""


class NoSuchEvent(DatelineError):
    """There is no event of that id."""


class NonDeterministic(DatelineError):
    """A recorded event, decided again by the same code, comes to something else: a handler looks at what is no part of the record."""


class ReleaseEdited(DatelineError):
    """A recorded event, decided again under its own date, comes to something else, since the code of that date is not what it was."""


class NotCorrectable(DatelineError):
    """A correction is not corrected, its root is; and only what checks and handlers decided can be decided otherwise."""


class StaleDiff(DatelineError):
    """The difference was made before another correction of the event: make it anew."""


class BooksClosed(DatelineError):
    """The event is from before the date on which the books were closed; nothing of it is corrected."""


class DependedOn(DatelineError):
    """A row that would go was written by later events; correct those first, or leave it."""


class Erased(Unanswerable):
    """A recorded event cannot be decided again: a personal value that the decision would read was erased."""


class NoDelivery(DatelineError):
    """Nobody would deliver a kind of effect that some version's handlers yield."""


class OtherIncarnation(DatelineError):
    """A cursor of the feed is of another life of this database, which was restored from a backup since."""


class NotInState(DatelineError):
    """An effect whose delivery is not in a state in which it can be retried, cancelled or approved."""


class Undeliverable(DatelineError):
    """Raised by a delivery: this effect can never be delivered as it is. It is dead at once, without further tries."""


class AnswerLost(DatelineError):
    """Raised by a delivery: the effect was sent, and nobody knows whether it arrived."""


class TrailFault(DatelineError):
    """The trail disagrees with itself."""
