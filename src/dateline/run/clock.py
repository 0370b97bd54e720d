"""Clock and chance, the two things that a decision must not take for itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import random
from typing import TypeAlias
from uuid import UUID

from dateline.errors import Contention

__all__ = ["Budget", "Clock", "chance", "new_id", "now"]

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present as an aware instant; pass another to a runner in tests."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)


def chance() -> tuple[bytes, bytes]:
    """Return thirty-two random bytes for the salts, and eight for an id: one is told to everybody, and the others to nobody."""
    drawn = os.urandom(40)
    return drawn[:32], drawn[32:]


def new_id(at: datetime, drawn: bytes) -> UUID:
    """Return a UUIDv7 of that instant, in order to the microsecond.

    Args:
        drawn: Eight random bytes.

    Source: RFC 9562, sections 5.7 and 6.2 (method 3).
    """
    microseconds = max((at - _EPOCH) // _MICROSECOND, 0)
    milliseconds, rest = divmod(microseconds, 1000)
    low = int.from_bytes(drawn) >> 2
    # Milliseconds, version, the rest of the time in 4096ths of a millisecond, variant, chance.
    return UUID(int=(milliseconds & _48_BITS) << 80 | 7 << 76 | (rest * 4096 // 1000) << 64 | 2 << 62 | low)


_MICROSECOND = timedelta(microseconds=1)
_48_BITS = (1 << 48) - 1


class Budget:
    """The time that one request may fight for its turn."""

    FIRST = 0.002
    LONGEST = 0.25

    def __init__(self, budget: timedelta) -> None:
        self.whole: float = budget.total_seconds()
        self.until: float | None = None

    def pause(self, tries: int, *, brief: bool = False) -> float:
        """Return how long to wait before the next try, in seconds.

        Args:
            brief: As short as it can be.

        Raises:
            Contention: When the budget is spent.
        """
        moment = time.monotonic()
        if self.until is None:
            self.until = moment + self.whole
        if moment >= self.until:
            raise Contention(
                f"lost {tries} tries against other writers within {self.whole:g} s; nothing was written, send it again"
            )
        # Full jitter: those that lost together must not come back together.
        return float(min(self.LONGEST, self.FIRST * 2 ** (0 if brief else min(tries, 10)))) * random()
