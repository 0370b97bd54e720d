"""One batch over PostgreSQL's protocol: prepared statements, pipelines, and what came back, once for both colours.

psycopg's cursors do more than is needed here, and cost more than the trip itself. So its connections are used without them: what is
written and read is a generator, which psycopg waits for, blocking or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from dateline.core.meta import NewId
from dateline.errors import Conflict, NotStorable
from dateline.run.fault import DRIVER, told
from dateline.sql.statement import Batch, Result, Statement

__all__ = ["Session", "Wire", "idle", "wire_of"]

Session: TypeAlias = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

PREPARED = 500
"""Statements that a session keeps prepared; there are few texts, one for each shape of event and plan."""

ONCE = 2000
"""Texts that are remembered as sent once: what is sent again is worth being prepared."""

_GONE, _OUTDATED = "26000", "0A000"
"""What the server says when a statement is no longer prepared, and when it was, for tables that have changed since."""

_wires: WeakKeyDictionary[Session, Wire] = WeakKeyDictionary()


def wire_of(session: Session) -> Wire:
    """Return what speaks over a session."""
    found = _wires.get(session)
    if found is None:
        found = _wires[session] = Wire(session)
    return found


def idle(session: Session) -> bool:
    """Tell whether a session is in no transaction."""
    return bool(session.pgconn.transaction_status == TransactionStatus.IDLE)


class Wire:
    """Sends batches over one session, and knows which statements it has prepared."""

    def __init__(self, session: Session) -> None:
        self._pgconn = session.pgconn
        self._adapter = Transformer(session)
        self._names: dict[str, bytes] = {}
        self._once: dict[str, None] = {}
        self._count = 0

    def exchange(self, batch: Batch) -> PQGen[list[Result]]:
        """Send a batch, in one round trip, and return a result for each statement.

        Raises:
            DatelineError: As `fault.told` says.
        """
        statement: Statement | None = None
        sending: list[_Sending] = []
        try:
            for statement in batch.statements:
                name = self._names.get(statement.sql)
                if name is not None and len(batch.statements) == 1:
                    # Nearly all there is to do, most of the time.
                    self._pgconn.send_query_prepared(name, self._params(statement.params))
                    found = yield from generators.execute(self._pgconn)
                    if len(found) != 1 or found[0].status == ExecStatus.FATAL_ERROR:
                        raise _failure(found)
                    return [self._result(found[0])]
                sending += self._sending(statement, name, self._params(statement.params))
            if len(sending) == 1:
                sending[0].send()
                received = [(yield from generators.execute(self._pgconn))]
            else:
                statement = None
                received = yield from self._piped(sending, apart=batch.apart)
            results = []
            for sent, found in zip(sending, received, strict=True):
                # A statement that is a transaction by itself may fail after its result: when it is committed.
                if len(found) != 1 or found[0].status == ExecStatus.FATAL_ERROR:
                    statement = sent.statement
                    raise _failure(found)
                if sent.prepares is not None:
                    self._names[sent.prepares[0]] = sent.prepares[1]
                elif sent.counts:
                    results.append(self._result(found[0]))
            return results
        except DRIVER as error:
            if isinstance(error, psycopg.Error) and error.sqlstate in (_GONE, _OUTDATED):
                self._names.clear()
                if error.sqlstate == _GONE or "cached plan" in str(error):
                    raise Conflict("a statement has to be prepared anew") from error
            meant = told(error, statement)
            if meant is error:
                raise
            raise meant from error

    def _piped(self, sending: Sequence[_Sending], *, apart: bool) -> PQGen[list[Any]]:
        """Send all at once, and read what comes back for each; unless they are apart, what follows a failure is not performed."""
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        try:
            last = sending[-1]
            for sent in sending:
                sent.send()
                if sent is last or (apart and sent.counts):
                    pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            received = []
            for sent in sending:
                found = yield from generators.fetch_many(pgconn)
                received.append(found)
                if sent is last or (apart and sent.counts):
                    # What was no transaction of its own is committed now, and may fail only here.
                    while pgconn.status != ConnStatus.BAD:
                        end = yield from generators.fetch_many(pgconn)
                        if end and end[-1].status == ExecStatus.PIPELINE_SYNC:
                            break
                        found += end
            return received
        finally:
            if pgconn.status != ConnStatus.BAD:
                # Interrupted, it holds results that nobody has read; then the session is given up anyway.
                with suppress(psycopg.Error):
                    pgconn.exit_pipeline_mode()

    def _sending(self, statement: Statement, name: bytes | None, params: list[Any]) -> list[_Sending]:
        """Return what has to be sent for a statement: the second time, it is prepared first."""
        sql, pgconn = statement.sql, self._pgconn
        if name is not None:
            return [_Sending(partial(pgconn.send_query_prepared, name, params), statement)]
        text = sql.encode()
        if sql not in self._once:
            self._once[sql] = None
            while len(self._once) > ONCE:
                del self._once[next(iter(self._once))]
            return [_Sending(partial(pgconn.send_query_params, text, params), statement)]
        made = []
        while len(self._names) >= PREPARED:
            oldest = self._names.pop(next(iter(self._names)))
            made.append(_Sending(partial(pgconn.send_query_params, b"DEALLOCATE " + oldest, None), statement, False))
        self._count += 1
        name = b"dateline_%d" % self._count
        made.append(_Sending(partial(pgconn.send_prepare, name, text), statement, False, (sql, name)))
        made.append(_Sending(partial(pgconn.send_query_prepared, name, params), statement))
        return made

    def _params(self, values: Sequence[Any]) -> list[Any]:
        """Return values as the protocol takes them, in text.

        Raises:
            NotStorable: For a text with a NUL: the protocol ends it there, and what comes after would be lost.
        """
        made = [_TEXTS[type(value)](value) if type(value) in _TEXTS else self._dumped(value) for value in values]
        if 0 in b"".join(filter(None, made)):
            raise NotStorable("the database cannot hold the NUL character in a text")
        return made

    def _dumped(self, value: Any) -> Any:
        if type(value) is list and set(map(type, value)) == {int}:
            # Such as the numbers of a page's events: psycopg looks at each of them three times.
            return b"{%s}" % ",".join(map(str, value)).encode()
        return self._adapter.get_dumper(value, PyFormat.TEXT).dump(value)

    def _result(self, result: Any) -> Result:
        count = result.command_tuples
        if result.status != ExecStatus.TUPLES_OK:
            return Result((), -1 if count is None else count)
        self._adapter.set_pgresult(result)
        return Result(self._adapter.load_rows(0, result.ntuples, tuple), -1 if count is None else count)


def _failure(found: Sequence[Any]) -> psycopg.Error:
    """Return why a statement failed: what the server said, or that it said nothing any more."""
    for result in found:
        if result.status == ExecStatus.FATAL_ERROR:
            return error_from_result(result)
    return psycopg.OperationalError("the connection is lost")


class _Sending:
    """One message to the server.

    Args:
        counts: Whether its result is the statement's.
        prepares: The text that it prepares, and under which name.
    """

    __slots__ = ("counts", "prepares", "send", "statement")

    def __init__(
        self,
        send: Callable[[], None],
        statement: Statement,
        counts: bool = True,
        prepares: tuple[str, bytes] | None = None,
    ) -> None:
        self.send = send
        self.statement = statement
        self.counts = counts
        self.prepares = prepares


_TEXTS: dict[type, Callable[[Any], Any]] = {
    NoneType: lambda _: None,
    str: str.encode,
    int: b"%d".__mod__,
    bool: lambda value: b"t" if value else b"f",
    UUID: lambda value: b"%032x" % value.int,
    NewId: lambda value: b"%032x" % value.int,
    datetime: lambda value: value.isoformat().encode(),
    date: lambda value: value.isoformat().encode(),
    bytes: lambda value: b"\\x" + value.hex().encode(),
}
