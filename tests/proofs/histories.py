"""Histories of versions, made by chance: what each date does, as plain data; and the same as functions, for dateline."""

from __future__ import annotations

import random
import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dateline import (
    Drop,
    Effect,
    Event,
    Plan,
    Reject,
    Replace,
    Versions,
    Yields,
    check,
    downgrade,
    handler,
    retired,
    upgrade,
)
from dateline.core.version import Layer, Version

__all__ = ["CODES", "History", "Member", "Shape", "built", "history"]

CODES = ("a", "b")


class One(Effect, kind="one", key="{part}"):
    part: str
    text: str


class Two(Effect, kind="two", key="{part}"):
    part: str
    text: str


EFFECTS: dict[str, type[One | Two]] = {"one": One, "two": Two}


@dataclass(frozen=True)
class Member:
    """What one name of one module does.

    Args:
        sort: "handler", "check", "drop", "replace" or "retire".
        role: "handler" or "check": whose steps it makes or amends.
        name: Its own name; of a retirement, the slot's.
        shape: Which shape of the event it takes.
        yields: What it yields: an effect's kind and part, or a rejection's code.
        when: It yields where the event's value leaves no rest by this.
        plan: Whether it looks at the plan.
        supersedes: The name of the function whose place it takes.
        aim: Of an amendment, the name of the function and the slot that are meant, the step's type, and its part if one is named.
    """

    sort: str
    role: str
    name: str
    slot: str
    shape: int = 0
    yields: tuple[tuple[str, str], ...] = ()
    when: int = 1
    plan: bool = False
    supersedes: str | None = None
    aim: tuple[str, str, str, str | None] | None = None


@dataclass(frozen=True)
class Shape:
    """One shape of the event; the first has a value alone.

    Args:
        sort: "add": one more field with a default. "other": another class, whose value is larger by `by` and stands under another name.
    """

    sort: str
    by: int


@dataclass(frozen=True)
class History:
    """All dates, oldest first: the modules of each, by name, and the shape that it brings, if it brings one."""

    days: tuple[date, ...]
    modules: tuple[dict[str, tuple[Member, ...]], ...]
    shapes: tuple[Shape | None, ...]


@dataclass
class Open:
    """What is known of a slot while a history is drawn."""

    role: str
    holder: Member | None
    opened: int
    since: int
    held: list[Member] = field(default_factory=list)


def history(seed: int, dates: int = 30) -> History:
    """Draw a history that breaks no rule."""
    dice = random.Random(seed)
    count = dice.randint(1, dates)
    start = date(2018, 1, 1)
    days = tuple(start + timedelta(days=30 * index + dice.randrange(20)) for index in range(count))
    slots: dict[tuple[str, str], Open] = {}
    modules: list[dict[str, tuple[Member, ...]]] = []
    shapes: list[Shape | None] = []
    newest = 0
    for index in range(count):
        shape = None
        if index and dice.random() < 0.15:
            shape = Shape(dice.choice(("add", "other")), dice.randint(1, 9))
            newest += 1
        shapes.append(shape)
        names = dice.sample("zmab", dice.randint(1, 3))
        drawn: dict[str, list[Member]] = {name: [] for name in names}
        taken: set[tuple[str, str]] = set()
        for number in range(dice.randint(0, 4)):
            one = _member(dice, index, number, slots, taken, newest)
            if one is not None:
                drawn[dice.choice(names)].append(one)
        made = {name: tuple(members) for name, members in drawn.items()}
        # A change counts from the order in which it is loaded.
        for name in sorted(made):
            for one in made[name]:
                _note(slots, one, index)
        kept = _kept(made, slots, index)
        modules.append(kept)
    return History(days, tuple(modules), tuple(shapes))


def _member(
    dice: random.Random,
    index: int,
    number: int,
    slots: dict[tuple[str, str], Open],
    taken: set[tuple[str, str]],
    newest: int,
) -> Member | None:
    role = dice.choice(("handler", "handler", "check"))
    name = f"{role[0]}{index}_{number}"
    free = [
        at
        for at, slot in slots.items()
        if at[0] == role and slot.holder is not None and slot.since < index and at not in taken
    ]
    what = dice.random()
    if free and what < 0.1:
        at = dice.choice(free)
        if _amended(slots, at):
            return None
        taken.add(at)
        return Member("retire", role, slots[at].held[-1].name, at[1])
    supersedes, slot = None, name
    if free and what < 0.35:
        at = dice.choice(free)
        taken.add(at)
        holder = slots[at].holder
        assert holder is not None
        supersedes, slot = holder.name, at[1]
    if what > 0.75:
        aim = _aim(dice, role, index, slots[role, slot].opened if supersedes else index, slots)
        # Whose steps somebody amends, and who amends, is not mixed: an amender yields nothing else.
        if aim is not None and not (supersedes and _amended(slots, (role, slot))):
            sort = dice.choice(("drop", "replace"))
            return Member(
                sort,
                role,
                name,
                slot,
                dice.randint(0, newest),
                when=dice.choice((1, 1, 2)),
                supersedes=supersedes,
                aim=aim,
            )
    if role == "check":
        yields = tuple((code, "") for code in CODES if dice.random() < 0.6) or (("a", ""),)
        needed: tuple[str, ...] = ()
    else:
        yields = tuple((kind, f"p{part}") for kind in EFFECTS for part in range(dice.randint(0, 2)))
        needed = tuple(sorted(_amended(slots, (role, slot)))) if supersedes else ()
    yields = tuple(dict.fromkeys((*yields, *((kind, "p0") for kind in needed))))
    when = dice.choice((2, 3)) if role == "check" else dice.choice((1, 1, 2, 3))
    return Member(
        role,
        role,
        name,
        slot,
        dice.randint(0, newest),
        yields,
        when,
        role == "handler" and dice.random() < 0.3,
        supersedes,
    )


def _amended(slots: dict[tuple[str, str], Open], at: tuple[str, str]) -> set[str]:
    """Return the types of a slot's steps that a function in force amends."""
    return {
        slot.holder.aim[2]
        for slot in slots.values()
        if slot.holder is not None and slot.holder.aim is not None and (slot.role, slot.holder.aim[1]) == at
    }


def _aim(
    dice: random.Random, role: str, index: int, opened: int, slots: dict[tuple[str, str], Open]
) -> tuple[str, str, str, str | None] | None:
    able = [
        (slot.holder.name, at[1], kind, part)
        for at, slot in slots.items()
        if at[0] == role
        and slot.holder is not None
        and slot.opened < opened
        and slot.since < index
        and slot.holder.sort == role
        for kind, part in slot.holder.yields
    ]
    if not able:
        return None
    name, slot, kind, part = dice.choice(able)
    return name, slot, kind, None if role == "check" else part


def _note(slots: dict[tuple[str, str], Open], one: Member, index: int) -> None:
    at = (one.role, one.slot)
    if one.sort == "retire":
        slots[at].holder, slots[at].since = None, index
    elif one.supersedes is None:
        slots[at] = Open(one.role, one, index, index, [one])
    else:
        slots[at].holder, slots[at].since = one, index
        slots[at].held.append(one)


def _kept(
    made: dict[str, tuple[Member, ...]], slots: dict[tuple[str, str], Open], index: int
) -> dict[str, tuple[Member, ...]]:
    """Let amendments do nothing where the rest of their date has left them without a step, or two slots of a date would amend one."""
    amending = [
        (at, slot, slot.holder) for at, slot in slots.items() if slot.holder is not None and slot.holder.aim is not None
    ]
    taken = {(slot.opened, *_aimed(one)) for _, slot, one in amending if slot.since < index}
    for at, slot, one in amending:
        if slot.since < index:
            if not _able(slots, one):
                # What was of an earlier date and has lost its step goes with it.
                made = {**made, "zz": (*made.get("zz", ()), Member("retire", one.role, one.name, at[1]))}
                slot.holder, slot.since = None, index
        elif not _able(slots, one) or (slot.opened, *_aimed(one)) in taken:
            idle = replace(one, sort=one.role, aim=None, yields=(), plan=False)
            slot.holder = slot.held[-1] = idle
            made = {name: tuple(idle if found == one else found for found in members) for name, members in made.items()}
        else:
            taken.add((slot.opened, *_aimed(one)))
    return made


def _aimed(one: Member) -> tuple[str, str, str, str | None]:
    assert one.aim is not None
    return (one.role, *one.aim[1:])


def _able(slots: dict[tuple[str, str], Open], one: Member) -> bool:
    """Tell whether whoever holds the slot that is amended can still yield the step."""
    _, slot, kind, _ = _aimed(one)
    holder = slots[one.role, slot].holder
    return holder is not None and holder.sort == one.role and kind in {found for found, _ in holder.yields}


# As functions -----------------------------------------------------------------------------------------------------------


class Value(Event, kind="value"):
    v0: int


def shapes_of(found: History) -> tuple[list[type[Event]], list[list[Any]]]:
    """Return the classes, and for each date what it adds of them."""
    chain: list[type[Event]] = [Value]
    main = "v0"
    members: list[list[Any]] = [[] for _ in found.days]
    members[0] = [Value]
    for index, shape in enumerate(found.shapes):
        if shape is None:
            continue
        name, old = f"Value{len(chain)}", chain[-1]
        if shape.sort == "add":
            space: dict[str, Any] = {
                "__annotations__": {f"x{len(chain)}": int},
                f"x{len(chain)}": shape.by,
                "__module__": __name__,
            }
            new = types.new_class(name, (old,), {}, lambda held, space=space: held.update(space))  # type: ignore[misc]  # bound now
            members[index] = [new]
        else:
            field_ = f"v{len(chain)}"
            space = {"__annotations__": {field_: int}, "__module__": __name__}
            new = types.new_class(name, (Event,), {"kind": "value"}, lambda held, space=space: held.update(space))  # type: ignore[misc]  # bound now
            members[index] = [new, *_conversions(old, new, main, field_, shape.by)]
            main = field_
        chain.append(new)
    return chain, members


def _conversions(old: type[Event], new: type[Event], main: str, field_: str, by: int) -> list[Any]:
    def up(event: Event) -> Event:
        return new(**{field_: getattr(event, main) + by})

    def down(event: Event) -> Event:
        return old(**{main: getattr(event, field_) - by})

    up.__annotations__ = {"event": old, "return": new}
    down.__annotations__ = {"event": new, "return": old}
    return [upgrade(up), downgrade(down)]


def value_of(event: Event) -> int:
    """Return the event's own value, whatever its shape calls it."""
    return int(next(value for name, value in event.__dict__.items() if name.startswith("v")))


def built(found: History, until: int | None = None) -> tuple[Versions, list[type[Event]]]:
    """Return the versions that a history describes, up to a number of dates."""
    chain, members = shapes_of(found)
    functions: dict[tuple[str, str], Any] = {}
    layers = []
    end = len(found.days) if until is None else until
    for index, (day, modules) in enumerate(zip(found.days, found.modules, strict=True)):
        if index >= end:
            break
        layers.append(Layer(day, "0", tuple((getattr(one, "__name__", ""), one) for one in members[index])))
        for module in sorted(modules):
            held = [(one.name, _function(one, chain, functions)) for one in modules[module]]
            layers.append(Layer(day, module, tuple(held)))
    versions = tuple(Version(day, datetime(day.year, day.month, day.day, tzinfo=UTC)) for day in found.days[:end])
    return Versions(versions, tuple(layers)), chain


def _function(one: Member, chain: list[type[Event]], functions: dict[tuple[str, str], Any]) -> Any:
    if one.sort == "retire":
        return retired(functions[one.role, one.name], because="no more")
    made = _body(one, functions)
    made.__name__ = made.__qualname__ = one.name
    announced: Any = Yields[Reject] if one.role == "check" else Yields[One | Two]
    if one.aim is not None:
        announced = Yields[Drop | Replace]
    made.__annotations__ = {"event": chain[one.shape], "return": announced}
    if one.plan:
        made.__annotations__["plan"] = Plan
    mark = handler if one.role == "handler" else check
    old = functions[one.role, one.supersedes] if one.supersedes is not None else None
    functions[one.role, one.name] = mark(made) if old is None else mark(supersedes=old)(made)
    return made


def _body(one: Member, functions: dict[tuple[str, str], Any]) -> Callable[..., Any]:
    if one.aim is not None:
        name, _, kind, part = one.aim
        return _amending(one, functions[one.role, name], kind if one.role == "check" else EFFECTS[kind], part)
    if one.role == "check":

        def refuse(event: Event) -> Any:
            if value_of(event) % one.when == 0:
                for code, _ in one.yields:
                    yield Reject(code, f"{one.name} {event!r}")

        return refuse

    def tell(event: Event) -> Any:
        if value_of(event) % one.when == 0:
            for kind, part in one.yields:
                yield EFFECTS[kind](part=part, text=f"{one.name} {event!r}")

    def see(event: Event, plan: Plan) -> Any:
        if value_of(event) % one.when == 0:
            for kind, part in one.yields:
                yield EFFECTS[kind](part=part, text=f"{one.name} {len(plan.planned)} {len(plan.amended)}")

    return see if one.plan else tell


def _amending(one: Member, earlier: Any, what: Any, part: str | None) -> Callable[..., Any]:
    def drop(event: Event) -> Any:
        if value_of(event) % one.when == 0:
            yield Drop(earlier, what, because=one.name, part=part)

    def change(event: Event) -> Any:
        if value_of(event) % one.when == 0:
            new: Any = (
                Reject(what, f"{one.name} instead")
                if isinstance(what, str)
                else what(part=part, text=f"{one.name} instead")
            )
            yield Replace(earlier, what, new, because=one.name, part=part)

    return drop if one.sort == "drop" else change
