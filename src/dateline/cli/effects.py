"""The commands about effects: what is not yet done, what somebody does about it, and the worker that does it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.text import Text

from dateline.cli.common import Database, Json, Paper, Versions, loaded, named, write
from dateline.cli.document import printable, text
from dateline.core.meta import Actor
from dateline.core.outcome import Committed
from dateline.errors import DatelineError
from dateline.run.act import RIGHT
from dateline.run.reader import Reader
from dateline.run.relay import AsyncRelay, Relay
from dateline.run.runner import Runner
from dateline.sql.standing import Queued

__all__ = ["Tenant", "Versions", "Who", "app"]

app = typer.Typer()
stepping = typer.Typer(
    help="List effects whose delivery is not done; retry, cancel or approve one.", no_args_is_help=False
)
app.add_typer(stepping, name="effects")

Who = Annotated[str, typer.Option("--actor", metavar="ID", help="Who does it; it is recorded.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")]
Tenant = Annotated[str, typer.Option(help="Whose data, in an application that keeps tenants apart.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Which effect, as the list names it: 1234.0.")]

_STYLES = {
    "dead": "bold red",
    "unknown": "bold yellow",
    "held": "magenta",
    "retrying": "yellow",
    "waiting": "dim",
    "sending": "cyan",
    "cancelled": "dim",
    "expired": "dim",
}


@stepping.callback(invoke_without_command=True)
def listed(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="DATELINE_DATABASE",
            metavar="URL",
            help="The database: sqlite:///file.db or postgresql://user@host/name.",
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only those: held, due, waiting, sending, retrying, unknown, dead, cancelled, expired."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only effects of this kind.")] = None,
    tenant: Tenant = "",
    limit: Annotated[int, typer.Option(min=1, help="The most effects to show.")] = 100,
    json: Json = False,
) -> None:
    """List effects whose delivery is not done, the oldest first; those that are delivered stand in the trail.

    With --json: one object a line, with the keys key, id, kind, state, tries, due_at, lane, event, recorded_at, step, detail.
    """
    if context.invoked_subcommand is not None:
        return
    if database is None:
        raise typer.BadParameter("it is needed, or DATELINE_DATABASE", param_hint="--database")
    with Reader(database) as reader:
        found = reader.effects(*(state or ()), kind=kind, tenant=tenant, limit=limit)
    if json:
        for one in found:
            write(text({name: getattr(one, name) for name in Queued.__dataclass_fields__}))
        return
    console = Paper(highlight=False)
    for one in found:
        _show(console, one)
    if not found:
        console.print("No such effects. Where tenants are kept apart, name one: --tenant.")


def _show(console: Paper, one: Queued) -> None:
    tries = f", {one.tries} tr{'y' if one.tries == 1 else 'ies'}" if one.tries else ""
    line = Text.assemble(
        (f"{one.key:>8}", "bold"),
        "  ",
        (f"{one.state:<9}", _STYLES.get(one.state, "")),
        f"  {printable(one.kind)}",
        (f"  since {one.recorded_at:%Y-%m-%d %H:%M:%S}{tries}", "dim"),
    )
    console.print(line, soft_wrap=True)
    if one.detail:
        console.print(Text(f"{'':>8}  {printable(one.detail)}", style="dim"), soft_wrap=True)
    if one.state == "waiting" and one.lane:
        console.print(Text(f"{'':>8}  behind an earlier one of {printable(one.lane)}", style="dim"), soft_wrap=True)


def _stepped(database: str, versions: str, do: Callable[..., Committed], told: str, **given: Any) -> None:
    with Runner(database, versions=loaded(versions)) as runner:
        done = do(runner, **given)
    write(f"{told}; recorded as event {done.seq}.")


def _by(actor: str, reason: str | None, tenant: str) -> dict[str, Any]:
    return {"actor": Actor(actor, rights=frozenset({RIGHT})), "reason": reason, "tenant": tenant}


@stepping.command("retry")
def retry(
    effect: Key, database: Database, versions: Versions, actor: Who, reason: Why = None, tenant: Tenant = ""
) -> None:
    """Have an effect tried at once that is dead, expired, unknown, or waits for its next try."""
    _stepped(database, versions, Runner.retry, f"{effect} is due again", effect=effect, **_by(actor, reason, tenant))


@stepping.command("cancel")
def cancel(
    effect: Key, database: Database, versions: Versions, actor: Who, reason: Why = None, tenant: Tenant = ""
) -> None:
    """Have an effect never sent."""
    _stepped(database, versions, Runner.cancel, f"{effect} is cancelled", effect=effect, **_by(actor, reason, tenant))


@stepping.command("approve")
def approve(
    effect: Key, database: Database, versions: Versions, actor: Who, reason: Why = None, tenant: Tenant = ""
) -> None:
    """Have an effect sent that was held for approval."""
    _stepped(database, versions, Runner.approve, f"{effect} is due", effect=effect, **_by(actor, reason, tenant))


@app.command("resume")
def resume(
    database: Database,
    versions: Versions,
    actor: Who,
    anew: Annotated[
        bool,
        typer.Option("--new-incarnation", help="Say that it is meant: cursors of before are refused from then on."),
    ] = False,
    reason: Why = None,
) -> None:
    """Go on after a restore from a backup: what was not yet sent then may have been since, so all of it is held for approval."""
    if not anew:
        raise typer.BadParameter("say that it is meant", param_hint="--new-incarnation")
    _stepped(
        database, versions, Runner.resume, "The trail goes on; what was not sent is held", **_by(actor, reason, "")
    )


@app.command("relay")
def relay(
    program: Annotated[
        str,
        typer.Option(
            "--app", metavar="MODULE:NAME", help="Where the application's Relay or AsyncRelay is: shop.app:relay."
        ),
    ],
    drain: Annotated[bool, typer.Option("--drain", help="Deliver what is due now, and end.")] = False,
) -> None:
    """Deliver effects until it is told to end by SIGTERM or SIGINT; then finish what is being delivered.

    Any number of them may run, on any number of machines.
    """
    found = named(program, "--app")
    if callable(found) and not isinstance(found, Relay | AsyncRelay):
        found = found()
    if isinstance(found, Relay):
        found = found.inner
    if not isinstance(found, AsyncRelay):
        raise DatelineError(
            f"{program} is no Relay or AsyncRelay, nor a function that makes one, but {type(found).__name__}"
        )
    if drain:
        done = asyncio.run(found.drain())
        write(f"{done} tr{'y' if done == 1 else 'ies'}; nothing more is due.")
        return
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: found.stop())
    write(f"Delivering {', '.join(sorted(found.routes))}; Ctrl-C ends it.")
    sys.stdout.flush()
    asyncio.run(found.run())
