"""What went wrong, as a problem document, each of a type that stays; for whatever answers requests.

Source: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

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
    NotInState,
    NotMigrated,
    Refused,
    ReleaseEdited,
    StaleDiff,
    Unable,
    Unanswerable,
    UnknownKind,
    Unreachable,
    WrongText,
)

__all__ = ["PROBLEMS", "TYPE", "Problem", "problem"]

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
    "not-in-state": (HTTPStatus.CONFLICT, "The effect is in a state in which that cannot be done"),
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
    (NotInState, "not-in-state"),
    ((BooksClosed, DependedOn, NotCorrectable), "not-correctable"),
    ((NonDeterministic, ReleaseEdited, Unanswerable), "unanswerable"),
)
"""Those whose words are for whoever asks."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer to a request that failed.

    Args:
        word: Its type's last part, such as "stale".
        detail: What went wrong this time.
        facts: What is known beyond that: rejections, differences, problems, event.
        headers: To be sent with it.
    """

    word: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return PROBLEMS[self.word][0].value

    @property
    def document(self) -> dict[str, Any]:
        """The document, as JSON's types and others that `text` knows."""
        title = PROBLEMS[self.word][1]
        known = {"type": f"{TYPE}{self.word}", "title": title, "status": self.status, "detail": self.detail}
        return {**self.facts, **known}

    @property
    def text(self) -> bytes:
        """The document as JSON, of the media type application/problem+json."""
        return canonical(self.document)


def problem(error: DatelineError) -> Problem:
    """Return the answer to a request that ended with an error of dateline's.

    A fault of the server's is told without its words, which belong to those who run it: log the error.
    """
    word, detail, facts = _meaning(error)
    return Problem(word, detail, facts, {"retry-after": _AGAIN[word]} if word in _AGAIN else {})


def _meaning(error: DatelineError) -> tuple[str, str, dict[str, Any]]:
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
    if isinstance(error, WrongText):
        # Not where the handler stands, which is for those who run it.
        return "not-storable", str(error.__cause__ or error), {}
    if isinstance(error, Contention):
        return "contention", "others won every try", {}
    if isinstance(error, Unreachable | Unable | NotMigrated | MissingTable):
        return "unavailable", "nothing was written, or the key tells: send it again with the same one", {}
    return "fault", "the server's log says more", {}
