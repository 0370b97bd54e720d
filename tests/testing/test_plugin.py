"""The plugin's fixtures, as another project's tests use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
from tests.contract.shop import VERSIONS, Buying, Offer, Sell, Stock
from dateline.testing.decisions import given

SEEN = (Offer(product=Stock(id="tea", stock=9)), Buying(buyer=None))


def test_plan(golden):
    golden(given(*SEEN, versions=VERSIONS).when(Sell(product="tea", quantity=QUANTITY), under="2024-01-01").plan, "sale")


def test_clock(moving_clock):
    assert moving_clock() == moving_clock()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["dateline.testing.plugin"]\n')
    return tmp_path


def run(project: Path, quantity: int, *arguments: str) -> tuple[int, str]:
    """Run the project's tests."""
    (project / "test_it.py").write_text(TEST.replace("QUANTITY", str(quantity)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_golden_plan_is_kept_compared_and_changed_on_purpose(project: Path) -> None:
    missing = run(project, 2)
    written = run(project, 2, "--update-goldens")
    same, other = run(project, 2), run(project, 3)

    assert (missing[0], written[0], same[0], other[0]) == (1, 0, 0, 1)
    assert "sale.json; look at the plan, then keep it: pytest --update-goldens" in missing[1]
    assert '-          "stock": 7' in other[1]
    assert '+          "stock": 6' in other[1]
    kept = (project / "goldens" / "sale.json").read_text()
    assert '"key": "take/Update:product[tea]"' in kept
