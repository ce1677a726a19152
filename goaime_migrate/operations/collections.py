"""Collections as a whole, and views.

A collection that goes is kept aside under another name. A view has no documents, and no server renames one: it is
known by its definition, from which it is made again. No server renames a time-series collection either: it goes only
while it is empty.
"""

from __future__ import annotations

from itertools import chain, count
from typing import Any

from bson import Binary

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Catalogue, Need
from goaime_migrate.errors import MissingCapability, OperationFailed
from goaime_migrate.operations import index_specs
from goaime_migrate.operations.base import (
    StateDatabase,
    StateOperation,
    require,
    require_collection,
    require_name,
    require_not_ours,
)
from goaime_migrate.operations.collection_options import require_new_name, require_options
from goaime_migrate.operations.undoing import undoes
from goaime_migrate.operations.validators import require_valid
from goaime_migrate.results import Document

ASIDE = "schema_versions_aside"
"""Dropped collections are renamed to this and the version, and can be had back until they are pruned."""
_RENAME = "renameCollectionSameDB"
VIEW, TIME_SERIES = "view", "timeseries"
NOUNS = {VIEW: "view", TIME_SERIES: "time-series collection"}
"""What is no collection like others, for people, by its kind."""


class CreateCollection(StateOperation):
    """Create a collection (or a view) with the server's own options. One that is there already is left as it is."""

    def __init__(self, name: str, **options: Any) -> None:
        require_collection(name)
        self.collection = name
        self.name = name
        self.options = {option: getattr(value, "document", value) for option, value in options.items()}
        require_options(name, self.options)
        require_new_name(name)
        require_valid(self.options.get("validator") or {})

    @property
    def needs(self) -> tuple[Need, ...]:
        """A collection may be created by whoever may insert, a view may not; one that is capped takes more."""
        wanted = ("createCollection", *(("convertToCapped",) if self.options.get("capped") else ()))
        if "viewOn" in self.options:
            return (Need(self.name, wanted), Need(str(self.options["viewOn"]), ("find",)))
        return (Need(self.name, wanted, (Need(self.name, ("insert", *wanted[1:])),)),)

    def describe(self) -> str:
        """By its name."""
        return f"create collection {self.name}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone by dropping it, or by keeping it aside where documents have come into it."""
        if self.name in backend.collections():
            return {"kind": "nothing"}
        return {"kind": "drop_collection", "name": self.name, "aside": f"{ASIDE}.{version}.{self.name}"}

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Leaves one that is there as it is."""
        if self.name not in backend.collections():
            backend.create_collection(self.name, self.options)


class RenameCollection(StateOperation):
    """Rename a collection, with its indexes."""

    def __init__(self, old: str, new: str) -> None:
        require_name(old, "the old name")
        require_name(new, "the new name")
        require(old != new, f"{old!r} is already called that")
        require_not_ours(old)
        require_not_ours(new)
        require_new_name(new)
        self.old = old
        self.new = new

    @property
    def names(self) -> frozenset[str]:
        """Both."""
        return frozenset({self.old, self.new})

    @property
    def needs(self) -> tuple[Need, ...]:
        """What `renaming` says."""
        return renaming(self.old, self.new)

    def describe(self) -> str:
        """By both names."""
        return f"rename collection {self.old} to {self.new}"

    def prepare(self, backend: Catalogue, version: str) -> Document:
        """Undone by the old name. Raises OperationFailed for what is not there, or is no collection."""
        there = backend.collections()
        if self.old not in there:
            raise OperationFailed(
                f"cannot rename {self.old} to {self.new}: there is no collection {self.old}"
            )
        if there[self.old].kind != "collection":
            raise OperationFailed(
                f"cannot rename {self.old} to {self.new}: no server renames a {NOUNS[there[self.old].kind]}",
                hint="drop it and create it again under the other name",
            )
        return {"kind": "rename_collection", "old": self.new, "new": self.old}

    def apply(self, backend: Catalogue, undo: Document) -> None:
        """Raises OperationFailed where the new name is taken."""
        _rename(backend, self.old, self.new)


class DropCollection(StateOperation):
    """Drop a collection: it is kept aside under another name, so that `down` gives it back whole."""

    def __init__(self, name: str) -> None:
        require_collection(name)
        self.collection = name
        self.name = name

    @property
    def needs(self) -> tuple[Need, ...]:
        """It is renamed, and kept aside."""
        return renaming(self.name, ASIDE)

    def describe(self) -> str:
        """By its name."""
        return f"drop collection {self.name}"

    def require(self, backend: StateDatabase, changed: frozenset[str] = frozenset()) -> None:
        """Refuse to lose measurements. Raises MissingCapability."""
        _require_no_loss(backend, self.name, "drop it in a plain up(db), which cannot be taken back")

    def prepare(self, backend: StateDatabase, version: str) -> Document:
        """Undone by the name that it is kept aside under; of a view, or one without documents, from its definition."""
        info = backend.collections().get(self.name)
        if info is None:
            return {"kind": "nothing"}
        if info.kind != "collection":
            self.require(backend)
            indexes = [] if info.kind == VIEW else backend.indexes(self.name)
            return {
                "kind": "create_view",
                "name": self.name,
                "options": Binary(raw_bson.encode(info.options)),
                "indexes": [index_specs.pack(index) for index in indexes],
            }
        aside = _free(backend, f"{ASIDE}.{version}.{self.name}")
        return {"kind": "rename_collection", "old": aside, "new": self.name}

    def apply(self, backend: StateDatabase, undo: Document) -> None:
        """Renames it, since nothing that has documents is dropped; what has none goes."""
        if undo["kind"] == "create_view":
            self.require(backend)
            backend.drop_collection(self.name)
        elif undo["kind"] != "nothing":
            _rename(backend, self.name, undo["old"])


def renaming(old: str, new: str) -> tuple[Need, ...]:
    """What a server asks of whoever renames a collection: one right in the whole database, or four on the two."""
    apart = (Need(old, ("find", "dropCollection")), Need(new, ("insert", "createIndex")))
    return (Need(old, ("find",)), Need("", (_RENAME,), apart))


@undoes("rename_collection", needs=lambda undo: renaming(undo["old"], undo["new"]))
def _undo_rename(backend: Catalogue, undo: Document) -> None:
    _rename(backend, undo["old"], undo["new"])


def _unless_measured(backend: StateDatabase, undo: Document) -> None:
    _require_no_loss(
        backend,
        undo["name"],
        "copy what is in it to elsewhere and empty it, then take it back; or go back less far",
    )


@undoes("drop_collection", unless=_unless_measured)
def _undo_create(backend: StateDatabase, undo: Document) -> None:
    """Documents that were put into it since are kept aside, not lost."""
    info = backend.collections().get(undo["name"])
    if info is None:
        return
    if info.kind == "collection" and backend.count(undo["name"], {}, limit=1):
        _rename(backend, undo["name"], _free(backend, undo["aside"]))
    else:
        backend.drop_collection(undo["name"])


@undoes("create_view", needs=lambda undo: (Need(undo["name"], ("createCollection",)),))
def _undo_drop(backend: Catalogue, undo: Document) -> None:
    """Make it again. Earlier releases have recorded views alone, which have no indexes."""
    if undo["name"] in backend.collections():
        return
    backend.create_collection(undo["name"], raw_bson.decode(bytes(undo["options"])))
    for recorded in undo.get("indexes", ()):
        index_specs.build(backend, undo["name"], index_specs.unpack(recorded))


def _require_no_loss(backend: StateDatabase, name: str, hint: str) -> None:
    """Refuse to drop what has documents and cannot be kept aside. Raises MissingCapability."""
    info = backend.collections().get(name)
    if info is None or info.kind in ("collection", VIEW) or not backend.count(name, {}, limit=1):
        return
    raise MissingCapability(
        f"{name} is a {NOUNS[info.kind]} and has documents: no server renames one, so they could not be kept aside",
        hint=hint,
    )


def _free(backend: Catalogue, name: str) -> str:
    """The name, or one like it that no collection has."""
    there = backend.collections()
    others = (f"{name}.{number}" for number in count(2))
    return next(each for each in chain([name], others) if each not in there)


def _rename(backend: Catalogue, old: str, new: str) -> None:
    """Rename, or find that it has been done. Raises OperationFailed."""
    there = backend.collections()
    if old in there and new in there:
        raise OperationFailed(
            f"cannot rename {old} to {new}: a collection {new} exists", hint=f"move {new} away"
        )
    if old in there:
        backend.rename_collection(old, new)
    elif new not in there:
        raise OperationFailed(f"cannot rename {old} to {new}: there is no collection {old}")
