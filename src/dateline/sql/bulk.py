"""Reading a trail quickly: first what tells how each event is decided again, then of each no more than that needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Date, Select, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from dateline.core.canon import canonical, parsed
from dateline.core.personal import ERASED, unsealed
from dateline.core.request import Flow
from dateline.sql import tables
from dateline.sql.compiled import Compiled, compiled
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Batch, Result

__all__ = ["Bulk", "Done", "Head", "Kept"]


class Head(NamedTuple):
    """What an event's columns tell."""

    seq: int
    tenant: str
    kind: str
    version: date | None
    shape: date | None
    outcome: str
    cascade: str


class Done(NamedTuple):
    """One recorded step.

    Args:
        sort: "insert", "update", "delete" or "effect".
        values: What it holds, by column or field.
        merged: It is made of several steps.
    """

    ordinal: int
    step: str
    sort: str
    of: str
    row: str | None
    values: Mapping[str, Any]
    handler: str
    date: str
    merged: bool


@dataclass(slots=True)
class Kept:
    """What was read of one event.

    Args:
        steps: Those of the slots that were asked for.
        personal: The personal values by their places.
    """

    body: Mapping[str, Any]
    steps: list[Done]
    personal: Mapping[str, Any]

    def part(self, part: str, name: str) -> Any:
        """Return a part of the body with its personal values in their places."""
        return unsealed(
            self.body[part][name] if name else self.body[part], f"/{part}/{name}" if name else f"/{part}", self.personal
        )


class Bulk:
    """Builds the queries, each once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        e, o, f, p = tables.event.c, tables.operation.c, tables.effect.c, tables.personal.c
        after = bindparam("after", type_=BigInteger())
        until = bindparam("until", type_=BigInteger())
        page = bindparam("page", type_=BigInteger())
        head = select(e.seq, e.tenant, e.kind, e.version, e.shape, e.outcome, e.cascade)
        self._heads = self._made(head.where(e.seq > after, e.seq <= until).order_by(e.seq).limit(page))
        seqs = bindparam("seqs", type_=BigInteger(), expanding=True)
        # With the tenants, which lead every key.
        tenants = bindparam("tenants", type_=Text(), expanding=True)
        self._bodies = self._made(select(e.seq, e.body).where(e.seq.in_(seqs)).order_by(e.seq))

        def of(columns: Sequence[Any], c: Any) -> Select[Any]:
            return select(*columns).where(c.tenant.in_(tenants), c.seq.in_(seqs))

        self._operations = self._made(
            of((o.seq, o.ordinal, o.step, o.verb, o.table_name, o.row_key, o.declared, o.handler, o.date, o.merged), o)
            .where(self._slot("dateline_operation"))
            .order_by(o.seq, o.ordinal)
        )
        # Without their values, where nobody compares them.
        self._ended = (
            self._made(
                of((o.seq, o.ordinal, o.step, o.verb, o.table_name, o.row_key, o.handler, o.date, o.merged), o).where(
                    self._slot("dateline_operation")
                )
            ),
            self._made(
                of((f.seq, f.ordinal, f.step, f.kind, f.handler, f.date), f).where(self._slot("dateline_effect"))
            ),
        )
        self._rows = self._made(of((o.seq, o.step, o.table_name, o.row_key, o.merged), o))
        self._effects = self._made(
            of((f.seq, f.ordinal, f.step, f.kind, f.payload, f.handler, f.date), f)
            .where(self._slot("dateline_effect"))
            .order_by(f.seq, f.ordinal)
        )
        self._personal = self._made(of((p.seq, p.path, p.value), p))
        self._written = self._made(of((o.table_name, o.verb, func.count()), o).group_by(o.table_name, o.verb))
        self._asked = self._made(of((f.kind, func.count()), f).group_by(f.kind))
        self._images = self._made(
            of((o.seq, o.ordinal, o.table_name, o.row_key, o.before, o.after), o)
            .where(o.table_name.in_(bindparam("tables", type_=Text(), expanding=True)))
            .order_by(o.seq, o.ordinal)
        )
        self._day = Date().dialect_impl(dialect.sql).result_processor(dialect.sql, None)

    def _slot(self, table: str) -> Any:
        """Return the condition that a step's key begins with the name of one of some slots."""
        if self.dialect.near:
            sql = f"substr({table}.step, 1, instr({table}.step, '/') - 1) IN (SELECT value FROM json_each(:slots))"
            return text(sql).bindparams(bindparam("slots", type_=Text()))
        return text(f"split_part({table}.step, '/', 1) = ANY(:slots)").bindparams(
            bindparam("slots", type_=ARRAY(Text()))
        )

    def _of_slots(self, heads: Sequence[Head], slots: Sequence[str]) -> dict[str, Any]:
        return {**_bound(heads), "slots": canonical(slots).decode() if self.dialect.near else slots}

    def _made(self, query: Select[Any]) -> Compiled:
        return compiled(query, self.dialect.sql)

    def heads(self, after: int, until: int, page: int) -> Flow[list[Head]]:
        """Read the next events' columns."""
        bound = {"after": after, "until": until, "page": page}
        results: list[Result] = yield Batch((self._heads.statement("bulk", bound),))
        read = self._day
        if read is None:
            return [Head(*row) for row in results[0].rows]
        return [
            Head(s, t, k, None if v is None else read(v), None if h is None else read(h), o, c)
            for s, t, k, v, h, o, c in results[0].rows
        ]

    def kept(self, heads: Sequence[Head], slots: Iterable[str]) -> Flow[dict[int, Kept | None]]:
        """Read the bodies of some events, their personal values, and their steps of some slots; None of what cannot be read."""
        slots = sorted(slots)
        wanted, bound = bool(slots), self._of_slots(heads, slots)
        named = [self._bodies, self._personal, *((self._operations, self._effects) if wanted else ())]
        results: list[Result] = yield Batch(tuple(one.statement("bulk", bound) for one in named))
        personal: dict[int, dict[str, Any]] = {}
        for seq, path, value in results[1].rows:
            personal.setdefault(seq, {})[path] = ERASED if value is None else parsed(value)
        made: dict[int, Kept | None] = {}
        for seq, body in results[0].rows:
            try:
                held = parsed(body)
                made[seq] = Kept(held, [], personal.get(seq, {})) if isinstance(held, dict) else None
            except ValueError:
                made[seq] = None
        try:
            for row in results[2].rows if wanted else ():
                seq, ordinal, step, verb, table, key, declared, handler, day, merged = row
                if (kept := made.get(seq)) is not None:
                    values = _values(kept, ordinal, parsed(declared))
                    kept.steps.append(Done(ordinal, step, verb, table, key, values, handler, day, merged is not None))
            for seq, ordinal, step, kind, payload, handler, day in results[3].rows if wanted else ():
                if (kept := made.get(seq)) is not None:
                    values = (
                        unsealed(parsed(payload), f"/effects/{ordinal}", kept.personal)
                        if kept.personal
                        else parsed(payload)
                    )
                    kept.steps.append(Done(ordinal, step, "effect", kind, None, values, handler, day, False))
        except ValueError:
            made[seq] = None
        return made

    def ended(self, heads: Sequence[Head], slots: Iterable[str]) -> Flow[dict[int, Kept]]:
        """Read the steps of some slots without their values, and nothing else."""
        bound = self._of_slots(heads, sorted(slots))
        made = {one.seq: Kept({}, [], {}) for one in heads}
        results: list[Result] = yield Batch(tuple(one.statement("bulk", bound) for one in self._ended))
        for seq, ordinal, step, verb, table, key, handler, day, merged in results[0].rows:
            made[seq].steps.append(Done(ordinal, step, verb, table, key, {}, handler, day, merged is not None))
        for seq, ordinal, step, kind, handler, day in results[1].rows:
            made[seq].steps.append(Done(ordinal, step, "effect", kind, None, {}, handler, day, False))
        return made

    def rows(self, heads: Sequence[Head]) -> Flow[dict[int, list[tuple[str, str, str, bool]]]]:
        """Read which rows events wrote: step, table, key, and whether by several steps."""
        results: list[Result] = yield Batch((self._rows.statement("bulk", _bound(heads)),))
        made: dict[int, list[tuple[str, str, str, bool]]] = {}
        for seq, step, table, key, merged in results[0].rows:
            made.setdefault(seq, []).append((step, table, key, merged is not None))
        return made

    def totals(self, heads: Sequence[Head]) -> Flow[tuple[dict[tuple[str, str], int], dict[str, int]]]:
        """Count what events wrote, by table and verb, and what they asked for, by kind."""
        if not heads:
            return {}, {}
        bound = _bound(heads)
        results: list[Result] = yield Batch(
            (self._written.statement("bulk", bound), self._asked.statement("bulk", bound))
        )
        written = {(table, verb): int(number) for table, verb, number in results[0].rows}
        return written, {kind: int(number) for kind, number in results[1].rows}

    def images(self, heads: Sequence[Head], names: Iterable[str]) -> Flow[dict[int, list[Any]]]:
        """Read what events left of the rows of some tables: table, key, before, after."""
        bound = {**_bound(heads), "tables": sorted(names)}
        if not heads or not bound["tables"]:
            return {}
        results: list[Result] = yield Batch(
            (self._images.statement("bulk", bound), self._personal.statement("bulk", bound))
        )
        personal: dict[int, dict[str, Any]] = {}
        for seq, path, value in results[1].rows:
            if path.startswith("/operations/"):
                personal.setdefault(seq, {})[path] = ERASED if value is None else parsed(value)
        made: dict[int, list[Any]] = {}
        for seq, ordinal, table, key, before, after in results[0].rows:
            held = personal.get(seq)
            both = []
            for part, told in (("before", before), ("after", after)):
                image = None if told is None else parsed(told)
                both.append(
                    unsealed(image, f"/operations/{ordinal}/{part}", held) if held and image is not None else image
                )
            made.setdefault(seq, []).append((table, key, *both))
        return made


def _bound(heads: Sequence[Head]) -> dict[str, Any]:
    return {"seqs": [one.seq for one in heads], "tenants": sorted({one.tenant for one in heads})}


def _values(kept: Kept, ordinal: int, declared: Any) -> Any:
    """Return what a step named; what is personal of it is kept once, with the row that holds it."""
    root = f"/operations/{ordinal}/after"
    held = {at: value for at, value in kept.personal.items() if at.startswith(f"{root}/")} if kept.personal else {}
    return unsealed(declared, root, held) if held else declared
