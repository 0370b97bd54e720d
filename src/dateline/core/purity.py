"""While a decision runs, nothing is opened, connected or started: Python's audit events tell, whoever asks for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol, TypeVar

from dateline.errors import Impure

__all__ = ["purely"]

T = TypeVar("T")

_REFUSED = frozenset(
    {
        *("open", "subprocess.Popen", "_thread.start_new_thread", "_thread.start_joinable_thread", "sqlite3.connect"),
        *(
            "os.system",
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.posix_spawn",
            "os.spawn",
            "os.startfile",
            "os.putenv",
            "os.unsetenv",
        ),
        *(
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.truncate",
            "os.chmod",
            "os.chown",
            "os.utime",
        ),
        *(
            "os.listdir",
            "os.scandir",
            "os.chdir",
            "glob.glob",
            "shutil.copyfile",
            "shutil.move",
            "shutil.rmtree",
            "tempfile.mkstemp",
        ),
        *(
            "socket.__new__",
            "socket.connect",
            "socket.bind",
            "socket.getaddrinfo",
            "socket.gethostbyname",
            "socket.sendto",
        ),
    }
)
"""Audit events that a decision does not cause. The clock and chance cause none: `dateline check` looks for those."""

_ALLOWED = frozenset(
    {
        *("importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "zoneinfo", "encodings"),
        *("linecache", "traceback", "warnings"),
        *("pdb", "bdb", "pydevd", "debugpy", "_pydevd_bundle"),
    }
)
"""Modules on whose behalf files may be opened: importing what a library needs for the first time, a time zone's rules, a source line
for a warning, a debugger."""


class Decides(Protocol):
    """A function that is to be pure, with its place and its date."""

    @property
    def where(self) -> str: ...
    @property
    def day(self) -> str: ...


class _Running(threading.local):
    """What this thread decides at the moment, and what it did that it must not."""

    what: Decides | None = None
    offence: str | None = None


_running = _Running()
_adding = threading.Lock()
_added: list[bool] = []


def purely(what: Decides, call: Callable[..., T], *arguments: Any) -> T:
    """Return what a call gives that reaches for nothing outside.

    Raises:
        Impure: Naming what it belongs to; also where it has caught that itself.
    """
    if not _added:
        _watch()
    before, _running.what, _running.offence = _running.what, what, None
    try:
        made = call(*arguments)
    finally:
        _running.what = before
    if _running.offence is not None:
        raise Impure(_running.offence)
    return made


def _watch() -> None:
    """Have Python tell what a decision reaches for; once in a process, since there is no way to take a hook away."""
    with _adding:
        if not _added:
            sys.addaudithook(_hook)
            _added.append(True)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every audit event of the process, so the first look is the cheapest.
    what = _running.what
    if what is None or event not in _REFUSED or _permitted(sys._getframe(1)) or _of_a_zone(event, arguments):
        return
    # Kept, because the function may catch what is raised here.
    told = f"{what.where} ({what.day}) reaches outside of the decision ({event})"
    _running.offence = f"{told}; read it in a snapshot, or yield an effect"
    raise Impure(_running.offence)


def _permitted(frame: FrameType | None) -> bool:
    """Tell whether a file is opened on behalf of a module that may; up to the decision itself."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name == __name__:
            return False
        if name.partition(".")[0] in _ALLOWED:
            return True
        frame = frame.f_back
    return False


def _of_a_zone(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a file holds a time zone's rules: those are opened from C, where no module's name tells on whose behalf."""
    zones: Any = sys.modules.get("zoneinfo")
    return event == "open" and zones is not None and str(arguments[0]).startswith(tuple(zones.TZPATH) or "\0")
