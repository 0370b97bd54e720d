"""Recomputing every digest: of each body, and of each personal value that a body, an operation or an effect refers to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dateline.core.canon import digest, plain
from dateline.core.later import whole
from dateline.core.personal import Sealed, mark_at, sealed_digest
from dateline.core.request import Flow
from dateline.core.version import Versions
from dateline.errors import TrailFault
from dateline.sql.compiled import compiled
from dateline.sql.dialect import Dialect
from dateline.sql.entry import EFFECT, EVENT, OPERATION, PERSONAL, UNREADABLE, Entries, Rows
from dateline.sql.statement import Batch, Result
from dateline.sql.trail import SCANNED, parts_of, scanned

__all__ = ["Verification", "verify"]


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
    statements = [compiled(statement, dialect.sql) for statement in parts_of(dialect, scanned(tenant))]
    entries = Entries(dialect)
    after, events, values, erased = 0, 0, 0, 0
    faults: list[tuple[int, str]] = []
    while True:
        bound = {"after": after, "page": SCANNED, "tenant": tenant}
        batch = Batch.between(
            dialect.begin_reading, *(statement.statement("verify", bound) for statement in statements)
        )
        results: list[Result] = (yield batch)[1:-1]
        page = [row[0] for row in results[0].rows]
        for rows in entries.rows(results[1:]):
            faults += [(rows.seq, fault) for fault in _faults(entries, rows)]
            kept = entries.read(rows, PERSONAL)
            values += sum(row["value"] is not None for row in kept)
            erased += sum(row["value"] is None for row in kept)
        events += len(page)
        if len(page) < SCANNED:
            return Verification(events, values, erased, tuple(faults))
        after = max(page)


_NO_VERSIONS = Versions.of({"1970-01-01": ()})
"""One date on which nothing was decided: no kind is known, so no event is made."""


def _faults(entries: Entries, rows: Rows) -> list[str]:
    """Return the faults of one event."""
    try:
        [row] = entries.read(rows, EVENT)
        kept = [
            Sealed(one["path"], one["subject"], one["salt"] or "", one["value"]) for one in entries.read(rows, PERSONAL)
        ]
        stored = []
        for one in entries.read(rows, OPERATION):
            root = f"/operations/{one['ordinal']}"
            stored += [(f"{root}/{name}", one[name]) for name in ("before", "after") if one[name] is not None]
        stored += [(f"/effects/{one['ordinal']}", one["payload"]) for one in entries.read(rows, EFFECT)]
        if found := _event(row, stored, kept):
            return found
        # Whatever readers of the trail would stumble over is named too.
        whole(entries.entry(rows, _NO_VERSIONS))
    except (*UNREADABLE, TrailFault):
        return ["what is stored of it cannot be read"]
    return []


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
