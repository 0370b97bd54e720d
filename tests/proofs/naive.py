"""What a history decides, worked out again from the rules in the plainest way, without a line of dateline's."""

from __future__ import annotations

from typing import Any

from tests.proofs.histories import History, Member

__all__ = ["decided"]

Told = tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str, bool, str]]]
"""Rejections, steps, and what was amended: each with its key."""


def decided(history: History, until: int, arrived: int, value: dict[str, int]) -> Told:
    """Return what is decided of a value under the version of a date.

    Args:
        until: How many dates are in force.
        arrived: The shape in which the value came.
    """
    slots = _slots(history, until)
    rejected, amended = _run(history, slots, "check", until, arrived, value)
    if rejected:
        return [(key, text) for key, _, _, text in rejected], [], amended
    steps, more = _run(history, slots, "handler", until, arrived, value)
    return [], [(key, text) for key, _, _, text in steps], amended + more


def _slots(history: History, until: int) -> list[dict[str, Any]]:
    slots: list[dict[str, Any]] = []
    for index in range(until):
        for module in sorted(history.modules[index]):
            for one in history.modules[index][module]:
                slot = next((found for found in slots if (found["role"], found["name"]) == (one.role, one.slot)), None)
                if slot is None:
                    slots.append({"role": one.role, "name": one.slot, "opened": index, "holder": one, "since": index})
                else:
                    slot["holder"] = None if one.sort == "retire" else one
                    slot["since"] = index
    return slots


def _run(
    history: History, slots: list[dict[str, Any]], role: str, until: int, arrived: int, value: dict[str, int]
) -> tuple[list[tuple[str, str, str, str]], list[tuple[str, str, bool, str]]]:
    steps: list[tuple[str, str, str, str]] = []
    amended: list[tuple[str, str, bool, str]] = []
    waiting: list[tuple[int, Member]] = []
    for index in range(until):
        for slot in slots:
            one: Member | None = slot["holder"]
            if slot["role"] != role or slot["opened"] != index or one is None:
                continue
            seen = _seen(history, arrived, one.shape, value)
            main = next(number for name, number in seen.items() if name.startswith("v"))
            if main % one.when != 0:
                continue
            if one.aim is not None:
                waiting.append((index, one))
                continue
            size, changes = len(steps), len(amended)
            for what, which in one.yields:
                key = f"{slot['name']}/{what}" if role == "check" else f"{slot['name']}/{what}[{which}]"
                told = f"{one.name} {size} {changes}" if one.plan else f"{one.name} {_shown(one.shape, seen)}"
                steps.append((key, slot["name"], what, told))
        for _, one in [found for found in waiting if found[0] == index]:
            assert one.aim is not None
            _, target, kind, part = one.aim
            key = f"{target}/{kind}" + (f"[{part}]" if part is not None else "")
            places = [place for place, step in enumerate(steps) if step[0] == key]
            amended.append((key, "drop" if one.sort == "drop" else "replace", not places, one.name))
            if places and one.sort == "drop":
                del steps[places[0]]
            elif places:
                steps[places[0]] = (key, target, kind, f"{one.name} instead")
        waiting = [found for found in waiting if found[0] != index]
    return steps, amended


def _seen(history: History, arrived: int, wanted: int, value: dict[str, int]) -> dict[str, int]:
    """Walk from one shape to another, one at a time."""
    shapes = [None, *(shape for shape in history.shapes if shape is not None)]
    seen = dict(value)
    here = arrived
    while here < wanted:
        here += 1
        shape = shapes[here]
        assert shape is not None
        if shape.sort == "add":
            seen[f"x{here}"] = shape.by
        else:
            seen = {f"v{here}": _main(seen) + shape.by}
    while here > wanted:
        shape = shapes[here]
        assert shape is not None
        if shape.sort == "add":
            del seen[f"x{here}"]
        else:
            below = max(place for place in range(here) if place == 0 or shapes[place].sort == "other")  # type: ignore[union-attr]
            back = {f"v{below}": _main(seen) - shape.by}
            for place in range(below + 1, here):
                back[f"x{place}"] = shapes[place].by  # type: ignore[union-attr]
            seen = back
        here -= 1
    return seen


def _main(seen: dict[str, int]) -> int:
    return next(number for name, number in seen.items() if name.startswith("v"))


def _shown(shape: int, seen: dict[str, int]) -> str:
    name = "Value" if shape == 0 else f"Value{shape}"
    return f"{name}({', '.join(f'{field}={number}' for field, number in seen.items())})"
