"""PostgreSQL's texts of durations, each read as the driver reads the value itself."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from dateline.sql.interval import interval

PARTS = st.integers(-40, 40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", timedelta(0)),
        ("P1DT2H0.000005S", timedelta(days=1, hours=2, microseconds=5)),
        ("PT-3H7S", timedelta(hours=-3, seconds=7)),
        ("PT-0.5S", timedelta(seconds=-0.5)),
        ("P-1Y2M-3DT-4H5M-6.7S", timedelta(days=-365 + 60 - 3, hours=-4, minutes=5, seconds=-6.7)),
        ("PT2400000H", timedelta(hours=2_400_000)),
    ],
)
def test_each_part_has_a_sign_of_its_own(text: str, expected: timedelta) -> None:
    assert interval(text) == expected


@pytest.mark.parametrize("text", ["", "1 day", "-P1D", "P1W", "PT1.1234567S"])
def test_what_the_server_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no interval"):
        interval(text)


def test_what_the_server_writes_is_read_as_the_driver_reads_the_value(postgresql_url: str) -> None:
    url = make_url(postgresql_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as plain, psycopg.connect(url, autocommit=True) as iso:
        # The driver itself reads the value in the server's own style only.
        iso.execute("SET IntervalStyle = 'iso_8601'")

        @given(st.tuples(*[PARTS] * 5), st.integers(-(10**8), 10**8))
        def same(parts: tuple[int, ...], microseconds: int) -> None:
            made = "make_interval(%s, %s, 0, %s, %s, %s, %s::double precision / 1000000)"
            value = plain.execute(f"SELECT {made}", [*parts, microseconds]).fetchone()
            text = iso.execute(f"SELECT {made}::text", [*parts, microseconds]).fetchone()
            assert value is not None
            assert text is not None
            assert interval(text[0]) == value[0]

        same()
