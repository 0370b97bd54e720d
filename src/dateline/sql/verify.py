"""Recomputing every digest: of each body, and of each personal value that a body, an operation or an effect refers to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from dateline.core.canon import digest, plain
from dateline.core.personal import Sealed, mark_at, sealed_digest
from dateline.core.request import Flow
from dateline.core.version import Versions
from dateline.sql import tables
from dateline.sql.compiled import compiled
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result
from dateline.sql.trail import PARTS, UNREADABLE, Parts, entries_of, read

__all__ = ["Verification", "verify"]

PAGE = 500


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at every digest found.

    Args:
        events: How many events were looked at; `values` how many personal values.
        erased: Places whose personal value is no longer there.
        faults: For each fault the event's number and what is wrong.
    """

    events: int
    values: int
    erased: int
    faults: tuple[tuple[int, str], ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was recorded."""
        return not self.faults


def verify(dialect: Dialect, tenant: str | None = None) -> Flow[Verification]:
    """Read the trail from end to end, a page a round trip, and compare each digest with what it stands for.

    Args:
        tenant: Whose events; all tenants' without it.
    """
    statements = [compiled(statement, dialect.sql) for statement in _statements(dialect, tenant)]
    after, events, values, erased = 0, 0, 0, 0
    faults: list[tuple[int, str]] = []
    while True:
        bound = {"after": after, "page": PAGE, "tenant": tenant}
        batch = Batch.between(
            dialect.begin_reading, *(statement.statement("verify", bound) for statement in statements)
        )
        results: list[Result] = (yield batch)[1:-1]
        page = [row[0] for row in results[0].rows]
        unreadable: dict[int, Exception] = {}
        parts = read(dialect, results, unreadable.setdefault)
        found = list(_page(parts, unreadable))
        # Whatever readers of the trail would stumble over is named too.
        entries_of(dialect, parts, _NO_VERSIONS, unreadable.setdefault)
        found += [(seq, "what is stored of it cannot be read") for seq in unreadable.keys() - {seq for seq, _ in found}]
        faults += sorted(found, key=lambda fault: fault[0])
        events += len(page)
        values += sum(row["value"] is not None for row in parts[_PERSONAL])
        erased += sum(row["value"] is None for row in parts[_PERSONAL])
        if len(page) < PAGE:
            return Verification(events, values, erased, tuple(faults))
        after = page[-1]


_NO_VERSIONS = Versions.of({"1970-01-01": ()})
"""One date on which nothing was decided: no kind is known, so no event is made."""

_PERSONAL = next(index for index, columns in enumerate(PARTS) if columns[0].table is tables.personal)


def _statements(dialect: Dialect, tenant: str | None) -> list[Any]:
    e = tables.event.c
    page = select(e.seq).where(e.seq > bindparam("after", type_=BigInteger()))
    if tenant is not None:
        page = page.where(e.tenant == bindparam("tenant"))
    page = page.order_by(e.seq).limit(bindparam("page", type_=BigInteger()))
    made = []
    for columns in PARTS:
        seq = columns[0].table.c.seq
        made.append(select(*columns).where(dialect.among(seq, page)).order_by(seq))
    return made


def _page(parts: Parts, unreadable: dict[int, Exception]) -> Iterator[tuple[int, str]]:
    """Yield the faults of a page's events."""
    events, operations, effects, personal, *_ = parts
    kept: dict[int, list[Sealed]] = defaultdict(list)
    for row in personal:
        kept[row["seq"]].append(Sealed(row["path"], row["subject"], row["salt"] or "", row["value"]))
    stored: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for row in operations:
        root = f"/operations/{row['ordinal']}"
        stored[row["seq"]] += [(f"{root}/{name}", row[name]) for name in ("before", "after") if row[name] is not None]
    for row in effects:
        stored[row["seq"]].append((f"/effects/{row['ordinal']}", row["payload"]))
    for row in events:
        seq = row["seq"]
        try:
            yield from ((seq, fault) for fault in _event(row, stored[seq], kept[seq]))
        except UNREADABLE as error:
            unreadable.setdefault(seq, error)


def _event(row: Mapping[str, Any], parts: list[tuple[str, str]], kept: list[Sealed]) -> list[str]:
    if digest(row["body"].encode()) != row["sha256"]:
        return ["the body is not the one that was recorded"]
    held = json.loads(row["body"])
    told = _told(held)
    faults = [f"the column {name} is not what the body says" for name in REPEATED if plain(row[name]) != told[name]]
    places = {"/input": held["input"], "/snapshot": held["snapshot"]}
    for path, text in parts:
        try:
            places[path] = json.loads(text)
        except ValueError:
            faults.append(f"what is stored at {path} is no JSON")
    inside = [sealed for sealed in kept if sealed.path.startswith(("/input/", "/snapshot/"))]
    if len(inside) != held["sealed"]:
        faults.append(f"{held['sealed']} personal values were recorded beside the body, and {len(inside)} are there")
    for sealed in kept:
        root = next((path for path in places if sealed.path.startswith(f"{path}/")), None)
        mark = None if root is None else mark_at(places[root], root, sealed.path)
        if mark is None:
            faults.append(f"there is a personal value at {sealed.path}, where none was recorded")
        elif sealed.value is not None and sealed_digest(sealed) != mark:
            faults.append(f"the personal value at {sealed.path} is not the one that was recorded")
    return faults


def _told(held: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a body says of the columns that repeat it."""
    meta = held["meta"]
    return {
        "tenant": meta.get("tenant", ""),
        "id": meta["id"],
        "kind": held["kind"],
        "version": meta.get("version"),
        "shape": held["shape"],
        "actor": meta["actor"]["id"],
        "reason": meta.get("reason", {}).get("text"),
        "occurred_at": meta["at"],
        "outcome": held["decision"]["outcome"],
        "cause": meta.get("cause"),
        "root": meta.get("root"),
    }


REPEATED = ("tenant", "id", "kind", "version", "shape", "actor", "reason", "occurred_at", "outcome", "cause", "root")
"""The columns that repeat what the body says, so that it can be searched for."""
