"""Column types that every database here stores alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from dateline.sql.types import Id, Instant

SQLITE, POSTGRES = sqlite.dialect(), postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
INSTANTS = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


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


@given(st.uuids())
def test_an_id_is_the_text_that_people_know(id: UUID) -> None:
    assert Id().process_bind_param(id, SQLITE) == str(id)
    assert Id().process_result_value(str(id), SQLITE) == id
    assert Id().process_bind_param(id, POSTGRES) is id
