"""While a decision runs, nothing is opened, connected or started: Python's audit events tell, whoever asks for it."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING, Any

from dateline.errors import Impure

if TYPE_CHECKING:
    from dateline.core.layer import Function

__all__ = ["running", "watch"]

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


class _Running(threading.local):
    """What this thread decides at the moment, and what it did that it must not."""

    function: Function | None = None
    offence: str | None = None


running = _Running()
_adding = threading.Lock()
_added: list[bool] = []


def watch() -> None:
    """Have Python tell what a decision reaches for; once in a process, since there is no way to take a hook away."""
    if not _added:
        with _adding:
            if not _added:
                sys.addaudithook(_hook)
                _added.append(True)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    # Called for every audit event of the process, so the first look is the cheapest.
    function = running.function
    if function is None or event not in _REFUSED or _permitted(sys._getframe(1)) or _of_a_zone(event, arguments):
        return
    # Kept, because the function may catch what is raised here.
    told = f"{function.where} ({function.day}) reaches outside of the decision ({event})"
    running.offence = f"{told}; read it in a snapshot, or yield an effect"
    raise Impure(running.offence)


def _permitted(frame: FrameType | None) -> bool:
    """Tell whether a file is opened on behalf of a module that may; up to the decision itself."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name == "dateline.core.cascade":
            return False
        if name.partition(".")[0] in _ALLOWED:
            return True
        frame = frame.f_back
    return False


def _of_a_zone(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a file holds a time zone's rules: those are opened from C, where no module's name tells on whose behalf."""
    zones: Any = sys.modules.get("zoneinfo")
    return event == "open" and zones is not None and str(arguments[0]).startswith(tuple(zones.TZPATH) or "\0")
