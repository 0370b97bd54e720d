"""The hospital's log, a JSON object a line, read and mapped to the clinic's events; what does not fit is a value too."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from pydantic import ValidationError

from dateline import Event
from versions.v2013_02_01.encounters import Admit, Register, Release, Return, SepsisTriage, Triage
from versions.v2013_02_01.observations import RecordObservation
from versions.v2013_02_01.treatments import GiveTreatment

__all__ = ["LONGEST", "Damaged", "Line", "Misfit", "Piece", "parse", "pieces"]

LONGEST = 64 * 1024
"""Bytes of the longest line that is read; the longest of the real log has 718."""

CHECK_BOXES = {
    "InfectionSuspected": "infection_suspected",
    "SIRSCriteria2OrMore": "sirs_two_or_more",
    "SIRSCritTemperature": "sirs_temperature",
    "SIRSCritHeartRate": "sirs_heart_rate",
    "SIRSCritTachypnea": "sirs_tachypnea",
    "SIRSCritLeucos": "sirs_leucocytes",
    "Hypotensie": "hypotension",
    "Hypoxie": "hypoxia",
    "Oligurie": "oliguria",
    "DisfuncOrg": "organ_dysfunction",
    "Infusion": "infusion",
    "DiagnosticBlood": "orders_blood",
    "DiagnosticArtAstrup": "orders_arterial_gas",
    "DiagnosticLacticAcid": "orders_lactate",
    "DiagnosticXthorax": "orders_chest_xray",
    "DiagnosticECG": "orders_ecg",
    "DiagnosticIC": "orders_ic",
    "DiagnosticUrinaryCulture": "orders_urinary_culture",
    "DiagnosticUrinarySediment": "orders_urinary_sediment",
    "DiagnosticSputum": "orders_sputum",
    "DiagnosticLiquor": "orders_liquor",
    "DiagnosticOther": "orders_other",
}
"""The registration form's check boxes, Dutch and English mixed as the hospital has them, and what the clinic calls them."""

PATIENT = {"Age": "age_years", "Diagnose": "diagnosis"}
"""What any form may tell of the patient."""

MEASURED = {
    "Leucocytes": ("leucocytes", "leucocytes_giga_l"),
    "CRP": ("crp", "crp_mg_l"),
    "LacticAcid": ("lactate", "lactate_mmol_l"),
}
"""The laboratory's activities: the analyte, and the field for its value."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a line: all of it, unless it is too long to be held.

    Args:
        number: The line's, from 1.
        first: The line begins here.
        last: The line ends here.
    """

    number: int
    text: bytes
    first: bool = True
    last: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log as the clinic takes it.

    Args:
        key: Under which request key it is dispatched: the same line, however often it is read, happens once.
        group: The hospital's group that is responsible for it.
    """

    number: int
    key: str
    at: datetime
    group: str
    event: Event


@dataclass(frozen=True, slots=True)
class Misfit:
    """A line that is none of the log's, and why; never what stood in it, which may be about a patient."""

    number: int
    why: str


class Damaged(Exception):
    """The log ends in the middle of a compressed block, or is not what its beginning promises."""


def pieces(log: BinaryIO) -> Iterator[Piece]:
    """Yield the log's lines, blank ones left out, however long they are and whether compressed or not.

    Raises:
        Damaged: When a compressed log is broken; what came before it has been yielded.
    """
    held = log if isinstance(log, io.BufferedReader) else io.BufferedReader(log)  # type: ignore[type-var]  # any raw stream
    # By its first bytes, not by its name: standard input has none.
    packed = held.peek(2)[:2] == b"\x1f\x8b"
    stream: BinaryIO = gzip.GzipFile(fileobj=held) if packed else held  # type: ignore[assignment]  # reads like one
    number = 1
    first = True
    while True:
        try:
            text = stream.readline(LONGEST)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Damaged(f"the log is damaged after line {number - 1}: {error}") from error
        if not text:
            return
        if number == 1 and first:
            text = text.removeprefix(b"\xef\xbb\xbf")
        last = text.endswith(b"\n") or len(text) < LONGEST
        if text.strip() or not (first and last):
            yield Piece(number, text, first, last)
        number += last
        first = last


def parse(piece: Piece) -> Line | Misfit:
    """Return what a line says, or why it says nothing that the clinic understands."""
    if not (piece.first and piece.last):
        return Misfit(piece.number, f"longer than {LONGEST} bytes")
    try:
        return _line(piece.number, _object(piece.text))
    except _Unfit as unfit:
        return Misfit(piece.number, str(unfit))


class _Unfit(Exception):
    """Why a line does not fit."""


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise _Unfit(f"not UTF-8 at byte {error.start + 1}") from None
    try:
        # Decimals as they are written: 0.1 must not become the nearest binary fraction.
        found = json.loads(decoded, parse_float=Decimal, parse_constant=_constant, object_pairs_hook=_pairs)
    except json.JSONDecodeError as error:
        raise _Unfit(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise _Unfit("not JSON that anybody wrote: nested too deep") from None
    except (ValueError, ArithmeticError):
        raise _Unfit("not JSON that anybody wrote: a number of thousands of digits") from None
    if not isinstance(found, dict):
        raise _Unfit("not a JSON object")
    return found


def _constant(name: str) -> Any:
    raise _Unfit(f"not JSON: {name} is no number")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Unfit("names a key twice")
    return made


def _line(number: int, found: Mapping[str, Any]) -> Line:
    _keys(found, "the line", needed=("case", "n", "activity", "at", "group", "data"))
    case, activity, group = (_text(found, name) for name in ("case", "activity", "group"))
    n, data = found["n"], found["data"]
    if type(n) is not int or not 0 <= n < 1_000_000:
        raise _Unfit("n: not a whole number from 0 to 999999")
    if not isinstance(data, dict):
        raise _Unfit("data: not an object")
    made = _ACTIVITIES.get(activity)
    if made is None:
        raise _Unfit("activity: not one that the hospital has")
    try:
        event = made(case, f"{case}/{n}", data)
    except ValidationError as error:
        raise _Unfit(_first_of(error)) from None
    return Line(number, f"sepsis-log/{case}/{n}", _instant(_text(found, "at")), group, event)


def _keys(
    found: Mapping[str, Any], where: str, *, needed: tuple[str, ...] = (), possible: tuple[str, ...] = ()
) -> None:
    """Refuse what lacks a key, and what has one that would be dropped in silence."""
    if missing := [name for name in needed if name not in found]:
        raise _Unfit(f"{where} lacks {', '.join(missing)}")
    if len(found) > len(needed) and found.keys() - {*needed, *possible}:
        raise _Unfit(f"{where} has a key that is not known there")


def _text(found: Mapping[str, Any], name: str) -> str:
    text = found[name]
    if not isinstance(text, str) or not 0 < len(text) <= 64 or not text.isprintable():
        raise _Unfit(f"{name}: not a text of 1 to 64 printable characters")
    return text


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise _Unfit("at: an instant without its time zone")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unfit("at: not an instant") from None


def _first_of(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ": ".join((*map(str, problem["loc"]), problem["msg"]))


Form = Mapping[str, Any]


def _patient(form: Form) -> dict[str, Any]:
    """Return what a form tells of the patient, by the event's names."""
    return {name: form[key] for key, name in PATIENT.items() if key in form}


def _plain(kind: type[Event], **fixed: str) -> Callable[[str, str, Form], Event]:
    def make(case: str, result: str, form: Form) -> Event:
        _keys(form, "data", possible=tuple(PATIENT))
        return kind(encounter=case, **fixed, **_patient(form))  # type: ignore[call-arg]  # all of these kinds have it

    return make


def _register(case: str, result: str, form: Form) -> Event:
    _keys(form, "data", needed=tuple(CHECK_BOXES), possible=tuple(PATIENT))
    return Register(encounter=case, **{name: form[key] for key, name in CHECK_BOXES.items()}, **_patient(form))


def _measured(activity: str) -> Callable[[str, str, Form], Event]:
    analyte, field = MEASURED[activity]

    def make(case: str, result: str, form: Form) -> Event:
        _keys(form, "data", possible=(activity, *PATIENT))
        value = form.get(activity)
        # A whole number is written without a point, and is a measured value all the same.
        exact = Decimal(value) if type(value) is int else value
        return RecordObservation.model_validate(
            {"encounter": case, "result": result, "analyte": analyte, field: exact, **_patient(form)}
        )

    return make


_ACTIVITIES: Mapping[str, Callable[[str, str, Form], Event]] = {
    "ER Registration": _register,
    "ER Triage": _plain(Triage),
    "ER Sepsis Triage": _plain(SepsisTriage),
    **{activity: _measured(activity) for activity in MEASURED},
    "IV Liquid": _plain(GiveTreatment, treatment="liquid"),
    "IV Antibiotics": _plain(GiveTreatment, treatment="antibiotics"),
    "Admission NC": _plain(Admit, ward="normal-care"),
    "Admission IC": _plain(Admit, ward="intensive-care"),
    **{f"Release {way}": _plain(Release, release=way) for way in "ABCDE"},
    "Return ER": _plain(Return),
}
