"""One side effect as data: notify, order, send. Nothing happens before its event is committed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self

from dateline.core.event import fill, places, plain
from dateline.core.model import Model
from dateline.core.step import Step
from dateline.errors import Unloadable

__all__ = ["Effect", "Retry"]


_RESERVED = frozenset({"correction", "keyed", "step_key", "step_type", "step_part"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often an effect is tried, and with which waits in between.

    Args:
        tries: After how many it is dead, until somebody has it tried again.
        first: The wait after the first; each further one is twice as long, up to `longest`, and each is cut by chance by up to a half.
        timeout: How long one try may take; what came of a longer one, nobody knows.
    """

    tries: int = 10
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(hours=1)
    timeout: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        if self.tries < 1 or min(self.first, self.longest) < timedelta(0) or self.timeout <= timedelta(0):
            raise Unloadable(f"{self} cannot be: an effect is tried at least once, and waits are not negative")

    def wait(self, tries: int, chance: float) -> timedelta:
        """Return the wait after a number of tries; `chance` is between 0 and 1."""
        whole: timedelta = min(self.first * 2 ** min(max(tries - 1, 0), 20), self.longest)
        return whole * (1 - chance / 2)


class Effect(Model, Step):
    """The base of every effect: `class Tell(Effect, kind="tell", key="{who}")`.

    Args:
        kind: The name under which it is recorded and delivered.
        key: A template over its fields that tells several of one kind in one event apart.
        subject: Whose its personal values are, as a template; without one, the event's first subject's.
        held: It waits for somebody's approval.
        expires: How long after its event it may still be delivered; without it, for ever.
        lane: A template over its fields: of effects for which it gives the same text, of whatever kind, each waits until all before it
            are done.
        retry: How often it is tried.
    """

    __held__: ClassVar[bool] = False
    __expires__: ClassVar[timedelta | None] = None
    __lane__: ClassVar[str | None] = None
    __retry__: ClassVar[Retry] = Retry()
    __kind__: ClassVar[str] = ""
    __key__: ClassVar[str | None] = None
    __subject__: ClassVar[str | None] = None

    def __init_subclass__(
        cls,
        *,
        kind: str | None = None,
        key: str | None = None,
        subject: str | None = None,
        held: bool | None = None,
        expires: timedelta | None = None,
        lane: str | None = None,
        retry: Retry | None = None,
        **config: Any,
    ) -> None:
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        kind: str | None = None,
        key: str | None = None,
        subject: str | None = None,
        held: bool | None = None,
        expires: timedelta | None = None,
        lane: str | None = None,
        retry: Retry | None = None,
        **config: Any,
    ) -> None:
        cls.__kind__ = kind or cls.__kind__
        cls.__key__ = key or cls.__key__
        cls.__subject__ = subject or cls.__subject__
        cls.__held__ = cls.__held__ if held is None else held
        cls.__expires__ = expires or cls.__expires__
        cls.__lane__ = lane or cls.__lane__
        cls.__retry__ = retry or cls.__retry__
        where = f"{cls.__module__}.{cls.__qualname__}"
        if not cls.__kind__:
            raise Unloadable(
                f'{where}: an effect is recorded by its kind; write class {cls.__name__}(Effect, kind="…")'
            )
        for name in _RESERVED & cls.model_fields.keys():
            raise Unloadable(f"{where}: `{name}` is what every step has beside its fields; name the field otherwise")
        for template in filter(None, (cls.__key__, cls.__subject__, cls.__lane__)):
            for name in places(template):
                if name not in cls.model_fields:
                    raise Unloadable(f"{where}: {template!r} names {name!r}, which is not a field of it")

    def correction(self) -> Effect | None:
        """Return what makes it good where it was sent and turns out to be unwanted; None where it cannot be unsent."""
        return None

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
