"""The difference between two decisions about one event: what is new, gone or changed, side by side with who decided it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from dateline.core.canon import canonical
from dateline.core.decision import OPEN, Decided, Decision, alike
from dateline.core.personal import MASK
from dateline.core.version import Versions

__all__ = ["Cell", "Diff", "Item", "changes_of"]


class Cell(NamedTuple):
    """One column or field as both sides have it; None also where a side does not name it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One difference.

    Args:
        key: What names it; as long as the two decisions stay, so does it.
        change: "new", "gone" or "changed"; "rekeyed" is the same thing under another key, and no difference.
        before: The first decision's steps about it: one, but of a row that is deleted and inserted again.
        after: The second's.
    """

    key: str
    change: str
    before: tuple[Decided, ...]
    after: tuple[Decided, ...]

    @property
    def shown(self) -> Decided:
        """The step that tells what it is about."""
        return (self.after or self.before)[-1]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The columns or fields that differ, by name; all of what is new or gone."""
        before, after = _values(self.before), _values(self.after)
        made = (Cell(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
        return tuple(one for one in made if not self.before or not self.after or one.before != one.after)

    @property
    def swapped(self) -> Item:
        """The same, seen from the other side."""
        change = {"new": "gone", "gone": "new"}.get(self.change, self.change)
        return Item(key=self.key, change=change, before=self.after, after=self.before)


def _values(steps: Iterable[Decided]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for one in steps:
        made |= {name: "(assigned at commit)" if value is OPEN else value for name, value in one.values.items()}
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What tells two decisions about one event apart. False where nothing does.

    Args:
        event_id: The event; `seq`, `kind` and `occurred_at` are its. None of an event that was never recorded.
        before: The first decision, and `after` the second.
        items: The differences, by key.
        rekeyed: What both decided, under different keys: superseding does not send twice.
        asked: What of the input was changed for the second decision.
        baseline: How many corrections of the event the first decision holds; None where it is not what stands today.
        about: Whom the event is about as it was decided secondly: with other input, perhaps somebody else.
    """

    event_id: UUID | None
    seq: int | None
    kind: str
    before: Decision
    after: Decision
    items: tuple[Item, ...]
    rekeyed: tuple[Item, ...] = ()
    asked: Mapping[str, Any] | None = None
    baseline: int | None = None
    about: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.items) or self.before.outcome != self.after.outcome

    @classmethod
    def of(
        cls,
        before: Decision,
        after: Decision,
        *,
        kind: str,
        event_id: UUID | None = None,
        seq: int | None = None,
        asked: Mapping[str, Any] | None = None,
        baseline: int | None = None,
        about: tuple[str, ...] = (),
        settled: bool = False,
    ) -> Diff:
        """Compare two decisions.

        Args:
            settled: Of the second it is known which rows of the first stand, so what it waits for is new.
        """
        items, rekeyed = changes_of(before, after, settled=settled)
        return cls(
            event_id=event_id,
            seq=seq,
            kind=kind,
            before=before,
            after=after,
            items=items,
            rekeyed=rekeyed,
            asked=asked,
            baseline=baseline,
            about=about,
        )

    @property
    def swapped(self) -> Diff:
        """The difference in the other direction."""
        return Diff(
            event_id=self.event_id,
            seq=self.seq,
            kind=self.kind,
            before=self.after,
            after=self.before,
            items=tuple(one.swapped for one in self.items),
            rekeyed=tuple(one.swapped for one in self.rekeyed),
            about=self.about,
        )

    def document(self, versions: Versions | None = None, *, unmask: bool = False) -> dict[str, Any]:
        """Return the difference as JSON's types, with keys that stay.

        Args:
            versions: Tell what each handler's docstring says.
            unmask: Show personal values.
        """
        docs = {} if versions is None else {(one.dotted, one.day): one.doc for one in versions.functions}
        return {
            "event": None if self.event_id is None else str(self.event_id),
            "seq": self.seq,
            "kind": self.kind,
            "asked": None if self.asked is None else dict(self.asked) if unmask else dict.fromkeys(self.asked, MASK),
            "before": _side(self.before),
            "after": _side(self.after),
            "same": not self,
            "baseline": self.baseline,
            "items": [_told(one, docs, unmask) for one in self.items],
            "rekeyed": [_told(one, docs, unmask) for one in self.rekeyed],
        }


def _side(decision: Decision) -> dict[str, Any]:
    return {
        "version": decision.version and decision.version.isoformat(),
        "outcome": decision.outcome,
        "reconstructed": list(decision.reconstructed),
        **({"detail": decision.detail} if decision.detail else {}),
    }


def _told(item: Item, docs: Mapping[tuple[str, str], str], unmask: bool) -> dict[str, Any]:
    shown = item.shown
    personal = frozenset().union(*(one.personal for one in (*item.before, *item.after)))

    def value(name: str, found: Any) -> Any:
        return MASK if name in personal and found is not None and not unmask else found

    return {
        "key": item.key,
        "change": item.change,
        "sort": shown.sort,
        "of": shown.of,
        "row": None if shown.row is OPEN else shown.row,
        "cells": [
            {"name": one.name, "before": value(one.name, one.before), "after": value(one.name, one.after)}
            for one in item.cells
        ],
        "before": [_decider(one, docs) for one in item.before],
        "after": [_decider(one, docs) for one in item.after],
    }


def _decider(one: Decided, docs: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    made = {"key": one.key, "verb": one.sort, "handler": one.handler, "date": one.date}
    return {**made, "doc": docs.get((one.handler, one.date), "").split("\n\n")[0]}


def changes_of(
    before: Decision, after: Decision, *, settled: bool = False
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return what differs, by key, and what merely has other keys.

    Steps are compared by key, rows by what is left of them as well, rejections by their codes; who decided is no difference (rules 12, 29).
    """
    # A row that the database gave its key is known by that in the record, and in a plan made anew by its step.
    unnumbered = {one.key for one in (*before.steps, *after.steps) if one.row is OPEN}
    old, new = _grouped(before, unnumbered), _grouped(after, unnumbered)
    items: list[Item] = []
    rekeyed: list[Item] = []
    left: list[tuple[str, ...]] = []
    for place in old.keys() | new.keys():
        one, other = old.get(place, ()), new.get(place, ())
        if one and other:
            key = other[-1].key
            if len(one) == len(other) and all(
                (alike(a, b) or alike(b, a)) and not (settled and _anew(a, b)) for a, b in zip(one, other, strict=True)
            ):
                if {a.key for a in one} != {b.key for b in other} and place[0] != "rejection":
                    rekeyed.append(Item(key=key, change="rekeyed", before=one, after=other))
            elif place[0] != "rejection":
                items += _changed(place, one, other)
        else:
            left.append(place)
    for kind, payload in dict.fromkeys(_content(old, new, place) for place in left if place[0] == "effect"):
        # The same effect under another key: sending it again because a function was renamed would be sending it twice.
        gone = [p for p in left if p in old and p[0] == "effect" and _content(old, new, p) == (kind, payload)]
        come = [p for p in left if p in new and p[0] == "effect" and _content(old, new, p) == (kind, payload)]
        for was, now in zip(sorted(gone), sorted(come), strict=False):
            rekeyed.append(Item(key=new[now][-1].key, change="rekeyed", before=old[was], after=new[now]))
            left.remove(was)
            left.remove(now)
    for place in left:
        if place in old:
            items.append(Item(key=old[place][-1].key, change="gone", before=old[place], after=()))
        else:
            items.append(Item(key=new[place][-1].key, change="new", before=(), after=new[place]))
    return tuple(sorted(items, key=_key)), tuple(sorted(rekeyed, key=_key))


def _anew(before: Decided, after: Decided) -> bool:
    """Tell whether a step waits for a value that is known of the step before it: then that is another row's."""
    return any(value is OPEN and before.values.get(name, OPEN) is not OPEN for name, value in after.values.items())


def _key(item: Item) -> tuple[str, str]:
    return item.key, item.change


def _changed(place: tuple[str, ...], one: tuple[Decided, ...], other: tuple[Decided, ...]) -> Iterator[Item]:
    if place[0] == "effect" and one[-1].of != other[-1].of:
        # Of another type it is another effect: the one is unwanted and the other new (rule 37).
        yield Item(key=one[-1].key, change="gone", before=one, after=())
        yield Item(key=other[-1].key, change="new", before=(), after=other)
    else:
        yield Item(key=other[-1].key, change="changed", before=one, after=other)


def _grouped(decision: Decision, unnumbered: AbstractSet[str]) -> dict[tuple[str, ...], tuple[Decided, ...]]:
    """Return the steps by what they are about: a row, an effect's key, a rejection's code and its number among those of that code."""
    made: dict[tuple[str, ...], tuple[Decided, ...]] = {}
    codes: dict[str, int] = defaultdict(int)
    for one in decision.steps:
        if one.sort == "rejection":
            codes[one.of] += 1
            place: tuple[str, ...] = ("rejection", one.of, str(codes[one.of]))
        elif one.sort == "effect":
            place = ("effect", one.key)
        elif one.sort == "insert" and one.key in unnumbered:
            place = ("insert", one.of, one.key)
        else:
            place = ("row", one.of, str(one.row))
        made[place] = (*made.get(place, ()), one)
    return made


def _content(
    old: Mapping[tuple[str, ...], tuple[Decided, ...]],
    new: Mapping[tuple[str, ...], tuple[Decided, ...]],
    place: tuple[str, ...],
) -> tuple[str, str]:
    [one] = old.get(place) or new[place]
    known = all(value is not OPEN for value in one.values.values())
    return one.of, canonical(dict(one.values)).decode() if known else one.key
