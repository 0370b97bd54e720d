"""Column types that every database here stores alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, DateTime, Dialect, String, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

__all__ = ["Id", "Instant"]


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
        if value is None or (value.tzinfo is UTC and dialect.name != "sqlite"):
            return value
        if value.tzinfo is None:
            raise ValueError("an instant has a time zone; this one is naive")
        value = value.astimezone(UTC)
        return (
            value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z" if dialect.name == "sqlite" else value
        )

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
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:
        return UUID(value) if isinstance(value, str) else value
