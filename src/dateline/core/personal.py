"""Personal values leave the body: what stays is a salted digest, what leaves is kept beside it and can be erased."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from dateline.core.canon import DEEPEST, canonical, named, plain, salted
from dateline.core.event import fill
from dateline.core.form import straight
from dateline.core.internal import internal
from dateline.core.model import Model, personal_fields
from dateline.errors import NotCanonical

__all__ = ["ERASED", "MARK", "MASK", "Sealed", "Sealer", "below", "mark_at", "sealed_digest", "unsealed"]

MARK = "$personal"
"""The key of the object that stands in a body where a personal value was."""

MASK = "•••"
ERASED = "(erased)"


def below(path: str, part: str | int) -> str:
    """Return the JSON pointer one step further.

    Source: RFC 6901.
    """
    return f"{path}/{part.replace('~', '~0').replace('/', '~1')}" if isinstance(part, str) else f"{path}/{part}"


@internal()
class Sealed:
    """One personal value beside its body.

    Args:
        path: Where in the record it belongs, as a JSON pointer that begins with the part of the record.
        subject: Whose it is.
        salt: Sixteen bytes, hex; without them the digest tells nothing.
        value: The value's canonical JSON.
    """

    path: str
    subject: str
    salt: str
    value: str


@dataclass
class Sealer:
    """Turns values into what a body may hold, and collects what it may not.

    Args:
        seed: Thirty-two random bytes, for one record; each path gets its own salt from it.
        subject: Whose personal values are, where nothing else says so.
    """

    seed: bytes
    subject: str
    sealed: list[Sealed] = field(default_factory=list)

    def plain(self, value: Any, path: str, depth: int = 0) -> Any:
        """Return a value without its personal parts.

        Raises:
            NotCanonical: As `canonical` does.
        """
        if depth > DEEPEST:
            raise NotCanonical(f"nested deeper than {DEEPEST} levels")
        if isinstance(value, BaseModel):
            return self._model(value, path, depth)
        if isinstance(value, list | tuple):
            return [self.plain(item, below(path, index), depth + 1) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {name: self.plain(item, below(path, name), depth + 1) for name, item in named(value)}
        return plain(value)

    def text(self, model: Model, path: str) -> bytes:
        """Return a model's canonical JSON without its personal parts.

        Raises:
            NotCanonical: As `canonical` does.
        """
        kind = type(model)
        if not straight(kind):
            return canonical(self.plain(model, path))
        personal = personal_fields(kind)
        if not personal:
            return canonical(model)
        made = dict(model.__dict__)
        subject = self._subject(model)
        for name in personal:
            if made[name] is not None:
                made[name] = self.seal(made[name], below(path, name), subject)
        return canonical(made, known=True)

    def _subject(self, model: BaseModel) -> str:
        template = model.__subject__ if isinstance(model, Model) else None
        return fill(template, model) if template and isinstance(model, Model) else self.subject

    def _model(self, model: BaseModel, path: str, depth: int) -> dict[str, Any]:
        personal = personal_fields(type(model))
        subject = self._subject(model)
        made = {}
        for name, value in model.__dict__.items():
            if name in personal and value is not None:
                made[name] = self.seal(value, below(path, name), subject)
            else:
                made[name] = self.plain(value, below(path, name), depth + 1)
        return made

    def salt(self, path: str) -> bytes:
        """Return the sixteen bytes that salt the digest of the value at a path."""
        try:
            return hashlib.sha256(self.seed + path.encode()).digest()[:16]
        except UnicodeEncodeError:
            raise NotCanonical("a lone surrogate in a name is no text") from None

    def seal(
        self, value: Any, path: str, subject: str | None = None, *, salt_of: str | None = None, keep: bool = True
    ) -> dict[str, str]:
        """Return what stands in the body for a personal value.

        Args:
            salt_of: The path whose salt to use, where two places hold one value.
            keep: False where the value is kept under that other path already.
        """
        salt = self.salt(salt_of or path)
        text = canonical(value)
        if keep:
            self.sealed.append(
                Sealed(path, subject if subject is not None else self.subject, salt.hex(), text.decode())
            )
        return {MARK: salted(salt, text)}


def sealed_digest(sealed: Sealed) -> str:
    """Return the digest that the body must hold at this path."""
    return salted(bytes.fromhex(sealed.salt), sealed.value.encode())


def unsealed(part: Any, path: str, values: Mapping[str, Any]) -> Any:
    """Return a part of a record with its personal values in their places.

    Args:
        path: Where in the record the part stands.
        values: The personal values by path. They alone say where one was: what merely looks like a digest is left as it is.
    """
    if not values:
        return part
    if path in values:
        return values[path]
    # Only where one stands below: most parts of a record hold none, and are not walked.
    root = f"{path}/"
    inside = {at: value for at, value in values.items() if at.startswith(root)}
    if not inside:
        return part
    start = len(root)
    steps = {at[start:].partition("/")[0] for at in inside}
    if isinstance(part, dict):
        made = dict(part)
        for step in steps:
            key = step.replace("~1", "/").replace("~0", "~")
            if key in made:
                made[key] = unsealed(made[key], root + step, inside)
        return made
    if isinstance(part, list):
        return [
            unsealed(item, f"{root}{index}", inside) if str(index) in steps else item for index, item in enumerate(part)
        ]
    return part


def mark_at(part: Any, path: str, of: str) -> str | None:
    """Return the digest that stands for a personal value, or None where there is none.

    Args:
        path: Where in the record the part stands.
        of: Where in the record the value was.
    """
    if path == of:
        return part.get(MARK) if isinstance(part, dict) and isinstance(part.get(MARK), str) else None
    if isinstance(part, dict):
        inner = ((below(path, key), item) for key, item in part.items())
    elif isinstance(part, list):
        inner = ((below(path, index), item) for index, item in enumerate(part))
    else:
        return None
    found = (mark_at(item, at, of) for at, item in inner if of == at or of.startswith(f"{at}/"))
    return next((mark for mark in found if mark is not None), None)
