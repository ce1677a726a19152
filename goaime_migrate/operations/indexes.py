"""Indexes: created, put in another's place, dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from goaime_migrate.backends.ports import Catalogue
from goaime_migrate.errors import Refused
from goaime_migrate.operations import index_specs as specs
from goaime_migrate.operations.base import (
    StateDatabase,
    StateOperation,
    require,
    require_collection,
    require_encodable,
    require_name,
)
from goaime_migrate.operations.index_options import require_index
from goaime_migrate.operations.undoing import undoes
from goaime_migrate.results import Document

_KINDS = ("2d", "2dsphere", "hashed", "text")
_ALL = "*"
Direction = int | float | str


class CreateIndex(StateOperation):
    """Create an index. One that is there already with the same keys and name is left as it is, also by `down`.

    `replaces` names an index that goes. The new one is built first, so that queries are never without either; where
    both cannot stand side by side (the same keys) the old one goes first, and comes back if the new one fails.
    """

    def __init__(
        self,
        collection: str,
        keys: str | Sequence[tuple[str, Direction]],
        *,
        name: str | None = None,
        unique: bool = False,
        replaces: str | None = None,
        **options: Any,
    ) -> None:
        require_collection(collection)
        self.collection: str = collection
        listed = [(keys, 1)] if isinstance(keys, str) else keys
        require(
            isinstance(listed, list | tuple) and listed and all(map(_is_key, listed)),
            f"the keys of an index are a name or a list of (name, direction), not {keys!r}",
        )
        if name is not None:
            _require_index_name(name)
        self.name = name or "_".join(f"{field}_{_word(direction)}" for field, direction in listed)
        given = {
            option: getattr(value, "document", value) for option, value in options.items()
        }  # a `Collation`
        only = {"unique": True} if unique else {}
        self.index: Document = {"key": dict(listed), "name": self.name, **only, **given}
        require_encodable(self.index, f"the index {self.name!r}")
        require_index(self.index)
        self.replaces = replaces
        if replaces is not None:
            _require_replaceable(self.name, replaces)
        self.actions = ("createIndex",) if replaces is None else ("createIndex", "dropIndex")

    def describe(self) -> str:
        """By its name."""
        unique = "unique " if self.index.get("unique") else ""
        instead = "" if self.replaces is None else f" in place of {self.replaces}"
        return f"create {unique}index {self.name} on {self.collection}{instead}"

    def require(self, backend: StateDatabase, changed: frozenset[str] = frozenset()) -> None:
        """Refuse to replace what is not there, unless it may be by then. Raises Refused."""
        if self.replaces is None or self.collection in changed:
            return
        there = [index["name"] for index in specs.list_droppable(backend, self.collection)]
        if self.replaces in there or self.name in there:
            return
        raise Refused(
            f"{self.collection}: there is no index {self.replaces!r} for {self.name!r} to replace; "
            f"there {'is' if len(there) < 2 else 'are'} {', '.join(map(repr, there)) or 'none but that on _id'}",
            hint=f"correct replaces={self.replaces!r}, or leave it out",
        )

    def prepare(self, backend: StateDatabase, version: str) -> Document:
        """Undone by what it has replaced, or by dropping it unless it was there before.

        With the first index goes a collection that was made for its sake.
        """
        there = specs.find(backend, self.collection, self.name)
        old = None if self.replaces is None else specs.find(backend, self.collection, self.replaces)
        if old is not None:
            undo = {"collection": self.collection, "index": specs.pack(old)}
            if there is not None:
                return {"kind": "create_index", **undo}
            return {"kind": "replace_index", **undo, "new": specs.pack(self.index)}
        if there is not None:
            return {"kind": "nothing"}
        self.require(backend)
        made = self.collection not in backend.collections()
        return {"kind": "drop_index", "collection": self.collection, "name": self.name, "made": made}

    def apply(self, backend: StateDatabase, undo: Document) -> None:
        """Raises DuplicateKey where the documents do not allow it."""
        if "index" in undo:
            specs.exchange(backend, self.collection, specs.unpack(undo["index"]), self.index)
        else:
            specs.build(backend, self.collection, self.index)


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


def _require_index_name(name: object) -> None:
    require_name(name, "the index")
    require(name != _ALL, f"no index can be called {_ALL!r}: that stands for all of them")


def _require_replaceable(name: str, replaces: str) -> None:
    require_name(replaces, "replaces=")
    require(
        replaces not in ("_id_", _ALL),
        f"replaces= names one index that goes, not {replaces!r}",
        "the index on _id stays; for all others: DropIndex(collection, '*') and a CreateIndex for each",
    )
    require(
        name != replaces,
        f"the index {name!r} would replace itself",
        f"give the new one a name of its own: name='{name}_2', replaces={replaces!r}",
    )


class DropIndex(StateOperation):
    """Drop an index, or with "*" all but the one on `_id`; `down` creates them again as they were."""

    actions = ("dropIndex",)

    def __init__(self, collection: str, name: str) -> None:
        require_collection(collection)
        require_name(name, "the index")
        require(name != "_id_", "the index on _id cannot be dropped")
        self.collection: str = collection
        self.name = name

    def describe(self) -> str:
        """By its name."""
        if self.name == _ALL:
            return f"drop all indexes on {self.collection} but that on _id"
        return f"drop index {self.name} on {self.collection}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone from what the server says of them now."""
        found = specs.list_droppable(backend, self.collection)
        indexes = [specs.pack(index) for index in found if self.name in (_ALL, index["name"])]
        if not indexes:
            return {"kind": "nothing"}
        if self.name == _ALL:
            return {"kind": "create_indexes", "collection": self.collection, "indexes": indexes}
        return {"kind": "create_index", "collection": self.collection, "index": indexes[0]}

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Drop what was recorded, where it is there still."""
        for recorded in undo.get("indexes", [undo["index"]] if "index" in undo else []):
            specs.drop(backend, self.collection, specs.unpack(recorded)["name"])


@undoes("drop_index", actions=("dropIndex",))
def _drop(backend: StateDatabase, undo: Document) -> None:
    """Drop the index; with it the collection, if it was made for its sake and is still empty."""
    if undo["made"] and not backend.count(undo["collection"], {}, limit=1):
        backend.drop_collection(undo["collection"])
    else:
        specs.drop(backend, undo["collection"], undo["name"])


@undoes("replace_index", actions=("createIndex", "dropIndex"))
def _exchange_again(backend: Catalogue, undo: Document) -> None:
    specs.exchange(backend, undo["collection"], specs.unpack(undo["new"]), specs.unpack(undo["index"]))


@undoes("create_index", actions=("createIndex",))
def _create(backend: Catalogue, undo: Document) -> None:
    """Earlier releases have recorded it otherwise."""
    known = specs.unpack(undo["index"]) if "index" in undo else {"key": dict(undo["keys"]), **undo["options"]}
    specs.build(backend, undo["collection"], known)


@undoes("create_indexes", actions=("createIndex",))
def _create_all(backend: Catalogue, undo: Document) -> None:
    for recorded in undo["indexes"]:
        specs.build(backend, undo["collection"], specs.unpack(recorded))
