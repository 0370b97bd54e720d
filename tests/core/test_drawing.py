"""A cascade as a picture: every slot, every holder and every date is in it, and nothing lies over anything else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dateline import Drop, Reject, Versions, Yields, check, handler, load, retired
from dateline.core.catalogue import Explanation, explained
from dateline.core.drawing import drawn, lanes
from dateline.errors import UnknownKind
from tests.core.test_amendment import Give, Log, Note, log, not_all, write

SVG = "{http://www.w3.org/2000/svg}"


@handler
def quiet(event: Give) -> Yields[Drop]:
    """Nobody is told: <b>"it's" & so on</b>\x0b."""
    yield Drop(write, Note, because="nobody reads it")


@handler
def unlogged(event: Give) -> Yields[Drop]:
    yield Drop(log, Log, because="nobody reads it")


@handler(supersedes=log)
def log_more_and_with_a_name_that_is_longer_than_there_is_room_for_in_one_date(event: Give) -> Yields[Log]:
    yield Log(text="more")


GIVING = Versions.of(
    {
        "2024-01-01": [Give, write, log, not_all],
        "2024-02-01": [log_more_and_with_a_name_that_is_longer_than_there_is_room_for_in_one_date],
        "2024-03-01": [quiet],
        "2024-04-01": [retired(not_all, because="there are more books")],
    }
)


def every() -> list[Explanation]:
    """Return each of the clinic's kinds as each date left it, and one with all that there can be."""
    clinic = load("versions")
    made = [explained(GIVING, "give", day) for day in ("2024-01-01", "2024-03-01", "2024-04-01")]
    for kind in clinic.kinds:
        for version in clinic.versions:
            with suppress(UnknownKind):
                made.append(explained(clinic, kind, version.date))
    return made


@pytest.mark.parametrize("found", every(), ids=lambda found: f"{found.kind} {found.version}")
def test_a_drawing_is_whole_and_says_everything(found: Explanation) -> None:
    picture = drawn(found)
    root = ET.fromstring(picture)

    words = "\n".join(element.text or "" for element in root.iter() if element.tag != f"{SVG}style")
    dates, held = lanes(found)
    assert [found.version in dates, *(day in words for day in dates)] == [True] * (len(dates) + 1)
    for lane in held:
        assert lane.slot.name in words
        for bar in lane.bars:
            assert f"{bar.holder.name}, since {bar.holder.since}" in words
    assert drawn(found) == picture
    assert "http" not in picture.replace('xmlns="http://www.w3.org/2000/svg"', "")


@pytest.mark.parametrize("found", every(), ids=lambda found: f"{found.kind} {found.version}")
def test_bars_and_texts_lie_beside_each_other(found: Explanation) -> None:
    root = ET.fromstring(drawn(found))
    width, height = int(root.get("width", "0")), int(root.get("height", "0"))

    bars = [box for box in root.iter(f"{SVG}rect") if box.get("class") != "paper"]
    boxes = [tuple(float(box.get(side, "0")) for side in ("x", "y", "width", "height")) for box in bars]
    for x, y, wide, high in boxes:
        assert wide > 20
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height
    for (x, y, wide, high), (other_x, other_y, other_wide, other_high) in combinations(boxes, 2):
        assert x + wide <= other_x or other_x + other_wide <= x or y + high <= other_y or other_y + other_high <= y


def test_lanes_tell_who_held_a_slot_from_when_to_when() -> None:
    dates, held = lanes(explained(GIVING, "give", "2024-04-01"))

    told = [
        (lane.slot.role, lane.slot.name, [(bar.start, bar.end, bar.retired) for bar in lane.bars], lane.amends)
        for lane in held
    ]
    assert dates == ("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")
    assert told == [
        ("check", "not_all", [(0, 3, True)], ()),
        ("handler", "write", [(0, None, False)], ()),
        ("handler", "log", [(0, 1, False), (1, None, False)], ()),
        ("handler", "quiet", [(2, None, False)], (("write", "note"),)),
    ]


def test_what_is_amended_and_what_ended_is_drawn_and_the_rest_can_be_read_by_ear() -> None:
    root = ET.fromstring(drawn(explained(GIVING, "give", "2024-04-01")))

    assert [one.text for one in root.iter(f"{SVG}title") if "amends" in (one.text or "")] == ["quiet amends write/note"]
    assert [one.get("class") for one in root.iter(f"{SVG}path")] == ["amends", "tip"]
    assert [one.text for one in root.iter(f"{SVG}text") if one.get("class") == "ended"] == ["✕"]
    assert root.findtext(f"{SVG}title") == "The cascade of give under 2024-04-01: 4 slots since 2024-01-01"
    assert root.findtext(f"{SVG}desc") == (
        "check not_all: not_all from 2024-01-01, retired 2024-04-01; handler write: write from 2024-01-01; "
        "handler log: log from 2024-01-01, then log_more_and_with_a_name_that_is_longer_than_there_is_room_for_in_one_date "
        "from 2024-02-01; handler quiet: quiet from 2024-03-01"
    )


def _given(role: str) -> Any:
    """Return a check or a handler called `book`, as another module could hold it."""
    if role == "check":

        def book(event: Give) -> Yields[Reject]:
            if event.book == "none":
                yield Reject("none", "which")

        return check(book)

    def book_(event: Give) -> Yields[Log]:
        yield Log(text="more")

    book_.__name__ = "book"
    return handler(book_)


def test_a_check_and_a_handler_of_one_name_have_lanes_of_their_own() -> None:
    both = Versions.of({"2024-01-01": [Give, _given("check"), _given("handler")]})

    root = ET.fromstring(drawn(explained(both, "give")))

    names = [(text.text, text.get("y")) for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == [("book", "134"), ("book", "220")]


def test_amendments_of_one_date_are_drawn_side_by_side() -> None:
    amending = Versions.of({"2024-01-01": [Give, write, log], "2024-02-01": [quiet, unlogged]})

    root = ET.fromstring(drawn(explained(amending, "give")))

    starts = [path.get("d", "").partition(" ")[0] for path in root.iter(f"{SVG}path") if path.get("class") == "amends"]
    assert starts == ["M604", "M592"]


def test_wide_letters_are_cut_before_they_leave_their_place() -> None:
    wide = replace(explained(GIVING, "give", "2024-01-01").slots[1], name="W" * 60)
    found = replace(explained(GIVING, "give", "2024-01-01"), slots=(wide, replace(wide, name="漢" * 60)))

    root = ET.fromstring(drawn(found))

    names = [text.findtext(f"{SVG}title", "") for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    shown = [text[-1].tail for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == ["W" * 60, "漢" * 60]
    assert shown == ["W" * 21 + "…", "漢" * 17 + "…"]
