"""Who waits for something to be committed is woken: within a process at once, across processes by one notification for many commits.

A notification is never part of an event's transaction, where it would make all writers queue. Whoever waits looks now and then by
itself too, so that one that is lost costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

import psycopg
from sqlalchemy import URL

from dateline.run import log

__all__ = ["Bell", "bell_of"]

CHANNEL = "dateline"
SPACING = 0.01
"""Seconds between two notifications: those who wait hear of many commits at once."""

_BELLS: dict[str, Bell] = {}
_GUARD = threading.Lock()

if hasattr(os, "register_at_fork"):
    # The parent's threads are not the child's: a bell that was taken over would never ring.
    os.register_at_fork(after_in_child=_BELLS.clear)


def bell_of(url: URL) -> Bell:
    """Return the bell of a database, which all runners of a process on it share; each gives it back by `leave`."""
    key = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)
    private = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    with _GUARD:
        if private:
            return Bell(None)
        if key not in _BELLS:
            _BELLS[key] = Bell(key if url.get_backend_name() == "postgresql" else None)
        _BELLS[key].users += 1
        return _BELLS[key]


class Bell:
    """Wakes who waits on one database.

    Args:
        url: Where other processes are told, and heard; None where there is no such way.
    """

    def __init__(self, url: str | None) -> None:
        self.users = 0
        self._url = url
        self._waiting: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._ended = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._connections: dict[str, psycopg.Connection] = {}

    def ring(self) -> None:
        """Say that something was committed."""
        for wake in tuple(self._waiting):
            wake()
        if self._url is not None and not self._rung.is_set():
            self._rung.set()
            if "tell" not in self._threads:
                self._start("tell", self._tell)

    def wait(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have a function called whenever something was committed, from any thread; return what ends that."""
        self._waiting.add(wake)
        if self._url is not None and "hear" not in self._threads:
            self._start("hear", self._hear)
        return lambda: self._waiting.discard(wake)

    def leave(self) -> None:
        """Give it back; with the last runner, its connections go."""
        with _GUARD:
            self.users -= 1
            if self.users > 0:
                return
            for key, found in tuple(_BELLS.items()):
                if found is self:
                    del _BELLS[key]
        with self._lock:
            self._ended.set()
            self._rung.set()
            for connection in tuple(self._connections.values()):
                # Closed by another thread, it would go on waiting; at the end of its socket it sees one.
                with contextlib.suppress(psycopg.Error, OSError), _shared(connection) as held:
                    held.shutdown(socket.SHUT_RDWR)
        for thread in tuple(self._threads.values()):
            if thread is not threading.current_thread():
                thread.join(2)

    def _start(self, name: str, work: Callable[[psycopg.Connection], None]) -> None:
        with self._lock:
            if name not in self._threads and not self._ended.is_set():
                thread = threading.Thread(
                    target=self._connected, args=(name, work), name=f"dateline bell {name}", daemon=True
                )
                self._threads[name] = thread
                thread.start()

    def _connected(self, name: str, work: Callable[[psycopg.Connection], None]) -> None:
        """Do something with a connection for as long as somebody is here; those who wait look by themselves while there is none."""
        assert self._url is not None
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, application_name="dateline bell") as connection:
                    with self._lock:
                        if self._ended.is_set():
                            return
                        self._connections[name] = connection
                    work(connection)
            except psycopg.Error as error:
                if not self._ended.is_set():
                    log.told("bell.silent", reason=type(error).__name__)
                    self._ended.wait(1)
            finally:
                self._connections.pop(name, None)

    def _tell(self, connection: psycopg.Connection) -> None:
        """Notify other processes, as often as there is something to tell and no oftener than they need."""
        while True:
            self._rung.wait()
            if self._ended.is_set():
                return
            self._rung.clear()
            connection.execute(f"NOTIFY {CHANNEL}")
            self._ended.wait(SPACING)

    def _hear(self, connection: psycopg.Connection) -> None:
        """Wake those who wait here whenever another process has something to tell."""
        connection.execute(f"LISTEN {CHANNEL}")
        for _ in connection.notifies():
            for wake in tuple(self._waiting):
                wake()


def _shared(connection: psycopg.Connection) -> socket.socket:
    """Return a connection's socket, as another handle on it."""
    return socket.socket(fileno=os.dup(connection.fileno()))
