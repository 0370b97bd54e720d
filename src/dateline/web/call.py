"""One request from somebody who is known, under a version; and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from starlette.requests import Request

from dateline.core.meta import Origin, Reason
from dateline.core.version import Version
from dateline.run.path import Given
from dateline.run.runner import AsyncRunner
from dateline.web.caller import Caller

__all__ = ["Answer", "Call", "Route", "Shows", "origin_of"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, from somebody who is known, under a version.

    Args:
        base: The path under which the routes are mounted.
    """

    request: Request
    caller: Caller
    version: Version
    runner: AsyncRunner
    base: str

    @property
    def of(self) -> str:
        """The event's id, or its kind, that the path names."""
        found = self.request.path_params
        return str(found["kind"] if "kind" in found else found["id"])

    def given(self, reason: Reason | str | None = None) -> Given:
        """Return what the runner is told of every request."""
        return {
            "actor": self.caller.actor,
            "tenant": self.caller.tenant,
            "reason": reason,
            "origin": origin_of(self.request, self.caller),
        }


def origin_of(request: Request, caller: Caller) -> Origin:
    """Return where a request comes from."""
    return Origin(
        request=(request.headers.get("x-request-id") or "")[:200] or None,
        network=request.client.host if request.client else None,
        client=caller.client,
    )


@dataclass(frozen=True, slots=True)
class Shows:
    """Whose data an answer shows.

    Args:
        view: What it is: "timeline", "event", …
        subjects: Whose; those of `event` come to it.
        denied: It is not shown, since a right is missing.
    """

    view: str
    subjects: tuple[str, ...] = ()
    event: UUID | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Args:
        told: The document.
        shows: Whose data it shows, which is recorded before it is sent; None of what is nobody's.
    """

    told: Any
    shows: Shows | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route: TypeAlias = Callable[[Call], Awaitable[Answer]]
