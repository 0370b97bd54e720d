"""What all commands share: their common options, how they write, and how they come by an application's versions."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dateline.core.version import Versions as Loaded
from dateline.errors import BadVersion
from dateline.run.loading import load

__all__ = ["Database", "Json", "Left", "Paper", "Versions", "counted", "day", "instant", "loaded", "named", "write"]

Json = Annotated[bool, typer.Option("--json", help="Write JSON, with keys that stay.")]


Database = Annotated[
    str,
    typer.Option(
        envvar="DATELINE_DATABASE",
        metavar="URL",
        help="The database: sqlite:///file.db or postgresql://user@host/name.",
    ),
]


Versions = Annotated[
    str,
    typer.Option(envvar="DATELINE_VERSIONS", metavar="NAME", help="The application's versions, such as shop.versions."),
]


def instant(told: str) -> datetime:
    """Return the instant that an option names."""
    try:
        found = datetime.fromisoformat(told)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{told!r} is no instant; write 2018-08-01, or 2018-08-01T09:30+02:00") from None


def day(told: str) -> date:
    """Return the date that an option names."""
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise typer.BadParameter(f"{told!r} is no date; write one such as 2018-08-01") from None


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


class Left(Exception):
    """Whoever reads our output has read enough. Not a BrokenPipeError: Typer would end with 1, which stands for findings."""


class Paper(Console):
    """A console whose reader may leave."""

    def on_broken_pipe(self) -> None:
        """Leave quietly."""
        raise Left


def write(line: str) -> None:
    """Print a line."""
    try:
        print(line)
    except BrokenPipeError:
        raise Left from None


def loaded(name: str, *, ahead: bool = False) -> Loaded:
    """Return the versions of a dotted name, found from where one stands.

    Args:
        ahead: With what stands in `next`.

    Raises:
        Unloadable: Where they are not there, or break a rule.
    """
    # As with `python -m`: the application lies where one stands.
    sys.path.insert(0, str(Path.cwd()))
    try:
        return load(name, ahead=ahead)
    except (ImportError, SyntaxError) as error:
        raise BadVersion(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def named(program: str, option: str) -> Any:
    """Return what `module:name` stands for, found from where one stands; of a module alone, the module.

    Args:
        option: Which option names it so.

    Raises:
        BadVersion: Where there is no such thing.
    """
    module, colon, name = program.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        return getattr(found, name) if colon else found
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise BadVersion(f"{program!r} is not there: {error}; write {option} module:name") from error
