"""Column types that every database here stores alike."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from dateline.sql.types import Id, Instant

SQLITE, POSTGRES = sqlite.dialect(), postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
INSTANTS = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.fixture
def tokyo() -> Iterator[None]:
    """Let the machine stand in Tokyo."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@given(INSTANTS, OFFSETS)
def test_an_instant_comes_back_in_utc(local: datetime, zone: timezone) -> None:
    moment = local.replace(tzinfo=zone)
    stored = Instant().process_bind_param(moment, SQLITE)

    back = Instant().process_result_value(stored, SQLITE)

    assert (back, back and back.tzinfo) == (moment, UTC)


@given(INSTANTS, OFFSETS, INSTANTS, OFFSETS)
def test_texts_of_instants_sort_as_time_does(one: datetime, here: timezone, other: datetime, there: timezone) -> None:
    moments = one.replace(tzinfo=here), other.replace(tzinfo=there)

    texts = [Instant().process_bind_param(moment, SQLITE) for moment in moments]

    assert (texts[0] < texts[1]) == (moments[0] < moments[1])
    assert len(texts[0]) == len(texts[1]) == 27


def test_a_naive_instant_is_none() -> None:
    for dialect in (SQLITE, POSTGRES):
        with pytest.raises(ValueError, match="naive"):
            Instant().process_bind_param(datetime(2024, 1, 1), dialect)


def test_nothing_stays_nothing() -> None:
    for kind in (Instant(), Id()):
        assert kind.process_bind_param(None, SQLITE) is None
        assert kind.process_result_value(None, SQLITE) is None


@pytest.mark.usefixtures("tokyo")
def test_what_sqlite_itself_writes_is_utc_wherever_the_machine_stands() -> None:
    # CURRENT_TIMESTAMP, func.now() and DEFAULT clauses give texts without a zone.
    assert Instant().process_result_value("2024-01-01 12:00:00", SQLITE) == datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.usefixtures("tokyo")
def test_a_server_default_on_sqlite_is_the_present() -> None:
    table = Table(
        "visit", MetaData(), Column("id", Id(), primary_key=True), Column("at", Instant(), server_default=func.now())
    )
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table).values(id=UUID(int=1)))
        [found] = connection.execute(select(table.c.id, table.c.at)).all()
    engine.dispose()

    assert found.id == UUID(int=1)
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)


@given(st.uuids())
def test_an_id_is_the_text_that_people_know(id: UUID) -> None:
    assert Id().process_bind_param(id, SQLITE) == str(id)
    assert Id().process_result_value(str(id), SQLITE) == id
    assert Id().process_bind_param(id, POSTGRES) is id
