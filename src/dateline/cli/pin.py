"""The commands about callers of the API: who is at which version, and moving them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer
from rich.text import Text

from dateline.cli.common import Database, Json, Paper, Versions, counted, day, loaded, write
from dateline.cli.document import printable, text
from dateline.cli.effects import Tenant, Who, Why
from dateline.core.meta import Actor
from dateline.core.pin import RIGHT, PinCaller
from dateline.core.tally import Tally
from dateline.run.runner import Runner

__all__ = ["app"]

app = typer.Typer()


@app.command()
def pins(
    database: Database,
    versions: Versions,
    tenant: Tenant = "",
    impact: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000,
            metavar="EVENTS",
            help="Decide so many of the newest events again under the newest version.",
        ),
    ] = 0,
    json: Json = False,
) -> None:
    """Show which callers are pinned to which version, and what the newest would change for them.

    With --json: one object a line, with the keys caller, version, since, event, by, and with --impact also impact.
    """
    with Runner(database, versions=loaded(versions)) as runner:
        found = runner.pins(tenant=tenant)
        told = runner.impact(tenant=tenant, events=impact) if impact else {}
        newest = runner.versions.choose(None, runner.clock()).date
    if json:
        for one in found:
            more: dict[str, Any] = {"impact": told.get(one.caller, Tally()).document(0)} if impact else {}
            write(text({**one.document(), **more}))
        return
    console = Paper(highlight=False)
    width = max((len(printable(one.caller)) for one in found), default=0)
    for one in found:
        line = Text.assemble(
            (f"{printable(one.caller):<{width}}  ", "bold"),
            (str(one.version), "" if one.version == newest else "yellow"),
            (f"  since {one.since:%Y-%m-%d}, by {printable(one.by.id)}", "dim"),
        )
        if impact:
            line.append(f"  {_impact(told.get(one.caller, Tally()), newest)}")
        console.print(line, soft_wrap=True)
    if not found:
        console.print("Nobody is pinned. Where tenants are kept apart, name one: --tenant.")


def _impact(tally: Tally, newest: date) -> str:
    if not tally.events:
        return "sent none of these events"
    unclear = tally.unanswerable + tally.failed
    rest = f", of {unclear} nobody can tell" if unclear else ""
    return f"of {counted(tally.events, 'event')}, {newest} would decide {tally.different} otherwise{rest}"


@app.command("pin")
def pin_(
    caller: Annotated[str, typer.Argument(metavar="CALLER", help="Under which name they are pinned.")],
    version: Annotated[
        date, typer.Argument(parser=day, metavar="DATE", help="The version that they have from now on.")
    ],
    database: Database,
    versions: Versions,
    actor: Who,
    reason: Why = None,
    tenant: Tenant = "",
) -> None:
    """Move a caller of the API to a version; recorded as an event."""
    by = Actor(actor, rights=frozenset({RIGHT}))
    with Runner(database, versions=loaded(versions)) as runner:
        done = runner.pin(caller, version, actor=by, reason=reason, tenant=tenant)
    assert isinstance(done.event, PinCaller)
    write(f"{printable(caller)} is at {done.event.version}; recorded as event {done.seq}.")
