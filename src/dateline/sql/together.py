"""One transaction over several events: ours, or the caller's, which must be fit for it."""

from __future__ import annotations

from dateline.core.flow import Flow
from dateline.errors import NotSerializable
from dateline.sql.dialect import Dialect
from dateline.sql.postgres import SESSION
from dateline.sql.statement import Batch, Statement

__all__ = ["brackets", "joining"]


def brackets(dialect: Dialect, *, joined: bool) -> tuple[tuple[Statement, ...], tuple[Statement, ...], tuple[Statement, ...]]:
    """Return what opens, commits and rolls back the transaction; nothing where it is the caller's."""
    if joined:
        return (), (), ()
    return (Statement(dialect.begin, name="begin"),), (Statement("COMMIT", name="end"),), (Statement("ROLLBACK", name="undo"),)


def joining(dialect: Dialect) -> Flow[None]:
    """Look at the caller's transaction, and pin what the guard depends on until it ends.

    Raises:
        NotSerializable: Where other writers could slip in between what is read and what is written.
    """
    if dialect.name != "postgresql":
        return
    [level] = yield Batch((Statement("SELECT current_setting('transaction_isolation')", name="join"),))
    if level.rows[0][0] != "serializable":
        raise NotSerializable(
            f"the session's transaction is {str(level.rows[0][0]).upper()}, where updates can be lost; "
            'open it with session.connection(execution_options={"isolation_level": "SERIALIZABLE"})'
        )
    pins = [pin.strip() for pin in SESSION.split(";") if "isolation" not in pin]
    yield Batch(tuple(Statement(pin.replace("SET ", "SET LOCAL ", 1), name="join") for pin in pins))
