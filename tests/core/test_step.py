"""The steps that are no row changes: refusals, subjects, effects; and their names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from dateline import Concerns, Effect, Insert, Personal, Reject, Update
from dateline.core.canon import canonical
from dateline.core.step import Step
from dateline.errors import Unloadable
from tests.core.library import STOCK, Book, Lend, Loan, Print, Reader, Remind, Ticket


@pytest.mark.parametrize(
    ("step", "key"),
    [
        (Reject("too-few", "none left"), "slot/too-few"),
        (Reject("too-few", "none left").keyed("moby"), "slot/too-few[moby]"),
        (Concerns("reader:7"), "slot/concerns[reader:7]"),
        (Remind(reader=7), "slot/remind[7]"),
        (Remind(reader=7).keyed("late"), "slot/remind[late]"),
        (Print(loan=1), "slot/print"),
        (Update(STOCK, copies=2), "slot/Update:book[moby]"),
        (Insert(Book, id="emma", copies=1), "slot/Insert:book[emma]"),
        (Insert(Reader, branch="main", card=7, name="x"), 'slot/Insert:reader[["main",7]]'),
        (Insert(Loan, book="moby", reader="7"), "slot/Insert:loan"),
        (Insert(Loan, book="moby", reader="7").keyed("first"), "slot/Insert:loan[first]"),
    ],
    ids=repr,
)
def test_a_step_is_named_by_slot_type_and_part(step: Step, key: str) -> None:
    assert step.step_key("slot") == key


def test_a_row_whose_id_the_event_made_is_keyed_by_the_name_under_which_it_did() -> None:
    event = Lend(book="moby").stamped(at=datetime(2024, 1, 1, tzinfo=UTC), actor="ann")

    step = Insert(Ticket, id=event.new_id("first"), reader=7)

    assert step.step_key("slot") == "slot/Insert:ticket[first]"
    assert step.row_key == str(event.new_id("first"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Reject("a", "b"), Reject("a", "c")),
        (Reject("a", "b"), Reject("a", "b", field="x")),
        (Reject("a", "b"), Reject("a", "b").keyed("1")),
        (Concerns("a"), Concerns("b")),
        (Remind(reader=7), Remind(reader=8)),
        (Remind(reader=7), Remind(reader=7).keyed("late")),
        (Update(STOCK, copies=2), Update(STOCK, copies=2).keyed("late")),
        (Concerns("a"), Reject("a", "a")),
    ],
    ids=repr,
)
def test_steps_that_say_another_thing_or_under_another_key_differ(one: Step, other: Step) -> None:
    assert one != other


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reject("a", "b", field="c"),
        lambda: Reject("a", "b").keyed("1"),
        lambda: Concerns("a"),
        lambda: Remind(reader=7, text="x"),
        lambda: Remind(reader=7, text="x").keyed("late"),
        lambda: Update(STOCK, copies=2),
    ],
)
def test_steps_that_say_the_same_are_equal(make: Any) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())


def test_keying_a_step_leaves_the_first_as_it_is() -> None:
    step = Remind(reader=7)

    assert (step.keyed("late").step_part(), step.step_part()) == ("late", "7")


def test_a_key_is_no_part_of_what_an_effect_says() -> None:
    assert canonical(Remind(reader=7, text="x").keyed("late")) == b'{"reader":7,"text":"x"}'


def test_an_effect_has_a_kind() -> None:
    with pytest.raises(Unloadable, match=r'class Odd\(Effect, kind="…"\)'):

        class Odd(Effect):
            pass


@pytest.mark.parametrize("place", ["key", "subject"])
def test_an_effect_is_keyed_by_its_own_fields(place: str) -> None:
    with pytest.raises(Unloadable, match="names 'who', which is not a field"):
        cast(Any, type(Effect))("Odd", (Effect,), {"__module__": __name__}, kind="odd", **{place: "{who}"})


def test_an_effects_subclass_keeps_key_and_subject() -> None:
    class Send(Effect, kind="send", key="{who}", subject="person:{who}"):
        who: str
        text: Personal[str]

    class SendTwice(Send, kind="send-twice"):
        pass

    assert (SendTwice.__key__, SendTwice.__subject__, SendTwice.__kind__) == ("{who}", "person:{who}", "send-twice")
