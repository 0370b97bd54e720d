"""The console's routes: pages for people, made on the server, and of each its document as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from fastapi import APIRouter
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from dateline.console.act import act, carried
from dateline.console.chart import columns, ranks
from dateline.console.pages import correction, effects, event, mending, overview, playground, row, rules, subject
from dateline.console.pages.told import PAGE, part
from dateline.core.canon import canonical, instant
from dateline.core.version import Version
from dateline.errors import DatelineError
from dateline.run.runner import AsyncRunner
from dateline.web.call import Answer, Call, Route
from dateline.web.caller import Authenticate, Caller
from dateline.web.face import Face
from dateline.web.problem import found

__all__ = ["Console", "console"]

_STATIC = Path(__file__).with_name("static")

_KEPT = {
    "style": ("console.css", "text/css"),
    "icon": ("icon.svg", "image/svg+xml"),
    "htmx": ("htmx.min.js", "text/javascript"),
    "script": ("console.js", "text/javascript"),
}
"""What a browser keeps: the file and its type."""

_SAFE = {
    # Nothing from elsewhere, nothing inline, in no frame; and no address that names a patient is told to anybody else. Of no address at
    # all a browser would say that a form of ours comes from nowhere.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

# A page that grows asks us, and runs what is ours.
_GROWING = {
    **_SAFE,
    "content-security-policy": f"{_SAFE['content-security-policy']}; script-src 'self'; connect-src 'self'",
}

# A picture's style is its own, and it runs nothing.
_PICTURE = {**_SAFE, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def console(runner: AsyncRunner, *, authenticate: Authenticate | None = None) -> APIRouter:
    """Return the console's routes, to be mounted: `app.include_router(console(runner, authenticate=…), prefix="/console")`.

    Args:
        authenticate: Tells who looks, with which rights, and whose data they see; as for the API.

    Raises:
        DatelineError: Without it.
    """
    if authenticate is None:
        raise DatelineError(
            "console(…) shows what happened to whoever asks; pass authenticate=, which tells of a request who sends it: "
            "authenticate=lambda request: Caller(Actor(…), tenant=…)"
        )
    return Console(runner, authenticate).router()


async def _kept(file: str, _: Call) -> Answer:
    return Answer((_STATIC / file).read_bytes())


class Console(Face):
    """Shows one runner's trail to people."""

    DOOR: ClassVar[str] = "console"

    PAGES: ClassVar[Mapping[str, tuple[str, Route]]] = {
        "start": ("/", overview.start),
        # Before whoever it is about: their name may be anything, and end so.
        "accesses": ("/subjects/{subject:anything}/accesses", subject.accesses),
        "subject": ("/subjects/{subject:anything}", subject.subject),
        "event": ("/events/{id}", event.event),
        "compare": ("/events/{id}/compare", event.compare),
        "correct": ("/events/{id}/correct", correction.sheet),
        "mend": ("/events/{id}/mend", mending.sheet),
        "row": ("/rows/{table}/{key:anything}", row.row),
        "catalogue": ("/kinds", rules.catalogue),
        "kind": ("/kinds/{kind}", rules.kind),
        "changes": ("/changelog", rules.changes),
        "between": ("/between", rules.between),
        "effects": ("/effects", effects.effects),
        "try": ("/kinds/{kind}/try", playground.sheet),
    }
    """Every page: its path, and what makes its document."""

    ACTS: ClassVar[Mapping[str, tuple[str, Route, str]]] = {
        "effect": ("/effects/{key}", act("effect", effects.step), "effects"),
        "corrected": ("/events/{id}/correct", act("correct", correction.correct), "correct"),
        "mended": ("/events/{id}/mend", act("mend", mending.entered, again=True, event=True), "mend"),
        "preview": ("/kinds/{kind}/try", act("preview", playground.preview, again=True, event=True), "try"),
        "dispatch": ("/kinds/{kind}/dispatch", act("dispatch", playground.dispatch, again=True, event=True), "try"),
    }
    """Everything that is done through a form: its path, what does it, and the page on which it stands."""

    ROUTES: ClassVar[Mapping[str, tuple[str, str, Route]]] = {
        **{name: ("GET", f"/{file}", partial(_kept, file)) for name, (file, _) in _KEPT.items()},
        "picture": ("GET", "/kinds/{kind}/cascade.svg", rules.picture),
        # Before the pages: what is called so is the document.
        **{f"{name}.json": ("GET", f"{path}.json", work) for name, (path, work) in PAGES.items()},
        **{name: ("GET", path, work) for name, (path, work) in PAGES.items()},
        **{name: ("POST", path, work) for name, (path, work, _) in ACTS.items()},
    }

    # People see the rules of their own version, and of any other; they are pinned to none.
    UPGRADING: ClassVar[frozenset[str]] = frozenset(ROUTES)

    def __init__(self, runner: AsyncRunner, authenticate: Authenticate) -> None:
        super().__init__(runner, authenticate)
        self._pages = Environment(
            loader=PackageLoader("dateline.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # What makes pictures escapes what they say.
        self._pages.filters |= {
            "breaks": _breaks,
            "columns": lambda told, title, series: Markup(columns(title, overview.called(told), series)),  # noqa: S704 - as above
            "ranks": lambda counts, title: Markup(ranks(title, counts)),  # noqa: S704 - as above
            "day": lambda at: f"{_moment(at):%-d %b %Y}",
            "instant": _instant,
            "json": lambda one: canonical(one).decode(),
            "minute": lambda at: f"{_moment(at):%-d %b %Y, %H:%M} UTC",
            "part": part,
            "readable": _readable,
            "pretty": lambda one: json.dumps(one, indent=2, ensure_ascii=False),
        }

    async def version(self, request: Request, caller: Caller) -> Version:
        """Return the version in whose shapes things are shown: the caller's, or the newest."""
        return self.runner.versions.choose(caller.version, self.runner.clock())

    def respond(self, call: Call, name: str, answer: Answer, headers: dict[str, str]) -> Response:
        """Return a page, or the document that it is made of."""
        if answer.status == 303:
            return Response(b"", answer.status, {**_SAFE, **answer.headers})
        if answer.status == 204:
            return Response(b"", 204, {**_SAFE, **headers})
        if name in _KEPT:
            return Response(answer.told, 200, {**_SAFE, "cache-control": "max-age=3600"}, _KEPT[name][1])
        if name == "picture":
            return Response(answer.told, 200, {**_PICTURE, **headers}, "image/svg+xml")
        if name.endswith(".json"):
            return Response(canonical(answer.told, known=True), 200, {**_SAFE, **headers}, "application/json")
        page = self.ACTS[name][2] if name in self.ACTS else name
        template = "new.html" if answer.told.get("new") else f"{page}.html"
        text = self._page(template, call.request, call.base, call.caller, answer.told, page=page, call=call)
        grows = answer.told.get("known") is not None
        return Response(text, answer.status, {**(_GROWING if grows else _SAFE), **headers}, "text/html")

    def refuse(self, request: Request, name: str, base: str, caller: Caller | None, error: DatelineError) -> Response:
        """Return the page that tells what went wrong; of a document, the problem."""
        problem = found(error)
        if name.endswith(".json"):
            return Response(problem.text, problem.status, {**_SAFE, **problem.headers}, "application/problem+json")
        text = self._page("error.html", request, base, caller, problem.document, page="")
        return Response(text, problem.status, {**_SAFE, **problem.headers}, "text/html")

    def _page(
        self,
        template: str,
        request: Request,
        base: str,
        caller: Caller | None,
        told: Mapping[str, Any],
        *,
        page: str,
        call: Call | None = None,
    ) -> str:
        query = f"?{request.url.query}" if request.url.query else ""
        path = quote(str(request.scope["path"]))
        further = request.url.include_query_params(after=told["next"]).query if told.get("next") else ""
        known = ",".join(str(one) for one in told.get("known") or ())
        return self._pages.get_template(template).render(
            told=told,
            base=base,
            page=page,
            who="nobody is signed in" if caller is None else caller.actor.id,
            unmasked=caller is not None and caller.unmasked,
            twin=f"{path}.json{query}" if page and request.method == "GET" else "",
            further=f"{path}?{further}",
            permit=None if call is None else partial(carried, call),
            poll=f"{path}?{request.url.include_query_params(known=known).query}",
            full=PAGE,
        )


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d{1,6})?)Z")
_SPAN = re.compile(r"P(?!$)(?:(\d+)D)?(?:T(?!$)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_PARTS = ("d", "h", "min", "s")


_SHORT = 16
"""Letters of a name that has room on a phone, beside what it names."""


def _readable(told: str) -> Markup:
    """Return a text as people read it: an instant and a length of time, as JSON has them, in words; all else as it is."""
    if met := _MOMENT.fullmatch(told):
        return Markup('<span class="day">{}</span> {} UTC').format(*met.groups())
    if met := _SPAN.fullmatch(told):
        shown = " ".join(f"{number} {part}" for number, part in zip(met.groups(), _PARTS, strict=True) if number)
        return Markup("{}").format(shown)
    return escape(told)


def _breaks(name: str) -> Markup:
    """Return a name that may be broken where its words end."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/])", name) if len(name) > _SHORT else [name])


def _moment(at: Any) -> datetime:
    return (at if isinstance(at, datetime) else datetime.fromisoformat(str(at))).astimezone(UTC)


def _instant(at: Any) -> str:
    return instant(_moment(at))
