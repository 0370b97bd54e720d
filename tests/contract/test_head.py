"""Tables live at head: an old layer goes on reading and writing columns that were renamed, split and dropped since."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from dateline import (
    Effect,
    Event,
    Insert,
    Malformed,
    Plan,
    Record,
    Snapshot,
    StaleSnapshot,
    Update,
    Versions,
    Yields,
    given,
    handler,
    rows,
)
from tests.contract.conftest import Shop
from tests.contract.shop import Parcel


class Old(Record[Parcel]):
    """As the first layer knew it."""

    id: str
    weight: str
    label: str
    colour: str


class New(Record[Parcel]):
    id: str
    amount: int
    unit: str
    title: str


class Before(Snapshot):
    parcel: Old | None = rows(Parcel.id == given("id"), Parcel.label != "lost")


class Now(Snapshot):
    parcel: New = rows(Parcel.id == given("id"))


class Post(Event, kind="post", subjects=("parcel:{id}",)):
    id: str
    weight: str = "3 kg"


class Tell(Effect, kind="tell"):
    text: str


# What the table lacks, its model lacks too; an old layer is typed by the model of its day.
def old_insert(**columns: Any) -> Insert[Parcel]:
    return cast("Insert[Parcel]", cast("Any", Insert)(Parcel, **columns))


@handler
def write(event: Post, before: Before) -> Yields[Insert[Parcel] | Update[Parcel]]:
    if before.parcel is None:
        yield old_insert(id=event.id, weight=event.weight, label="new", colour="red")
    else:
        yield Update(before.parcel, weight=event.weight, label=f"was {before.parcel.weight}, {before.parcel.colour}")


@handler
def tell(event: Post, before: Before, plan: Plan) -> Yields[Tell]:
    if before.parcel is not None:
        after = plan.after(before.parcel)
        yield Tell(text=f"{after.weight}, {after.label}")


class Weigh(Event, kind="weigh", subjects=("parcel:{id}",)):
    id: str


@handler
def double(event: Weigh, now: Now) -> Yields[Update[Parcel]]:
    yield Update(now.parcel, amount=now.parcel.amount * 2)


VERSIONS = Versions.of({"2018-01-01": [Old, Before, Post, write, tell], "2024-01-01": [New, Now, Weigh, double]})


def test_an_old_layer_writes_columns_that_were_renamed_split_and_dropped(shop: Shop) -> None:
    shop = shop.under(VERSIONS)

    done = shop.dispatch(Post(id="p", weight="3 kg"))

    assert shop.rows("parcel") == [{"id": "p", "amount": 3, "unit": "kg", "title": "new"}]
    [operation] = shop.entry(done).operations
    assert operation.after == {"id": "p", "amount": 3, "unit": "kg", "title": "new"}


def test_it_reads_them_and_sees_what_later_steps_make_of_them(shop: Shop) -> None:
    shop = shop.under(VERSIONS)
    shop.put(Parcel(id="p", amount=3, unit="kg", title="mine"))

    done = shop.dispatch(Post(id="p", weight="500 g"))

    assert shop.rows("parcel") == [{"id": "p", "amount": 500, "unit": "g", "title": "was 3 kg, brown"}]
    assert [one.payload for one in shop.entry(done).effects] == [{"text": "500 g, was 3 kg, brown"}]
    [[body]] = shop.execute("SELECT body FROM dateline_event")
    [seen] = json.loads(body)["snapshot"].values()
    assert seen["rows"] == [{"colour": "brown", "id": "p", "label": "mine", "weight": "3 kg"}]
    assert shop.verify().ok


def test_both_layers_keep_one_row(shop: Shop) -> None:
    shop = shop.under(VERSIONS)

    shop.dispatch(Post(id="p", weight="3 kg"))
    shop.dispatch(Weigh(id="p"))
    shop.dispatch(Post(id="p", weight="1 kg"))

    assert shop.rows("parcel") == [{"id": "p", "amount": 1, "unit": "kg", "title": "was 6 kg, brown"}]


def test_what_was_seen_of_an_old_column_is_guarded_and_compared(shop: Shop) -> None:
    shop = shop.under(VERSIONS)
    shop.put(Parcel(id="p", amount=3, unit="kg", title="mine"))
    preview = shop.preview(Post(id="p", weight="1 kg"))
    shop.execute("UPDATE parcel SET amount = 4")

    refused = shop.refused(StaleSnapshot, Post(id="p", weight="1 kg"), expects=preview)

    assert [(one.row, one.fields) for one in refused.differences] == [("parcel/p", ("weight",))]


def test_a_row_that_has_no_such_old_value_is_named_without_what_it_holds(shop: Shop) -> None:
    shop = shop.under(VERSIONS)
    shop.put(Parcel(id="p", amount=3, unit="secret", title="mine"))

    with pytest.raises(Malformed, match=r"weight raised ValueError over a row of parcel") as told:
        shop.dispatch(Post(id="p"))

    assert "secret" not in str(told.value)
