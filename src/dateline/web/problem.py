"""What this face of dateline refuses by itself, and what went wrong as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from dateline.core.problem import Problem, problem
from dateline.errors import DatelineError, Refused
from dateline.web.call import Shows

__all__ = ["Explained", "Unserved", "answer", "found"]


class Unserved(DatelineError):
    """A request that this face of dateline refuses before it is an event.

    Args:
        word: The problem's type.
        allow: The method that can be used instead.
        again: After how many seconds it can be sent again.
        facts: What is known beyond that.
    """

    def __init__(
        self, word: str, detail: str, *, allow: str | None = None, again: int | None = None, **facts: Any
    ) -> None:
        super().__init__(detail)
        self.word = word
        self.allow = allow
        self.again = again
        self.facts = facts


class Explained(DatelineError):
    """A refusal, with what the client is told beside it.

    Args:
        facts: What is known beyond the refusal.
        shows: Whose data that shows, or would have shown.
    """

    def __init__(self, refusal: Refused, facts: Mapping[str, Any] | None = None, shows: Shows | None = None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.facts = facts or {}
        self.shows = shows


def answer(error: DatelineError) -> Response:
    """Return the answer to a request that failed."""
    made = found(error)
    return Response(made.text, made.status, dict(made.headers), "application/problem+json")


def found(error: DatelineError) -> Problem:
    """Return what went wrong, of this face's own refusals too."""
    if isinstance(error, Unserved):
        headers = {"www-authenticate": "Bearer"} if error.word == "unauthenticated" else {}
        headers |= {"allow": error.allow} if error.allow is not None else {}
        headers |= {"retry-after": str(error.again)} if error.again is not None else {}
        return Problem(error.word, str(error), error.facts, headers)
    if isinstance(error, Explained):
        made = problem(error.refusal)
        return replace(made, facts={**made.facts, **error.facts})
    return problem(error)
