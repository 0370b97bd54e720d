"""What `import dateline` costs, and what it brings along, in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

__all__ = ["UNWANTED", "Loading", "load"]

UNWANTED = frozenset(
    {"click", "django", "fastapi", "flask", "httpx", "hypothesis", "pytest", "rich", "starlette", "typer"}
)
"""Faces and tests: an application that uses the library alone must not wait for them."""

_PROGRAM = """
import json, sys, time
before = set(sys.modules)
began = time.perf_counter()
import dateline
took = time.perf_counter() - began
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([took, sorted(name for name in new if name not in sys.stdlib_module_names and not name.startswith("_"))]))
"""


@dataclass(frozen=True, slots=True)
class Loading:
    """How long it took, in each try, and the libraries that were there afterwards."""

    seconds: tuple[float, ...]
    libraries: tuple[str, ...]

    @property
    def median(self) -> float:
        """Seconds, the median of all tries."""
        return median(self.seconds)

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Libraries that should not be there."""
        return tuple(sorted(UNWANTED & set(self.libraries)))


def load(tries: int) -> Loading:
    """Import dateline in fresh interpreters; the first, which fills the disk's caches, does not count."""
    seconds = []
    libraries: list[str] = []
    for _ in range(tries + 1):
        told = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
        took, libraries = json.loads(told.stdout)
        seconds.append(took)
    return Loading(tuple(seconds[1:]), tuple(libraries))
