"""What a command works with, as one value."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from goaime_migrate.results import OnConflict

INI = "alembic-style.ini"
PYPROJECT = "pyproject.toml"
SECTION = "goaime-migrate"
PREFIX = "GOAIME_MIGRATE_"
DASK = "dask:"
SCHEMES = ("mongodb://", "mongodb+srv://", "dump:")


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


KEYS = tuple(key for key in Settings.model_fields if key not in ("config_file", "env", "sources"))
