"""What schemathesis is told beside the descriptions that it tries: it loads this file itself."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

__all__ = ["allowed_is_read", "commit_what_was_previewed", "without_made_up_previews"]

BEYOND = ("unknown-version", "not-storable")
"""Problems of the status of `malformed` that no description can foresee: a date before the first version, a value that no column holds."""


@schemathesis.check
def allowed_is_read(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """What the description allows is not malformed; `positive_data_acceptance` knows statuses alone."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    word = response.json()["type"].rpartition(":")[2]
    body = case.body if isinstance(case.body, dict) else {}
    # A text that no preview gave; of an event of any kind and shape, its input, and which differences there are; and what a
    # validator of the application's says.
    unforeseen = isinstance(body.get("preview"), str)
    unforeseen |= "{id}" in case.operation.path and bool(body.get("input") or body.get("items"))
    told = response.json().get("problems", [])
    unforeseen |= bool(told) and all(one["detail"].startswith("Value error, ") for one in told)
    assert word in BEYOND or unforeseen, f"allowed by the description, and yet {word}"


@schemathesis.hook("map_body")
def without_made_up_previews(context: HookContext, body: Any) -> Any:
    """Leave out texts that are no preview, which would keep nearly every request from being decided; the coverage phase sends them."""
    if isinstance(body, dict) and isinstance(body.get("preview"), str) and body.get("expects") is None:
        return {name: value for name, value in body.items() if name != "preview"}
    return body


@schemathesis.hook("before_load_schema")
def commit_what_was_previewed(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Have what a link says be the whole body: with anything made up beside it, it is another request."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                if "commit" in answer.get("links", {}):
                    answer["links"]["commit"]["x-schemathesis"] = {"merge_body": False}
