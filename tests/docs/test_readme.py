"""The sample of README.md, as it stands: it runs, and type checkers find nothing to object to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dateline.run.reader import Reader
from tests.cli.conftest import ENVIRONMENT
from tests.docs.page import ROOT, shop

README = ROOT / "README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the sample's files in it."""
    shop(tmp_path)
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nmypy_path = {ROOT / 'src'}\n[mypy-dateline.*]\nfollow_imports = silent\n"
    )
    return tmp_path


def test_the_sample_does_what_it_says(folder: Path) -> None:
    database = f"sqlite:///{folder / 'shop.db'}"
    with Reader(database) as reader:
        reader.migrate()
    for program in ("make.py", "app.py"):
        ran = subprocess.run(
            [sys.executable, program],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")

    with Reader(database) as reader:
        [entry] = reader.trail()
    assert entry.outcome == "committed"
    assert [(one.before, one.after) for one in entry.operations] == [
        ({"id": "ann", "cents": 15_00}, {"id": "ann", "cents": 6_00})
    ]
    assert [(one.kind, one.payload) for one in entry.effects] == [
        ("tell", {"who": "ann", "text": "Your balance is low"})
    ]


def test_the_sample_passes_mypy_strict(folder: Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "app.py", "make.py", "shop"]

    ran = subprocess.run(mypy, cwd=folder, capture_output=True, text=True, check=False, timeout=300)

    assert (ran.returncode, ran.stdout) == (0, "Success: no issues found in 10 source files\n"), ran


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs node, which this machine lacks")
def test_the_sample_passes_pyright(folder: Path) -> None:
    (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{ROOT / "src"}"], "typeCheckingMode": "strict"}}')
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]

    ran = subprocess.run(pyright, cwd=folder, capture_output=True, text=True, check=False, timeout=300)

    assert (ran.returncode, ran.stdout) == (0, "0 errors, 0 warnings, 0 informations\n"), ran.stdout


def test_the_sample_fits_its_promise(folder: Path) -> None:
    with_blanks = sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py"))

    assert with_blanks < 100


def test_the_two_commands_are_the_ones_that_every_check_runs() -> None:
    lines = README.read_text().splitlines()

    commands = [line for line in lines if line.startswith("python3 -m venv .venv && ")]

    assert [line.rpartition(" -e . && ")[2] for line in commands] == [
        ".venv/bin/python -m clinic demo",
        ".venv/bin/python -m pytest -n 3 --dist worksteal",
    ]
