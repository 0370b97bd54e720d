"""What a layer changes of the steps of earlier ones: it drops one, or puts another of its type in its place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, overload

from dateline.core.effect import Effect
from dateline.core.model import place
from dateline.core.operation import Operation
from dateline.core.source import named, tree
from dateline.core.step import Reject, Step
from dateline.errors import BadSignature, UndeclaredStep, WrongValue

__all__ = ["Amended", "Amendment", "Drop", "Replace", "Target", "matches", "targets_of", "told", "undeclared"]

S = TypeVar("S", bound=Step)


class Target(NamedTuple):
    """Which step of which earlier function is amended, as the code names it.

    Args:
        what: An effect's class, an operation's such as `Insert[Prescription]`, or a rejection's code.
        parted: Whether a part is named, which only a decision tells.
    """

    function: Callable[..., Any]
    what: Any
    parted: bool

    @property
    def name(self) -> str:
        """The step's type, as its key names it."""
        return told(self.what)


class Amended(NamedTuple):
    """What became of one amendment in one decision.

    Args:
        step: The key of the step that it was about; without a part where none was yielded.
        verb: "drop" or "replace".
        moot: There was no such step this time.
        handler: Dotted name of the function that amends.
        date: That function's date, ISO.
    """

    step: str
    verb: str
    moot: bool
    because: str
    slot: str
    handler: str
    date: str


class Amendment(Step):
    """What `Drop` and `Replace` have in common: the function and the step that are meant, and why.

    Raises:
        WrongValue: For what names no function, no type of a step, or no reason.
    """

    verb = ""

    def __init__(self, function: Callable[..., Any], what: Any, *, because: str, part: str | None = None) -> None:
        sort = type(self).__name__
        if not callable(function) or isinstance(function, type):
            raise WrongValue(f"{sort} takes the function whose step is meant, as in {sort}(prescribe, NotifyPatient)")
        if not _is_type(what):
            raise WrongValue(
                f"{sort} takes the type of the step that is meant: an effect's class, Insert[Prescription], or a rejection's code"
            )
        if not (isinstance(because, str) and because):
            raise WrongValue(f"{sort} takes the reason, a text that is not empty: because=…")
        self.function = function
        self.what = what
        self.because = because
        self.part = part

    def step_type(self) -> str:
        """Return what it does to a step of which type."""
        return f"{type(self).__name__}:{getattr(self.function, '__name__', '')}/{told(self.what)}"

    def step_part(self) -> str | None:
        """Return the part of the step that is meant."""
        return self.part

    def __repr__(self) -> str:
        part = f"[{self.part}]" if self.part is not None else ""
        return f"{type(self).__name__}({getattr(self.function, '__name__', self.function)}/{told(self.what)}{part})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Amendment) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), self.function, told(self.what), self.part))


class Drop(Amendment):
    """A step of an earlier layer is no more: `Drop(prescribe, NotifyPatient, because=…)`, `Drop(not_allergic, "allergic", because=…)`.

    Args:
        part: Which step, where the function yields several of that type.
    """

    verb = "drop"


class Replace(Amendment):
    """A step of an earlier layer becomes another of its type, in its place: `Replace(prescribe, NotifyPatient, other, because=…)`.

    Raises:
        WrongValue: Where the new step is of another type.
    """

    verb = "replace"

    @overload
    def __init__(
        self, function: Callable[..., Any], what: type[S], step: S, *, because: str, part: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self, function: Callable[..., Any], what: str, step: Reject, *, because: str, part: str | None = None
    ) -> None: ...
    def __init__(
        self, function: Callable[..., Any], what: Any, step: Step, *, because: str, part: str | None = None
    ) -> None:
        super().__init__(function, what, because=because, part=part)
        if not matches(what, step):
            raise WrongValue(f"Replace({told(what)}) takes another {told(what)}, not {_sort(step)}")
        self.step = step


def _is_type(what: Any) -> bool:
    if isinstance(what, str):
        return bool(what)
    origin = get_origin(what)
    if isinstance(origin, type) and issubclass(origin, Operation):
        return True
    return isinstance(what, type) and issubclass(what, Effect) and what is not Effect


def _sort(step: object) -> str:
    return step.step_type() if isinstance(step, Step) else type(step).__name__


def told(what: Any) -> str:
    """Return the type of a step as keys name it."""
    if isinstance(what, str):
        return what
    origin = get_origin(what)
    if origin is not None:
        mapped = get_args(what)[0]
        return f"{origin.__name__}:{getattr(getattr(mapped, '__table__', None), 'fullname', mapped)}"
    return str(getattr(what, "__kind__", what))


def matches(what: Any, step: object) -> bool:
    """Tell whether a step is of the type that is meant."""
    if isinstance(what, str):
        return type(step) is Reject and step.code == what
    origin = get_origin(what)
    if origin is not None:
        return type(step) is origin and getattr(step, "mapped", None) is get_args(what)[0]
    return type(step) is what


def targets_of(function: Callable[..., Any]) -> tuple[Target, ...]:
    """Return what a function may amend, read off its code: loading has to know it before anything is decided.

    Raises:
        BadSignature: Where a target is not named there, by the function itself and a type or a code.
    """
    where = place(function)
    try:
        calls = [node for node in ast.walk(tree(function)) if isinstance(node, ast.Call)]
    except (OSError, SyntaxError) as error:
        raise BadSignature(f"{where}: amends, and its source cannot be read ({error})") from error
    return tuple(dict.fromkeys(_targets(where, function, calls)))


def _targets(where: str, function: Callable[..., Any], calls: list[ast.Call]) -> Iterator[Target]:
    for call in calls:
        try:
            sort = named(call.func, function)
        except LookupError:
            continue
        if sort not in (Drop, Replace):
            continue
        mend = f"write {sort.__name__}(prescribe, NotifyPatient, because=…) with the function and the type themselves"
        try:
            earlier, what = (named(node, function) for node in call.args[:2])
        except (LookupError, ValueError) as error:
            raise BadSignature(f"{where}: names what it amends by what only running it could tell; {mend}") from error
        if not callable(earlier) or not _is_type(what):
            raise BadSignature(f"{where}: amends {ast.unparse(call)}; {mend}")
        yield Target(earlier, what, any(word.arg == "part" for word in call.keywords))


def undeclared(amendment: Amendment, targets: tuple[Target, ...], where: str) -> None:
    """Refuse an amendment that the function's own code does not name.

    Raises:
        UndeclaredStep: Naming the function.
    """
    if not any(one.function is amendment.function and one.what == amendment.what for one in targets):
        raise UndeclaredStep(f"{where} yields {amendment!r}, which its own code does not name; make it there")
