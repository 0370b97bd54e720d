"""The program, and its commands about a trail."""

from __future__ import annotations

from datetime import date, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

from dateline.cli import access as about_accesses
from dateline.cli import effects as about_effects
from dateline.cli import erase as about_erasure
from dateline.cli import pin as about_pins
from dateline.cli import replay as about_replay
from dateline.cli import serve as about_serving
from dateline.cli import tables as about_tables
from dateline.cli import versions as about_versions
from dateline.cli.common import Database, Json, Paper, counted, day, instant, loaded, write
from dateline.cli.document import text
from dateline.cli.timeline import show
from dateline.core.document import document
from dateline.core.mask import masked
from dateline.run.reader import Reader

__all__ = ["app"]

app = typer.Typer(
    name="dateline",
    help="Look after the trail and the versions of an application that is built on dateline.",
    add_completion=False,
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, and those hold what people entered.
    pretty_exceptions_enable=False,
)


def _shown(version: bool) -> None:
    if version:
        try:
            print(f"dateline {installed('dateline')}")
        except PackageNotFoundError:
            print("dateline, from its source tree")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_shown, is_eager=True, help="Show dateline's version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def migrate(database: Database) -> None:
    """Make the trail's tables, or bring them up to date. The application's own tables are not touched."""
    with Reader(database) as reader:
        reader.migrate()
        print(f"The trail's tables are up to date in {reader.name}.")


@app.command()
def verify(
    database: Database,
    tenant: Annotated[str | None, typer.Option(help="Look at one tenant's events only; without it, at all.")] = None,
    json: Json = False,
) -> None:
    """Recompute every digest of the trail. Exits with 1 if one is wrong, and names each.

    With --json: one object with the keys events, values, erased, ok, and faults, a list of {seq, fault}.
    """
    with Reader(database) as reader:
        found = reader.verify(tenant=tenant)
    if json:
        faults = [{"seq": seq, "fault": fault} for seq, fault in found.faults]
        print(
            text(
                {
                    "events": found.events,
                    "values": found.values,
                    "erased": found.erased,
                    "ok": found.ok,
                    "faults": faults,
                }
            )
        )
    else:
        for seq, fault in found.faults:
            write(f"event {seq}: {fault}")
        told = f"{counted(found.events, 'event')}, {counted(found.values, 'personal value')} and {found.erased} erased"
        print(f"{told}: " + ("every digest is right." if found.ok else f"{counted(len(found.faults), 'fault')}."))
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def trail(
    database: Database,
    versions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The application's versions, such as shop.versions: tells what each kind is about, and which events they cannot read.",
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Whom or what the events are about, such as encounter:XJ.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="The events' kind.")] = None,
    actor: Annotated[str | None, typer.Option(help="The id of who acted.")] = None,
    version: Annotated[
        date | None, typer.Option(parser=day, metavar="DATE", help="The version that decided, such as 2018-08-01.")
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="committed, rejected, not-found, stale, …")] = None,
    table: Annotated[str | None, typer.Option(help="A table that the events wrote.")] = None,
    row: Annotated[str | None, typer.Option(help="With --table: the row's key.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(parser=instant, metavar="INSTANT", help="The earliest that counts; without a zone, UTC is meant."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="INSTANT", help="The first that is too late.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose data, in an application that keeps tenants apart.")] = "",
    after: Annotated[int | None, typer.Option(metavar="SEQ", help="Go on after this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most events to show.")] = 100,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the newest.")] = False,
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values; without it they are •••.")] = False,
    json: Json = False,
) -> None:
    """Show what happened: what was asked, by whom, what it changed, and which handler of which date decided so.

    With --json: one object a line for each event, always with the same keys: seq, position, id, tenant, kind, version,
    shape, cascade, actor, reason, occurred_at, recorded_at, cause, root, late, outcome, refusal, subjects, input, snapshot,
    operations, effects, masked. To go on, pass the last line's seq as --after.
    """
    if row is not None and table is None:
        raise typer.BadParameter("a row is known by its table; add --table", param_hint="--row")
    with Reader(database, versions=None if versions is None else loaded(versions)) as reader:
        page = reader.trail(
            subject=subject,
            kind=kind,
            actor=actor,
            version=version,
            outcome=outcome,
            table=table,
            row=row,
            since=since,
            until=until,
            tenant=tenant,
            after=after,
            limit=limit,
            newest_first=newest_first,
        )
        about = (one for entry in page for one in entry.concerned)
        about_accesses.look(reader, "trail", about, tenant=tenant, unmasked=unmask)
    if json:
        for entry in page:
            write(text(document(entry, entry if unmask else masked(entry))))
        return
    console = Paper(highlight=False)
    show(console, page, unmask=unmask, typed=versions is not None)
    if not page.entries:
        console.print(
            "No such events." if tenant else "No such events. Where tenants are kept apart, name one: --tenant."
        )


app.add_typer(about_versions.app)
app.add_typer(about_effects.app)
app.add_typer(about_serving.app)
app.add_typer(about_replay.app)
app.add_typer(about_tables.app)
app.add_typer(about_erasure.app)
app.add_typer(about_accesses.app)
app.add_typer(about_pins.app)
