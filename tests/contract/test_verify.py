"""Verification finds what was changed behind dateline's back."""

from __future__ import annotations

import pytest

from dateline.sql.trail import SCANNED
from dateline.sql.verify import Verification
from tests.contract.conftest import Shop
from tests.contract.shop import Enrol, Idea, Product, Sell


@pytest.fixture
def traded(shop: Shop) -> Shop:
    """Give a shop with four events: three committed, one refused, and some personal values."""
    shop.put(Product("tea", 4))
    shop.dispatch(Enrol(id="ann", name="Ann Lee", email="ann@example.org"))
    shop.dispatch(Sell(product="tea"), "till")
    shop.dispatch(Sell(product="tea"), "till", tenant="north")
    with pytest.raises(Exception, match="too-few"):
        shop.dispatch(Sell(product="tea", quantity=9))
    return shop


def test_what_is_untouched_is_right(traded: Shop) -> None:
    found = traded.verify()

    assert (found.ok, found.events, found.erased, found.faults) == (True, 4, 0, ())
    [[kept]] = traded.execute("SELECT count(*) FROM dateline_personal")
    assert found.values == kept > 4


def test_an_empty_trail_is_right(shop: Shop) -> None:
    assert shop.verify() == Verification(0, 0, 0, ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE dateline_event SET body = replace(body, 'quantity', 'quantitx') WHERE seq = 2", "the body is not"),
        ("UPDATE dateline_event SET body = body || ' ' WHERE seq = 2", "the body is not"),
        (
            "UPDATE dateline_event SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x') WHERE seq = 2",
            "the body is not",
        ),
        (
            "UPDATE dateline_event SET outcome = 'rejected' WHERE seq = 2",
            "the column outcome is not what the body says",
        ),
        ("UPDATE dateline_event SET kind = 'gift' WHERE seq = 2", "the column kind is not what the body says"),
        ("UPDATE dateline_event SET actor = 'ghost' WHERE seq = 2", "the column actor is not what the body says"),
        (
            "UPDATE dateline_personal SET value = '\"Ann Low\"' WHERE seq = 2 AND path LIKE '/snapshot/%/name'",
            "rows/0/name is not the one that was recorded",
        ),
        (
            "UPDATE dateline_personal SET value = '\"Ann Low\"' WHERE seq = 2 AND path LIKE '/operations/%/before/name'",
            "before/name is not the one that was recorded",
        ),
        (
            "UPDATE dateline_personal SET value = '\"x\"' WHERE seq = 2 AND path LIKE '/effects/%'",
            "text is not the one that was recorded",
        ),
        (
            "UPDATE dateline_personal SET salt = '00000000000000000000000000000000' WHERE seq = 2 AND path LIKE '/snapshot/%/name'",
            "rows/0/name is not the one that was recorded",
        ),
        (
            "DELETE FROM dateline_personal WHERE seq = 2 AND path LIKE '/snapshot/%/name'",
            "personal values were recorded",
        ),
        (
            "INSERT INTO dateline_personal (tenant, seq, path, subject, salt, value) VALUES ('', 2, '/input/x', '', '00', '1')",
            "where none was recorded",
        ),
    ],
)
def test_what_was_changed_is_found(traded: Shop, change: str, told: str) -> None:
    traded.execute(change)

    found = traded.verify()

    assert not found.ok
    assert {seq for seq, _ in found.faults} == {2}
    assert told in " ".join(fault for _, fault in found.faults)
    assert "Ann" not in str(found.faults)


REPEATED = {
    "version": "2024-01-01",
    "shape": None,
    "occurred_at": "2020-01-01 00:00:00Z",
    "reason": "another",
    "id": "00000000-0000-0000-0000-000000000009",
    "cause": "00000000-0000-0000-0000-000000000009",
    "root": "00000000-0000-0000-0000-000000000009",
    "tenant": "south",
}


def test_every_column_that_the_body_repeats_is_compared(traded: Shop) -> None:
    for column, value in REPEATED.items():
        [[before]] = traded.execute(f"SELECT {column} FROM dateline_event WHERE seq = 2")
        traded.execute(f"UPDATE dateline_event SET {column} = :value WHERE seq = 2", value=value)

        found = traded.verify()

        assert (2, f"the column {column} is not what the body says") in found.faults
        traded.execute(f"UPDATE dateline_event SET {column} = :value WHERE seq = 2", value=before)
        assert traded.verify().ok


def test_a_changed_image_of_a_row_is_found(traded: Shop) -> None:
    # A personal column's place in an image is known by its digest; the rest of an image is sealed with the trail, later.
    traded.execute("UPDATE dateline_operation SET after = replace(after, '$personal', '$nothing') WHERE seq = 2")

    assert {seq for seq, _ in traded.verify().faults} == {2}


def test_one_tenants_trail_is_verified_by_itself(traded: Shop) -> None:
    traded.execute("UPDATE dateline_event SET outcome = 'x' WHERE tenant = 'north'")

    assert traded.verify(tenant="").ok
    assert traded.verify(tenant="").events == 3
    assert not traded.verify(tenant="north").ok
    assert traded.verify(tenant="nobody") == Verification(0, 0, 0, ())


def test_more_than_a_page_is_verified_to_the_end(shop: Shop) -> None:
    with shop.together() as tx:
        for number in range(SCANNED + 3):
            tx.dispatch(Idea(text=str(number)), actor="till")
    assert shop.verify().events == SCANNED + 3

    shop.execute("UPDATE dateline_event SET actor = 'x' WHERE seq = (SELECT max(seq) FROM dateline_event)")

    assert [fault for _, fault in shop.verify().faults] == ["the column actor is not what the body says"]
