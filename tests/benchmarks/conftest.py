"""A ground for contests on the tests' own server: what they claim is who leaves which rows, not how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contest import Ground
from dateline.testing.postgres import Postgres


@pytest.fixture
def ground(postgres18: Postgres, tmp_path: Path) -> Ground:
    """Give a place where contests can be held."""
    return Ground(postgres18, tmp_path)
