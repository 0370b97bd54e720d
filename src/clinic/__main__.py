"""The clinic's command line: `python -m clinic demo`, `python -m clinic import FILE` and `python -m clinic serve`."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from clinic import demo
from clinic.app import open_clinic
from clinic.importer import Import, Tally
from clinic.log import Damaged, Misfit
from dateline import DatelineError

__all__ = ["Aside", "app", "main"]

FAULTY, IMPOSSIBLE, STOPPED = 1, 2, 130
"""Exit statuses: some lines were none of the log's; it could not be done; somebody pressed Ctrl-C."""

EXPLAINED = 20
"""Lines whose faults are told one by one; of the others, the numbers."""

app = typer.Typer(
    name="clinic",
    help="The reference application of dateline: a small clinic.",
    add_completion=False,
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, and those hold what is known of patients.
    pretty_exceptions_enable=False,
)

Database = Annotated[
    str,
    typer.Option(
        envvar="DATELINE_DATABASE",
        metavar="URL",
        help="The database: sqlite:///file.db or postgresql://user@host/name.",
    ),
]


@app.command("demo")
def play_the_demo(database: Database = "sqlite:///clinic.db") -> None:
    """Play a short clinic day: a preview, its commit, a refusal, a race, deliveries that fail first, and one patient's timeline.

    Each playing has patients of its own, so the same database can be played on again.
    """
    with open_clinic(database) as runner:
        demo.play(runner, Console(highlight=False))


@app.command("serve")
def serve_the_board(
    database: Database = "sqlite:///clinic.db",
    port: Annotated[int, typer.Option(help="Where it listens, on this machine alone.")] = 8000,
) -> None:
    """Serve the ward board, a page that is always new, and deliver what is due meanwhile."""
    try:
        # Here, because the other commands need no web.
        from clinic.serve import ward  # noqa: PLC0415
        from dateline.web.serve import bound, serve  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _impossible(f"{error.name} is not here: pip install 'dateline[web]'")
    site, listening = ward(database), bound("127.0.0.1", port)
    told = f"The ward board is at http://127.0.0.1:{listening.getsockname()[1]}/; Ctrl-C ends it."
    serve(site, listening, told=lambda: print(told, flush=True))


@app.command("import")
def import_the_log(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .jsonl or .jsonl.gz; - is standard input.")],
    database: Database = "sqlite:///clinic.db",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object on standard output, with keys that stay, and no progress.")
    ] = False,
) -> None:
    """Import the hospital's log, each event under the rules in force at its own time.

    Running it again adds nothing; stopping it and running it again loses nothing. Lines that are none of the log's are reported by
    number and kept aside in a file; then the exit status is 1.

    With --json: events, committed, rejected, repeated, malformed, effects by kind, operations by table and verb, seconds.
    """
    told = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    began = time.monotonic()
    numbers: list[int] = []
    # A file without a name holds the misfits: whatever happens to this process, it leaves nothing behind.
    with _opened(file) as log, tempfile.TemporaryFile() as held, open_clinic(database) as runner:
        aside = Aside(held, _folder(file), _stem(file))
        with _progress(told, log, shown=not as_json) as (progress, task):

            def misfit(found: Misfit) -> None:
                numbers.append(found.number)
                if len(numbers) <= EXPLAINED:
                    told.print(f"line {found.number}: {found.why}")

            def moved(tally: Tally) -> None:
                progress.update(task, completed=_position(log), lines=tally.events)

            run = Import(runner, misfit=misfit, kept=aside.write, moved=moved)
            damage = _ran(run, log, told)
        kept = aside.keep()
    if kept is not None:
        if len(numbers) > EXPLAINED:
            told.print(f"and so are {_ranges(numbers[EXPLAINED:])}")
        told.print(f"{_lines(run.tally.malformed)} not of the log: kept in {kept}; mend them and import that file")
    summary = run.tally.summary(time.monotonic() - began)
    print(json.dumps(summary)) if as_json else _show(summary)
    if damage is not None:
        told.print(str(damage))
    if kept is not None or damage is not None:
        raise typer.Exit(FAULTY)


def _ran(run: Import, log: BinaryIO, told: Console) -> Damaged | None:
    """Run an import; return what is wrong with the log as a whole."""
    try:
        run.run(log)
    except Damaged as damage:
        return damage
    except KeyboardInterrupt:
        told.print(f"stopped after {_lines(run.tally.events)}; run the same command again to go on")
        raise typer.Exit(STOPPED) from None
    return None


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return line numbers as a person would tell them: lines 4-17, 23."""
    first = sorted(set(numbers) - {number + 1 for number in numbers})
    last = sorted(set(numbers) - {number - 1 for number in numbers})
    told = ", ".join(str(one) if one == other else f"{one}-{other}" for one, other in zip(first, last, strict=True))
    return f"line{'' if len(numbers) == 1 else 's'} {told}"


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as log:
        yield log


def _stem(file: str) -> str:
    return "stdin" if file == "-" else Path(file).name.removesuffix(".gz").removesuffix(".jsonl")


def _folder(file: str) -> Path:
    """Return where misfits are kept: beside the log, or here where that is not possible."""
    beside = Path() if file == "-" else Path(file).parent
    return beside if os.access(beside, os.W_OK) else Path()


class Aside:
    """The lines that were none of the log's, byte for byte, until it is known where they can be kept.

    Args:
        held: Holds them until then.
        folder: Where the file goes.
        stem: What its name begins with.
    """

    def __init__(self, held: BinaryIO, folder: Path, stem: str) -> None:
        self._held = held
        self._folder = folder
        self._stem = stem

    def write(self, text: bytes) -> None:
        """Take a line, or a part of one that is very long."""
        self._held.write(text)

    def keep(self) -> Path | None:
        """Write the file, if there is anything to keep, and return where it is.

        A file of an earlier run is replaced where this one only has more of the same; one that somebody has begun to mend is left
        alone, and the new one gets a number.
        """
        if self._held.tell() == 0:
            return None
        number = 1
        while True:
            path = self._folder / f"{self._stem}.malformed{'' if number == 1 else f'-{number}'}.jsonl"
            if not path.exists() or self._continues(path):
                break
            number += 1
        part = path.with_name(f"{path.name}.part")
        self._held.seek(0)
        with part.open("wb") as made:
            shutil.copyfileobj(self._held, made)
        part.replace(path)
        return path

    def _continues(self, path: Path) -> bool:
        self._held.seek(0)
        with path.open("rb") as older:
            while block := older.read(65536):
                if self._held.read(len(block)) != block:
                    return False
        return True


@contextmanager
def _progress(told: Console, log: BinaryIO, *, shown: bool) -> Iterator[tuple[Progress, TaskID]]:
    """Show how far into the file the import is; of a stream without an end, how many lines it was."""
    columns = (
        TextColumn("importing"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=told, disable=not shown) as progress:
        yield progress, progress.add_task("import", total=_size(log), lines=0)


def _size(log: BinaryIO) -> int | None:
    try:
        found = os.fstat(log.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _position(log: BinaryIO) -> int | None:
    """Return how many bytes of the file itself are read: of a compressed one, compressed bytes."""
    try:
        return log.tell()
    except OSError:
        return None


def _show(summary: dict[str, Any]) -> None:
    """Print what an import came to, for a person."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name in ("events", "committed", "rejected", "repeated", "malformed"):
        table.add_row(name, f"{summary[name]:,}", style=None if summary[name] else "dim")
    table.add_section()
    for kind, count in summary["effects"].items():
        table.add_row(kind, f"{count:,}", style="magenta")
    for name, verbs in summary["operations"].items():
        for verb, count in verbs.items():
            table.add_row(f"{verb} {name}", f"{count:,}", style="green")
    table.add_section()
    rate = summary["events"] / summary["seconds"] if summary["seconds"] else 0
    table.add_row("seconds", f"{summary['seconds']:.1f}  ({rate:,.0f} events a second)", style="dim")
    Console(highlight=False).print(table)


def main() -> None:
    """Run the command line; what can be expected to go wrong is told in one line."""
    try:
        app(prog_name="clinic")
    except DatelineError as error:
        _impossible(str(error))
    except SQLAlchemyError as error:
        # Its text may hold the statement's parameters; the driver's own first line does not.
        _impossible(str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0])
    except OSError as error:
        _impossible(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(STOPPED)


def _impossible(told: str) -> None:
    print(f"clinic: {told}", file=sys.stderr)
    sys.exit(IMPOSSIBLE)


if __name__ == "__main__":
    main()
