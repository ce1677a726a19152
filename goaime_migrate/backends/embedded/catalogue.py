"""Collections and indexes of a store: what the commands for them do on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goaime_migrate.backends.dump.metadata import ID_INDEX, TIMESERIES
from goaime_migrate.backends.embedded.collection import Collection
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.index_identity import differences, inherit_collation, same
from goaime_migrate.backends.ports import CollectionInfo, IndexInTheWay
from goaime_migrate.errors import MissingCapability, OperationFailed
from goaime_migrate.results import Document

_SYSTEM = "system."
_BUCKETS = "system.buckets."


def collections(store: Store) -> dict[str, CollectionInfo]:
    """All but the tool's and the server's own."""
    listed = every_collection(store).items()
    return {n: info for n, info in listed if n not in store.ours and not n.startswith(_SYSTEM)}


def every_collection(store: Store) -> dict[str, CollectionInfo]:
    """All that there are."""
    return {
        name: CollectionInfo(name, each.kind, dict(each.metadata.options))
        for name, each in store.collections.items()
    }


def indexes(store: Store, name: str) -> list[Document]:
    """None for a collection that does not exist."""
    collection = store.get(name)
    return [] if collection is None else [dict(spec) for spec in collection.metadata.indexes]


def create_index(store: Store, name: str, keys: Sequence[tuple[str, Any]], options: Document) -> None:
    """Nothing happens if there is the very same index. Raises IndexInTheWay, or DuplicateKey."""
    spec = index_spec(keys, options)
    collection = store.obtain(name)
    wanted = inherit_collation(spec, collection.metadata.options)
    for other in collection.metadata.indexes:
        if other["name"] == spec["name"] and not differences(other, wanted):
            return
        if other["name"] == spec["name"] or same(other, wanted):
            raise IndexInTheWay(f"the index {other['name']!r} is there already, and differs")
    collection.add_index(wanted)


def drop_index(store: Store, name: str, index: str) -> None:
    """Raises OperationFailed if there is no such index, or if it is the one on `_id`."""
    collection = _existing(store, name)
    if index == ID_INDEX or all(spec["name"] != index for spec in collection.metadata.indexes):
        raise OperationFailed(f"{name}: there is no index {index!r} that can be dropped")
    collection.remove_index(index)


def set_options(store: Store, name: str, options: Document) -> None:
    """Options are kept in the metadata; a validator is for the server that restores the dump."""
    metadata = _existing(store, name).metadata
    metadata.options = _without_empty({**metadata.options, **options})


def create(store: Store, name: str, options: Document) -> None:
    """A collection, or with `viewOn` a view. Raises OperationFailed, or MissingCapability for time series."""
    if name in store.collections:
        raise OperationFailed(f"the collection {name!r} is there already")
    _check_name(name)
    if "timeseries" in options:
        raise MissingCapability(
            "a dump directory cannot hold a new time-series collection",
            hint="restore the dump into a MongoDB server with mongorestore and migrate it there",
        )
    store.collections[name] = Collection.new(name, options)


def rename(store: Store, old: str, new: str) -> None:
    """Its files get the new name as well. Raises OperationFailed if either name does not allow it."""
    collection = _existing(store, old)
    if new in store.collections:
        raise OperationFailed(f"{old!r} cannot be renamed: the collection {new!r} is there already")
    if collection.kind == TIMESERIES:
        raise OperationFailed(f"{old!r} cannot be renamed: it is a time-series collection")
    _check_name(new)
    collection.rename(new)
    store.collections = {each.name: each for each in store.collections.values()}


def drop(store: Store, name: str) -> None:
    """Nothing happens if there is no such collection."""
    collection = store.collections.pop(name, None)
    if collection is not None and collection.kind == TIMESERIES:
        store.collections.pop(_BUCKETS + name, None)


def index_spec(keys: Sequence[tuple[str, Any]], options: Document) -> Document:
    """An index as the catalogue has it, named as the drivers name it where it has no name."""
    name = options.get("name") or "_".join(f"{field}_{direction}" for field, direction in keys)
    rest = {option: value for option, value in options.items() if value is not None}
    return {"v": 2, "key": dict(keys)} | rest | {"name": name}


def _existing(store: Store, name: str) -> Collection:
    collection = store.get(name)
    if collection is None:
        raise OperationFailed(f"there is no collection {name!r}")
    return collection


def _check_name(name: str) -> None:
    if not name or name.startswith((".", _SYSTEM)) or name.endswith(".") or "$" in name or "\0" in name:
        raise OperationFailed(f"{name!r} cannot be the name of a collection")


def _without_empty(options: Document) -> Document:
    """A validator that is taken away is set to an empty document."""
    return {option: value for option, value in options.items() if not (option == "validator" and not value)}
