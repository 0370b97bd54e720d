"""What requests hold: bodies, parameters and headers, taken as described or refused."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, create_model
from pydantic_core import CoreSchema
from starlette.requests import ClientDisconnect

from dateline.core.canon import canonical
from dateline.core.event import Event
from dateline.core.iso import dated
from dateline.core.meta import Reason
from dateline.core.model import faults
from dateline.core.scan import exact, unambiguous
from dateline.errors import Malformed, NoSuchEvent, NotCanonical
from dateline.web.call import Call
from dateline.web.problem import Unserved

__all__ = [
    "Asked",
    "Because",
    "Correcting",
    "Moving",
    "Otherwise",
    "Replaying",
    "body_of",
    "cut_of",
    "date_of",
    "id_of",
    "instant_of",
    "key_of",
    "kind_of",
    "number_of",
    "read",
    "read_event",
    "reason_of",
    "uuid_of",
    "word_of",
]

MOST = 100
"""Events of one page."""

_ROOM = 64 * 2**10
"""Bytes of a body beside the event's own."""

B = TypeVar("B", bound=BaseModel)


class _Body(BaseModel):
    """What bodies have in common: nothing unknown, nothing taken for something else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        made: CoreSchema = dated(handler(source))
        return made


class Because(_Body):
    """Why, as `Reason`."""

    text: str
    code: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None


class Asked(_Body):
    """What a request to dispatch or preview holds.

    Args:
        input: The event's fields, in the shape of the version.
        expects: Fingerprints, by row and field, of what must still be so.
        preview: What a preview gave for committing that very plan.
    """

    input: dict[str, Any] = {}
    reason: str | Because | None = None
    at: AwareDatetime | None = None
    cause: UUID | None = None
    expects: dict[str, dict[str, str]] | None = None
    preview: str | None = None


class Moving(_Body):
    """Where a caller is moved.

    Args:
        version: A date.
    """

    version: date
    reason: str | Because | None = None


class Replaying(_Body):
    """How a recorded event is decided again.

    Args:
        version: A date; its own without it.
    """

    version: date | None = None


class Otherwise(Replaying):
    """Another way to decide a recorded event: under another version, or with another input.

    Args:
        version: A date; what stands is compared with that.
        base: A date that takes the place of what stands.
        input: Fields that should have been other than they were.
    """

    base: date | None = None
    input: dict[str, Any] | None = None


class Correcting(Otherwise):
    """A difference to perform, or part of it.

    Args:
        preview: Tell what performing it would do, and write nothing.
        number: Of the correction that this will be, as the preview told it: so that nobody's came in between.
        items: The keys of the differences to perform; all without it.
    """

    preview: bool = False
    number: int | None = None
    items: tuple[str, ...] | None = None
    admit: bool = False
    revoke: bool = False
    closed: AwareDatetime | date | None = None
    reason: str | Because | None = None


async def read(call: Call, what: type[B]) -> B:
    """Return what a body says.

    Raises:
        Malformed: Where it says something else; naming each fault by path, without the values.
        Unserved: Where it is larger than is read.
    """
    return _read(await _body(call), what)[0]


async def read_event(call: Call) -> tuple[Asked, Event]:
    """Return what a body says, and the event in it, in the shape of the version.

    Raises:
        Malformed, Unserved: As `read`.
    """
    body, day = await _body(call), call.version.date
    shape = call.runner.versions.cascade(call.of, day).event
    if len(body) <= call.runner.settings.largest:
        # Both in one reading, which is what nearly all take; what cannot be read so is read once more, to be told of in its own words.
        with contextlib.suppress(ValidationError, Malformed, NotCanonical):
            both = _envelope(shape).model_validate_json(body)
            if unambiguous(body):
                event: Event = both.input  # type: ignore[assignment]  # what an envelope has in this place
                canonical(event)
                return both, event
    asked, kept = _read(body, Asked)
    event = call.runner.event(call.of, asked.input, version=day)
    if not kept:
        exact(type(event))
    return asked, event


@cache
def _envelope(shape: type[Event]) -> type[Asked]:
    return create_model(f"{shape.__name__}Asked", __base__=Asked, input=(shape, ...))


async def _body(call: Call) -> bytes:
    return await body_of(call, call.runner.settings.largest + _ROOM) or b"{}"


async def body_of(call: Call, largest: int) -> bytes:
    """Return a body as it came.

    Raises:
        Unserved: For one of more bytes than that, which is not read to its end.
        Malformed: For one that breaks off.
    """
    made = bytearray()
    try:
        async for some in call.request.stream():
            made += some
            if len(made) > largest:
                raise Unserved("too-large", f"{largest} bytes are read at most")
    except ClientDisconnect:
        # Nobody is there to read this; but it is no fault of the server's, and no line of its log.
        raise Malformed("the body ended before its end") from None
    return bytes(made)


def _read(body: bytes, what: type[B]) -> tuple[B, bool]:
    """Return what a body says, and whether all digits of its numbers are kept."""
    try:
        # As it came: what `_whole` makes of it has each name once, and the digits that were read.
        kept = unambiguous(body)
    except (ValueError, RecursionError):
        kept = True
    try:
        return what.model_validate_json(_whole(body)), kept
    except ValidationError as error:
        raise faults("request", error) from None


def _whole(body: bytes) -> bytes:
    """Return a body with its whole numbers written as such: 1.0 as 1, which is how it would be recorded; what is no JSON, as it is.

    JSON knows one sort of number, and some languages write 1.0 where one is meant; 1.5, "1" and true stay what they are.

    Source: JSON Schema 2020-12, section 4.2.3; RFC 8785, section 3.2.2.3; RFC 7493 (I-JSON), section 2.2, for the bound.
    """

    def number(told: str) -> float | int:
        found = float(told)
        return int(found) if found.is_integer() and abs(found) < 2**53 else found

    try:
        return json.dumps(json.loads(body, parse_float=number)).encode()
    except (ValueError, RecursionError):
        return body


def key_of(call: Call) -> str:
    """Return the request's key, which is the caller's own: nobody comes upon the answer to another's.

    Raises:
        Unserved: Without one.
        Malformed: For one that a header cannot carry everywhere.

    Source: draft-ietf-httpapi-idempotency-key-header, whose key is a string of RFC 8941; without its quotes it is taken too.
    """
    told = call.request.headers.get("idempotency-key", "").strip()
    key = told[1:-1].replace('\\"', '"').replace("\\\\", "\\") if len(told) > 1 and told[0] == told[-1] == '"' else told
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise Malformed("Idempotency-Key is ASCII without spaces", (("Idempotency-Key", "is ASCII without spaces"),))
    if not key:
        raise Unserved(
            "key-missing", "send Idempotency-Key with a text of your own, and the same one when you send it again"
        )
    return f"{quote(call.caller.actor.id, safe='')}/{key}"


def id_of(call: Call) -> UUID:
    """Return the id of the event that a path names.

    Raises:
        NoSuchEvent: For what can be none.
    """
    told = call.of
    found = uuid_of(told)
    if found is None:
        raise NoSuchEvent("an event's id is a UUID")
    return found


def uuid_of(told: str) -> UUID | None:
    """Return the id that a text is; None for what is none."""
    try:
        return UUID(told)
    except ValueError:
        return None


def kind_of(call: Call) -> None:
    """Refuse to dispatch to a recorded event, whose path is that of a kind."""
    if uuid_of(call.of) is not None:
        raise Unserved(
            "not-allowed", "a recorded event can be read; dispatch to a kind: POST /events/{kind}", allow="GET"
        )


def reason_of(told: str | Because | None) -> Reason | str | None:
    """Return why, as a body says it."""
    return Reason(**told.model_dump()) if isinstance(told, Because) else told


def word_of(call: Call, name: str, words: tuple[str, ...]) -> str | None:
    """Return a parameter that takes one of some words; None without it."""
    told = call.request.query_params.getlist(name)
    if not told:
        return None
    if len(told) > 1 or told[0] not in words:
        raise Malformed(f"{name} is {' or '.join(words)}", ((name, f"is {' or '.join(words)}"),))
    return told[0]


def instant_of(call: Call, name: str) -> datetime | None:
    """Return a parameter that is an instant, in UTC; None without it.

    Raises:
        Malformed: For anything else.
    """
    told = call.request.query_params.getlist(name)
    if not told:
        return None
    wanted = "is an instant with a time zone: 2024-07-01T09:30:00Z"
    try:
        found = datetime.fromisoformat(told[0])
        if len(told) > 1 or found.tzinfo is None or len(told[0]) < len("2024-07-01T09:30Z"):
            raise ValueError
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{name} {wanted}", ((name, wanted),)) from None


def date_of(call: Call, name: str) -> date | None:
    """Return a parameter that is a date; None without it.

    Raises:
        Malformed: For anything else.
    """
    told = call.request.query_params.getlist(name)
    if not told:
        return None
    try:
        if len(told) > 1 or len(told[0]) != len("2018-08-01"):
            raise ValueError
        return date.fromisoformat(told[0])
    except ValueError:
        raise Malformed(f"{name} is a date: 2018-08-01", ((name, "is a date: 2018-08-01"),)) from None


def number_of(call: Call, name: str, default: int, within: tuple[int, int]) -> int:
    """Return a parameter that is a whole number.

    Args:
        within: The least and the most that it may be.

    Raises:
        Malformed: For anything else.
    """
    told = call.request.query_params.getlist(name)
    if not told:
        return default
    digits = len(told) == 1 and told[0].isascii() and told[0].isdigit() and len(told[0]) < 20
    least, most = within
    if not (digits and least <= int(told[0]) <= most):
        raise Malformed(f"{name} is a number from {least} to {most}", ((name, f"is a number from {least} to {most}"),))
    return int(told[0])


def cut_of(call: Call) -> dict[str, Any]:
    """Return what a page is cut by: `?after=`, `?limit=`, and `?order=newest`."""
    order = word_of(call, "order", ("oldest", "newest"))
    made = {
        "limit": number_of(call, "limit", MOST, (1, MOST)),
        "newest_first": order == "newest",
    }
    return made | ({"after": number_of(call, "after", 0, (0, 2**53))} if "after" in call.request.query_params else {})
