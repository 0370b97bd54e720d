"""Who waits for something to be committed is woken: within a process at once, across processes by one notification for many commits.

A notification is never part of an event's transaction, where it would make all writers queue. Whoever waits looks now and then by
itself too, so that one that is lost costs time and nothing else.
"""

from __future__ import annotations

import threading
import time
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


def bell_of(url: URL) -> Bell:
    """Return the bell of a database; all runners of a process on one database share it."""
    key = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)
    private = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    with _GUARD:
        if private:
            return Bell(None)
        if key not in _BELLS:
            _BELLS[key] = Bell(key if url.get_backend_name() == "postgresql" else None)
        return _BELLS[key]


class Bell:
    """Wakes who waits on one database.

    Args:
        url: Where other processes are told, and heard; None where there is no such way.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._waiting: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._telling: threading.Thread | None = None
        self._hearing: threading.Thread | None = None

    def ring(self) -> None:
        """Say that something was committed."""
        for wake in tuple(self._waiting):
            wake()
        if self._url is not None and not self._rung.is_set():
            self._rung.set()
            if self._telling is None:
                self._start("_telling", self._tell)

    def wait(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have a function called whenever something was committed, from any thread; return what ends that."""
        self._waiting.add(wake)
        if self._url is not None and self._hearing is None:
            self._start("_hearing", self._hear)
        return lambda: self._waiting.discard(wake)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        with self._lock:
            if getattr(self, name) is None:
                thread = threading.Thread(target=work, name=f"dateline bell{name}", daemon=True)
                setattr(self, name, thread)
                thread.start()

    def _tell(self) -> None:
        """Notify other processes, as often as there is something to tell and no oftener than they need."""
        assert self._url is not None
        connection: psycopg.Connection | None = None
        while True:
            self._rung.wait()
            self._rung.clear()
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self._url, autocommit=True, application_name="dateline bell")
                connection.execute(f"NOTIFY {CHANNEL}")
            except psycopg.Error as error:
                # Those who wait look by themselves.
                log.told("bell.silent", reason=type(error).__name__)
                connection = None
                time.sleep(1)
            time.sleep(SPACING)

    def _hear(self) -> None:
        """Wake those who wait here whenever another process has something to tell."""
        assert self._url is not None
        while True:
            try:
                with psycopg.connect(self._url, autocommit=True, application_name="dateline bell") as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    for _ in connection.notifies():
                        for wake in tuple(self._waiting):
                            wake()
            except psycopg.Error as error:
                log.told("bell.deaf", reason=type(error).__name__)
                time.sleep(1)
