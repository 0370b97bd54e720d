"""`dateline new` and `dateline release`, as a team types them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran
from tests.cli.test_check import OFFENDING, application


def test_a_version_is_begun_and_released(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = application("begun", OFFENDING, tmp_path, monkeypatch)

    begun = dateline("new", "--versions", name)
    dry = dateline("release", "2025-01-01", "--versions", name, "--dry-run")
    done = dateline("release", "2025-01-01", "--versions", name, "--zone", "Europe/Amsterdam")

    assert begun == Ran(0, f"Write the next version in {name}/next, and why in its __init__.py.\n", "")
    assert dry == Ran(0, f"would be: {name}/v2025_01_01 is in force from 2025-01-01T00:00:00+00:00\n", "")
    assert done == Ran(
        0, f"{name}/v2025_01_01 is in force from 2024-12-31T23:00:00+00:00; recorded in released.toml\n", ""
    )


def test_what_cannot_be_released_is_told_in_a_line(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = application("unreleasable", OFFENDING, tmp_path, monkeypatch)

    assert dateline("release", "2023-01-01", "--versions", name) == Ran(
        2, "", "dateline: 2023-01-01 is not after 2024-01-01, the newest version; releases are only ever added\n"
    )
    assert dateline("release", "2025-01-01", "--versions", name, "--zone", "Atlantis").err == (
        "dateline: 'Atlantis' is no time zone; write one such as Europe/Amsterdam\n"
    )


def test_check_finds_an_edit_of_a_released_layer(
    dateline: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = application("edited_later", OFFENDING.replace("time.time()", "1"), tmp_path, monkeypatch)
    dateline("new", "--versions", name)
    dateline("release", "2025-01-01", "--versions", name)
    (tmp_path / name / "v2025_01_01" / "rules.py").write_text("LIMIT = 3\n")

    ran = dateline("check", "--versions", name)

    assert ran.status == 1
    assert "edited  rules: 2025-01-01 was released, and its module rules was edited" in ran.out
