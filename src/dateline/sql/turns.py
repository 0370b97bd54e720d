"""Which subjects writers are fighting over: whoever comes next takes a turn at once, instead of losing a try first."""

from __future__ import annotations

from collections.abc import Iterable

from dateline.core.canon import canonical, digest
from dateline.core.internal import bounded

__all__ = ["EVERYBODY", "Turns", "places"]

EVERYBODY = 0x646174656C696E65
"""The place where writers that go on losing take turns, whatever their subjects: "dateline" in ASCII."""

CREDIT = 16
"""Requests that take a turn at once after one that had to wait for its turn; then one tries its luck again."""

MOST = 1000
"""Subjects that are remembered."""


def places(tenant: str, subjects: Iterable[str]) -> tuple[int, ...]:
    """Return the numbers under which subjects' turns are taken, in one order for all: two that want the same two never wait in a ring."""
    return tuple(sorted({int(digest(canonical([tenant, subject]))[:15], 16) for subject in subjects}))


class Turns:
    """What one process has seen of writers that wait for each other. A hint, no more: the database keeps the turns."""

    def __init__(self) -> None:
        self._credit: dict[int, int] = {}

    @property
    def any(self) -> bool:
        """Whether there is anybody to be waited for."""
        return bool(self._credit)

    def waited(self, at: Iterable[int]) -> None:
        """Note that somebody had to wait for a turn."""
        for place in at:
            self._credit[place] = CREDIT
        bounded(self._credit, MOST)

    def wanted(self, at: Iterable[int]) -> bool:
        """Tell whether to take a turn at once; it counts as taken."""
        found = [place for place in at if place in self._credit]
        for place in found:
            left = self._credit.get(place, 0) - 1
            if left > 0:
                self._credit[place] = left
            else:
                self._credit.pop(place, None)
        return bool(found)
