"""What the records that freeze lookups are called."""

from __future__ import annotations

import hashlib
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import sort_key
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, stable

ANY_KEY = "*"
"""Stands for the hash of every key, where it is not known by which ones a document was found."""


class Names:
    """The `_id`s of the records of one pass."""

    def __init__(self, pass_id: str) -> None:
        self._pass = pass_id

    def head(self, lookup: Lookup) -> Document:
        """What is in all records of a lookup; by its collection and key a document is found that is to be erased."""
        said = {"table": lookup.label, "collection": lookup.collection, "key": lookup.key}
        return {"pass": self._pass, "kind": "lookup", **said}

    def key(self, lookup: Lookup, cached: Any) -> str:
        """For what is found by a key, given by its stand-in: equal values have one record, 2 and 2.0 too."""
        return f"{self._pass}/lookup/{_hash(f'{lookup!r}={stable(cached)}')}"

    def whole(self, lookup: Lookup) -> str:
        """For all that can be found, or for the word that all of it is stored."""
        return f"{self._pass}/lookup/{_hash(repr(lookup))}/all"

    def earlier(self, lookup: Lookup, **key: Any) -> str:
        """As records of format 1 are called."""
        named = raw_bson.encode({"table": lookup.label, **key})
        return f"{self._pass}/lookup/{hashlib.sha256(named).hexdigest()[:32]}"

    def mark(self, identity: bytes) -> str:
        """For the word that a document was written: it is found by no key any more.

        Where the key is the `_id` none is needed: the document itself is frozen by it.
        """
        return f"{self._pass}/lookup/written/{_hash(stable(sort_key(raw_bson.id_value(identity))))}"


def part_of(identity: str) -> str:
    """For what does not fit into a record; the number of the part is to be put in."""
    return identity + "/{:03d}"


def key_hash(cached: Any) -> str:
    """For a key by which a document was found, given by its stand-in, where the key itself is not to be kept."""
    return _hash(stable(cached))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
