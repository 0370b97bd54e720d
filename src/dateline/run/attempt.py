"""One try to perform one effect, and what came of it: by the application's function, in its own time, whatever that does."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from logging import INFO, WARNING
from random import random
from typing import Any, TypeVar

from pydantic import ValidationError

from dateline.core.canon import canonical
from dateline.core.effect import Effect, Retry
from dateline.errors import AnswerLost, DatelineError, Undeliverable
from dateline.run import log, metric, trace
from dateline.run.clock import now
from dateline.run.delivery import AsyncDelivery, Delivery, Route, across
from dateline.run.runner import AsyncRunner, Runner
from dateline.sql.queue import Claimed, Ended

__all__ = ["Attempts", "ended", "retry_of"]

R = TypeVar("R")

_DEFAULT = Retry()


def retry_of(effect: type[Effect] | None) -> Retry:
    """Return how effects of a class are retried."""
    return effect.__retry__ if effect is not None else _DEFAULT


class Attempts:
    """Makes tries.

    Args:
        runner: What follow-ups are dispatched on.
        routes: How each kind of effect is performed.
    """

    def __init__(self, runner: Runner | AsyncRunner, routes: Mapping[str, Route]) -> None:
        self._runner = runner
        self._routes = routes

    async def made(self, one: Claimed) -> Ended:
        """Perform one effect, and return what came of it; whatever a delivery does, this raises nothing."""
        began = time.monotonic()
        with trace.delivering(one) as told:
            found = await self._performed(one)
            told(found)
        metric.delivered(one.kind, found.told, time.monotonic() - began)
        return found

    async def _performed(self, one: Claimed) -> Ended:
        route = self._routes[one.kind]
        retry = retry_of(route.effect)
        expires = route.effect.__expires__ if route.effect is not None else None
        if expires is not None and now() > one.recorded_at + expires:
            return ended(one, "expired", "expired", detail=f"not delivered within {expires}")
        if one.erased:
            return ended(one, "dead", "failed", detail="its personal values were erased")
        try:
            effect = self._effect(route, one)
        except ValidationError as error:
            return ended(one, "dead", "failed", detail=f"the payload is no {error.title} as it is today")
        again = ("due", "unknown") if route.resend else ("unknown", "unknown")
        try:
            async with asyncio.timeout(retry.timeout.total_seconds()):
                reference = await self._call(route, effect, one)
        except Undeliverable as error:
            return ended(one, "dead", "failed", detail=str(error) or "undeliverable")
        except (AnswerLost, TimeoutError) as error:
            told = (isinstance(error, AnswerLost) and str(error)) or f"no answer within {retry.timeout}"
            if again[0] == "due" and one.tries >= retry.tries:
                return ended(one, "unknown", "unknown", detail=told)
            return ended(one, *again, wait=retry.wait(one.tries, random()), detail=told)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the application's function raises is a try that failed
            # A sink says in its own words what it got; every other text, a refusal's too, may hold what a person has sent.
            told = f"{type(error).__name__}" + (f": {error}" if type(error) is DatelineError else "")
            if one.tries >= retry.tries:
                return ended(one, "dead", "failed", detail=told)
            return ended(one, "due", "failed", wait=retry.wait(one.tries, random()), detail=told)
        return ended(one, "delivered", "delivered", reference=None if reference is None else str(reference)[:500])

    @staticmethod
    def _effect(route: Route, one: Claimed) -> Effect | None:
        """Return the effect as a value of its class; for a sink that takes any, only where it is one.

        Raises:
            ValidationError: Where its class has changed since it was recorded.
        """
        if route.effect is None:
            return None
        try:
            return route.effect.model_validate_json(canonical(one.payload))
        except ValidationError:
            if route.typed:
                raise
            return None

    async def _call(self, route: Route, effect: Effect | None, one: Claimed) -> Any:
        facts: dict[str, Any] = {
            "id": one.id,
            "kind": one.kind,
            "payload": one.payload,
            "tries": one.tries,
            "tenant": one.tenant,
            "event": one.event,
            "actor": one.actor,
            "recorded_at": one.recorded_at,
            "key": f"{one.seq}.{one.ordinal}",
        }
        runner, loop = self._runner, asyncio.get_running_loop()
        if route.waits:
            dispatch: Any = runner.dispatch
            if isinstance(runner, Runner):
                dispatch = _in_thread(runner.dispatch)
            return await route.awaited(effect, AsyncDelivery(**facts, _dispatch=dispatch))
        dispatch = runner.dispatch if isinstance(runner, Runner) else across(loop, runner.dispatch)
        return await _apart(loop, route.call, effect, Delivery(**facts, _dispatch=dispatch))


def ended(
    one: Claimed,
    state: str,
    outcome: str,
    *,
    wait: timedelta = timedelta(0),
    reference: str | None = None,
    detail: str | None = None,
) -> Ended:
    """Return what came of a try, and say so in a line."""
    made = Ended(
        tenant=one.tenant,
        seq=one.seq,
        ordinal=one.ordinal,
        tries=one.tries,
        state=state,
        outcome=outcome,
        wait=wait.total_seconds(),
        reference=reference,
        detail=None if detail is None else detail[:500],
    )
    level = INFO if state == "delivered" else WARNING
    if log.heard(level):
        log.told(made.told, level=level, effect=one.id, kind=one.kind, tries=one.tries, detail=detail)
    return made


def _in_thread(call: Callable[..., R]) -> Callable[..., Coroutine[Any, Any, R]]:
    async def called(*args: Any, **given: Any) -> R:
        return await asyncio.to_thread(call, *args, **given)

    return called


def _apart(loop: asyncio.AbstractEventLoop, call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Have a plain function run in a thread of its own, in the context of whoever asks.

    Not of a pool: one that hangs would keep its place for ever, and a program waits for a pool's threads before it ends.
    """
    future: asyncio.Future[Any] = loop.create_future()

    def settle(made: Any, error: BaseException | None) -> None:
        if not future.done():
            if error is None:
                future.set_result(made)
            else:
                future.set_exception(error)

    def run() -> None:
        made: Any = None
        failed: BaseException | None = None
        try:
            made = call(*args)
        except StopIteration as error:
            failed = RuntimeError(repr(error))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for it
            failed = error
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, made, failed)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), name="dateline delivery", daemon=True).start()
    return future
