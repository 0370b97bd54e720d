"""Who looked at whom is on record, and can be asked for by either."""

from __future__ import annotations

from typing import Any

import pytest

from dateline import Access, Actor, Look, Malformed, Reason
from tests.contract.conftest import Shop
from tests.contract.shop import Customer, Enrol

NURSE = Actor("nina", role="nurse", on_behalf_of="dr-7", authenticated_by="card")
CLERK = Actor("carl", kind="system")


def look(shop: Shop, *looks: Look) -> int:
    return int(shop.colour.wait(shop.colour.runner.look(*looks)))


def accesses(shop: Shop, **asked: Any) -> tuple[Access, ...]:
    found: tuple[Access, ...] = shop.colour.wait(shop.colour.runner.accesses(**asked))
    return found


def told(found: tuple[Access, ...]) -> list[tuple[str, str, str]]:
    return [(one.actor.id, one.subject, one.view) for one in found]


def test_a_look_is_a_row_for_each_of_its_subjects_with_who_and_why(shop: Shop) -> None:
    reason = Reason("called in", purpose="TREAT")
    taken = Look(
        actor=NURSE,
        door="ward",
        view="timeline",
        subjects=("patient:1", "bed:7", "patient:1"),
        unmasked=True,
        reason=reason,
    )

    assert look(shop, taken) == 2

    found = accesses(shop, subject="patient:1")
    assert found == (
        Access(
            number=found[0].number,
            at=found[0].at,
            tenant="",
            subject="patient:1",
            actor=NURSE,
            door="ward",
            view="timeline",
            event=None,
            unmasked=True,
            outcome="shown",
            reason=reason,
        ),
    )
    assert told(accesses(shop, actor="nina")) == [("nina", "bed:7", "timeline"), ("nina", "patient:1", "timeline")]
    assert found[0].document()["actor"] == {
        "id": "nina",
        "kind": "person",
        "role": "nurse",
        "on_behalf_of": "dr-7",
        "authenticated_by": "card",
    }


def test_a_look_at_an_event_is_one_at_all_whom_it_is_about(shop: Shop) -> None:
    shop.put(Customer("ann", "Ann Lee"))
    done = shop.dispatch(Enrol(id="bob", name="Bob"))
    subjects = shop.entry(done).subjects
    assert subjects

    assert look(shop, Look(actor=CLERK, door="http", view="event", event=done.event_id)) == len(subjects)
    assert look(shop, Look(actor=CLERK, door="http", view="event", event=done.event_id, tenant="north")) == 0

    found = accesses(shop)
    assert {(one.subject, one.event) for one in found} == {(subject, done.event_id) for subject in subjects}


def test_what_is_about_nobody_leaves_no_row(shop: Shop) -> None:
    assert look(shop, Look(actor=CLERK, door="http", view="kinds")) == 0
    assert accesses(shop) == ()


def test_the_list_is_paged_from_either_end_and_kept_apart_by_tenant(shop: Shop) -> None:
    looks = [Look(actor=CLERK, door="http", view=str(n), subjects=("patient:1",)) for n in range(5)]
    assert look(shop, *looks, Look(actor=CLERK, door="http", view="x", subjects=("patient:1",), tenant="north")) == 6

    first = accesses(shop, subject="patient:1", limit=2)
    then = accesses(shop, subject="patient:1", limit=9, after=first[-1].number)
    newest = accesses(shop, subject="patient:1", limit=2, newest_first=True)
    before = accesses(shop, subject="patient:1", limit=1, newest_first=True, after=newest[-1].number)

    assert [[one.view for one in page] for page in (first, then, newest, before)] == [
        ["0", "1"],
        ["2", "3", "4"],
        ["4", "3"],
        ["2"],
    ]
    assert [one.view for one in accesses(shop, tenant="north")] == ["x"]


@pytest.mark.parametrize("subject", ["x" * 3000, "nul\0nul", "'; DROP TABLE dateline_access; --", "\u202eevil"])
def test_whoever_asks_for_what_can_be_nobodys_name_has_looked_even_so(shop: Shop, subject: str) -> None:
    assert look(shop, Look(actor=CLERK, door="http", view="timeline", subjects=(subject,))) == 1
    assert [one.subject for one in accesses(shop, actor="carl")] == [subject[:400].replace("\0", "\ufffd")]


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_limit_that_is_none_is_refused(shop: Shop, limit: int) -> None:
    with pytest.raises(Malformed, match="from 1 to 10000"):
        accesses(shop, limit=limit)


def test_a_filter_that_is_misspelt_is_refused(shop: Shop) -> None:
    with pytest.raises(TypeError, match="did you mean subject="):
        accesses(shop, subjct="patient:1")
