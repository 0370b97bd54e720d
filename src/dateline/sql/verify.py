"""Recomputing every digest: of each body, and of each personal value that a body, an operation or an effect refers to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from dateline.core.canon import digest, plain
from dateline.core.personal import Sealed, mark_at, sealed_digest
from dateline.core.request import Flow
from dateline.sql import tables
from dateline.sql.compiled import compiled
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result

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
        results: list[Result] = yield batch
        rows, operations, effects, personal = (result.rows for result in results[1:-1])
        kept: dict[int, list[Sealed]] = defaultdict(list)
        for seq, path, subject, salt, value in personal:
            kept[seq].append(Sealed(path, subject, salt or "", value))
            values += value is not None
            erased += value is None
        parts: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for seq, ordinal, before, after_ in operations:
            images = (("before", before), ("after", after_))
            parts[seq] += [(f"/operations/{ordinal}/{name}", text) for name, text in images if text is not None]
        for seq, ordinal, payload in effects:
            parts[seq].append((f"/effects/{ordinal}", payload))
        for seq, body, sha256, *columns in rows:
            events += 1
            faults += [(seq, fault) for fault in _event(dialect, body, sha256, columns, parts[seq], kept[seq])]
        if len(rows) < PAGE:
            return Verification(events, values, erased, tuple(faults))
        after = rows[-1][0]


def _statements(dialect: Dialect, tenant: str | None) -> list[Any]:
    e = tables.event.c
    page = select(e.seq).where(e.seq > bindparam("after", type_=BigInteger()))
    if tenant is not None:
        page = page.where(e.tenant == bindparam("tenant"))
    page = page.order_by(e.seq).limit(bindparam("page", type_=BigInteger()))
    o, f, p = tables.operation.c, tables.effect.c, tables.personal.c
    parts = [
        select(e.seq, e.body, e.sha256, *(e[name] for name in REPEATED)).order_by(e.seq),
        select(o.seq, o.ordinal, o.before, o.after),
        select(f.seq, f.ordinal, f.payload),
        select(p.seq, p.path, p.subject, p.salt, p.value),
    ]
    return [part.where(dialect.among(part.selected_columns.seq, page)) for part in parts]


def _event(
    dialect: Dialect, body: str, sha256: str, columns: Sequence[Any], parts: list[tuple[str, str]], kept: list[Sealed]
) -> list[str]:
    if digest(body.encode()) != sha256:
        return ["the body is not the one that was recorded"]
    held = json.loads(body)
    told = _told(held)
    types = (
        tables.event.c[name].type.dialect_impl(dialect.sql).result_processor(dialect.sql, None) for name in REPEATED
    )
    read = [process(value) if process else value for process, value in zip(types, columns, strict=True)]
    faults = [
        f"the column {name} is not what the body says"
        for name, value in zip(REPEATED, read, strict=True)
        if plain(value) != told[name]
    ]
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
