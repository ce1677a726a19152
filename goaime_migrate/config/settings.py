"""The settings of a command as one value, and the names that they go by in files, variables and connection strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Self

from goaime_migrate.config.values import (
    flag,
    like,
    many,
    maybe,
    number,
    one_of,
    path,
    positive,
    text,
    up_to,
    whole,
)
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.results import OnConflict
from goaime_migrate.results.holdup import FASTEST

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


def _records(value: Any) -> str:
    """Refuse what cannot be, or should not be, the name of our own collections."""
    name = text(value)
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


class Unfit(ValueError):
    """A value that a setting cannot have: which setting, and what it should be."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command works with. A value, and it does not show its connection string. Raises ValueError."""

    uri: str = field(default="", repr=False)
    """A connection string (mongodb:// or mongodb+srv://), or dump:PATH, a directory in mongodump's format."""
    database: str | None = None
    """The database, or several by names and patterns, with commas between them (a, tenant_*); one in the path of a uri
    that comes from a variable or a flag wins over it."""
    migrations: Path = Path("migrations")
    """The folder of the numbered migration files."""
    records: str = "schema_versions"
    """What the tool's own collections are called; two projects of different names share a database."""
    prepend_sys_path: tuple[Path, ...] = ()
    """Folders where modules that migrations import are looked for first; the folder of the file where it is not set."""
    lock_timeout: float = 60.0
    """How many seconds to wait for another run's lock."""
    workers: int | None = None
    """How many processes share a large collection of a replica set; one for each core where it is not set."""
    executor: str | None = None
    """Where they run: processes of this host, or dask:tcp://HOST:PORT."""
    batch_size: int | None = None
    """The most documents in one transaction; found out while running where it is not set."""
    max_lag: float | None = None
    """Pause while a secondary is more than so many seconds behind."""
    max_rate: float | None = None
    """The most documents a second."""
    on_conflict: OnConflict = OnConflict.KEEP
    """What `down` does where the application has changed the same fields since: keep, restore or stop."""
    allow_untested_topology: bool = False
    """Run on a topology that the fault tests have never been run on."""

    lint_after: int | None = None
    """The version up to which, and including it, `lint` spares the files: what is applied everywhere is past mending."""

    databases: tuple[str, ...] = ()
    """The names and patterns, where several databases are meant; `database` is None then."""
    config_file: Path | None = None
    env: str | None = None
    sources: dict[str, str] = field(default_factory=dict)
    """Where each value came from, for people: "alembic-style.ini [env:production]", "--uri", "default"."""

    def __post_init__(self) -> None:
        for key, read in _READ.items():
            try:
                object.__setattr__(self, key, read(getattr(self, key)))
            except ValueError as error:
                raise Unfit(key, str(error)) from None

    def at(self, **place: Any) -> Self:
        """The same for another place. What a server has given a name to is called so: it is not judged once more."""
        made = copy(self)
        vars(made).update(place)
        return made

    def record(self) -> dict[str, Any]:
        """These settings in values that JSON knows: `Settings(**record)` makes them of it again, in another process."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value.value if isinstance(value, Enum) else value


_NO_NAME = 'a database name has 1 to 63 characters, and none of /\\. "$*<>:|?'
_READ: Mapping[str, Callable[[Any], Any]] = {
    "uri": text,
    "database": maybe(like(r'[^/\\. "$*<>:|?\x00]{1,63}', _NO_NAME)),
    "migrations": path,
    "records": _records,
    "prepend_sys_path": many(path),
    "lock_timeout": number(0),
    "workers": maybe(whole(1)),
    "executor": maybe(
        like(rf"processes|{DASK}[a-z]+://\S+", "it should be processes, or dask:tcp://HOST:PORT")
    ),
    "batch_size": maybe(whole(1)),
    "max_lag": maybe(positive),
    "max_rate": maybe(up_to(FASTEST, positive)),
    "on_conflict": one_of(OnConflict),
    "allow_untested_topology": flag,
    "lint_after": maybe(whole(0)),
    "databases": many(like(r'[^/\\. "$<>:|\x00]{1,63}', _NO_NAME)),
    "config_file": maybe(path),
    "env": maybe(text),
}
"""What each setting may be."""
_FOUND_OUT = ("databases", "config_file", "env", "sources")
"""Fields that nobody sets: they follow from the others, or say where those came from."""
KEYS = tuple(each.name for each in fields(Settings) if each.name not in _FOUND_OUT)
