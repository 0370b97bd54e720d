"""The commands and their options."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dateline.cli.check import report
from dateline.cli.document import document, here, text
from dateline.cli.explain import explain
from dateline.cli.plan import show as show_plan
from dateline.cli.timeline import show
from dateline.core.catalogue import explained
from dateline.core.check import checked, refused
from dateline.core.history import catalogue, chapters, markdown
from dateline.core.mask import masked
from dateline.core.meta import Actor, Meta
from dateline.core.standalone import decided, planned
from dateline.core.version import Versions
from dateline.errors import BadVersion, Malformed, Unloadable
from dateline.run.clock import chance, new_id, now
from dateline.run.loading import load
from dateline.run.reader import Reader
from dateline.run.release import edits, new, package_of, release
from dateline.run.settings import Settings

__all__ = ["Left", "app"]

app = typer.Typer(
    name="dateline",
    help="Look after the trail of an application that is built on dateline.",
    add_completion=False,
    no_args_is_help=True,
    # Typer's own tracebacks show local variables, and those hold what people entered.
    pretty_exceptions_enable=False,
)


def _date(told: str) -> date:
    try:
        return date.fromisoformat(told)
    except ValueError:
        raise typer.BadParameter(f"{told!r} is no date; write one such as 2018-08-01") from None


def _instant(told: str) -> datetime:
    try:
        found = datetime.fromisoformat(told)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{told!r} is no instant; write 2018-08-01, or 2018-08-01T09:30+02:00") from None


Database = Annotated[
    str,
    typer.Option(
        envvar="DATELINE_DATABASE",
        metavar="URL",
        help="The database: sqlite:///file.db or postgresql://user@host/name.",
    ),
]
Named = Annotated[
    str,
    typer.Option(envvar="DATELINE_VERSIONS", metavar="NAME", help="The application's versions, such as shop.versions."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, with keys that stay.")]


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
            _write(f"event {seq}: {fault}")
        told = f"{_count(found.events, 'event')}, {_count(found.values, 'personal value')} and {found.erased} erased"
        print(f"{told}: " + ("every digest is right." if found.ok else f"{_count(len(found.faults), 'fault')}."))
    raise typer.Exit(0 if found.ok else 1)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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
        date | None, typer.Option(parser=_date, metavar="DATE", help="The version that decided, such as 2018-08-01.")
    ] = None,
    outcome: Annotated[str | None, typer.Option(help="committed, rejected, not-found, stale, …")] = None,
    table: Annotated[str | None, typer.Option(help="A table that the events wrote.")] = None,
    row: Annotated[str | None, typer.Option(help="With --table: the row's key.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=_instant, metavar="INSTANT", help="The earliest that counts; without a zone, UTC is meant."
        ),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=_instant, metavar="INSTANT", help="The first that is too late.")
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
    with Reader(database, versions=_loaded(versions)) as reader:
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
    if json:
        for entry in page:
            _write(text(document(entry, entry if unmask else masked(entry))))
        return
    console = _Console(highlight=False)
    show(console, page, unmask=unmask, typed=versions is not None)
    if not page.entries:
        console.print(
            "No such events." if tenant else "No such events. Where tenants are kept apart, name one: --tenant."
        )


@app.command("new")
def new_(versions: Named) -> None:
    """Make the folder in which the next version is written."""
    print(f"Write the next version in {here(str(new(package_of(versions))))}, and why in its __init__.py.")


@app.command("release")
def release_(
    day: Annotated[date, typer.Argument(parser=_date, metavar="DATE", help="From which date it is in force.")],
    versions: Named,
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Whose midnight; without it the recorded one, else UTC.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
) -> None:
    """Release what stands in `next` under a date: rename it, rewrite who names it, record its instant and its digests.

    Interrupted, it is finished by doing it again.
    """
    made = release(versions, day, zone=zone, dry=dry)
    for path in made.rewritten:
        _write(f"{'would rewrite' if dry else 'rewrote'} {here(str(path))}")
    told = f"{here(str(made.folder))} is in force from {made.instant.isoformat()}"
    _write(f"would be: {told}" if dry else f"{told}; recorded in released.toml")


@app.command("explain")
def explained_(
    kind: Annotated[str, typer.Argument(help="The events' kind, such as prescription.submit.")],
    versions: Named,
    version: Annotated[
        date | None,
        typer.Option(parser=_date, metavar="DATE", help="The version, in force or not; without it, the newest."),
    ] = None,
    json: Json = False,
) -> None:
    """Tell what a version does with a kind of event: who decides and since when, what is read, and what can come of it.

    With --json: one object with the keys kind, version, shape, shapes, requires, subjects, doc, input, slots, reads, operations,
    effects, rejections, digest.
    """
    loaded = _loaded(versions)
    assert loaded is not None
    found = explained(loaded, kind, version)
    if json:
        _write(text(found.document()))
    else:
        explain(_Console(highlight=False), found)


@app.command()
def check(
    versions: Named,
    json: Json = False,
) -> None:
    """Look for what is wrong with versions, without running anything. Exits with 1 if there is an error.

    Impure code in checks and handlers and what they call, steps that are not announced or share a key, imports of later dates, columns that
    nobody looks at, and whatever keeps the versions from being loaded.

    With --json: one object with the keys ok, errors, warnings, and findings, a list of {file, line, name, rule, severity, reason, mend}.
    """
    try:
        loaded = _loaded(versions)
        assert loaded is not None
        found = (*edits(versions), *checked(loaded))
    except Unloadable as error:
        found = (refused(error),)
    errors = sum(one.severity == "error" for one in found)
    if json:
        findings = [one.document() for one in found]
        _write(text({"ok": not errors, "errors": errors, "warnings": len(found) - errors, "findings": findings}))
    else:
        report(_Console(highlight=False), found, versions)
    raise typer.Exit(1 if errors else 0)


@app.command("run")
def run_(
    document: Annotated[str, typer.Argument(metavar="EVENT.json", help="The document; - reads standard input.")],
    versions: Named,
    version: Annotated[
        date | None,
        typer.Option(
            parser=_date, metavar="DATE", help="Under which to decide; without it the document's, else the newest."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Decide an event that carries its own snapshot, without any database, and print the plan. Exits with 1 if a check refuses.

    The document has the form of a recorded body: kind, input, snapshot, and where they are known meta, version and shape.

    With --json: one object with the keys kind, version, outcome, steps, rejections, amended.
    """
    loaded = _loaded(versions)
    assert loaded is not None
    try:
        read = sys.stdin.buffer.read() if document == "-" else Path(document).read_bytes()
    except OSError as error:
        raise Malformed(f"{document} cannot be read: {error.strerror}") from None
    moment = now()
    meta = Meta(id=new_id(moment, chance()[1]), at=moment, actor=Actor("nobody"))
    event, chosen, plan = decided(read, loaded, version=version, largest=Settings().largest, meta=meta)
    told = planned(event, chosen, plan)
    if json:
        _write(text(told))
    else:
        show_plan(_Console(highlight=False), told)
    raise typer.Exit(1 if plan.rejections else 0)


@app.command()
def changelog(
    versions: Named,
    since: Annotated[date | None, typer.Option(parser=_date, metavar="DATE", help="Leave older versions out.")] = None,
    json: Json = False,
) -> None:
    """Write the history of all versions as Markdown: what each says of itself, and what it changed, as a machine finds it.

    With --json: one object with the key versions, a list of {version, instant, title, why, changes}.
    """
    loaded = _loaded(versions)
    assert loaded is not None
    found = chapters(loaded, since)
    if json:
        _write(text({"versions": [one.document() for one in found]}))
    else:
        _write(markdown(found).rstrip("\n"))


@app.command("catalogue")
def catalogue_(versions: Named, json: Json = False) -> None:
    """Export everything that the versions say: each kind as each date left it, with the JSON Schema of its shape.

    One object with the keys versions and kinds; on one line with --json.
    """
    loaded = _loaded(versions)
    assert loaded is not None
    told = catalogue(loaded)
    _write(text(told) if json else dumps(told, indent=2, ensure_ascii=True))


class Left(Exception):
    """Whoever reads our output has read enough. Not a BrokenPipeError: Typer would end with 1, which stands for findings."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise Left


def _write(line: str) -> None:
    try:
        print(line)
    except BrokenPipeError:
        raise Left from None


def _loaded(name: str | None) -> Versions | None:
    if name is None:
        return None
    # As with `python -m`: the application lies where one stands.
    sys.path.insert(0, str(Path.cwd()))
    try:
        return load(name)
    except (ImportError, SyntaxError) as error:
        raise BadVersion(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
