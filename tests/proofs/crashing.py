"""A PostgreSQL server of the test's own, on a disk, that is killed and started again on what it left."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from dateline.testing import postgres
from dateline.testing.postgres import servers

__all__ = ["Crashing", "crashing"]

# As in dateline.testing.postgres: the end of the pipe, which even our own death brings about, ends the server.
_KEEPER = """
exec 3<&0 </dev/null
"$@" >>log 2>&1 3<&- &
server=$!
{ read -r _ <&3; kill -INT "$server"; } &
wait "$server"
"""


class Crashing:
    """The server.

    Args:
        settings: What it is started with, besides its place.
    """

    def __init__(self, binaries: Path, directory: Path, account: postgres._Account, settings: tuple[str, ...]) -> None:
        self._account = account
        self._directory = directory
        self._port = postgres._free_port()
        self._password = secrets.token_hex(16)
        self._keeper: subprocess.Popen[str] | None = None
        (directory / "password").write_text(self._password)
        account.own(directory / "password")
        made = account.start(
            *(str(binaries / "initdb"), "--pgdata=data", "--username=postgres", "--pwfile=password"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            directory=directory,
        )
        made.communicate(timeout=60)
        assert made.returncode == 0
        place = ("-D", "data", "-p", str(self._port), "-c", "listen_addresses=127.0.0.1")
        always = ("fsync=on", "unix_socket_directories=", *settings)
        self._command = (str(binaries / "postgres"), *place, *(part for one in always for part in ("-c", one)))

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of its maintenance database."""
        return f"postgresql+psycopg://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it has recovered."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._keeper is not None and self._keeper.poll() is not None:
                # It gives up while what is left of the one before still holds its memory.
                self._ended()
            if self._keeper is None:
                self._keeper = self._account.start(
                    "/bin/sh", "-c", _KEEPER, "keeper", *self._command, directory=self._directory
                )
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5).close()
                return
            time.sleep(0.05)
        raise AssertionError((self._directory / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill the postmaster, at which its other processes end as well, in the midst of what they do."""
        pid = int((self._directory / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """Stop it properly."""
        if self._keeper is not None:
            self._ended()

    def _ended(self) -> None:
        assert self._keeper is not None
        # It closes the pipe too.
        self._keeper.communicate(timeout=60)
        self._keeper = None


@contextmanager
def crashing(*settings: str) -> Iterator[Crashing]:
    """Give such a server, started, with its files where they outlive a machine's memory."""
    chosen = next(found for found in servers() if found.binaries is not None)
    assert chosen.binaries is not None
    account = postgres._Account.without_rights()
    # Not in /tmp, which is memory on many machines.
    directory = account.directory(Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else Path(tempfile.gettempdir()))
    try:
        server = Crashing(postgres._usable(chosen, chosen.binaries, directory, account), directory, account, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
