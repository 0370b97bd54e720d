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


def phenomena(history: Iterable[Transaction], final: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
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
    found["G0"] = _cycles(ids, after, "ww")
    found["G1c"] = _cycles(ids, after, "ww", "wr") if not found["G0"] else 0
    found["G2"] = _cycles(ids, after, "ww", "wr", "rw") if not found["G0"] + found["G1c"] else 0
    return {name: found[name] for name in PHENOMENA if found[name]}


def _last(transaction: Transaction, name: str) -> int:
    return [one.number for one in transaction.did if isinstance(one, Append) and one.to == name][-1]


def _cycles(ids: Iterable[str], after: Mapping[tuple[str, str], set[str]], *kinds: str) -> int:
    """Return how many knots there are: largest sets of transactions each of which comes before each other.

    Source: R. Tarjan, Depth-first search and linear graph algorithms, 1972; with a stack of its own, since histories are long.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    knots = 0

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
                    size = 0
                    while open_:
                        size += 1
                        if open_.popitem()[0] == id:
                            break
                    knots += size > 1
            elif next_ not in index:
                index[next_] = low[next_] = len(index)
                open_[next_] = None
                ahead.append((next_, iter(heirs(next_))))
            elif next_ in open_:
                low[id] = min(low[id], index[next_])
    return knots
