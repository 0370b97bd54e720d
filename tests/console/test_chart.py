"""Charts show what they were given, also to whom cannot see them, whatever names stand in it."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dateline.console.chart import SHADES, columns, ranks, ticks

COUNTS = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (0, (0, 1)),
        (1, (0, 1)),
        (3, (0, 1, 2, 3)),
        (5, (0, 2, 4, 6)),
        (17, (0, 5, 10, 15, 20)),
        (100, (0, 50, 100)),
        (1234, (0, 500, 1000, 1500)),
    ],
)
def test_an_axis_has_round_numbers(most: int, told: tuple[int, ...]) -> None:
    assert ticks(most) == told


@given(COUNTS)
def test_an_axis_has_few_numbers_which_reach_as_far_as_needed(most: int) -> None:
    found = ticks(most)

    assert (found[0], 2 <= len(found) <= 5) == (0, True)
    assert found[-2] < max(most, 1) <= found[-1]
    assert len({b - a for a, b in pairwise(found)}) == 1


def rects(svg: str) -> list[dict[str, float]]:
    return [
        {name: float(one.get(name, 0)) for name in ("x", "y", "width", "height")}
        for one in ET.fromstring(svg).iter("rect")
    ]


@given(st.data())
def test_columns_stay_within_the_picture_and_say_each_number(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.text(max_size=12), max_size=30))
    names = data.draw(st.lists(st.text(max_size=30), max_size=9, unique=True))
    series = {name: data.draw(st.lists(COUNTS, min_size=len(times), max_size=len(times))) for name in names}

    svg = columns("<&> what", times, series)

    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert [one.tag for one in root][:2] == ["title", "desc"]
    for one in rects(svg):
        assert -2 <= one["y"] <= one["y"] + one["height"] <= height + 2, one
        assert 0 <= one["x"] <= width
    assert len(root.findall("./g/title")) == len(times)
    told = " ".join(one.text or "" for one in root.findall("./g/title"))
    assert all(f"{count:,} " in told for numbers in series.values() for count in numbers if count)
    assert {int(found) for found in re.findall(r'class="shade(\d+)"', svg)} <= set(range(SHADES))


def test_a_part_that_is_small_is_seen_and_stands_on_the_one_below() -> None:
    svg = columns("events", ["1 May", "2 May"], {"committed": [1000, 0], "rejected": [1, 2]})

    committed, rejected, alone = rects(svg)[2:]
    assert rejected["height"] >= 1.5
    assert rejected["y"] + rejected["height"] == pytest.approx(committed["y"], abs=0.11)
    assert alone["y"] + alone["height"] == pytest.approx(committed["y"] + committed["height"], abs=0.11)
    assert "From 1 May to 2 May: 1,000 committed, 3 rejected. The most are 1,001, at 1 May." in svg


@given(st.dictionaries(st.text(max_size=200), COUNTS, max_size=12))
def test_bars_are_as_long_as_their_numbers_and_the_longest_comes_first(counts: dict[str, int]) -> None:
    svg = ranks("reasons", counts)

    found = [one["width"] for one in rects(svg)]
    assert found == sorted(found, reverse=True)
    assert len(found) == len(counts)
    assert all(one["x"] + one["width"] < 480 for one in rects(svg))
    assert "<script" not in ranks("x", {"<script>": 1})
