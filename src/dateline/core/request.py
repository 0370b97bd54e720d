"""What the path of an event takes and gives: the request, what was seen, what is to be written, and what a store must do."""

from __future__ import annotations

from collections.abc import Generator
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar
from uuid import UUID

from dateline.core.cascade import Cascade
from dateline.core.draft import Draft
from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.internal import internal
from dateline.core.meta import Actor, Origin, Reason
from dateline.core.outcome import Expects, Removal, Told, Values
from dateline.core.version import Versions
from dateline.errors import DatelineError

__all__ = [
    "Apart",
    "Broken",
    "Claim",
    "Ending",
    "Flow",
    "Pause",
    "Request",
    "Seen",
    "Store",
    "Written",
]

R = TypeVar("R")

Flow: TypeAlias = Generator[Any, Any, R]
"""Yields batches and pauses, receives results, returns R."""


class Ending(Enum):
    """What becomes of the plan: written, shown, or tried and taken back."""

    COMMIT = "commit"
    PREVIEW = "preview"
    REHEARSE = "rehearse"

    @property
    def stays(self) -> bool:
        """Whether what is written stays."""
        return self is Ending.COMMIT


@internal()
class Pause:
    """Wait a little before the next try; whoever executes this also keeps the time budget.

    Args:
        brief: Others are waiting for the turn that this writer has.
        idle: Nothing is held, so that others can have the connection meanwhile.
    """

    tries: int
    brief: bool = False
    idle: bool = False


@internal()
class Apart:
    """Record this refusal so that it stays recorded even if the joined transaction is rolled back."""

    draft: Draft


class Broken(DatelineError):
    """A constraint spoke; once may be another writer's doing."""

    def __init__(self, constraint: str, step: str | None, detail: str) -> None:
        super().__init__(detail)
        self.constraint = constraint
        self.step = step
        self.detail = detail


@internal(kw_only=True)
class Request:
    """One call of dispatch or preview, with everything that chance and clock contribute.

    Args:
        id: The event's id, also under every retry.
        spare: The id of the record of a refusal that was not decided; another than `id` where that is a preview's.
        now: The runner's clock when it decides.
        at: When it happened, where that is not now.
        version: What the caller asked for.
        seed: Thirty-two random bytes for the salts.
        joined: Inside a transaction that is not ours to end.
    """

    event: Event
    ending: Ending
    id: UUID
    spare: UUID
    now: datetime
    seed: bytes
    actor: Actor
    tenant: str = ""
    version: date | str | None = None
    at: datetime | None = None
    reason: Reason | None = None
    cause: UUID | None = None
    origin: Origin | None = None
    key: str | None = None
    scope: str = "request"
    expects: Expects | None = None
    expiry: timedelta = timedelta(minutes=15)
    joined: bool = False


@internal()
class Claim:
    """Who has a request key: the event, and the salted digest of the request it came with; no salt where a value of it was erased."""

    event: UUID
    salt: bytes | None
    request: str


@internal()
class Seen:
    """What the read trip brought.

    Args:
        values: For each field of the cascade, its records, or its one value.
        proof: What the guard compares again inside the write.
        claim: Who has the request key already.
        recorded: The event of this very id, where it was looked for and found.
        texts: For each field its rows' canonical JSON, where the database wrote it so itself.
    """

    values: tuple[Values, ...]
    proof: Any
    claim: Claim | None = None
    recorded: bool = False
    texts: tuple[str | None, ...] = ()


@internal()
class Written:
    """What the write trip brought.

    Args:
        left: The turn was given up with it.
        removal: What was erased with it.
    """

    seq: int
    recorded_at: datetime
    told: Told
    left: bool = False
    removal: Removal | None = None


class Store(Protocol):
    """What the path needs of a database. Each method is a generator of batches.

    Args:
        queues: Whether there are turns; where writers queue anyway, there are none.
    """

    queues: bool

    def read(self, cascade: Cascade, event: Event, request: Request, *, look: bool, queue: bool) -> Flow[Seen]:
        """Read what the cascade asks for, and look at the request key.

        Args:
            look: At the event's own id too.
            queue: Wait for the turn first, in the same trip; it is known that others want it.
        """
        ...

    def asked(self, cascade: Cascade, event: Event) -> tuple[dict[str, Any], ...]:
        """Return for each field of the cascade which query read it, and with what."""
        ...

    def write(
        self,
        draft: Draft,
        cascade: Cascade | None,
        proof: Any,
        *,
        ending: Ending,
        joined: bool,
        careful: bool = False,
        leave: bool = False,
    ) -> Flow[Written]:
        """Write all of the draft or nothing; with a cascade, only where the proof still holds.

        Args:
            careful: Ask the guard before the operations, in a trip of its own, so that what then breaks is the decision's doing.
            leave: Give the turn up in the trip of the commit, where that is one trip.
        """
        ...

    def entry(self, tenant: str, id: UUID, versions: Versions, *, joined: bool) -> Flow[Entry | None]:
        """Read one recorded event by its id."""
        ...

    def root(self, tenant: str, cause: UUID) -> Flow[UUID]:
        """Return the first of the line of events that a cause stands in."""
        ...

    def fought(self, tenant: str, event: Event) -> bool:
        """Tell whether writers have lately waited for each other over a subject of the event, so that a try without a turn is in vain."""
        ...

    def queue(self, tenant: str, subjects: tuple[str, ...]) -> Flow[None]:
        """Wait for a turn behind all that lost a try over one of these subjects; without any, behind all that lost too often.

        Raises:
            Conflict: When it took longer than this database lets anybody wait.
        """
        ...

    def leave(self) -> Flow[None]:
        """Give the turn up."""
        ...
