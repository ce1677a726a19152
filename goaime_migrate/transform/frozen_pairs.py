"""Which documents of a pass are to go for which others, kept with its journal: every run and worker sees the same."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.ports import JOURNAL, Put, Reader
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.journal.seal import seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.duplicates import Pairs

_PAIRS, _BYTES = 2_000, 4 * 1024 * 1024
"""Pairs in one record, and about how many bytes of them."""
_AT_HAND = 4
"""How many records are kept in memory: a partition asks for neighbours."""


class FrozenPairs:
    """The pairs of one pass, by ranges of `_id`s."""

    def __init__(self, pass_id: str) -> None:
        self._pass = pass_id
        self._head = f"{pass_id}/lookup/duplicates"
        self._ends: list[Key] | None = None
        """Where the ranges end."""
        self._at_hand: dict[int, Pairs] = {}

    def records(self, pairs: Pairs) -> list[Put]:
        """The changes that keep them, in the order in which they must be made: without the last there are none."""
        chunks = list(_chunks(pairs))
        stored = [
            self._sealed(f"{self._head}/{number:08d}", [each for i in chunk for each in (i, pairs[i])])
            for number, chunk in enumerate(chunks)
        ]
        return [Put(JOURNAL, each) for each in (*stored, self._sealed(self._head, [c[-1] for c in chunks]))]

    def _sealed(self, identity: str, documents: Sequence[bytes]) -> Document:
        (record,) = seal({"_id": identity, "pass": self._pass, "kind": "lookup"}, b"".join(documents), "")
        return record

    def among(self, reader: Reader, ids: Sequence[bytes]) -> Pairs:
        """Those of these documents that are to go."""
        ends = self._known_ends(reader)
        numbers = dict.fromkeys(bisect_left(ends, id_key(identity)) for identity in ids)
        chunks = [self._at(reader, number) for number in numbers if number < len(ends)]
        return {identity: chunk[identity] for identity in ids for chunk in chunks if identity in chunk}

    def all(self, reader: Reader) -> Iterator[Pairs]:
        """All of them, some at a time."""
        for number in range(len(self._known_ends(reader))):
            yield self._at(reader, number)

    def _known_ends(self, reader: Reader) -> list[Key]:
        if self._ends is None:
            self._ends = [id_key(identity) for identity in self._documents(reader, self._head)]
        return self._ends

    def _at(self, reader: Reader, number: int) -> Pairs:
        """A range of them."""
        if number not in self._at_hand:
            if len(self._at_hand) >= _AT_HAND:
                self._at_hand.clear()
            documents = self._documents(reader, f"{self._head}/{number:08d}")
            self._at_hand[number] = dict(zip(documents[::2], documents[1::2], strict=True))
        return self._at_hand[number]

    def _documents(self, reader: Reader, identity: str) -> list[bytes]:
        """What a record holds. Raises DamagedRecord."""
        found = reader.find(JOURNAL, {"_id": identity})
        with reading(JOURNAL, identity):
            return list(raw_bson.split(unseal(found, _BYTES + 2 * raw_bson.MAX_DOCUMENT)))


def _chunks(pairs: Pairs) -> Iterator[list[bytes]]:
    """The documents that go, ascending by `_id`, as many as a record is to hold."""
    chunk: list[bytes] = []
    size = 0
    for identity in sorted(pairs, key=id_key):
        if len(chunk) >= _PAIRS or size >= _BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(identity)
        size += len(identity) + len(pairs[identity])
    if chunk:
        yield chunk
