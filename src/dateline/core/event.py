"""One request as a frozen value: input and meta."""

from __future__ import annotations

import string
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, ClassVar, Self
from uuid import UUID, uuid5

from dateline.core.canon import canonical
from dateline.core.meta import Actor, Meta, NewId, Reason
from dateline.core.model import Model
from dateline.errors import NoMeta, Unloadable

__all__ = ["Event", "fill", "places", "plain"]

_RESERVED = frozenset({"meta", "subjects", "stamped", "with_meta", "new_id"})

_BARE = UUID("6b1de7c0-2f5a-5b0e-9b6e-5c0f2d1b7a11")


def fill(template: str, model: Model) -> str:
    """Return a template such as `account:{account}` with the model's fields in its places."""
    return template.format_map(model.__dict__ if plain(template) else _Fields(model))


@cache
def plain(template: str) -> bool:
    """Tell whether all places of a template are names of fields."""
    return all(name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(template))


class _Fields(dict[str, Any]):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def __missing__(self, name: str) -> Any:
        return getattr(self.model, name)


def places(template: str) -> Iterable[str]:
    """Return the field names that a template has places for."""
    return [
        name.partition(".")[0].partition("[")[0]
        for _, name, _, _ in string.Formatter().parse(template)
        if name is not None
    ]


class Event(Model):
    """The base of every event: `class Pay(Event, kind="pay", subjects=("account:{account}",))`.

    Args:
        kind: The namespaced name under which it is recorded for ever; a subclass without one is another shape of its base's kind.
        subjects: Whom or what it is about, as templates over its fields; the first is whose its personal values are.
        requires: The right that an actor needs.
        record_refusals: False for kinds whose refused tries nobody wants to keep.
    """

    __kind__: ClassVar[str] = ""
    __subjects__: ClassVar[tuple[str, ...]] = ()
    __requires__: ClassVar[str | None] = None
    __record_refusals__: ClassVar[bool] = True

    def __init_subclass__(
        cls,
        *,
        kind: str | None = None,
        subjects: tuple[str, ...] | None = None,
        requires: str | None = None,
        record_refusals: bool | None = None,
        **config: Any,
    ) -> None:
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        kind: str | None = None,
        subjects: tuple[str, ...] | None = None,
        requires: str | None = None,
        record_refusals: bool | None = None,
        **config: Any,
    ) -> None:
        where = f"{cls.__module__}.{cls.__qualname__}"
        if kind is not None:
            if not (isinstance(kind, str) and kind):
                raise Unloadable(f'{where}: kind is a text that is not empty, such as kind="pay"')
            cls.__kind__ = kind
        if subjects is not None:
            cls.__subjects__ = subjects
        if requires is not None:
            cls.__requires__ = requires
        if record_refusals is not None:
            cls.__record_refusals__ = record_refusals
        if not isinstance(cls.__subjects__, tuple):
            raise Unloadable(f"{where}: subjects is a tuple of templates; write subjects=({cls.__subjects__!r},)")
        for template in cls.__subjects__:
            for name in places(template):
                if name not in cls.model_fields:
                    raise Unloadable(f"{where}: its subject {template!r} names {name!r}, which is not a field of it")
        for name in _RESERVED & cls.model_fields.keys():
            raise Unloadable(f"{where}: `{name}` is what every event has beside its fields; name the field otherwise")

    @property
    def meta(self) -> Meta:
        """Id, instant, actor, version, reason, cause.

        Raises:
            NoMeta: For a bare event.
        """
        # Kept where pydantic keeps what is private, but not declared: that would cost every event its making.
        meta: Meta | None = (self.__pydantic_private__ or {}).get("_meta")
        if meta is None:
            raise NoMeta(f"this {type(self).__name__} is bare; in a test, give it a meta: event.stamped(at=…, actor=…)")
        return meta

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom or what the event is about, by its own fields."""
        return tuple(fill(template, self) for template in self.__subjects__)

    def stamped(
        self,
        *,
        at: datetime,
        actor: Actor | str,
        id: UUID | None = None,
        version: date | None = None,
        reason: Reason | str | None = None,
        cause: UUID | None = None,
    ) -> Self:
        """Return the same event with a meta, for tests; without an id it gets one that depends on its input and instant."""
        if at.tzinfo is None:
            raise ValueError(f"{at!r} is naive; an instant has a time zone")
        at = at.astimezone(UTC)
        meta = Meta(
            id=id or uuid5(_BARE, canonical([self.__kind__, self, at]).decode()),
            at=at,
            actor=Actor.of(actor),
            version=version,
            reason=Reason.of(reason),
            cause=cause,
        )
        return self.with_meta(meta)

    def with_meta(self, meta: Meta) -> Self:
        """Return the same event with this meta."""
        # A copy with another private part; pydantic's own takes three times as long. It is ours until it is returned.
        made = self.__new__(type(self))
        put = object.__setattr__
        put(made, "__pydantic_extra__", self.__pydantic_extra__)
        put(made, "__pydantic_fields_set__", self.__pydantic_fields_set__)
        # Shared, since neither of the two ever changes.
        put(made, "__dict__", self.__dict__)
        put(made, "__pydantic_private__", {**(self.__pydantic_private__ or {}), "_meta": meta})
        return made

    def new_id(self, name: str) -> NewId:
        """Return an id that this event, and no other, gives to what it makes under that name; the same in every replay."""
        return NewId(self.meta.id, name)

    def __eq__(self, other: object) -> bool:
        """Two events are equal where kind and input are: who sent them and when is not part of what is asked."""
        return type(self) is type(other) and isinstance(other, Event) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), canonical(self)))
