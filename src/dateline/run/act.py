"""Stepping in: somebody retries, cancels or approves an effect, or begins a new incarnation; each is an event with an actor.

The event and the change that it makes to the queue are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from dateline.core.event import Event
from dateline.core.meta import Actor
from dateline.core.outcome import Committed
from dateline.core.request import Flow
from dateline.errors import NotInState
from dateline.run.path import Given, Path
from dateline.sql.standing import Standing, place_of
from dateline.sql.statement import Batch, Statement
from dateline.sql.together import alone
from dateline.sql.trail import Filters

__all__ = [
    "ACTS",
    "RIGHT",
    "ApproveEffect",
    "CancelEffect",
    "ResumeTrail",
    "RetryEffect",
    "acting",
    "fitting",
    "resuming",
]

RIGHT = "effects"
"""The right to step in."""


class _Act(Event):
    """What somebody did about one effect.

    Args:
        effect: Its place in the trail, `seq.ordinal`; `id` its own, `of` its kind.
        state: The state that its delivery was in.
        about: The subjects of the event that wanted it.
    """

    effect: str
    id: UUID
    of: str
    state: str
    about: tuple[str, ...] = ()

    __before__: ClassVar[tuple[str, ...]] = ()
    __after__: ClassVar[str] = ""
    __done__: ClassVar[str] = ""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom the effect is about: so it stands on their timelines."""
        return self.about


class RetryEffect(_Act, kind="effect.retry", requires=RIGHT):
    """An effect is tried once more, at once."""

    __before__ = ("dead", "unknown", "due", "expired")
    __after__ = "due"
    __done__ = "retried"


class CancelEffect(_Act, kind="effect.cancel", requires=RIGHT):
    """An effect is not wanted any more; nobody sends it."""

    __before__ = ("held", "due", "waiting", "unknown", "dead")
    __after__ = "cancelled"
    __done__ = "cancelled"


class ApproveEffect(_Act, kind="effect.approve", requires=RIGHT):
    """An effect that was held may be sent."""

    __before__ = ("held",)
    __after__ = "due"
    __done__ = "approved"


ACTS: Mapping[str, type[_Act]] = {"approve": ApproveEffect, "retry": RetryEffect, "cancel": CancelEffect}
"""What somebody can do about one effect."""


def fitting(state: str) -> tuple[str, ...]:
    """Return which acts there are for an effect in a state, as the list tells it; what is due for the first time needs no retry."""
    stored = "due" if state == "retrying" else state
    return tuple(name for name, act in ACTS.items() if stored in act.__before__ and (name, state) != ("retry", "due"))


class ResumeTrail(Event, kind="trail.resume", requires=RIGHT):
    """The trail goes on after a restore: nothing is sent before somebody approves it, and cursors begin anew."""

    held: int


def acting(path: Path, act: type[_Act], effect: str, given: Given) -> Flow[Committed]:
    """Change one effect's state, and record who did so.

    Args:
        effect: Its key, `seq.ordinal`.

    Raises:
        Malformed: For what is no key.
        NotInState: Where there is no such effect, or it is in another state.
        Denied: Without the right; recorded.
    """
    queue, dialect = Standing(path.store.dialect), path.store.dialect
    place = (given.get("tenant", ""), *place_of(effect))
    found = yield from queue.found(*place)
    if found is None:
        raise NotInState(f"there is no effect {effect}")
    id, kind, event, about, _ = found
    told: Given = {"cause": event, **given}

    def asked(state: str) -> Any:
        return act(effect=effect, id=id, of=kind, state=state, about=about)

    if RIGHT not in Actor.of(given["actor"]).rights:
        # Refused as every request is, and recorded.
        return (yield from path.dispatching(asked(found[-1]), told))

    def before() -> Flow[str | None]:
        """Tell in which state the effect was when a request of this key came before; None where none did."""
        key = given.get("key")
        if key is None:
            return None
        page = yield from path.store.trail.page(Filters(tenant=place[0], key=key, limit=1), path.versions, joined=True)
        then = page.entries[0] if page.entries else None
        same = then is not None and (then.kind, then.input.get("effect")) == (act.__kind__, effect)
        # Another request has the key: whatever we ask, that is what we are told.
        return None if then is None else then.input["state"] if same else found[-1]

    def work() -> Flow[Committed]:
        # Inside, so that of two that come at once the later finds the other: since then the effect is in another state.
        if (was := (yield from before())) is not None:
            yield Batch((Statement("ROLLBACK", name="undo"),), ends=True)
            raise _Before(was)
        *_, state = (yield from queue.found(*place)) or found
        fits = yield from queue.act(*place, before=act.__before__, after=act.__after__)
        if not fits:
            yield Batch((Statement("ROLLBACK", name="undo"),), ends=True)
            states = ", ".join(
                dict.fromkeys("retrying" if one == "due" and act is RetryEffect else one for one in act.__before__)
            )
            raise NotInState(f"effect {effect} ({kind}) is {state}; {act.__done__} can be what is {states}")
        return (yield from path.dispatching(asked(state), told, joined=True))

    try:
        return (yield from alone(dialect, work))
    except _Before as earlier:
        # The answer that it got then.
        return (yield from path.dispatching(asked(str(earlier)), told))


class _Before(Exception):
    """This very request came before; the text is the state of then."""


def resuming(path: Path, incarnation: UUID, given: Given) -> Flow[Committed]:
    """Put all that would be sent on hold, and begin a new incarnation."""
    queue, dialect = Standing(path.store.dialect), path.store.dialect
    if RIGHT not in Actor.of(given["actor"]).rights:
        return (yield from path.dispatching(ResumeTrail(held=0), given))

    def work() -> Flow[Committed]:
        held = yield from queue.hold()
        yield from queue.begin_anew(incarnation)
        return (yield from path.dispatching(ResumeTrail(held=held), given, joined=True))

    return (yield from alone(dialect, work))
