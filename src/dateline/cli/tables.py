"""The commands about the tables and the trail: what was written past it, what is older than it, and the tables made again of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from dateline.cli.access import look
from dateline.cli.common import Database, Json, Paper, Versions, instant, loaded, write
from dateline.cli.document import printable, shown, text
from dateline.core.adopt import RIGHT
from dateline.core.meta import Actor
from dateline.core.personal import MASK
from dateline.run.rebuild import rebuild as rebuilding
from dateline.run.runner import Runner
from dateline.sql.drift import Drift
from dateline.sql.restore import tables_of

__all__ = ["app"]

app = typer.Typer()

Tables = Annotated[
    list[str] | None, typer.Argument(metavar="TABLE", help="Which tables; all that the versions know without any.")
]


@app.command()
def drift(
    database: Database,
    versions: Versions,
    tables: Tables = None,
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values; without it they are •••.")] = False,
    json: Json = False,
) -> None:
    """Compare the tables with the trail, row by row, and tell what was written past it. Exits with 1 if anything was.

    With --json: one object a line, with the keys table, change, key, after, until, rows, columns; columns is a list of
    {name, recorded, found}.
    """
    with Runner(database, versions=loaded(versions)) as runner:
        found = runner.drift(*(tables or ()))
        personal = {
            name: set(runner.versions.personal(target.mapped)) for name, target in tables_of(runner.versions).items()
        }
    console = Paper(highlight=False)
    for one in found:
        hidden = set() if unmask else personal[one.table]
        if json:
            write(text(_told(one, hidden)))
        else:
            _show(console, one, hidden)
    if not json:
        console.print(
            Text(f"{len(found):,} found." if found else "The tables are as the trail says.", style="bold"),
            soft_wrap=True,
        )
    raise typer.Exit(1 if found else 0)


def _told(one: Drift, hidden: set[str]) -> dict[str, Any]:
    recorded, found = one.recorded or {}, one.found or {}
    return {
        "table": one.table,
        "change": one.change,
        "key": one.key,
        "after": one.after,
        "until": one.until,
        "rows": one.rows,
        "columns": [
            {
                "name": name,
                "recorded": MASK if name in hidden and name in recorded else recorded.get(name),
                "found": MASK if name in hidden and name in found else found.get(name),
            }
            for name in one.columns
        ],
    }


_STYLES = {"inserted": "green", "updated": "yellow", "deleted": "red", "unadopted": "magenta"}


def _show(console: Console, one: Drift, hidden: set[str]) -> None:
    if one.change == "unadopted":
        line = f"{one.rows:,} rows that the trail does not know; `dateline adopt {one.table}` makes it know them"
        console.print(Text.assemble((printable(one.table), "bold"), "  ", (line, "magenta")), soft_wrap=True)
        return
    when = f"after event {one.after}" if one.after else "before any event"
    when += f", before event {one.until}" if one.until is not None else ""
    console.print(
        Text.assemble(
            (f"{printable(one.table)} {printable(one.key)}", "bold"),
            "  ",
            (one.change, _STYLES[one.change]),
            (f" past the trail, {when}", "dim"),
        ),
        soft_wrap=True,
    )
    if one.change == "updated":
        for cell in _told(one, hidden)["columns"]:
            before, after = (printable(text(cell[side])) for side in ("recorded", "found"))
            console.print(Text(f"  {printable(cell['name'])} {before} → {after}"), soft_wrap=True)


@app.command()
def adopt(
    database: Database,
    versions: Versions,
    tables: Annotated[list[str], typer.Argument(metavar="TABLE", help="Which tables.")],
    actor: Annotated[str, typer.Option("--actor", metavar="ID", help="Who does it; it is recorded.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose data, in an application that keeps tenants apart.")] = "",
) -> None:
    """Have the trail know rows that are older than it, as they are, so that history, drift and replays are whole.

    Broken off, it goes on where it ended; a row that the trail knows is left alone.
    """
    who = Actor(actor, rights=frozenset({RIGHT}))
    with Runner(database, versions=loaded(versions)) as runner:
        for name in tables:
            count = runner.adopt(name, actor=who, reason=reason, tenant=tenant)
            write(f"{name}: {count:,} row{'' if count == 1 else 's'} adopted.")


@app.command()
def rebuild(
    database: Database,
    versions: Versions,
    tables: Tables = None,
    into: Annotated[
        str | None, typer.Option(metavar="URL", help="Another database; what it lacks of the tables is made.")
    ] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="NAME", help="A schema of this database, beside the real one.")
    ] = None,
) -> None:
    """Make the tables again of the trail alone, somewhere else; the real ones are not touched.

    The tables there have to be empty. Broken off, empty them and begin again.
    """
    with Runner(database, versions=loaded(versions)) as runner, _progress() as told:
        done = rebuilding(runner, *(tables or ()), into=into, schema=schema, told=told)
    for name, count in done.rows.items():
        write(f"{name}: {count:,} row{'' if count == 1 else 's'}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def told(table: str, rows: int) -> None:
            progress.update(task, description=f"{table}: {rows:,} rows")

        yield told


@app.command("as-of")
def as_of(
    moment: Annotated[str, typer.Argument(metavar="MOMENT", help="An instant, or the number of an event.")],
    table: Annotated[str, typer.Argument(metavar="TABLE")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The row's key, as the trail writes it.")],
    database: Database,
    versions: Versions,
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values; without it they are •••.")] = False,
    json: Json = False,
) -> None:
    """Show a row as it was at a moment. Exits with 1 if there was none.

    With --json: one object, the row by column; null where there was none.
    """
    with Runner(database, versions=loaded(versions)) as runner:
        at: datetime | int = int(moment) if moment.isdigit() else instant(moment)
        row = runner.as_of(at).row(table, key)
        personal = set(runner.versions.personal(tables_of(runner.versions)[table].mapped))
        if row is not None:
            about = (one for entry in runner.trail(table=table, row=key, limit=1) for one in entry.concerned)
            look(runner, "row", about, unmasked=unmask)
    hidden = set() if unmask else personal
    masked = None if row is None else {n: MASK if n in hidden and v is not None else v for n, v in row.items()}
    if json:
        write(text(masked))
    elif masked is None:
        write("There was no such row.")
    else:
        console = Paper(highlight=False)
        width = max(map(len, masked))
        for name, value in masked.items():
            console.print(Text.assemble((f"{printable(name):<{width}}  ", "dim"), shown(value)), soft_wrap=True)
    raise typer.Exit(0 if row is not None else 1)
