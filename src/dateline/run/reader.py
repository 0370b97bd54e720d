"""A trail without its application: what a database tells by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from types import ModuleType, TracebackType
from typing import Self, Unpack

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from dateline.core.access import Access, Look
from dateline.core.entry import Entry, Page
from dateline.core.model import faults
from dateline.core.version import Versions
from dateline.errors import DatelineError, TrailFault, Unreachable
from dateline.run.engine import absent
from dateline.run.fault import DRIVER
from dateline.run.path import Asked, Looked
from dateline.run.runner import Runner
from dateline.run.settings import Settings
from dateline.sql.standing import Queued
from dateline.sql.verify import Verification

__all__ = ["Reader"]


class Reader:
    """Reads and verifies the trail of any database of dateline's, and makes its tables; it records nothing but who looks.

    Args:
        database: As for `Runner`.
        versions: The application's versions, where they are at hand: then entries carry their typed events.
        settings: As for `Runner`.

    Raises:
        DatelineError: For what is no database URL, or settings that cannot be.
    """

    def __init__(
        self,
        database: str | Engine,
        *,
        versions: str | ModuleType | Versions | None = None,
        settings: Settings | None = None,
    ) -> None:
        try:
            settings = settings or Settings()
        except ValidationError as error:
            raise faults("set of settings (DATELINE_…)", error) from None
        # One date on which nothing was decided: no kind is known, so every event comes untyped.
        self._runner = Runner(database, versions=versions or Versions.of({"1970-01-01": ()}), settings=settings)

    @property
    def name(self) -> str:
        """The database's URL without driver and password."""
        url = self._runner.engine.url
        return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)

    def trail(self, **asked: Unpack[Asked]) -> Page:
        """As `Runner.trail`.

        Raises:
            Unreachable: When there is no such file, or no connection.
            NotMigrated: When the database has no trail.
            TrailFault: When a record is no longer one.
        """
        with self._told(existing=True):
            return self._runner.trail(**asked)

    def look(self, *looks: Look) -> int:
        """As `Runner.look`; raises what `trail` does."""
        with self._told(existing=True):
            return self._runner.look(*looks)

    def accesses(self, **asked: Unpack[Looked]) -> tuple[Access, ...]:
        """As `Runner.accesses`; raises what `trail` does."""
        with self._told(existing=True):
            return self._runner.accesses(**asked)

    def scan(self, *, after: int = 0) -> Iterator[Entry]:
        """As `Runner.scan`; raises what `trail` does."""
        with self._told(existing=True):
            yield from self._runner.scan(after=after)

    def effects(self, *states: str, kind: str | None = None, tenant: str = "", limit: int = 1000) -> tuple[Queued, ...]:
        """As `Runner.effects`; raises what `trail` does."""
        with self._told(existing=True):
            return self._runner.effects(*states, kind=kind, tenant=tenant, limit=limit)

    def verify(self, *, tenant: str | None = None) -> Verification:
        """As `Runner.verify`; raises what `trail` does."""
        with self._told(existing=True):
            return self._runner.verify(tenant=tenant)

    def migrate(self) -> None:
        """As `Runner.migrate`.

        Raises:
            Unreachable: When no connection can be had.
        """
        with self._told(existing=False):
            self._runner.migrate()

    @contextmanager
    def _told(self, *, existing: bool) -> Iterator[None]:
        """Say in one sentence what the database says in many."""
        url = self._runner.engine.url
        if url.get_backend_name() == "sqlite":
            if url.database in (None, "", ":memory:"):
                raise Unreachable("a database in memory ends with its process; name a file: sqlite:///file.db")
            if existing and (missing := absent(self._runner.engine)) is not None:
                raise Unreachable(f"there is no file {missing}")
        try:
            yield
        except DBAPIError as error:
            raise DatelineError(f"the database refuses: {_sentence(error.orig or error)}") from error
        except DRIVER as error:
            raise DatelineError(f"the database refuses: {_sentence(error)}") from error
        except (JSONDecodeError, KeyError) as error:
            raise TrailFault("the trail holds a record that was changed afterwards, and cannot be read") from error

    def close(self) -> None:
        """Close all connections."""
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _sentence(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
