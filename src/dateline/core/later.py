"""Values whose parts are made when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

__all__ = ["Later", "later", "whole"]

L = TypeVar("L", bound="Later")


class Later:
    """The base of a frozen dataclass with slots, some of whose fields are made only when they are asked for, and then kept.

    To whoever has one, it is like any other: comparing, showing, copying and replacing ask for every field, and so make it whole.
    Two threads may make the same part at once; they make the same.
    """

    __slots__ = ("_make",)
    _make: Callable[[Any, str], Mapping[str, Any]]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    if not TYPE_CHECKING:
        # Not shown to type checkers: a class with this method has, to them, every attribute that anybody misspells.
        def __getattr__(self, name: str) -> Any:
            # Called only for what is in no slot yet.
            if name not in type(self).__dataclass_fields__:
                raise AttributeError(f"{type(self).__name__} has no {name}")
            made = self._make(self, name)
            for part, value in made.items():
                object.__setattr__(self, part, value)
            return made[name]


def later(kind: type[L], known: Mapping[str, Any], make: Callable[[L, str], Mapping[str, Any]]) -> L:
    """Return a value of which some fields are known.

    Args:
        make: Returns, by name, a field that is not known, and others that come with it; given the value itself and the field's name.
            It must need nothing that could be closed before it is called.
    """
    made = kind.__new__(kind)
    put = object.__setattr__
    for name, value in known.items():
        put(made, name, value)
    put(made, "_make", make)
    return made


def whole(value: Later) -> None:
    """Make every field that was not asked for yet."""
    for name in value.__dataclass_fields__:
        getattr(value, name)
