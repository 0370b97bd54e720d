"""What comes from outside becomes an event here, and nowhere else; and a decision without any database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from dateline.core.canon import DEEPEST, canonical
from dateline.core.event import Event
from dateline.core.plan import Plan
from dateline.core.scan import exact, unambiguous
from dateline.core.snapshot import Snapshot
from dateline.core.version import Versions
from dateline.errors import Malformed, NotCanonical

__all__ = ["decide", "parse", "partial"]

E = TypeVar("E", bound=Event)


def parse(shape: type[E], body: bytes | str | Mapping[str, Any], largest: int) -> E:
    """Return the event that a body describes.

    Args:
        body: JSON text as it came, or a mapping of JSON's types.
        largest: The most bytes that are read.

    Raises:
        Malformed: Naming each fault by path, without the values that were sent.
    """
    if not isinstance(body, Mapping | str | bytes):
        raise Malformed(
            f"not a valid {shape.__qualname__}: a body is JSON text or a mapping, not {type(body).__name__}"
        )
    if isinstance(body, Mapping):
        try:
            body = json.dumps(body, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise Malformed(f"not a valid {shape.__qualname__}: the mapping is not made of JSON's types") from error
    size = (
        len(body) if isinstance(body, bytes) or len(body) * 4 <= largest else len(body.encode("utf-8", "surrogatepass"))
    )
    if size > largest:
        raise Malformed(f"not a valid {shape.__qualname__}: {size} bytes, and {largest} are read at most")
    try:
        made = shape.from_json(body)
        if not unambiguous(body):
            exact(shape)
        # What has no canonical form, such as an instant before the year 1 in UTC, could not be recorded.
        canonical(made)
    except Malformed as error:
        # The parser stops at that depth too, and says so in its own words.
        if any("recursion limit" in message for _, message in error.problems):
            raise Malformed(f"not a valid {shape.__qualname__}: nested deeper than {DEEPEST} levels") from None
        raise
    except UnicodeEncodeError:
        raise Malformed(f"not a valid {shape.__qualname__}: a lone surrogate is no text") from None
    except NotCanonical as error:
        raise Malformed(f"not a valid {shape.__qualname__}: {error}") from None
    return made


def partial(shape: type[E], known: Mapping[str, Any]) -> E:
    """Return an event of which only some fields are known; it is no event yet, and good for asking what it would see.

    Args:
        known: Values by field; a text stands for what it says where the field is of another type: "7", "true", '["a"]'.

    Raises:
        Malformed: For what is no field, or no value of one; naming each, without the values.
    """
    values: dict[str, Any] = {}
    problems = []
    for name, told in known.items():
        info = shape.model_fields.get(name)
        if info is None:
            problems.append((name, "is no field of it"))
            continue
        kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        try:
            values[name] = _told(TypeAdapter(kind), told)
        except ValidationError as error:
            problems += [(name, found["msg"]) for found in error.errors(include_input=False, include_url=False)[:1]]
    if problems:
        raise Malformed(f"not a valid {shape.__qualname__}: {', '.join(name for name, _ in problems)}", tuple(problems))
    return shape.model_construct(set(values), **values)


def _told(of: TypeAdapter[Any], told: Any) -> Any:
    if not isinstance(told, str):
        return of.validate_python(told, strict=True)
    try:
        found = of.validate_strings(told)
        # Pydantic takes a number for seconds since 1970; nobody who sends 0.5 or 7 means that.
        return of.validate_python(told, strict=True) if isinstance(found, date) and _numeric(told) else found
    except ValidationError:
        if told[:1] not in ("[", "{"):
            raise
        return of.validate_json(told, strict=True)


def _numeric(told: str) -> bool:
    try:
        float(told)
    except ValueError:
        return False
    return True


def decide(event: Event, *snapshots: Snapshot, version: date | str, versions: Versions) -> Plan:
    """Return what a version decides of an event, on the snapshots given, without any database.

    Args:
        event: With a meta, where a handler asks for it: `event.stamped(at=…, actor=…)`.
        snapshots: One of each class that the cascade needs.

    Raises:
        UnknownVersion: For a version before the first.
        Malformed: When a snapshot that a handler takes is missing.
        TypeError: For what are no versions.
    """
    if not isinstance(versions, Versions):
        raise TypeError(f'decide() takes versions=load("shop.versions"), not {type(versions).__name__}')
    chosen = versions.asked(version)
    cascade = versions.for_event(event, chosen.date)
    given = {type(snapshot): snapshot for snapshot in snapshots}
    missing = [snapshot.__qualname__ for snapshot in cascade.snapshots if snapshot not in given]
    if missing:
        raise Malformed(f"{event.__kind__} under {chosen.date} also needs {', '.join(missing)}")
    return cascade.decide(event, given)
