"""What others write to a collection, as it comes; only those who follow it import this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bson import Timestamp

from goaime_migrate.results import Document


class HistoryLost(Exception):
    """The server no longer knows all that was written since the place where a change stream stopped."""


class CollectionGone(Exception):
    """The collection of a change stream was dropped or renamed, at a cluster time."""

    def __init__(self, how: str, at: Timestamp) -> None:
        super().__init__(how)
        self.at = at


class Portion(NamedTuple):
    """Raw ids of documents that were written, and the place in history up to which that is all."""

    ids: Sequence[bytes]
    token: Document | None
    at: Timestamp


class ChangeStream(Protocol):
    """What others write to one collection. Used by one thread."""

    def read(self) -> Portion:
        """Wait a moment for writes. Raises HistoryLost, CollectionGone, ServerUnreachable."""

    def store(self, record: Document) -> None:
        """Keep ids and token, so that a later run need not read this part of history again."""

    def close(self) -> None:
        """End the stream."""
