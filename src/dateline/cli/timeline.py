"""A page of the trail as a person reads it: day by day, what was asked, by whom, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from dateline.cli.document import printable, text
from dateline.core.document import changed
from dateline.core.entry import Entry, Page, Written
from dateline.core.mask import masked

__all__ = ["show"]

LONGEST = 400
"""Characters of one value that are shown."""

MARGIN = 21
"""What stands left of a line's content: the time, the mark, the label, and the spaces between them."""

LEAST = 30
"""Characters of content on a line, however narrow the terminal."""

_BETWEEN = Text.assemble((" · ", "dim"))


def show(console: Console, page: Page, *, unmask: bool, typed: bool) -> None:
    """Print a page.

    Args:
        unmask: Show personal values.
        typed: The application's versions are at hand, so an event without its type is one that they cannot read.
    """
    day = None
    for entry in page:
        if entry.occurred_at.date() != day:
            day = entry.occurred_at.date()
            console.print(Text(f"{day:%A}, {day.day} {day:%B %Y}, UTC", style="bold"))
            console.print()
        console.print(_heading(entry), soft_wrap=True)
        width = max(console.width - MARGIN, LEAST)
        for label, content in _lines(entry, unmask=unmask, typed=typed, width=width):
            for index, line in enumerate(content.wrap(console, width)):
                line.rstrip()
                beside = f"{label if index == 0 else '':<9} "
                console.print(Text.assemble(" " * 11, (beside, "cyan"), line), soft_wrap=True)
        console.print()
    if page.next is not None:
        console.print(Text(f"There are more: --after {page.next}", style="dim"))


def _heading(entry: Entry) -> Text:
    committed = entry.outcome == "committed"
    mark = ("● ", "green") if committed else ("× ", "bold red")
    made = Text.assemble((f"{entry.occurred_at:%H:%M:%S} ", "dim"), mark, (_plain(entry.kind), "bold"), "  ")
    made.append(_plain(entry.outcome), style="green" if committed else "bold red")
    version = f", version {entry.version}" if entry.version is not None else ""
    return made.append(f"  event {entry.seq}{version}", style="dim")


def _lines(entry: Entry, *, unmask: bool, typed: bool, width: int) -> Iterator[tuple[str, Text]]:
    """Yield what is known of an entry, each line with its label."""
    seen = entry if unmask else masked(entry)
    if entry.event is not None and (doc := type(entry.event).__doc__):
        yield "", Text(_plain(doc.strip().splitlines()[0]), style="italic")
    elif typed and entry.event is None:
        yield "", Text("No version at hand can read this event.", style="italic yellow")
    yield "actor", _actor(entry)
    if entry.reason is not None:
        facts = entry.reason.facts()
        yield "because", _BETWEEN.join([Text(_plain(facts.pop("text"))), *_named(facts.items())])
    if entry.subjects:
        yield "about", Text(_plain(", ".join(entry.subjects)))
    if entry.meta.late:
        yield "late", Text(f"recorded {entry.recorded_at:%Y-%m-%d %H:%M:%S}")
    if entry.meta.cause is not None:
        yield "caused by", Text(str(entry.meta.cause))
    if seen.input:
        yield "asked", _fields(seen.input, width)
    yield from _refusal(entry)
    for full, one in zip(entry.operations, seen.operations, strict=True):
        yield f"{one.verb}{'d' if one.verb.endswith('e') else 'ed'}", _row(full, one, width)
        for _, handler, day in one.merged or (("", one.handler, one.date),):
            yield "", _decided(handler, day)
    for effect in seen.effects:
        heading = Text.assemble((_plain(effect.kind), "bold"), f", {_plain(effect.state)}")
        yield "effect", _under(heading, _named(effect.payload.items()), width)
        yield "", _decided(effect.handler, effect.date)


def _actor(entry: Entry) -> Text:
    actor = entry.actor
    made = Text(_plain(actor.id), style="bold")
    beside = [found for found in (actor.role, actor.kind if actor.kind != "person" else None) if found]
    if beside:
        made.append(f" ({_plain(', '.join(beside))})", style="not bold")
    if actor.on_behalf_of:
        made.append(f" on behalf of {_plain(actor.on_behalf_of)}", style="not bold")
    if actor.authenticated_by:
        made.append(f", known by {_plain(actor.authenticated_by)}", style="not bold")
    return made


def _refusal(entry: Entry) -> Iterator[tuple[str, Text]]:
    refusal = entry.refusal
    if refusal is None:
        return
    if not entry.rejections:
        yield "refused", Text(_plain(refusal.detail))
    for one in entry.rejections:
        made = Text.assemble((_plain(one.code), "bold red"), f"  {_plain(one.detail)}")
        if one.field:
            made.append(f"  (field {_plain(one.field)})", style="dim")
        yield "refused", made
        yield "", _decided(one.handler, one.date)


def _decided(handler: str, date: str) -> Text:
    module, _, name = handler.rpartition(".")
    return Text.assemble(("by ", "dim"), name, (f" of {date}" + (f", {module}" if module else ""), "dim"))


def _row(full: Written, one: Written, width: int) -> Text:
    """Return which row, and its cells: those that changed, before and after; of a row that came or went, those that are not empty."""
    heading = Text(f"{_plain(one.table)} {_plain(one.row_key)}", style="bold")
    before, after = one.before, one.after
    if before is None or after is None:
        cells = {name: value for name, value in (before or after or {}).items() if value is not None}
        return _under(heading, _named(cells.items()), width)
    changes = []
    for name in changed(full):
        cell = Text.assemble((_plain(name), "dim"), " ", _value(before.get(name)))
        changes.append(cell.append(" → ", style="dim").append(_value(after[name]), style="bold"))
    return _under(heading, changes or [Text("nothing changed", style="dim")], width)


def _fields(values: Mapping[str, Any], width: int) -> Text:
    return _joined(list(_named(values.items())), width)


def _under(heading: Text, parts: Iterable[Text], width: int) -> Text:
    """Return parts on the heading's line where there is room for all, else each on its own line beneath it."""
    parts = list(parts)
    line = Text("  ").join([heading, _BETWEEN.join(parts)])
    if not parts or line.cell_len <= width:
        return line if parts else heading
    return Text("\n  ").join([heading, *parts])


def _joined(parts: list[Text], width: int) -> Text:
    line = _BETWEEN.join(parts)
    return line if line.cell_len <= width else Text("\n").join(parts)


def _named(pairs: Iterable[tuple[str, Any]]) -> list[Text]:
    return [Text.assemble((_plain(name), "dim"), " ", _value(value)) for name, value in pairs]


def _value(value: Any) -> str:
    if value is None:
        return "–"
    told = _plain(value if isinstance(value, str) else text(value))
    if len(told) > LONGEST:
        return f"{told[:LONGEST]}… ({len(told)} characters)"
    return told or '""'


def _plain(told: Any) -> str:
    """Return text that can do nothing to a terminal: what people entered may hold its control sequences."""
    return printable(told if isinstance(told, str) else text(told))
