"""The words that results share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Annotated, Any, NamedTuple

Document = dict[str, Any]


class Key(NamedTuple):
    """How a field is printed by ``--json``, where it is not plain JSON under its own name."""

    extended: bool = False
    """A value of the database: canonical Extended JSON."""
    hidden: bool = False
    relaxed: bool = False
    """Of Extended JSON the form in which numbers are numbers."""
    up: str = ""
    """Its name in what `up` prints, """
    down: str = ""
    """and in what `down` prints."""
    none: object = None
    """What is printed for None."""
    optional: bool = False
    """Whether the key is left out where the value is ABSENT."""


class Absent(Enum):
    """The value of what is not there, which is not null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT
Value = Annotated[Any, Key(extended=True)]
"""A value of the database, decoded."""


class State(StrEnum):
    """Where a version stands. `pending` has no record; every other state is one in `schema_versions`."""

    PENDING = "pending"
    RUNNING = "running"
    PARTIAL = "partial"
    APPLIED = "applied"
    REVERTING = "reverting"
    FAILED = "failed"


class Direction(StrEnum):
    """Which way a plan goes."""

    UP = "up"
    DOWN = "down"


class Mode(StrEnum):
    """How a batch is made safe."""

    TRANSACTIONAL = "transactional"
    SINGLE_DOCUMENT = "single-document"
    EMBEDDED = "embedded"


class OnConflict(StrEnum):
    """What `down` does where the application has changed the very field that it would take back."""

    KEEP = "keep"
    RESTORE = "restore"
    STOP = "stop"


@dataclass(frozen=True)
class Counts:
    """Documents of a version or a run. `matched` = `changed` + `unchanged` + `conflicts`."""

    matched: int = 0
    changed: int = 0
    unchanged: int = 0
    conflicts: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.matched + other.matched,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.conflicts + other.conflicts,
        )


@dataclass(frozen=True)
class VersionError:
    """Why a version has stopped: the document and the field, where they are known."""

    code: str
    message: str
    id: Value = None
    field: str | None = None


@dataclass(frozen=True)
class WarningCount:
    """A text that a version's transforms warned with, how often, and the `_id`s of a few documents."""

    version: str
    message: str
    count: int
    examples: tuple[Value, ...]


REHEARSED = 2_000
"""Documents of a collection that `rehearse` copies where nothing else is said."""
