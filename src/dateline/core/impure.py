"""What a function's code does that a decision must not: told from its source, before anything runs."""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

from dateline.core.effect import Effect
from dateline.core.layer import Function
from dateline.core.operation import Operation
from dateline.core.source import named, tree
from dateline.core.step import Reject, Step

__all__ = ["Offence", "helpers", "impurities", "names", "yields"]


class Offence(NamedTuple):
    """One thing that should not be in a function.

    Args:
        line: Where in its file.
    """

    rule: str
    line: int
    reason: str
    mend: str


_CLOCK = ("clock", "asks the clock", "use event.meta.at")
_CHANCE = ("chance", "asks chance", "use event.new_id(…), which is the same in every replay")
_OUTSIDE = ("outside", "reaches outside of the decision", "read it in a snapshot, or yield an effect")
_ENVIRONMENT = ("environment", "asks the environment", "make it a row, and read it in a snapshot")

_MODULES = {
    "time": _CLOCK,
    "random": _CHANCE,
    "secrets": _CHANCE,
    "numpy.random": _CHANCE,
    **dict.fromkeys(
        (
            *(
                "socket",
                "ssl",
                "subprocess",
                "shutil",
                "tempfile",
                "glob",
                "pathlib",
                "io",
                "urllib",
                "http",
                "ftplib",
                "smtplib",
            ),
            *(
                "requests",
                "httpx",
                "aiohttp",
                "asyncio",
                "threading",
                "multiprocessing",
                "sqlite3",
                "psycopg",
                "logging",
                "structlog",
            ),
        ),
        _OUTSIDE,
    ),
    **dict.fromkeys(("os", "posix", "nt"), _OUTSIDE),
}
"""Modules whose functions a decision does not call."""

_NAMED = {
    "open": _OUTSIDE,
    "print": _OUTSIDE,
    "input": _OUTSIDE,
    "uuid1": _CHANCE,
    "uuid4": _CHANCE,
    "uuid7": _CHANCE,
    "urandom": _CHANCE,
    "getenv": _ENVIRONMENT,
}
_NOW = frozenset({"now", "utcnow", "today"})
_CHANGING = frozenset(
    {
        "append",
        "extend",
        "insert",
        "add",
        "update",
        "setdefault",
        "pop",
        "popitem",
        "remove",
        "discard",
        "clear",
        "sort",
        "reverse",
    }
)


def helpers(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield a function, and those beside it in its own package that it calls, and that they call."""
    seen: dict[Any, None] = {function: None}
    waiting = [function]
    package = function.__module__.rpartition(".")[0]
    while waiting:
        here = waiting.pop()
        yield here
        for node in _walked(here):
            if not isinstance(node, ast.Call):
                continue
            found = _meant(node.func, here)
            inside = isinstance(found, FunctionType) and (
                found.__module__ == here.__module__ or (bool(package) and found.__module__.startswith(f"{package}."))
            )
            if inside and found not in seen:
                seen[found] = None
                waiting.append(found)


def _walked(function: Callable[..., Any]) -> list[ast.AST]:
    try:
        [made] = tree(function).body
    except (OSError, SyntaxError, ValueError):
        return []
    if isinstance(made, ast.FunctionDef):
        # Neither its decorators nor its annotations run when it decides.
        made = ast.FunctionDef(made.name, made.args, made.body, [], None, lineno=made.lineno)
        return [node for part in made.body for node in ast.walk(part)]
    return list(ast.walk(made))


def _meant(node: ast.expr, function: Callable[..., Any]) -> Any:
    """Return what an expression means, as far as the function's surroundings tell; None where they do not."""
    try:
        return named(node, function)
    except (LookupError, TypeError, ValueError):
        return getattr(builtins, node.id, None) if isinstance(node, ast.Name) else None


def _line(function: Callable[..., Any], node: ast.AST) -> int:
    code: Any = getattr(function, "__code__", None)
    return int(code.co_firstlineno) + getattr(node, "lineno", 1) - 1


def impurities(function: Callable[..., Any]) -> Iterator[Offence]:
    """Yield what a function does that another run could do otherwise, or that leaves a trace outside of the plan."""
    for node in _walked(function):
        line = _line(function, node)
        if isinstance(node, ast.Call):
            found = _forbidden(node.func, function)
            if found is not None:
                rule, reason, mend = found
                yield Offence(rule, line, f"{reason}: {ast.unparse(node.func)}()", mend)
            elif (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in _CHANGING
                and _shared(node.func.value, function)
            ):
                yield Offence(
                    "state", line, f"changes {ast.unparse(node.func.value)}, which all runs share", "yield an operation"
                )
        elif isinstance(node, ast.Attribute) and _meant(node, function) is os.environ:
            yield Offence(_ENVIRONMENT[0], line, f"{_ENVIRONMENT[1]}: {ast.unparse(node)}", _ENVIRONMENT[2])
        elif isinstance(node, ast.Global):
            yield Offence("state", line, f"changes {', '.join(node.names)}, which all runs share", "yield an operation")
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Store | ast.Del)
            and _shared(node.value, function)
        ):
            yield Offence(
                "state", line, f"changes {ast.unparse(node.value)}, which all runs share", "yield an operation"
            )
        elif isinstance(node, ast.Attribute) and node.attr == "version" and _is_meta(node.value):
            yield Offence("version", line, "looks at its own version", "let a later date supersede this function")
        elif isinstance(node, ast.For | ast.comprehension) and _unordered(node.iter, function):
            yield Offence(
                "order",
                _line(function, node.iter),
                f"goes through a set, whose order is another in every process: {ast.unparse(node.iter)}",
                "go through sorted(…)",
            )


def _forbidden(func: ast.expr, function: Callable[..., Any]) -> tuple[str, str, str] | None:
    if isinstance(func, ast.Attribute) and func.attr in _NOW and _meant(func.value, function) in (datetime, date):
        return _CLOCK
    found = _meant(func, function)
    if found is None:
        return None
    if isinstance(found, BuiltinFunctionType | FunctionType) and found.__name__ in _NAMED:
        return _NAMED[found.__name__]
    # A bound method is of its object's class: random.random() is one of a Random.
    owner = getattr(found, "__self__", None)
    of = type(owner) if owner is not None and not isinstance(owner, ModuleType | type) else found
    module = getattr(of, "__module__", None) or ""
    while module:
        if module in _MODULES:
            return _MODULES[module]
        module = module.rpartition(".")[0]
    return None


def _shared(node: ast.expr, function: Callable[..., Any]) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and isinstance(_meant(node, function), list | dict | set)


def _is_meta(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "meta"


def _unordered(node: ast.expr, function: Callable[..., Any]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        return _meant(node.func, function) in (set, frozenset)
    if isinstance(node, ast.BinOp):
        return _unordered(node.left, function) or _unordered(node.right, function)
    return isinstance(node, ast.Name | ast.Attribute) and isinstance(_meant(node, function), set | frozenset)


def names(function: Callable[..., Any]) -> set[str]:
    """Return every name that a function's code takes of something, and every text in it: what a column could be meant by."""
    found = set()
    for node in _walked(function):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def yields(function: Function) -> Iterator[Offence]:
    """Yield what of a check's or handler's yields cannot be right: not announced, or without a part where there may be several."""
    call = function.call
    try:
        body = tree(call)
    except (OSError, SyntaxError):
        return
    for node, looped in _yielded(body, looped=False):
        made = node.value
        keyed = isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr == "keyed"
        if keyed:
            assert isinstance(made, ast.Call)
            assert isinstance(made.func, ast.Attribute)
            made = made.func.value
        kind = _meant(made.func, call) if isinstance(made, ast.Call) else None
        if not (isinstance(kind, type) and issubclass(kind, Step)):
            continue
        assert isinstance(made, ast.Call)
        line, told = _line(call, node), ast.unparse(made.func)
        if not _announced(function, kind, made):
            yield Offence(
                "undeclared", line, f"yields {told}, which the signature does not announce", f"add {told} to Yields[…]"
            )
        if looped and not keyed and _partless(kind):
            yield Offence(
                "keyless",
                line,
                f"yields {told} in a loop, all under one key",
                'yield it with .keyed("…"), or declare key= on the effect',
            )


def _yielded(node: ast.AST, *, looped: bool) -> Iterator[tuple[ast.Yield, bool]]:
    if isinstance(node, ast.Yield):
        yield node, looped
    inside = looped or isinstance(node, ast.For | ast.While)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda) or isinstance(node, ast.Module):
            yield from _yielded(child, looped=inside)


def _announced(function: Function, kind: type[Step], made: ast.Call) -> bool:
    if not issubclass(kind, Operation):
        return kind in function.yields
    announced = {found[1] for found in function.yields if isinstance(found, tuple) and found[0] is kind}
    if kind.__name__ != "Insert" or not made.args:
        # Which table an Update is of, only the record tells.
        return bool(announced)
    table = _meant(made.args[0], function.call)
    return table is None or table in announced


def _partless(kind: type[Step]) -> bool:
    return kind is Reject or (issubclass(kind, Effect) and kind.__key__ is None)
