"""What of a plan is done together: its groups, on the way up and on the way down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class OperationRef(NamedTuple):
    """One operation: its version, and its number among the operations of that, from 0."""

    version: str
    number: int


@dataclass(frozen=True)
class Group:
    """Operations that are done together, in the order of the plan."""

    operations: tuple[OperationRef, ...]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of its operations, each once."""
        return tuple(dict.fromkeys(version for version, _ in self.operations))


# the way up


@dataclass(frozen=True)
class NewPass(Group):
    """Operations that walk over one collection together. No document has been migrated yet."""


@dataclass(frozen=True)
class PinnedPass(Group):
    """An unfinished pass, gone on with exactly as it was pinned."""

    pass_id: str


@dataclass(frozen=True)
class StateChange(Group):
    """A single operation that walks over no documents: an index, a validator, a collection, a function."""


UpGroup = NewPass | PinnedPass | StateChange


# the way down


@dataclass(frozen=True)
class RestorePass(Group):
    """Steps of one pass that are taken back together, from its journal; the last first."""

    pass_id: str
    level: int
    """How many of its steps stay in effect."""
    collection: str
    """What its collection is called when it is taken back; passes above may have renamed it since,"""
    today: str
    """and what it is called today."""
    heir: str | None
    """The pass with a `reverse=` that is taken back next over the same documents: itself, if steps of it stay."""


@dataclass(frozen=True)
class ForgetSteps(Group):
    """Steps that a `down` has taken back before it was cut off; their versions do not say so yet."""

    pass_id: str


@dataclass(frozen=True)
class UndoChange(Group):
    """A single operation that was no step of a pass, undone."""

    renames: tuple[str, str] | None = None
    """For one that has renamed a collection: what that is called until then, and from then on."""


DownGroup = RestorePass | ForgetSteps | UndoChange
