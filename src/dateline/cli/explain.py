"""`dateline explain`: what a version says of a kind, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from dateline.cli.document import here
from dateline.core.catalogue import Explanation, Holder, Standing

__all__ = ["explain"]


def explain(console: Console, found: Explanation) -> None:
    """Print an explanation: the shape, then who decides in their order, what is read, and what can come of it."""
    console.print(Text.assemble((found.kind, "bold"), f"  under {found.version}"))
    if found.doc:
        console.print(Text(found.doc.partition("\n")[0], style="italic"))
    console.print()
    _section(console, "input", _input(found))
    for role in ("check", "handler"):
        slots = [slot for slot in found.slots if slot.role == role]
        _section(console, f"{role}s", (line for slot in slots for line in _slot(slot)))
    _section(console, "reads", _reads(found))
    _section(console, "can do", (Text(step) for step in found.operations))
    _section(console, "can send", (Text(kind) for kind in found.effects))
    _section(console, "can refuse", (Text(code) for code in found.rejections))


def _section(console: Console, title: str, lines: Iterable[Text]) -> None:
    lines = list(lines)
    if not lines:
        return
    console.print(Text(title, style="cyan"))
    for line in lines:
        for index, part in enumerate(line.wrap(console, max(console.width - 4, 30))):
            console.print(Text.assemble("    " if index else "  ", part), soft_wrap=True)
    console.print()


def _input(found: Explanation) -> Iterable[Text]:
    if len(found.shapes) > 1:
        yield Text(f"the shape of {found.shape}, after {', '.join(found.shapes[:-1])}", style="dim")
    wide = max((len(one.name) for one in found.input), default=0)
    for one in found.input:
        made = Text.assemble((f"{one.name:<{wide}}", "bold"), f"  {one.type}")
        if not one.required:
            made.append(f" = {one.default}", style="dim")
        if one.limits:
            made.append(f"  {', '.join(one.limits)}", style="dim")
        yield made.append("  personal", style="magenta") if one.personal else made


def _slot(slot: Standing) -> Iterable[Text]:
    if slot.holder is None:
        yield Text.assemble((slot.name, "dim strike"), (f"  retired {slot.since}", "dim"))
        return
    yield Text.assemble((slot.name, "bold"), f"  {slot.holder.since}", ("  " + _place(slot.holder), "dim"))
    if slot.holder.doc:
        yield Text(f"  {slot.holder.doc.partition(chr(10))[0]}", style="italic")
    if slot.before:
        told = ", ".join(f"{one.since} {one.name.rpartition('.')[2]}" for one in slot.before)
        yield Text(f"  in the place of {told}", style="dim")
    for step in slot.amends:
        yield Text(f"  amends {step}", style="yellow")


def _place(holder: Holder) -> str:
    return f"{here(holder.file)}:{holder.line}"


def _reads(found: Explanation) -> Iterable[Text]:
    for one in found.reads:
        made = Text.assemble((f"{one.snapshot}.{one.field}", "bold"), f"  {one.many}")
        if one.table is not None:
            made.append(f" of {one.table}: {', '.join(one.columns)}")
        yield made.append(f"  asked in the shape of {one.shape}", style="dim") if one.shape else made
