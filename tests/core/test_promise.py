"""What a client keeps of a preview tells nothing and cannot be forged."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from dateline import Actor, Malformed, Preview, Runner
from dateline.core.promise import Promise
from tests.contract.shop import VERSIONS, Base, Customer, Product, Sell

KEY = b"the servers' key"
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def preview(sqlite_url: str) -> Preview:
    with Runner(sqlite_url, versions=VERSIONS, clock=lambda: NOON) as runner:
        runner.migrate()
        Base.metadata.create_all(runner.engine)
        with Session(runner.engine) as session, session.begin():
            session.add_all([Product("tea", 4), Customer("ann", "Ann CANARY Lee")])
        made = runner.preview(Sell(product="tea", quantity=2), actor=Actor("till"))
    assert isinstance(made, Preview)
    return made


def test_a_promise_is_found_again_as_it_was_given(preview: Preview) -> None:
    promise = Promise.of(preview, KEY)

    assert Promise.read(promise.text(), KEY) == promise
    assert (promise.event_id, promise.version, promise.at, promise.expires_at) == (
        preview.event_id,
        preview.version,
        NOON,
        NOON + timedelta(minutes=15),
    )


def test_no_value_stands_in_it_and_what_stands_there_cannot_be_guessed_without_the_key(preview: Preview) -> None:
    text = Promise.of(preview, KEY).text()

    raw = zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[32:])

    assert b"CANARY" not in raw
    assert b"customer/ann" in raw
    assert not any(told.encode() in raw for cells in preview.fingerprints.values() for told in cells.values())
    assert Promise.of(preview, b"another").seen != Promise.of(preview, KEY).seen


@pytest.mark.parametrize("place", [0, 20, 44, 60, -1])
def test_a_promise_that_was_changed_is_none(preview: Preview, place: int) -> None:
    text = Promise.of(preview, KEY).text()
    other = "A" if text[place] != "A" else "B"
    changed = text[:place] + other + (text[place:][1:])

    for told in (changed, text[:-8], text + "AAAA", "", "é", "A" * 43, "A" * 4000):
        with pytest.raises(Malformed, match="preview again"):
            Promise.read(told, KEY)
    with pytest.raises(Malformed, match="preview again"):
        Promise.read(text, b"another")
