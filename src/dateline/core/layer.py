"""What one date adds for one kind: checks, handlers, retirements, read off the functions' signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from dateline.core.amendment import Drop, Replace, Target, targets_of
from dateline.core.effect import Effect
from dateline.core.event import Event
from dateline.core.model import place
from dateline.core.operation import Operation
from dateline.core.plan import Plan
from dateline.core.snapshot import Snapshot, fields_of
from dateline.core.step import Concerns, Reject, Step
from dateline.errors import BadSignature, Unloadable

__all__ = ["Function", "Retirement", "Role", "check", "function_of", "handler", "retired"]

F = TypeVar("F", bound=Callable[..., Iterator[Any]])

_MARK = "__dateline__"


@dataclass(frozen=True, slots=True)
class Role:
    """What a decorator leaves on a function: "check" or "handler", and whom it supersedes."""

    name: str
    supersedes: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Retirement:
    """The end of a slot, by the function that holds it."""

    function: Callable[..., Any]
    because: str


@overload
def check(function: F, /) -> F: ...
@overload
def check(*, supersedes: Callable[..., Any]) -> Callable[[F], F]: ...
def check(function: Any = None, /, *, supersedes: Callable[..., Any] | None = None) -> Any:
    """Mark a function that may refuse an event: it yields `Reject`, or `Drop` and `Replace` of what earlier checks reject.

    Args:
        supersedes: The check that holds the slot until this function's date.
    """
    return _mark("check", function, supersedes)


@overload
def handler(function: F, /) -> F: ...
@overload
def handler(*, supersedes: Callable[..., Any]) -> Callable[[F], F]: ...
def handler(function: Any = None, /, *, supersedes: Callable[..., Any] | None = None) -> Any:
    """Mark a function that decides: it yields operations and effects.

    Args:
        supersedes: The handler that holds the slot until this function's date.
    """
    return _mark("handler", function, supersedes)


def _mark(role: str, function: Any, supersedes: Callable[..., Any] | None) -> Any:
    if supersedes is None and role_of(function) is not None:
        name = function.__name__
        raise BadSignature(
            f"{place(function)}: has a decorator already; to take its place, write @{role}(supersedes={name})"
        )

    def mark(function: F) -> F:
        setattr(function, _MARK, Role(role, supersedes))
        return function

    return mark if function is None else mark(function)


def retired(function: Callable[..., Any], /, *, because: str) -> Retirement:
    """End a slot from this date on, by the function that holds it; give the retirement a name in its module."""
    return Retirement(function, because)


@dataclass(frozen=True, eq=False)
class Function:
    """A check or handler as its signature describes it.

    Args:
        parameters: What each parameter takes, in order: the event's class, a snapshot's class, or Plan.
        yields: What it announces: effect classes, `Reject`, `Concerns`, `Drop`, `Replace`, or (operation class, mapped class).
        amends: Which steps of earlier functions its `Drop`s and `Replace`s are about.
    """

    call: Callable[..., Iterator[Step]]
    role: Role
    date: date
    event: type[Event]
    parameters: tuple[type, ...]
    yields: frozenset[Any]
    amends: tuple[Target, ...] = ()

    @property
    def name(self) -> str:
        """The function's own name, which a new slot takes."""
        return self.call.__name__

    @cached_property
    def dotted(self) -> str:
        """The name under which it can be imported."""
        return f"{self.call.__module__}.{self.call.__qualname__}"

    @property
    def where(self) -> str:
        """File, line and name, for errors."""
        return place(self.call)

    @property
    def kind(self) -> str:
        """The kind of event that it serves."""
        return self.event.__kind__

    @property
    def doc(self) -> str:
        """Its docstring."""
        return inspect.getdoc(self.call) or ""

    @cached_property
    def snapshots(self) -> tuple[type[Snapshot], ...]:
        """The snapshots that it takes, in order."""
        return tuple(taken for taken in self.parameters if issubclass(taken, Snapshot))

    @cached_property
    def takes_plan(self) -> bool:
        """Whether it looks at the plan so far."""
        return Plan in self.parameters

    @cached_property
    def day(self) -> str:
        """Its date, ISO."""
        return self.date.isoformat()

    def declares(self, step: object) -> bool:
        """Tell whether the signature announces what was yielded."""
        kind = type(step)
        return kind in self.yields or (isinstance(step, Operation) and (kind, step.mapped) in self.yields)

    def can_yield(self, what: Any) -> bool:
        """Tell whether the signature announces a step of the type that an amendment names; which codes a check uses, it does not say."""
        if isinstance(what, str):
            return Reject in self.yields
        return (what if isinstance(what, type) else (get_origin(what), *get_args(what))) in self.yields


def role_of(found: Any) -> Role | None:
    role = getattr(found, _MARK, None)
    return role if isinstance(role, Role) else None


def function_of(call: Callable[..., Any], role: Role, day: date) -> Function:
    """Return what a marked function's signature says.

    Raises:
        BadSignature: Naming file, function and mend.
    """
    where = place(call)
    try:
        hints = get_type_hints(call)
        signature = inspect.signature(call)
    except (NameError, TypeError) as error:
        raise BadSignature(
            f"{where}: its annotations cannot be read ({error}); import what they name at run time too"
        ) from error
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        raise BadSignature(f"{where}: is async; a decision waits for nothing: write a plain def")
    parameters = tuple(_parameter(where, name, parameter, hints) for name, parameter in signature.parameters.items())
    events = [taken for taken in parameters if issubclass(taken, Event)]
    if len(events) != 1:
        raise BadSignature(
            f"{where}: takes {len(events)} events; a {role.name} takes exactly one, as in (event: Pay, payer: Payer)"
        )
    if not events[0].__kind__:
        raise BadSignature(
            f'{where}: {events[0].__qualname__} has no kind; write class {events[0].__qualname__}(Event, kind="…")'
        )
    if len(set(parameters)) != len(parameters):
        raise BadSignature(f"{where}: takes one type twice; each event, snapshot and plan is passed once")
    yields = _yields(where, role, hints.get("return"))
    amends = targets_of(call) if yields & {Drop, Replace} else ()
    if yields & {Drop, Replace} and not amends:
        raise BadSignature(
            f"{where}: announces that it amends, and amends nothing in its own code; write Drop(…) or Replace(…) there"
        )
    made = Function(call, role, day, events[0], parameters, yields, amends)
    try:
        for snapshot in made.snapshots:
            fields_of(snapshot)
    except Unloadable as error:
        raise type(error)(f"{where}: {error}") from error
    return made


def _parameter(where: str, name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> type:
    if (
        parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        or parameter.default is not parameter.empty
    ):
        raise BadSignature(f"{where}: parameter {name!r} must be plain and without a default; it is filled by its type")
    taken = hints.get(name)
    if taken is None:
        raise BadSignature(
            f"{where}: parameter {name!r} has no type; it is filled by its type: an Event, a Snapshot, or Plan"
        )
    if not (isinstance(taken, type) and (taken is Plan or issubclass(taken, Event | Snapshot))):
        raise BadSignature(
            f"{where}: parameter {name!r} is {taken!r}; only an Event, Snapshots and Plan can be asked for"
        )
    return taken


def _yields(where: str, role: Role, annotation: Any) -> frozenset[Any]:
    args = get_args(annotation)
    if not args or not (isinstance(get_origin(annotation), type) and issubclass(Iterator, get_origin(annotation))):
        raise BadSignature(
            f"{where}: its return type does not say what it yields; write -> Yields[Reject] or Yields[Update[Account] | Tell]"
        )
    union = args[0]
    parts = get_args(union) if get_origin(union) in (Union, UnionType) else (union,)
    found = frozenset(_announced(where, part) for part in parts)
    wrong = [part for part in found - {Drop, Replace} if (part is Reject) != (role.name == "check")]
    if wrong:
        mend = (
            "a check yields Reject only, or amends what earlier checks reject"
            if role.name == "check"
            else "only a check may Reject; move the refusal into a @check"
        )
        raise BadSignature(f"{where}: {mend}")
    return found


def _announced(where: str, part: Any) -> Any:
    origin = get_origin(part)
    if isinstance(origin, type) and issubclass(origin, Operation):
        table = get_args(part)[0]
        if not hasattr(table, "__mapper__"):
            named = getattr(getattr(table, "__table__", None), "__name__", "Account")
            raise BadSignature(
                f"{where}: announces {origin.__name__}[{getattr(table, '__name__', table)}]; "
                f"it is of a mapped class, a SQLAlchemy model: write {origin.__name__}[{named}]"
            )
        return origin, table
    if isinstance(part, type) and issubclass(part, Operation):
        raise BadSignature(f"{where}: {part.__name__} does not say of which table; write {part.__name__}[Account]")
    if isinstance(part, type) and (
        part in (Reject, Concerns, Drop, Replace) or (issubclass(part, Effect) and part is not Effect)
    ):
        return part
    raise BadSignature(
        f"{where}: announces {part!r}; only Insert[…], Update[…], Delete[…], effects, Concerns, Drop, Replace and Reject can be yielded"
    )
