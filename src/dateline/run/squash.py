"""Folding old versions into one: their folders become its own, and what no longer decides anything is emptied.

Only where the record allows it: every event that was decided under one of them is decided again, and has to come to the same under the
date that stays.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from dateline.core.entry import Entry
from dateline.core.layer import Function, Retirement
from dateline.core.replay import DECIDED, deviation, replayed
from dateline.core.version import Version, Versions
from dateline.errors import BadVersion, DatelineError, Erased
from dateline.run.loading import load
from dateline.run.release import edits, package_of, rerecorded, rewrite

__all__ = ["Squashed", "squash"]

Scan = Callable[[Versions], Iterable[Entry]]
"""Gives every entry of the trail, each event typed by some versions."""

SHOWN = 5
"""Events that an error names."""


@dataclass(frozen=True, slots=True)
class Squashed:
    """What a squash did, or would do.

    Args:
        folder: The folder of the date that stays.
        folded: The dates that are folded into it, oldest first.
        emptied: Checks and handlers whose code is gone, by dotted name; they keep their slots' names and places.
        kept: Those that no longer decide, and whose code others call.
        events: How many recorded events were decided again.
    """

    folder: Path
    folded: tuple[date, ...]
    emptied: tuple[str, ...]
    kept: tuple[str, ...]
    events: int


def squash(package: str, day: date, scan: Scan, *, present: datetime, dry: bool = False) -> Squashed:
    """Fold all versions before a date into it.

    Args:
        package: The versions' dotted name.
        day: The newest of them, retired as they all are.
        scan: Gives the entries of the trail.
        dry: Tell what would be done, and do nothing.

    Raises:
        BadVersion: Where one of them is not retired, or was edited; and where a recorded event would be decided otherwise.
    """
    root = package_of(package)
    versions = load(package)
    base, older = _retired(versions, day, present)
    if edited := [*edits(package)]:
        raise BadVersion(
            f"{edited[0].reason}; `dateline check` tells more, and nothing is folded before that is mended"
        )
    events = _alike(versions, base, older, scan(versions))
    dead, used = _dead(versions, day)
    folded = tuple(sorted({*(one.date for one in older), *(since for one in (*older, base) for since in one.folds)}))
    names = tuple(one.dotted for one in dead), tuple(one.dotted for one in used)
    made = Squashed(root / _folder(day), folded, *names, events)
    if dry:
        return made
    spare, before = root.with_name(f".{root.name}.new"), root.with_name(f".{root.name}.old")
    for path in (spare, before):
        if path.exists():
            raise BadVersion(
                f"{path} is left of a squash that was interrupted; see which of the two is whole, and move it away"
            )
    shutil.copytree(root, spare, ignore=shutil.ignore_patterns("__pycache__"))
    tests = {path: path.read_text(encoding="utf-8") for path in sorted((root.parent / "tests").rglob("*.py"))}
    try:
        for one in dead:
            _empty(spare, root, one)
        _moved(spare, day, older)
        for path in sorted(spare.rglob("*.py")):
            path.write_text(_renamed(path.read_text(encoding="utf-8"), package, day, older), encoding="utf-8")
        root.rename(before)
        spare.rename(root)
        for path, text in tests.items():
            rewrite(path, _renamed(text, package, day, older))
        again = _anew(package)
        rerecorded(root, package, without=tuple(one.date for one in older))
        _alike(again, again.asked(day), (), scan(again))
    except BaseException:
        # All is as it was.
        if before.exists():
            shutil.rmtree(root, ignore_errors=True)
            before.rename(root)
        for path, text in tests.items():
            rewrite(path, text)
        _forget(package)
        raise
    finally:
        shutil.rmtree(spare, ignore_errors=True)
    shutil.rmtree(before)
    return made


def _folder(day: date) -> str:
    return f"v{day:%Y_%m_%d}"


def _retired(versions: Versions, day: date, present: datetime) -> tuple[Version, tuple[Version, ...]]:
    """Return the version that stays and those that go."""
    base = next((one for one in versions.versions if one.date == day), None)
    if base is None:
        raise BadVersion(
            f"there is no version {day}; there are {', '.join(str(one.date) for one in versions.versions)}"
        )
    older = tuple(one for one in versions.versions if one.date < day)
    if not older:
        raise BadVersion(f"{day} is the first version; there is nothing to be folded into it")
    for one in (*older, base):
        if one.retired is None or one.retired > present:
            raise BadVersion(
                f"{one.date} is not retired, and somebody may still send it; let released.toml say since when it is: "
                'retired = …, in its table [versions."' + f'{one.date}"]'
            )
    return base, older


def _alike(versions: Versions, base: Version, older: tuple[Version, ...], entries: Iterable[Entry]) -> int:
    """Return how many events were decided under what is folded, all of which come to the same under the date that stays.

    Those that cannot be decided again, since what they would read was erased, are left out.

    Raises:
        BadVersion: Naming some that do not.
    """
    gone = {one.date for one in older} | {since for one in (*older, base) for since in one.folds}
    looked, differing = 0, []
    for entry in entries:
        if entry.version is None or entry.outcome not in DECIDED or not (entry.version in gone or not older):
            continue
        under = base.date if entry.version in gone else entry.version
        try:
            key = deviation(entry, replayed(entry, versions, under))
        except Erased:
            # Nobody can decide it again, whatever stays.
            continue
        except DatelineError as error:
            key = f"{type(error).__name__}: {error}"
        looked += 1
        if key is not None:
            differing.append(f"event {entry.seq} ({entry.kind}, {entry.version}) in {key}")
    if differing:
        told = "; ".join(differing[:SHOWN]) + ("; …" if len(differing) > SHOWN else "")
        raise BadVersion(
            f"{len(differing)} of {looked} recorded events would be decided otherwise under {base.date}: {told}. "
            "What decided them has to stay: fold up to an earlier date, or none"
        )
    return looked


def _dead(versions: Versions, day: date) -> tuple[list[Function], list[Function]]:
    """Return the functions up to a date that hold no slot since then: those that nobody calls, and those that somebody does."""
    holding = {
        slot.holder.call
        for cascade in versions.cascades()
        if cascade.version is not None and cascade.version >= day
        for slot in cascade.slots
        if slot.holder is not None
    }
    for kind in versions.kinds:
        try:
            cascade = versions.cascade(kind, day)
        except DatelineError:
            continue
        holding |= {slot.holder.call for slot in cascade.slots if slot.holder is not None}
    gone = [one for one in versions.functions if one.date <= day and one.call not in holding]
    called = {one.call: False for one in gone}
    for layer in versions.layers:
        module = sys.modules[layer.module]
        for found in _meant(module):
            if found in called:
                called[found] = True
    return [one for one in gone if not called[one.call]], [one for one in gone if called[one.call]]


_NAMING = {"retired": 0, "Drop": 0, "Replace": 0}


def _meant(module: Any) -> Iterator[Any]:
    """Yield the functions that a module's code names other than to say whose place is taken, who ends, or whose step is amended."""
    code = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    naming: set[int] = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            told = [word.value for word in node.keywords if word.arg == "supersedes"]
            told += node.args[:1] if name in _NAMING else []
            naming.update(id(inner) for one in told for inner in ast.walk(one))
    for node in ast.walk(code):
        if id(node) in naming or not isinstance(node, ast.Name | ast.Attribute):
            continue
        found: Any = None
        if isinstance(node, ast.Name):
            found = vars(module).get(node.id)
        elif isinstance(node.value, ast.Name):
            found = getattr(vars(module).get(node.value.id), node.attr, None)
        if callable(found) and not isinstance(found, Retirement) and getattr(found, "__hash__", None):
            yield found


def _empty(spare: Path, root: Path, function: Function) -> None:
    """Take a function's code out of its file: its name, its signature and its docstring stay, since they say whose place is taken."""
    file = Path(function.call.__code__.co_filename)
    path = spare / file.relative_to(root)
    text = path.read_text(encoding="utf-8")
    [found] = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == function.call.__name__
    ]
    body = found.body[1:] if ast.get_docstring(found) is not None else found.body
    lines = text.splitlines(keepends=True)
    if not body or body[0].lineno <= found.lineno:
        return
    first, last = body[0].lineno - 1, body[-1].end_lineno
    lines[first:last] = [f"{' ' * body[0].col_offset}yield from ()\n"]
    path.write_text("".join(lines), encoding="utf-8")


def _moved(spare: Path, day: date, older: tuple[Version, ...]) -> None:
    for one in older:
        source = spare / _folder(one.date)
        for since in one.folds:
            (source / _folder(since)).rename(spare / _folder(day) / _folder(since))
        source.rename(spare / _folder(day) / source.name)


def _renamed(text: str, package: str, day: date, older: tuple[Version, ...]) -> str:
    """Return a module's text with the folded dates where they are now."""
    base = f"{package}.{_folder(day)}"
    moves = [(f"{package}.{_folder(one.date)}", _folder(since)) for one in older for since in one.folds]
    moves += [(package, _folder(one.date)) for one in older]
    for parent, name in moves:
        here = re.escape(parent)
        text = re.sub(rf"\b{here}\.{name}\b", f"{base}.{name}", text)
        text = re.sub(rf"\bfrom(\s+){here}(\s+)import(\s+){name}\b", rf"from\g<1>{base}\g<2>import\g<3>{name}", text)
    return text


def _anew(package: str) -> Versions:
    """Load the versions as they are now.

    Raises:
        BadVersion: Where an import did not follow.
    """
    _forget(package)
    try:
        return load(package)
    except ImportError as error:
        raise BadVersion(
            f"{package} cannot be loaded any more: ImportError: {error}; import from a dated folder's modules, one folder a line"
        ) from error


def _forget(package: str) -> None:
    """Have Python read the versions anew."""
    for name in [found for found in sys.modules if found == package or found.startswith(f"{package}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    parent, _, child = package.rpartition(".")
    if parent in sys.modules and hasattr(sys.modules[parent], child):
        delattr(sys.modules[parent], child)
