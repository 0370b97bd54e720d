"""Dates and instants in JSON: written as RFC 3339 writes them, and never as a number of seconds."""

from __future__ import annotations

from typing import Any

from pydantic_core import core_schema

__all__ = ["dated"]

_WRITTEN = {
    "date": (r"^\d{4}-\d\d-\d\d$", "2024-07-01"),
    "datetime": (r"^\d{4}-\d\d-\d\d[Tt _]", "2024-07-01T09:30:00Z"),
}
"""How a text begins that pydantic takes for one in its strict mode, and an example."""


def dated(schema: Any) -> Any:
    """Return a schema in which texts of JSON are dates and instants only where they begin with a year.

    pydantic takes "20240701" for twenty million seconds after 1970; whoever sent it meant a day, and August 1970 would be on record.

    Source: RFC 3339, section 5.6, whose dates begin with four digits and a hyphen.
    """
    if isinstance(schema, list):
        return [dated(one) for one in schema]
    if not isinstance(schema, dict) or _DATED in schema.get("metadata", {}):
        return schema
    kind = schema.get("type")
    if kind not in _WRITTEN:
        return {name: one if name in _VALUES else dated(one) for name, one in schema.items()}
    pattern, example = _WRITTEN[kind]
    text = core_schema.custom_error_schema(
        core_schema.str_schema(pattern=pattern),
        f"{kind}_written",
        custom_error_message=f"Input should be a valid {kind}, such as {example}",
    )
    # It is described as before.
    metadata = {"pydantic_js_functions": [lambda _, handler: handler(schema)], _DATED: True}
    # Behind the first step it is a text of Python's, which is read in the lax mode alone.
    read = core_schema.chain_schema([text, {**schema, "strict": False}])
    return core_schema.json_or_python_schema(read, schema, metadata=metadata)


_VALUES = ("default", "expected", "metadata", "serialization")
"""What of a schema is no schema."""

_DATED = "dateline_dated"
