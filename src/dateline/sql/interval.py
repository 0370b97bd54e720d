"""A duration as PostgreSQL writes it: ISO 8601, but with a sign for each of its parts."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["duration", "interval"]

_PARTS = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?"
)


def interval(text: str) -> timedelta:
    """Return the duration that a text of PostgreSQL's style iso_8601 means, such as `P-1DT2H`.

    Returns:
        A year as 365 days and a month as 30, which is how the driver reads them.

    Raises:
        ValueError: For any other text.

    Source: PostgreSQL, "Interval Output": in this style negative parts have signs of their own.
    """
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError("that is no interval")
    years, months, days, hours, minutes = (int(part or 0) for part in found.groups()[:5])
    sign, seconds, fraction = found[6], int(found[7] or 0), int((found[8] or "").ljust(6, "0"))
    way = -1 if sign else 1
    return timedelta(
        days=365 * years + 30 * months + days,
        hours=hours,
        minutes=minutes,
        seconds=way * seconds,
        microseconds=way * fraction,
    )


def duration(text: str) -> timedelta:
    """Return the duration that a canonical text means, which has one sign for all of its parts: `-P1DT2H`."""
    return -interval(text[1:]) if text.startswith("-") else interval(text)
