"""dateline: typed events through date-versioned, pure handlers into one atomic, replayable trail."""

from dateline.core.effect import Effect
from dateline.core.entry import Entry, Page
from dateline.core.event import Event
from dateline.core.layer import check, handler, retired
from dateline.core.meta import Actor, Meta, Origin, Reason
from dateline.core.model import Personal
from dateline.core.operation import Assigned, Delete, Insert, Update
from dateline.core.outcome import Committed, Preview
from dateline.core.parse import decide
from dateline.core.plan import Plan
from dateline.core.query import rows, value
from dateline.core.snapshot import Record, Snapshot, fingerprint
from dateline.core.step import Concerns, Reject, Yields
from dateline.core.version import Versions
from dateline.errors import (
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
    UnknownKind,
    UnknownVersion,
)
from dateline.run.loading import load
from dateline.run.runner import AsyncRunner, Runner
from dateline.run.settings import Settings
from dateline.sql.given import given
from dateline.sql.types import Instant

__all__ = [
    "Actor",
    "Assigned",
    "AsyncRunner",
    "Committed",
    "Concerns",
    "Conflict",
    "ConstraintRefused",
    "Contention",
    "DatelineError",
    "Delete",
    "Denied",
    "Effect",
    "Entry",
    "Event",
    "Insert",
    "Instant",
    "KeyReused",
    "Malformed",
    "Meta",
    "NotFound",
    "Origin",
    "Page",
    "Personal",
    "Plan",
    "Preview",
    "Reason",
    "Record",
    "Refused",
    "Reject",
    "Rejected",
    "Rejection",
    "Runner",
    "Settings",
    "ShapeNewerThanVersion",
    "Snapshot",
    "StaleSnapshot",
    "TooMany",
    "UnknownKind",
    "UnknownVersion",
    "Update",
    "Versions",
    "Yields",
    "check",
    "decide",
    "fingerprint",
    "given",
    "handler",
    "load",
    "retired",
    "rows",
    "value",
]
