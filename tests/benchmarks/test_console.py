"""Every page of the console is measured."""

from __future__ import annotations

from benchmarks.console import PAGES
from dateline.console.site import Console


def test_a_page_that_is_new_is_measured_too() -> None:
    assert set(PAGES) == set(Console.PAGES)
