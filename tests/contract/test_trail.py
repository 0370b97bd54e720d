"""Reading the trail: every filter, page by page in both directions, each tenant for itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dateline import Actor, Event, Malformed, Versions
from dateline.errors import Refused, Rejected, TrailFault
from tests.contract.conftest import NOON, Shop
from tests.contract.shop import Customer, Idea, Product, Sell, Stocktake

CLERK = Actor("clerk", rights=frozenset({"count", "backdate"}))
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
SOON = timedelta(milliseconds=1)


def scene(shop: Shop) -> dict[str, UUID]:
    """Let a day go by and return its events by name."""
    shop.put(Product("tea", 9), Product("salt", 9), Customer("ann", "Ann Lee"))
    made = {"idea": shop.dispatch(Idea(text="open"), "owner").event_id}
    made["tea"] = shop.dispatch(Sell(product="tea", customer="bob")).event_id
    shop.now += timedelta(hours=1)
    made["salt"] = shop.dispatch(Sell(product="salt"), cause=made["idea"]).event_id
    made["old"] = shop.dispatch(
        Sell(product="tea", customer="bob"), CLERK, at=MARCH, version="as-of-occurred", reason="found"
    ).event_id
    for name, event in (("none", Sell(product="none")), ("much", Sell(product="tea", quantity=99))):
        with pytest.raises(Refused) as refused:
            shop.dispatch(event)
        made[name] = UUID(refused.value.event_id)
    shop.now += timedelta(hours=1)
    made["count"] = shop.dispatch(Stocktake(counted=5), CLERK).event_id
    made["north"] = shop.dispatch(Sell(product="tea", customer="bob"), tenant="north").event_id
    return made


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["idea", "tea", "salt", "old", "none", "much", "count"]),
    ({"subject": "product:tea"}, ["tea", "old", "much"]),
    ({"subject": "product:none"}, ["none"]),
    ({"subject": "customer:ann"}, ["salt"]),
    ({"subject": "product:te"}, []),
    ({"table": "product"}, ["tea", "salt", "old", "count"]),
    ({"table": "product", "row": "tea"}, ["tea", "old", "count"]),
    ({"table": "product", "row": "salt"}, ["salt", "count"]),
    ({"table": "purchase", "row": "2"}, ["salt"]),
    ({"table": "customer", "row": "ann"}, ["salt"]),
    ({"table": "nowhere"}, []),
    ({"kind": "sell"}, ["tea", "salt", "old", "none", "much"]),
    ({"kind": "sell", "outcome": "committed"}, ["tea", "salt", "old"]),
    ({"actor": "owner"}, ["idea"]),
    ({"actor": "clerk"}, ["old", "count"]),
    ({"version": date(2024, 1, 1)}, ["old"]),
    ({"version": date(2024, 6, 1), "kind": "sell"}, ["tea", "salt", "none", "much"]),
    ({"outcome": "rejected"}, ["much"]),
    ({"outcome": "not-found"}, ["none"]),
    ({"since": NOON + timedelta(hours=1)}, ["salt", "none", "much", "count"]),
    ({"since": NOON + timedelta(hours=1, microseconds=1)}, ["count"]),
    ({"until": NOON + timedelta(hours=1)}, ["idea", "tea", "old"]),
    ({"until": NOON}, ["old"]),
    ({"since": MARCH, "until": NOON + timedelta(microseconds=1)}, ["idea", "tea", "old"]),
    ({"cause": "idea"}, ["salt"]),
    ({"tenant": "north"}, ["north"]),
    ({"tenant": "north", "subject": "product:tea"}, ["north"]),
    ({"tenant": "north", "table": "product", "row": "salt"}, []),
    ({"tenant": "north", "subject": "customer:ann"}, []),
    ({"tenant": "nobody"}, []),
    ({"newest_first": True, "kind": "sell"}, ["much", "none", "old", "salt", "tea"]),
]


def test_each_filter_gives_what_it_says(shop: Shop) -> None:
    made = scene(shop)

    for asked, expected in FILTERS:
        named = asked | ({"cause": made[asked["cause"]]} if "cause" in asked else {})
        page = shop.trail(**named)

        assert ([entry.id for entry in page], page.next) == ([made[name] for name in expected], None), asked
        assert len(page) == len(expected)


@pytest.mark.parametrize("newest_first", [False, True], ids=["forwards", "backwards"])
def test_pages_follow_each_other_without_gap_or_repetition(shop: Shop, newest_first: bool) -> None:
    numbers = [shop.dispatch(Idea(text=str(number))).seq for number in range(7)]
    shop.dispatch(Idea(text="another tenant's"), tenant="north")
    if newest_first:
        numbers.reverse()

    for limit in (1, 2, 3, 7, 8):
        seen: list[int] = []
        pages: list[int] = []
        after: int | None = None
        while not pages or after is not None:
            page = shop.trail(limit=limit, after=after, newest_first=newest_first)
            seen += [entry.seq for entry in page]
            pages.append(len(page))
            after = page.next

        assert seen == numbers
        assert pages == [limit] * (7 // limit) + [7 % limit] * bool(7 % limit)


def test_a_page_keeps_to_its_filter(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    for number in range(3):
        shop.dispatch(Idea(text=str(number)))
        shop.dispatch(Sell(product="tea"))

    first = shop.trail(kind="sell", limit=2)
    second = shop.trail(kind="sell", limit=2, after=first.next)

    assert [entry.kind for entry in (*first, *second)] == ["sell"] * 3
    assert second.next is None


def test_what_comes_meanwhile_stands_on_a_later_page(shop: Shop) -> None:
    for number in range(3):
        shop.dispatch(Idea(text=str(number)))
    page = shop.trail(limit=2)
    shop.dispatch(Idea(text="3"))

    assert [entry.input["text"] for entry in shop.trail(after=page.next)] == ["2", "3"]


def test_a_cursor_beyond_the_end_gives_an_empty_page(shop: Shop) -> None:
    shop.dispatch(Idea(text="x"))

    assert len(shop.trail(after=10**12)) == 0
    assert len(shop.trail(after=0, newest_first=True)) == 0


@pytest.mark.parametrize("newest_first", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("asked", [{"subject": "product:tea"}, {"table": "product", "row": "tea"}], ids=str)
def test_a_timeline_and_a_history_are_read_page_by_page_in_both_directions(
    shop: Shop, asked: dict[str, Any], newest_first: bool
) -> None:
    shop.put(Product("tea", 99), Product("salt", 99))
    numbers = [shop.dispatch(Sell(product="tea")).seq for _ in range(5)]
    shop.dispatch(Sell(product="salt"))
    shop.dispatch(Sell(product="tea"), tenant="north")
    expected = numbers[::-1] if newest_first else numbers
    # An event that wrote a row twice is still one event; and one whose own row is gone hides none behind it.
    columns = "tenant, seq, step, verb, table_name, row_key, declared, handler, date"
    shop.execute(
        f"INSERT INTO dateline_operation ({columns}, ordinal) SELECT {columns}, 9 FROM dateline_operation "
        f"WHERE table_name = 'product' AND seq = {numbers[1]}"
    )
    shop.execute(f"DELETE FROM dateline_event WHERE seq = {numbers[3]}")

    seen: list[list[int]] = []
    after: int | None = None
    while not seen or after is not None:
        page = shop.trail(**asked, limit=2, after=after, newest_first=newest_first)
        seen.append([entry.seq for entry in page])
        after = page.next

    assert seen == [[seq for seq in expected[at : at + 2] if seq != numbers[3]] for at in (0, 2, 4)]


def test_narrower_filters_stand_beside_a_subject_and_a_row(shop: Shop) -> None:
    made = scene(shop)

    for asked, expected in BESIDE:
        page = shop.trail(**asked)

        assert [entry.id for entry in page] == [made[name] for name in expected], asked


BESIDE: list[tuple[dict[str, Any], list[str]]] = [
    ({"subject": "product:tea", "outcome": "committed"}, ["tea", "old"]),
    ({"subject": "product:tea", "kind": "sell", "newest_first": True}, ["much", "old", "tea"]),
    ({"subject": "product:tea", "table": "product", "row": "tea"}, ["tea", "old"]),
    ({"subject": "product:tea", "table": "purchase"}, ["tea", "old"]),
    ({"subject": "product:salt", "table": "product", "row": "tea"}, []),
    ({"table": "product", "row": "tea", "actor": "clerk"}, ["old", "count"]),
    ({"table": "product", "row": "tea", "until": NOON}, ["old"]),
    ({"table": "product", "kind": "stocktake"}, ["count"]),
    ({"table": "product", "row": "tea", "actor": "clerk", "tenant": "north"}, []),
]


def test_entries_are_read_to_the_end_after_their_runner_was_closed(shop: Shop) -> None:
    scene(shop)
    expected = list(shop.trail())
    # Every part of each is read here, and of the others below; a set's own text has no order to be compared by.
    assert all(repr(entry) for entry in expected)
    other = shop.under(shop.versions)
    page = other.trail()
    again = other.trail()

    other.closing.close()

    assert all(repr(entry) for entry in page)
    assert list(page) == expected
    assert page == again == shop.trail()


SPOILT: list[tuple[str, str, str]] = [
    ("event", "body = 'x'", "input"),
    ("event", """body = '{"meta": {}}'""", "meta"),
    ("event", """body = replace(body, '"decision":', '"precision":')""", "decision"),
    ("event", "subjects = '7'", "subjects"),
    ("operation", "declared = '[]'", "operations"),
    ("operation", "before = ''", "operations"),
    ("operation", "after = '7'", "operations"),
    ("operation", "merged = '[1]'", "operations"),
    ("effect", "payload = '[]'", "effects"),
    ("personal", "value = '{'", "personal"),
]


@pytest.mark.parametrize(("table", "change", "part"), SPOILT, ids=[f"{table}, {change}" for table, change, _ in SPOILT])
def test_a_part_that_cannot_be_read_is_refused_by_the_events_number_when_it_is_asked_for_and_verify_names_it(
    shop: Shop, table: str, change: str, part: str
) -> None:
    shop.put(Product("tea", 9), Customer("ann", "Ann Lee"))
    whole = shop.dispatch(Sell(product="tea"))
    spoilt = shop.dispatch(Sell(product="tea")).seq
    shop.execute(f"UPDATE dateline_{table} SET {change} WHERE seq = {spoilt}")

    good, bad = shop.trail()

    assert [good.id, bad.seq, bad.kind, bad.outcome] == [whole.event_id, spoilt, "sell", "committed"]
    assert {effect.id for effect in good.effects} == {effect.id for effect in whole.effects}
    for look in (lambda: getattr(bad, part), lambda: repr(bad)):
        with pytest.raises(TrailFault, match=f"event {spoilt} cannot be read: its record was changed"):
            look()
    assert {seq for seq, _ in shop.verify().faults} == {spoilt}


def test_a_refusal_that_cannot_be_read_is_a_fault_of_the_trail(shop: Shop) -> None:
    shop.put(Product("tea", 1))
    shop.refused(Rejected, Sell(product="tea", quantity=9), key="k1")
    shop.execute("""UPDATE dateline_event SET body = replace(body, '"rejections":', '"objections":')""")

    with pytest.raises(TrailFault, match="event 1 cannot be read"):
        _ = shop.entry().refusal
    with pytest.raises(TrailFault, match="event 1 cannot be read"):
        shop.dispatch(Sell(product="tea", quantity=9), key="k1")


UNASKABLE: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit=0: a page holds 1 to 10000 entries"),
    ({"limit": -1}, "limit=-1"),
    ({"limit": 10**9}, "limit=1000000000"),
    ({"limit": True}, "limit= is a number; not bool"),
    ({"limit": "7"}, "limit= is a number; not str"),
    ({"row": "tea"}, "row= is a key within a table; pass table= too"),
    ({"table": "product", "row": 7}, "row= is a row's key as text, such as 'ann' or '7'; not int"),
    ({"since": NOON.replace(tzinfo=None)}, r"since=.* is naive; an instant has a time zone"),
    ({"until": NOON.replace(tzinfo=None)}, r"until=.* is naive; an instant has a time zone"),
    ({"since": "2024-07-01"}, "since= is an instant with a time zone, or a date; not str"),
    ({"until": 20240701}, "until= is an instant with a time zone, or a date; not int"),
    ({"version": "v2024_01_01"}, "version='v2024_01_01' is no date; write one such as 2018-08-01"),
    ({"version": 20240101}, "version= is a date such as 2018-08-01; not int"),
    ({"version": NOON}, "version= is a calendar date, not an instant"),
    ({"outcome": "refused"}, "outcome='refused' is none; there are committed, rejected, not-found, "),
    ({"actor": Actor("till")}, "actor= is an actor's id, a text; not Actor"),
    ({"kind": Idea}, "kind= is a kind of event, a text; not ModelMeta"),
    ({"cause": "0190"}, "cause= is an event's id, a UUID; not str"),
    ({"tenant": None}, "tenant= is a text; not NoneType"),
    ({"after": "1"}, "after= is the number in `next` of the page before; not str"),
    ({"newest_first": "yes"}, "newest_first= is True or False; not str"),
]


def test_what_cannot_be_asked_is_told(shop: Shop) -> None:
    for asked, told in UNASKABLE:
        with pytest.raises(Malformed, match=told):
            shop.trail(**asked)


def test_a_filter_that_there_is_not_is_refused_and_not_left_unread(shop: Shop) -> None:
    ask: Any = shop.trail

    with pytest.raises(TypeError, match=r"trail\(\) takes no subjekt=; did you mean subject=\?"):
        ask(subjekt="product:tea")
    with pytest.raises(TypeError, match=r"trail\(\) takes no who=; it takes tenant, subject, table"):
        ask(who="ann")


def test_a_date_is_its_midnight_in_utc_and_a_version_may_be_a_text(shop: Shop) -> None:
    days = [NOON.replace(hour=0), NOON, NOON.replace(hour=0) + timedelta(days=1)]
    for shop.now in days:
        shop.dispatch(Idea(text="x"))
    today = date(2024, 7, 1)

    assert [entry.occurred_at for entry in shop.trail(since=today, until=today + timedelta(days=1))] == days[:2]
    assert [entry.occurred_at for entry in shop.trail(since=today + timedelta(days=1))] == days[2:]
    assert len(shop.trail(version="2024-06-01")) == len(shop.trail(version=date(2024, 6, 1))) == 3
    assert len(shop.trail(version="2024-01-01")) == 0


def test_a_page_is_a_sequence_of_entries(shop: Shop) -> None:
    done = [shop.dispatch(Idea(text=str(number))) for number in range(2)]

    page = shop.trail()

    assert (len(page), page[1].id, [entry.id for entry in page]) == (
        2,
        done[1].event_id,
        [one.event_id for one in done],
    )


def test_tenants_are_closed_off_from_each_other(shop: Shop) -> None:
    shop.put(Product("tea", 9), Customer("ann", "Ann Lee"))
    north = shop.dispatch(Sell(product="tea"), tenant="north", key="k1")
    south = shop.dispatch(Sell(product="tea"), tenant="south", key="k1")
    cause = shop.dispatch(Idea(text="x"), tenant="south", cause=north.event_id)

    assert [entry.id for entry in shop.trail(tenant="north")] == [north.event_id]
    assert [entry.id for entry in shop.trail(tenant="south")] == [south.event_id, cause.event_id]
    assert [entry.tenant for entry in shop.trail(tenant="north")] == ["north"]
    assert len(shop.trail()) == 0
    # A key and an id are each tenant's own.
    assert shop.outcome("k1", tenant="north", patience=SOON).id == north.event_id  # type: ignore[union-attr]  # it is there, or the test fails
    assert shop.outcome("k1", tenant="south", patience=SOON).id == south.event_id  # type: ignore[union-attr]  # it is there, or the test fails
    assert shop.outcome(north.event_id, tenant="south", patience=SOON) is None
    # A cause of another tenant's is no line to be followed into it.
    assert shop.entry(cause, tenant="south").meta.root == north.event_id
    [entry] = shop.trail(tenant="south", kind="sell")
    assert entry.operations[0].after == {"id": "tea", "stock": 7, "price": "1.00", "note": None}
    assert {effect.id for effect in entry.effects} == {effect.id for effect in south.effects}


def test_a_preview_belongs_to_its_tenant(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    preview = shop.preview(Sell(product="tea"), tenant="north")

    with pytest.raises(Malformed, match="another event"):
        shop.dispatch(Sell(product="tea"), expects=preview, tenant="south")

    assert [len(shop.trail(tenant=tenant)) for tenant in ("north", "south")] == [0, 0]
    shop.dispatch(Sell(product="tea"), expects=preview, tenant="north")
    assert [entry.id for entry in shop.trail(tenant="north")] == [preview.event_id]


def test_an_entry_whose_shape_is_unknown_is_read_untyped(shop: Shop) -> None:
    shop.put(Product("tea", 9))
    shop.dispatch(Sell(product="tea"))

    entry = shop.under(Versions.of({"1970-01-01": []})).entry()

    assert (entry.event, entry.kind, entry.input["product"]) == (None, "sell", "tea")


def test_an_entry_that_its_shape_cannot_read_any_more_is_read_untyped(shop: Shop) -> None:
    class Sell(Event, kind="sell"):
        product: int

    shop.put(Product("tea", 9))
    shop.dispatch(SELL)

    assert shop.under(Versions.of({"2024-01-01": [Sell]})).entry().event is None


SELL = Sell(product="tea")
