"""What the drivers raise, told in the core's words: a lost try, a broken constraint, a value that cannot be held, a connection gone."""

from __future__ import annotations

import re
import sqlite3

import psycopg

from dateline.core.request import Broken
from dateline.errors import Conflict, Lost, MissingTable, NotMigrated, NotStorable, TrailFault, Unable
from dateline.sql.statement import Statement

__all__ = ["DRIVER", "told"]

DRIVER = (psycopg.Error, sqlite3.Error, sqlite3.Warning, OverflowError, ValueError)
"""All that executing a statement may raise."""

LONGEST = 200
"""Characters of a step's key that a message tells."""

_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_QUOTED = re.compile(r'"[^"]*"')
_REFUSED = re.compile(r"dateline (stale|claimed|met) \d+")
_REFUSING = frozenset({"25006", "42501", "57014"})
_MISSING = frozenset({"42P01", "42703", "3F000"})
_ABSENT = re.compile(r"no such (table|column): |table \S+ has no column named ")
# The server ends sessions that idle, too: in a transaction, for the transaction's whole length, or outside of any.
_GONE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
_UNABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def told(error: Exception, statement: Statement | None) -> Exception:
    """Return the core's word for a driver's error; the error itself where the core has none.

    Messages name constraints, types and tables, and never a value: they may end up in a log.
    """
    if isinstance(error, psycopg.Error):
        return _postgres(error, statement)
    if isinstance(error, sqlite3.Error):
        return _sqlite(error, statement)
    step = _named(statement)
    what = f" ({step})" if step else ""
    if isinstance(error, OverflowError) or (isinstance(error, ValueError) and "digits" in str(error)):
        return NotStorable(f"a number is larger than this database holds{what}")
    if isinstance(error, UnicodeEncodeError):
        return NotStorable(f"a lone surrogate is no text{what}")
    return error


def _named(statement: Statement | None) -> str | None:
    """Return the key of the step that a statement serves; a row's key is part of it, and may be of any length."""
    if statement is None or statement.step is None or len(statement.step) <= LONGEST:
        return statement.step if statement is not None else None
    return f"{statement.step[:LONGEST]}…"


def _postgres(error: psycopg.Error, statement: Statement | None) -> Exception:
    state = error.sqlstate or ""
    step = _named(statement)
    if state in _CONFLICTS:
        return Conflict(f"another writer came first ({state})")
    whole = statement is not None and statement.name == "commit"
    if whole and state == "22P02" and (refused := _REFUSED.search(str(error))):
        # The one-statement commit says no by a cast that fails; see sql/single.py.
        if refused[1] == "met":
            return Broken("row-count", step, "a change did not meet its one row")
        return Conflict("another writer changed what the decision looked at, or has the request key")
    if state.startswith("23"):
        return Broken(error.diag.constraint_name or state, step, error.diag.message_primary or "a constraint is broken")
    # A value has a syntax too, such as a tsquery's; only in a statement's own text does the server say where.
    unread = state == "42601" and error.diag.statement_position is None
    if unread or state.startswith(("22", "54")) or (isinstance(error, psycopg.DataError) and not state):
        # What the server quotes may be a value.
        told_ = _QUOTED.sub("…", error.diag.message_primary or str(error))
        return NotStorable(
            f"the database cannot hold a value{f' of {step}' if step else ''}: {told_.partition(':')[0]}",
            sqlstate=state or None,
        )
    if isinstance(error, psycopg.ProgrammingError) and not state and "adapt" in str(error):
        return NotStorable(
            f"the database cannot hold a value{f' of {step}' if step else ''}: its type is none of SQL's"
        )
    if state in _MISSING:
        # Not the whole text: that quotes the statement, which may name the trail's tables and the application's.
        return _missing(error.diag.message_primary or state)
    if state.startswith(("53", "58", "XX")) or state in _REFUSING:
        return Unable(f"the database cannot do this now: {_QUOTED.sub('…', error.diag.message_primary or state)}")
    if (
        state in _GONE
        or state.startswith("08")
        or (
            isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            and not isinstance(error, psycopg.errors.PipelineAborted)
            and not state
        )
    ):
        return Lost(
            f"the connection went away: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"
        )
    return error


def _sqlite(error: sqlite3.Error, statement: Statement | None) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    step = _named(statement)
    if code is not None and code & 0xFF in _BUSY:
        return Conflict("another writer holds the database")
    if isinstance(error, sqlite3.IntegrityError):
        return Broken(_constraint(str(error)), step, str(error))
    if _ABSENT.match(str(error)):
        return _missing(str(error))
    if code is not None and code & 0xFF in _UNABLE:
        return Unable(f"the database cannot do this now: {error}")
    if "Could not decode to UTF-8" in str(error):
        # The message quotes what was found.
        read = statement is not None and statement.name in ("trail", "verify")
        return (TrailFault if read else NotStorable)("the database holds a text that is not UTF-8")
    if isinstance(error, sqlite3.DataError) or ("type" in str(error) and "is not supported" in str(error)):
        return NotStorable(f"the database cannot hold a value{f' of {step}' if step else ''}")
    return error


def _missing(told_: str) -> Exception:
    """Return whose table, or whose column, is not in the database: the trail's or the application's."""
    if "dateline_" in told_:
        return NotMigrated(
            f"the trail's tables are missing or old: run `dateline migrate`, or call runner.migrate() ({told_})"
        )
    return MissingTable(
        f"{told_}: the application makes its own tables, as by Base.metadata.create_all(engine) or its own migrations; "
        "`dateline migrate` makes only the trail's"
    )


def _constraint(message: str) -> str:
    """Return what SQLite names of a constraint: its name, or the columns."""
    return message.partition("constraint failed: ")[2] or message
