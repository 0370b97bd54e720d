"""Each error of dateline's is an answer of a type that stays, whichever framework gives it."""

from __future__ import annotations

import json

import pytest

from dateline import (
    Contention,
    DatelineError,
    Malformed,
    Problem,
    Rejected,
    Rejection,
    UnknownKind,
    UnknownVersion,
    errors,
    problem,
)
from dateline.core.problem import PROBLEMS
from dateline.errors import HandlerFailed, Unreachable


def test_each_refusal_has_a_status_of_its_own() -> None:
    outcomes = {
        one.outcome for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.Refused)
    }

    assert outcomes - {"refused"} <= PROBLEMS.keys()


@pytest.mark.parametrize(
    ("error", "word", "status", "facts", "headers"),
    [
        (
            Malformed("no", (("cents", "is missing"),)),
            "malformed",
            400,
            {"problems": [{"pointer": "cents", "detail": "is missing"}]},
            {},
        ),
        (UnknownKind("nothing"), "unknown-kind", 404, {}, {}),
        (UnknownVersion("none", asked="x"), "unknown-version", 400, {"asked": "x"}, {}),
        (Contention("many"), "contention", 503, {}, {"retry-after": "1"}),
        (Unreachable("postgresql://user:secret@host"), "unavailable", 503, {}, {"retry-after": "5"}),
        (HandlerFailed("secret"), "fault", 500, {}, {}),
        (DatelineError("secret"), "fault", 500, {}, {}),
    ],
    ids=lambda found: getattr(found, "word", "") or str(found)[:20],
)
def test_an_error_is_an_answer_and_a_fault_keeps_its_words(error, word, status, facts, headers) -> None:  # type: ignore[no-untyped-def]
    found = problem(error)

    assert (found.word, found.status, found.headers) == (word, status, headers)
    told = json.loads(found.text)
    assert told["type"] == f"urn:problem-type:dateline:{word}"
    assert {name: told.get(name) for name in facts} == facts
    assert "secret" not in found.text.decode()


def test_a_rejection_is_told_by_field() -> None:
    refused = Rejected((Rejection(key="k/low", code="low", detail="too low", field="cents"),))
    refused.event_id = "7"

    found = problem(refused)

    assert isinstance(found, Problem)
    assert (found.status, found.document["event"], found.document["rejections"][0]["field"]) == (422, "7", "cents")
