"""A value whose parts are made when they are asked for is, to whoever has it, a value like any other."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dateline.core.later import Later, later, whole


@dataclass(frozen=True, slots=True)
class Letter(Later):
    to: str
    text: str
    length: int
    seal: str


class Making:
    """Makes a letter's parts, and remembers which it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, letter: Letter, name: str) -> Mapping[str, Any]:
        self.asked.append(name)
        if name == "seal":
            return {"seal": f"of {letter.text}"}
        text = f"Dear {letter.to}"
        return {"text": text, "length": len(text)}


WHOLE = Letter(to="ann", text="Dear ann", length=8, seal="of Dear ann")


def test_a_part_is_made_when_it_is_asked_for_and_only_once_with_what_comes_with_it() -> None:
    making = Making()
    letter = later(Letter, {"to": "ann"}, making)

    assert (letter.to, making.asked) == ("ann", [])
    assert (letter.length, letter.text, letter.length, making.asked) == (8, "Dear ann", 8, ["length"])


def test_a_part_may_be_made_of_another() -> None:
    making = Making()

    assert later(Letter, {"to": "ann"}, making).seal == "of Dear ann"
    assert making.asked == ["seal", "text"]


def test_it_compares_shows_copies_and_replaces_as_if_it_had_been_made_at_once() -> None:
    def made() -> Letter:
        return later(Letter, {"to": "ann"}, Making())

    assert made() == WHOLE == made()
    assert made() != replace(WHOLE, text="Dear bob")
    assert (repr(made()), hash(made())) == (repr(WHOLE), hash(WHOLE))
    assert [copy.copy(made()), copy.deepcopy(made()), pickle.loads(pickle.dumps(WHOLE))] == [WHOLE] * 3
    assert replace(made(), to="bob") == replace(WHOLE, to="bob")


def test_whole_makes_what_is_missing_and_leaves_what_is_there() -> None:
    making = Making()
    letter = later(Letter, {"to": "ann", "seal": "broken"}, making)

    whole(letter)

    assert making.asked == ["text"]
    assert letter == replace(WHOLE, seal="broken")


def test_what_it_has_not_is_told_as_of_any_other_value() -> None:
    for letter in (WHOLE, later(Letter, {"to": "ann"}, Making())):
        told: Any = letter

        assert not hasattr(told, "form")
        with pytest.raises(AttributeError, match="Letter has no form"):
            _ = told.form
        with pytest.raises(AttributeError):
            told.to = "bob"


def test_a_part_that_cannot_be_made_is_refused_each_time_and_the_others_are_there() -> None:
    def making(letter: Letter, name: str) -> Mapping[str, Any]:
        if name == "seal":
            raise KeyError("wax")
        return {name: "made"}

    letter = later(Letter, {"to": "ann"}, making)

    for _ in range(2):
        with pytest.raises(KeyError, match="wax"):
            _ = letter.seal
    assert letter.text == "made"
