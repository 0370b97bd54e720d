"""One line a request, with ids and codes, never a body."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any
from uuid import UUID

__all__ = ["heard", "told"]

_STANDARD = logging.getLogger("dateline")
# Without it, Python would print warnings of a program that has not said where it wants to read them.
_STANDARD.addHandler(logging.NullHandler())


def heard(level: int = logging.INFO) -> bool:
    """Tell whether anybody hears lines of a level."""
    return _STANDARD.isEnabledFor(level)


@cache
def _log() -> Any:
    # Here, because structlog brings a terminal's library along, and most programs hear no line.
    import structlog  # noqa: PLC0415

    # Through the standard library, so that a library stays silent until its application wants to hear it.
    return structlog.wrap_logger(
        _STANDARD,
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    )


def told(message: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Log a line; the rendering escapes whatever could begin a second one.

    Args:
        facts: Under any names but "event", which is structlog's for the message.
    """
    if heard(level):
        known = {
            name: str(fact) if isinstance(fact, UUID) else fact for name, fact in facts.items() if fact is not None
        }
        _log().log(level, message, **known)
