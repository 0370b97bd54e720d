"""What a function's signature says, and each way in which it can fail to say it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from dateline import Concerns, Delete, Effect, Event, Insert, Plan, Reject, Snapshot, Update, Yields, check, handler
from dateline.core.layer import Function, Role, function_of, role_of
from dateline.core.operation import Operation
from dateline.core.step import Step
from dateline.errors import BadSignature, NotQueried
from tests.core.library import STOCK, Asking, Book, Lend, Loan, Remind, Stock, Wanted

if TYPE_CHECKING:
    from tests.core.library import Nowhere  # type: ignore[attr-defined]  # a name that only type checkers would see

DAY = date(2024, 1, 1)


def read(function: Callable[..., Any]) -> Function:
    role = role_of(function)
    assert role is not None
    return function_of(function, role, DAY)


def test_a_signature_tells_what_is_taken_and_what_is_yielded() -> None:
    @handler
    def lend(
        event: Lend, wanted: Wanted, plan: Plan, asking: Asking
    ) -> Yields[Update[Book] | Insert[Loan] | Delete[Loan] | Remind | Concerns]:
        """A book leaves the house."""
        yield Update(wanted.book, copies=0)

    found = read(lend)

    assert found.parameters == (Lend, Wanted, Plan, Asking)
    assert found.snapshots == (Wanted, Asking)
    assert found.yields == {(Update, Book), (Insert, Loan), (Delete, Loan), Remind, Concerns}
    assert (found.name, found.kind, found.day, found.takes_plan) == ("lend", "lend", "2024-01-01", True)
    assert found.doc == "A book leaves the house."
    assert found.dotted.endswith("test_layer.test_a_signature_tells_what_is_taken_and_what_is_yielded.<locals>.lend")
    assert "test_layer.py" in found.where


@pytest.mark.parametrize("returns", [Iterator[Remind], Iterable[Remind], Yields[Remind]], ids=str)
def test_whatever_can_be_iterated_says_what_is_yielded(returns: Any) -> None:
    def lend(event: Lend) -> Any:
        yield Remind(reader=1)

    lend.__annotations__["return"] = returns

    assert function_of(lend, Role("handler"), DAY).yields == {Remind}


def test_a_marked_function_stays_the_function() -> None:
    def lend(event: Lend, wanted: Wanted) -> Yields[Update[Book]]:
        yield Update(wanted.book, copies=0)

    assert handler(lend) is lend
    assert role_of(lend) == Role("handler")
    assert role_of(check(supersedes=lend)(lend)) == Role("check", lend)
    assert list(lend(Lend(book="moby"), Wanted(book=STOCK))) == [Update(STOCK, copies=0)]


def bad(returns: Any = Yields[Remind], **parameters: Any) -> Callable[..., Any]:
    """Return a function of these annotations."""
    names = ", ".join(parameters)
    namespace: dict[str, Any] = {}
    exec(f"def odd({names}): yield", namespace)
    made: Callable[..., Any] = namespace["odd"]
    made.__annotations__ = {name: taken for name, taken in parameters.items() if taken is not None}
    if returns is not None:
        made.__annotations__["return"] = returns
    return made


class Kindless(Event):
    book: str


class Unread(Snapshot):
    other: Kindless = Asking.__queries__["card"]  # type: ignore[assignment]  # the mistake in question


def default(event: Lend, plan: Plan = Plan()) -> Yields[Remind]:  # noqa: B008 - the mistake in question
    yield Remind(reader=1)


def starred(event: Lend, *plan: Plan) -> Yields[Remind]:
    yield Remind(reader=1)


def only_named(event: Lend, *, plan: Plan) -> Yields[Remind]:
    yield Remind(reader=1)


async def waiting(event: Lend) -> Yields[Remind]:
    raise NotImplementedError


async def streaming(event: Lend) -> AsyncIterator[Remind]:
    yield Remind(reader=1)


def unseen(event: Lend, nowhere: Nowhere) -> Yields[Remind]:
    yield Remind(reader=1)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (bad(), "takes 0 events; a handler takes exactly one"),
        (bad(wanted=Wanted), "takes 0 events"),
        (bad(event=Lend, other=type("Other", (Lend,), {"__module__": __name__})), "takes 2 events"),
        (bad(event=Kindless), 'has no kind; write class Kindless(Event, kind="…")'),
        (bad(event=Lend, one=Wanted, two=Wanted), "takes one type twice"),
        (bad(event=Lend, thing=None), "parameter 'thing' has no type"),
        (bad(event=Lend, thing=int), "only an Event, Snapshots and Plan can be asked for"),
        (bad(event=Lend, thing=Wanted | None), "only an Event, Snapshots and Plan can be asked for"),
        (default, "without a default"),
        (starred, "must be plain"),
        (only_named, "must be plain"),
        (waiting, "a decision waits for nothing"),
        (streaming, "a decision waits for nothing"),
        (unseen, "import what they name at run time too"),
        (bad(None, event=Lend), "does not say what it yields"),
        (bad(Iterator, event=Lend), "does not say what it yields"),
        (bad(list[Remind], event=Lend), "does not say what it yields"),
        (bad(Remind, event=Lend), "does not say what it yields"),
        (
            bad(Yields[int], event=Lend),
            "only Insert[…], Update[…], Delete[…], effects, Concerns, Drop, Replace and Reject",
        ),
        (bad(Yields[Step], event=Lend), "only Insert[…]"),
        (bad(Yields[Effect], event=Lend), "only Insert[…]"),
        (bad(Yields[Any], event=Lend), "only Insert[…]"),
        (bad(Yields[Update], event=Lend), "does not say of which table; write Update[Account]"),  # type: ignore[type-arg]  # the mistake in question
        (bad(Yields[Operation], event=Lend), "does not say of which table"),  # type: ignore[type-arg]  # the mistake in question
        (bad(Yields[Remind | Reject], event=Lend), "only a check may Reject"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_signature_that_leaves_something_open_is_refused_with_file_name_and_mend(
    function: Callable[..., Any], told: str
) -> None:
    with pytest.raises(BadSignature) as refused:
        function_of(function, Role("handler"), DAY)

    assert told in str(refused.value)
    assert function.__name__ in str(refused.value)
    assert f":{function.__code__.co_firstlineno} " in str(refused.value)


@pytest.mark.parametrize("returns", [Yields[Remind], Yields[Reject | Remind], Yields[Update[Book]]], ids=str)
def test_a_check_refuses_and_does_nothing_else(returns: Any) -> None:
    with pytest.raises(BadSignature, match="a check yields Reject only"):
        function_of(bad(returns, event=Lend), Role("check"), DAY)


def test_a_snapshot_that_cannot_be_read_is_refused_with_the_function_that_takes_it() -> None:
    with pytest.raises(NotQueried, match=r"test_layer\.py|<string>"):
        function_of(bad(event=Lend, unread=Unread), Role("handler"), DAY)


def test_a_table_is_part_of_what_is_announced() -> None:
    @handler
    def lend(event: Lend) -> Yields[Update[Book]]:
        yield Update(STOCK, copies=1)

    found = read(lend)

    assert found.declares(Update(STOCK, copies=1))
    assert not found.declares(Insert(Loan, book="moby", reader="7"))
    assert not found.declares(Delete(STOCK))
    assert not found.declares(Remind(reader=7))


def test_a_function_is_not_decorated_again_instead_of_superseded() -> None:
    @handler
    def lend(event: Lend) -> Yields[Remind]:
        yield Remind(reader=1)

    with pytest.raises(BadSignature, match=r"lend: has a decorator already; .* write @handler\(supersedes=lend\)"):
        handler(lend)


def test_operations_are_of_tables_and_not_of_records() -> None:
    with pytest.raises(BadSignature, match=r"announces Update\[Stock\]; .* write Update\[Book\]"):
        function_of(bad(Yields[Update[Stock]], event=Lend), Role("handler"), DAY)
