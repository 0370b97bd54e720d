"""The commands about versions: what they do, what is wrong with them, and how one is begun and released. Only a squash needs a database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from dateline.cli.check import report
from dateline.cli.common import Database, Json, Paper, day, loaded, write
from dateline.cli.diagram import diagram
from dateline.cli.document import here, text
from dateline.cli.explain import explain
from dateline.cli.plan import show
from dateline.core.catalogue import explained
from dateline.core.check import checked, refused
from dateline.core.drawing import drawn
from dateline.core.entry import Entry
from dateline.core.history import catalogue, chapters, markdown
from dateline.core.meta import Actor, Meta
from dateline.core.standalone import decided, planned
from dateline.core.version import Versions
from dateline.errors import Malformed, Unloadable
from dateline.run.clock import chance, new_id, now
from dateline.run.reader import Reader
from dateline.run.release import edits, new, package_of, release
from dateline.run.settings import Settings
from dateline.run.squash import squash

__all__ = ["app"]

app = typer.Typer()

Named = Annotated[
    str,
    typer.Option(envvar="DATELINE_VERSIONS", metavar="NAME", help="The application's versions, such as shop.versions."),
]


@app.command("new")
def new_(versions: Named) -> None:
    """Make the folder in which the next version is written."""
    print(f"Write the next version in {here(str(new(package_of(versions))))}, and why in its __init__.py.")


@app.command("release")
def release_(
    on: Annotated[date, typer.Argument(parser=day, metavar="DATE", help="From which date it is in force.")],
    versions: Named,
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Whose midnight; without it the recorded one, else UTC.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
    slip: Annotated[
        bool, typer.Option("--slip", help="Give this date to the newest release, which is not in force yet.")
    ] = False,
) -> None:
    """Release what stands in `next` under a date: rename it, rewrite who names it, record its instant and its digests.

    With --slip, the newest release gets the date, for as long as its own has not come. Interrupted, either is finished by doing it again.
    """
    made = release(versions, on, zone=zone, dry=dry, slips=now() if slip else None)
    for path in made.rewritten:
        write(f"{'would rewrite' if dry else 'rewrote'} {here(str(path))}")
    told = f"{here(str(made.folder))} is in force from {made.instant.isoformat()}"
    write(f"would be: {told}" if dry else f"{told}; recorded in released.toml")


@app.command("squash")
def squash_(
    on: Annotated[date, typer.Argument(parser=day, metavar="DATE", help="The newest of those that are folded.")],
    versions: Named,
    database: Database,
    dry: Annotated[bool, typer.Option("--dry-run", help="Look, tell what would be done, and do nothing.")] = False,
    json: Json = False,
) -> None:
    """Fold all versions before a retired date into it, where every event that they decided comes to the same under that date.

    Their folders become its own, imports are rewritten, and the code of checks and handlers that no longer decide anything is emptied.

    With --json: one object with the keys folder, folded, emptied, kept, events, done.
    """

    def scan(held: Versions) -> Iterator[Entry]:
        with Reader(database, versions=held) as reader:
            yield from reader.scan()

    made = squash(versions, on, scan, present=now(), dry=dry)
    folded = [str(one) for one in made.folded]
    if json:
        told = {"folder": here(str(made.folder)), "folded": folded, "emptied": made.emptied, "kept": made.kept}
        write(text({**told, "events": made.events, "done": not dry}))
        return
    for name in made.emptied:
        write(f"{'would empty' if dry else 'emptied'} {name}")
    for name in made.kept:
        write(f"{'would leave' if dry else 'left'} {name} as it is: it no longer decides, but others call it")
    events = f"{made.events} recorded event{'' if made.events == 1 else 's'} came to the same"
    verb = "would be" if dry else "is now" if len(folded) == 1 else "are now"
    write(f"{', '.join(folded)} {verb} in {here(str(made.folder))}: {events}")


@app.command("explain")
def explained_(
    kind: Annotated[str, typer.Argument(help="The events' kind, such as prescription.submit.")],
    versions: Named,
    version: Annotated[
        date | None,
        typer.Option(parser=day, metavar="DATE", help="The version, in force or not; without it, the newest."),
    ] = None,
    drawing: Annotated[bool, typer.Option("--diagram", help="Draw who holds which slot since when, instead.")] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the drawing as SVG; - writes standard output.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell what a version does with a kind of event: who decides and since when, what is read, and what can come of it.

    With --json: one object with the keys kind, version, shape, shapes, requires, subjects, doc, input, slots, reads, operations,
    effects, rejections, digest.
    """
    if json and (drawing or svg is not None):
        raise Malformed("--json tells what --diagram and --svg draw; leave one of them out")
    held = loaded(versions)
    found = explained(held, kind, version)
    if svg is not None:
        picture = drawn(found)
        if str(svg) == "-":
            write(picture.rstrip("\n"))
        else:
            try:
                svg.write_text(picture, encoding="utf-8")
            except OSError as error:
                raise Malformed(f"{svg} cannot be written: {error.strerror}") from None
            write(f"The cascade of {kind} under {found.version} is drawn in {svg}.")
    elif drawing:
        diagram(Paper(highlight=False), found)
    elif json:
        write(text(found.document()))
    else:
        explain(Paper(highlight=False), found)


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
        held = loaded(versions)
        found = (*edits(versions), *checked(held))
    except Unloadable as error:
        found = (refused(error),)
    errors = sum(one.severity == "error" for one in found)
    if json:
        findings = [one.document() for one in found]
        write(text({"ok": not errors, "errors": errors, "warnings": len(found) - errors, "findings": findings}))
    else:
        report(Paper(highlight=False), found, versions)
    raise typer.Exit(1 if errors else 0)


@app.command("run")
def run_(
    document: Annotated[str, typer.Argument(metavar="EVENT.json", help="The document; - reads standard input.")],
    versions: Named,
    version: Annotated[
        date | None,
        typer.Option(
            parser=day, metavar="DATE", help="Under which to decide; without it the document's, else the newest."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Decide an event that carries its own snapshot, without any database, and print the plan. Exits with 1 if a check refuses.

    The document has the form of a recorded body: kind, input, snapshot, and where they are known meta, version and shape.

    With --json: one object with the keys kind, version, outcome, steps, rejections, amended.
    """
    held = loaded(versions)
    try:
        read = sys.stdin.buffer.read() if document == "-" else Path(document).read_bytes()
    except OSError as error:
        raise Malformed(f"{document} cannot be read: {error.strerror}") from None
    moment = now()
    meta = Meta(id=new_id(moment, chance()[1]), at=moment, actor=Actor("nobody"))
    event, chosen, plan = decided(read, held, version=version, largest=Settings().largest, meta=meta)
    told = planned(event, chosen, plan)
    if json:
        write(text(told))
    else:
        show(Paper(highlight=False), told)
    raise typer.Exit(1 if plan.rejections else 0)


@app.command()
def changelog(
    versions: Named,
    since: Annotated[date | None, typer.Option(parser=day, metavar="DATE", help="Leave older versions out.")] = None,
    json: Json = False,
) -> None:
    """Write the history of all versions as Markdown: what each says of itself, and what it changed, as a machine finds it.

    With --json: one object with the key versions, a list of {version, instant, title, why, changes}.
    """
    held = loaded(versions)
    found = chapters(held, since)
    if json:
        write(text({"versions": [one.document() for one in found]}))
    else:
        write(markdown(found).rstrip("\n"))


@app.command("catalogue")
def catalogue_(versions: Named, json: Json = False) -> None:
    """Export everything that the versions say: each kind as each date left it, with the JSON Schema of its shape.

    One object with the keys versions and kinds; on one line with --json.
    """
    held = loaded(versions)
    told = catalogue(held)
    write(text(told) if json else dumps(told, indent=2, ensure_ascii=True))
