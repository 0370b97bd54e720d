"""A form to be filled in, made of an event's shape; and the JSON text that somebody's filling it in comes to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, get_args

from dateline.core.catalogue import Input
from dateline.core.event import Event

__all__ = ["Blank", "blanks", "body", "faulty", "typed"]

_LONG = 200
"""Characters of a text that one line is too short for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """One field that is to be filled in.

    Args:
        type: As a person would write it; `limits` what narrows it.
        sort: How it is filled in: "line", "text", "whole", "number", "decimal", "date", "instant", "time", "yes", "choice" or "json".
        default: What stands where it is left out, as it would be typed; None where it is required.
        nullable: Whether it can say that there is nothing.
        options: Of a choice, each value as JSON, and as it is shown.
        attributes: What a browser checks by itself.
    """

    name: str
    type: str
    limits: tuple[str, ...]
    sort: str
    required: bool
    default: str | None
    nullable: bool
    personal: bool
    options: tuple[tuple[str, str], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    def text(self, typed: str) -> str | None:
        """Return as JSON what was typed; None of what is left out."""
        if typed == "" or (self.sort not in ("line", "text") and not typed.strip()):
            if self.nullable:
                return None if self.default in (None, "") and not self.required else "null"
            return '""' if self.sort in ("line", "text") and self.default else None
        told = typed.strip()
        if self.sort == "whole" and _WHOLE.fullmatch(told):
            return str(int(told))
        if (self.sort == "number" and _NUMBER.fullmatch(told)) or self.sort == "json":
            return told
        if self.sort == "yes" and told in _YES:
            return _YES[told]
        if self.sort == "choice" and any(told == one for one, _ in self.options):
            return told
        if self.sort == "instant" and _UNZONED.fullmatch(told):
            return json.dumps(f"{told}Z")
        # As it is: what is none of its type is told of by who knows the type.
        return json.dumps(typed if self.sort in ("line", "text") else told)


_WHOLE = re.compile(r"-?[0-9]{1,100}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,3})?")
_UNZONED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")
_YES = {"yes": "true", "no": "false"}


def blanks(shape: type[Event], input: Sequence[Input]) -> tuple[Blank, ...]:
    """Return the fields of a shape, in their order, as they are filled in.

    Args:
        input: What is told of each.
    """
    schema = shape.model_json_schema()
    known = schema.get("$defs", {})
    return tuple(_blank(shape, one, schema["properties"][one.name], known) for one in input)


def body(all: Sequence[Blank], typed: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the event's body as JSON text, and what of it is none, by field."""
    parts, problems = [], []
    for one in all:
        text = one.text(typed.get(one.name, ""))
        if text is None:
            if one.required:
                problems.append((one.name, "is needed"))
            continue
        if one.sort == "json" and not _json(text):
            problems.append((one.name, 'is JSON: ["a", "b"] or {"name": 1}'))
            continue
        parts.append(f"{json.dumps(one.name)}: {text}")
    return "{" + ", ".join(parts) + "}", tuple(problems)


def faulty(problems: Sequence[tuple[str, str]], all: Sequence[Blank]) -> dict[str, list[str]]:
    """Return what is wrong, by field; under an empty name what is wrong with none of them."""
    names, made = {one.name for one in all}, dict[str, list[str]]()
    for path, told in problems:
        name, _, inner = path.partition(".")
        place = name if name in names else ""
        made.setdefault(place, []).append(
            f"{inner}: {told}" if place and inner else told if place else f"{path} {told}".strip()
        )
    return made


def _json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _blank(shape: type[Event], input: Input, schema: Mapping[str, Any], known: Mapping[str, Any]) -> Blank:
    default = schema.get("default")
    some = [_met(one, known) for one in _met(schema, known).get("anyOf", [schema])]
    others = [one for one in some if one.get("type") != "null"]
    of = others[0] if len(others) == 1 else {}
    if any(part is Decimal for part in _parts(shape.model_fields[input.name].annotation)):
        of = {"type": "decimal"} if all(one.get("type") in ("number", "string") for one in others) else {}
    sort = _sort(of, named=any(f"{{{input.name}}}" in one for one in shape.__subjects__))
    return Blank(
        name=input.name,
        type=input.type,
        limits=input.limits,
        sort=sort,
        required=input.required,
        default=None if input.required else _typed(default, sort),
        nullable=len(others) < len(some),
        personal=input.personal,
        options=_options(of),
        attributes=dict(_attributes(of, sort)),
    )


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _met(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference leads to."""
    place = schema.get("$ref")
    return schema if place is None else known[place.rpartition("/")[2]]


_BY_FORMAT = {"date": "date", "date-time": "instant", "time": "time"}
_BY_TYPE = {"integer": "whole", "number": "number", "decimal": "decimal", "boolean": "yes"}


def _sort(of: Mapping[str, Any], *, named: bool) -> str:
    if "enum" in of or "const" in of:
        return "choice"
    if of.get("type") != "string":
        return _BY_TYPE.get(of.get("type", ""), "json")
    short = named or "format" in of or "pattern" in of or of.get("maxLength", _LONG + 1) <= _LONG
    return _BY_FORMAT.get(of.get("format", ""), "line" if short else "text")


def _options(of: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = of.get("enum", [of["const"]] if "const" in of else [])
    return tuple((json.dumps(one), one if isinstance(one, str) else json.dumps(one)) for one in found)


def _typed(value: Any, sort: str) -> str:
    """Return a default as it would be typed."""
    if value is None:
        return ""
    if sort in ("choice", "json"):
        return json.dumps(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def typed(blank: Blank, value: Any) -> tuple[Blank, str]:
    """Return a value as it would be typed, and the field as it has to be for a browser to keep that to the letter."""
    text = _typed(value, blank.sort)
    shown = text.removesuffix("Z") if blank.sort == "instant" else text
    if blank.sort in _KEPT:
        if _KEPT[blank.sort].fullmatch(shown):
            return blank, shown
        blank = replace(blank, sort="json" if blank.sort in ("whole", "number") else "line")
    elif blank.sort == "line" and ("\n" in text or "\r" in text):
        blank = replace(blank, sort="text")
    return blank, text.replace("\r\n", "\n").replace("\r", "\n")


_KEPT = {
    "instant": re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?"),
    "date": re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})?"),
    "time": re.compile(r"([0-9]{2}:[0-9]{2}(:[0-9]{2})?)?"),
    "whole": re.compile(r"(-?[0-9]{1,100})?"),
    "number": re.compile(r"(-?[0-9]{1,100}(\.[0-9]{1,100})?)?"),
}
"""What a browser's own fields can hold."""


def _attributes(of: Mapping[str, Any], sort: str) -> Iterator[tuple[str, str]]:
    names = {"minLength": "minlength", "maxLength": "maxlength"} if sort in ("line", "text") else {}
    if sort in ("whole", "number"):
        names = {"minimum": "min", "maximum": "max"}
        step = str(of.get("multipleOf", 1)) if sort == "whole" else "any"
        yield "step", step
    for name, attribute in names.items():
        if name in of:
            yield attribute, str(of[name])
    if sort == "whole":
        for name, attribute, by in (("exclusiveMinimum", "min", 1), ("exclusiveMaximum", "max", -1)):
            if name in of:
                yield attribute, str(of[name] + by)
