"""Indexes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Catalogue
from goaime_migrate.operations.base import (
    StateDatabase,
    StateOperation,
    require,
    require_collection,
    require_name,
    undoes,
)
from goaime_migrate.results import Document

_KINDS = ("2d", "2dsphere", "hashed", "text")
Direction = int | float | str


class CreateIndex(StateOperation):
    """Create an index. One that is there already with the same keys and name is left as it is, also by `down`."""

    actions = ("createIndex",)

    def __init__(
        self,
        collection: str,
        keys: str | Sequence[tuple[str, Direction]],
        *,
        name: str | None = None,
        unique: bool = False,
        **options: Any,
    ) -> None:
        require_collection(collection)
        self.collection = collection
        listed = [(keys, 1)] if isinstance(keys, str) else keys
        require(
            isinstance(listed, list | tuple) and listed and all(map(_is_key, listed)),
            f"the keys of an index are a name or a list of (name, direction), not {keys!r}",
        )
        self.keys: list[tuple[str, Direction]] = [(field, direction) for field, direction in listed]
        if name is not None:
            require_name(name, "the index")
        self.name = name or "_".join(f"{field}_{_word(direction)}" for field, direction in self.keys)
        self.options = {"name": self.name, **({"unique": True} if unique else {}), **options}

    def describe(self) -> str:
        """By its name."""
        unique = "unique " if self.options.get("unique") else ""
        return f"create {unique}index {self.name} on {self.collection}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone by dropping it, unless it was there before; with it goes a collection that was made for its sake."""
        assert self.collection is not None
        if _find(backend, self.collection, self.name):
            return {"kind": "nothing"}
        made = self.collection not in backend.collections()
        return {"kind": "drop_index", "collection": self.collection, "name": self.name, "made": made}

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Raises DuplicateKey where the documents do not allow it."""
        assert self.collection is not None
        backend.create_index(self.collection, self.keys, self.options)


def _is_key(key: object) -> bool:
    return (
        isinstance(key, list | tuple)
        and len(key) == 2
        and isinstance(key[0], str)
        and bool(key[0])
        and (key[1] in _KINDS if isinstance(key[1], str) else _is_direction(key[1]))
    )


def _is_direction(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value != 0
    )


def _word(direction: Direction) -> str:
    """As the server's own shell names an index: 1.0 is a 1."""
    return direction if isinstance(direction, str) else f"{direction:g}"


class DropIndex(StateOperation):
    """Drop an index; `down` creates it again as it was."""

    actions = ("dropIndex",)

    def __init__(self, collection: str, name: str) -> None:
        require_collection(collection)
        require_name(name, "the index")
        require(name != "_id_", "the index on _id cannot be dropped")
        self.collection = collection
        self.name = name

    def describe(self) -> str:
        """By its name."""
        return f"drop index {self.name} on {self.collection}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone from what the server says of it now, kept in bytes: no driver takes all the directions there are."""
        assert self.collection is not None
        index = _find(backend, self.collection, self.name)
        if index is None:
            return {"kind": "nothing"}
        return {
            "kind": "create_index",
            "collection": self.collection,
            "index": Binary(raw_bson.encode(index)),
        }

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Drop it, where it is there."""
        assert self.collection is not None
        if _find(backend, self.collection, self.name):
            backend.drop_index(self.collection, self.name)


def _find(backend: Catalogue, collection: str, name: str) -> Document | None:
    if collection not in backend.collections():
        return None
    return next((index for index in backend.indexes(collection) if index["name"] == name), None)


@undoes("drop_index", actions=("dropIndex",))
def _drop(backend: StateDatabase, undo: Document) -> None:
    """Drop the index; with it the collection, if it was made for its sake and is still empty."""
    if undo["made"] and not backend.count(undo["collection"], {}, limit=1):
        backend.drop_collection(undo["collection"])
    elif _find(backend, undo["collection"], undo["name"]):
        backend.drop_index(undo["collection"], undo["name"])


@undoes("create_index", actions=("createIndex",))
def _create(backend: Catalogue, undo: Document) -> None:
    if "index" in undo:
        index = raw_bson.decode(bytes(undo["index"]))
        keys = list(index.pop("key").items())
        index.pop("ns", None)  # which older servers say, and newer ones refuse
    else:  # as earlier releases have recorded it
        keys, index = [(field, way) for field, way in undo["keys"]], undo["options"]
    backend.create_index(undo["collection"], keys, index)
