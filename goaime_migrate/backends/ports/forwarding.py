"""A reader that hands each question on to another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from goaime_migrate.backends.ports.changes import Filter
from goaime_migrate.backends.ports.roles import Reader, Sort
from goaime_migrate.results import Document


class ForwardingReader(Reader, ABC):
    """Whoever looks at some of the questions, or answers some of them otherwise, says only those anew."""

    @property
    @abstractmethod
    def reader(self) -> Reader:
        """The one that answers."""

    def documents(
        self,
        collection: str,
        *,
        after: bytes | None = None,
        upto: bytes | None = None,
        where: Filter | None = None,
        limit: int = 0,
        max_bytes: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Handed on."""
        return self.reader.documents(
            collection, after=after, upto=upto, where=where, limit=limit, max_bytes=max_bytes, fields=fields
        )

    def by_ids(
        self,
        collection: str,
        ids: Sequence[bytes],
        where: Filter | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Handed on."""
        return self.reader.by_ids(collection, ids, where, fields)

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
        """Handed on."""
        return self.reader.lookup(collection, key, values, fields, where=where, after=after, limit=limit)

    def aggregate(self, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
        """Handed on."""
        return self.reader.aggregate(collection, stages)

    def pipeline(self, collection: str, ids: Sequence[bytes], stages: Sequence[Document]) -> list[bytes]:
        """Handed on."""
        return self.reader.pipeline(collection, ids, stages)

    def places(self, collection: str, ids: Sequence[bytes]) -> Sequence[bytes | None]:
        """Handed on."""
        return self.reader.places(collection, ids)

    def find(
        self,
        collection: str,
        filter: Filter,
        *,
        sort: Sort = (),
        limit: int = 0,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Handed on."""
        return self.reader.find(collection, filter, sort=sort, limit=limit, fields=fields)
