"""Importing an application's versions: the one place where files become layers."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from dateline.core.canon import digest
from dateline.core.layer import role_of
from dateline.core.source import tree
from dateline.core.version import Layer, Version, Versions
from dateline.errors import BadVersion
from dateline.sql.dialect import askable

__all__ = ["FILE", "load", "record"]

FILE = "released.toml"
"""Beside the versions' folders: from which instant each is in force, and what it was made of when it was released."""

_FOLDER = re.compile(r"v(\d{4})_(\d{2})_(\d{2})")
# What can only be meant as a date. All else, such as `next`, in which a version without a date yet is written, is left alone.
_MEANT = re.compile(r"v\d.*|(v(er(sion)?)?[-_.]?)?\d{4}[-_.]?\d.*", re.IGNORECASE)
_NUMBERS = re.compile(r"(\d{4})(?:[-_.](\d\d?)[-_.](\d\d?)|(\d\d)(\d\d))(?!\d)")


def load(versions: str | ModuleType | Versions, *, zone: tzinfo = UTC, ahead: bool = False) -> Versions:
    """Return the versions of a package: one folder a date, such as `v2018_07_30`, each a package of modules.

    Args:
        versions: The package, or its dotted name; never a path, which would make every class twice.
        zone: Whose midnights the dates begin at.
        ahead: What stands in `next`, without a date yet, is a version of the day after the newest.

    Raises:
        Unloadable: Naming file, function and mend.
    """
    if isinstance(versions, Versions):
        return versions
    root = _imported(versions) if isinstance(versions, str) else versions
    if not hasattr(root, "__path__"):
        raise BadVersion(
            f"{root.__name__} is a module, not a package; versions are folders in a package, such as v2024_01_01"
        )
    _whole(root)
    released = record(Path(next(iter(root.__path__)))).get("versions", {})
    found: list[Version] = []
    layers: list[Layer] = []
    sources: dict[str, str] = {}
    for name in sorted(info.name for info in pkgutil.iter_modules(root.__path__)):
        if not name.startswith("v") or not name[1:2].isdigit():
            continue
        day = _date(f"{root.__name__}.{name}", name)
        package = importlib.import_module(f"{root.__name__}.{name}")
        title, _, why = (inspect.getdoc(package) or "").partition("\n")
        facts = released.get(day.isoformat(), {})
        begins = facts.get("instant") or datetime(day.year, day.month, day.day, tzinfo=zone)
        ends = _ends(day, facts)
        folds: dict[date, None] = {}
        for module in _modules(package):
            inside = module.__name__.removeprefix(f"{root.__name__}.{name}").lstrip(".").partition(".")[0]
            since = _folded(f"{root.__name__}.{name}.{inside}", inside, day)
            folds |= {since: None} if since != day else {}
            layers.append(Layer.of(since, module))
            sources.update(_sources(module))
        found.append(Version(day, begins.astimezone(UTC), title, why.strip(), **ends, folds=tuple(sorted(folds))))
    if ahead and found:
        day = max(one.date for one in found) + timedelta(days=1)
        package = _next(root)
        for module in _modules(package):
            layers.append(Layer.of(day, module))
            sources.update(_sources(module))
        found.append(Version(day, datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC), "next"))
    if not found:
        raise BadVersion(f"{root.__name__} holds no versions; add a folder such as v2024_01_01 with an __init__.py")
    made = Versions(tuple(sorted(found, key=lambda version: version.date)), tuple(layers), sources)
    for cascade in made.cascades():
        askable(cascade)
    return made


def _next(root: ModuleType) -> ModuleType:
    """Return the package in which the next version is written.

    Raises:
        BadVersion: Where there is none.
    """
    try:
        return importlib.import_module(f"{root.__name__}.next")
    except ModuleNotFoundError as error:
        if error.name == f"{root.__name__}.next":
            raise BadVersion(f"there is no {root.__name__}.next; `dateline new` makes it") from error
        raise


def record(root: Path) -> dict[str, Any]:
    """Return what `released.toml` says; nothing where there is none.

    Raises:
        BadVersion: Where it cannot be read.
    """
    path = root / FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadVersion(f"{path} cannot be read: {error}") from error


def _folded(where: str, name: str, day: date) -> date:
    """Return the date of what stands in a version's folder: its own, or that of an older one which was folded into it.

    Raises:
        BadVersion: For what is folded into an older date.
    """
    if _FOLDER.fullmatch(name) is None:
        return day
    since = _date(where, name)
    if since >= day:
        raise BadVersion(f"{where} is of {since}, and stands in {day}; only older dates are folded into one")
    return since


def _ends(day: date, facts: Mapping[str, Any]) -> dict[str, datetime]:
    """Return when a version is deprecated, may be gone, and is retired.

    Raises:
        BadVersion: For what is no instant, and for one before that which comes first.
    """
    told = {word: facts[word] for word in ("deprecated", "sunset", "retired") if word in facts}
    for word, found in told.items():
        if not isinstance(found, datetime) or found.tzinfo is None:
            raise BadVersion(
                f"{FILE}: {day} is {word} at {found}; write an instant, such as {day.year + 2}-01-01T00:00:00Z"
            )
    for (first, earlier), (second, later) in pairwise(told.items()):
        # RFC 8594 and RFC 9745: who is sent away was warned before.
        if later < earlier:
            raise BadVersion(
                f"{FILE}: {day} is {second} at {later.isoformat()}, before it is {first} at {earlier.isoformat()}; "
                f"let {second} be the later one"
            )
    return {word: found.astimezone(UTC) for word, found in told.items()}


def _imported(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise BadVersion(
            f"{name!r} is no dotted name; name the package as you would import it, such as 'shop.versions'"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadVersion(
                f"there is no package {name!r}; run from the folder that holds it, or install it"
            ) from error
        raise


def _date(where: str, name: str) -> date:
    match = _FOLDER.fullmatch(name)
    if match is None:
        found = _NUMBERS.search(name)
        meant = (
            "v{}_{:0>2}_{:0>2}".format(*filter(None, found.groups())) if found else "vYYYY_MM_DD, such as v2024_01_01"
        )
        raise BadVersion(f"{where} is no date, and would be left out; name the folder {meant}")
    try:
        return date(*map(int, match.groups()))
    except ValueError as error:
        raise BadVersion(
            f"{where} is no date ({error}); name the folder of one that the calendar has, such as v2024_01_01"
        ) from None


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for info in sorted(pkgutil.walk_packages(package.__path__, f"{package.__name__}."), key=lambda info: info.name):
        yield importlib.import_module(info.name)


def _sources(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield a digest for each handler: of its whole module, since it may call what stands beside it; blind to layout and comments."""
    handlers = [found for found in vars(module).values() if role_of(found) and found.__module__ == module.__name__]
    if not handlers:
        return
    try:
        code = digest(ast.dump(tree(module)).encode())
    except (OSError, SyntaxError) as error:
        raise BadVersion(f"{module.__name__}: its source cannot be read ({error})") from error
    yield from ((f"{module.__name__}.{found.__qualname__}", code) for found in handlers)


def _whole(root: ModuleType) -> None:
    """Refuse what is meant as a date and would not be seen as one: its rules would be missing without a word."""
    for folder in sorted(found for base in root.__path__ if Path(base).is_dir() for found in Path(base).iterdir()):
        name = folder.name.removesuffix(".py")
        if not _MEANT.fullmatch(name) or not _holds_code(folder):
            continue
        where = f"{root.__name__}.{name} ({folder})"
        _date(where, name)
        if folder.is_file():
            raise BadVersion(f"{where} is a module; a version is a folder of modules: move it into a folder {name}")
        if not (folder / "__init__.py").exists():
            raise BadVersion(f"{where} has no __init__.py; add one, with a docstring that says why")


def _holds_code(found: Path) -> bool:
    return found.suffix == ".py" if found.is_file() else any(found.rglob("*.py"))
