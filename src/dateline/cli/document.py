"""How the command line writes values: JSON that splits into lines as it should, and text that steers no terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dateline.core.canon import canonical

__all__ = ["here", "printable", "shown", "text"]


def text(value: Any) -> str:
    """Return a value's JSON in canonical order, on one line whoever splits it, and without what could steer a terminal."""
    told = canonical(value).decode()
    if told.isprintable():
        return told
    # Only texts within it hold such characters, and JSON has an escape for each.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in told)


def printable(told: str) -> str:
    """Return a text in which whatever could steer a terminal, or break a line, is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in told)


def shown(value: Any) -> str:
    """Return a recorded value as a person reads it: a text bare, nothing as a dash, and anything else as JSON."""
    return "–" if value is None else printable(value if isinstance(value, str) else text(value))


def here(file: str) -> str:
    """Return a file's path as one would type it where one stands."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
