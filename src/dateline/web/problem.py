"""What went wrong, as a problem document, each of a type that stays.

Source: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from dateline.core.canon import canonical
from dateline.errors import (
    BooksClosed,
    Contention,
    DatelineError,
    DependedOn,
    Malformed,
    MissingTable,
    NonDeterministic,
    NoSuchEvent,
    NotCorrectable,
    NotMigrated,
    Refused,
    ReleaseEdited,
    StaleDiff,
    Unable,
    Unanswerable,
    UnknownKind,
    Unreachable,
)
from dateline.web.call import Shows

__all__ = ["PROBLEMS", "Explained", "Unserved", "problem"]

TYPE = "urn:problem-type:dateline:"

PROBLEMS: Mapping[str, tuple[HTTPStatus, str]] = {
    "malformed": (HTTPStatus.BAD_REQUEST, "The request is not what is asked for here"),
    "key-missing": (HTTPStatus.BAD_REQUEST, "A request that changes something carries an Idempotency-Key"),
    "version-gone": (HTTPStatus.GONE, "That version has ended"),
    "unknown-version": (HTTPStatus.BAD_REQUEST, "There is no such version, or none any more"),
    "shape-newer": (HTTPStatus.BAD_REQUEST, "The event is of a shape that this version does not know"),
    "not-storable": (HTTPStatus.BAD_REQUEST, "The database cannot hold a value"),
    "unauthenticated": (HTTPStatus.UNAUTHORIZED, "Nobody knows who is calling"),
    "denied": (HTTPStatus.FORBIDDEN, "The caller lacks a right"),
    "unknown-kind": (HTTPStatus.NOT_FOUND, "No version in force knows this kind of event"),
    "no-such-event": (HTTPStatus.NOT_FOUND, "There is no event of that id"),
    "no-such-row": (HTTPStatus.NOT_FOUND, "There is no such row"),
    "not-found": (HTTPStatus.NOT_FOUND, "A row that the decision needs is not there"),
    "not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "That is not done here"),
    "too-many": (HTTPStatus.CONFLICT, "There are more rows than the decision takes"),
    "stale": (HTTPStatus.CONFLICT, "What the caller saw is no longer so"),
    "preview-expired": (HTTPStatus.CONFLICT, "The preview's time is over"),
    "constraint": (HTTPStatus.CONFLICT, "The database refuses what would be written"),
    "corrected-since": (HTTPStatus.CONFLICT, "The event was corrected since that was looked at"),
    "not-correctable": (HTTPStatus.CONFLICT, "Of this event, this cannot be corrected"),
    "too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than is read"),
    "rejected": (HTTPStatus.UNPROCESSABLE_ENTITY, "Checks refused the event"),
    "key-reused": (HTTPStatus.UNPROCESSABLE_ENTITY, "The key belongs to another request"),
    "unanswerable": (HTTPStatus.UNPROCESSABLE_ENTITY, "Nobody can know what would be decided"),
    "unrepresentable": (HTTPStatus.UNPROCESSABLE_ENTITY, "The other shape has no word for this event"),
    "fault": (HTTPStatus.INTERNAL_SERVER_ERROR, "The server is at fault; nothing was written"),
    "contention": (HTTPStatus.SERVICE_UNAVAILABLE, "Many were writing; send it again"),
    "unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be had now; send it again"),
}
"""Every type of problem: its status and its title."""

_AGAIN = {"contention": "1", "unavailable": "5"}
"""After how many seconds a client may try again."""


_WORDS: tuple[tuple[Any, str], ...] = (
    (NoSuchEvent, "no-such-event"),
    (StaleDiff, "corrected-since"),
    ((BooksClosed, DependedOn, NotCorrectable), "not-correctable"),
    ((NonDeterministic, ReleaseEdited, Unanswerable), "unanswerable"),
)
"""Those whose words are for whoever asks."""


class Unserved(DatelineError):
    """A request that this face of dateline refuses before it is an event.

    Args:
        word: The problem's type.
        allow: The method that can be used instead.
        facts: What is known beyond that.
    """

    def __init__(self, word: str, detail: str, *, allow: str | None = None, **facts: Any) -> None:
        super().__init__(detail)
        self.word = word
        self.allow = allow
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


def problem(error: DatelineError) -> Response:
    """Return the answer to a request that failed.

    A fault of the server's is told without its words, which belong to those who run it.
    """
    word, detail, facts = _meaning(error)
    status, title = PROBLEMS[word]
    told = {**facts, "type": f"{TYPE}{word}", "title": title, "status": status.value, "detail": detail}
    headers = {"retry-after": _AGAIN[word]} if word in _AGAIN else {}
    if word == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, Unserved) and error.allow is not None:
        headers["allow"] = error.allow
    return Response(canonical(told), status.value, headers, "application/problem+json")


def _meaning(error: DatelineError) -> tuple[str, str, dict[str, Any]]:
    if isinstance(error, Unserved):
        return error.word, str(error), dict(error.facts)
    if isinstance(error, Explained):
        word, detail, facts = _meaning(error.refusal)
        return word, detail, {**facts, **error.facts}
    if isinstance(error, Refused):
        facts = error.problem()
        return error.outcome, str(facts["detail"]), facts | ({"event": error.event_id} if error.event_id else {})
    if isinstance(error, Malformed):
        word = "unknown-kind" if isinstance(error, UnknownKind) else "malformed"
        problems = [{"pointer": path, "detail": message} for path, message in error.problems]
        return word, str(error), {"problems": problems} if problems else {}
    for kinds, word in _WORDS:
        if isinstance(error, kinds):
            return word, str(error), {}
    if isinstance(error, Contention):
        return "contention", "others won every try", {}
    if isinstance(error, Unreachable | Unable | NotMigrated | MissingTable):
        return "unavailable", "nothing was written, or the key tells: send it again with the same one", {}
    return "fault", "the server's log says more", {}
