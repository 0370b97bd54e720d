"""Every type of column, through snapshot, guard, write and image, alike on every database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dateline import Event, Insert, Record, Snapshot, Update, Versions, Yields, given, handler, rows
from dateline.core.canon import canonical
from tests.contract.conftest import Shop
from tests.contract.everything import KINDS, Everything, Kind

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning")


class Put(Event, kind="put"):
    id: str = "a"


def writing(name: str, kind: Kind, *values: Any) -> Versions:
    """Return rules that write a column's values, one after the other, each seen before the next is written."""
    remaining = list(values)
    maybe = kind.annotation if kind.empty is not None else kind.annotation | None
    record = cast(Any, type(Record))(
        "Seen", (Record[Everything],), {"__module__": __name__, "__annotations__": {"id": str, name: maybe}}
    )
    snapshot = cast(Any, type(Snapshot))(
        "Look",
        (Snapshot,),
        {
            "__module__": __name__,
            "__annotations__": {"row": record | None},
            "row": rows(Everything.__table__.c["id"] == given("id")),
        },
    )

    def put(event: Put, look: Any) -> Iterator[Any]:
        if look.row is None:
            yield Insert(Everything, id=event.id, **{name: remaining[0]})
            return
        before = getattr(look.row, name)
        at = remaining.index(before if before != kind.empty else None)
        assert (before, type(before)) == (remaining[at] if remaining[at] is not None else kind.empty, type(before))
        yield Update(look.row, **{name: remaining[at + 1]})

    put.__annotations__ = {"event": Put, "look": snapshot, "return": Yields[Insert[Everything] | Update[Everything]]}
    return Versions.of({"2024-01-01": [handler(put)]})


@pytest.mark.parametrize("name", KINDS)
def test_a_column_keeps_its_value_and_the_trail_writes_it_alike_everywhere(shop: Shop, name: str) -> None:
    kind = KINDS[name]
    if kind.only is not None and not shop.postgres:
        pytest.skip(f"{kind.column!r} is {kind.only}'s")
    made = shop.under(writing(name, kind, kind.one, kind.other, None, kind.one))

    stored = []
    for _ in range(4):
        made.dispatch(Put())
        with Session(shop.engine) as session:
            stored.append(session.execute(select(getattr(Everything, name))).scalar())

    assert stored == [kind.one, kind.other, kind.empty, kind.one]
    images = [operation.after for entry in shop.trail() for operation in entry.operations]
    column = f"{name}_column"
    assert [image and image[column] for image in (images[0], images[2], images[3])] == [
        kind.written,
        None,
        kind.written,
    ]
    befores = [operation.before for entry in shop.trail() for operation in entry.operations]
    assert befores == [None, *images[:-1]]
    assert shop.verify().ok


@pytest.mark.parametrize("name", KINDS)
def test_what_was_seen_is_recorded_in_the_canonical_form_whichever_database_wrote_it(shop: Shop, name: str) -> None:
    kind = KINDS[name]
    if kind.only is not None and not shop.postgres:
        pytest.skip(f"{kind.column!r} is {kind.only}'s")
    made = shop.under(writing(name, kind, kind.one, kind.other, None, kind.one))

    for _ in range(4):
        made.dispatch(Put())

    with shop.engine.connect() as connection:
        bodies = connection.execute(text("SELECT body FROM dateline_event ORDER BY seq")).scalars().all()
    seen = [[], *([{"id": "a", name: value}] for value in (kind.one, kind.other, kind.empty))]
    assert [f'"rows":{canonical(one).decode()}' in body for one, body in zip(seen, bodies, strict=True)] == [True] * 4


def test_a_whole_row_is_written_alike_on_every_database(shop: Shop) -> None:
    common = {name: kind for name, kind in KINDS.items() if kind.only is None}

    @handler
    def put(event: Put) -> Yields[Insert[Everything]]:
        yield Insert(Everything, id="a", **{name: kind.one for name, kind in common.items()})

    shop.under(Versions.of({"2024-01-01": [put]})).dispatch(Put())

    [operation] = shop.entry().operations
    assert operation.after == {
        "id": "a",
        **{f"{name}_column": kind.written if kind.only is None else None for name, kind in KINDS.items()},
    }
    assert list(operation.after) == sorted(operation.after)


@pytest.mark.parametrize("name", KINDS)
def test_a_column_can_be_asked_by(shop: Shop, name: str) -> None:
    kind = KINDS[name]
    if (kind.only is not None and not shop.postgres) or name in ("document", "jsonb"):
        pytest.skip("no such column, or none that can be compared")
    with Session(shop.engine) as session:
        for id, value in (("a", kind.one), ("b", kind.other)):
            row = Everything()
            setattr(row, "id", id)  # noqa: B010 - mypy does not see the columns of a table made beforehand
            setattr(row, name, value)
            session.add(row)
        session.commit()
    found: list[Any] = []
    ask = cast(Any, type(Event))(
        "Ask", (Event,), {"__module__": __name__, "__annotations__": {"wanted": kind.annotation}}, kind="ask"
    )
    record = cast(Any, type(Record))(
        "Seen", (Record[Everything],), {"__module__": __name__, "__annotations__": {"id": str}}
    )
    query = rows(getattr(Everything, name) == given("wanted"))
    look = cast(Any, type(Snapshot))(
        "Look",
        (Snapshot,),
        {"__module__": __name__, "__annotations__": {"rows": tuple.__class_getitem__((record, ...))}, "rows": query},
    )

    def answer(event: Any, look: Any) -> Iterator[Any]:
        found.extend(row.id for row in look.rows)
        yield from ()

    answer.__annotations__ = {"event": ask, "look": look, "return": Yields[Insert[Everything]]}
    made = shop.under(Versions.of({"2024-01-01": [ask, handler(answer)]}))

    made.dispatch(ask(wanted=kind.one))

    assert found == ["a"]
    # The event itself comes back from the trail, typed.
    assert made.entry().event == ask(wanted=kind.one)
