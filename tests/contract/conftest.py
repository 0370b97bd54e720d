"""One suite for every database and both runners: each test is written once, and asks for `shop`."""

from __future__ import annotations

import asyncio
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self, TypeVar, Unpack
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from dateline import (
    AsyncRunner,
    Committed,
    Entry,
    Event,
    Page,
    Preview,
    Refused,
    Runner,
    Settings,
    Versions,
)
from dateline.run.path import Asked, Given
from dateline.sql.tables import TRAIL
from dateline.sql.verify import Verification
from dateline.testing.postgres import Postgres
from tests.conftest import DATABASES
from tests.contract import everything
from tests.contract.shop import VERSIONS, Base

T = TypeVar("T")

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
SETTINGS = Settings(budget=timedelta(seconds=10), busy=timedelta(seconds=2))


class Transaction(Protocol):
    """Several events in one transaction, whichever runner's."""

    def dispatch(self, event: Event, **given: Unpack[Given]) -> Committed: ...

    def preview(self, event: Event, *, rehearse: bool = False, **given: Unpack[Given]) -> Preview | Refused: ...


class Colour(ABC):
    """A runner, driven so that a test need not know which."""

    runner: Runner | AsyncRunner

    @abstractmethod
    def wait(self, answer: Any) -> Any:
        """Return an answer, awaited where it must be."""

    @abstractmethod
    def together(self, session: Any = None) -> AbstractContextManager[Transaction]:
        """Open a transaction."""

    @abstractmethod
    def session(self, url: str, level: str | None) -> AbstractContextManager[Any]:
        """Give a session of SQLAlchemy's on a connection of its own, in a transaction of that isolation level."""

    @abstractmethod
    def close(self) -> None: ...


class Sync(Colour):
    def __init__(self, url: str, **arguments: Any) -> None:
        self.runner: Runner = Runner(url, **arguments)

    def wait(self, answer: Any) -> Any:
        return answer

    @contextmanager
    def together(self, session: Any = None) -> Iterator[Transaction]:
        with self.runner.together(session) as tx:
            yield tx

    @contextmanager
    def session(self, url: str, level: str | None) -> Iterator[Any]:
        engine = create_engine(url)
        with Session(engine) as session:
            session.connection(execution_options={"isolation_level": level} if level else {})
            yield session
        engine.dispose()

    def close(self) -> None:
        self.runner.close()


class Async(Colour):
    def __init__(self, url: str, **arguments: Any) -> None:
        self.loop = asyncio.Runner()
        self.runner: AsyncRunner = AsyncRunner(url, **arguments)

    def wait(self, answer: Any) -> Any:
        async def waited(answer: Coroutine[Any, Any, T]) -> T:
            return await answer

        # As where a coroutine is awaited: what is current here is so there.
        return self.loop.run(waited(answer), context=copy_context())

    @contextmanager
    def _entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        made = self.wait(manager.__aenter__())
        try:
            yield made
        except BaseException as error:
            if not self.wait(manager.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.wait(manager.__aexit__(None, None, None))

    @contextmanager
    def together(self, session: Any = None) -> Iterator[Transaction]:
        with self._entered(self.runner.together(session and session.session)) as tx:
            yield _Waited(self, tx)

    @contextmanager
    def session(self, url: str, level: str | None) -> Iterator[Any]:
        engine = create_async_engine(url.replace("sqlite://", "sqlite+aiosqlite://"))
        session = AsyncSession(engine)
        self.wait(session.connection(execution_options={"isolation_level": level} if level else {}))
        yield _Waited(self, session)
        self.wait(session.close())
        self.wait(engine.dispose())

    def close(self) -> None:
        self.wait(self.runner.close())
        self.loop.close()


class _Waited:
    """Something whose methods are coroutines, called as if they were not."""

    def __init__(self, colour: Async, session: Any) -> None:
        self.colour = colour
        self.session = session

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.session, name)
        return lambda *args, **kwargs: self.colour.wait(method(*args, **kwargs))


@dataclass
class Shop:
    """The shop on one database, run by one of the runners.

    Args:
        engine: A connection pool of the test's own, to set the scene and to look behind dateline's back.
        now: The runner's clock.
    """

    url: str
    engine: Engine
    kind: type[Sync | Async]
    versions: Versions = VERSIONS
    now: datetime = NOON
    settings: Settings = SETTINGS
    closing: ExitStack = field(default_factory=ExitStack)
    others: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.colour = self.kind(self.url, versions=self.versions, clock=lambda: self.now, settings=self.settings)
        self.closing.callback(self.colour.close)

    @property
    def postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def under(self, versions: Versions, *, settings: Settings = SETTINGS) -> Self:
        """Return the same database under other rules."""
        made = type(self)(self.url, self.engine, self.kind, versions, self.now, settings)
        made.others = self.others
        self.others.callback(made.closing.close)
        return made

    def dispatch(self, event: Event, actor: Any = "till", **given: Any) -> Committed:
        made = self.colour.wait(self.colour.runner.dispatch(event, actor=actor, **given))
        assert isinstance(made, Committed)
        return made

    def refused(self, kind: type[Refused], event: Event, **given: Any) -> Any:
        """Return the refusal with which a dispatch ends."""
        with pytest.raises(kind) as refused:
            self.dispatch(event, **given)
        assert type(refused.value) is kind
        return refused.value

    def preview(self, event: Event, actor: Any = "till", **given: Any) -> Preview:
        made = self.tried(event, actor, **given)
        assert isinstance(made, Preview), made
        return made

    def tried(self, event: Event, actor: Any = "till", **given: Any) -> Preview | Refused:
        made: Preview | Refused = self.colour.wait(self.colour.runner.preview(event, actor=actor, **given))
        return made

    def trail(self, **asked: Unpack[Asked]) -> Page:
        made = self.colour.wait(self.colour.runner.trail(**asked))
        assert isinstance(made, Page)
        return made

    def entry(self, of: Committed | Preview | UUID | str | None = None, **asked: Unpack[Asked]) -> Entry:
        """Return one entry: of an event, else the newest."""
        id = UUID(str(getattr(of, "event_id", of))) if of is not None else None
        asked["newest_first"] = True
        page = self.trail(**asked)
        found = [entry for entry in page if id in (None, entry.id)]
        return found[0]

    def outcomes(self) -> list[str]:
        return [entry.outcome for entry in self.trail()]

    def outcome(self, of: UUID | str, **given: Any) -> Entry | None:
        made: Entry | None = self.colour.wait(self.colour.runner.outcome(of, **given))
        return made

    def verify(self, **given: Any) -> Verification:
        made = self.colour.wait(self.colour.runner.verify(**given))
        assert isinstance(made, Verification)
        return made

    def sequence(self) -> int:
        return int(self.colour.wait(self.colour.runner.sequence()))

    def together(self, session: Any = None) -> Any:
        return self.colour.together(session)

    def session(self, level: str | None = "SERIALIZABLE") -> Any:
        return self.colour.session(self.url, level if self.postgres else None)

    def put(self, *found: Any) -> None:
        """Set the scene, as somebody else would: by SQLAlchemy, past dateline."""
        with Session(self.engine) as session:
            session.add_all(found)
            session.commit()

    def execute(self, statement: str, **values: Any) -> list[Any]:
        """Execute SQL behind dateline's back and return its rows."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table as the driver reads them, by key."""
        with self.engine.connect() as connection:
            keys = inspect(connection).get_pk_constraint(table)["constrained_columns"]
            found = connection.execute(text(f"SELECT * FROM {table} ORDER BY {', '.join(keys) or 1}")).mappings()
            return [dict(row) for row in found]

    def everything(self) -> Mapping[str, Any]:
        """Return all that the database holds: every row of every table, and where the sequences stand."""
        with self.engine.connect() as connection:
            tables = sorted(inspect(connection).get_table_names())
            held: dict[str, Any] = {table: _held(connection, table) for table in tables}
            if self.postgres:
                numbers = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
                held["sequences"] = [tuple(row) for row in connection.execute(text(numbers))]
            return held


def _held(connection: Connection, table: str) -> list[str]:
    rows = connection.execute(text(f"SELECT * FROM {table}")).mappings()
    return sorted(json.dumps({name: str(value) for name, value in row.items()}, sort_keys=True) for row in rows)


def prepared(url: str) -> None:
    """Make the shop's tables and the trail's."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
    with Runner(url, versions=VERSIONS) as runner:
        runner.migrate()


def _copied(kind: str, postgres: Callable[[int], Postgres], folder: Path, made: dict[str, str]) -> str:
    """Return the URL of a fresh shop: a copy, since making one takes half a second."""
    name = f"shop_{uuid4().hex}"
    if kind == "sqlite":
        if kind not in made:
            made[kind] = f"sqlite:///{folder / 'template.db'}"
            prepared(made[kind])
        return f"sqlite:///{shutil.copy(folder / 'template.db', folder / f'{name}.db')}"
    server = postgres(int(kind.partition("-")[2]))
    if kind not in made:
        made[kind] = f"template_{uuid4().hex}"
        prepared(server.database(made[kind]))
    return server.database(name, template=made[kind])


@dataclass
class Mall:
    """Shops, one on each database and runner, which are cleared and used again: most of a test's time is opening one."""

    postgres: Callable[[int], Postgres]
    folder: Path
    templates: dict[str, str] = field(default_factory=dict)
    shops: dict[Any, Shop] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)

    def fresh(self, kind: str, colour: type[Sync | Async]) -> tuple[Shop, Callable[[], None]]:
        """Return a shop that nobody else has, and what closes it."""
        url = _copied(kind, self.postgres, self.folder, self.templates)
        engine = create_engine(url)
        made = Shop(url, engine, colour)

        def close() -> None:
            made.closing.close()
            engine.dispose()
            if kind != "sqlite":
                self.postgres(int(kind.partition("-")[2])).drop(url.rpartition("/")[2])

        return made, close

    def cleared(self, kind: str, colour: type[Sync | Async]) -> Shop:
        """Return a shop with empty tables."""
        if (kind, colour) not in self.shops:
            self.shops[kind, colour], close = self.fresh(kind, colour)
            self.closing.callback(close)
        shop = self.shops[kind, colour]
        _clear(shop.engine)
        return shop


assert everything.Everything.__table__ in Base.metadata.tables.values()
_TABLES = [*Base.metadata.tables, *(name for name in TRAIL.tables if name != "dateline_incarnation")]


def _clear(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # A test that failed may still hold a lock.
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text(f"TRUNCATE {', '.join(_TABLES)} RESTART IDENTITY"))
            connection.execute(text("ALTER SEQUENCE dateline_event_seq RESTART"))
        else:
            for table in (*_TABLES, "sqlite_sequence"):
                connection.execute(text(f"DELETE FROM {table}"))


@pytest.fixture(scope="session")
def mall(postgres: Callable[[int], Postgres]) -> Iterator[Mall]:
    # In memory, where there is such a place: no test here pulls the plug.
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = Mall(postgres, Path(folder))
        yield made
        made.closing.close()
        for kind, name in made.templates.items():
            if kind != "sqlite":
                postgres(int(kind.partition("-")[2])).drop(name)


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest) -> str:
    """Give each kind of database that is promised."""
    return str(request.param)


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Any:
    """Give each kind of runner."""
    return request.param


@pytest.fixture
def shop(mall: Mall, place: str, colour: Any) -> Iterator[Shop]:
    """Give an empty shop, once on each kind of database and with each runner; its schema is not to be changed."""
    made = mall.cleared(place, colour)
    with ExitStack() as made.others:
        yield made
    made.now = NOON


@pytest.fixture
def own_shop(mall: Mall, place: str, colour: Any) -> Iterator[Shop]:
    """Give a shop whose schema may be changed, once on each kind of database and with each runner."""
    made, close = mall.fresh(place, colour)
    with ExitStack() as made.others:
        yield made
    close()
