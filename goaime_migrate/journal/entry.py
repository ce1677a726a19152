"""One document that a batch wrote: what it was before, and what can tell later whether it is still what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, Self

from goaime_migrate.backends import raw_bson, raw_difference
from goaime_migrate.backends.ports import Elements
from goaime_migrate.journal.digest import digest

NO_FIELDS: Mapping[str, bytes | None] = MappingProxyType({})


class Entry(NamedTuple):
    """One document that was written.

    One that was inserted has no `before`, one that was deleted no `after_hash`; one that has neither was inserted by
    the pass, and removed by it again. `fields`: changed top-level names, with the hash of the element that was written,
    or None where the result has no such field. With `partial`, `before` and what `after_hash` is of hold some fields
    of the document only, and the change has done nothing but set fields in their places and append others.
    """

    before: bytes | None
    after_hash: bytes | None
    fields: Mapping[str, bytes | None] = NO_FIELDS
    partial: bool = False
    inserted: bytes | None = None
    """The raw ``{_id: x}`` of an inserted document,"""
    source: bytes | None = None
    """and that of the document that it was derived from."""
    place: bytes | None = None
    """Where a deleted document stood, as `Reader.places` tells it."""

    @property
    def id(self) -> bytes:
        """The raw ``{_id: x}``."""
        if self.before is not None:
            return raw_bson.id_of(self.before)
        assert self.inserted is not None
        return self.inserted

    @property
    def comes_or_goes(self) -> bool:
        """Whether its document was inserted or deleted."""
        return self.before is None or self.after_hash is None

    @property
    def is_deletion(self) -> bool:
        """Whether its document was there, and was deleted."""
        return self.before is not None and self.after_hash is None

    @classmethod
    def of(
        cls,
        before: bytes,
        after: bytes,
        fields: Mapping[str, bytes | None] | None = None,
        *,
        partial: bool = False,
    ) -> Self:
        """The entry for a document that goes from `before` to `after`; the changed `fields` may be known."""
        changed = changed_fields(before, after) if fields is None else fields
        return cls(before, digest(after), changed, partial)

    @classmethod
    def setting(cls, before: bytes, after: bytes, hashes: Mapping[str, bytes | None]) -> Self:
        """The partial entry for a document of which it is known what is set, and that nothing else is done."""
        return cls(before, digest(after), hashes, partial=True)

    @classmethod
    def deletion(cls, before: bytes, place: bytes | None = None) -> Self:
        """The entry for a document that goes."""
        return cls(before, None, place=place)

    @classmethod
    def insertion(cls, identity: bytes, after: bytes | None, source: bytes | None = None) -> Self:
        """The entry for a document that comes; without `after` the pass has removed it again."""
        return cls(None, None if after is None else digest(after), inserted=identity, source=source)

    @classmethod
    def insertions(cls, identity: bytes, after: bytes, sources: Iterable[bytes | None]) -> list[Self]:
        """The entries for a document that comes: one for each of the sources that make it, None for no source."""
        made = digest(after)
        return [cls(None, made, NO_FIELDS, False, identity, source) for source in sources]


def hashes_of(elements: Elements) -> dict[str, bytes]:
    """The hash of each element that is set, by its name."""
    return {name_text(name): digest(element) for name, element in elements}


def changed_fields(before: bytes, after: bytes) -> dict[str, bytes | None]:
    """The top-level fields whose bytes differ, with the hash of what is in `after`, or None where it is absent."""
    old, new = raw_difference.unlike(before, after)
    changed: dict[str, bytes | None] = {
        name_text(name): digest(element) for name, element in raw_difference.differing(old, new)
    }
    if not old.keys() <= new.keys():
        changed |= {name_text(name): None for name in old if name not in new}
    return changed


@lru_cache(maxsize=4096)
def name_text(name: bytes) -> str:
    """The name of a field, also where it is not UTF-8."""
    return name.decode("utf-8", "surrogateescape")
