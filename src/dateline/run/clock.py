"""Clock and chance, the two things that a decision must not take for itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import random
from typing import TypeAlias
from uuid import UUID

import uuid_utils

from dateline.errors import Contention

__all__ = ["Budget", "Clock", "new_id", "new_seed", "now"]

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present as an aware instant; pass another to a runner in tests."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)


def new_id(at: datetime) -> UUID:
    """Return a UUIDv7 of that instant.

    Source: RFC 9562, section 5.7.
    """
    since = at - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return UUID(bytes=uuid_utils.uuid7(nanoseconds=max(microseconds, 0) * 1000).bytes)


def new_seed() -> bytes:
    """Return thirty-two random bytes."""
    return secrets.token_bytes(32)


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
