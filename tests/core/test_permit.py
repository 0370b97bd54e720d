"""What a form carries is good for what it was given for, to whom it was given, and tells nothing."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dateline import Malformed
from dateline.core.permit import Permit

KEY = b"the servers' key"
PERMIT = Permit(
    of=("approve", "12.0"), actor="ann", tenant="north", ends=datetime(2024, 7, 1, 12, tzinfo=UTC), key="once"
)


def test_a_permit_is_found_again_as_it_was_given() -> None:
    text = PERMIT.text(KEY)

    assert Permit.read(text, KEY, ("approve", "12.0"), actor="ann", tenant="north") == PERMIT
    held = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert not any(word in held for word in (b"approve", b"ann", b"north"))


@pytest.mark.parametrize(
    "other",
    [
        {"of": ("approve", "12.1")},
        {"of": ("cancel", "12.0")},
        {"of": ("approve",)},
        {"of": ("approve", "12", "0")},
        {"actor": "bob"},
        {"tenant": ""},
    ],
)
def test_it_is_good_for_nothing_else_and_nobody_else(other: dict[str, object]) -> None:
    asked = {"of": PERMIT.of, "actor": PERMIT.actor, "tenant": PERMIT.tenant, **other}

    with pytest.raises(Malformed, match="given to somebody else"):
        Permit.read(PERMIT.text(KEY), KEY, **asked)  # type: ignore[arg-type]  # each of its own type


def test_one_that_was_changed_or_that_another_key_made_is_none() -> None:
    text = PERMIT.text(KEY)
    later = replace(PERMIT, ends=datetime(2034, 7, 1, tzinfo=UTC)).text(KEY)

    for told in ("", "é", "A" * 100, text[:-2], later[:43] + text[43:], text[:43] + later[43:], PERMIT.text(b"other")):
        with pytest.raises(Malformed):
            Permit.read(told, KEY, PERMIT.of, actor="ann", tenant="north")
