"""What a reader without the right to personal values sees of an entry."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from dateline.core.entry import Entry, Written
from dateline.core.mask import masked
from dateline.core.meta import Actor, Meta
from dateline.core.outcome import Performed
from dateline.core.personal import MASK
from tests.core.library import Lend

AT = datetime(2024, 7, 1, tzinfo=UTC)


def entry(personal: frozenset[str], **fields: Any) -> Entry:
    meta = Meta(id=UUID(int=1), at=AT, actor=Actor("ann"))
    base: dict[str, Any] = {
        "seq": 1,
        "position": 1,
        "id": meta.id,
        "tenant": "",
        "kind": "lend",
        "version": date(2024, 1, 1),
        "shape": date(2024, 1, 1),
        "cascade": "",
        "actor": meta.actor,
        "reason": None,
        "occurred_at": AT,
        "recorded_at": AT,
        "outcome": "committed",
        "meta": meta,
        "event": Lend(book="moby"),
        "input": {},
        "snapshot": {},
        "decision": {"outcome": "committed"},
        "operations": (),
        "effects": (),
        "subjects": (),
    }
    return Entry(personal=personal, **(base | fields))


def written(**images: Any) -> Written:
    named: dict[str, Any] = {"declared": {}, "before": None, "after": None} | images
    return Written(ordinal=0, step="s", verb="update", table="reader", row_key="7", handler="h", date="d", **named)


def test_an_entry_without_personal_values_is_shown_as_it_is() -> None:
    plain = entry(frozenset(), input={"book": "moby"})

    assert masked(plain) is plain


def test_every_personal_place_is_masked_and_nothing_else() -> None:
    effect = Performed(
        id=UUID(int=2), ordinal=1, step="s", kind="k", payload={"to": "7", "text": "Dear Ann"}, handler="h", date="d"
    )
    found = masked(
        entry(
            frozenset(
                {
                    "/input/name",
                    "/input/people/1/name",
                    "/snapshot/x.Asking.card/rows/0/name",
                    "/operations/0/before/name",
                    "/operations/0/after/name",
                    "/effects/1/text",
                }
            ),
            input={"name": "Ann", "card": 7, "people": [{"name": "shown"}, {"name": "Bob"}]},
            snapshot={"x.Asking.card": {"query": "q", "given": {}, "rows": [{"card": 7, "name": "Ann"}]}},
            operations=(
                written(declared={"name": "Ann", "card": 7}, before={"name": "Amy"}, after={"name": "Ann", "card": 7}),
            ),
            effects=(effect,),
        )
    )

    assert found.event is None
    assert found.input == {"name": MASK, "card": 7, "people": [{"name": "shown"}, {"name": MASK}]}
    assert found.snapshot == {"x.Asking.card": {"query": "q", "given": {}, "rows": [{"card": 7, "name": MASK}]}}
    assert found.operations == (
        written(declared={"name": MASK, "card": 7}, before={"name": MASK}, after={"name": MASK, "card": 7}),
    )
    assert found.effects[0].payload == {"to": "7", "text": MASK}


def test_images_that_are_not_there_stay_so() -> None:
    found = masked(entry(frozenset({"/operations/0/after/name"}), operations=(written(after={"name": "Ann"}),)))

    assert (found.operations[0].before, found.operations[0].after) == (None, {"name": MASK})
