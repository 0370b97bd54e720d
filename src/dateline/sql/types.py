"""Column types that every database here stores alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, DateTime, Dialect, String, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

__all__ = ["Id", "Instant"]


def _aware(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise ValueError("an instant has a time zone; this one is naive")
    return value


def _written(value: datetime | None) -> str | None:
    if _aware(value) is None:
        return None
    assert value is not None
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _named(value: UUID | None) -> str | None:
    return None if value is None else str(value)


class Instant(TypeDecorator[datetime]):
    """An instant in UTC. SQLite has no time zones, so there it is text of one width, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True
    timezone = True

    @property
    def python_type(self) -> type[Any]:
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(27) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return (_written if dialect.name == "sqlite" else _aware)(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        # Without the layers between, which a commit would go through for every one of its parameters.
        return _written if dialect.name == "sqlite" else _aware

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
        # SQLite's own clock writes no zone, and means UTC; the machine's zone would be a guess.
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Id(TypeDecorator[UUID]):
    """A UUID; in SQLite as the text that people know."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(CHAR(36) if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:
        return _named(value) if dialect.name == "sqlite" else value

    def bind_processor(self, dialect: Dialect) -> Any:
        # As for instants.
        return _named if dialect.name == "sqlite" else None

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        return UUID(value) if isinstance(value, str) else value
