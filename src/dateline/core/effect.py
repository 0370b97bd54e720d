"""One side effect as data: notify, order, send. Nothing happens before its event is committed."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from dateline.core.event import fill, places, plain
from dateline.core.model import Model
from dateline.core.step import Step
from dateline.errors import Unloadable

__all__ = ["Effect"]


_RESERVED = frozenset({"keyed", "step_key", "step_type", "step_part"})


class Effect(Model, Step):
    """The base of every effect: `class Tell(Effect, kind="tell", key="{who}")`.

    Args:
        kind: The name under which it is recorded and delivered.
        key: A template over its fields that tells several of one kind in one event apart.
        subject: Whose its personal values are, as a template; without one, the event's first subject's.
    """

    __kind__: ClassVar[str] = ""
    __key__: ClassVar[str | None] = None
    __subject__: ClassVar[str | None] = None

    def __init_subclass__(
        cls, *, kind: str | None = None, key: str | None = None, subject: str | None = None, **config: Any
    ) -> None:
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, kind: str | None = None, key: str | None = None, subject: str | None = None, **config: Any
    ) -> None:
        cls.__kind__ = kind or cls.__kind__
        cls.__key__ = key or cls.__key__
        cls.__subject__ = subject or cls.__subject__
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not cls.__kind__:
            raise Unloadable(
                f'{where}: an effect is recorded by its kind; write class {cls.__name__}(Effect, kind="…")'
            )
        for name in _RESERVED & cls.model_fields.keys():
            raise Unloadable(f"{where}: `{name}` is what every step has beside its fields; name the field otherwise")
        for template in filter(None, (cls.__key__, cls.__subject__)):
            for name in places(template):
                if name not in cls.model_fields:
                    raise Unloadable(f"{where}: {template!r} names {name!r}, which is not a field of it")

    def keyed(self, part: str) -> Self:
        """Return the same effect under a part of its own, where a handler yields several of one kind; yield what is returned.

        Args:
            part: What tells it apart in every replay; never a place in a list.
        """
        made = self.model_copy()
        # Not a field, so not frozen, and no part of what is recorded; declared as private, it would cost every effect its making.
        object.__setattr__(made, "__pydantic_private__", {**(self.__pydantic_private__ or {}), "_part": part})
        return made

    def step_key(self, slot: str) -> str:
        """Return the effect's key: as every step's, in fewer calls, since an event has many effects."""
        private, template = self.__pydantic_private__, self.__key__
        if private or not (template and plain(template)):
            return super().step_key(slot)
        return f"{slot}/{self.__kind__}[{template.format_map(self.__dict__)}]"

    def step_type(self) -> str:
        """Return the effect's kind."""
        return self.__kind__

    def step_part(self) -> str | None:
        """Return what `keyed` or the declared key says."""
        part: str | None = (self.__pydantic_private__ or {}).get("_part")
        return part if part is not None else fill(self.__key__, self) if self.__key__ else None
