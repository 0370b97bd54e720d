"""A plugin for pytest: `pytest_plugins = ["dateline.testing.plugin"]` in conftest.py.

Not loaded by itself wherever dateline is installed: that would make every pytest of that environment wait for dateline.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dateline.core.plan import Plan
from dateline.core.standalone import steps_of
from dateline.testing.decisions import Clock

__all__ = ["golden", "moving_clock"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes golden plans anew."""
    parser.addoption(
        "--update-goldens", action="store_true", help="write golden plans anew, instead of comparing with them"
    )


@pytest.fixture
def moving_clock() -> Clock:
    """A clock that stands still until it is moved."""
    return Clock()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Plan, str], None]:
    """Give what compares a plan with the one that is kept under a name, beside the test, in a folder `goldens`."""
    folder = Path(request.path).parent / "goldens"

    def compare(plan: Plan, name: str) -> None:
        __tracebackhide__ = True
        path = folder / f"{name}.json"
        told = json.dumps(steps_of(plan), indent=2, ensure_ascii=False) + "\n"
        if request.config.getoption("--update-goldens"):
            folder.mkdir(exist_ok=True)
            path.write_text(told, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"there is no {path}; look at the plan, then keep it: pytest --update-goldens")
        kept = path.read_text(encoding="utf-8")
        if kept != told:
            lines = difflib.unified_diff(
                kept.splitlines(), told.splitlines(), f"kept in {path.name}", "decided", lineterm=""
            )
            pytest.fail(
                "another plan was decided; if that is meant, keep it: pytest --update-goldens\n" + "\n".join(lines)
            )

    return compare
