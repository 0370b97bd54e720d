"""One line a request, with ids and codes, never a body."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

import structlog

__all__ = ["told"]

_STANDARD = logging.getLogger("dateline")
# Through the standard library, so that a library stays silent until its application wants to hear it.
_LOG = structlog.wrap_logger(
    _STANDARD,
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(ensure_ascii=True),
    ],
)


def told(message: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log a line; the rendering escapes whatever could begin a second one."""
    if _STANDARD.isEnabledFor(level):
        _LOG.log(level, message, **{n: str(f) if isinstance(f, UUID) else f for n, f in facts.items() if f is not None})
