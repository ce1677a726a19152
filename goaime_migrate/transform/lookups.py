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
from decimal import Decimal
from typing import Any, NamedTuple

from bson import ObjectId, Regex
from bson.errors import BSONError

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import NUMBER, sort_key
from goaime_migrate.backends.field_paths import found_by
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.results import Document

CACHE_LIMIT = 50_000
"""Looked-up documents that a worker keeps in memory between two batches,"""
CACHE_BYTES = 64 * 1024 * 1024
"""and their bytes as BSON."""
_PLAIN = frozenset({str, int, ObjectId, type(None)})
_ABSENT: Any = object()
_SCALARS = (str, int, float, bool, bytes, type(None))


@dataclass(frozen=True)
class Lookup:
    """Documents of a collection that a transform may ask for by the value of `key`, as they are before the pass.

    An array at `key` is found by each of its elements. `fields` limits what is read of each document. Of several with
    the same key, the one with the smallest `_id`.
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
    """A hashable stand-in for a BSON value: equal exactly where MongoDB calls the values equal.

    Raises BSONError, TypeError, ValueError or OverflowError for what is no BSON value.
    """
    if type(value) in _PLAIN:
        return value
    stored = raw_bson.decode(raw_bson.encode({"": value}))[
        ""
    ]  # an aware datetime, a Binary: as it is read again
    return stored if type(stored) in _PLAIN else _as_plain(sort_key(stored))


def _as_plain(key: Any) -> Any:
    """The very stand-in of an `int` for another number that is equal to one."""
    return key[2] if key[0] == NUMBER and len(key) > 2 else key


def stable(cached: Any) -> str:
    """A text that is the same in every process for the stand-ins of equal values, and for no others."""
    if isinstance(cached, tuple):
        return f"({','.join(map(stable, cached))})"
    if isinstance(cached, bool) or not isinstance(cached, int | float | Decimal):
        return repr(cached)
    finite = cached.is_finite() if isinstance(cached, Decimal) else math.isfinite(cached)
    return "{}/{}".format(*cached.as_integer_ratio()) if finite else str(float(cached))


class Answer(NamedTuple):
    """What is found for a key: a document or none, its bytes as BSON, and whether others have the same key."""

    document: Document | None
    size: int = 0
    several: bool = False


class _Entry:
    """A looked-up document and how to copy it: flat copies are enough for all but nested values."""

    __slots__ = ("document", "nested", "several")

    def __init__(self, document: Document, *, several: bool = False) -> None:
        self.document = document
        self.several = several
        """Whether others have the same key."""
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

    __slots__ = (
        "_bytes",
        "_cache",
        "_misses",
        "exists",
        "lookup",
        "met",
        "missed",
        "several",
        "uncommitted",
        "wanted",
        "whole",
    )

    def __init__(self, lookup: Lookup, misses: list[Any]) -> None:
        self.lookup = lookup
        self._misses = misses
        self.wanted: dict[Any, Any] = {}
        self.uncommitted: list[Any] = []
        self._cache: dict[Any, _Entry | None] = {}
        self._bytes = 0
        self.whole = False
        """Whether every document is known."""
        self.exists = True
        """Whether there is such a collection, as far as is known."""
        self.forget_answers()

    def forget_answers(self) -> None:
        """The next document begins."""
        self.met = self.missed = self.several = False
        """Whether a document was found, none was, and one of several was, since this was last forgotten."""

    def want(self, key: Any) -> None:
        """Have a key loaded with those that are asked for."""
        cached = cache_key(key)
        if cached not in self._cache:
            self.wanted[cached] = key

    def _entry(self, key: Any) -> _Entry | None:
        # The usual way made short: there are dozens of calls for a document.
        entry = self._cache.get(key, _ABSENT) if type(key) in _PLAIN else _ABSENT
        if entry is _ABSENT:
            entry = self._look_up(key)
        if entry is None:
            self.missed = True
            return None
        self.met = True
        if entry.several:
            self.several = True
        found: _Entry = entry
        return found

    def _look_up(self, key: Any) -> _Entry | None:
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
        """The document of a key, or the default."""
        entry = self._entry(key)
        if entry is None:
            return default
        copy = entry.document.copy()  # `_Entry.copy` written out
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

    def store(self, key: Any, answer: Answer, *, committed: bool) -> None:
        """Remember what is found for `key`."""
        cached = cache_key(key)
        self._bytes += answer.size
        self._cache[cached] = (
            None if answer.document is None else _Entry(answer.document, several=answer.several)
        )
        self.wanted.pop(cached, None)
        if not committed:
            self.uncommitted.append(cached)

    def store_whole(self, documents: Iterable[Document]) -> None:
        """Remember all documents, ascending by `_id`: there are no others."""
        for document in documents:
            entry = _Entry(document)
            for key in keys_of(document, self.lookup.key):
                first = self._cache.setdefault(key, entry)
                if first is not entry and first is not None:
                    first.several = True
        self.whole = True
        self.wanted.clear()

    def rollback(self) -> None:
        """Forget what was read in a batch that has not been committed."""
        for cached in self.uncommitted:
            self._cache.pop(cached, None)
        self.uncommitted.clear()
        self.wanted.clear()

    def commit(self) -> None:
        """The batch is committed."""
        self.uncommitted.clear()

    def trim(self) -> None:
        """Keep the cache within its bounds. What is forgotten can be loaded again."""
        if (len(self._cache) > CACHE_LIMIT or self._bytes > CACHE_BYTES) and not self.whole:
            self._cache.clear()
            self.uncommitted.clear()
            self._bytes = 0


def keys_of(document: Document, path: str) -> set[Any]:
    """The stand-ins of all values by which a document is found. No document is found by a pattern."""
    return {cache_key(value) for value in found_by(document, path) if not isinstance(value, Regex)}
