"""What each version changed, told by machine: of fields, of who decides, of what is read and of what can come of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from dateline.core.catalogue import Explanation, Standing, explained
from dateline.core.version import Versions
from dateline.errors import UnknownKind

__all__ = ["Change", "Chapter", "between", "catalogue", "chapters", "markdown"]


@dataclass(frozen=True, slots=True)
class Change:
    """What one date, or several of them together, changed of one kind.

    Args:
        new: The kind begins with this date.
        fields: Of the shape: "+name", "-name", or "name" where type, limits or default changed.
        opened: New slots, each with its holder's first sentence.
        superseded: Slots with another holder, in the same way.
        retired: Slots that nobody holds any more.
        amends: Steps of earlier slots that are dropped or replaced from now on.
        restores: Steps that were dropped or replaced until now.
        reads: What is seen: "+Snapshot.field", "-Snapshot.field".
        yields: What can come of it: "+Insert:task", "-patient.notify", "+check/code".
    """

    kind: str
    new: bool
    fields: tuple[str, ...]
    opened: tuple[tuple[str, str], ...]
    superseded: tuple[tuple[str, str], ...]
    retired: tuple[str, ...]
    amends: tuple[str, ...]
    restores: tuple[str, ...]
    reads: tuple[str, ...]
    yields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """One version: what its folder says of it, and what it changed.

    Args:
        instant: From when it is in force, in UTC, ISO.
    """

    version: str
    instant: str
    title: str
    why: str
    changes: tuple[Change, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types, with keys that stay."""
        return asdict(self)


def chapters(versions: Versions, since: date | None = None) -> tuple[Chapter, ...]:
    """Return the history of all versions, oldest first.

    Args:
        since: Leave older dates out.
    """
    made = []
    for version in versions.versions:
        if since is not None and version.date < since:
            continue
        changed = [(cascade.kind, day) for cascade, day in _days(versions) if day == version.date]
        changes = [
            _change(kind, _before(versions, kind, day), explained(versions, kind, day)) for kind, day in sorted(changed)
        ]
        made.append(
            Chapter(version.date.isoformat(), version.instant.isoformat(), version.title, version.why, tuple(changes))
        )
    return tuple(made)


def _days(versions: Versions) -> Iterable[tuple[Any, date]]:
    return ((cascade, cascade.version) for cascade in versions.cascades() if cascade.version is not None)


def between(versions: Versions, base: date, version: date) -> tuple[Change, ...]:
    """Return what lies between two versions, kind by kind, in whichever order they are told: from the earlier to the later.

    Raises:
        UnknownVersion: Where there is none such.
    """
    found = []
    for kind in versions.kinds:
        then, now = (_explained(versions, kind, day) for day in sorted((base, version)))
        if now is not None and (then is None or then.slots != now.slots or then.input != now.input):
            found.append(_change(kind, then, now))
    return tuple(found)


def _explained(versions: Versions, kind: str, day: date) -> Explanation | None:
    try:
        return explained(versions, kind, day)
    except UnknownKind:
        return None


def _before(versions: Versions, kind: str, day: date) -> Explanation | None:
    """Return what a kind was before one of its dates; None where it began with that."""
    earlier = [found for cascade, found in _days(versions) if cascade.kind == kind and found < day]
    return explained(versions, kind, max(earlier)) if earlier else None


def _change(kind: str, then: Explanation | None, now: Explanation) -> Change:
    slots = {slot.name: slot for slot in then.slots} if then is not None else {}
    fields = {one.name: one for one in then.input} if then is not None else {}
    amended = _amends(then)
    return Change(
        kind=kind,
        new=then is None,
        fields=(
            *(f"-{name}" for name in fields if name not in {one.name for one in now.input}),
            *(one.name if one.name in fields else f"+{one.name}" for one in now.input if fields.get(one.name) != one),
        ),
        opened=tuple((slot.name, _sentence(slot)) for slot in now.slots if slot.name not in slots),
        superseded=tuple(
            (slot.name, _sentence(slot))
            for slot in now.slots
            if slot.name in slots and slot.holder is not None and slot.holder != slots[slot.name].holder
        ),
        retired=tuple(
            slot.name for slot in now.slots if slot.holder is None and slot.name in slots and slots[slot.name].holder
        ),
        amends=tuple(sorted(_amends(now) - amended)),
        restores=tuple(sorted(step for step in amended - _amends(now) if step.partition("/")[0] in _held(now))),
        reads=_differing(_reads(then), _reads(now)),
        yields=_differing(_yields(then), _yields(now)),
    )


def _sentence(slot: Standing) -> str:
    return slot.holder.doc.partition("\n")[0] if slot.holder is not None else ""


def _amends(found: Explanation | None) -> set[str]:
    return {step for slot in found.slots for step in slot.amends} if found is not None else set()


def _held(found: Explanation) -> set[str]:
    """Return the names of all who hold a slot in force, or held it: an amendment may name either."""
    holders = [one for slot in found.slots if slot.holder is not None for one in (slot.holder, *slot.before)]
    return {one.name.rpartition(".")[2] for one in holders}


def _reads(found: Explanation | None) -> set[str]:
    return {f"{one.snapshot}.{one.field}" for one in found.reads} if found is not None else set()


def _yields(found: Explanation | None) -> set[str]:
    return {*found.operations, *found.effects, *found.rejections} if found is not None else set()


def _differing(before: set[str], after: set[str]) -> tuple[str, ...]:
    return (*(f"-{one}" for one in sorted(before - after)), *(f"+{one}" for one in sorted(after - before)))


def markdown(found: Iterable[Chapter]) -> str:
    """Return a history as Markdown, newest first."""
    lines = ["# Changelog of the rules", ""]
    for chapter in reversed(tuple(found)):
        # Some folders say their date first, and some do not.
        dated = chapter.title.startswith(chapter.version)
        title = chapter.title if dated else f"{chapter.version}: {chapter.title}" if chapter.title else chapter.version
        lines += [f"## {title}", ""]
        if chapter.why:
            lines += [chapter.why, ""]
        for change in chapter.changes:
            lines += [f"### `{change.kind}`{', new' if change.new else ''}", "", *_bullets(change), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _bullets(change: Change) -> Iterable[str]:
    for word, slots in (("new", change.opened), ("otherwise", change.superseded)):
        for name, sentence in slots:
            yield f"- {word}: `{name}`{f'. {sentence}' if sentence else ''}"
    for word, named in (
        ("ended", change.retired),
        ("amends", change.amends),
        ("restores", change.restores),
        ("fields", change.fields),
        ("reads", change.reads),
        ("can yield", change.yields),
    ):
        if named and not (change.new and word in ("fields", "reads")):
            yield f"- {word}: {', '.join(f'`{one}`' for one in named)}"


def catalogue(versions: Versions) -> dict[str, Any]:
    """Return everything that versions say, as JSON's types: each kind as each date left it, with the JSON Schema of its shape."""
    kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in versions.kinds}
    for cascade, day in _days(versions):
        told = explained(versions, cascade.kind, day).document()
        kinds[cascade.kind].append({**told, "schema": cascade.event.model_json_schema()})
    told_of = [
        {"version": one.date.isoformat(), "instant": one.instant.isoformat(), "title": one.title, "why": one.why}
        for one in versions.versions
    ]
    return {"versions": told_of, "kinds": kinds}
