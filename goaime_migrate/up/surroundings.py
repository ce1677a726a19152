"""What a document is in that goes through operations by itself: the database, of which it need not be a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from goaime_migrate.backends.ports import CollectionReader, Filter, Reader, Sort
from goaime_migrate.results import Document


class Surroundings(Reader):
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

    def documents(self, collection: str, **options: Any) -> list[bytes]:
        """Those of the database."""
        return self.database.documents(collection, **options)

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Those of the database."""
        return self.database.by_ids(collection, ids, where, fields)

    def lookup(
        self,
        collection: str,
        key: str,
        values: Sequence[Any],
        fields: Sequence[str] | None,
        *,
        where: Filter | None = None,
        after: bytes | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Those of the database."""
        return self.database.lookup(collection, key, values, fields, where=where, after=after, limit=limit)

    def aggregate(self, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
        """What the database gives."""
        return self.database.aggregate(collection, stages)

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """Nothing: it is not going to be put back."""
        return ()

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """Of this document, as it stands now."""
        made = self.database.if_stored(collection, self.document, None, stages)
        return [] if made is None else [made]

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Those of the database."""
        return self.database.find(collection, filter, sort=sort, limit=limit, fields=fields)

    def matches(self, collection: str, where: Filter) -> bool:
        """Whether a filter would find this document, were it stored as it stands now."""
        return self.database.if_stored(collection, self.document, where, ()) is not None
