"""Rows that are older than the trail become known to it: an event whose operations are recorded and not performed."""

from __future__ import annotations

from dateline.core.event import Event

__all__ = ["RIGHT", "AdoptTable"]

RIGHT = "adopt"
"""The right to say that rows are to be known to the trail."""


class AdoptTable(Event, kind="table.adopt", requires=RIGHT):
    """Rows that are older than the trail are known to it from now on, as they are.

    Args:
        rows: How many.
        first: The key of the first of them; `last` that of the last.
    """

    table: str
    rows: int
    first: str
    last: str
