"""Everything one event decided: the steps with who decided each, and what they leave of every row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn, TypeVar, cast, get_args, get_origin

from dateline.core.amendment import Amended
from dateline.core.effect import Effect
from dateline.core.internal import internal
from dateline.core.operation import Delete, Insert, Operation, Placeholder
from dateline.core.snapshot import Record, row_of
from dateline.core.snapshot import key_of as row_key_of
from dateline.core.step import Concerns, Reject, Step
from dateline.errors import ClashingSteps, DuplicateKey, Rejection

__all__ = ["Change", "Outline", "Plan", "Planned", "coalesce"]

R = TypeVar("R", bound=Record[Any])
S = TypeVar("S", bound=Step)


class Planned(NamedTuple):
    """One step, and who decided it.

    Args:
        key: `slot/Type[part]`, stable under supersession.
        slot: The slot that yielded it.
        handler: Dotted name of the function that holds the slot.
        date: That function's date, ISO.
        informed: Whether the function had looked at the plan so far.
    """

    key: str
    step: Step
    slot: str = ""
    handler: str = ""
    date: str = ""
    informed: bool = False

    def __eq__(self, other: object) -> bool:
        """Who looked at the plan is no part of what was decided."""
        return isinstance(other, Planned) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:-1])


@internal()
class Change:
    """What the plan does to one row, all its steps taken together.

    Args:
        verb: "insert", "update" or "delete".
        table: Its name in the database.
        key_values: The primary key's values in its order, and `row_key` the same as text; None while the database has yet to assign it.
        values: By the mapped class's names.
        steps: The steps that it is made of, in order; the last one names it in the trail.
        ordinal: The place of its last step in the plan.
    """

    verb: str
    mapped: Any
    table: str
    key_values: tuple[Any, ...] | None
    row_key: str | None
    values: Mapping[str, Any]
    steps: tuple[Planned, ...]
    ordinal: int

    @property
    def last(self) -> Planned:
        """The step that names the change."""
        return self.steps[-1]


class Outline(NamedTuple):
    """What the steps of a plan come to.

    Args:
        changes: One a row.
        effects: Each with its ordinal in the plan, and who decided it.
        subjects: Whom or what the event turned out to be about.
        waits: Whether some step holds what the database has yet to assign.
    """

    changes: tuple[Change, ...]
    effects: tuple[tuple[int, Planned, Effect], ...]
    subjects: tuple[str, ...]
    waits: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one event in their order.

    Args:
        rejections: Why it is refused; where there are any, there are no other steps.
        amended: What later layers dropped or replaced, or would have.
    """

    planned: tuple[Planned, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    amended: tuple[Amended, ...] = ()
    _outline: Outline | None = field(default=None, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, *steps: Step) -> Plan:
        """Return a plan that holds these steps, for the test of a handler that takes one."""
        return cls(tuple(Planned(step.step_key("test"), step, "test", "test") for step in steps))

    def steps(self, type_: type[S]) -> tuple[S, ...]:
        """Return the steps of one type, such as `Tell`, `Insert` or `Insert[Account]`."""
        wanted, mapped = get_origin(type_) or type_, (get_args(type_) or (None,))[0]
        return tuple(
            planned.step
            for planned in self.planned
            if isinstance(planned.step, wanted) and (mapped is None or getattr(planned.step, "mapped", None) is mapped)
        )

    def after(self, record: R) -> R:
        """Return the record as the steps so far leave it.

        Raises:
            LookupError: When a step deletes the row; `plan.steps(Delete[…])` tells beforehand.
        """
        head = (record.__pydantic_private__ or {}).get("_head")
        if head is not None:
            # What it says of old columns follows from what steps do to today's.
            assert record.__head__ is not None
            return cast("R", record.__head__.made(self.after(head)))
        row, table = row_key_of(record), record.__table__
        values: dict[str, Any] = {}
        gone = False
        for operation in self._operations():
            if operation.mapped is table and operation.row_key == row:
                gone = isinstance(operation, Delete)
                if isinstance(operation, Insert):
                    # A new row: what it does not name is empty, whatever the old one held.
                    values = dict.fromkeys(set(type(record).model_fields) - set(operation.table.key))
                named = {**operation.values, **operation.named}
                values.update({k: v for k, v in named.items() if k in type(record).model_fields})
        if gone:
            raise LookupError(
                f"{row_of(record)} is deleted by an earlier step; ask plan.steps(Delete[{table.__name__}]) first"
            )
        return record.model_copy(update=values) if values else record

    def _operations(self) -> Iterator[Operation[Any]]:
        return (planned.step for planned in self.planned if isinstance(planned.step, Operation))

    @property
    def outline(self) -> Outline:
        """What the steps come to.

        Raises:
            ClashingSteps: As `coalesce` does.
        """
        if self._outline is None:
            # Made once and kept: the decision asks for it, and so does the commit.
            object.__setattr__(self, "_outline", outline(self.planned))
        assert self._outline is not None
        return self._outline

    def changes(self) -> tuple[Change, ...]:
        """Return one change a row, in the order of their last steps' first appearance.

        Raises:
            ClashingSteps: As `coalesce` does.
        """
        return self.outline.changes


def repeated(new: Planned) -> NoReturn:
    """Refuse a step whose key stands already.

    Raises:
        DuplicateKey: Naming the handler and the way to tell the steps apart.
    """
    way = (
        'declare key="{field}" on the effect, or yield step.keyed("…")'
        if isinstance(new.step, Effect)
        else 'yield step.keyed("…")'
    )
    raise DuplicateKey(f"{new.handler} ({new.date}) yields {new.key} twice; {way}")


_GONE = ("delete", "")
"""The verbs that leave no row: deleted, and inserted and deleted again by one event."""


def coalesce(planned: Iterable[Planned]) -> tuple[Change, ...]:
    """Return one change for each row that the steps touch.

    A delete followed by an insert of the same key stays two changes: only the database can say whether that is a new row.

    Raises:
        ClashingSteps: When two steps write one cell and the later did not look at the plan (rule 7): a lost update inside one
            event, which no guard in the database can see.
    """
    return outline(planned).changes


def outline(planned: Iterable[Planned]) -> Outline:
    """Look at all steps once, and return what they come to.

    Raises:
        ClashingSteps: As `coalesce` does.
    """
    rows: dict[Any, Change] = {}
    done: list[Change] = []
    effects: list[tuple[int, Planned, Effect]] = []
    subjects: list[str] = []
    waits = False
    for ordinal, new in enumerate(planned):
        step = new.step
        if isinstance(step, Operation):
            values = step.values
            waits = waits or Placeholder in map(type, values.values())
            # A row whose key the database has yet to assign is known by its insert, and by nothing else.
            row = (step.mapped, getattr(step, "row", None) if step.key_values is None else step.row_key)
            old = rows.get(row)
            if old is not None and old.verb in _GONE and isinstance(step, Insert):
                _clash(old, new, step, ())
                done += [old] if old.verb else []
                old = None
            rows[row] = (
                Change(step.verb, step.mapped, step.table.name, step.key_values, step.row_key, values, (new,), ordinal)
                if old is None
                else _merge(old, step, new, ordinal)
            )
        elif isinstance(step, Effect):
            waits = waits or Placeholder in map(type, step.__dict__.values())
            effects.append((ordinal, new, step))
        elif isinstance(step, Concerns):
            subjects.append(step.subject)
    made = [*done, *[change for change in rows.values() if change.verb]]
    if len(made) > 1:
        made.sort(key=_ORDINAL)
    return Outline(tuple(made), tuple(effects), tuple(subjects), waits)


_ORDINAL = attrgetter("ordinal")


def _merge(old: Change, step: Operation[Any], new: Planned, ordinal: int) -> Change:
    steps = (*old.steps, new)
    if isinstance(step, Delete):
        verb = "" if old.verb in ("insert", "") else "delete"
        return Change(verb, old.mapped, old.table, old.key_values, old.row_key, {}, steps, ordinal)
    both = (
        () if old.verb in _GONE or isinstance(step, Insert) else tuple(sorted(old.values.keys() & step.values.keys()))
    )
    if isinstance(step, Insert) or old.verb in _GONE or both:
        _clash(old, new, step, both)
    if isinstance(step, Insert) or old.verb in _GONE:
        raise ClashingSteps(
            f"{new.handler} ({new.date}) yields {step.verb} of {step.table.name}[{step.row_key}] after {old.last.handler} "
            f"({old.last.date}) yielded its {old.last.step.verb if isinstance(old.last.step, Operation) else ''}"
        )
    place = old.ordinal if old.verb == "insert" else ordinal
    values = {**old.values, **step.values}
    return Change(old.verb, old.mapped, old.table, old.key_values, old.row_key, values, steps, place)


def _clash(old: Change, new: Planned, step: Operation[Any], cells: tuple[str, ...]) -> None:
    if new.informed:
        return
    what = f"{step.table.name}[{step.row_key}]" + (f".{', .'.join(cells)}" if cells else "")
    raise ClashingSteps(
        f"{new.handler} ({new.date}) writes {what}, which {old.last.handler} ({old.last.date}) wrote before it; "
        f"take `plan: Plan` and start from plan.after(record)"
    )


def rejection_of(planned: Planned) -> Rejection:
    """Return a check's no as the record keeps it."""
    step = planned.step
    assert isinstance(step, Reject)
    return Rejection(
        key=planned.key,
        code=step.code,
        detail=step.detail,
        field=step.field,
        handler=planned.handler,
        date=planned.date,
    )


def held_by(step: Step) -> Iterable[Any]:
    """Return the values that a step holds."""
    return step.values.values() if isinstance(step, Operation) else vars(step).values()


def placeholders(plan: Plan) -> list[Placeholder[Any]]:
    """Return what the plan's rows and effects still wait for."""
    if not plan.outline.waits:
        return []
    found = [value for change in plan.changes() for value in change.values.values() if type(value) is Placeholder]
    for _, _, effect in plan.outline.effects:
        found += [value for value in effect.__dict__.values() if type(value) is Placeholder]
    return found
