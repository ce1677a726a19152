"""What a transform receives for a `Lookup`: a mapping that hands out private copies of looked-up documents.

A transform is called before anybody knows which keys it will ask for. A key that is not loaded yet is noted and
answered as if nothing had been found; what the transform makes of that is thrown away, the noted keys are loaded
with one query, and the transform is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from enum import Enum, auto
from typing import Any

from bson.errors import BSONError

from goaime_migrate.backends import raw_bson
from goaime_migrate.errors import LookupErased
from goaime_migrate.errors.hint import DOWN, Hint
from goaime_migrate.results import Document
from goaime_migrate.transform.lookup_answers import Answer, gather
from goaime_migrate.transform.lookup_names import ANY_KEY, key_hash
from goaime_migrate.transform.lookups import PLAIN, Lookup, cache_key


class Late(Enum):
    """What becomes of a key that a collection which was frozen as a whole does not have."""

    NOTHING = auto()
    """Nothing is found: so it was when the pass began."""
    KEPT = auto()
    """What a sweep after the pass has looked up then;"""
    ANEW = auto()
    """or what is there now, where none has: it belongs to a document that has come since."""


CACHE_LIMIT = 50_000
"""Looked-up documents that a worker keeps in memory between two batches,"""
CACHE_BYTES = 64 * 1024 * 1024
"""and their bytes as BSON."""
_ABSENT: Any = object()
_SCALARS = (str, int, float, bool, bytes, type(None))


class _Entry:
    """A looked-up document and how to copy it: flat copies are enough for all but nested values."""

    __slots__ = ("document", "nested", "others", "several")

    def __init__(self, document: Document, *, several: bool = False, others: Sequence[_Entry] = ()) -> None:
        self.document = document
        self.several = several
        """Whether it was taken of several with the same key at a guess."""
        self.others = others
        """Those that are found by the same key, and given with it."""
        self.nested = tuple((k, _copier(v)) for k, v in document.items() if isinstance(v, dict | list))

    def copy(self) -> Document:
        copy = self.document.copy()
        for key, copier in self.nested:
            copy[key] = copier(copy[key])
        return copy


def _entry(answer: Answer) -> _Entry | None:
    """What is kept of an answer; None where nothing is found."""
    if not answer.documents:
        return None
    first, *others = answer.documents
    return _Entry(first, several=answer.several, others=tuple(map(_Entry, others)))


def _copier(value: Any) -> Callable[[Any], Any]:
    flat = type(value) is list and all(isinstance(item, _SCALARS) for item in value)
    return list.copy if flat else deepcopy


class Table(Mapping[Any, Any]):
    """What a transform receives for a `Lookup`: a read-only mapping from key to document."""

    __slots__ = (
        "_bytes",
        "_cache",
        "_misses",
        "exists",
        "late",
        "lookup",
        "met",
        "missed",
        "several",
        "stored",
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
        self.late = False
        """Whether there may be more all the same, looked up since;"""
        self.stored = False
        """whether all that can be found is stored with the pass, key by key."""
        self.exists = True
        """Whether there is such a collection, as far as is known."""
        self.forget_answers()

    def forget_answers(self) -> None:
        """The next document begins."""
        self.met = self.missed = self.several = False
        """Whether a document was found, none was, and one of several was, since this was last forgotten."""

    @property
    def size(self) -> int:
        """Bytes of what is in memory, as BSON."""
        return self._bytes

    def want(self, key: Any) -> None:
        """Have a key loaded with those that are asked for."""
        cached = cache_key(key)
        if cached not in self._cache:
            self.wanted[cached] = key

    def _entry(self, key: Any) -> _Entry | None:
        # The usual way made short: there are dozens of calls for a document.
        entry = self._cache.get(key, _ABSENT) if type(key) in PLAIN else _ABSENT
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
                if self.late or not self.whole:
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

    def __getitem__(self, key: Any) -> Any:
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
        self._cache[cached] = _entry(answer)
        self.wanted.pop(cached, None)
        if not committed:
            self.uncommitted.append(cached)

    def unknown(self, keys: Iterable[Any]) -> list[Any]:
        """Those of these keys of which it is not known what they find."""
        return [key for key in keys if cache_key(key) not in self._cache]

    def store_whole(self, documents: Iterable[Document]) -> None:
        """Remember all documents, as a lookup finds them: there are no others."""
        gathering = gather(self.lookup, documents)
        self._cache.update((key, _entry(gathering.answer(key))) for key in gathering.found())
        self.whole = True
        self.wanted.clear()

    def forget(self, hashes: Collection[str]) -> None:
        """What is found by keys with these hashes was erased: whoever asks for it is told. Raises nothing itself."""
        self._cache = _Erased(self._cache, hashes, self.lookup.collection)

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


class _Erased(dict[Any, _Entry | None]):
    """The answers of a table some of which were erased. So tables that have them all need not ask each time."""

    def __init__(self, known: Mapping[Any, _Entry | None], hashes: Collection[str], collection: str) -> None:
        super().__init__(known)
        self._hashes = frozenset(hashes)
        self._collection = collection

    def get(self, key: Any, default: Any = None) -> Any:
        """The answer. Raises LookupErased."""
        if not self._hashes.isdisjoint({ANY_KEY, key_hash(key)}):
            raise erased_error(self._collection)
        return super().get(key, default)


def erased_error(collection: str) -> LookupErased:
    """The error for an answer that was erased."""
    return LookupErased(
        f"what the lookup into {collection!r} had found was erased from the journal",
        hint=Hint("take the whole pass back: {}", DOWN),
    )


class ManyTable(Table):
    """The same for a lookup that gives all documents of a key: a tuple, with none in it where there is none."""

    __slots__ = ()

    def get(self, key: Any, default: Any = ()) -> Any:
        """All documents of a key; the default where there is none."""
        entry = self._entry(key)
        return default if entry is None else tuple(each.copy() for each in (entry, *entry.others))

    def __getitem__(self, key: Any) -> tuple[Document, ...]:
        found: tuple[Document, ...] = self.get(key)
        return found


def table_of(lookup: Lookup, misses: list[Any]) -> Table:
    """The table that a lookup fills."""
    return ManyTable(lookup, misses) if lookup.many else Table(lookup, misses)
