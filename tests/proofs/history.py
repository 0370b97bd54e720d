"""What many transactions did to lists, and whether any order of them, one after the other, could have brought that about.

Each list's order of versions is known from what it holds in the end, since every number is appended once: so what a transaction saw of
a list tells which writers came before it, and which after. A cycle among these is what no serial order has.

Source: A. Adya, Weak Consistency, 1999, for the phenomena G0 to G2; K. Kingsbury and P. Alvaro, Elle, VLDB 2020, for lists as evidence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Append", "Look", "Transaction", "phenomena"]

After = Mapping[tuple[str, str], set[str]]
"""Which transactions come after one, by the kind of reason."""

PHENOMENA = ("G0", "G1a", "G1b", "G1c", "G2", "lost", "twice", "unordered", "internal")


@dataclass(frozen=True, slots=True)
class Look:
    """What a transaction saw of a list."""

    of: str
    seen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """What a transaction put at the end of a list."""

    to: str
    number: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """Looks and appends in their order.

    Args:
        committed: Whether it was acknowledged; else it was rolled back.
    """

    id: str
    did: tuple[Look | Append, ...]
    committed: bool = True


class Phenomena(dict[str, int]):
    """How often each phenomenon occurs.

    Args:
        told: Who is in the first cycle, if there is one.
    """

    def __init__(self, found: Mapping[str, int], told: str) -> None:
        super().__init__(found)
        self.told = told


def phenomena(history: Iterable[Transaction], final: Mapping[str, tuple[int, ...]]) -> Phenomena:
    """Return how often each phenomenon occurs; those that do not are left out, so that a serializable history gives nothing.

    Returns:
        By name: G0 a cycle of writes, G1a a look at what was rolled back, G1b a look at what its writer wrote over, G1c a cycle of
        writes and looks, G2 a cycle with what a look did not see; lost, an acknowledged append that is not there in the end; twice,
        one that is there twice; unordered, a look at what never was a list's beginning; internal, a transaction that did not see
        what it had itself written.

    Source: as the module says.
    """
    whole = tuple(history)
    found: Counter[str] = Counter()
    writer = {one.number: t for t in whole for one in t.did if isinstance(one, Append)}
    after: dict[tuple[str, str], set[str]] = defaultdict(set)

    def edge(kind: str, first: Transaction, second: Transaction) -> None:
        if first is not second and first.committed and second.committed:
            after[kind, first.id].add(second.id)

    for numbers in final.values():
        found["twice"] += len(numbers) - len(set(numbers))
        found["G1a"] += sum(not writer[number].committed for number in numbers)
        for number, next_ in pairwise(numbers):
            edge("ww", writer[number], writer[next_])
    for transaction in whole:
        own: dict[str, tuple[int, ...]] = {}
        for one in transaction.did:
            if isinstance(one, Append):
                own[one.to] = (*own.get(one.to, ()), one.number)
                found["lost"] += transaction.committed and one.number not in final.get(one.to, ())
                continue
            mine = own.get(one.of, ())
            found["internal"] += one.seen[len(one.seen) - len(mine) :] != mine
            if not transaction.committed:
                continue
            seen, ends = one.seen[: len(one.seen) - len(mine)], final.get(one.of, ())
            found["unordered"] += seen != ends[: len(seen)]
            found["G1a"] += sum(not writer[number].committed for number in seen)
            if seen:
                last = writer[seen[-1]]
                edge("wr", last, transaction)
                found["G1b"] += last is not transaction and seen[-1] != _last(last, one.of)
            if len(seen) < len(ends):
                edge("rw", transaction, writer[ends[len(seen)]])
    ids = [t.id for t in whole if t.committed]
    found["G0"] = len(_knots(ids, after, "ww"))
    found["G1c"] = len(_knots(ids, after, "ww", "wr")) if not found["G0"] else 0
    knots = _knots(ids, after, "ww", "wr", "rw")
    found["G2"] = len(knots) if not found["G0"] + found["G1c"] else 0
    return Phenomena({name: found[name] for name in PHENOMENA if found[name]}, _told(whole, after, knots[:1]))


def _told(whole: Iterable[Transaction], after: After, knots: list[list[str]]) -> str:
    """Return who is in a knot, what they did, and why one comes before another."""
    members = {id for knot in knots for id in knot}
    lines = []
    for transaction in whole:
        if transaction.id in members:
            did = [
                f"saw {len(one.seen)} of {one.of}, the last {one.seen[-1:]}"
                if isinstance(one, Look)
                else f"put {one.number} into {one.to}"
                for one in transaction.did
            ]
            then = [
                f"{kind} {sorted(n & members)}"
                for (kind, id), n in after.items()
                if id == transaction.id and n & members
            ]
            lines.append(f"{transaction.id}: {'; '.join(did)}. Before: {', '.join(then)}")
    return "\n".join(lines)


def _last(transaction: Transaction, name: str) -> int:
    return [one.number for one in transaction.did if isinstance(one, Append) and one.to == name][-1]


def _knots(ids: Iterable[str], after: After, *kinds: str) -> list[list[str]]:
    """Return the largest sets of transactions of which each comes before each other.

    Source: R. Tarjan, Depth-first search and linear graph algorithms, 1972; with a stack of its own, since histories are long.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    knots: list[list[str]] = []

    def heirs(id: str) -> list[str]:
        return [next_ for kind in kinds for next_ in after.get((kind, id), ())]

    for root in ids:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_[root] = None
        ahead = [(root, iter(heirs(root)))]
        while ahead:
            id, rest = ahead[-1]
            next_ = next(rest, None)
            if next_ is None:
                ahead.pop()
                if ahead:
                    low[ahead[-1][0]] = min(low[ahead[-1][0]], low[id])
                if low[id] == index[id]:
                    knot = [open_.popitem()[0]]
                    while knot[-1] != id:
                        knot.append(open_.popitem()[0])
                    knots += [knot] if len(knot) > 1 else []
            elif next_ not in index:
                index[next_] = low[next_] = len(index)
                open_[next_] = None
                ahead.append((next_, iter(heirs(next_))))
            elif next_ in open_:
                low[id] = min(low[id], index[next_])
    return knots
