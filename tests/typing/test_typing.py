"""What type checkers say of an application: the sample passes, and each mistake is one.

The mistakes in `cases/refused.py` are marked where they stand. Here the marks are taken away, and what a checker then finds must
be those lines and no others.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))
MARK = re.compile(r"  # type: ignore\[[a-z-]+\]$", re.MULTILINE)

Found = set[tuple[str, int]]


def run(*command: str) -> str:
    """Run a checker where its settings are, and return what it wrote."""
    done = subprocess.run((sys.executable, "-m", *command), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return done.stdout


def mypy(files: list[str]) -> Found:
    told = run("mypy", "--strict", "--hide-error-context", "--no-error-summary", *files)
    lines = (re.match(r"(.+?):(\d+): error: ", line) for line in told.splitlines())
    return {(Path(found[1]).name, int(found[2])) for found in lines if found}


def pyright(files: list[str]) -> Found:
    if shutil.which("node") is None:
        pytest.skip("pyright runs on node, and there is none here")
    told = json.loads(run("pyright", "--pythonpath", sys.executable, "--outputjson", *files))
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in told["generalDiagnostics"]
        if found["severity"] == "error"
    }


@pytest.fixture
def unmarked(tmp_path: Path) -> list[str]:
    """Give copies of the cases without their marks."""
    files = []
    for case in CASES:
        copy = tmp_path / case.name
        copy.write_text(MARK.sub("", case.read_text()))
        files.append(str(copy))
    return files


def marked() -> Found:
    return {
        (case.name, number)
        for case in CASES
        for number, line in enumerate(case.read_text().splitlines(), 1)
        if MARK.search(line)
    }


def test_there_is_something_to_refuse() -> None:
    assert [case.name for case in CASES] == ["accepted.py", "refused.py", "sample.py"]
    assert {name for name, _ in marked()} == {"refused.py"}
    assert len(marked()) >= 30


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_wrong_is_refused_and_nothing_else(checker: Callable[[list[str]], Found], unmarked: list[str]) -> None:
    assert checker(unmarked) == marked()
