"""What was decided about one event, recorded or made anew, in one form, so that both can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from dateline.core.canon import canonical, parsed, plain
from dateline.core.entry import Entry, Written
from dateline.core.model import personal_within
from dateline.core.operation import Operation, Placeholder
from dateline.core.outcome import Performed
from dateline.core.personal import ERASED
from dateline.core.plan import Change, Plan
from dateline.core.table import table_of
from dateline.errors import Refused, Rejected, Rejection

__all__ = ["OPEN", "Decided", "Decision", "alike"]

_ORDINAL = attrgetter("ordinal")

OPEN: Any = object()
"""What only the database could know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One step, or rejection, as it is compared.

    Args:
        sort: "insert", "update", "delete", "effect" or "rejection".
        of: The table, the effect's kind, or the rejection's code.
        row: The row's key as text; OPEN where the database has yet to assign it, None of what is no row.
        values: What it holds, by column or field, as JSON's types; of a rejection its detail and field.
        handler: Who decided it; `date` that function's date.
        merged: All steps that it is made of, as (key, handler, date), where there are several.
        personal: Of which columns or fields the values are about a person.
        open: Whether what is recorded may hold more: what the database assigned.
        more: Values under further names, of columns that the table had once.
        ordinal: Its place in the plan.
    """

    key: str
    sort: str
    of: str
    row: Any = None
    values: Mapping[str, Any]
    handler: str
    date: str
    merged: tuple[tuple[str, str, str], ...] = ()
    personal: frozenset[str] = frozenset()
    open: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything that was decided about one event.

    Args:
        version: The date that decided; None of what no version was asked about.
        outcome: "committed", "rejected", or the word of another refusal.
        steps: In their order.
        reconstructed: The fields of snapshots that were not recorded, and were taken from the trail.
        plan: What it was made of; None of what was recorded.
        detail: Of a refusal that no check made, why.
    """

    version: date | None
    outcome: str
    steps: tuple[Decided, ...]
    reconstructed: tuple[str, ...] = ()
    plan: Plan | None = field(default=None, compare=False, repr=False)
    detail: str = field(default="", compare=False, repr=False)

    @classmethod
    def recorded(cls, entry: Entry, *, shown: bool = True) -> Decision:
        """Return what the record of an event says.

        Args:
            shown: It is to be shown, so what is personal of it has to be known; for comparing alone it need not.
        """
        personal = entry.personal if shown else frozenset()
        steps = [_written(one, personal) for one in entry.operations]
        steps += [_performed(one, personal) for one in entry.effects]
        steps.sort(key=_ORDINAL)
        if entry.outcome == Rejected.outcome:
            steps[:0] = [_rejection(one) for one in entry.rejections]
        refusal = None if entry.outcome in ("committed", Rejected.outcome) else entry.refusal
        detail = "" if refusal is None else refusal.detail
        return cls(version=entry.version, outcome=entry.outcome, steps=tuple(steps), detail=detail)

    def same(self, other: Decision) -> bool:
        """Tell whether another decision does the same in the same order, of which this may be a recorded one; who decided is left out."""
        return (
            self.outcome == other.outcome
            and len(self.steps) == len(other.steps)
            and all(one.key == two.key and alike(one, two) for one, two in zip(self.steps, other.steps, strict=True))
        )

    @classmethod
    def made(
        cls,
        plan: Plan,
        version: date | None,
        *,
        refusal: Refused | None = None,
        reconstructed: tuple[str, ...] = (),
        personal: Callable[[Any], Iterable[str]] | None = None,
    ) -> Decision:
        """Return what a plan comes to.

        Args:
            personal: Tells a table's personal columns, `Versions.personal`, where the decision is to be shown; without it, those that
                the table marks itself.
        """
        if refusal is not None:
            outcome = refusal.outcome
        else:
            outcome = Rejected.outcome if plan.rejections else "committed"
        return cls(
            version=version,
            outcome=outcome,
            steps=(*[_rejection(one) for one in plan.rejections], *_planned(plan, personal)),
            reconstructed=reconstructed,
            plan=plan,
            detail="" if refusal is None else refusal.detail,
        )


def alike(one: Decided, other: Decided) -> bool:
    """Tell whether two steps of one key do the same, of which the first may be a recorded one."""
    if one.values == other.values and one.row == other.row and one.of == other.of and one.sort == other.sort:
        return True
    if one.sort != other.sort or one.of != other.of or not _same(one.row, other.row):
        return False
    # Recorded before the table changed, a step names the columns of its day; recorded since, those that they became.
    then = bool(other.more) and bool(one.values.keys() & other.more.keys())
    values = {**other.values, **other.more} if then else other.values
    if not then and values.keys() - one.values.keys() and not one.open:
        return False
    for name, value in one.values.items():
        if name in values:
            if not _same(values[name], value):
                return False
        elif not other.open:
            return False
    return True


def _same(one: Any, other: Any) -> bool:
    # What was erased may have been anything. By identity: somebody may be called so.
    return one is OPEN or other is OPEN or one is ERASED or other is ERASED or one == other or _erased(one, other)


def _erased(one: Any, other: Any) -> bool:
    """Tell whether two values are the same but for what was erased within."""
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(_same, one, other))
    return False


def _rejection(one: Rejection) -> Decided:
    return Decided(
        key=one.key,
        sort="rejection",
        of=one.code,
        values={"detail": one.detail, "field": one.field},
        handler=one.handler,
        date=one.date,
    )


def _written(one: Written, personal: frozenset[str]) -> Decided:
    root = f"/operations/{one.ordinal}/after/"
    return Decided(
        key=one.step,
        sort=one.verb,
        of=one.table,
        row=one.row_key,
        values=one.declared,
        handler=one.handler,
        date=one.date,
        merged=one.merged,
        personal=_below(personal, root),
        ordinal=one.ordinal,
    )


def _performed(one: Performed, personal: frozenset[str]) -> Decided:
    return Decided(
        key=one.step,
        sort="effect",
        of=one.kind,
        values=one.payload,
        handler=one.handler,
        date=one.date,
        personal=_below(personal, f"/effects/{one.ordinal}/"),
        ordinal=one.ordinal,
    )


def _below(paths: frozenset[str], root: str) -> frozenset[str]:
    return frozenset(at[len(root) :].partition("/")[0] for at in paths if at.startswith(root)) if paths else paths


def _planned(plan: Plan, hidden: Callable[[Any], Iterable[str]] | None) -> list[Decided]:
    outline = plan.outline
    made = [
        _changed(change, frozenset(hidden(change.mapped)) if hidden else None, waits=outline.waits)
        for change in outline.changes
    ]
    for ordinal, planned, effect in outline.effects:
        made.append(
            Decided(
                key=planned.key,
                sort="effect",
                of=effect.__kind__,
                values={name: _told(value) for name, value in effect.__dict__.items()},
                handler=planned.handler,
                date=planned.date,
                personal=personal_within(type(effect)),
                ordinal=ordinal,
            )
        )
    made.sort(key=_ORDINAL)
    return made


def _changed(change: Change, personal: frozenset[str] | None, *, waits: bool) -> Decided:
    names, marked = _columns(change.mapped)
    last = change.last
    more: Mapping[str, Any] = {}
    for one in change.steps:
        if isinstance(one.step, Operation) and one.step.named:
            more = {**more, **{name: _told(value) for name, value in one.step.named.items()}}
    several = len(change.steps) > 1
    return Decided(
        key=last.key,
        sort=change.verb,
        of=change.table,
        row=OPEN if change.row_key is None else change.row_key,
        values={names[name]: _told(value) for name, value in change.values.items()},
        handler=last.handler,
        date=last.date,
        merged=tuple((one.key, one.handler, one.date) for one in change.steps) if several else (),
        personal=marked if personal is None else personal,
        open=change.verb == "insert" and (waits or change.row_key is None),
        more=more,
        ordinal=change.ordinal,
    )


@cache
def _columns(mapped: Any) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return what a mapped class's columns are called in the database, and which of those it marks as personal."""
    columns = mapped.__mapper__.columns
    names = {name: column.name for name, column in columns.items()}
    known = table_of(mapped).columns
    return names, frozenset(names[name] for name, column in known.items() if column.personal)


_LEAVES = frozenset({str, int, bool, type(None)})

_WORDS = frozenset({UUID, Decimal, datetime, date, time, timedelta, bytes})
"""Types whose canonical form is a text: it need not be written as JSON, and read again."""


def _told(value: Any) -> Any:
    kind = type(value)
    if kind in _LEAVES:
        return value
    if kind is Placeholder:
        return OPEN
    if kind in _WORDS:
        return plain(value)
    if kind is list or kind is tuple:
        return [_told(item) for item in value]
    return parsed(canonical(value))
