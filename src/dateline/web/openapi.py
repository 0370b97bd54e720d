"""The API's description for one version: every kind with its shape, what it can be refused with, and an example.

Source: OpenAPI 3.1.0, JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from dateline.core.canon import canonical, parsed
from dateline.core.catalogue import Explanation, explained
from dateline.core.event import Event
from dateline.core.example import examples
from dateline.core.model import personal_fields
from dateline.core.problem import PROBLEMS, TYPE
from dateline.core.version import Version, Versions
from dateline.errors import UnknownKind
from dateline.run.state import needed

__all__ = ["described"]

_REF = "#/components/schemas/{model}"

_READING = ("malformed", "unknown-version", "version-gone", "unauthenticated", "fault", "unavailable")
_WRITING = (
    *_READING,
    *("denied", "not-found", "too-many", "stale", "constraint", "too-large", "rejected", "not-storable"),
    *("unrepresentable", "shape-newer", "contention"),
)


def described(versions: Versions, version: Version, *, base: str, title: str = "dateline") -> dict[str, Any]:
    """Return the description of the API under a version.

    Args:
        base: The path under which the routes are mounted.
    """
    shapes: dict[str, type[Event]] = {}
    for kind in versions.kinds:
        try:
            shapes[kind] = versions.cascade(kind, version.date).event
        except UnknownKind:
            continue
    places, schemas = models_json_schema(
        [(shape, "validation") for shape in shapes.values()],
        ref_template=_REF,
        by_alias=False,
        schema_generator=_Generating,
    )
    models = schemas.get("$defs", {})
    paths: dict[str, Any] = {}
    for kind, shape in shapes.items():
        place = places[shape, "validation"]
        held = models[place["$ref"].rpartition("/")[2]]
        for name in personal_fields(shape):
            held["properties"][name]["x-personal"] = True
        told = explained(versions, kind, version.date)
        paths[f"/events/{kind}"] = {"post": _writing(told, place, shape)}
        paths[f"/events/{kind}/preview"] = {"post": _writing(told, place, shape, preview=True)}
        paths[f"/kinds/{kind}/state"] = {"get": _stating(told, held, needed(versions.cascade(kind, version.date)))}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version.date.isoformat(), "description": version.title},
        "servers": [{"url": base or "/"}],
        "paths": {**paths, **_reading()},
        "components": {
            "schemas": {**models, **_SCHEMAS},
            "securitySchemes": {"caller": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"caller": []}],
    }


class _Generating(GenerateJsonSchema):
    """Pydantic's schemas, but for what they leave out: how many digits a decimal number has, and what it is as a text."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        found = super().decimal_schema(schema)
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        least, above = schema.get("ge"), schema.get("gt")
        whole = None if digits is None else digits - (places or 0)
        for one in found["anyOf"]:
            if one["type"] == "number":
                if places is not None:
                    one["multipleOf"] = 10**-places
                if whole is not None and not {"maximum", "exclusiveMaximum"} & one.keys():
                    one["exclusiveMaximum"] = 10**whole
            else:
                sign = "" if any(bound is not None and bound >= 0 for bound in (least, above)) else "-?"
                some = "(?=.*[1-9])" if above == 0 else ""
                after = "" if places == 0 else f"([.][0-9]{{1,{'' if places is None else places}}})?"
                one["pattern"] = f"^{some}{sign}[0-9]{{1,{'' if whole is None else whole}}}{after}$"
        return found


def _writing(
    told: Explanation, place: Mapping[str, Any], shape: type[Event], *, preview: bool = False
) -> dict[str, Any]:
    first, _, more = told.doc.partition("\n")
    codes = sorted({code.rpartition("/")[2] for code in told.rejections})
    words = [word for word in _WRITING if not preview or word != "contention"]
    body: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["input"],
        "properties": {"input": dict(place), **_BESIDE},
        "allOf": [_ONE, _LATE],
    }
    example = next(iter(examples(shape)), None)
    content: dict[str, Any] = {"schema": body}
    if example is not None:
        content["example"] = {"input": parsed(canonical(example))}
    needs = f" Needs the right {told.requires!r}." if told.requires else ""
    refused = f" May be rejected with {', '.join(codes)}." if codes else ""
    done = {"201": {**_answer("It is committed", "Committed"), "links": _AFTERWARDS}}
    shown = {"200": {**_answer("What it would do", "Preview"), "links": {"commit": _committing(told.kind)}}}
    return {
        "operationId": f"{'preview' if preview else 'dispatch'}-{told.kind}",
        "summary": f"Preview: {first}" if preview else first,
        "description": f"{more.strip()}{needs}{refused}".strip(),
        "parameters": [_VERSION, _REHEARSE] if preview else [_VERSION, _KEY],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": (shown if preview else done)
        | _problems((*words, *(() if preview else ("key-missing", "key-reused")))),
        "x-kind": told.kind,
        "x-rejections": codes,
    }


def _committing(kind: str) -> dict[str, Any]:
    """Return the link from a preview to the request that commits that very plan."""
    return {
        "operationId": f"dispatch-{kind}",
        "requestBody": {"input": "$request.body#/input", "preview": "$response.body#/preview"},
        "description": "Commit that very plan, or nothing.",
    }


def _stating(told: Explanation, held: Mapping[str, Any], needs: Collection[str]) -> dict[str, Any]:
    """Return the description of what a form asks before it is sent: the event's fields are the query's.

    Args:
        needs: Fields without which it is not answered.
    """
    fields = [
        {"name": name, "in": "query", "required": name in needs, **_queried(schema)}
        for name, schema in held["properties"].items()
    ]
    words = ("denied", "unrepresentable", "shape-newer", "not-storable")
    what = f"What {told.kind} would see now"
    return {
        "operationId": f"state-{told.kind}",
        "summary": what,
        "parameters": [_VERSION, *fields],
        "responses": {"200": _answer(what, "State"), **_problems((*_READING, *words))},
    }


def _queried(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a field is told in a query: as a text where one stands for it, else as JSON; never as null."""
    some = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    of = some[0] if len(some) == 1 else {"anyOf": some}
    if all(one.get("type") in _PLAIN for one in some):
        return {"schema": of}
    return {"content": {"application/json": {"schema": of}}}


def _answer(what: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(model=schema)}}}
    return {"description": what, "headers": _HEADERS, "content": content}


def _problems(words: tuple[str, ...]) -> dict[str, Any]:
    """Return the problems among the answers, by status."""
    by_status: dict[str, list[str]] = {}
    for word in words:
        by_status.setdefault(str(PROBLEMS[word][0].value), []).append(word)
    content = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {
        status: {"description": "; ".join(f"{word}: {PROBLEMS[word][1]}" for word in found), "content": content}
        for status, found in sorted(by_status.items())
    }


def _reading() -> dict[str, Any]:
    """Return the description of the routes that are the same under all versions."""

    def route(name: str, what: str, schema: str, *params: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
        return {
            "operationId": name,
            "summary": what,
            "parameters": [_VERSION, *params],
            "responses": {"200": _answer(what, schema), **_problems((*_READING, *words))},
        }

    def part(name: str, **schema: Any) -> dict[str, Any]:
        return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, **schema}}

    wait = {"name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 30}}
    gone = ("no-such-event",)
    return {
        "/events/{id}": {
            "get": route(
                "event", "An event with everything that followed", "Entry", part("id", format="uuid"), wait, words=gone
            )
        },
        "/subjects/{subject}/events": {
            "get": route("timeline", "What happened to a subject", "Page", part("subject"), *_CUT)
        },
        "/subjects/{subject}/accesses": {
            "get": route("accesses", "Who looked at a subject", "Accesses", part("subject"), *_CUT, words=("denied",))
        },
        "/rows/{table}/{key}/history": {
            "get": route("history", "What happened to a row", "Page", part("table"), part("key"), *_CUT)
        },
        "/rows/{table}/{key}": {
            "get": route(
                "row", "A row as events left it", "Row", part("table"), part("key"), _AT, words=("no-such-row",)
            )
        },
        **{
            f"/events/{{id}}/{name}": {
                "post": {
                    **route(name, what, schema, part("id", format="uuid"), words=(*gone, *_AGAIN, *words)),
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": _REF.format(model=body)}}}},
                }
            }
            for name, what, schema, body, words in (
                ("replay", "Decide an event again", "Decision", "Replaying", ()),
                ("diff", "How two ways to decide an event differ", "Difference", "Otherwise", ()),
                ("correct", "Perform a difference, and nothing else", "Correction", "Correcting", _CORRECTING),
            )
        },
        "/kinds": {"get": route("kinds", "The kinds that the version knows", "Kinds")},
        "/kinds/{kind}": {
            "get": route("kind", "What a version says of a kind", "Kind", part("kind"), _WHICH, words=("unknown-kind",))
        },
        "/versions": {"get": route("versions", "Versions, and who is at which", "Versions", _IMPACT)},
        "/changelog": {"get": route("changelog", "What each version changed", "Changelog", _SINCE)},
        "/pins/{caller}": {
            "put": {
                **route(
                    "pin",
                    "Move a caller to a version",
                    "Pinned",
                    part("caller", maxLength=300),
                    words=("denied", "contention", "too-large", "not-storable"),
                ),
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": _REF.format(model="Moving")}}},
                },
            }
        },
    }


_AGAIN = ("too-large", "unanswerable", "unknown-kind", "unrepresentable", "shape-newer")
_CORRECTING = ("denied", "corrected-since", "not-correctable", "constraint", "contention")

_TEXT, _INSTANT, _DATE = (
    {"type": "string"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "date"},
)
_ID, _WHOLE, _OBJECT = {"type": "string", "format": "uuid"}, {"type": "integer"}, {"type": "object"}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _list(of: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(of)}


_VERSION = {
    "name": "Dateline-Version",
    "in": "header",
    "description": "The version under which the request is served; else the caller's, else the newest in force.",
    "schema": _DATE,
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The caller's own name of the request: sent again with the same one, it happens once.",
    "schema": {"type": "string", "minLength": 1, "pattern": "^[!-~]+$"},
}
_AFTERWARDS = {
    name: {"operationId": name, "parameters": {"id": "$response.body#/event"}, "description": what}
    for name, what in (
        ("event", "The event with everything that followed."),
        ("replay", "Decide it again."),
        ("diff", "What another version or input would have made of it."),
        ("correct", "Perform such a difference."),
    )
}
_REHEARSE = {"name": "rehearse", "in": "query", "schema": {"type": "string", "enum": ["0", "1"]}}
_WHICH = {"name": "version", "in": "query", "schema": _DATE}
_SINCE = {"name": "since", "in": "query", "schema": _DATE}
_IMPACT = {
    "name": "impact",
    "in": "query",
    "description": "Of how many of the newest events is told what the newest version would have made of them.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 1000},
}
_AT = {"name": "at", "in": "query", "schema": {"type": "string", "format": "date-time"}}
_CUT = (
    {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 2**53}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    {"name": "order", "in": "query", "schema": {"type": "string", "enum": ["oldest", "newest"]}},
)
_HEADERS = {
    "Dateline-Version": {"schema": _DATE, "description": "The version under which the request was served."},
    "Deprecation": {"schema": _TEXT, "description": "Since when that version is deprecated (RFC 9745)."},
    "Sunset": {"schema": _TEXT, "description": "When it ends (RFC 8594)."},
    "Link": {"schema": _TEXT, "description": "Where one reads about that, and what comes after it; the next page."},
}
_REASON = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": _TEXT, **dict.fromkeys(("code", "purpose", "legal_basis"), _or_null(_TEXT))},
}
_BESIDE = {
    "reason": {"anyOf": [_TEXT, _REASON, {"type": "null"}]},
    "at": {**_or_null(_INSTANT), "description": "When it happened; needs the right 'backdate' and a reason."},
    "cause": {**_or_null(_ID), "description": "The event that brings this one about."},
    "expects": {
        **_or_null({"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _TEXT}}),
        "description": "Fingerprints by row and field, as a preview told them, of what must still be so.",
    },
    "preview": {
        **_or_null(_TEXT),
        "description": "What a preview of the same request gave: that very plan is committed, or nothing. Without expects.",
    },
}
_WHO = {"handler": _TEXT, "date": _DATE}
_STEPS = _list(_object(step=_TEXT, sort=_TEXT, of=_TEXT, row=_or_null(_TEXT), values=_OBJECT, **_WHO))
_PLAIN = frozenset({"string", "integer", "number", "boolean"})
_PRINTS = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _TEXT}}
_NULL = {"type": "null"}
_ONE = {"anyOf": [{"properties": {"expects": _NULL}}, {"properties": {"preview": _NULL}}]}
"""A preview says what it expects."""
_LATE = {"anyOf": [{"properties": {"at": _NULL}}, {"required": ["reason"], "properties": {"reason": {"not": _NULL}}}]}
"""Whoever back-dates says why."""
_BOTH = {"anyOf": [{"properties": {"base": _NULL}}, {"required": ["version"], "properties": {"version": _DATE}}]}
"""A base is compared with a version."""
_OTHERWISE = {"version": _or_null(_DATE), "base": _or_null(_DATE), "input": _or_null(_OBJECT)}
_VERSION_TOLD = _object(
    version=_DATE, title=_TEXT, **dict.fromkeys(("deprecated", "sunset", "retired"), _or_null(_INSTANT))
)
_SCHEMAS: Mapping[str, Any] = {
    "Problem": {
        **_object(
            type={"type": "string", "enum": [f"{TYPE}{word}" for word in PROBLEMS]},
            title=_TEXT,
            status=_WHOLE,
            detail=_TEXT,
        ),
        "description": "RFC 9457; beyond these, what is known: rejections, differences, problems, event.",
    },
    "Committed": _object(
        event=_ID,
        seq=_WHOLE,
        kind=_TEXT,
        version=_DATE,
        recorded_at=_INSTANT,
        repeated={"type": "boolean"},
        operations=_list(_object(step=_TEXT, verb=_TEXT, table=_TEXT, row_key=_TEXT, **_WHO)),
        effects=_list(_object(id=_ID, step=_TEXT, kind=_TEXT, state=_TEXT, **_WHO)),
    ),
    "Preview": _object(
        event=_ID,
        kind=_TEXT,
        version=_DATE,
        at=_INSTANT,
        expires_at=_INSTANT,
        rehearsed={"type": "boolean"},
        steps=_STEPS,
        fingerprints=_PRINTS,
        preview=_TEXT,
    ),
    "State": _object(kind=_TEXT, version=_DATE, seen=_list(_OBJECT), fingerprints=_PRINTS),
    "Entry": _object(
        seq=_WHOLE,
        id=_ID,
        kind=_TEXT,
        version=_or_null(_DATE),
        shape=_or_null(_DATE),
        shown=_or_null(_DATE),
        actor=_OBJECT,
        reason=_or_null(_OBJECT),
        occurred_at=_INSTANT,
        recorded_at=_INSTANT,
        cause=_or_null(_ID),
        root=_or_null(_ID),
        outcome=_TEXT,
        refusal=_or_null(_OBJECT),
        subjects=_list(_TEXT),
        input=_OBJECT,
        snapshot=_OBJECT,
        operations=_list(_OBJECT),
        effects=_list(_OBJECT),
        masked={"type": "boolean"},
    ),
    "Replaying": {"type": "object", "additionalProperties": False, "properties": {"version": _or_null(_DATE)}},
    "Otherwise": {"type": "object", "additionalProperties": False, "properties": _OTHERWISE, **_BOTH},
    "Correcting": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_OTHERWISE,
            **{key: {"type": "boolean", "default": False} for key in ("preview", "admit", "revoke")},
            "number": _or_null(_WHOLE),
            "items": _or_null(_list(_TEXT)),
            "closed": {"anyOf": [_INSTANT, _DATE, {"type": "null"}]},
            "reason": {"anyOf": [_TEXT, _REASON, {"type": "null"}]},
        },
        **_BOTH,
    },
    "Decision": _object(event=_ID, version=_or_null(_DATE), outcome=_TEXT, reconstructed=_list(_TEXT), steps=_STEPS),
    "Difference": _object(
        event=_ID, seq=_WHOLE, kind=_TEXT, before=_OBJECT, after=_OBJECT, same={"type": "boolean"}, items=_list(_OBJECT)
    ),
    "Correction": _object(
        root=_ID, seq=_WHOLE, number=_WHOLE, event=_or_null(_ID), items=_list(_OBJECT), readers=_list(_WHOLE)
    ),
    "Row": _object(table=_TEXT, row=_TEXT, event=_ID, seq=_WHOLE, values=_OBJECT),
    "Page": _object(events=_list({"$ref": _REF.format(model="Entry")}), next=_or_null(_WHOLE)),
    "Kinds": _object(
        version=_DATE, kinds=_list(_object(kind=_TEXT, shape=_or_null(_DATE), requires=_or_null(_TEXT), doc=_TEXT))
    ),
    "Kind": _object(kind=_TEXT, version=_DATE, doc=_TEXT, input=_list(_OBJECT), rejections=_list(_TEXT)),
    "Versions": _object(
        version=_DATE,
        newest=_DATE,
        versions=_list(_VERSION_TOLD),
        pins=_list(_object(caller=_TEXT, version=_DATE, since=_INSTANT, event=_ID, by=_TEXT, behind=_WHOLE)),
    ),
    "Changelog": _object(
        versions=_list(_object(version=_DATE, instant=_INSTANT, title=_TEXT, why=_TEXT, changes=_list(_OBJECT)))
    ),
    "Moving": {
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {"version": _DATE, "reason": {"anyOf": [_TEXT, _REASON, {"type": "null"}]}},
    },
    "Pinned": _object(caller=_TEXT, version=_DATE, event=_ID, seq=_WHOLE),
    "Accesses": _object(
        accesses=_list(
            _object(
                number=_WHOLE,
                at=_INSTANT,
                subject=_TEXT,
                actor=_OBJECT,
                door=_TEXT,
                view=_TEXT,
                event=_or_null(_ID),
                unmasked={"type": "boolean"},
                outcome={"type": "string", "enum": ["shown", "denied"]},
                reason=_or_null(_OBJECT),
            )
        ),
        next=_or_null(_WHOLE),
    ),
}
