"""What comes from outside becomes an event here, and nowhere else; and a decision without any database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar

from dateline.core.canon import DEEPEST, plain
from dateline.core.event import Event
from dateline.core.plan import Plan
from dateline.core.snapshot import Snapshot
from dateline.core.version import Versions
from dateline.errors import Malformed, NotCanonical

__all__ = ["decide", "parse"]

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
        # What has no canonical form, such as an instant before the year 1 in UTC, could not be recorded.
        plain(made)
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
