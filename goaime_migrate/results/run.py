"""What `up` and `down` return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from goaime_migrate.errors import MigrateError
from goaime_migrate.results.words import Counts, Direction, Key, Value, WarningCount


@dataclass(frozen=True)
class Conflict:
    """A document that could not be taken back, or brought forward, whole; `fields` were left as they are."""

    version: str
    collection: str
    id: Value
    fields: tuple[str, ...]


@dataclass(frozen=True)
class VersionDocuments:
    """What all runs together have done for a version."""

    version: str
    documents: Counts


@dataclass(frozen=True)
class RunResult:
    """What `up` or `down` did. A partial failure is a value: `failed` and `error` say where it stopped and why."""

    direction: Direction
    versions: Annotated[tuple[str, ...], Key(up="applied", down="reverted")]
    """Applied by `up`, or reverted by `down`, in the order in which they were finished."""
    failed: str | None
    error: MigrateError | None
    documents: Counts
    """Of this run alone."""
    conflicts: tuple[Conflict, ...]
    warnings: tuple[WarningCount, ...]
    duration_s: float
    message: str = ""
    """One sentence for people where nothing had to be done."""
    born: int = 0
    """Documents that `down` found and that were inserted after `up`."""
    left: int = 0
    """Those among them that stay as they are; `reverse=` has taken the others back."""
    without_reverse: tuple[str, ...] = ()
    """The versions whose missing `reverse=` has stopped them."""
    more_conflicts: int = 0
    """How many conflicts there were beside those that are listed, which are 10,000 at most."""
    erased: tuple[str, ...] = ()
    """The documents that were erased from the journal and stay as they are, by the hashes of their `_id`s."""
    in_all: tuple[VersionDocuments, ...] = ()
    """The versions that earlier runs had begun, with what those and this one have done together."""
