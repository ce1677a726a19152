"""What `prune` returns."""

from __future__ import annotations

from dataclasses import dataclass

from goaime_migrate.results.words import Value


@dataclass(frozen=True)
class ErasedDocument:
    """A document that was erased, and the versions whose journals or messages had it."""

    collection: str
    id: Value
    versions: tuple[str, ...]


@dataclass(frozen=True)
class PruneResult:
    """What `prune` deleted, or would delete."""

    pruned: tuple[str, ...] = ()
    """The versions that can be taken back no more."""
    erased: ErasedDocument | None = None
    freed_bytes: int = 0
    """What was deleted, before it is compressed: records of the journal, or of an erased document its old forms."""
    collections: tuple[str, ...] = ()
    """The collections that were kept aside and are gone."""
    unreachable: tuple[str, ...] = ()
    """The versions below, whose own journals are kept: they cannot be taken back either, since one above cannot."""
    notes: tuple[str, ...] = ()
    leftover: bool = False
    """Whether something is finished that an earlier `prune` was cut off in."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to delete."""
        erased = self.erased is not None and bool(self.erased.versions)
        return not (self.pruned or self.collections or self.leftover or erased)
