"""A cache with a bound holds no more than it may, whoever else fills it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dateline.core.internal import bounded


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_oldest_go_first() -> None:
    cache = dict.fromkeys("abcde")

    bounded(cache, 3)

    assert list(cache) == ["c", "d", "e"]


def test_threads_may_fill_it_at_once(hasty: None) -> None:
    cache: dict[object, None] = {}

    def fill(index: int) -> None:
        for place in range(20_000):
            cache[index, place] = None
            bounded(cache, 3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, range(8)))

    bounded(cache, 3)
    assert len(cache) == 3
