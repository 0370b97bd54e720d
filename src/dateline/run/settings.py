"""What can be set from outside, by argument or by environment variables that begin with `DATELINE_`."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


class Settings(BaseSettings):
    """A runner's settings.

    Args:
        budget: How long a request may fight for its turn against other writers before `Contention` is raised.
        expiry: How long a preview can be committed.
        pool: Connections that a runner keeps; `overflow` how many more it opens under load.
        busy: How long SQLite waits for another writer before the try counts as lost.
        largest: Bytes of the largest request body.
        secret: What previews are signed with that clients keep; the same for all servers that a client may come to. Without it each
            process makes its own, and takes its own alone.
    """

    model_config = SettingsConfigDict(env_prefix="DATELINE_", frozen=True)

    budget: timedelta = timedelta(seconds=30)
    expiry: timedelta = timedelta(minutes=15)
    pool: int = Field(default=10, ge=1)
    overflow: int = Field(default=20, ge=0)
    busy: timedelta = timedelta(seconds=10)
    secret: SecretStr | None = Field(default=None, min_length=16)
    largest: int = Field(default=32 * 2**20, ge=1024)
