"""Who is known to be fought over takes a turn at once, and not for ever."""

from __future__ import annotations

from dateline.sql.turns import CREDIT, MOST, Turns, places


def test_two_that_want_the_same_two_take_them_in_one_order() -> None:
    assert places("north", ("account:ann", "account:bob")) == places("north", ("account:bob", "account:ann"))
    assert len(places("north", ("account:ann", "account:ann"))) == 1


def test_a_subject_of_another_tenant_is_another() -> None:
    assert not set(places("north", ("account:ann",))) & set(places("south", ("account:ann",)))


def test_a_place_fits_into_the_servers_integers() -> None:
    assert all(0 <= place < 2**63 for place in places("", map(str, range(1000))))


def test_after_one_that_waited_some_take_a_turn_at_once_and_then_one_tries_its_luck() -> None:
    turns = Turns()
    ann = places("", ("account:ann",))
    assert not turns.wanted(ann)

    turns.waited(ann)

    assert [turns.wanted(ann) for _ in range(CREDIT + 1)] == [True] * CREDIT + [False]
    assert not turns.any


def test_others_do_not_wait() -> None:
    turns = Turns()
    turns.waited(places("", ("account:ann",)))

    assert not turns.wanted(places("", ("account:bob",)))


def test_no_more_subjects_are_remembered_than_fit() -> None:
    turns = Turns()
    for number in range(MOST + 10):
        turns.waited(places("", (str(number),)))

    assert sum(turns.wanted(places("", (str(number),))) for number in range(MOST + 10)) == MOST
