"""The life of a version: written in `next`, released under a date, and never edited again.

`released.toml`, beside the versions' folders, is only ever appended to: a table for each date, with the instant from which it is in
force and the digests of its modules and of the effects that they use. When a version is deprecated, refused (`sunset`) or retired is
declared there by hand. The newest may slip to another date for as long as it is not in force: nothing was decided under it.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateline.core.canon import digest, instant
from dateline.core.check import Finding
from dateline.core.source import tree
from dateline.errors import BadVersion, DateBeforeNewest
from dateline.run.loading import FILE, load, record

__all__ = ["Released", "edits", "midnight", "new", "package_of", "release", "rerecorded", "rewrite"]

NEXT = "next"
_FOLDER = re.compile(r"v(\d{4})_(\d{2})_(\d{2})")

_DOCSTRING = '''"""What is new, in a sentence.

Why, in some more: this is what the changelog says.
"""
'''
_MODULE = '''"""What this module is about."""

from __future__ import annotations
'''


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did, or would do.

    Args:
        rewritten: Files in which `next` was named, by path.
    """

    folder: Path
    instant: datetime
    rewritten: tuple[Path, ...]


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the instant at which a date begins in a zone; where its midnight is skipped, or comes twice, the first that there is.

    Raises:
        BadVersion: Where the zone has no such date.
    """
    found = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).date() != day:
        raise BadVersion(f"{zone} has no {day}: its clocks went past it; release under another date")
    return found


def new(root: Path) -> Path:
    """Make the folder in which the next version is written.

    Raises:
        BadVersion: Where there is one already.
    """
    folder = root / NEXT
    if folder.exists():
        raise BadVersion(f"{folder} is there already; release it, or go on writing in it")
    folder.mkdir()
    (folder / "__init__.py").write_text(_DOCSTRING, encoding="utf-8")
    (folder / "rules.py").write_text(_MODULE, encoding="utf-8")
    return folder


def release(
    package: str, day: date, *, zone: str | None = None, dry: bool = False, slips: datetime | None = None
) -> Released:
    """Release what stands in `next` under a date: rename it, rewrite who names it, and record its instant and digests.

    Interrupted, it is finished by doing it again.

    Args:
        package: The versions' dotted name.
        zone: Whose midnights the dates begin at; without it the recorded one, else UTC.
        dry: Tell what would be done, and do nothing.
        slips: The present instant, where the newest release is to get this date in the place of its own.

    Raises:
        DateBeforeNewest: For a date that is not after the newest.
        BadVersion: Where there is nothing to be released, what slips is in force already, or the zone is unknown.
    """
    root = package_of(package)
    held = record(root)
    told = zone or held.get("zone", "UTC")
    try:
        begins = midnight(day, ZoneInfo(told))
    except (ZoneInfoNotFoundError, ValueError):
        raise BadVersion(f"{told!r} is no time zone; write one such as Europe/Amsterdam") from None
    dates = sorted(date(*map(int, met.groups())) for found in root.iterdir() if (met := _FOLDER.fullmatch(found.name)))
    slipping = _slipping(held, slips) if slips is not None else None
    name = f"v{day:%Y_%m_%d}"
    old = NEXT if slipping is None else f"v{slipping:%Y_%m_%d}"
    source, target = root / old, root / name
    unfinished = target.exists() and not source.exists() and day.isoformat() not in held.get("versions", {})
    before = [found for found in dates if found != slipping and not (unfinished and found == day)]
    if slipping == day:
        raise BadVersion(f"{day} is its date already; name the one that it slips to")
    if before and day <= before[-1]:
        raise DateBeforeNewest(f"{day} is not after {before[-1]}, the newest version; releases are only ever added")
    if not source.exists() and not unfinished:
        raise BadVersion(f"there is no {source}; make it with `dateline new`")
    around = [source, *([root.parent / "tests"] if (root.parent / "tests").is_dir() else [])]
    changed = {path: text for base in around for path, text in _renamed(base, package, old, name)}
    if not dry:
        as_it_was = {path: path.read_text(encoding="utf-8") for path in changed}
        for path, text in changed.items():
            rewrite(path, text)
        if source.exists():
            source.rename(target)
        importlib.invalidate_caches()
        try:
            load(package)
            digests = _digests(root, package, name)
        except Exception:
            # What cannot be loaded is not released: all is as it was.
            target.rename(source)
            for path, text in as_it_was.items():
                rewrite(path, text)
            raise
        _append(root, day, begins, digests, zone=None if "zone" in held else told, without=slipping)
    return Released(target, begins, tuple(changed))


def _slipping(held: Mapping[str, Any], present: datetime) -> date:
    """Return the date of the newest release, where that is not in force yet.

    Raises:
        BadVersion: Where it is, or there is none: what was decided under a date was decided under it.
    """
    newest = max(held.get("versions", {}), default=None)
    if newest is None:
        raise BadVersion("nothing was released yet that could slip; release it under the date that is meant")
    begins = held["versions"][newest]["instant"]
    if begins <= present:
        raise BadVersion(
            f"{newest} is in force since {begins.isoformat()}; a change of it is a release under a new date"
        )
    return date.fromisoformat(newest)


def package_of(package: str) -> Path:
    """Return the folder of the versions' package.

    Raises:
        BadVersion: Where there is none.
    """
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise BadVersion(f"there is no package {package!r}; run from the folder that holds it") from error
    finally:
        sys.path.pop(0)
    return Path(next(iter(module.__path__)))


def _renamed(base: Path, package: str, old: str, name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that name a folder by its old name, with their text as it has to be."""
    dotted = re.compile(rf"\b{re.escape(package)}\.{old}\b")
    imported = re.compile(rf"(from\s+{re.escape(package)}\s+import\s+){old}\b(\s+as\b)?")
    for path in sorted(base.rglob("*.py")) if base.exists() else ():
        text = path.read_text(encoding="utf-8")
        made = dotted.sub(f"{package}.{name}", text)
        made = imported.sub(lambda met: f"{met[1]}{name}{met[2] or f' as {old}'}", made)
        if made != text:
            yield path, made


def rewrite(path: Path, text: str) -> None:
    """Write a file anew, whole or not at all; what was compiled of it goes.

    Python takes what it compiled for good while the file is as long as it was and of the same second: as one is in which a date was put
    in another's place.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink(missing_ok=True)


def _digests(root: Path, package: str, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of a folder's modules, by their names inside it, and of the classes of effects that they use."""
    modules: dict[str, str] = {}
    effects: dict[str, str] = {}
    folder = root / name
    for path in sorted(folder.rglob("*.py")):
        inside = ".".join(path.relative_to(folder).with_suffix("").parts)
        modules[inside] = code_of(ast.parse(path.read_text(encoding="utf-8")))
        dotted = f"{package}.{name}" + ("" if inside == "__init__" else f".{inside.removesuffix('.__init__')}")
        effects.update(_effects(importlib.import_module(dotted)))
    return modules, dict(sorted(effects.items()))


def _effects(module: ModuleType) -> Iterator[tuple[str, str]]:
    from dateline.core.effect import Effect  # noqa: PLC0415 - only a release needs it

    for found in vars(module).values():
        if (
            isinstance(found, type)
            and issubclass(found, Effect)
            and found.__kind__
            and found.__module__ != module.__name__
        ):
            yield f"{found.__module__}.{found.__qualname__}", class_of(found)


def class_of(found: type) -> str:
    """Return the digest of a class's code."""
    module = sys.modules[found.__module__]
    nodes = [node for node in tree(module).body if isinstance(node, ast.ClassDef) and node.name == found.__name__]
    return code_of(ast.Module(body=[*nodes], type_ignores=[]))


def code_of(found: ast.Module) -> str:
    """Return the digest of code, blind to layout, comments and docstrings."""
    for node in ast.walk(found):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            assert isinstance(body, list)
            body[0:1] = [] if len(body) > 1 or isinstance(node, ast.Module) else [ast.Pass()]
    return digest(ast.dump(found).encode())


def _append(
    root: Path,
    day: date,
    begins: datetime,
    digests: tuple[Mapping[str, str], Mapping[str, str]],
    *,
    zone: str | None,
    without: date | None,
) -> None:
    path = root / FILE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if without is not None:
        # The newest is the last: nothing but what it said of itself goes with it.
        before = before.partition(f'[versions."{without}"]')[0]
    lines = [before.rstrip("\n")] if before else []
    if zone is not None and not before:
        lines += [
            "# Written by `dateline release`; never edited, but for deprecated, sunset and retired.",
            f'zone = "{zone}"',
        ]
    lines += ["", f'[versions."{day}"]', f"instant = {instant(begins)}", *_listed(day, digests)]
    rewrite(path, "\n".join(lines) + "\n")


def _listed(day: date, digests: tuple[Mapping[str, str], Mapping[str, str]]) -> Iterator[str]:
    for title, held in zip(("modules", "effects"), digests, strict=True):
        yield f'[versions."{day}".{title}]'
        yield from (f'"{name}" = "{found}"' for name, found in held.items())


def rerecorded(root: Path, package: str, *, without: Sequence[date]) -> None:
    """Write `released.toml` anew after a squash: without the dates that are folded, and with the digests of what was moved.

    What was written by hand stays as it is.
    """
    path = root / FILE
    if not path.exists():
        return
    released = {told for told, facts in record(root).get("versions", {}).items() if "modules" in facts}
    head, *tables = re.split(r"^(?=\[)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [head.rstrip("\n")]
    for table in tables:
        met = re.match(r'\[versions\."(\d{4}-\d{2}-\d{2})"\]', table)
        day = date.fromisoformat(met[1]) if met else None
        if day is not None and day not in without:
            known = day.isoformat() in released
            lines += [
                "",
                table.rstrip("\n"),
                *(_listed(day, _digests(root, package, f"v{day:%Y_%m_%d}")) if known else ()),
            ]
    rewrite(path, "\n".join(lines) + "\n")


def edits(package: str) -> Iterator[Finding]:
    """Yield how released layers differ from what was released: edited, given another date, missing, or with a module more.

    Layout, comments and docstrings are no difference.
    """
    root = package_of(package)
    released = record(root).get("versions", {})
    for told, facts in released.items():
        day = date.fromisoformat(told)
        folder = root / f"v{day:%Y_%m_%d}"
        begins = facts.get("instant")
        if "modules" not in facts:
            # Never released by the command: somebody only says when it ends.
            continue
        if not _begins(day, begins):
            mend = "put its instant back; a release that is not in force yet slips by `dateline release DATE --slip`"
            reason = f"{told} was released, and begins at {begins}, which is no midnight of that date in any zone"
            yield Finding(str(root / FILE), 1, told, "re-dated", "error", reason, mend)
        if not folder.exists():
            yield _gone(root, package, told, facts, released)
            continue
        modules, effects = _digests(root, package, folder.name)
        recorded = facts.get("modules", {})
        for name in sorted({*modules, *recorded}):
            path = folder.joinpath(*name.split(".")).with_suffix(".py")
            if modules.get(name) != recorded.get(name):
                rule = "edited" if name in modules and name in recorded else "missing" if name in recorded else "added"
                reason = f"{told} was released, and its module {name} was {'taken away' if rule == 'missing' else rule} since"
                yield Finding(str(path), 1, name, rule, "error", reason, "put it back, and change it under a new date")
        for name, found in facts.get("effects", {}).items():
            if name in effects and effects[name] != found:
                reason = f"{told} was released with another {name}"
                mend = "put it back, and make another effect under a new date"
                yield Finding(str(root / FILE), 1, name, "edited", "error", reason, mend)


def _begins(day: date, begins: Any) -> bool:
    """Tell whether an instant is a date's midnight somewhere: zones are at most 14 hours before UTC, and 12 behind; some skip an hour."""
    if not isinstance(begins, datetime) or begins.tzinfo is None:
        return False
    off = begins - datetime(day.year, day.month, day.day, tzinfo=UTC)
    return timedelta(hours=-14) <= off <= timedelta(hours=13)


def _gone(root: Path, package: str, told: str, facts: Mapping[str, Any], released: Mapping[str, Any]) -> Finding:
    """Return what became of a released folder that is not there: it has another date, or it is missing."""
    for folder in sorted(root.iterdir()):
        met = _FOLDER.fullmatch(folder.name)
        if met is not None and "-".join(met.groups()) not in released:
            modules, _ = _digests(root, package, folder.name)
            if modules.keys() == facts.get("modules", {}).keys():
                reason = f"{told} was released, and its folder is called {folder.name} now"
                mend = "call it as before; a release that is not in force yet slips by `dateline release DATE --slip`"
                return Finding(str(folder), 1, told, "re-dated", "error", reason, mend)
    mend = "put it back; a version that was released stays, retired or not"
    return Finding(str(root / FILE), 1, told, "missing", "error", f"{told} was released, and its folder is gone", mend)
