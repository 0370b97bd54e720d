"""A decision that was made anew holds what its record would hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from dateline import Effect, Plan
from dateline.core.canon import canonical, parsed
from dateline.core.decision import Decision


class Colour(Enum):
    RED = "red"


class Tell(Effect, kind="tell"):
    what: Any


VALUES: list[Any] = [
    *("a", 1, 2**70, True, None, 1.5, 1e-7, b"\0", Colour.RED),
    *(UUID(int=7), Decimal("1.10"), date(2024, 1, 1), time(12, 30), timedelta(days=-1, microseconds=3)),
    *(datetime(2024, 1, 1, 12, 30, 0, 500, UTC), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
    *((), ["a", (1, 2.5, [None])], (UUID(int=7), {"b": Decimal(1), "a": (date(2024, 1, 1),)}), {"a": {3, 1, 2}}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_compared_in_the_form_in_which_it_is_recorded(value: Any) -> None:
    [step] = Decision.made(Plan.of(Tell(what=value)), date(2024, 1, 1)).steps

    assert step.values == {"what": parsed(canonical(value))}
    assert canonical(step.values["what"]) == canonical(value)
