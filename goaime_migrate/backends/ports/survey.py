"""What rules ask of a database beyond reading documents: how large, equal keys, misfits, room. None of it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from goaime_migrate.backends.ports.changes import Filter
from goaime_migrate.results import Document


class Size(NamedTuple):
    """How large a collection is."""

    documents: int = 0
    size: int = 0
    """Bytes of its documents, before they are compressed; 0 where that cannot be seen."""


class EqualKey(NamedTuple):
    """A key that a unique index could give to one document only, and some of those that have it."""

    key: tuple[Any, ...]
    ids: tuple[Any, ...]
    documents: int


class EqualKeys(NamedTuple):
    """The keys that more than one document has, the most frequent first."""

    groups: tuple[EqualKey, ...] = ()
    complete: bool = True
    """Whether these are all; else there are more, or the time was over before it was known."""


class Room(NamedTuple):
    """What there is for a migration to fill; None for what this user cannot see, or what there is not."""

    disk: int | None = None
    """Free bytes where the data are."""
    oplog: int | None = None
    """Bytes that the oplog holds before its oldest entries go."""
    secondaries: int = 0


class Survey(Protocol):
    """A look at a database from above."""

    def size(self, collection: str) -> Size:
        """Of a collection; of one that is not there nothing."""

    def equal_keys(self, collection: str, index: Document, *, limit: int, seconds: float) -> EqualKeys:
        """The keys that would stand twice in this unique index, up to a limit and a time.

        Raises MissingCapability for an index that only the server itself can judge.
        """

    def misfits(self, collection: str, wanted: Filter, documents: Sequence[bytes]) -> list[bytes]:
        """The raw ids of those among these documents that do not match; they need not be in the collection.

        Raises MissingCapability, UsageError where the filter cannot be evaluated here.
        """

    def room(self) -> Room:
        """As far as this user may see it."""
