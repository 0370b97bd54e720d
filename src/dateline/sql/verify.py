"""Recomputing every digest: of each body, and of each personal value that a body, an operation or an effect refers to."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from dateline.core.canon import digest
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
    statements = [compiled(statement, dialect.sql) for statement in _statements(tenant)]
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
        for seq, body, sha256, kind, outcome, actor in rows:
            events += 1
            faults += [(seq, fault) for fault in _event(body, sha256, kind, outcome, actor, parts[seq], kept[seq])]
        if len(rows) < PAGE:
            return Verification(events, values, erased, tuple(faults))
        after = rows[-1][0]


def _statements(tenant: str | None) -> list[Any]:
    e = tables.event.c
    page = select(e.seq).where(e.seq > bindparam("after", type_=BigInteger()))
    if tenant is not None:
        page = page.where(e.tenant == bindparam("tenant"))
    seqs = select(page.order_by(e.seq).limit(bindparam("page", type_=BigInteger())).subquery("page").c.seq)
    o, f, p = tables.operation.c, tables.effect.c, tables.personal.c
    return [
        select(e.seq, e.body, e.sha256, e.kind, e.outcome, e.actor).where(e.seq.in_(seqs)).order_by(e.seq),
        select(o.seq, o.ordinal, o.before, o.after).where(o.seq.in_(seqs)),
        select(f.seq, f.ordinal, f.payload).where(f.seq.in_(seqs)),
        select(p.seq, p.path, p.subject, p.salt, p.value).where(p.seq.in_(seqs)),
    ]


def _event(
    body: str, sha256: str, kind: str, outcome: str, actor: str, parts: list[tuple[str, str]], kept: list[Sealed]
) -> list[str]:
    if digest(body.encode()) != sha256:
        return ["the body is not the one that was recorded"]
    held = json.loads(body)
    told = {"kind": held["kind"], "outcome": held["decision"]["outcome"], "actor": held["meta"]["actor"]["id"]}
    columns = {"kind": kind, "outcome": outcome, "actor": actor}
    faults = [f"the column {name} is not what the body says" for name, value in columns.items() if value != told[name]]
    places = {
        "/input": held["input"],
        "/snapshot": held["snapshot"],
        **{path: json.loads(text) for path, text in parts},
    }
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
