"""Which documents would have the same key in a unique index, told by the server, where the documents are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pymongo.collection import Collection

from goaime_migrate.backends.index_identity import membership_filter
from goaime_migrate.backends.ports import EqualKey, EqualKeys
from goaime_migrate.errors import MissingCapability
from goaime_migrate.results import Document

Path = tuple[str, ...]


def equal_keys(collection: Collection[Document], index: Document, limit: int, seconds: float) -> EqualKeys:
    """The keys that several documents have, the most frequent first.

    Raises MissingCapability, and what the driver raises: ExecutionTimeout where the time is over.
    """
    stages = [*_group_stages(index), {"$sort": {"n": -1, "_id": 1}}, {"$limit": limit + 1}]
    options: Document = {"allowDiskUse": True, "maxTimeMS": max(1, int(seconds * 1000))}
    if collation := index.get("collation"):
        options["collation"] = getattr(collation, "document", collation)
    found = list(collection.aggregate(stages, **options))
    groups = (EqualKey(_key(g["_id"]), (g["first"], g["last"]), g["n"]) for g in found[:limit])
    return EqualKeys(tuple(groups), complete=len(found) <= limit)


def _key(parts: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple([] if empty else value for value, empty in parts)


def _group_stages(index: Document) -> Iterator[Document]:
    """The stages that put documents with one key together: the key, how many documents, two of their `_id`s."""
    paths: list[Path] = [tuple(path.split(".")) for path in index["key"]]
    if any(part.startswith("$") or part.isdigit() or not part for path in paths for part in path):
        raise MissingCapability(f"no aggregation can name all of {', '.join(map(repr, index['key']))}")
    if covered := membership_filter(index):
        yield {"$match": covered}
    names = _names(paths)
    for depth in range(1, max(map(len, paths)) + 1):
        yield from _enter_stages(names, depth)
    keys = [[{"$ifNull": [f"$v{names[path]}", None]}, f"$e{names[path]}"] for path in paths]
    yield {"$group": {"_id": {"k": keys, "d": "$_id"}}}
    ends = {"first": {"$min": "$_id.d"}, "last": {"$max": "$_id.d"}}
    yield {"$group": {"_id": "$_id.k", "n": {"$sum": 1}, **ends}}
    yield {"$match": {"n": {"$gt": 1}}}


def _names(paths: Sequence[Path]) -> dict[Path, int]:
    """Every beginning of a path has a number: paths that lead into the same array go into its elements together."""
    beginnings = (path[:depth] for path in paths for depth in range(1, len(path) + 1))
    return {beginning: number for number, beginning in enumerate(dict.fromkeys(beginnings))}


def _enter_stages(names: dict[Path, int], depth: int) -> Iterator[Document]:
    """One step along the paths, and into the arrays that they come to, but not into arrays of arrays.

    An index holds an empty array as a key of its own, which is not null: `e` tells them apart once it is unwound.
    """
    reached = {path: number for path, number in names.items() if len(path) == depth}
    fields: Document = {}
    for path, number in reached.items():
        value = _value(names, path)
        fields |= {f"v{number}": value, f"e{number}": {"$eq": [value, []]}}
    yield {"$project" if depth == 1 else "$addFields": fields}
    for number in reached.values():
        yield {"$unwind": {"path": f"$v{number}", "preserveNullAndEmptyArrays": True}}


def _value(names: dict[Path, int], path: Path) -> Any:
    if len(path) == 1:
        return f"${path[0]}"
    parent = f"$v{names[path[:-1]]}"
    return {"$cond": [{"$eq": [{"$type": parent}, "object"]}, f"{parent}.{path[-1]}", None]}
