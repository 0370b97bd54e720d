"""What events, snapshots, records and effects have in common: frozen, strict, nothing unknown, personal fields marked."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, dataclass_transform, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic._internal._model_construction import ModelMetaclass
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import CoreSchema, ErrorDetails

from dateline.core.iso import dated
from dateline.core.query import Query, rows, value
from dateline.errors import Malformed, NotQueried, Unloadable

__all__ = ["Model", "Personal", "faults", "personal_fields", "personal_within", "place"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PersonalMark:
    """The mark that `Personal[...]` leaves in an annotation."""


PERSONAL = PersonalMark()

Personal: TypeAlias = Annotated[T, PERSONAL]
"""A value about a person. It is kept beside the record's body, so that it can be erased while every digest still verifies."""

MOST_PROBLEMS = 50


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field, rows, value))
class ModelMeta(ModelMetaclass):
    """Type checkers read frozenness from here; on a base class instead of its metaclass they do not believe it."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> type:
        # A query is how a field is read, not its default: pydantic must not see it, or `Chart()` would pass.
        queries = {field: found for field, found in namespace.items() if isinstance(found, Query)}
        for field in queries:
            del namespace[field]
        inherited = {k: q for base in reversed(bases) for k, q in getattr(base, "__queries__", {}).items()}
        namespace["__queries__"] = inherited | queries
        with warnings.catch_warnings():
            # Columns are called `json`, `copy`, `schema`; pydantic's old methods of those names are not used here.
            warnings.filterwarnings(
                "ignore", message="Field name .* shadows an attribute in parent", category=UserWarning
            )
            try:
                made: type = super().__new__(mcs, name, bases, namespace, **kwargs)
            except PydanticSchemaGenerationError as error:
                # Its first sentence names the type; the rest is advice on how to keep what has no form on the record.
                told = str(error).partition(". ")[0].partition("schema for ")[2]
                raise Unloadable(
                    f"{namespace['__module__']}.{name}: a field is of type {told}, which has no form on the record; "
                    "take plain values or a pydantic model, and for rows a Record[Table]"
                ) from error
        for field in queries:
            if field not in made.model_fields:  # type: ignore[attr-defined]  # every class made here is a pydantic model
                raise NotQueried(
                    f"{namespace['__module__']}.{name}.{field} has a query and no type; write `{field}: SomeRecord = rows(…)`"
                )
        return made


class Model(BaseModel, metaclass=ModelMeta):
    """A frozen value, checked strictly when it is made; equal where its fields are."""

    # Looked up at every event: what a class lacks, pydantic looks for in every private place first.
    __subject__: ClassVar[str | None] = None

    # hide_input: an error's text may end up in a log, and what was sent may be personal.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        protected_namespaces=(),
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema, in whose own fields dates and instants take no number that is written as a text."""
        made: CoreSchema = dated(handler(source))
        return made

    @classmethod
    def from_json(cls, body: str | bytes) -> Self:
        """Return the value that a JSON text describes.

        Raises:
            Malformed: With one path and message for each fault, and never the values that were sent.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise faults(cls.__qualname__, error) from None


def faults(what: str, error: ValidationError) -> Malformed:
    """Return pydantic's findings as ours: where and why, without the input."""
    found = tuple(
        (".".join(str(part) for part in problem["loc"])[:200], _told(problem)[:300])
        for problem in error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
    )
    first = "; ".join(f"{path}: {message}" if path else message for path, message in found[:5])
    more = f" (and {error.error_count() - 5} more)" if error.error_count() > 5 else ""
    return Malformed(f"not a valid {what}: {first}{more}", found)


def _told(problem: ErrorDetails) -> str:
    if problem["type"] == "union_tag_invalid":
        # The one message of pydantic's that quotes what was sent.
        return f"Input tag does not match any of the expected tags: {problem['ctx']['expected_tags']}"
    return problem["msg"]


def _marked(annotation: Any) -> bool:
    return annotation is PERSONAL or any(_marked(part) for part in _parts(annotation))


def _parts(annotation: Any) -> Iterator[Any]:
    yield from get_args(annotation)
    yield from getattr(annotation, "__metadata__", ())


@cache
def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields of a model whose values are personal, wherever in their annotation the mark stands."""
    table: Mapping[str, Any] = getattr(model, "__personal_columns__", {})
    marked = (
        name for name, field in model.model_fields.items() if PERSONAL in field.metadata or _marked(field.annotation)
    )
    return frozenset(marked) | (frozenset(table) & frozenset(model.model_fields))


@cache
def personal_within(model: type[BaseModel]) -> frozenset[str]:
    """Return the fields of a model that are personal, or hold models that have such fields, at any depth."""
    fields = model.model_fields.items()
    return personal_fields(model) | {
        name for name, field in fields if any(map(personal_fields, _reached(field.annotation)))
    }


def _reached(annotation: Any) -> set[type[BaseModel]]:
    """Return the models that a value of an annotation may hold, at any depth."""
    found: set[type[BaseModel]] = set()
    ahead = [*_models(annotation)]
    while ahead:
        model = ahead.pop()
        if model not in found:
            found.add(model)
            ahead += [inner for field in model.model_fields.values() for inner in _models(field.annotation)]
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in _parts(annotation):
        yield from _models(part)


def place(call: Callable[..., Any]) -> str:
    """Return `file:line name` of a function or a class, for errors."""
    if isinstance(call, type):
        file = getattr(sys.modules.get(call.__module__), "__file__", None) or call.__module__
        # Python keeps a class's line from 3.13 on.
        line = vars(call).get("__firstlineno__")
        return f"{file}{f':{line}' if line else ''} {call.__qualname__}"
    code = getattr(call, "__code__", None)
    at = f"{code.co_filename}:{code.co_firstlineno} " if code else ""
    return f"{at}{getattr(call, '__name__', call)}"
