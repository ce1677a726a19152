"""What a collection has already of documents that are about to be inserted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.ports import Reader

_PORTION = 1_000
"""Ids that one query asks for."""


class Present:
    """Documents by their `_id`s as the server compares these: 2 and 2.0 are the same one."""

    def __init__(self, documents: Iterable[bytes] = ()) -> None:
        self._documents = {id_key(raw_bson.id_of(document)): document for document in documents}

    def __contains__(self, identity: bytes) -> bool:
        return bool(self._documents) and id_key(identity) in self._documents

    def __bool__(self) -> bool:
        return bool(self._documents)

    def get(self, identity: bytes) -> bytes | None:
        """The document, None where there is none."""
        return self._documents.get(id_key(identity)) if self._documents else None

    def ids(self) -> list[bytes]:
        """Their raw `_id`s."""
        return [raw_bson.id_of(document) for document in self._documents.values()]

    def add(self, document: bytes) -> None:
        """One more, unless there is one."""
        self._documents.setdefault(id_key(raw_bson.id_of(document)), document)


def present(reader: Reader, collection: str, ids: Sequence[bytes]) -> Present:
    """What the collection has with any of these raw `_id`s."""
    found: list[bytes] = []
    for start in range(0, len(ids), _PORTION):
        values = [raw_bson.id_value(identity) for identity in ids[start : start + _PORTION]]
        found += reader.documents(collection, where={"_id": {"$in": values}})
    return Present(found)
