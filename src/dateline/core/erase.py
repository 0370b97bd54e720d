"""Somebody's personal values leave the trail: an event like any other, with an actor and a reason, on which handlers may act."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from dateline.core.entry import Entry
from dateline.core.event import Event
from dateline.core.meta import Reason
from dateline.core.model import faults
from dateline.errors import Malformed

__all__ = ["EraseSubject", "erased_under", "erasure", "reasoned"]

RIGHT = "erase"
"""The right to erase."""


class EraseSubject(Event, kind="subject.erase", requires=RIGHT, subjects=("{subject}",)):
    """Somebody's personal values leave the trail, in the transaction that records this.

    What becomes of the application's own tables, the handlers of this kind say; without any, those stay as they are.

    Args:
        subject: Whose values, by the name that events and records give them: `patient:42`.
    """

    subject: Annotated[str, Field(min_length=1, max_length=400)]


def erasure(subject: str) -> EraseSubject:
    """Return the event that erases a subject.

    Raises:
        Malformed: For what can be nobody's name.
    """
    try:
        return EraseSubject(subject=subject)
    except ValidationError as error:
        raise faults(EraseSubject.__qualname__, error) from None


def reasoned(event: Event, reason: Reason | None) -> None:
    """Refuse an erasure for which nobody says why.

    Raises:
        Malformed: Where there is no reason, or it is blank.

    Source: GDPR, articles 5 (2) and 17: that and why it was erased has to be shown afterwards.
    """
    if isinstance(event, EraseSubject) and (reason is None or not reason.text.strip()):
        raise Malformed('an erasure needs a reason, which stays on record: reason="asked for it on 3 May"')


def erased_under(entry: Entry, path: str) -> bool:
    """Tell whether a value was erased in a part of a record.

    Args:
        path: The part, as a JSON pointer.
    """
    return any(one == path or one.startswith(f"{path}/") for one in entry.erased)
