"""SQLAlchemy's pool, and beside it the sessions that are idle: to take one from the pool and give it back takes as long as a query does."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

__all__ = ["AsyncSessions", "Sessions"]

if TYPE_CHECKING:
    _Queue = QueuePool
else:
    _Queue = object


class _Idle(_Queue):
    """What both colours share. Beneath, an idle session counts as taken; whoever goes to the pool finds it there all the same."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle: list[Any] = []
        self._asking = 0
        self._noting = Lock()

    def take(self) -> Any:
        """Return the session that was used last; None where none is idle."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def keep(self, session: Any) -> bool:
        """Keep a session for the next; False where it has to go back to the pool, because there are enough or somebody asks there."""
        with self._noting:
            if self._asking or len(self._idle) >= self.size():
                return False
            self._idle.append(session)
            return True

    def _do_get(self) -> Any:
        # Noted before the look at what is idle, and in one go with it: else a session could be kept just after, and be waited for.
        with self._noting:
            self._asking += 1
            idle, self._idle = self._idle, []
        try:
            for session in idle:
                session.close()
            return super()._do_get()
        finally:
            with self._noting:
                self._asking -= 1

    def checkedout(self) -> int:
        """Return how many sessions somebody uses."""
        return super().checkedout() - len(self._idle)

    def dispose(self) -> None:
        """Close what is idle, here and in the pool."""
        while (session := self.take()) is not None:
            session.close()
        super().dispose()


class Sessions(_Idle, QueuePool):
    """Sessions of a runner."""


class AsyncSessions(_Idle, AsyncAdaptedQueuePool):
    """Sessions of an asynchronous runner."""
