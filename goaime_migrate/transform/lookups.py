"""Looked-up documents: declared by a migration, handed out by a table as private copies.

A transform is called before anybody knows which keys it will ask for. A key that is not loaded yet is noted and
answered as if nothing had been found; what the transform makes of that is thrown away, the noted keys are loaded
with one query, and the transform is called again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from bson import Code, Decimal128, ObjectId, Regex
from bson.errors import BSONError

from goaime_migrate.backends import raw_bson
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.results import Document

CACHE_LIMIT = 50_000
"""Looked-up documents that a worker keeps in memory between two batches."""
_PLAIN = frozenset({str, int, ObjectId, type(None)})
_ABSENT: Any = object()
_SCALARS = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True)
class Lookup:
    """Documents of another collection that a transform may ask for by the value of `key`.

    `fields` limits what is read of each. Of several documents with the same key, the one with the smallest `_id`.
    """

    collection: str
    key: str = "_id"
    fields: tuple[str, ...] | None = None

    def __init__(self, collection: str, *, key: str = "_id", fields: Sequence[str] | None = None) -> None:
        names: tuple[tuple[Any, str], ...] = ((collection, "the looked-up collection"), (key, "key="))
        for value, what in names:
            if not isinstance(value, str) or not value or "\0" in value:
                raise InvalidMigration(f"{what} must be a name, not {value!r}")
        if isinstance(fields, str):
            raise InvalidMigration("fields= must be a list of names", hint=f"fields=[{fields!r}]")
        object.__setattr__(self, "collection", collection)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "fields", None if fields is None else tuple(fields))

    @property
    def label(self) -> str:
        """Collection and key, with the fields where they are limited."""
        fields = "" if self.fields is None else f"({','.join(self.fields)})"
        return f"{self.collection}.{self.key}{fields}"


def cache_key(value: Any) -> Any:
    """A hashable stand-in for a BSON value: equal exactly where MongoDB calls the values equal."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, bool):
        return ("bool", value)
    value = raw_bson.decode(raw_bson.encode({"": value}))[
        ""
    ]  # an aware datetime, a Binary: as the database gives it back
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return ("nan",) if number.is_nan() else number
    if isinstance(value, float) and math.isnan(value):
        return ("nan",)
    if isinstance(value, dict | list | tuple | Regex | Code):
        return ("nested", raw_bson.encode({"": value}))
    return value


class _Entry:
    """A looked-up document and how to copy it: flat copies are enough for all but nested values."""

    __slots__ = ("document", "nested")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nested = tuple((k, _copier(v)) for k, v in document.items() if isinstance(v, dict | list))

    def copy(self) -> Document:
        copy = self.document.copy()
        for key, copier in self.nested:
            copy[key] = copier(copy[key])
        return copy


def _copier(value: Any) -> Callable[[Any], Any]:
    flat = type(value) is list and all(isinstance(item, _SCALARS) for item in value)
    return list.copy if flat else deepcopy


class Table(Mapping[Any, Document]):
    """What a transform receives for a `Lookup`: a read-only mapping from key to document."""

    __slots__ = ("_cache", "_misses", "lookup", "uncommitted", "wanted", "whole")

    def __init__(self, lookup: Lookup, misses: list[Any]) -> None:
        self.lookup = lookup
        self._misses = misses
        self.wanted: dict[Any, Any] = {}
        self.uncommitted: list[Any] = []
        self._cache: dict[Any, _Entry | None] = {}
        self.whole = False
        """Whether every document is known."""

    def _entry(self, key: Any) -> _Entry | None:
        try:
            cached = cache_key(key)
            if cached not in self._cache:
                raw_bson.encode({"": key})
                if not self.whole:
                    self.wanted[cached] = key
                    self._misses.append(key)
        except (BSONError, ValueError, TypeError, OverflowError) as error:
            raise TypeError(
                f"{key!r} is no value that a document of {self.lookup.collection!r} can have: {error}"
            ) from error
        return self._cache.get(cached)

    def get(self, key: Any, default: Any = None) -> Any:
        # The usual way made short, `copy` written out: there are dozens of calls for a document.
        entry = self._cache.get(key, _ABSENT) if type(key) in _PLAIN else _ABSENT
        if entry is _ABSENT:
            entry = self._entry(key)
        if entry is None:
            return default
        copy = entry.document.copy()
        for name, copier in entry.nested:
            copy[name] = copier(copy[name])
        return copy

    def __getitem__(self, key: Any) -> Document:
        entry = self._entry(key)
        if entry is None:
            raise KeyError(key)
        return entry.copy()

    def __contains__(self, key: object) -> bool:
        return self._entry(key) is not None

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(self._refusal("iterated over"))

    def __len__(self) -> int:
        raise TypeError(self._refusal("counted"))

    def __bool__(self) -> bool:
        return True

    def _refusal(self, what: str) -> str:
        return (
            f"the lookup {self.lookup.collection!r} cannot be {what}: it holds only what was asked for; "
            f"ask by {self.lookup.key!r}, with .get(key), [key] or `in`"
        )

    def store(self, key: Any, document: Document | None, *, committed: bool) -> None:
        """Remember the document (or that there is none) for `key`."""
        cached = cache_key(key)
        self._cache[cached] = None if document is None else _Entry(document)
        self.wanted.pop(cached, None)
        if not committed:
            self.uncommitted.append(cached)

    def store_whole(self, documents: Iterable[Document]) -> None:
        """Remember all documents, ascending by `_id`: there are no others."""
        name = self.lookup.key
        for document in documents:
            if not isinstance(document[name], Regex):  # no document is found by a pattern
                self._cache.setdefault(cache_key(document[name]), _Entry(document))
        self.whole = True
        self.wanted.clear()

    def rollback(self) -> None:
        """Forget what was read in a batch that has not been committed."""
        for cached in self.uncommitted:
            self._cache.pop(cached, None)
        self.uncommitted.clear()
        self.wanted.clear()

    def commit(self) -> None:
        """The batch is committed; keep the cache within its bound."""
        self.uncommitted.clear()
        if len(self._cache) > CACHE_LIMIT and not self.whole:
            self._cache.clear()
