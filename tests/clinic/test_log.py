"""Reading the hospital's log: what fits becomes an event, what does not says why, and nothing stops the reading."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic.log import LONGEST, Damaged, Line, Misfit, Piece, parse, pieces
from dateline import Event
from tests.clinic.lines import BOXES, line
from versions.v2013_02_01.encounters import Admit, Register, Release, Return, SepsisTriage, Triage
from versions.v2013_02_01.observations import RecordObservation
from versions.v2013_02_01.treatments import GiveTreatment


def parsed(text: bytes) -> Line:
    found = parse(Piece(1, text))
    assert isinstance(found, Line)
    return found


def why(text: bytes) -> str:
    found = parse(Piece(1, text))
    assert isinstance(found, Misfit)
    return found.why


def test_a_line_is_one_request_at_its_own_time_for_its_own_group() -> None:
    found = parsed(line("XJ", 3, "ER Triage", at="2014-03-01T09:30:00+02:00", group="C"))

    assert found == Line(
        number=1,
        key="sepsis-log/XJ/3",
        at=datetime(2014, 3, 1, 7, 30, tzinfo=UTC),
        group="C",
        event=Triage(encounter="XJ"),
    )


@pytest.mark.parametrize(
    ("activity", "data", "event"),
    [
        ("ER Triage", {"Age": 35}, Triage(encounter="XJ", age_years=35)),
        ("ER Sepsis Triage", {"Diagnose": "AB"}, SepsisTriage(encounter="XJ", diagnosis="AB")),
        ("IV Liquid", {}, GiveTreatment(encounter="XJ", treatment="liquid")),
        ("IV Antibiotics", {}, GiveTreatment(encounter="XJ", treatment="antibiotics")),
        ("Admission NC", {}, Admit(encounter="XJ", ward="normal-care")),
        ("Admission IC", {}, Admit(encounter="XJ", ward="intensive-care")),
        ("Release A", {}, Release(encounter="XJ", release="A")),
        ("Release E", {}, Release(encounter="XJ", release="E")),
        ("Return ER", {}, Return(encounter="XJ")),
    ],
)
def test_each_activity_is_a_kind_of_event(activity: str, data: dict[str, Any], event: Event) -> None:
    assert parsed(line("XJ", 3, activity, data)).event == event


def test_each_check_box_of_the_registration_form_is_kept() -> None:
    for ticked in BOXES:
        event = parsed(line("XJ", 0, "ER Registration", BOXES | {ticked: True})).event

        assert isinstance(event, Register)
        assert sum(getattr(event, name) is True for name in Register.model_fields) == 1
    assert len(BOXES) == 22


@pytest.mark.parametrize(
    ("activity", "analyte", "field"),
    [
        ("Leucocytes", "leucocytes", "leucocytes_giga_l"),
        ("CRP", "crp", "crp_mg_l"),
        ("LacticAcid", "lactate", "lactate_mmol_l"),
    ],
)
@pytest.mark.parametrize("written", ["16.0", "0.1", "4", "573.000001"])
def test_a_measured_value_is_taken_digit_for_digit(activity: str, analyte: str, field: str, written: str) -> None:
    text = line("XJ", 3, activity, {activity: 0}).replace(b": 0}", f": {written}}}".encode())

    event = parsed(text).event

    assert isinstance(event, RecordObservation)
    assert (event.result, event.analyte) == ("XJ/3", analyte)
    assert str(getattr(event, field)) == written


@pytest.mark.parametrize("data", [{}, {"CRP": None}])
def test_a_result_without_its_value_is_an_event_all_the_same(data: dict[str, Any]) -> None:
    assert parsed(line("XJ", 3, "CRP", data)).event == RecordObservation(encounter="XJ", result="XJ/3", analyte="crp")


GOOD = json.loads(line("XJ", 3, "CRP", {"CRP": 16.0}))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"case": None}, "case: not a text of 1 to 64 printable characters"),
        ({"case": "X J"}, "encounter: String should match pattern"),
        ({"case": "X\x00J"}, "case: not a text"),
        ({"case": "\ud800"}, "case: not a text"),
        ({"case": "X" * 65}, "case: not a text"),
        ({"n": "3"}, "n: not a whole number"),
        ({"n": True}, "n: not a whole number"),
        ({"n": -1}, "n: not a whole number"),
        ({"activity": "ER Coffee"}, "activity: not one that the hospital has"),
        ({"at": "yesterday"}, "at: not an instant"),
        ({"at": "2014-03-01T09:30:00"}, "at: an instant without its time zone"),
        ({"at": "0001-01-01T00:00:00+10:00"}, "at: not an instant"),
        ({"at": 1393666200}, "at: not a text"),
        ({"group": ""}, "group: not a text"),
        ({"data": []}, "data: not an object"),
        ({"data": {"CRP": "16.0"}}, "crp_mg_l: Input should be an instance of Decimal"),
        ({"data": {"CRP": True}}, "crp_mg_l: Input should be an instance of Decimal"),
        ({"data": {"CRP": -1}}, "crp_mg_l: Input should be greater than or equal to 0"),
        ({"data": {"CRP": 16.0, "Age": "old"}}, "age_years: Input should be a valid integer"),
        ({"data": {"LacticAcid": 1.4}}, "data has a key that is not known there"),
        ({"doctor": "who"}, "the line has a key that is not known there"),
        ({"activity": "ER Registration", "data": {"Age": 60}}, "data lacks InfectionSuspected"),
        ({"activity": "ER Registration", "data": BOXES | {"Hypoxie": "yes"}}, "hypoxia: Input should be a valid bool"),
    ],
)
def test_a_line_that_does_not_fit_says_where_and_why(changed: dict[str, Any], reason: str) -> None:
    assert why(json.dumps(GOOD | changed).encode()).startswith(reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"hello", "not JSON: Expecting value at character 1"),
        (b"[]", "not a JSON object"),
        (b"7", "not a JSON object"),
        (b'{"case": "X\xff"}', "not UTF-8 at byte 12"),
        (b'{"case": "A", "case": "B"}', "names a key twice"),
        (b'{"n": NaN}', "not JSON: NaN is no number"),
        (b'{"n": ' + b"1" * 5000 + b"}", "not JSON that anybody wrote: a number of thousands of digits"),
        (b'{"n": 1E999999999999999999999}', "not JSON that anybody wrote: a number of thousands of digits"),
        (b"[" * 50_000, "not JSON that anybody wrote: nested too deep"),
        (b"{}", "the line lacks case, n, activity, at, group, data"),
    ],
)
def test_what_is_no_line_at_all_says_so(text: bytes, reason: str) -> None:
    assert why(text) == reason


def test_a_misfit_tells_nothing_of_what_stood_in_the_line() -> None:
    secret = "secret-name"

    for name in GOOD:
        assert secret not in why(json.dumps(GOOD | {name: [secret]}).encode())
    for value in (secret, {secret: 1}):
        assert secret not in why(json.dumps(GOOD | {"data": {"CRP": value}}).encode())
        assert secret not in why(json.dumps(GOOD | {"data": {"CRP": 1, "Age": value}}).encode())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.binary()
    | anything.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(sorted(GOOD)), anything).map(lambda part: json.dumps(GOOD | part).encode())
    | st.dictionaries(st.sampled_from(["CRP", "Age", "Diagnose"]), anything).map(
        lambda data: json.dumps(GOOD | {"data": data}).encode()
    )
)
def test_whatever_is_read_is_a_line_or_a_misfit(text: bytes) -> None:
    assert isinstance(parse(Piece(1, text)), Line | Misfit)


def test_blank_lines_are_counted_and_left_out() -> None:
    assert list(pieces(BytesIO(b"\xef\xbb\xbfa\r\n\n \nb"))) == [Piece(1, b"a\r\n"), Piece(4, b"b")]


def test_a_line_that_is_too_long_comes_in_pieces_and_is_never_held() -> None:
    found = list(pieces(BytesIO(b"x" * (2 * LONGEST + 1) + b"\nb\n")))

    assert [(piece.number, len(piece.text), piece.first, piece.last) for piece in found] == [
        (1, LONGEST, True, False),
        (1, LONGEST, False, False),
        (1, 2, False, True),
        (2, 2, True, True),
    ]
    assert parse(found[0]) == Misfit(1, f"longer than {LONGEST} bytes")


@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_what_pieces_are_made_of_is_the_log(length: int, ending: bytes) -> None:
    text = b"x" * length + b"\n" + b"y" * length + ending

    assert b"".join(piece.text for piece in pieces(BytesIO(text))) == text


def test_a_compressed_log_is_told_by_its_first_bytes() -> None:
    assert list(pieces(BytesIO(gzip.compress(b"a\nb\n")))) == [Piece(1, b"a\n"), Piece(2, b"b\n")]


@pytest.mark.parametrize("harm", ["cut", "garbled"])
def test_of_a_damaged_log_the_lines_before_the_damage_are_read(harm: str) -> None:
    lines = b"".join(line("XJ", n, "CRP", {"CRP": n * n % 97}) for n in range(5000))
    packed = bytearray(gzip.compress(lines))
    if harm == "cut":
        del packed[-20:]
    else:
        packed[-2000:-1000] = bytes(1000)

    read: list[int] = []
    with pytest.raises(Damaged, match=r"the log is damaged after line \d+: "):
        read.extend(piece.number for piece in pieces(BytesIO(bytes(packed))))

    assert read == list(range(1, len(read) + 1))
    assert len(read) > 100


def test_decimals_do_not_pass_through_binary_fractions() -> None:
    event = parsed(line("XJ", 3, "CRP", {"CRP": 0}).replace(b": 0}", b": 0.10}")).event

    assert isinstance(event, RecordObservation)
    assert event.crp_mg_l == Decimal("0.10")
