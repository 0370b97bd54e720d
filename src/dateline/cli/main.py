"""The entry point: one line for every error that can be expected, and an exit status that scripts can rely on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from dateline.errors import DatelineError, TrailFault

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 where all is well, 1 with findings, 2 where it could not be done.

    Args:
        arguments: What follows the program's name; the process's own by default.
    """
    sys.exit(_ran(sys.argv[1:] if arguments is None else arguments))


def _ran(arguments: Sequence[str]) -> int:
    try:
        # Here, so that a plain install, which lacks these, says what it lacks.
        import typer  # noqa: PLC0415

        from dateline.cli.app import app  # noqa: PLC0415
        from dateline.cli.common import Left  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        return _failed("dateline", "the command line needs packages that are not here: pip install 'dateline[cli]'")
    try:
        status = typer.main.get_command(app).main([*arguments], prog_name="dateline", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except typer.TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "dateline")
        told = error.format_message().rstrip(".")
        return _failed(command, f"{told[:1].lower()}{told[1:]}; see {command} --help") if told else 2
    except DatelineError as error:
        status = _failed("dateline", str(error))
        return 1 if isinstance(error, TrailFault) else status
    except (Left, BrokenPipeError):
        # Python flushes once more when it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _failed(program: str, told: str) -> int:
    from dateline.cli.document import printable  # noqa: PLC0415 - what is missing may be what it needs

    print(f"{program}: {printable(' '.join(told.split()))}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
