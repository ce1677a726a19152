"""The settings of a command as one value, and the names that they go by in files, variables and connection strings."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from goaime_migrate.results import OnConflict

INI = "alembic-style.ini"
PYPROJECT = "pyproject.toml"
SECTION = "goaime-migrate"
PREFIX = "GOAIME_MIGRATE_"
DASK = "dask:"
DUMP = "dump:"
SCHEMES = ("mongodb://", "mongodb+srv://", DUMP)
SERVERS_OWN = ("admin", "config", "local")
"""Databases that every server has for itself: no application's documents are in them."""


class Settings(BaseModel):
    """What a command works with. A value, and it does not show its connection string."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    uri: str = Field(default="", repr=False)
    database: str | None = Field(
        default=None, min_length=1, max_length=63, pattern=r'^[^/\\. "$*<>:|?\x00]+$'
    )
    migrations: Path = Path("migrations")
    lock_timeout: float = Field(default=60.0, ge=0)
    workers: int | None = Field(default=None, ge=1)
    executor: str | None = Field(default=None, pattern=rf"^(processes|{DASK}[a-z]+://\S+)$")
    batch_size: int | None = Field(default=None, ge=1)
    max_lag: float | None = Field(default=None, gt=0)
    max_rate: float | None = Field(default=None, gt=0)
    on_conflict: OnConflict = OnConflict.KEEP
    allow_untested_topology: bool = False

    config_file: Path | None = None
    env: str | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    """Where each value came from, for people: "alembic-style.ini [env:production]", "--uri", "default"."""


_FOUND_OUT = ("config_file", "env", "sources")
"""Fields that nobody sets: they say where the others came from."""
KEYS = tuple(key for key in Settings.model_fields if key not in _FOUND_OUT)
