"""A real browser, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

__all__ = ["BROWSER", "browser", "needed"]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needed = pytest.mark.skipif(BROWSER is None, reason="no browser here: apt-get install chromium")

# In a container there is no sandbox to be had; and nothing is asked of anybody outside.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser() -> Iterator[Browser]:
    """Give one that is closed afterwards."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=BROWSER, args=_FLAGS)
        yield made
        made.close()
