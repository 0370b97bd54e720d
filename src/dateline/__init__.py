"""dateline: typed events through date-versioned, pure handlers into one atomic, replayable trail."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dateline.core.access import Access, Look
from dateline.core.amendment import Drop, Replace
from dateline.core.effect import Effect, Retry
from dateline.core.entry import Entry, Page
from dateline.core.erase import EraseSubject
from dateline.core.event import Event
from dateline.core.head import lift, lower
from dateline.core.layer import check, handler, retired
from dateline.core.meta import Actor, Meta, Origin, Reason
from dateline.core.model import Personal
from dateline.core.notice import Notice
from dateline.core.operation import Assigned, Delete, Insert, Update
from dateline.core.outcome import Committed, Preview
from dateline.core.parse import decide
from dateline.core.pin import Pin
from dateline.core.plan import Plan
from dateline.core.problem import Problem, problem
from dateline.core.query import rows, value
from dateline.core.shape import downgrade, upgrade
from dateline.core.snapshot import Record, Snapshot, fingerprint
from dateline.core.step import Concerns, Reject, Yields
from dateline.core.version import Versions
from dateline.errors import (
    AnswerLost,
    Conflict,
    ConstraintRefused,
    Contention,
    DatelineError,
    Denied,
    KeyReused,
    Malformed,
    NotFound,
    Refused,
    Rejected,
    Rejection,
    ShapeNewerThanVersion,
    StaleSnapshot,
    TooMany,
    Undeliverable,
    UnknownKind,
    UnknownVersion,
    Unrepresentable,
)

if TYPE_CHECKING:
    from dateline.core.correction import Correction
    from dateline.core.decision import Decision
    from dateline.core.diff import Diff
    from dateline.run.delivery import AsyncDelivery, Delivery, delivers
    from dateline.run.loading import load
    from dateline.run.relay import AsyncRelay, Relay
    from dateline.run.runner import AsyncRunner, Runner
    from dateline.run.settings import Settings
    from dateline.sql.given import given
    from dateline.sql.types import Instant
else:
    # These bring SQLAlchemy, the drivers and asyncio along, which is two thirds of what loading everything takes; whoever only writes
    # events and handlers waits for none of it. Not later than when they are named, though: the first request should not wait either.
    # Type checkers read the imports above. They must not see `__getattr__`, or every misspelt name would pass for one of dateline's.
    _LATER = {
        "AsyncDelivery": "dateline.run.delivery",
        "AsyncRelay": "dateline.run.relay",
        "AsyncRunner": "dateline.run.runner",
        "Correction": "dateline.core.correction",
        "Decision": "dateline.core.decision",
        "Delivery": "dateline.run.delivery",
        "Diff": "dateline.core.diff",
        "Instant": "dateline.sql.types",
        "Relay": "dateline.run.relay",
        "Runner": "dateline.run.runner",
        "Settings": "dateline.run.settings",
        "delivers": "dateline.run.delivery",
        "given": "dateline.sql.given",
        "load": "dateline.run.loading",
    }

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_LATER[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})


__all__ = [
    "Access",
    "Actor",
    "AnswerLost",
    "Assigned",
    "AsyncDelivery",
    "AsyncRelay",
    "AsyncRunner",
    "Committed",
    "Concerns",
    "Conflict",
    "ConstraintRefused",
    "Contention",
    "Correction",
    "DatelineError",
    "Decision",
    "Delete",
    "Delivery",
    "Denied",
    "Diff",
    "Drop",
    "Effect",
    "Entry",
    "EraseSubject",
    "Event",
    "Insert",
    "Instant",
    "KeyReused",
    "Look",
    "Malformed",
    "Meta",
    "NotFound",
    "Notice",
    "Origin",
    "Page",
    "Personal",
    "Pin",
    "Plan",
    "Preview",
    "Problem",
    "Reason",
    "Record",
    "Refused",
    "Reject",
    "Rejected",
    "Rejection",
    "Relay",
    "Replace",
    "Retry",
    "Runner",
    "Settings",
    "ShapeNewerThanVersion",
    "Snapshot",
    "StaleSnapshot",
    "TooMany",
    "Undeliverable",
    "UnknownKind",
    "UnknownVersion",
    "Unrepresentable",
    "Update",
    "Versions",
    "Yields",
    "check",
    "decide",
    "delivers",
    "downgrade",
    "fingerprint",
    "given",
    "handler",
    "lift",
    "load",
    "lower",
    "problem",
    "retired",
    "rows",
    "upgrade",
    "value",
]
