"""The commands that decide again what was recorded: the whole trail, one event, and the correction that performs the difference."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dateline.cli.access import look
from dateline.cli.common import Database, Json, Paper, Versions, day, instant, loaded, write
from dateline.cli.diff import MARKS, show
from dateline.cli.document import printable, text
from dateline.core.correction import Corrected, Correction
from dateline.core.effective import RIGHT
from dateline.core.meta import Actor
from dateline.core.tally import Counts, Tally
from dateline.errors import DatelineError
from dateline.run.replay import since_recorded
from dateline.run.runner import Runner
from dateline.run.sweep import Sweep, clock_can_be_shifted, differing, swept

__all__ = ["app"]

app = typer.Typer()

Under = Annotated[
    date | None, typer.Option("--version", parser=day, metavar="DATE", help="Under which version, such as 2018-08-01.")
]
Kind = Annotated[str | None, typer.Option(help="Only events of this kind.")]
Subject = Annotated[str | None, typer.Option(help="Only those about it, such as encounter:XJ.")]
ActorId = Annotated[str | None, typer.Option("--by", metavar="ID", help="Only what this actor did.")]
Recorded = Annotated[
    date | None, typer.Option(parser=day, metavar="DATE", help="Only what was decided under this version.")
]
Since = Annotated[
    datetime | None,
    typer.Option(parser=instant, metavar="INSTANT", help="The earliest that counts; without a zone, UTC."),
]
Until = Annotated[datetime | None, typer.Option(parser=instant, metavar="INSTANT", help="The first that is too late.")]
Tenant = Annotated[
    str | None, typer.Option(help="Whose data; without it, everybody's, unless there is another filter.")
]
After = Annotated[int, typer.Option(metavar="SEQ", help="Go on after this event.")]


def _filters(**asked: Any) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


@app.command()
def replay(
    database: Database,
    versions: Versions,
    version: Under = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Each under its own version, in processes with another seed of hashes, time zone and clock: all must be as recorded.",
        ),
    ] = False,
    impact: Annotated[
        bool, typer.Option("--impact", help="Compare what stands in `next` with the newest release.")
    ] = False,
    kind: Kind = None,
    subject: Subject = None,
    by: ActorId = None,
    recorded: Recorded = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    after: After = 0,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="How many at once; without it, as many as there are cores."),
    ] = None,
    json: Json = False,
) -> None:
    """Decide every event again, of what it saw then, and tell how that differs. Nothing is written.

    Without --version, each is decided under its own, and must come to what was recorded: exits with 1 if one does not.

    With --json: one object with the keys events, same, different, reconstructed, unanswerable, failed, effects, operations,
    rejections, seconds; each of effects, operations (by table and verb) and rejections has the numbers recorded and replayed.
    """
    if verify + impact + (version is not None) > 1:
        raise typer.BadParameter("one of --version, --verify and --impact", param_hint="--version")
    known = loaded(versions, ahead=impact)
    filters = _filters(kind=kind, subject=subject, actor=by, version=recorded, since=since, until=until, tenant=tenant)
    newest = [one.date for one in known.versions]
    sweep = Sweep(
        database=database,
        versions=versions,
        version=newest[-1] if impact else None if version is None else known.asked(version).date,
        base=newest[-2] if impact and len(newest) > 1 else None,
        ahead=impact,
        odd=verify,
        filters=filters,
        after=after,
    )
    console = Paper(highlight=False)
    if verify and not clock_can_be_shifted():
        Console(stderr=True).print("The clock is not shifted: freezegun is not installed.", style="yellow")
    began = time.monotonic()
    reached = [after]
    tally = Tally()
    with _progress() as told:

        def seen(found: Tally, seq: int, last: int) -> None:
            reached[0] = seq
            told(found, seq, last)

        try:
            tally = swept(sweep, processes=processes, told=seen)
        except KeyboardInterrupt:
            Console(stderr=True).print(f"\nStopped. Go on with --after {reached[0]}.", style="yellow")
            raise
    seconds = time.monotonic() - began
    strict = version is None and not impact
    if json:
        write(text(tally.document(seconds)))
    else:
        _summary(console, tally, seconds, ("newest", "next") if impact else ("recorded", "replayed"))
    if strict and (tally.different or tally.failed or tally.unanswerable):
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[Tally, int, int], None]]:
    """Show on standard error how far it is, and how long it may take."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def told(tally: Tally, seq: int, last: int) -> None:
            progress.update(
                task, completed=seq, total=last, description=f"{tally.events:,} events, {tally.different:,} differ"
            )

        yield told


def _summary(console: Console, tally: Tally, seconds: float, sides: tuple[str, str]) -> None:
    rate = f", {tally.events / seconds:,.0f} a second" if seconds > 0 else ""
    facts = [f"{tally.same:,} the same", f"{tally.different:,} different"]
    facts += [f"{tally.reconstructed:,} with state from the trail"] if tally.reconstructed else []
    facts += [f"{tally.unanswerable:,} unanswerable"] if tally.unanswerable else []
    facts += [f"{tally.failed:,} failed"] if tally.failed else []
    console.print(Text(f"{tally.events:,} events: {', '.join(facts)}", style="bold"), soft_wrap=True)
    console.print(Text(f"{seconds:.1f} s{rate}", style="dim"))
    if tally.groups:
        console.print()
        for group, (number, seqs) in sorted(tally.groups.items(), key=lambda one: -one[1][0]):
            mark, style = MARKS[group.change]
            module, _, name = group.handler.rpartition(".")
            line = Text.assemble(
                (f"{number:>8,} ", "bold"), (f"{mark} {group.change:<8}", style), printable(group.step)
            )
            console.print(line, soft_wrap=True)
            who = f"by {name} of {group.date}, {module}; " if name else ""
            console.print(Text(f"{'':>19}{who}such as event {', '.join(map(str, seqs))}", style="dim"), soft_wrap=True)
    rows = [
        *(("effect", kind, tally.effects, kind) for kind in tally.effects.names),
        *((verb, table, tally.operations, (table, verb)) for table, verb in tally.operations.names),
        *(("rejection", code, tally.rejections, code) for code in tally.rejections.names),
    ]
    if rows:
        console.print()
        console.print(_table(rows, sides))
    for reason, (number, seqs) in sorted(tally.unclear.items(), key=lambda one: -one[1][0]):
        console.print(Text(f"{number:>8,} {printable(reason)}", style="yellow"), soft_wrap=True)
        console.print(Text(f"{'':>9}such as event {', '.join(map(str, seqs))}", style="dim"), soft_wrap=True)


def _table(rows: list[tuple[str, str, Counts, Any]], sides: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("")
    for side in (*sides, "difference"):
        table.add_column(side, justify="right")
    for sort, name, counts, key in rows:
        found = counts.told(key)
        before, after = found["recorded"], found["replayed"]
        change = after - before
        style = "green" if change > 0 else "red" if change < 0 else "dim"
        table.add_row(
            sort, printable(name), f"{before:,}", f"{after:,}", Text(f"{change:+,}" if change else "", style=style)
        )
    return table


@app.command("diff")
def diff(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id, or its number.")],
    database: Database,
    versions: Versions,
    a: Annotated[
        date | None, typer.Argument(parser=day, metavar="DATE", help="A version, compared with what stands.")
    ] = None,
    b: Annotated[
        date | None, typer.Argument(parser=day, metavar="DATE", help="Another: compared with the first.")
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="What should have been asked; a value is JSON, or a text."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose data, in an application that keeps tenants apart.")] = "",
    unmask: Annotated[bool, typer.Option("--unmask", help="Show personal values; without it they are •••.")] = False,
    json: Json = False,
) -> None:
    """Show how one event is decided under two versions, or with another input, field by field. Nothing is written.

    With --json: one object with the keys event, seq, kind, asked, before, after, same, baseline, items, rekeyed.
    """
    with Runner(database, versions=loaded(versions)) as runner:
        found = runner.diff(_id(runner, event, tenant), a, b, input=_changed(input), tenant=tenant)
        look(runner, "diff", found.about, event=found.event_id, tenant=tenant, unmasked=unmask)
    told = found.document(runner.versions, unmask=unmask)
    if json:
        write(text(told))
    else:
        show(Paper(highlight=False), told)


def _id(runner: Runner, event: str, tenant: str) -> str:
    if not event.isdigit():
        return event
    page = runner.trail(after=int(event) - 1, limit=1, tenant=tenant)
    if not page.entries or page[0].seq != int(event):
        raise DatelineError(
            f"there is no event {event}" + ("" if tenant else "; where tenants are kept apart, name one")
        )
    return str(page[0].id)


def _changed(told: list[str] | None) -> dict[str, Any] | None:
    from json import JSONDecodeError, loads  # noqa: PLC0415 - `json` is an option here

    made: dict[str, Any] = {}
    for one in told or ():
        name, found, value = one.partition("=")
        if not found:
            raise typer.BadParameter(f"{one!r} is no FIELD=VALUE", param_hint="--input")
        try:
            made[name] = loads(value)
        except JSONDecodeError:
            made[name] = value
    return made or None


@app.command("correct")
def correct(
    database: Database,
    versions: Versions,
    version: Annotated[
        date,
        typer.Option("--version", parser=day, metavar="DATE", help="Under which version it should have been decided."),
    ],
    actor: Annotated[str, typer.Option("--actor", metavar="ID", help="Who does it; it is recorded.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")] = None,
    perform: Annotated[bool, typer.Option("--perform", help="Do it; without it, what would be done is shown.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="Only these differences: a step's key, with or without its part."),
    ] = None,
    admit: Annotated[bool, typer.Option("--admit", help="What was rejected may become accepted.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="What was accepted may become rejected.")] = False,
    closed: Annotated[
        datetime | None, typer.Option(parser=instant, metavar="INSTANT", help="Leave alone what happened before it.")
    ] = None,
    kind: Kind = None,
    subject: Subject = None,
    by: ActorId = None,
    recorded: Recorded = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    after: After = 0,
    json: Json = False,
) -> None:
    """Correct what was recorded, as if it had been decided under another version: only the difference is performed.

    Each event is corrected by one event of its own. New effects wait for approval. Broken off, it goes on where it ended.

    With --json: one object a line for each event, with the keys root, seq, number, event, needs, readers, items; then one with
    the key statuses.
    """
    known = loaded(versions)
    if closed is not None and (since is None or since < closed):
        since = closed
    filters = _filters(kind=kind, subject=subject, actor=by, version=recorded, since=since, until=until, tenant=tenant)
    sweep = Sweep(database=database, versions=versions, version=known.asked(version).date, filters=filters, after=after)
    who = Actor(actor, rights=frozenset({RIGHT}))
    console, statuses, events = Paper(highlight=False), Counter[str](), 0
    with Runner(database, versions=known) as runner, _progress() as told:
        for entry, made in differing(sweep, runner, told):
            found = runner.driven_aside(since_recorded(runner, entry, made))
            if not found:
                continue
            items = None if only is None else [one.key for one in found.items if _named(one.key, only)]
            done = runner.correct(
                found,
                preview=not perform,
                items=items,
                admit=admit,
                revoke=revoke,
                actor=who,
                reason=reason,
                tenant=entry.tenant,
            )
            events += 1
            statuses.update(one.status for one in done.items)
            if json:
                write(text(done.document()))
            else:
                _show(console, entry.kind, done, perform)
    if json:
        write(text({"events": events, "performed": perform, "statuses": dict(sorted(statuses.items()))}))
        return
    told_ = ", ".join(f"{number:,} {status}" for status, number in sorted(statuses.items())) or "nothing to do"
    console.print(Text(f"{events:,} events: {told_}", style="bold"), soft_wrap=True)
    if events and not perform:
        console.print(Text("Nothing was written; --perform does it.", style="dim"))


def _named(key: str, only: list[str]) -> bool:
    return key in only or key.partition("[")[0] in only


def _show(console: Console, kind: str, done: Correction, perform: bool) -> None:
    console.print(
        Text.assemble((f"event {done.seq} ", "bold"), (printable(kind), "bold"), (_recorded(done), "dim")),
        soft_wrap=True,
    )
    if done.needs is not None:
        console.print(Text(f"  its outcome would change: say --{done.needs}", style="yellow"))
    for one in done.items:
        mark, style = MARKS[one.item.change]
        console.print(
            Text.assemble(
                (f"  {mark} ", style),
                printable(one.key),
                "  ",
                (one.status, _style(one)),
                (f"  {printable(one.detail)}", "dim"),
            ),
            soft_wrap=True,
        )
    if done.readers:
        console.print(Text(f"  seen since by events {', '.join(map(str, done.readers))}", style="dim"), soft_wrap=True)


def _recorded(done: Correction) -> str:
    return "" if done.event_id is None else f"  corrected by {done.event_id}"


def _style(one: Corrected) -> str:
    return "green" if one.performed else "yellow" if one.status != "conflict" else "bold red"
