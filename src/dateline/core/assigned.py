"""A plan made anew with values in the places of what the database assigns: given when the event was recorded, or a moment ago."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, TypeAlias

from dateline.core.effect import Effect
from dateline.core.operation import Insert, Operation, Placeholder
from dateline.core.plan import Plan
from dateline.core.step import Step

__all__ = ["Given", "filled", "given_in"]

Given: TypeAlias = Mapping[tuple[object, str], Any]
"""What the database assigned: by what stands for the row of an insert, and the column."""


def given_in(values: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """Return those of a step's values for which something was assigned, with that."""
    return {
        name: given[value.row, value.column]
        for name, value in values.items()
        if type(value) is Placeholder and (value.row, value.column) in given
    }


def filled(plan: Plan, given: Given, *, new: bool = False) -> Plan:
    """Return a plan with what was assigned in its places; what else it waits for, it goes on waiting for.

    Args:
        new: It was assigned to rows that are yet to be inserted, so the inserts themselves have to write it.
    """
    made = tuple(one._replace(step=_filled(one.step, given, new=new)) for one in plan.planned)
    return replace(plan, planned=made)


def _filled(step: Step, given: Given, *, new: bool) -> Step:
    if isinstance(step, Effect):
        held = given_in(step.__dict__, given)
        return step.model_copy(update=held) if held else step
    if not isinstance(step, Operation):
        return step
    held = given_in(step.values, given)
    if new and isinstance(step, Insert):
        held |= {name: value for (row, name), value in given.items() if row is step.row}
    if not held:
        return step
    made = copy(step)
    made.values = {**step.values, **held}
    if isinstance(step, Insert):
        made.known_by(tuple(made.values.get(name) for name in step.table.key))
    return made
