"""What people do through pages: only by a form that this server gave to that very person, and once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl, quote

from dateline.errors import Malformed
from dateline.web.asked import body_of
from dateline.web.call import Answer, Call, Route
from dateline.web.caller import same_host
from dateline.web.problem import Unserved

__all__ = ["PERMIT", "Filled", "Work", "act", "carried"]

PERMIT = "permit"
"""The hidden field by which a form is known again."""

_FIELDS = 1_000
"""Fields of one form."""

_SMALL = 64 * 2**10
"""Bytes of a form that holds no event."""

_HOW = "Nothing happened. Go back to the page, load it again, and send its form."


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it came back.

    Args:
        fields: Its values by name, in their order, with line feeds where browsers write CR LF.
        key: The request's key, which is the form's: sent twice, it happens once.
        late: Its time is over; nothing is done by it, and it can be shown once more with what was typed.
    """

    fields: Mapping[str, tuple[str, ...]]
    key: str
    late: bool = False

    def __getitem__(self, name: str) -> str:
        """Return a field's value; an empty text where there is none."""
        return self.fields.get(name, ("",))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a field."""
        return self.fields.get(name, ())

    @property
    def typed(self) -> dict[str, str]:
        """What was typed into the fields of an event, which a form names after `input.`."""
        led = "input."
        return {name.removeprefix(led): told[0] for name, told in self.fields.items() if name.startswith(led)}

    @property
    def reason(self) -> str | None:
        """Why, as it was typed; None where nothing was."""
        return self["reason"].strip() or None


Work: TypeAlias = Callable[[Call, Filled], Awaitable[Answer]]
"""Does what a form asks for."""


def act(name: str, work: Work, *, again: bool = False, event: bool = False) -> Route:
    """Return the route that does something, for a form of this console's and nobody else's.

    Args:
        name: What is done; with what the path names it is what a form must have been given for.
        again: A form whose time is over reaches the work too, which shows it once more and does nothing.
        event: The form holds an event, and may be as large as one.
    """

    async def route(call: Call) -> Answer:
        _here(call)
        found = await _fields(call, call.runner.settings.largest if event else _SMALL)
        of = (name, *map(str, call.request.path_params.values()))
        try:
            [told] = found.pop(PERMIT, ())
            permit = call.runner.permitted(told, *of, actor=call.caller.actor, tenant=call.caller.tenant)
        except (ValueError, Malformed):
            raise Unserved(
                "denied", f"{_HOW} This one was not given to you, for this, by this server.", heading="Refused"
            ) from None
        late = permit.ends <= call.runner.clock()
        if late and not again:
            raise Unserved("denied", f"{_HOW} This one is too old.", heading="Refused")
        return await work(call, Filled(found, f"{quote(call.caller.actor.id, safe='')}/form/{permit.key}", late))

    return route


def carried(call: Call, *of: str) -> str:
    """Return what a form carries for doing something of this name to what these parts of its path name."""
    return call.runner.permit(*of, actor=call.caller.actor, tenant=call.caller.tenant)


def _here(call: Call) -> None:
    """Refuse what no page of this host sends, whatever it carries.

    Raises:
        Unserved: Naming the way out.

    Source: the Fetch standard (Origin), W3C Fetch Metadata (Sec-Fetch-Site).
    """
    headers = call.request.headers
    if not same_host(call.request) or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Unserved("denied", f"{_HOW} This came from a page of another site.", heading="Refused")


async def _fields(call: Call, largest: int) -> dict[str, tuple[str, ...]]:
    """Return what a form holds.

    Raises:
        Malformed: For what is no form.
        Unserved: For one that is larger than is read.

    Source: the URL standard, application/x-www-form-urlencoded; HTML, for the line ends of what is sent.
    """
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Malformed("a form is sent as application/x-www-form-urlencoded")
    body = await body_of(call, largest)
    found: dict[str, tuple[str, ...]] = {}
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        raise Malformed(f"a form holds at most {_FIELDS} fields, as texts in UTF-8") from None
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value.replace("\r\n", "\n"))
    return found
