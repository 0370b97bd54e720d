"""A trail that has just begun has statistics of when it was empty, and is quick even so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import make_url

from dateline import Event, Runner, Versions
from dateline.testing.postgres import Postgres


class Note(Event, kind="note", subjects=("box:{box}",)):
    box: int


@contextmanager
def _beside(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection


def test_what_a_dispatch_looks_up_is_found_by_an_index_from_the_first_event_on(postgres18: Postgres) -> None:
    url = postgres18.database("young_trail")
    try:
        with Runner(url, versions=Versions.of({"2024-01-01": [Note]})) as runner:
            runner.migrate()
            with _beside(url) as connection:
                # As the server does by itself within a minute; it then takes the tables for empty until it looks again.
                connection.execute("VACUUM ANALYZE")
            for number in range(300):
                runner.dispatch(Note(box=number % 3), actor="ann", key=str(number))
                runner.dispatch(Note(box=number // 2 % 3), actor="ann", key=str(number // 2))
        # The sessions have told the server what they read when they are closed.
        with _beside(url) as connection:
            gone_through = connection.execute(
                "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname LIKE 'dateline%' AND seq_tup_read > 20"
            ).fetchall()
        assert gone_through == []
    finally:
        postgres18.drop("young_trail")
