"""Whether conversions there and back again keep what they must (rule 16), tried on events that are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import NamedTuple

from dateline.core.canon import canonical
from dateline.core.event import Event
from dateline.core.example import examples, without
from dateline.core.shape import Conversion, Shapes
from dateline.errors import HandlerFault, Unrepresentable

__all__ = ["Breach", "breaches"]

TRIED = 80
"""Events of one shape that a law is tried on."""

LONGEST = 200
"""Letters of a value that a breach shows."""


class Breach(NamedTuple):
    """A law that a conversion breaks, or that could not be tried.

    Args:
        conversion: Whose it is.
    """

    conversion: Conversion
    rule: str
    severity: str
    reason: str
    mend: str


def breaches(shapes: Shapes) -> Iterator[Breach]:
    """Yield the first breach of each law by each of a kind's conversions.

    There and back between neighbours, each direction; then over the whole chain, from both of its ends. What one step of the chain may
    lose or rewrite may be anything at its ends, so there the whole way has to be the same only where no step says that it changes
    something, and to change nothing a second time where one does.
    """
    chain = shapes.chain
    ups = [one for one in shapes.ups.values() if one is not None]
    if not ups:
        return
    known = {shape: list(examples(shape)) for shape in chain}
    for older, newer in pairwise(chain):
        up, down = shapes.ups[older], shapes.downs[newer]
        if up is None or down is None:
            # A subclass, whose new fields have defaults: what it carries is carried by us.
            continue
        for shape, one in ((older, up), (newer, down)):
            if not known[shape]:
                told = ", ".join(without(shape)) or "all of them together"
                reason = f"no {shape.__qualname__} could be made up to try it on: no value for {told}"
                yield Breach(one, "untried", "warning", reason, "give the field some: Field(examples=[…])")
        # What comes of a conversion is more telling than what chance makes of a text.
        olds, news = _both(known[older], known[newer], down), _both(known[newer], known[older], up)
        yield from islice(_neighbours(olds, up, down, idempotent=True), 1)
        yield from islice(_neighbours(news, down, up, idempotent=False), 1)
    if len(chain) > 2:
        yield from _whole(shapes, known, ups)


def _both(own: list[Event], others: list[Event], through: Conversion) -> list[Event]:
    """Return events of one shape: those that were made up, and what others become."""
    made: list[Event] = []
    for one in others:
        try:
            made.append(through(one))
        except (Unrepresentable, HandlerFault):
            continue
    some = TRIED // 2
    return [*own[: max(some, TRIED - len(made))], *made[: max(some, TRIED - len(own))]]


def _neighbours(events: Iterable[Event], there: Conversion, back: Conversion, *, idempotent: bool) -> Iterator[Breach]:
    """Yield where events are not the same after there and back.

    Args:
        idempotent: What may come back otherwise must do so once: `there` is an upgrade, and says what it rewrites.
    """
    exempt = frozenset(there.names)
    for event in events:
        try:
            other = there(event)
            again = back(other)
        except Unrepresentable:
            continue
        except HandlerFault as error:
            yield _fails(there, error, event)
            continue
        changed = [name for name in _changed(event, again) if name not in exempt]
        if changed:
            yield _changes(there, event, other, again, changed)
        elif idempotent and again != event:
            try:
                twice = back(there(again))
            except (Unrepresentable, HandlerFault):
                twice = None
            if twice is not None and twice != again:
                yield _unsettled(there, event, again, twice)


def _whole(shapes: Shapes, known: dict[type[Event], list[Event]], ups: list[Conversion]) -> Iterator[Breach]:
    downs = [one for one in shapes.downs.values() if one is not None]
    says = any(one.names for one in (*ups, *downs)) or None in (*shapes.ups.values(), *shapes.downs.values())
    for start, end, blamed in (
        (shapes.chain[0], shapes.chain[-1], ups[0]),
        (shapes.chain[-1], shapes.chain[0], (downs or ups)[-1]),
    ):
        yield from islice(_ends(known[start], partial(_round, shapes, start, end), blamed, says), 1)


def _round(shapes: Shapes, start: type[Event], end: type[Event], event: Event) -> Event:
    return shapes.convert(shapes.convert(event, end), start)


def _ends(events: list[Event], around: Callable[[Event], Event], blamed: Conversion, says: bool) -> Iterator[Breach]:
    for event in events[: TRIED // 4]:
        try:
            again = around(event)
            twice = around(again) if says else again
        except (Unrepresentable, HandlerFault):
            # Of what fails, the neighbours tell.
            continue
        if not says and again != event:
            yield _changes(blamed, event, None, again, _changed(event, again), over="over all shapes and back")
        elif twice != again:
            yield _unsettled(blamed, event, again, twice)


def _changed(event: Event, again: Event) -> list[str]:
    return [name for name in type(event).model_fields if getattr(event, name) != getattr(again, name)]


def _fails(one: Conversion, error: HandlerFault, event: Event) -> Breach:
    cause = error.__cause__
    why = f"{type(cause).__name__}: {str(cause).splitlines()[0]}" if cause is not None and str(cause) else str(error)
    return Breach(
        one,
        "round-trip",
        "error",
        f"fails for {_told(event)}: {why}",
        "convert it, or raise Unrepresentable where the other shape has no word for it",
    )


def _changes(
    one: Conversion, event: Event, other: Event | None, again: Event, changed: list[str], *, over: str = "and back"
) -> Breach:
    way = f" by way of {_told(other)}" if other is not None else ""
    said = "rewrites" if one.way == "up" else "loses"
    return Breach(
        one,
        "round-trip",
        "error",
        f"{_told(event)} {over} is {_told(again)}{way}: another {', '.join(changed)}",
        f"mend one of the two, or say that it is meant: @{one.way}grade({said}={(*one.names, *changed)!r})",
    )


def _unsettled(one: Conversion, event: Event, again: Event, twice: Event) -> Breach:
    return Breach(
        one,
        "round-trip",
        "error",
        f"{_told(event)} and back is {_told(again)}, and once more {_told(twice)}: what is rewritten has to be so once",
        "let the second time change nothing",
    )


def _told(event: Event) -> str:
    text = canonical(event).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
