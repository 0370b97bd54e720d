"""One transaction over several events: ours, or the caller's, which must be fit for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dateline.core.draft import Draft
from dateline.core.request import Ending, Flow, Pause
from dateline.errors import Conflict, NotSerializable
from dateline.sql.dialect import Dialect
from dateline.sql.postgres import SESSION
from dateline.sql.statement import Batch, Statement
from dateline.sql.store import SqlStore

__all__ = ["alone", "closing", "opening", "refused_inside"]


R = TypeVar("R")


def alone(dialect: Dialect, work: Callable[[], Flow[R]]) -> Flow[R]:
    """Do work in a transaction of its own; all of it again where another writer came first."""
    tries = 0
    while True:
        try:
            yield from opening(dialect, own=True, idle=True)
            done = yield from work()
            yield from closing(own=True)
        except Conflict:
            tries += 1
            yield Pause(tries)
        else:
            return done


def opening(dialect: Dialect, *, own: bool, idle: bool) -> Flow[None]:
    """Open a transaction; or look at the caller's, and pin what the guard depends on until it ends.

    Args:
        own: The transaction is ours.
        idle: The caller's has not begun: SQLite's driver begins before the first change, and would take our savepoint for all of it.

    Raises:
        NotSerializable: Where other writers could slip in between what is read and what is written.
    """
    if own or idle:
        yield Batch((Statement(dialect.begin, name="begin"),), opens=True)
        return
    if dialect.name != "postgresql":
        return
    [level] = yield Batch((Statement("SELECT current_setting('transaction_isolation')", name="join"),))
    if level.rows[0][0] != "serializable":
        raise NotSerializable(
            f"the session's transaction is {str(level.rows[0][0]).upper()}, where updates can be lost; "
            'open it with session.connection(execution_options={"isolation_level": "SERIALIZABLE"})'
        )
    # How the caller's own queries are planned is the caller's business; no text depends on it.
    pins = [pin.strip() for pin in SESSION.split(";") if "isolation" not in pin and "enable_" not in pin]
    yield Batch(tuple(Statement(pin.replace("SET ", "SET LOCAL ", 1), name="join") for pin in pins))


def closing(*, own: bool) -> Flow[None]:
    """Commit the transaction that was opened here; the caller's is the caller's to end."""
    if own:
        yield Batch((Statement("COMMIT", name="end"),), ends=True)


def refused_inside(store: SqlStore, draft: Draft) -> Flow[Any] | None:
    """Return what records a refusal inside the open transaction, where a second connection would wait for the first.

    Such a record goes down with a rollback, and has to be made once more then.
    """
    if store.dialect.sequenced:
        return None
    return store.write(draft, None, None, ending=Ending.COMMIT, joined=True)
