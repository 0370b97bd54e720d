"""What is to be executed, as data: statements in batches, one batch a round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dateline.core.internal import internal

__all__ = ["Batch", "Result", "Statement"]


@internal()
class Statement:
    """One statement in the driver's own text, with its parameters in order.

    Args:
        name: What it is for, such as "guard" or "event"; named by failpoints and errors.
        step: The step key that it serves, where it serves one.
    """

    sql: str
    params: Sequence[Any] = ()
    name: str = ""
    step: str | None = None


@internal()
class Result:
    """What one statement gave: its rows, and how many rows it touched."""

    rows: Sequence[Sequence[Any]] = ()
    count: int = -1


@internal()
class Batch:
    """Statements for one round trip, in order; each fails the rest. The answer is one `Result` for each.

    Args:
        opens: The batch begins a transaction and leaves it open.
        ends: The batch ends the transaction, one way or the other.
        apart: Each statement is a transaction of its own, and is performed even where one before it fails.
    """

    statements: tuple[Statement, ...]
    opens: bool = False
    ends: bool = False
    apart: bool = False

    @classmethod
    def between(cls, begin: str, *statements: Statement) -> Batch:
        """Return a batch that is a transaction of its own; the first and the last result are not the statements'."""
        return cls(
            (Statement(begin, name="begin"), *statements, Statement("COMMIT", name="end")), opens=True, ends=True
        )
