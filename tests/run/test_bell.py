"""The bell of a process is its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FORKED = """
import os
from sqlalchemy import make_url
from dateline.run.bell import bell_of

url = make_url("sqlite:///anywhere.db")
parents = bell_of(url)
child = os.fork()
if child == 0:
    os._exit(0 if bell_of(url) is not parents else 1)
assert bell_of(url) is parents
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
def test_a_process_that_is_forked_has_a_bell_of_its_own() -> None:
    """Its parent's threads, which ring and hear, are not there."""
    ran = subprocess.run(
        [sys.executable, "-c", FORKED], env={"PYTHONPATH": ":".join(sys.path)}, check=False, timeout=60
    )

    assert ran.returncode == 0
