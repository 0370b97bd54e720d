"""The reference pages that are made of the docstrings: `PYTHONPATH=src python -m tests.docs.reference` writes them, a test compares."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dateline
from dateline import errors
from dateline.console.site import console
from dateline.core.correction import Corrected
from dateline.core.decision import Decided
from dateline.core.diff import Item
from dateline.core.entry import Written
from dateline.core.mask import masked
from dateline.core.model import Model
from dateline.core.notice import Changed, Notice
from dateline.core.outcome import Performed, Removal, State, Wrote
from dateline.core.promise import Promise
from dateline.core.verdict import Verdict
from dateline.run.delivery import Sink
from dateline.run.moment import Moment
from dateline.run.path import Given
from dateline.run.reader import Reader
from dateline.run.settings import Settings
from dateline.run.together import Together
from dateline.sinks.jetstream import JetStream
from dateline.sinks.webhook import Webhooks, signature
from dateline.sql.drift import Drift
from dateline.sql.feed import Wanted
from dateline.sql.lag import Lag
from dateline.sql.overview import Overview
from dateline.sql.standing import Queued
from dateline.sql.trail import Filters
from dateline.sql.verify import Verification
from dateline.testing import decisions, postgres
from dateline.web.api import router
from dateline.web.caller import Caller
from dateline.web.health import health
from dateline.web.live import Live
from dateline.web.serve import Site, bound, serve

__all__ = ["FOLDER", "SECTIONS", "pages"]

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

# Each section of the page: a title, what it is about, and its names, with those of their methods that are for everybody.
SECTIONS: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    (
        "Events",
        "A request as a frozen, typed value, checked strictly: a `tuple` takes no list, a `Decimal` no float, an instant needs a zone.",
        {
            "Event": ("subjects", "meta", "new_id", "stamped"),
            "Meta": (),
            "Actor": (),
            "Reason": (),
            "Origin": (),
            "Personal": (),
            "EraseSubject": (),
        },
    ),
    (
        "Snapshots",
        "What a decision sees of the database.",
        {"Snapshot": (), "Record": (), "rows": (), "value": (), "given": (), "fingerprint": (), "Instant": ()},
    ),
    (
        "Decisions",
        "Pure functions, matched by the types in their signatures: one event, any snapshots, and `plan: Plan` for the steps so far.",
        {
            "check": (),
            "handler": (),
            "retired": (),
            "upgrade": (),
            "downgrade": (),
            "lower": (),
            "lift": (),
            "Yields": (),
            "Plan": ("of", "steps", "after"),
            "decide": (),
        },
    ),
    (
        "Steps",
        (
            "What checks and handlers yield. A yield in a loop needs a part of its own in the step's key: operations have their row's key, "
            "and `step.keyed(part)` gives one to any step."
        ),
        {
            "Reject": (),
            "Insert": ("keyed",),
            "Update": (),
            "Delete": (),
            "Effect": ("keyed", "correction"),
            "Retry": ("wait",),
            "Concerns": (),
            "Drop": (),
            "Replace": (),
            "Assigned": (),
        },
    ),
    (
        "Versions",
        "Calendar dates and what is in force on each.",
        {"Versions": ("of", "cascade", "kinds", "newest"), "load": ()},
    ),
    (
        "Runners",
        "What executes all this. `AsyncRunner` has the same methods, awaited; `event` and `close` included.",
        {
            "Runner": (
                *(
                    "dispatch",
                    "preview",
                    "promise",
                    "promised",
                    "permit",
                    "permitted",
                    "state",
                    "event",
                    "together",
                    "erase",
                    "trail",
                    "scan",
                    "feed",
                    "outcome",
                    "effects",
                    "attempts",
                    "overview",
                    "retry",
                    "cancel",
                    "approve",
                    "resume",
                    "replay",
                    "diff",
                    "compare",
                    "correct",
                    "as_of",
                    "adopt",
                    "drift",
                    "drift_of",
                    "look",
                    "accesses",
                    "pinned",
                    "pin",
                    "pins",
                    "impact",
                    "migrate",
                    "sequence",
                    "verify",
                    "close",
                ),
            ),
            "AsyncRunner": (),
            "Given": (),
            "Together": ("dispatch", "preview"),
            "Settings": (),
        },
    ),
    (
        "Deliveries",
        (
            "What performs effects once their event is committed. `AsyncRelay` takes a runner of either colour and is awaited; `Relay` "
            "brings an event loop to a plain program. `AsyncDelivery` is what a coroutine function is handed."
        ),
        {
            "delivers": (),
            "Delivery": ("dispatch",),
            "AsyncDelivery": ("dispatch",),
            "AsyncRelay": ("run", "drain", "stop", "wake", "lag"),
            "Relay": ("run", "drain", "stop", "lag"),
            "Sink": ("deliver", "close"),
            "Queued": (),
            "Lag": (),
            "Overview": (),
        },
    ),
    (
        "Outcomes",
        "What `dispatch` and `preview` return. Refusals are in the [errors](errors.md).",
        {
            "Committed": (),
            "Preview": ("fingerprints",),
            "State": ("fingerprints",),
            "Promise": (),
            "Wrote": (),
            "Performed": (),
            "Removal": (),
            "problem": (),
            "Problem": ("status", "document", "text"),
        },
    ),
    (
        "The trail",
        "What `trail` returns. How it is stored: [the trail's tables](trail.md).",
        {"Filters": (), "Page": (), "Entry": ("refusal", "rejections"), "Written": (), "Verification": ("ok",)},
    ),
    (
        "Time travel",
        "What `replay`, `diff`, `compare`, `correct`, `as_of`, `drift` and `erase` return. The [guide](../guides/replay.md) shows them.",
        {
            "Decision": (),
            "Decided": (),
            "Diff": ("document", "swapped"),
            "Item": ("cells", "shown"),
            "Correction": ("document",),
            "Corrected": ("status", "performed"),
            "Verdict": (),
            "Moment": ("row", "snapshot"),
            "Drift": ("columns",),
        },
    ),
    (
        "The feed",
        "What `feed` yields.",
        {"Notice": (), "Changed": (), "Wanted": ()},
    ),
    (
        "Sinks",
        "In `dateline.sinks`, each with an extra of its own: `webhooks` and `nats`. They are passed to a relay beside the functions.",
        {"Webhooks": ("deliver",), "signature": (), "JetStream": ("deliver",)},
    ),
    (
        "Live, in the browser",
        "In `dateline.web`, with the extra `web`; the [guide](../guides/feed.md) shows it.",
        {"Live": ("routes", "revoke", "end")},
    ),
    (
        "The API over HTTP",
        "In `dateline.web`, with the extra `web`; the [guide](../guides/http.md) shows it.",
        {"router": (), "Caller": ("name", "unmasked"), "console": ()},
    ),
    (
        "Who looked, and who is at which version",
        "What `runner.look` takes and `runner.accesses` returns; what `runner.pinned` and `runner.pins` return.",
        {"Look": (), "Access": ("document",), "Pin": ("document",)},
    ),
    (
        "Serving",
        "In `dateline.web.health` and `dateline.web.serve`, with the extra `web`; the [guide](../guides/serving.md) shows them.",
        {"health": (), "Site": ("of",), "bound": (), "serve": ()},
    ),
    (
        "Beside the package's own names",
        "Imported from their modules.",
        {
            "Reader": ("trail", "scan", "look", "accesses", "effects", "verify", "migrate", "close"),
            "masked": (),
        },
    ),
    (
        "Testing",
        (
            'In `dateline.testing`; the [guide](../guides/testing.md) shows them together. `pytest_plugins = ["dateline.testing.plugin"]` '
            "brings the fixtures `golden`, called with a plan and a name, which compares the plan with the one that is kept under that "
            "name (`pytest --update-goldens` keeps it), and `moving_clock`, a `Clock`."
        ),
        {
            "decisions.given": (),
            "decisions.Given": ("when",),
            "When": ("then", "refused"),
            "under_each": (),
            "Clock": ("move",),
            "in_memory": (),
            "launch": (),
            "Postgres": ("database", "drop"),
        },
    ),
)

# What the sections name and the package does not export.
_ELSEWHERE: dict[str, Any] = {
    "Caller": Caller,
    "Changed": Changed,
    "Clock": decisions.Clock,
    "Corrected": Corrected,
    "Decided": Decided,
    "Drift": Drift,
    "Filters": Filters,
    "Given": Given,
    "Item": Item,
    "JetStream": JetStream,
    "Lag": Lag,
    "Live": Live,
    "Moment": Moment,
    "Notice": Notice,
    "Overview": Overview,
    "Performed": Performed,
    "Postgres": postgres.Postgres,
    "Promise": Promise,
    "Queued": Queued,
    "Reader": Reader,
    "Removal": Removal,
    "Sink": Sink,
    "State": State,
    "Site": Site,
    "Together": Together,
    "Verdict": Verdict,
    "Verification": Verification,
    "Wanted": Wanted,
    "Webhooks": Webhooks,
    "When": decisions.When,
    "Written": Written,
    "Wrote": Wrote,
    "bound": bound,
    "decisions.Given": decisions.Given,
    "decisions.given": decisions.given,
    "health": health,
    "in_memory": decisions.in_memory,
    "launch": postgres.launch,
    "masked": masked,
    "console": console,
    "router": router,
    "serve": serve,
    "signature": signature,
    "under_each": decisions.under_each,
}

# Not made by calling them, or told one by one.
_UNSIGNED = (Given, Settings, Together, Moment, dateline.Instant)

# A type alias has no docstring of its own at run time: the text after it in its module is its docstring.
_ALIASES = {"Assigned": "operation", "Personal": "model", "Yields": "step"}

_SECTION = re.compile(r"^(Args|Returns|Raises|Source):[ ]*(.*)$")


def pages() -> dict[str, str]:
    """Return the text of each page that is made here, by its file's name."""
    return {"api.md": "\n".join(_api()), "errors.md": "\n".join(_errors())}


def _api() -> Iterator[str]:
    yield "# The public API\n"
    yield "<!-- Made of the docstrings by `PYTHONPATH=src python -m tests.docs.reference`; edit those. -->\n"
    yield "Everything here is imported from `dateline`, unless it says otherwise. What is not here is not public, and may change.\n"
    for title, about, names in SECTIONS:
        links = " · ".join(f"[{name}](#{name.lower().replace('.', '')})" for name in names)
        yield f"## {title}\n\n{about}\n\n{links}\n"
        for name, methods in names.items():
            yield from _entry(name, methods)


def _entry(name: str, methods: tuple[str, ...]) -> Iterator[str]:
    found = _ELSEWHERE.get(name) or getattr(dateline, name)
    yield f"### {name}\n"
    if name in _ELSEWHERE:
        yield f"`{found.__module__}.{name.rpartition('.')[2]}`\n"
    if name in _ALIASES:
        yield from _doc(_alias_doc(name))
        return
    yield from _signature(name, found)
    yield from _doc(inspect.getdoc(found) or "")
    if found is Settings:
        yield from _settings()
    for method in methods:
        yield from _method(name, found, method)


def _alias_doc(name: str) -> str:
    """Return the docstring of a type alias: the string that follows it in its module."""
    source = Path(inspect.getfile(dateline)).with_name("core") / f"{_ALIASES[name]}.py"
    found = re.search(rf'^{name}: TypeAlias = .*\n"""(.*?)"""$', source.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no docstring"
    return found[1]


def _signature(name: str, found: Any) -> Iterator[str]:
    if name in ("check", "handler"):
        yield f"```text\n@{name}\n@{name}(supersedes=function)\n```\n"
    # What an event or a record takes is up to its fields; what a request or the settings hold is told one by one.
    elif not isinstance(found, type) or not (issubclass(found, Model) or found in _UNSIGNED):
        yield f"```text\n{_signed(name, found)}\n```\n"


def _signed(name: str, call: Callable[..., Any], *, bound: bool = False) -> str:
    """Return a call as one line, or as one line for each parameter where one is too long."""
    signature = inspect.signature(call)
    parts: list[str] = []
    star = False
    for parameter in list(signature.parameters.values())[1 if bound else 0 :]:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        parts.append(_parameter(parameter))
        if parameter.kind is parameter.POSITIONAL_ONLY:
            parts.append("/")
    returned = "" if signature.return_annotation is signature.empty else f" -> {_type(signature.return_annotation)}"
    returned = "" if isinstance(call, type) else returned
    line = f"{name}({', '.join(parts)}){returned}"
    if len(line) <= 110:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    made = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        made = f"{'*' if parameter.kind is parameter.VAR_POSITIONAL else '**'}{made}"
    if parameter.annotation is not parameter.empty:
        made += f": {_type(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        made += f"{' = ' if ':' in made else '='}{parameter.default!r}"
    return made


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _method(owner: str, found: type, name: str) -> Iterator[str]:
    attribute = inspect.getattr_static(found, name)
    if isinstance(attribute, property):
        yield f"#### {owner}.{name}\n"
        yield from _doc(inspect.getdoc(attribute) or "")
        return
    call = attribute.__func__ if isinstance(attribute, classmethod | staticmethod) else attribute
    yield f"#### {owner}.{name}()\n"
    yield f"```text\n{_signed(name, call, bound=not isinstance(attribute, staticmethod))}\n```\n"
    yield from _doc(inspect.getdoc(call) or "")


def _settings() -> Iterator[str]:
    yield "| setting | environment | without it |\n|---|---|---|"
    for name, one in Settings.model_fields.items():
        yield f"| `{name}` | `DATELINE_{name.upper()}` | `{one.default}` |"
    yield ""


def _doc(doc: str) -> Iterator[str]:
    """Yield a docstring as Markdown: its sentences as they are, each of its sections as a list."""
    assert doc, "everything public has a docstring"
    section, lines = "", []
    for line in doc.splitlines():
        head = _SECTION.match(line)
        if head is None:
            lines.append(line)
            continue
        yield from _part(section, lines)
        section, lines = head[1], [head[2]]
    yield from _part(section, lines)


def _part(section: str, lines: list[str]) -> Iterator[str]:
    text = textwrap.dedent("\n".join(lines)).strip("\n")
    if section in ("Args", "Raises"):
        items = re.split(r"\n(?=\S)", text.strip())
        for item in items:
            name, _, told = " ".join(item.split()).partition(": ")
            names = ", ".join(f"`{one}`" for one in name.split(", "))
            yield f"- {'raises ' if section == 'Raises' else ''}{names}: {told}"
        yield ""
    elif section:
        yield f"- {section.lower()}: {' '.join(text.split())}\n"
    elif text:
        yield f"{text}\n"


def _errors() -> Iterator[str]:
    yield "# Errors\n"
    yield "<!-- Made of the docstrings by `PYTHONPATH=src python -m tests.docs.reference`; edit those. -->\n"
    doc = inspect.getdoc(errors) or ""
    title, tree, rest = re.split(r"\n\n(?=    DatelineError)|\n\n(?=A refusal)", doc)
    yield f"{title}\n\n```text\n{textwrap.dedent(tree)}\n```\n\n{rest}\n"
    yield "The names are in `dateline.errors`; those that callers meet are in `dateline` too.\n"
    yield "## Refusals\n\nThe outcome is the word under which the trail keeps it, and the `type` of its problem document.\n"
    yield "| error | outcome | |\n|---|---|---|"
    for name in errors.__all__:
        found = getattr(errors, name)
        if isinstance(found, type) and issubclass(found, errors.Refused) and found is not errors.Refused:
            yield f"| `{name}` | `{found.outcome}` | {_first(found)} |"
    yield "\n## All others\n\n| error | is a | |\n|---|---|---|"
    for name in errors.__all__:
        found = getattr(errors, name)
        if issubclass(found, Exception) and (not issubclass(found, errors.Refused) or found is errors.Refused):
            yield f"| `{name}` | `{found.__base__.__name__}` | {_first(found)} |"
    yield "\n## What they carry\n"
    for name in ("Rejection", "Difference", "Malformed", "Refused"):
        found = getattr(errors, name)
        yield f"### {name}\n"
        if name in ("Rejection", "Difference"):
            yield from _signature(name, found)
        yield from _doc(inspect.getdoc(found) or "")
    yield from _method("Refused", errors.Refused, "problem")


def _first(found: type) -> str:
    doc = (inspect.getdoc(found) or "").partition("\n\n")[0]
    return " ".join(doc.split())


if __name__ == "__main__":
    for file, text in pages().items():
        (FOLDER / file).write_text(f"{text.rstrip()}\n")
