"""The command that serves an application: its API, its live feed, whether all is well, and a relay, in one process."""

from __future__ import annotations

import inspect
import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from dateline.cli.common import Json, Paper, named, write
from dateline.cli.document import printable, text
from dateline.errors import DatelineError
from dateline.run.engine import in_memory
from dateline.run.relay import AsyncRelay
from dateline.run.runner import AsyncRunner, Runner

if TYPE_CHECKING:
    import socket

__all__ = ["app"]

app = typer.Typer()


@app.command("serve")
def serve(
    program: Annotated[
        str,
        typer.Option(
            "--app",
            metavar="MODULE:NAME",
            help="Where the application's AsyncRunner or Runner is, or a function that makes one: shop.app:runner.",
        ),
    ],
    authenticate: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="The function that tells who calls; without it, whoever has the token that is shown, on this machine alone.",
        ),
    ] = None,
    authorise: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="The function that tells who may hear of what, live; without it, all of a tenant of all that is theirs.",
        ),
    ] = None,
    deliveries: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE[:NAME]",
            help="What performs effects: a module with functions marked by @delivers, one of these, or a sink. May be repeated.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="At which port; 0 for any that is free.")] = 8000,
    prefix: Annotated[str, typer.Option(metavar="PATH", help="What the paths of API and live feed begin with.")] = "",
    grace: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="How long what is in flight may take once it is to end.")
    ] = 20,
    log: Annotated[
        Literal["info", "warning"],
        typer.Option(help="Which lines of the log are written to stderr; info has every request."),
    ] = "warning",
    json: Json = False,
) -> None:
    """Serve the API, the live feed, /console, /healthz and /readyz, and deliver effects, until it is told to end by SIGTERM or SIGINT.

    Then it takes no more, finishes what is in flight and what is being delivered, and exits with 0.

    With --json: one object, once it listens, with the keys address, host, port, token, routes, delivers.
    """
    try:
        # Here, because the other commands need no web.
        from dateline.web import serve as web  # noqa: PLC0415
        from dateline.web.local import Local  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DatelineError(
            f"serving needs packages that are not here ({error.name}): pip install 'dateline[web]'"
        ) from error
    runner = _runner(program)
    called = _called(authenticate, "--authenticate", "tells of a request who sends it")
    allowed = _called(authorise, "--authorise", "tells of a caller and of what they want whether they may have it")
    patience = timedelta(seconds=grace)
    performing = [named(one, "--deliveries") for one in deliveries or ()]
    relay = AsyncRelay(runner, *performing, grace=patience) if performing else None
    listening = web.bound(host, port, here=called is None)
    token = None
    if called is None:
        token = secrets.token_urlsafe(32)
        called = Local(token, runner.versions)
    path = "/".join(["", *filter(None, prefix.split("/"))]) if prefix.strip("/") else ""
    pages = _pages(runner, called)
    site = web.Site.of(runner, authenticate=called, authorise=allowed, relay=relay, pages=pages, prefix=path)
    _heard(log)
    told = _Told.of(listening, token, path, sorted(relay.routes) if relay is not None else (), pages=bool(pages))
    web.serve(site, listening, told=lambda: told.write() if json else told.show(program), grace=patience)


def _pages(runner: AsyncRunner, called: Any) -> list[Any]:
    """Return the console's routes; none where it is not installed."""
    try:
        from dateline.console.site import console  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        return []
    return list(console(runner, authenticate=called).routes)


def _runner(program: str) -> AsyncRunner:
    """Return the runner that a name stands for."""
    found = named(program, "--app")
    if callable(found) and _takes_nothing(found):
        found = found()
    if inspect.iscoroutine(found):
        found.close()
    if isinstance(found, Runner):
        if in_memory(found.engine):
            raise DatelineError(
                f"{program} keeps its trail in memory, where nobody else sees it; name a file: sqlite:///file.db"
            )
        found.close()
        return AsyncRunner(found.engine, versions=found.versions, clock=found.clock, settings=found.settings)
    if not isinstance(found, AsyncRunner):
        raise DatelineError(
            f"{program} is no AsyncRunner or Runner, nor a function without arguments that makes one, but {type(found).__name__}"
        )
    return found


def _takes_nothing(found: Any) -> bool:
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _called(program: str | None, option: str, does: str) -> Any:
    """Return the function that a name stands for; None without a name."""
    if program is None:
        return None
    found = named(program, option)
    if not callable(found):
        raise DatelineError(f"{program} is no function that {does}, but {type(found).__name__}; name one with {option}")
    return found


def _heard(level: str) -> None:
    """Have the log's lines written, where the application has not said where it wants them."""
    ours = logging.getLogger("dateline")
    if not logging.getLogger().handlers and all(isinstance(one, logging.NullHandler) for one in ours.handlers):
        ours.addHandler(logging.StreamHandler(sys.stderr))
        ours.setLevel(level.upper())


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of a server that listens.

    Args:
        token: What requests carry, where nobody else tells who calls.
        delivers: The kinds of effects that its relay performs.
    """

    address: str
    host: str
    port: int
    token: str | None
    routes: dict[str, str]
    delivers: Sequence[str]

    @classmethod
    def of(
        cls, listening: socket.socket, token: str | None, prefix: str, delivers: Sequence[str], *, pages: bool
    ) -> _Told:
        """Return it; the port is the real one, also where any was asked for."""
        host, port = listening.getsockname()[:2]
        routes = {
            "api": f"{prefix}/events",
            "description": f"{prefix}/openapi.json",
            "live": f"{prefix}/live",
            "events": f"{prefix}/live/events",
            "health": "/healthz",
            "ready": "/readyz",
        }
        if pages:
            routes["console"] = "/console/"
        return cls(f"http://{f'[{host}]' if ':' in host else host}:{port}", host, port, token, routes, delivers)

    def write(self) -> None:
        """Write it as JSON."""
        write(text(asdict(self)))
        sys.stdout.flush()

    def show(self, program: str) -> None:
        """Show it to a person."""
        console = Paper(highlight=False, soft_wrap=True)
        routes = self.routes
        console.print(Text.assemble((printable(program), "bold"), " is served at ", (self.address, "bold cyan")))
        lines = {
            "API": f"{routes['api']}, described at {routes['description']}",
            "live": f"{routes['live']}, a WebSocket, and {routes['events']}, server-sent events",
            "console": routes.get(
                "console", "none: nobody sees pages here; pip install 'dateline[console]' brings them"
            ),
            "health": f"{routes['health']}, and whether it can serve: {routes['ready']}",
            "relay": f"delivers {', '.join(self.delivers)}"
            if self.delivers
            else "none: nobody delivers effects here; --deliveries MODULE has one run",
        }
        for name, line in lines.items():
            console.print(Text.assemble(f"  {name:<8}", (printable(line), "dim" if line.startswith("none") else "")))
        if self.token is not None:
            kinds = f"{self.address}{routes['description'].removesuffix('openapi.json')}kinds"
            console.print(
                "  caller  whoever has this token, on this machine, with all rights; --authenticate tells others apart:"
            )
            console.print(Text(f"  curl -H 'Authorization: Bearer {self.token}' {kinds}", style="green"))
            if "console" in routes:
                console.print("  and in a browser, which keeps a cookie and not this address:")
                console.print(Text(f"  {self.address}{routes['console']}enter?token={self.token}", style="green"))
        console.print("Ctrl-C ends it.", style="dim")
        sys.stdout.flush()
