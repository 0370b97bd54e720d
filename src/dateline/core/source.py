"""The code of functions and modules, read as Python reads it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import lru_cache
from textwrap import dedent
from threading import Lock
from types import CodeType, ModuleType
from typing import Any

__all__ = ["named", "tree"]

# CPython 3.11's AST builder counts its depth across threads (python/cpython issue 106905).
_PARSER = Lock()


def tree(of: ModuleType | Callable[..., Any]) -> ast.Module:
    """Return the syntax tree of a module's or a function's source.

    Raises:
        OSError, SyntaxError: Where there is no source, or it is none of Python's.
    """
    code = getattr(of, "__code__", None)
    return _of_module(of) if code is None else _shared(code)


@lru_cache(1000)
def _of_module(module: Any) -> ast.Module:
    # Loading and checking ask for it; a module that is imported anew is another.
    return _parsed(module)


@lru_cache(1000)
def _shared(code: CodeType) -> ast.Module:
    # Functions that one place made, each with variables of its own, share it.
    return _parsed(code)


def _parsed(of: ModuleType | Callable[..., Any] | CodeType) -> ast.Module:
    text = dedent(inspect.getsource(of))
    with _PARSER:
        return ast.parse(text)


def named(node: ast.expr, function: Callable[..., Any]) -> Any:
    """Return what an expression of names, attributes, subscripts and literals means where a function stands.

    Raises:
        LookupError: Where only running the function could tell, as of its own variables.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        known: Any = function
        cells = dict(zip(known.__code__.co_freevars, known.__closure__ or (), strict=True))
        if node.id in cells:
            return cells[node.id].cell_contents
        if node.id in known.__code__.co_varnames:
            raise LookupError(node.id)
        return known.__globals__[node.id]
    if isinstance(node, ast.Attribute):
        try:
            return getattr(named(node.value, function), node.attr)
        except AttributeError as error:
            raise LookupError(node.attr) from error
    if isinstance(node, ast.Subscript):
        return named(node.value, function)[named(node.slice, function)]
    raise LookupError(ast.unparse(node))
