"""Who looked at whom: what the command line itself shows is recorded, as through any other door, and can be listed."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import Annotated, Any, Protocol
from uuid import UUID

import typer
from rich.text import Text

from dateline.cli.common import Database, Json, Paper, write
from dateline.cli.document import printable, text
from dateline.core.access import Access, Look
from dateline.core.meta import Actor
from dateline.run.reader import Reader

__all__ = ["app", "look"]

app = typer.Typer()


class _Looks(Protocol):
    def look(self, *looks: Look) -> int: ...


def look(
    through: _Looks,
    view: str,
    subjects: Iterable[str] = (),
    *,
    tenant: str = "",
    event: UUID | None = None,
    unmasked: bool,
) -> None:
    """Record that whoever has this terminal is about to see somebody's data."""
    actor = Actor(getpass.getuser(), authenticated_by="operating system")
    about = tuple(dict.fromkeys(subjects))
    through.look(
        Look(actor=actor, door="cli", view=view, tenant=tenant, subjects=about, event=event, unmasked=unmasked)
    )


@app.command()
def accesses(
    database: Database,
    subject: Annotated[str | None, typer.Option(help="Whom they looked at, such as patient:42.")] = None,
    actor: Annotated[str | None, typer.Option(help="The id of who looked.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose data, in an application that keeps tenants apart.")] = "",
    after: Annotated[int | None, typer.Option(metavar="NUMBER", help="Go on after this access.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most accesses to show.")] = 100,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the newest.")] = False,
    json: Json = False,
) -> None:
    """Show who looked at whom, through which door, and whether they saw personal values.

    With --json: one object a line, with the keys number, at, subject, actor, door, view, event, unmasked, outcome, reason.
    """
    asked: dict[str, Any] = {"subject": subject, "actor": actor, "tenant": tenant, "after": after}
    with Reader(database) as reader:
        found = reader.accesses(**asked, limit=limit, newest_first=newest_first)
    if json:
        for one in found:
            write(text(one.document()))
        return
    console = Paper(highlight=False)
    for one in found:
        console.print(_line(one), soft_wrap=True)
    if len(found) == limit:
        console.print(Text(f"There may be more: --after {found[-1].number}", style="dim"))
    if not found:
        console.print("Nobody looked. Where tenants are kept apart, name one: --tenant.")


def _line(one: Access) -> Text:
    role = f" ({printable(one.actor.role)})" if one.actor.role else ""
    made = Text.assemble(
        (f"{one.at:%Y-%m-%d %H:%M:%S}  ", "dim"),
        (printable(one.actor.id), "bold"),
        role,
        "  ",
        printable(one.subject),
        (f"  {printable(one.view)}, by {printable(one.door)}", "dim"),
    )
    if one.unmasked:
        made.append("  unmasked", style="yellow")
    if one.outcome != "shown":
        made.append(f"  {printable(one.outcome)}", style="bold red")
    if one.reason is not None:
        made.append(f"  because {printable(one.reason.text)}", style="italic")
    return made
