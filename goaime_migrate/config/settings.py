"""The settings of a command as one value, and the names that they go by in files, variables and connection strings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.results import OnConflict

INI = "alembic-style.ini"
PYPROJECT = "pyproject.toml"
SECTION = PROGRAM
PREFIX = "GOAIME_MIGRATE_"
DASK = "dask:"
DUMP = "dump:"
SCHEMES = ("mongodb://", "mongodb+srv://", DUMP)
SERVERS_OWN = ("admin", "config", "local")
"""Databases that every server has for itself: no application's documents are in them."""


_MADE = ("_lock", "_progress", "_journal", "_tail", "_log", "_aside")
_LONGEST = 47
"""Of a name of records: with the longest of a database and what is put behind it, old servers take no more."""


def is_pattern(name: str) -> bool:
    """Whether a text stands for all databases that it matches, as file names are matched."""
    return any(mark in name for mark in "*?[")


def _records(name: str) -> str:
    """Refuse what cannot be, or should not be, the name of our own collections."""
    if not name or len(name) > _LONGEST:
        raise ValueError(f"it has {len(name)} characters, and may have 1 to {_LONGEST}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise ValueError("it begins with a letter, and has letters, digits, _ and - of ASCII alone")
    if name == "system" or name.endswith(_MADE):
        raise ValueError(
            f"a name that ends with {name[name.rindex('_') :] if '_' in name else name} is one "
            "of those that are made from it"
        )
    return name


class Settings(BaseModel):
    """What a command works with. A value, and it does not show its connection string."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    uri: str = Field(default="", repr=False)
    """A connection string (mongodb:// or mongodb+srv://), or dump:PATH, a directory in mongodump's format."""
    database: str | None = Field(
        default=None, min_length=1, max_length=63, pattern=r'^[^/\\. "$*<>:|?\x00]+$'
    )
    """The database, or several by names and patterns (a, tenant_*); one in the path of a uri that comes from a variable
    or a flag wins over it."""
    migrations: Path = Path("migrations")
    """The folder of the numbered migration files."""
    records: Annotated[str, AfterValidator(_records)] = "schema_versions"
    """What the tool's own collections are called; two projects of different names share a database."""
    prepend_sys_path: tuple[Path, ...] = ()
    """Folders where modules that migrations import are looked for first; the folder of the file where it is not set."""
    lock_timeout: float = Field(default=60.0, ge=0)
    """How many seconds to wait for another run's lock."""
    workers: int | None = Field(default=None, ge=1)
    """How many processes share a large collection of a replica set; one for each core where it is not set."""
    executor: str | None = Field(default=None, pattern=rf"^(processes|{DASK}[a-z]+://\S+)$")
    """Where they run: processes of this host, or dask:tcp://HOST:PORT."""
    batch_size: int | None = Field(default=None, ge=1)
    """The most documents in one transaction; found out while running where it is not set."""
    max_lag: float | None = Field(default=None, gt=0)
    """Pause while a secondary is more than so many seconds behind."""
    max_rate: float | None = Field(default=None, gt=0)
    """The most documents a second."""
    on_conflict: OnConflict = OnConflict.KEEP
    """What `down` does where the application has changed the same fields since: keep, restore or stop."""
    allow_untested_topology: bool = False
    """Run on a topology that the fault tests have never been run on."""

    lint_after: int | None = Field(default=None, ge=0)
    """The version up to which, and including it, `lint` spares the files: what is applied everywhere is past mending."""

    databases: tuple[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r'^[^/\\. "$<>:|\x00]+$')], ...
    ] = ()
    """The names and patterns, where several databases are meant; `database` is None then."""
    config_file: Path | None = None
    env: str | None = None
    sources: dict[str, str] = Field(default_factory=dict)
    """Where each value came from, for people: "alembic-style.ini [env:production]", "--uri", "default"."""


_FOUND_OUT = ("databases", "config_file", "env", "sources")
"""Fields that nobody sets: they follow from the others, or say where those came from."""
KEYS = tuple(key for key in Settings.model_fields if key not in _FOUND_OUT)
