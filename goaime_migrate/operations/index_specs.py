"""Indexes as the server lists them: found, built again as they were, put in each other's place.

A specification is a document: `key`, `name` and options. It is recorded in bytes, since no driver takes all the
directions, versions and options that there are; whoever builds an index from it does so by a raw command.
"""

from __future__ import annotations

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import sort_key
from goaime_migrate.backends.index_identity import is_text
from goaime_migrate.backends.ports import Catalogue, IndexInTheWay
from goaime_migrate.errors import MigrationFailed, OperationFailed, Refused
from goaime_migrate.results import Document

_OF_THE_COLLECTION = "_id_"


def list_droppable(backend: Catalogue, collection: str) -> list[Document]:
    """Those that can be dropped; none where there is no such collection."""
    if collection not in backend.collections():
        return []
    indexes = backend.indexes(collection)
    return [index for index in indexes if index["name"] != _OF_THE_COLLECTION and not index.get("clustered")]


def find(backend: Catalogue, collection: str, name: str) -> Document | None:
    """The one of this name."""
    return next((index for index in list_droppable(backend, collection) if index["name"] == name), None)


def pack(index: Document) -> Binary:
    """A specification as it is recorded."""
    return Binary(raw_bson.encode(index))


def unpack(recorded: bytes) -> Document:
    """A specification from its record."""
    return raw_bson.decode(bytes(recorded))


def build(backend: Catalogue, collection: str, index: Document) -> None:
    """Create an index, unless the very same one is there. Raises DuplicateKey, OperationFailed."""
    try:
        _create(backend, collection, index)
    except IndexInTheWay as found:
        raise OperationFailed(
            f"{collection}: the index {index['name']!r} cannot be created: {found}",
            hint="drop what is in the way in an operation before this one, or name it: replaces='…'",
        ) from found


def drop(backend: Catalogue, collection: str, name: str) -> None:
    """Drop an index, if it is there."""
    if find(backend, collection, name) is not None:
        backend.drop_index(collection, name)


def exchange(backend: Catalogue, collection: str, old: Document, new: Document) -> None:
    """Build `new`, then drop `old`; where both cannot stand side by side, the other way round.

    Where that fails `old` stands again. May be called again after a crash at any moment.
    """
    try:
        _build_instead(backend, collection, old, new)
    except (MigrationFailed, Refused) as error:
        _put_back(backend, collection, old, error)
        raise
    drop(backend, collection, old["name"])


def _build_instead(backend: Catalogue, collection: str, old: Document, new: Document) -> None:
    """The server is asked whether both may stand: which options tell two indexes apart depends on its version."""
    try:
        _create(backend, collection, new)
    except IndexInTheWay:
        if _exclude_each_other(old, new):
            drop(backend, collection, old["name"])
        build(backend, collection, new)


def _exclude_each_other(one: Document, other: Document) -> bool:
    """Whether it may be either of them that is in the other's way; else it is a third, and neither has to go."""
    return _keys(one) == _keys(other) or (is_text(one) and is_text(other))


def _keys(index: Document) -> list[object]:
    return [(field, sort_key(direction)) for field, direction in index["key"].items()]


def _put_back(backend: Catalogue, collection: str, old: Document, error: MigrationFailed | Refused) -> None:
    """Let `old` stand again. Raises OperationFailed that says both, where that fails too."""
    try:
        if find(backend, collection, old["name"]) is None:
            build(backend, collection, old)
    except (MigrationFailed, Refused) as also:
        raise OperationFailed(
            f"{error.message}; and the index {old['name']!r}, which had to go first, cannot come back: {also.message}",
            hint=also.hint,
            id=also.id,
            field=also.field,
        ) from error


def _create(backend: Catalogue, collection: str, index: Document) -> None:
    options = {name: value for name, value in index.items() if name not in ("key", "ns")}
    backend.create_index(
        collection, list(index["key"].items()), options
    )  # older servers list `ns`, newer refuse it
