"""Deliveries: the application's functions that perform effects, and what each is handed of the effect that it performs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from dateline.core.effect import Effect
from dateline.core.event import Event
from dateline.core.meta import Actor
from dateline.core.outcome import Committed
from dateline.core.version import Versions
from dateline.errors import NoDelivery

__all__ = ["AsyncDelivery", "Delivery", "Route", "Sink", "across", "delivers", "routes"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__dateline_delivers__"


@dataclass(frozen=True, slots=True)
class _Mark:
    kinds: tuple[str, ...]
    resend: bool


def delivers(*effects: type[Effect], resend: bool = False) -> Callable[[F], F]:
    """Mark a function that performs effects: `@delivers(Tell)` above `def tell(effect: Tell, delivery: Delivery) -> None`.

    It may be a coroutine function, whose delivery is an `AsyncDelivery`. Returning means delivered, and what is returned is kept as the
    receiver's reference. Any exception means that it failed, and may be tried again; `Undeliverable` that it never can be, and
    `AnswerLost` that it was sent and nobody knows whether it arrived.

    Args:
        resend: The receiver recognises a repetition by `delivery.id`, so that what may have arrived can be sent again. Without it such
            an effect becomes *unknown*, and waits for somebody who finds out.

    Raises:
        NoDelivery: For what is no kind of effect.
    """
    for one in effects:
        if not (isinstance(one, type) and issubclass(one, Effect) and one.__kind__):
            raise NoDelivery(f"@delivers takes classes of effects, such as NotifyPatient, not {one!r}")
    if not effects:
        raise NoDelivery("@delivers takes the classes of effects that the function performs: @delivers(NotifyPatient)")

    def mark(function: F) -> F:
        setattr(function, _MARK, _Mark(tuple(one.__kind__ for one in effects), resend))
        return function

    return mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    """One try to perform one effect.

    Args:
        id: The effect's: hand it to whoever receives it, who recognises a repetition by it.
        kind: The effect's; `payload` what it says, as JSON's types.
        tries: Which try this is, from 1.
        tenant: Whose data.
        event: The event that wanted it, `actor` the id of who did, `recorded_at` when that was recorded.
        key: The effect's place in the trail, `seq.ordinal`, as the command line names it.
    """

    id: UUID
    kind: str
    payload: Mapping[str, Any]
    tries: int
    tenant: str
    event: UUID
    actor: str
    recorded_at: datetime
    key: str
    _dispatch: Callable[..., Any] = field(repr=False, compare=False)

    def _given(self, event: Event, part: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return what a follow-up is dispatched with: the same try repeated is the same request."""
        told = {"tenant": self.tenant, "cause": self.event, "key": f"effect:{self.id}:{event.__kind__}:{part}"}
        told["actor"] = Actor("dateline.relay", kind="system", on_behalf_of=self.actor)
        return {**told, **given}


class Delivery(_Delivery):
    """As every delivery, for a plain function."""

    def dispatch(self, event: Event, *, part: str = "", **given: Any) -> Committed:
        """Dispatch a follow-up: caused by the effect's event, and once however often the effect is tried.

        Args:
            part: What tells several follow-ups of one kind apart.
            given: As `Runner.dispatch` takes it; without `actor`, the relay acts on behalf of who wanted the effect.
        """
        done: Committed = self._dispatch(event, **self._given(event, part, given))
        return done


class AsyncDelivery(_Delivery):
    """As every delivery, for a coroutine function."""

    async def dispatch(self, event: Event, *, part: str = "", **given: Any) -> Committed:
        """As `Delivery.dispatch`."""
        done: Committed = await self._dispatch(event, **self._given(event, part, given))
        return done


@runtime_checkable
class Sink(Protocol):
    """Where effects of some kinds, or of all, are handed on to.

    Args:
        kinds: Which it takes; None for all that nothing else delivers.
        resend: Whether what may have arrived can be sent again.
    """

    kinds: frozenset[str] | None
    resend: bool

    async def deliver(self, effect: Effect | None, delivery: AsyncDelivery) -> Any:
        """Hand one effect on; return what the receiver calls it. Raises as a function marked by `delivers`."""
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """How effects of one kind are performed.

    Args:
        call: The function, or the sink's method.
        typed: Whether it takes the effect as a value of its class.
        effect: That class; None where no version at hand has it.
    """

    kind: str
    call: Callable[[Any, Any], Any]
    resend: bool
    typed: bool
    effect: type[Effect] | None

    @property
    def waits(self) -> bool:
        """Whether it is a coroutine function."""
        return inspect.iscoroutinefunction(self.call)

    async def awaited(self, effect: Effect | None, delivery: AsyncDelivery) -> Any:
        """Perform an effect by a coroutine function."""
        made: Awaitable[Any] = self.call(effect, delivery)
        return await made


def routes(versions: Versions, deliveries: Iterable[Any], *, partial: bool = False) -> dict[str, Route]:
    """Return how each kind of effect is performed.

    Args:
        deliveries: Functions marked by `delivers`, modules that hold some, their dotted names, and sinks.
        partial: Some kinds are somebody else's.

    Raises:
        NoDelivery: Where a kind that some version's handlers yield has nobody, or two.
    """
    made: dict[str, Route] = {}
    sinks: list[Sink] = []
    for one in _members(deliveries):
        mark = getattr(one, _MARK, None)
        if isinstance(mark, _Mark):
            for kind in mark.kinds:
                _put(made, Route(kind, one, mark.resend, True, versions.effects.get(kind)))
        elif isinstance(one, Sink):
            sinks.append(one)
        else:
            raise NoDelivery(
                f"{one!r} delivers nothing; mark it with @delivers(…), or pass a sink or a module that holds some"
            )
    for sink in sinks:
        for kind in sorted(sink.kinds if sink.kinds is not None else versions.effects.keys() - made.keys()):
            _put(made, Route(kind, sink.deliver, sink.resend, False, versions.effects.get(kind)))
    missing = sorted(versions.effects.keys() - made.keys())
    if missing and not partial:
        names = ", ".join(f"{kind} ({versions.effects[kind].__qualname__})" for kind in missing)
        raise NoDelivery(
            f"nobody delivers {names}; write @delivers({versions.effects[missing[0]].__qualname__}) above a function of the "
            "application's, or say partial=True where another relay does"
        )
    return made


def _put(made: dict[str, Route], route: Route) -> None:
    if route.kind in made:
        raise NoDelivery(f"{made[route.kind].call!r} and {route.call!r} both deliver {route.kind}; keep one of them")
    made[route.kind] = route


def _members(deliveries: Iterable[Any]) -> Iterator[Any]:
    for one in deliveries:
        found = importlib.import_module(one) if isinstance(one, str) else one
        if isinstance(found, ModuleType):
            yield from (inner for inner in vars(found).values() if isinstance(getattr(inner, _MARK, None), _Mark))
        else:
            yield found


def across(loop: asyncio.AbstractEventLoop, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call for a plain function's thread that has a coroutine run where the connections are."""

    def call(*args: Any, **given: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(dispatch(*args, **given), loop).result()

    return call
