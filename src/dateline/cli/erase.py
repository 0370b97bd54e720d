"""The command that erases a subject."""

from __future__ import annotations

from typing import Annotated

import typer

from dateline.cli.common import Database, counted, loaded, write
from dateline.cli.document import printable
from dateline.cli.effects import Tenant, Versions, Who
from dateline.core.erase import RIGHT
from dateline.core.meta import Actor
from dateline.run.runner import Runner

__all__ = ["app"]

app = typer.Typer()


@app.command("erase")
def erase(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Whose values, as events and records name it: patient:42.")
    ],
    database: Database,
    versions: Versions,
    actor: Who,
    reason: Annotated[str, typer.Option(help="Why; it is recorded, and there is no erasure without.")],
    tenant: Tenant = "",
) -> None:
    """Have a subject's personal values leave the trail, and let the application's handlers do what they do about its tables.

    Recorded as an event. What would still have been sent of the values is cancelled. Twice is harmless.
    """
    who = Actor(actor, rights=frozenset({RIGHT}))
    with Runner(database, versions=loaded(versions)) as runner:
        done = runner.erase(subject, actor=who, reason=reason, tenant=tenant)
    gone = done.removal
    assert gone is not None
    values = counted(gone.values, "personal value")
    write(
        f"{values} of {printable(subject)} {'is' if gone.values == 1 else 'are'} erased; recorded as event {done.seq}."
    )
    if gone.cancelled:
        write(f"Cancelled, since they would have sent one: {', '.join(gone.cancelled)}.")
    if gone.sending:
        write(f"Being sent at this moment, so that it may arrive: {', '.join(gone.sending)}.")
