"""Documents that a migration brings with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.field_paths import descend
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.operations.base import DocumentOperation, require, require_collection, require_name
from goaime_migrate.results import Document
from goaime_migrate.transform.step import is_id, never

if TYPE_CHECKING:
    from goaime_migrate.transform.insertion import InsertStep

_SEVERAL = (list, tuple, Regex)


class InsertDocuments(DocumentOperation):
    """Put documents into a collection, unless they are there already: `key`, a path or several, says which one is.

    One without an `_id` gets an ObjectId that is the same each time.
    """

    fusion = None
    actions = ("insert",)
    selective = False
    reads: frozenset[str] = frozenset()

    def __init__(
        self, collection: str, documents: Sequence[Document], *, key: str | Sequence[str] = "_id"
    ) -> None:
        require_collection(collection)
        require(
            isinstance(documents, list | tuple),
            f"the documents must be a list, not {type(documents).__name__}",
            f'InsertDocuments({collection!r}, [{{"_id": 1}}, {{"_id": 2}}])',
        )
        self.collection = collection
        self.key = _paths(key)
        self.documents = tuple(_encode(place, document) for place, document in enumerate(documents))
        self._require_distinct(documents)

    def _require_distinct(self, documents: Sequence[Document]) -> None:
        """Refuse two documents that would be the same one."""
        from goaime_migrate.transform.lookups import cache_key

        for paths in dict.fromkeys((("_id",), self.key)):
            if _plainly_distinct(documents, paths):
                continue
            seen: dict[Any, int] = {}
            for place, document in enumerate(documents):
                if paths == ("_id",) and "_id" not in document:
                    continue  # it gets one of its own
                key = tuple(cache_key(_one_value(place, document, path)) for path in paths)
                first = seen.setdefault(key, place)
                if first != place:
                    raise InvalidMigration(
                        f"the documents {first} and {place} of the list have the same {' and '.join(paths)}",
                        hint="one document each; key= names the fields that tell them apart",
                    )

    def describe(self) -> str:
        """By how many there are."""
        count = len(self.documents)
        by = "" if self.key == ("_id",) else f" by {', '.join(self.key)}"
        return f"insert {count:,} document{'' if count == 1 else 's'} into {self.collection}{by}"

    def step(self, version: str, source: str) -> InsertStep:
        """A step that reads no collection."""
        from goaime_migrate.transform.insertion import InsertStep

        return InsertStep(
            version=version,
            collection=self.collection,
            source=source,
            transform=never,
            documents=self.documents,
            key=self.key,
        )


def _paths(key: str | Sequence[str]) -> tuple[str, ...]:
    """The paths of a key. Raises InvalidMigration."""
    paths = (key,) if isinstance(key, str) else tuple(key)
    require(paths, "key= names no field", 'key="email"')
    for path in paths:
        require_name(path, "every path in key=")
        parts = path.split(".")
        plain = all(part and not part.isdecimal() and not part.startswith("$") for part in parts)
        require(
            plain, f"key= must be made of names with dots between them, not {path!r}", 'key="address.city"'
        )
    return paths


def _plainly_distinct(documents: Sequence[Document], paths: tuple[str, ...]) -> bool:
    """Whether one look at the values tells that no two are the same, as with nearly every list."""
    from goaime_migrate.transform.lookups import PLAIN

    if len(paths) > 1 or "." in paths[0]:
        return False
    values = [document.get(paths[0]) for document in documents]
    kinds = {*map(type, values)}
    return len(kinds) == 1 and kinds <= PLAIN and len({*values}) == len(values)


def _encode(place: int, document: object) -> bytes:
    """The bytes of a document, `_id` first. Raises InvalidMigration."""
    if type(document) is not dict and not isinstance(document, Mapping):
        raise InvalidMigration(f"document {place} of the list is no dict: {document!r:.100}")
    try:
        first = next(iter(document), None) == "_id" or "_id" not in document
        raw = raw_bson.encode(document if first else {"_id": document["_id"], **document})
    except raw_bson.UNENCODABLE as error:
        raise InvalidMigration(
            f"document {place} of the list cannot be encoded as BSON: {error}",
            hint="write it with values that BSON knows",
        ) from error
    if len(raw) > raw_bson.MAX_DOCUMENT - 17:  # an `_id` that it does not have yet
        raise InvalidMigration(
            f"document {place} of the list has {len(raw):,} bytes; MongoDB stores at most {raw_bson.MAX_DOCUMENT:,}"
        )
    if "_id" in document and not is_id(document["_id"]):
        raise InvalidMigration(
            f"document {place} of the list has an _id that MongoDB does not take: {document['_id']!r:.100}",
            hint="an _id may be anything but an array or a regular expression",
        )
    return raw


def _one_value(place: int, document: Document, path: str) -> Any:
    """The value of a key, None where it is absent. One of several values, or of a pattern, is refused.

    It would not say which document this is. Raises InvalidMigration.
    """
    found = list(descend(document, path.split("."))) if "." in path else [document.get(path)]
    if len(found) > 1 or (found and isinstance(found[0], _SEVERAL)):
        raise InvalidMigration(
            f"document {place} of the list has no single value at {path}, which key= names",
            hint="key= takes fields that are neither arrays nor within arrays",
        )
    return found[0] if found else None
