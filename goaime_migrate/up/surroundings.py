"""What a document is in that goes through operations by itself: the database, of which it need not be a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from goaime_migrate.backends.ports import CollectionReader, Filter, ForwardingReader, Reader
from goaime_migrate.results import Document


class Surroundings(ForwardingReader):
    """The database around a document that need not be stored as it is. It is opened with the first question."""

    def __init__(self, open: Callable[[], CollectionReader], document: bytes) -> None:
        self._open = open
        self.document = document
        """As it stands now: the only one that a pipeline is asked to change."""
        self.gone = False
        """Whether it has been deleted."""
        self.began = datetime.now(UTC)
        """What `Now()` stands for."""

    @property
    def database(self) -> CollectionReader:
        """Opened by now."""
        return self._open()

    @property
    def reader(self) -> Reader:
        """All but what is about the document itself the database answers."""
        return self.database

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """Nothing: it is not going to be put back."""
        return ()

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """Of this document, as it stands now."""
        made = self.database.if_stored(collection, self.document, None, stages)
        return [] if made is None else [made]

    def matches(self, collection: str, where: Filter) -> bool:
        """Whether a filter would find this document, were it stored as it stands now."""
        return self.database.if_stored(collection, self.document, where, ()) is not None
